// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/buf.h"

#include <stdlib.h>

static void grows_and_stays_terminated(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(64));
    assert_string_equal(b.p, "");
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "%d,", i);
    assert_true(buf_ok(&b));
    assert_int_equal(strlen(b.p), b.n);
    assert_true(str_ends(buf_str(&b), STR("998,999,")));
    buf_shift(&b, b.n - 4);
    assert_str(buf_str(&b), "999,");
    buf_cut(&b, 2);
    assert_string_equal(b.p, "99");
}

static void stops_at_its_ceiling(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(10);
    buf_adds(&b, "12345678");
    buf_adds(&b, "abc");
    assert_false(buf_ok(&b));
    assert_str(buf_str(&b), "12345678");
    buf_adds(&b, "x");
    assert_str(buf_str(&b), "12345678");
    buf_clear(&b);
    buf_adds(&b, "0123456789");
    assert_true(buf_ok(&b));
}

static void formats_beyond_its_small_buffer(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(2));
    char text[1000];
    memset(text, 'x', sizeof(text));
    buf_addf(&b, "[%.*s]", (int)sizeof(text), text);
    assert_int_equal(b.n, 1002);
    assert_true(str_ends(buf_str(&b), STR("x]")));
    buf_addu(&b, UINT64_MAX);
    assert_true(str_ends(buf_str(&b), STR("]18446744073709551615")));
}

static void hands_over_its_bytes(void **state)
{
    struct buf b = BUF_INIT(100);
    char *none = buf_take(&b);
    assert_string_equal(none, "");
    free(none);
    buf_adds(&b, "mine");
    char *p = buf_take(&b);
    assert_string_equal(p, "mine");
    assert_int_equal(b.n, 0);
    free(p);
    buf_done(&b);
}

RUN_TESTS(cmocka_unit_test(grows_and_stays_terminated), cmocka_unit_test(stops_at_its_ceiling),
          cmocka_unit_test(formats_beyond_its_small_buffer), cmocka_unit_test(hands_over_its_bytes))
