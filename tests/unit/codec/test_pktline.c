// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "codec/pktline.h"

#include <stdlib.h>

// Parses everything, feeding `step` bytes at a time; writes what was seen as text.
static int drive(struct str in, size_t step, struct buf *seen)
{
    size_t have = 0, at = 0;
    for (;;) {
        struct pkt p;
        size_t used;
        int rc = pkt_parse(str_n(in.p + at, have - at), &p, &used, NULL);
        if (rc == E_AGAIN) {
            assert_int_equal(used, 0);
            if (have == in.n)
                return at == have ? 0 : E_AGAIN;
            have = MIN(in.n, have + step);
            continue;
        }
        if (rc < 0)
            return rc;
        at += used;
        buf_addf(seen, "%d:%zu:", p.type, p.data.n);
        buf_add(seen, p.data);
        buf_addc(seen, '|');
    }
}

static void whole_is_split(void **state)
{
    _autobuf_ struct buf in = BUF_INIT(MIB(1));
    pkt_addf(&in, "hello %d\n", 7);
    pkt_add(&in, STR(""));
    pkt_delim(&in);
    pkt_add(&in, STR("a\0b"));
    pkt_flush(&in);
    buf_adds(&in, "0002");
    pkt_sideband(&in, 2, STR("note"));
    buf_adds(&in, "0009HELLO"); // upper case digits are fine too
    _autobuf_ struct buf whole = BUF_INIT(MIB(1));
    assert_int_equal(drive(buf_str(&in), in.n, &whole), 0);
    assert_non_null(strstr(whole.p, "0:8:hello 7\n|0:0:|2:0:|0:3:"));
    for (size_t step = 1; step < in.n; step++) {
        _autobuf_ struct buf part = BUF_INIT(MIB(1));
        assert_int_equal(drive(buf_str(&in), step, &part), 0);
        assert_true(str_eq(buf_str(&whole), buf_str(&part)));
    }
}

static void bad_lengths(void **state)
{
    static const char *const BAD[] = {"0003",     "fff1", "ffff", "zz",
                                      "00 8abcd", "-001", "0x0a", "\n"};
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
        struct pkt p;
        size_t used;
        struct err e = ERR_INIT;
        assert_int_equal(pkt_parse(str_of(BAD[i]), &p, &used, &e), E_INVALID);
        assert_true(e.msg[0]);
    }
    struct pkt p;
    size_t used;
    assert_int_equal(pkt_parse(STR("000"), &p, &used, NULL), E_AGAIN);
    assert_int_equal(pkt_parse(STR("fff0"), &p, &used, NULL), E_AGAIN);
}

static void long_data_is_cut_into_bands(void **state)
{
    size_t n = 200000;
    char *data = malloc(n);
    memset(data, 'x', n);
    _autobuf_ struct buf b = BUF_INIT(MIB(1));
    pkt_sideband(&b, 1, str_n(data, n));
    size_t got = 0, packets = 0;
    for (struct str in = buf_str(&b); in.n;) {
        struct pkt p;
        size_t used;
        assert_int_equal(pkt_parse(in, &p, &used, NULL), 0);
        assert_int_equal(p.data.p[0], 1);
        assert_true(used <= PKT_MAX);
        got += p.data.n - 1;
        packets++;
        in = str_from(in, used);
    }
    assert_int_equal(got, n);
    assert_int_equal(packets, 4);
    free(data);
}

static void line_feed_is_optional(void **state)
{
    struct pkt p = {PKT_DATA, STR("x\n")};
    assert_str(pkt_line(p), "x");
    p.data = STR("x");
    assert_str(pkt_line(p), "x");
    p.data = STR("\n");
    assert_int_equal(pkt_line(p).n, 0);
}

RUN_TESTS(cmocka_unit_test(whole_is_split), cmocka_unit_test(bad_lengths),
          cmocka_unit_test(long_data_is_cut_into_bands), cmocka_unit_test(line_feed_is_optional))
