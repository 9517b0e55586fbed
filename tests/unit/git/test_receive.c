// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "codec/pktline.h"
#include "git/receive.h"
#include "git/repo.h"

#define A40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B40 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct parsed {
    struct arena a;
    struct receive_head h;
    int rc;
    size_t used;
    struct err e;
};

static struct parsed *parse(struct str in, size_t step)
{
    struct parsed *p = calloc(1, sizeof(*p));
    arena_init(&p->a, MIB(64));
    receive_head_init(&p->h, &p->a);
    for (size_t have = 0;;) {
        size_t used;
        p->rc = receive_parse(&p->h, str_n(in.p + p->used, have - p->used), &used, &p->e);
        p->used += used;
        if (p->rc != E_AGAIN || have == in.n)
            return p;
        have = MIN(in.n, have + step);
    }
}

static void parsed_free(struct parsed *p)
{
    receive_head_done(&p->h);
    arena_done(&p->a);
    free(p);
}

static void commands_options_and_pack(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(MIB(1));
    const char caps[] = A40 " " B40 " refs/heads/main\0 report-status side-band-64k push-options "
                            "object-format=sha1 agent=git/2.39.5";
    pkt_add(&b, str_n(caps, sizeof(caps) - 1));
    pkt_addf(&b, "%s %s refs/tags/v1\n", GIT_ZERO_SHA, A40);
    pkt_addf(&b, "%s %s refs/heads/old", A40, GIT_ZERO_SHA);
    pkt_flush(&b);
    pkt_addf(&b, "ci.skip");
    pkt_addf(&b, "ci.variable=A=b\n");
    pkt_flush(&b);
    size_t head = b.n;
    buf_adds(&b, "PACK....");
    for (size_t step = 1; step <= b.n; step++) {
        struct parsed *p = parse(buf_str(&b), step);
        assert_int_equal(p->rc, 0);
        assert_int_equal(p->used, head);
        assert_int_equal(p->h.n, 3);
        assert_str(p->h.commands[0].ref, "refs/heads/main");
        assert_str(p->h.commands[0].old_sha, A40);
        assert_str(p->h.commands[1].ref, "refs/tags/v1");
        assert_str(p->h.commands[2].new_sha, GIT_ZERO_SHA);
        assert_str(p->h.options, "ci.skip\nci.variable=A=b");
        assert_str(p->h.agent, "git/2.39.5");
        assert_true(p->h.report_status && p->h.sideband && p->h.has_pack && !p->h.atomic);
        parsed_free(p);
    }
}

static void empty_request_is_a_probe(void **state)
{
    struct parsed *p = parse(STR("0000"), 4);
    assert_int_equal(p->rc, 0);
    assert_int_equal(p->h.n, 0);
    assert_false(p->h.has_pack);
    parsed_free(p);
}

static void hostile(void **state)
{
    static const struct {
        const char *line;
        int rc;
    } CASES[] = {
        {"x", E_INVALID},
        {A40 " " B40, E_INVALID},
        {A40 " " B40 " ", E_INVALID},
        {A40 " " B40 " HEAD", E_INVALID},
        {A40 " " B40 " main", E_INVALID},
        {A40 " " B40 " refs/", E_INVALID},
        {A40 " " B40 " refs/heads/../../config", E_INVALID},
        {A40 " " B40 " refs/heads/a//b", E_INVALID},
        {A40 " " B40 " refs/heads/a.lock", E_INVALID},
        {A40 " " B40 " refs/heads/a b", E_INVALID},
        {A40 " " B40 " refs/heads/a\tb", E_INVALID},
        {A40 " " B40 " refs/heads/.hidden", E_INVALID},
        {A40 " " B40 " refs/heads/x@{1}", E_INVALID},
        {A40 "\t" B40 " refs/heads/main", E_INVALID},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA " B40 " refs/heads/main", E_INVALID},
        {"push-cert\0push-options", E_INVALID},
        {"shallow xyz", E_INVALID},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        _autobuf_ struct buf b = BUF_INIT(MIB(1));
        pkt_addf(&b, "%s", CASES[i].line);
        pkt_flush(&b);
        struct parsed *p = parse(buf_str(&b), 1);
        assert_int_equal(p->rc, CASES[i].rc);
        assert_true(p->e.msg[0]);
        parsed_free(p);
    }
}

static void one_ref_twice_and_foreign_formats(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(MIB(1));
    pkt_addf(&b, "%s %s refs/heads/x", A40, B40);
    pkt_addf(&b, "%s %s refs/heads/x", B40, A40);
    pkt_flush(&b);
    struct parsed *p = parse(buf_str(&b), 100);
    assert_int_equal(p->rc, E_INVALID);
    assert_non_null(strstr(p->e.msg, "refs/heads/x is named twice"));
    parsed_free(p);

    buf_clear(&b);
    const char line[] = A40 " " B40 " refs/heads/x\0object-format=sha256";
    pkt_add(&b, str_n(line, sizeof(line) - 1));
    p = parse(buf_str(&b), 100);
    assert_int_equal(p->rc, E_INVALID);
    parsed_free(p);

    buf_clear(&b);
    pkt_delim(&b);
    p = parse(buf_str(&b), 100);
    assert_int_equal(p->rc, E_INVALID);
    parsed_free(p);
}

static void too_many(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(MIB(16));
    for (int i = 0; i <= RECEIVE_MAX_COMMANDS; i++)
        pkt_addf(&b, "%s %s refs/heads/b%d", A40, B40, i);
    pkt_flush(&b);
    struct parsed *p = parse(buf_str(&b), b.n);
    assert_int_equal(p->rc, E_LIMIT);
    parsed_free(p);
}

static void refusal(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(MIB(1));
    const char line[] = A40 " " B40 " refs/heads/main\0report-status side-band-64k";
    pkt_add(&b, str_n(line, sizeof(line) - 1));
    pkt_addf(&b, "%s %s refs/heads/x", A40, B40);
    pkt_flush(&b);
    struct parsed *p = parse(buf_str(&b), b.n);
    assert_int_equal(p->rc, 0);
    const char *reasons[] = {"pre-receive hook declined", NULL};
    _autobuf_ struct buf out = BUF_INIT(MIB(1));
    receive_refuse(&p->h, reasons, STR("You may not."), &out);
    struct pkt k;
    size_t used;
    struct str rest = buf_str(&out);
    assert_int_equal(pkt_parse(rest, &k, &used, NULL), 0);
    assert_str(k.data, "\002You may not.");
    rest = str_from(rest, used);
    assert_int_equal(pkt_parse(rest, &k, &used, NULL), 0);
    assert_str(k.data, "\002\n");
    rest = str_from(rest, used);
    assert_int_equal(pkt_parse(rest, &k, &used, NULL), 0);
    assert_int_equal(k.data.p[0], 1);
    assert_true(str_search(k.data, STR("unpack ok\n")) > 0);
    assert_true(str_search(k.data, STR("ng refs/heads/main pre-receive hook declined\n")) > 0);
    assert_true(str_search(k.data, STR("ng refs/heads/x not pushed")) > 0);
    rest = str_from(rest, used);
    assert_str(rest, "0000");
    parsed_free(p);
}

RUN_TESTS(cmocka_unit_test(commands_options_and_pack), cmocka_unit_test(empty_request_is_a_probe),
          cmocka_unit_test(hostile), cmocka_unit_test(one_ref_twice_and_foreign_formats),
          cmocka_unit_test(too_many), cmocka_unit_test(refusal))
