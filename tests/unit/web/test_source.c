// SPDX-License-Identifier: Apache-2.0
// Source text and differences as HTML.
#include "../../lib/test.h"

#include "web/source.h"

static void test_escape(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *out;
    } TABLE[] = {
        {STR("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;"},
        {STR("\tx"), "\tx"},
        {STR("a\0b"), "a\xef\xbf\xbd"
                      "b"},
        {STR("\033[31m"), "\xef\xbf\xbd[31m"},
        {STR("\xff"), "\xef\xbf\xbd"},
        {STR("\xc3"), "\xef\xbf\xbd"},
        {STR("\xc3\xa4"), "\xc3\xa4"},
        {STR("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {STR("if (a\xe2\x80\xae) \xe2\x81\xa6x"), "if (a\xef\xbf\xbd) \xef\xbf\xbdx"},
        {STR("\xf0\x9f\x9a\xa2"), "\xf0\x9f\x9a\xa2"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(TABLE); i++) {
        struct buf b = BUF_INIT(KIB(4));
        source_escape(TABLE[i].in, &b);
        assert_str(buf_str(&b), TABLE[i].out);
        buf_done(&b);
    }
}

static void test_lines(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(KIB(4));
    source_html(STR("one\r\n\n<two>"), &b);
    assert_non_null(strstr(
        b.p,
        "<div class=\"cl\" id=\"L1\"><a href=\"#L1\" tabindex=\"-1\">1</a><code>one</code></div>"));
    assert_non_null(strstr(b.p, "<code></code>"));
    assert_non_null(strstr(b.p, "id=\"L3\""));
    assert_non_null(strstr(b.p, "&lt;two&gt;"));
    assert_null(strstr(b.p, "L4"));
    buf_done(&b);
}

static void test_diff(void **state)
{
    (void)state;
    struct git_diff_line lines[] = {
        {' ', 1, 1, STR("same")},
        {'-', 2, 0, STR("<old>")},
        {'+', 0, 2, STR("<new>")},
        {'\\', 0, 0, STR("")},
    };
    struct git_diff_hunk hunk = {1, 2, 1, 2, STR(" int f(<T>)"), lines, 4};
    struct git_diff_file f = {.hunks = &hunk, .nhunks = 1};
    struct buf b = BUF_INIT(KIB(8));
    source_diff_html(&f, "f1", &b);
    assert_non_null(strstr(b.p, "@@ -1,2 +1,2 @@ int f(&lt;T&gt;)"));
    assert_non_null(strstr(b.p, "<tr class=\"del\"><td class=\"dn\" id=\"f1L2\">"));
    assert_non_null(
        strstr(b.p, "<tr class=\"add\"><td class=\"dn\"></td><td class=\"dn\" id=\"f1R2\">"));
    assert_non_null(strstr(b.p, "&lt;old&gt;"));
    assert_non_null(strstr(b.p, "No newline at end of file"));
    assert_null(strstr(b.p, "<old"));
    buf_done(&b);
}

RUN_TESTS(cmocka_unit_test(test_escape), cmocka_unit_test(test_lines), cmocka_unit_test(test_diff))
