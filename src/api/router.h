// SPDX-License-Identifier: Apache-2.0
// Finds the route of a request: a trie of path segments compiled once from the route tables.
// Immutable after api_router_new, so any thread may match.
#pragma once

#include "api/route.h"
#include "base/arena.h"

#define API_PATH_PARAMS   6
#define API_PATH_SEGMENTS 64 // of a request; longer ones match nothing

struct api_router;

struct api_match {
    const struct route *route;       // NULL: nothing at this path, or not with this method
    bool path_known;                 // another method has this path: answer 405
    char allow[64];                  // "GET, HEAD, DELETE" when path_known
    struct str raw[API_PATH_PARAMS]; // path parameters in the pattern's order, still encoded
    size_t nraw;
};

// Two routes of the same method and path are a bug of the tables and end the process.
struct api_router *api_router_new(const struct route_table *const *tables, size_t n);
void api_router_free(struct api_router *r);

// `path` is the raw path of the request, without the query. `method` -1 matches no route but still
// tells whether the path is known. A literal segment wins over a parameter, a parameter over a
// tail.
void api_router_match(const struct api_router *r, int method, struct str path,
                      struct api_match *ret);

enum { API_DECODE_OK, API_DECODE_BAD, API_DECODE_DOTS };
// Decodes a path parameter into the arena. BAD: a broken %XX, NUL, a control character, not UTF-8.
// DOTS: a "." or ".." segment in it: nothing in this API is named so.
int api_path_decode(struct arena *a, struct str raw, struct str *ret);
