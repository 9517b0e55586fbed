// SPDX-License-Identifier: Apache-2.0
// /-/health, /-/liveness, /-/readiness and /metrics: for load balancers, supervisors and
// Prometheus.
#pragma once

#include "api/request.h"

bool health_matches(struct str path);
int health_handle(struct http_call *c, const struct api *api);
