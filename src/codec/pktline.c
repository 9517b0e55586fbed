// SPDX-License-Identifier: Apache-2.0
// Reads and writes git's pkt-line framing. Pure: the caller owns input and output, nothing is kept
// between calls. The Git face and the native ref listing are its users.
#include "codec/pktline.h"

#include "base/text.h"

int pkt_parse(struct str in, struct pkt *ret, size_t *ret_used, struct err *e)
{
    *ret_used = 0;
    // A bad digit is refused as soon as it is there: waiting for the rest would hide it.
    size_t len = 0;
    for (size_t i = 0; i < MIN(in.n, 4u); i++) {
        int d = text_hex_digit(in.p[i]);
        if (d < 0)
            return err_set(e, E_INVALID, "pkt-line: the length is not four hex digits");
        len = len * 16 + (size_t)d;
    }
    if (in.n < 4)
        return E_AGAIN;
    if (len == 3 || len > PKT_MAX)
        return err_set(e, E_INVALID, "pkt-line: impossible length %zu", len);
    ret->data = STR_NONE;
    if (len < 3) {
        ret->type = len == 0 ? PKT_FLUSH : len == 1 ? PKT_DELIM : PKT_RESPONSE_END;
        *ret_used = 4;
        return 0;
    }
    if (in.n < len)
        return E_AGAIN;
    ret->type = PKT_DATA;
    ret->data = str_n(in.p + 4, len - 4);
    *ret_used = len;
    return 0;
}

static void put_length(char *at, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 3; i >= 0; i--, n >>= 4)
        at[i] = digits[n & 15];
}

void pkt_add(struct buf *b, struct str data)
{
    BUG_ON(data.n > PKT_MAX_DATA);
    char head[4];
    put_length(head, data.n + 4);
    char *to = buf_reserve(b, data.n + 4);
    if (!to)
        return;
    memcpy(to, head, 4);
    if (data.n)
        memcpy(to + 4, data.p, data.n);
    buf_commit(b, data.n + 4);
}

void pkt_addf(struct buf *b, const char *fmt, ...)
{
    size_t start = b->n;
    buf_adds(b, "0000");
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
    pkt_close(b, start);
}

void pkt_close(struct buf *b, size_t start)
{
    if (!buf_ok(b))
        return;
    BUG_ON(b->n - start > PKT_MAX || b->n - start < 4);
    put_length(b->p + start, b->n - start);
}

void pkt_flush(struct buf *b)
{
    buf_adds(b, "0000");
}

void pkt_delim(struct buf *b)
{
    buf_adds(b, "0001");
}

void pkt_sideband(struct buf *b, int channel, struct str data)
{
    while (data.n) {
        size_t n = MIN(data.n, (size_t)PKT_MAX_DATA - 1);
        char *to = buf_reserve(b, n + 5);
        if (!to)
            return;
        put_length(to, n + 5);
        to[4] = (char)channel;
        memcpy(to + 5, data.p, n);
        buf_commit(b, n + 5);
        data = str_from(data, n);
    }
}
