// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

static void compares(void **state)
{
    assert_true(str_ieq(STR("Content-Length"), STR("content-LENGTH")));
    assert_false(str_ieq(STR("a["), STR("A{")));
    assert_true(str_cmp(STR("ab"), STR("abc")) < 0);
    assert_true(str_eq(STR_NONE, STR("")));
    assert_true(str_starts(STR("refs/heads/x"), STR("refs/heads/")));
    assert_false(str_ends(STR("x"), STR("xx")));
    assert_int_equal(str_search(STR("abcabd"), STR("abd")), 3);
    assert_int_equal(str_search(STR("abc"), STR("x")), -1);
    assert_int_equal(str_rfind(STR("a/b/c"), '/'), 3);
}

static void cuts(void **state)
{
    const char *want[] = {"a", "", "b", ""};
    size_t i = 0;
    for (struct str rest = STR("a,,b,"), part; str_cut(&rest, ',', &part); i++)
        assert_str(part, want[i]);
    assert_int_equal(i, 4);
    struct str nothing = STR_NONE, head = STR("what stood here before");
    assert_false(str_cut(&nothing, ',', &head));
    assert_true(head.n == 0 && head.p == NULL);
    assert_str(str_trim(STR(" \t x y \r\n")), "x y");
    assert_str(str_trim(STR("   ")), "");
}

static void reads_numbers(void **state)
{
    uint64_t u = 7;
    int64_t v = 7;
    assert_true(str_to_u64(STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    static const char *const bad[] = {
        "18446744073709551616", "", "-1", "+1", " 1", "1 ", "0x1", "1_0"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(str_to_u64(str_of(bad[i]), &u));
    assert_true(u == UINT64_MAX);
    assert_true(str_to_i64(STR("-9223372036854775808"), &v));
    assert_true(v == INT64_MIN);
    assert_false(str_to_i64(STR("9223372036854775808"), &v));
    assert_false(str_to_i64(STR("-"), &v));
}

static void knows_utf8(void **state)
{
    assert_true(str_is_utf8(STR("plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2")));
    static const char *const bad[] = {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xe2\x82", "\x80",         "\xe0\x80\x80"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(str_is_utf8(str_of(bad[i])));
    assert_true(str_has_control(STR("a\x7f")));
    assert_false(str_has_control(STR("a b\xc3\xa9")));
}

static void compares_secrets(void **state)
{
    assert_true(str_eq_secret(STR("abc"), STR("abc")));
    assert_false(str_eq_secret(STR("abc"), STR("abd")));
    assert_false(str_eq_secret(STR("abc"), STR("ab")));
}

RUN_TESTS(cmocka_unit_test(compares), cmocka_unit_test(cuts), cmocka_unit_test(reads_numbers),
          cmocka_unit_test(knows_utf8), cmocka_unit_test(compares_secrets))
