// SPDX-License-Identifier: Apache-2.0
// The OpenAPI 3.0 document, written from the route tables and the reply shapes. Pure.
#pragma once

#include "api/route.h"
#include "base/buf.h"

void openapi_write(const struct route_table *const *tables, size_t n, const char *external_url,
                   struct buf *to);
