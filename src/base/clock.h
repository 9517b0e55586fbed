// SPDX-License-Identifier: Apache-2.0
// Time. Durations and deadlines use the monotonic clock in milliseconds; only what people or other
// systems read uses wall time (milliseconds since 1970-01-01 UTC).
#pragma once

#include "base/buf.h"

// Monotonic; does not jump when somebody sets the clock.
int64_t clock_ms(void);
int64_t clock_us(void);
// Wall time.
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);

#define CLOCK_RFC3339_SIZE 32
// "2026-01-02T03:04:05.678Z" (RFC 3339, UTC, milliseconds), as GitLab's API writes times.
const char *clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE]);
// Reads RFC 3339 with any fraction and offset, or a date alone (midnight UTC).
bool clock_parse_rfc3339(struct str s, int64_t *ret_wall_ms) MUST_USE;
// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7).
const char *clock_http_date(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE]);
bool clock_parse_http_date(struct str s, int64_t *ret_wall_ms) MUST_USE;

// "250ms", "25s", "5m", "1h30m", "2d"; a bare number is seconds. At most 10 years.
bool clock_parse_duration(struct str s, int64_t *ret_ms) MUST_USE;
