// SPDX-License-Identifier: Apache-2.0
// The arena: a list of chunks, newest first, each filled from its start.
#include "base/arena.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_CHUNK 0 // every allocation gets a chunk of its own
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_CHUNK 0
#endif
#endif
#ifndef ARENA_CHUNK
#define ARENA_CHUNK 4000
#endif

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, cap;
    _Alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){NULL, 0, max};
}

void arena_done(struct arena *a)
{
    for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    a->chunks = NULL;
    a->total = 0;
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = a->chunks;
    if (keep && keep->cap == ARENA_CHUNK) {
        a->chunks = keep->next;
        arena_done(a);
        keep->next = NULL;
        memset(keep->bytes, 0, keep->used);
        keep->used = 0;
        a->chunks = keep;
        return;
    }
    arena_done(a);
}

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    BUG_ON(__builtin_mul_overflow(n ? n : 1, size ? size : 1, &bytes));
    BUG_ON(!arena_fits(a, bytes));
    size_t step = (bytes + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    struct arena_chunk *c = a->chunks;
    if (!c || ARENA_CHUNK == 0 || step > c->cap - c->used) {
        size_t cap = ARENA_CHUNK == 0 ? bytes : MAX(step, (size_t)ARENA_CHUNK);
        struct arena_chunk *fresh = mem_zalloc(1, sizeof(*fresh) + cap);
        fresh->cap = cap;
        // An oversized chunk goes behind the current one, which may still have room.
        if (c && cap > ARENA_CHUNK && ARENA_CHUNK != 0) {
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            a->chunks = fresh;
        }
        c = fresh;
    }
    void *p = c->bytes + c->used;
    c->used += ARENA_CHUNK == 0 ? bytes : step;
    a->total += bytes;
    return p;
}

char *arena_dup(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1, 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    return str_n(arena_dup(a, s), s.n);
}

PRINTF(2, 0)
__attribute__((nonnull)) static struct str arena_vstrf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    BUG_ON(n < 0);
    char *p = arena_alloc(a, (size_t)n + 1, 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return str_n(p, (size_t)n);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct str s = arena_vstrf(a, fmt, ap);
    va_end(ap);
    return (char *)s.p;
}

struct str arena_strf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct str s = arena_vstrf(a, fmt, ap);
    va_end(ap);
    return s;
}
