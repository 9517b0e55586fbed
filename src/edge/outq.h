// SPDX-License-Identifier: Apache-2.0
// What one side of a connection still has to be sent: ranges of memory that others own, written
// with one call. Nothing is copied unless the socket does not take it all. The worker's thread
// only.
#pragma once

#include "codec/http1.h"

#include <sys/uio.h>

#define OUTQ_RANGES 16
#define OUTQ_SIZES  4

struct outq {
    struct iovec v[OUTQ_RANGES];
    uint8_t at, n;  // v[at..n) is unsent
    uint8_t nsizes; // chunk size lines in use
    int8_t scratch; // which range lies in the worker's scratch buffer, -1: none
    char *saved;    // what was left of the scratch range after a short write
    char sizes[OUTQ_SIZES][HTTP1_CHUNK_HEAD_MAX];
};

void outq_init(struct outq *q);
// Forgets what is unsent.
void outq_clear(struct outq *q);

static inline bool outq_empty(const struct outq *q)
{
    return q->at == q->n;
}
// True while one more piece of a body, or a trailer, or a head fits.
static inline bool outq_room(const struct outq *q)
{
    return q->n + 4 <= OUTQ_RANGES && q->nsizes < OUTQ_SIZES;
}

// The bytes must stay where they are until the queue is empty.
void outq_add(struct outq *q, struct str s);
// Bytes in memory that is reused at the end of this step; at most one such range at a time, and
// outq_flush must follow before the step ends.
void outq_add_scratch(struct outq *q, struct str s);
// `data` as one chunk: its size line, the bytes, CRLF.
void outq_add_chunk(struct outq *q, struct str data);

// Sends as much as the socket takes, adds the bytes to *sent. 0: the queue is empty; E_AGAIN: the
// socket is full (*can_write is cleared); E_IO: the peer is gone. `more`: more will follow at once.
int outq_flush(struct outq *q, int fd, bool *can_write, bool more, uint64_t *sent) MUST_USE;
