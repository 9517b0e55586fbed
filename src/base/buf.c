// SPDX-License-Identifier: Apache-2.0
// The capped buffer. One owner, one thread at a time.
#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max)
{
    *b = BUF_INIT(max);
}

void buf_done(struct buf *b)
{
    if (b->cap)
        free(b->p);
    *b = BUF_INIT(b->max);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->full = false;
    if (b->cap)
        b->p[0] = 0;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (n > b->max - b->n || b->full) {
        b->full = true;
        return NULL;
    }
    size_t need = b->n + n;
    if (need > b->cap || b->cap == 0) {
        size_t cap = MAX(MAX(b->cap * 2, need), (size_t)64);
        cap = MAX(MIN(cap, b->max), need);
        b->p = mem_grow(b->cap ? b->p : NULL, cap + 1, 1);
        b->cap = cap ? cap : 1;
        b->p[b->n] = 0;
    }
    return b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
    BUG_ON(n > b->cap - b->n);
    b->n += n;
    b->p[b->n] = 0;
}

void buf_add(struct buf *b, struct str s)
{
    if (s.n == 0)
        return;
    char *to = buf_reserve(b, s.n);
    if (!to)
        return;
    memcpy(to, s.p, s.n);
    buf_commit(b, s.n);
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, str_n(&c, 1));
}

void buf_adds(struct buf *b, const char *cstr)
{
    buf_add(b, str_of(cstr));
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    char small[256];
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n >= 0 && (size_t)n < sizeof(small)) {
        buf_add(b, str_n(small, (size_t)n));
    } else if (n >= 0) {
        // vsnprintf writes a terminator too; buf_reserve always leaves room for it.
        char *to = buf_reserve(b, (size_t)n);
        if (to) {
            vsnprintf(to, (size_t)n + 1, fmt, again);
            buf_commit(b, (size_t)n);
        }
    }
    va_end(again);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

void buf_addu(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_add(b, str_n(digits + at, sizeof(digits) - at));
}

void buf_shift(struct buf *b, size_t n)
{
    BUG_ON(n > b->n);
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n + 1);
    b->n -= n;
}

void buf_cut(struct buf *b, size_t n)
{
    if (n >= b->n)
        return;
    b->n = n;
    b->p[n] = 0;
}

char *buf_take(struct buf *b)
{
    char *p = b->cap ? b->p : mem_dup("", 0);
    *b = BUF_INIT(b->max);
    return p;
}
