// SPDX-License-Identifier: Apache-2.0
// An owned, growing run of bytes with a ceiling that whoever makes it must name. The bytes are kept
// NUL-terminated, so `b.p` is a C string when they hold no NUL (b.p is "" when empty).
// Appending past the ceiling appends nothing and marks the buffer `full`: write many pieces, then
// check once with buf_ok().
#pragma once

#include "base/str.h"

#include <stdarg.h>

struct buf {
    char *p;    // never NULL after buf_init; "" while nothing was appended
    size_t n;   // bytes used
    size_t cap; // bytes allocated, without the terminator
    size_t max; // ceiling in bytes
    bool full;  // an append did not fit
};

#define BUF_INIT(ceiling) ((struct buf){(char *)"", 0, 0, (ceiling), false})

void buf_init(struct buf *b, size_t max);
// Frees the bytes; the buffer is empty and usable again afterwards.
void buf_done(struct buf *b);
// Forgets the bytes, keeps the memory, clears `full`.
void buf_clear(struct buf *b);

// Makes room for `n` more bytes and returns where they go, or NULL at the ceiling; after writing
// them call buf_commit(b, bytes_written).
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

void buf_add(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *cstr);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) PRINTF(2, 0);
void buf_addu(struct buf *b, uint64_t v); // decimal

// Drops the first `n` bytes (moves the rest down).
void buf_shift(struct buf *b, size_t n);
// Cuts to `n` bytes.
void buf_cut(struct buf *b, size_t n);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}
static inline bool buf_ok(const struct buf *b)
{
    return !b->full;
}

// Hands the bytes to the caller (free with free()); the buffer is empty afterwards.
char *buf_take(struct buf *b) MUST_USE;

#define _autobuf_ _cleanup_(buf_done)
