// SPDX-License-Identifier: Apache-2.0
// Templates. They are parsed once at start; rendering only reads, so any thread may render.
//
//   {{name}} {{a.b}} {{.}}   the value, escaped for HTML (text and double-quoted attributes alike)
//   {{{name}}}               markup that a renderer made (VAL_HTML); any other value is an error
//   {{#x}}..{{/x}}           per item of a list; once for a map (its keys come into view) or a
//   value
//                            that is not empty, zero or false.  {{^x}}..{{/x}}: when it is
//   {{#x?}} {{x?}}           as above, but x may be absent
//   {{>part}}                another template, seeing the same values
//   {{x|filter}} {{'lit'|filter}}
//                            time: <time> with the age in words, from wall milliseconds
//                            date: <time> with the date
//                            icon: an inline SVG of assets/icons     size: bytes in words
//                            path: percent-encoded, '/' kept         query: percent-encoded
//                            ms: a duration of milliseconds in words
//   {{! comment }}
//
// Absent names, unknown filters and unbalanced sections are errors that name template and line. An
// insertion inside a tag must stand within double quotes; that too is checked when parsing.
#pragma once

#include "base/err.h"
#include "web/val.h"

struct tmpl_set;

struct tmpl_set *tmpl_set_new(void);
void tmpl_set_free(struct tmpl_set *set);

// `source` must outlive the set; `name` is copied.
int tmpl_add(struct tmpl_set *set, struct str name, struct str source, struct err *e) MUST_USE;
void tmpl_add_icon(struct tmpl_set *set, struct str name, struct str svg);
// After the last tmpl_add: every partial that is named exists.
int tmpl_check(const struct tmpl_set *set, struct err *e) MUST_USE;
bool tmpl_has(const struct tmpl_set *set, struct str name);

// `now_ms` is the wall time against which ages are told.
int tmpl_render(const struct tmpl_set *set, struct str name, const struct val *root, int64_t now_ms,
                struct buf *out, struct err *e) MUST_USE;

// The words the filters use; also for code that builds markup.
void tmpl_age(struct buf *out, int64_t wall_ms, int64_t now_ms); // "3 minutes ago"
void tmpl_size(struct buf *out, int64_t bytes);                  // "1.2 MiB"
void tmpl_duration(struct buf *out, int64_t ms);                 // "1 m 05 s"
void tmpl_percent(struct buf *out, struct str s, bool keep_slash);
