// SPDX-License-Identifier: Apache-2.0
// URLs (RFC 3986): parsing, percent-coding, path segments, queries. Pure functions, any thread.
// A path is split at '/' first and decoded afterwards, so the segment "group%2Fproject" is one
// segment "group/project" as GitLab's API needs it.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define URL_MAX_SEGMENTS 64

// Appends the decoded bytes. E_INVALID: '%' without two hex digits, or a NUL. `plus`: '+' is a
// space (queries and forms). Nothing is appended on failure.
int url_decode(struct buf *to, struct str s, bool plus, struct err *e) MUST_USE;
int url_decode_arena(struct arena *a, struct str s, bool plus, struct str *ret,
                     struct err *e) MUST_USE;

// Encodes all but unreserved characters (letters digits - . _ ~).
void url_encode(struct buf *to, struct str s);
// The same but keeps '/': for file paths.
void url_encode_path(struct buf *to, struct str s);

// Refuses what must not reach any handler: not beginning with '/', bad percent-coding, NUL, control
// characters (raw or encoded), backslash, '.' and '..' segments (raw or encoded, also inside a
// segment with encoded slashes), more than URL_MAX_SEGMENTS segments, bytes that decode to
// ill-formed UTF-8.
int url_path_check(struct str raw, struct err *e) MUST_USE;

struct url_path {
    size_t n;
    struct str seg[URL_MAX_SEGMENTS]; // decoded, in the arena when decoding changed them
    bool trailing_slash;              // "/a/" has one segment and this flag
};
// url_path_check and split. Empty segments ("//") are E_INVALID. "/" has no segments.
int url_path_split(struct str raw, struct arena *a, struct url_path *ret, struct err *e) MUST_USE;

// Visits "k=v" pairs, still encoded: for (struct str rest = q, k, v; url_query_next(&rest, &k,
// &v);)
bool url_query_next(struct str *rest, struct str *ret_key, struct str *ret_value);
// The first value of that (decoded) name, decoded; false when absent or badly encoded.
bool url_query_get(struct str query, struct str name, struct arena *a, struct str *ret);
// Appends "k=v" encoded, with '?' or '&' before it as `to` needs.
void url_query_add(struct buf *to, struct str key, struct str value);

struct url {
    struct str scheme;         // lower or upper case as given: "http", "https"
    struct str user, password; // still encoded; p == NULL when absent
    struct str host;           // without port; IPv6 without brackets
    uint16_t port;             // 80 or 443 when not given
    bool port_given;
    struct str path;  // "/" when empty
    struct str query; // p == NULL when absent
};
// Absolute http and https URLs. E_INVALID otherwise. Slices point into `s`.
int url_parse(struct str s, struct url *ret, struct err *e) MUST_USE;

// "host", "host:80", "[::1]:80" to its parts; *ret_port is 0 when absent. False when malformed.
bool url_host_split(struct str authority, struct str *ret_host, uint16_t *ret_port) MUST_USE;
