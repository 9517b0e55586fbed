// SPDX-License-Identifier: Apache-2.0
// Memory that lives as long as a request: allocate freely, free all at once. Pointers into an arena
// never outlive it. One thread at a time. Under AddressSanitizer each allocation is a malloc of its
// own, so that overruns and uses after the end are found.
#pragma once

#include "base/str.h"

#include <stdarg.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks;
    size_t total; // bytes handed out
    size_t max;   // ceiling in bytes; passing it ends the process as a bug: check sizes before
};

void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);
// Frees what was handed out, keeps one chunk for the next request.
void arena_reset(struct arena *a);

// Zeroed, aligned for any object. Never NULL.
void *arena_alloc(struct arena *a, size_t n, size_t size) MUST_USE;
#define ARENA_NEW(a, type)      ((type *)arena_alloc((a), 1, sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), (n), sizeof(type)))

// NUL-terminated copies.
char *arena_dup(struct arena *a, struct str s) MUST_USE;
struct str arena_str(struct arena *a, struct str s) MUST_USE;
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3) MUST_USE;
struct str arena_strf(struct arena *a, const char *fmt, ...) PRINTF(2, 3) MUST_USE;

// True when `n` more bytes fit under the ceiling.
static inline bool arena_fits(const struct arena *a, size_t n)
{
    return n <= a->max - a->total;
}

#define _autoarena_ _cleanup_(arena_done)
