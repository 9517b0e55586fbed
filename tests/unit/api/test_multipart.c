// SPDX-License-Identifier: Apache-2.0
#include "api/multipart.h"
#include "base/buf.h"

#include "../../lib/test.h"

struct source {
    struct str rest;
    size_t step;
};

static int give(void *ctx, void *to, size_t n, size_t *ret_n, struct err *e)
{
    struct source *s = ctx;
    (void)e;
    *ret_n = MIN(MIN(n, s->step), s->rest.n);
    memcpy(to, s->rest.p, *ret_n);
    s->rest = str_n(s->rest.p + *ret_n, s->rest.n - *ret_n);
    return 0;
}

#define TYPE STR("multipart/form-data; boundary=\"b--x\"")

// Writes "name|file_name|content;" of every part, or "error".
static void run(struct str body, size_t step, struct buf *out)
{
    _autoarena_ struct arena a;
    struct source s = {body, step};
    struct multipart m;
    struct multipart_part part;
    struct err e = ERR_INIT;
    bool more;
    arena_init(&a, MIB(2));
    assert_int_equal(multipart_init(&m, &a, TYPE, give, &s, &e), 0);
    for (;;) {
        if (multipart_next(&m, &a, &part, &more, &e) < 0) {
            buf_adds(out, "error");
            return;
        }
        if (!more)
            return;
        buf_addf(out, "%" PRISTR "|%" PRISTR "|", STRARG(part.name), STRARG(part.file_name));
        for (struct str piece;;) {
            if (multipart_read(&m, &piece, &e) < 0) {
                buf_adds(out, "error");
                return;
            }
            if (!piece.n)
                break;
            buf_add(out, piece);
        }
        buf_addc(out, ';');
    }
}

static const char body[] =
    "preamble is ignored\r\n--b--x\r\nContent-Disposition: form-data; "
    "name=\"token\"\r\n\r\nsecret\r\n"
    "--b--x\r\ncontent-disposition: form-data; name=file; filename=\"a \\\"b\\\".zip\"\r\n"
    "Content-Type: application/zip\r\n\r\nPK\r\n--b--\r\n--b-\r\n\r\n\r\n--b--x\r\n"
    "Content-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--b--x--\r\nepilogue";
static const char want[] = "token||secret;file|a \"b\".zip|PK\r\n--b--\r\n--b-\r\n\r\n;empty||;";

static void same_at_every_split(void **state)
{
    for (size_t step = 1; step < sizeof(body); step++) {
        _autobuf_ struct buf out = BUF_INIT(KIB(4));
        run(str_of(body), step, &out);
        assert_string_equal(out.p, want);
    }
}

static void every_cut_is_an_error(void **state)
{
    size_t end = (size_t)(strstr(body, "--b--x--") - body) + 8;
    for (size_t n = 0; n < end; n++) {
        _autobuf_ struct buf out = BUF_INIT(KIB(4));
        run(str_n(body, n), 7, &out);
        assert_true(str_ends(buf_str(&out), STR("error")));
    }
}

static void large_parts_pass_through(void **state)
{
    _autobuf_ struct buf big = BUF_INIT(MIB(4)), out = BUF_INIT(MIB(4));
    buf_adds(&big, "--b--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n");
    size_t head = big.n;
    for (int i = 0; i < 200000; i++)
        buf_adds(&big, "\r\n--b--");
    size_t n = big.n;
    buf_adds(&big, "\r\n--b--x--");
    run(buf_str(&big), 60000, &out);
    assert_int_equal(out.n, n - head + strlen("file||;"));
}

static void refuses_nonsense(void **state)
{
    _autoarena_ struct arena a;
    struct multipart m;
    struct source s = {STR(""), 1};
    arena_init(&a, MIB(1));
    static const char *const types[] = {
        "application/zip", "multipart/form-data", "",
        "multipart/form-data; boundary=", "multipart/mixed; boundary=x"};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        assert_int_equal(multipart_init(&m, &a, str_of(types[i]), give, &s, NULL), E_INVALID);
    static const char *const bodies[] = {
        "--b--x\r\n\r\nno head\r\n--b--x--", "--b--xjunk\r\n",
        "--b--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--x--"};
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        _autobuf_ struct buf out = BUF_INIT(KIB(4));
        run(str_of(bodies[i]), 100, &out);
        assert_string_equal(out.p, "error");
    }
}

RUN_TESTS(cmocka_unit_test(same_at_every_split), cmocka_unit_test(every_cut_is_an_error),
          cmocka_unit_test(large_parts_pass_through), cmocka_unit_test(refuses_nonsense))
