// SPDX-License-Identifier: Apache-2.0
// Streaming JSON (RFC 8259) into a buffer: commas and escapes are the writer's business. Bytes that
// are not UTF-8 become U+FFFD, so the output is always valid JSON. Misuse (a key in an array) is a
// bug and ends the process.
#pragma once

#include "base/buf.h"

struct jout {
    struct buf *to;
    uint8_t depth;     // at most 62
    bool after_key;    // a key was written, its value is due
    uint64_t has_item; // bit per depth: a comma is due
    uint64_t is_array; // bit per depth
};

void jout_begin(struct jout *j, struct buf *to);

void jout_object(struct jout *j);
void jout_end_object(struct jout *j);
void jout_array(struct jout *j);
void jout_end_array(struct jout *j);
void jout_key(struct jout *j, const char *key);

void jout_str(struct jout *j, struct str s);
void jout_cstr(struct jout *j, const char *cstr_or_null);
void jout_int(struct jout *j, int64_t v);
void jout_double(struct jout *j, double v);
void jout_bool(struct jout *j, bool v);
void jout_null(struct jout *j);
// RFC 3339 text, or null when wall_ms is 0.
void jout_time(struct jout *j, int64_t wall_ms);
// Text that already is one JSON value.
void jout_raw(struct jout *j, struct str json);

// key and value at once
void jout_kstr(struct jout *j, const char *key, struct str s);
void jout_kcstr(struct jout *j, const char *key, const char *cstr_or_null);
void jout_kint(struct jout *j, const char *key, int64_t v);
void jout_kbool(struct jout *j, const char *key, bool v);
void jout_knull(struct jout *j, const char *key);
void jout_ktime(struct jout *j, const char *key, int64_t wall_ms);
