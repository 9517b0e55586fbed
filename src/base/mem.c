// SPDX-License-Identifier: Apache-2.0
// Small allocations that end the process rather than fail. Used by every layer and every thread.
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NORETURN void out_of_memory(size_t n, size_t size)
{
    fprintf(stderr, "slipway: out of memory (%zu x %zu bytes)\n", n, size);
    abort();
}

void *mem_zalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        out_of_memory(n, size);
    return p;
}

void *mem_grow(void *old, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        out_of_memory(n, size);
    void *p = realloc(old, bytes ? bytes : 1);
    if (!p)
        out_of_memory(n, size);
    return p;
}

char *mem_dup(const char *p, size_t n)
{
    char *copy = mem_zalloc(n + 1, 1);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

void mem_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}

void mem_freep(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof(p));
    free(p);
}

void bug_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "slipway: bug at %s:%d: %s\n", file, line, what);
    abort();
}
