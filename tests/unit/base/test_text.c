// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/text.h"

static void base64_both_ways(void **state)
{
    // RFC 4648 section 10
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        _autobuf_ struct buf b = BUF_INIT(100), back = BUF_INIT(100);
        text_base64(&b, str_of(pairs[i][0]));
        assert_str(buf_str(&b), pairs[i][1]);
        assert_true(text_unbase64(&back, buf_str(&b)));
        assert_str(buf_str(&back), pairs[i][0]);
    }
    _autobuf_ struct buf b = BUF_INIT(100);
    text_base64url(&b, STR("\xff\xfe\xfd\xfc"));
    assert_str(buf_str(&b), "__79_A");
    assert_false(text_unbase64(&b, STR("A")));
    assert_false(text_unbase64(&b, STR("A A=")));
    assert_false(text_unbase64(&b, STR("Zg=")));
}

static void hex_both_ways(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(100), back = BUF_INIT(100);
    text_hex(&b, STR("\x00\xff\x1a"));
    assert_str(buf_str(&b), "00ff1a");
    assert_true(text_unhex(&back, STR("00Ff1a")));
    assert_true(str_eq(buf_str(&back), STR("\x00\xff\x1a")));
    assert_false(text_unhex(&back, STR("0")));
    assert_false(text_unhex(&back, STR("0g")));
}

static void html_and_slugs(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(1000);
    text_html(&b, STR("<a href=\"x\">'&'</a>"));
    assert_str(buf_str(&b), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    buf_clear(&b);
    text_slug(&b, STR("--Feature/Add_Ünicode--"));
    assert_str(buf_str(&b), "feature-add---nicode");
    buf_clear(&b);
    char name[100];
    memset(name, 'a', sizeof(name));
    name[62] = '-';
    text_slug(&b, str_n(name, sizeof(name)));
    assert_int_equal(b.n, 62);
}

static void random_tokens_differ(void **state)
{
    char a[21], b[21];
    text_random(a, sizeof(a));
    text_random(b, sizeof(b));
    assert_int_equal(strlen(a), 20);
    assert_string_not_equal(a, b);
}

RUN_TESTS(cmocka_unit_test(base64_both_ways), cmocka_unit_test(hex_both_ways),
          cmocka_unit_test(html_and_slugs), cmocka_unit_test(random_tokens_differ))
