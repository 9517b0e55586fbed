// SPDX-License-Identifier: Apache-2.0
// The job that a runner gets: the answer of POST /jobs/request, as GitLab's runner reads it.
#pragma once

#include "api/request.h"

struct ci_claim;

// r->project is the job's project; r->tx is an open read.
void payload_write(struct api_req *r, struct jout *j, const struct ci_claim *c);
