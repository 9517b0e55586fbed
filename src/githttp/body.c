// SPDX-License-Identifier: Apache-2.0
// The request body as the git program must get it: gunzipped when the client zipped it, never more
// than its limit, so that a small body cannot unfold into a huge one unseen.
#include "githttp/priv.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

enum { IN_SIZE = 32768 };

int body_init(struct body *b, struct http_call *c, int64_t max, struct err *e)
{
    *b = (struct body){.c = c, .max = max};
    struct str coding = http_header(c, "Content-Encoding");
    if (str_ieq(coding, STR("gzip")) || str_ieq(coding, STR("x-gzip")))
        b->gzip = true;
    else if (coding.n && !str_ieq(coding, STR("identity")))
        return err_set(e, E_INVALID, "Content-Encoding \"%" PRISTR "\" is not supported: use gzip",
                       STRARG(str_head(coding, 40)));
    if (b->gzip) {
        b->in = mem_zalloc(IN_SIZE, 1);
        if (inflateInit2(&b->z, 15 + 16) != Z_OK)
            BUG("inflateInit2");
    }
    // The server counts what comes over the wire; what it unfolds to is counted here.
    http_body_limit(c, max);
    return 0;
}

void body_done(struct body *b)
{
    if (b->in) {
        inflateEnd(&b->z);
        free(b->in);
        b->in = NULL;
    }
}

static int count(struct body *b, size_t n, struct err *e)
{
    b->total += (int64_t)n;
    if (b->max >= 0 && b->total > b->max)
        return err_set(e, E_LIMIT, "the request is larger than %lld bytes", (long long)b->max);
    return 0;
}

static int read_gzip(struct body *b, void *to, size_t n, size_t *ret_n, struct err *e)
{
    b->z.next_out = to;
    b->z.avail_out = (uInt)MIN(n, (size_t)1 << 30);
    uInt room = b->z.avail_out;
    while (b->z.avail_out == room && !b->ended) {
        if (b->z.avail_in == 0) {
            size_t got;
            int rc = http_read_body(b->c, b->in, IN_SIZE, &got, e);
            if (rc < 0)
                return rc;
            if (got == 0)
                return err_set(e, E_INVALID, "the gzipped request body ends early");
            b->z.next_in = b->in;
            b->z.avail_in = (uInt)got;
        }
        int z = inflate(&b->z, Z_NO_FLUSH);
        if (z == Z_STREAM_END)
            b->ended = true;
        else if (z != Z_OK && z != Z_BUF_ERROR)
            return err_set(e, E_INVALID, "the request body is not valid gzip");
    }
    *ret_n = room - b->z.avail_out;
    if (b->ended && *ret_n == 0) {
        // What follows the gzip stream must be nothing.
        size_t rest = b->z.avail_in;
        int rc = rest ? 0 : http_read_body(b->c, b->in, IN_SIZE, &rest, e);
        if (rc < 0)
            return rc;
        if (rest)
            return err_set(e, E_INVALID, "bytes follow the gzipped request body");
    }
    return 0;
}

int body_read(struct body *b, void *to, size_t n, size_t *ret_n, struct err *e)
{
    *ret_n = 0;
    int rc = b->gzip ? read_gzip(b, to, n, ret_n, e) : http_read_body(b->c, to, n, ret_n, e);
    return rc < 0 ? rc : count(b, *ret_n, e);
}

int body_all(struct body *b, struct buf *into, struct err *e)
{
    for (;;) {
        size_t n;
        char *to = buf_reserve(into, MIN((size_t)KIB(16), into->max - into->n));
        if (!to || into->n == into->max)
            return err_set(e, E_LIMIT, "the request is larger than %zu bytes", into->max);
        int rc = body_read(b, to, MIN((size_t)KIB(16), into->max - into->n), &n, e);
        if (rc < 0 || n == 0)
            return rc;
        buf_commit(into, n);
    }
}

void body_drain(struct body *b, int64_t max_bytes, int64_t max_ms)
{
    int64_t until = clock_ms() + max_ms;
    char waste[16384];
    size_t n = 1;
    while (n > 0 && max_bytes > 0 && clock_ms() < until) {
        if (http_read_body(b->c, waste, sizeof(waste), &n, NULL) < 0)
            return;
        max_bytes -= (int64_t)n;
    }
}
