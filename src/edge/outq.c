// SPDX-License-Identifier: Apache-2.0
// Writes ranges without gathering them first. A short write is the rare case: only then is what
// lies in the scratch buffer copied, so that the hot path allocates nothing.
#include "edge/outq.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

void outq_init(struct outq *q)
{
    q->at = q->n = q->nsizes = 0;
    q->scratch = -1;
    q->saved = NULL;
}

void outq_clear(struct outq *q)
{
    free(q->saved);
    outq_init(q);
}

void outq_add(struct outq *q, struct str s)
{
    BUG_ON(q->n == OUTQ_RANGES);
    if (s.n)
        q->v[q->n++] = (struct iovec){(void *)(uintptr_t)s.p, s.n};
}

void outq_add_scratch(struct outq *q, struct str s)
{
    BUG_ON(q->scratch >= 0);
    q->scratch = (int8_t)q->n;
    outq_add(q, s);
}

void outq_add_chunk(struct outq *q, struct str data)
{
    BUG_ON(q->nsizes == OUTQ_SIZES);
    char *line = q->sizes[q->nsizes++];
    outq_add(q, str_n(line, http1_chunk_head(line, data.n)));
    outq_add(q, data);
    outq_add(q, STR("\r\n"));
}

static void drop_sent(struct outq *q, size_t n)
{
    while (n) {
        struct iovec *v = &q->v[q->at];
        if (n < v->iov_len) {
            v->iov_base = (char *)v->iov_base + n;
            v->iov_len -= n;
            return;
        }
        n -= v->iov_len;
        q->at++;
    }
}

static void save_scratch(struct outq *q)
{
    if (q->scratch < q->at)
        return;
    struct iovec *v = &q->v[q->scratch];
    free(q->saved);
    q->saved = mem_dup(v->iov_base, v->iov_len);
    v->iov_base = q->saved;
    q->scratch = -1;
}

int outq_flush(struct outq *q, int fd, bool *can_write, bool more, uint64_t *sent)
{
    while (!outq_empty(q)) {
        struct msghdr m = {.msg_iov = &q->v[q->at], .msg_iovlen = (size_t)(q->n - q->at)};
        ssize_t n = *can_write
                        ? sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0))
                        : (errno = EAGAIN, -1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            *can_write = false;
            save_scratch(q);
            return E_AGAIN;
        }
        if (n < 0)
            return E_IO;
        *sent += (uint64_t)n;
        drop_sent(q, (size_t)n);
    }
    outq_clear(q);
    return 0;
}
