// SPDX-License-Identifier: Apache-2.0
// The path of a page request, decoded and made safe before it comes near the disk. Pure.
#pragma once

#include "base/err.h"
#include "base/str.h"

#define SITE_PATH_MAX 4096 // bytes of a path, encoded

struct site_path {
    char p[SITE_PATH_MAX + 1]; // decoded segments joined by '/', no leading or trailing one; NUL
    size_t n;
    bool slash; // the path ended with '/': a folder is meant ("/" alone: n == 0 and slash)
};

// `raw` is the path as sent, from its first '/', without query. Empty segments are folded.
// E_INVALID: not starting with '/', a broken %-escape, an encoded '/', NUL or a control character,
// a segment "." or "..". E_LIMIT: longer than SITE_PATH_MAX.
int site_path_parse(struct str raw, struct site_path *ret, struct err *e) MUST_USE;

// Writes "/" + the path with everything but unreserved characters and '/' escaped, plus a final
// '/', as a Location that cannot be read as another host. `out` needs 3 * n + 3 bytes.
size_t site_path_location(const struct site_path *p, char *out, size_t size);
