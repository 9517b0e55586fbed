// SPDX-License-Identifier: Apache-2.0
// multipart/form-data: reading a body whole gives what reading it in small pieces gives.
#include "api/multipart.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct source {
    struct str rest;
    size_t step;
};

static int give(void *ctx, void *to, size_t n, size_t *ret_n, struct err *e)
{
    struct source *s = ctx;
    (void)e;
    *ret_n = MIN(MIN(n, s->step), s->rest.n);
    if (*ret_n)
        memcpy(to, s->rest.p, *ret_n);
    s->rest = str_n(s->rest.p + *ret_n, s->rest.n - *ret_n);
    return 0;
}

static void run(struct str body, size_t step, struct buf *out)
{
    struct arena a;
    struct source s = {body, step};
    struct multipart m;
    struct multipart_part part;
    struct str piece;
    bool more;
    arena_init(&a, MIB(64));
    BUG_ON(multipart_init(&m, &a, STR("multipart/form-data; boundary=b"), give, &s, NULL) < 0);
    for (;;) {
        if (multipart_next(&m, &a, &part, &more, NULL) < 0) {
            buf_adds(out, "<error>");
            break;
        }
        if (!more)
            break;
        buf_addf(out, "<%" PRISTR ">", STRARG(part.name));
        int rc;
        while ((rc = multipart_read(&m, &piece, NULL)) == 0 && piece.n)
            buf_add(out, piece);
        if (rc < 0) {
            // How much of a cut part came out before the error depends on the pieces.
            buf_clear(out);
            buf_adds(out, "<cut>");
            break;
        }
    }
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > KIB(64))
        return 0;
    struct str body = str_n((const char *)data, n);
    _autobuf_ struct buf whole = BUF_INIT(MIB(1)), pieces = BUF_INIT(MIB(1));
    run(body, SIZE_MAX, &whole);
    run(body, 1 + n % 7, &pieces);
    BUG_ON(!str_eq(buf_str(&whole), buf_str(&pieces)));
    return 0;
}
