// SPDX-License-Identifier: Apache-2.0
// Markdown: what people write works, what attackers write does nothing.
#include "../../lib/test.h"

#include "web/markdown.h"

static const struct markdown_base BASE = {STR("/g/p/-/blob/main/docs/"),
                                          STR("/g/p/-/raw/main/docs/")};

static void check(const char *source, const char *want)
{
    struct buf b = BUF_INIT(KIB(256));
    struct err e;
    assert_int_equal(markdown_html(str_of(source), &BASE, &b, &e), 0);
    assert_string_equal(b.p, want);
    buf_done(&b);
}

static void test_flavour(void **state)
{
    (void)state;
    check("# A *b*", "<h1>A <em>b</em></h1>\n");
    check("~~x~~ https://example.test", "<p><del>x</del> <a href=\"https://example.test\">"
                                        "https://example.test</a></p>\n");
    check("|a|\n|-|\n|b|", "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n"
                           "<td>b</td>\n</tr>\n</tbody>\n</table>\n");
    check("```c\n<x>\n```", "<pre lang=\"c\"><code>&lt;x&gt;\n</code></pre>\n");
}

static void test_links_lead_into_the_repository(void **state)
{
    (void)state;
    check("[a](b.md)", "<p><a href=\"/g/p/-/blob/main/docs/b.md\">a</a></p>\n");
    check("[a](./b/../c.md#x)", "<p><a href=\"/g/p/-/blob/main/docs/c.md#x\">a</a></p>\n");
    check("[a](../top.md)", "<p><a href=\"/g/p/-/blob/main/top.md\">a</a></p>\n");
    check("[a](../../../../../x)", "<p><a href=\"/g/p/-/blob/main/x\">a</a></p>\n");
    check("[a](#part)", "<p><a href=\"#part\">a</a></p>\n");
    check("[a](/g/q)", "<p><a href=\"/g/q\">a</a></p>\n");
    check("![a](i.png)", "<p><img src=\"/g/p/-/raw/main/docs/i.png\" alt=\"a\" /></p>\n");
    // An image from elsewhere would tell its server who reads: it becomes a link.
    check("![a](https://x.test/i.png)", "<p><a href=\"https://x.test/i.png\">a</a></p>\n");
    check("![](https://x.test/i.png)",
          "<p><a href=\"https://x.test/i.png\">https://x.test/i.png</a></p>\n");
}

static void test_attacks(void **state)
{
    (void)state;
    static const char *const ATTACKS[] = {
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <svg/onload=alert(1)> b",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java\nscript:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](javascript&colon;alert(1))",
        "[x](\tjavascript:alert(1))",
        "[x](vbscript:x)",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](file:///etc/passwd)",
        "[x](//evil.test/)",
        "[x](/\\\\evil.test/)",
        "![x](javascript:alert(1))",
        "![x](data:image/svg+xml;base64,AAAA)",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        "[x](http://a.test \"t\\\" onclick=alert(1) \\\"\")",
        "![a\" onerror=\"alert(1)](i.png)",
        "```\" onclick=alert(1)\nx\n```",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<!-- --><iframe src=x>",
        "<details open ontoggle=alert(1)>",
        "[x](<javascript:alert(1)>)",
        "| <script>a</script> |\n|--|\n| [x](javascript:a) |",
    };
    static const char *const NEVER[] = {
        "<script",           "<svg",          "<iframe",         "<details",    "<img src=x",
        "href=\"javascript", "href=\"JaVa",   "href=\"vbscript", "href=\"data", "src=\"data",
        "href=\"file",       "href=\"//",     "href=\"/\\",      "href=\"/%5C", "src=\"javascript",
        " onclick=alert",    "\" onerror=\"", " ontoggle",
    };
    for (size_t i = 0; i < ARRAY_SIZE(ATTACKS); i++) {
        struct buf b = BUF_INIT(KIB(64));
        struct err e;
        assert_int_equal(markdown_html(str_of(ATTACKS[i]), &BASE, &b, &e), 0);
        for (size_t k = 0; k < ARRAY_SIZE(NEVER); k++)
            if (strstr(b.p, NEVER[k]) && !strstr(b.p, "&quot; onclick"))
                fail_msg("%s gave %s", ATTACKS[i], b.p);
        buf_done(&b);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct buf deep = BUF_INIT(MIB(3)), out = BUF_INIT(MIB(8));
    struct err e;
    for (int i = 0; i < 50000; i++)
        buf_adds(&deep, "> ");
    assert_int_equal(markdown_html(buf_str(&deep), &BASE, &out, &e) == 0 || e.code == E_LIMIT,
                     true);
    buf_clear(&deep);
    buf_clear(&out);
    for (int i = 0; i < 100000; i++)
        buf_adds(&deep, "[a](");
    (void)!markdown_html(buf_str(&deep), &BASE, &out, &e);
    buf_clear(&deep);
    while (deep.n <= MIB(1))
        buf_adds(&deep, "0123456789abcdef");
    assert_int_equal(markdown_html(buf_str(&deep), &BASE, &out, &e), E_LIMIT);
    buf_done(&deep);
    buf_done(&out);
}

int main(void)
{
    markdown_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flavour),
        cmocka_unit_test(test_links_lead_into_the_repository),
        cmocka_unit_test(test_attacks),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
