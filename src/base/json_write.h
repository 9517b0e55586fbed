// SPDX-License-Identifier: Apache-2.0
// Streaming JSON (RFC 8259) into a buffer: commas and escapes are the writer's business. Bytes that
// are not UTF-8 become U+FFFD, so the output is always valid JSON. Misuse (a key in an array) is a
// bug and ends the process.
#pragma once

#include "base/buf.h"

struct json_out {
    struct buf *to;
    uint8_t depth;     // at most 62
    bool after_key;    // a key was written, its value is due
    uint64_t has_item; // bit per depth: a comma is due
    uint64_t is_array; // bit per depth
};

void json_begin(struct json_out *j, struct buf *to);

void json_object(struct json_out *j);
void json_end_object(struct json_out *j);
void json_array(struct json_out *j);
void json_end_array(struct json_out *j);
void json_key(struct json_out *j, const char *key);

void json_str(struct json_out *j, struct str s);
void json_cstr(struct json_out *j, const char *cstr_or_null);
void json_int(struct json_out *j, int64_t v);
void json_double(struct json_out *j, double v);
void json_bool(struct json_out *j, bool v);
void json_null(struct json_out *j);
// RFC 3339 text, or null when wall_ms is 0.
void json_time(struct json_out *j, int64_t wall_ms);
// Text that already is one JSON value.
void json_raw(struct json_out *j, struct str json);

// key and value at once
void json_kstr(struct json_out *j, const char *key, struct str s);
void json_kcstr(struct json_out *j, const char *key, const char *cstr_or_null);
void json_kint(struct json_out *j, const char *key, int64_t v);
void json_kbool(struct json_out *j, const char *key, bool v);
void json_knull(struct json_out *j, const char *key);
void json_ktime(struct json_out *j, const char *key, int64_t wall_ms);
