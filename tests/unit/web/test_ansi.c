// SPDX-License-Identifier: Apache-2.0
// The log renderer: hostile escapes never become markup, sections nest, and a log that arrives in
// pieces gives what it gives at once.
#include "../../lib/test.h"

#include "web/ansi.h"

#include <stdlib.h>

static char *all(const char *text, enum ansi_shape shape)
{
    struct ansi a;
    ansi_init(&a, shape);
    struct buf b = BUF_INIT(MIB(1));
    size_t used = ansi_feed(&a, str_of(text), true, &b);
    assert_int_equal(used, strlen(text));
    ansi_finish(&a, &b);
    return buf_take(&b);
}

// The text of the only line.
static char *line(const char *text)
{
    char *html = all(text, ANSI_FLAT);
    static const char HEAD[] = "<div class=\"l\"><span class=\"t\">", TAIL[] = "</span></div>\n";
    size_t n = strlen(html);
    assert_true(n >= sizeof(HEAD) + sizeof(TAIL) - 2);
    assert_memory_equal(html, HEAD, sizeof(HEAD) - 1);
    assert_string_equal(html + n - sizeof(TAIL) + 1, TAIL);
    char *inner = str_dup(str_n(html + sizeof(HEAD) - 1, n - sizeof(HEAD) - sizeof(TAIL) + 2));
    free(html);
    return inner;
}

static void test_lines(void **state)
{
    (void)state;
    static const char *const TABLE[][2] = {
        {"plain", "plain"},
        {"<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
        {"\033[31mred\033[0m x", "<span class=\"a f1\">red</span> x"},
        {"\033[1;32;44mx\033[22my",
         "<span class=\"a f2 b4 bold\">x</span><span class=\"a f2 b4\">y</span>"},
        {"\033[91mx", "<span class=\"a f9\">x</span>"},
        {"\033[38;5;9mx", "<span class=\"a f9\">x</span>"},
        {"\033[38;5;196mx", "<span class=\"a f9\">x</span>"},
        {"\033[38;2;0;0;200mx", "<span class=\"a f4\">x</span>"},
        {"\033[7mx\033[27my", "<span class=\"a f16 b16\">x</span>y"},
        {"\033[3;4;9;2mx", "<span class=\"a dim ital under strike\">x</span>"},
        {"a\rb", "b"},
        {"10%\r50%\r100%\r", "100%"},
        {"a\033[0Kb", "ab"},
        // What moves the cursor, sets titles, opens links or asks the terminal something is
        // dropped.
        {"a\033[2Jb\033[10;10Hc\033[?25ld", "abcd"},
        {"a\033]0;title\007b", "ab"},
        {"a\033]8;;javascript:alert(1)\033\\link\033]8;;\033\\", "alink"},
        {"a\033Pq#0;2;0\033\\b", "ab"},
        {"a\033(Bb\033cc\033=d", "abcd"},
        {"a\033[999999999999;1mb", "a<span class=\"a bold\">b</span>"},
        {"a\033[31", "a"},
        {"a\033", "a"},
        {"a\b\a\177\001b", "ab"},
        {"tab\tx", "tab\tx"},
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x80\xae"
         "evil",
         "\xef\xbf\xbd"
         "evil"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(TABLE); i++) {
        char *got = line(TABLE[i][0]);
        assert_string_equal(got, TABLE[i][1]);
        free(got);
    }
}

static void test_broken_sequences(void **state)
{
    (void)state;
    static const char *const HOSTILE[] = {
        "\033[<script>mx",
        "\033[31\"><img src=x>mx",
        "\033]<script>",
        "\033[31;\"onload=1 m<b>",
        "section_start:1:<b>[collapsed=true]\r<i>",
        "section_start:1:x[\"><b>]\r\033[0K<i>",
        "section_end:1:<b>\r",
        "\033[38;5;\"><b>mx",
        "\r\r\033[0K<b>\r",
    };
    for (size_t i = 0; i < ARRAY_SIZE(HOSTILE); i++)
        for (int shape = ANSI_NESTED; shape <= ANSI_FLAT; shape++) {
            char *html = all(HOSTILE[i], (enum ansi_shape)shape);
            static const char *const NEVER[] = {"<script", "<img", "<b>", "<i>", "\"onload"};
            for (size_t k = 0; k < ARRAY_SIZE(NEVER); k++)
                assert_null(strstr(html, NEVER[k]));
            free(html);
        }
}

static void test_colour_goes_on_over_lines(void **state)
{
    (void)state;
    char *html = all("\033[31mone\ntwo\033[0m\nthree\n", ANSI_FLAT);
    assert_string_equal(
        html, "<div class=\"l\"><span class=\"t\"><span class=\"a f1\">one</span></span></div>\n"
              "<div class=\"l\"><span class=\"t\"><span class=\"a f1\">two</span></span></div>\n"
              "<div class=\"l\"><span class=\"t\">three</span></div>\n");
    free(html);
}

static void test_sections_nest(void **state)
{
    (void)state;
    char *html = all("section_start:100:one\r\033[0KFirst\n"
                     "a\n"
                     "section_start:101:two[collapsed=true]\r\033[0K\033[36mSecond\n"
                     "\033[0mb\n"
                     "section_end:104:two\r\033[0Ksection_end:165:one\r\033[0Kafter\n",
                     ANSI_NESTED);
    assert_string_equal(
        html,
        "<details class=\"sec\" data-sec=\"one\" data-at=\"100\" open><summary class=\"l\" "
        "id=\"L1\">"
        "<a class=\"n\" href=\"#L1\">1</a><span class=\"t\">First</span><span class=\"took\">01:05 "
        "  "
        "</span></summary>\n"
        "<div class=\"l\" id=\"L2\"><a class=\"n\" href=\"#L2\">2</a><span "
        "class=\"t\">a</span></div>\n"
        "<details class=\"sec\" data-sec=\"two\" data-at=\"101\"><summary class=\"l\" id=\"L3\">"
        "<a class=\"n\" href=\"#L3\">3</a><span class=\"t\"><span class=\"a "
        "f6\">Second</span></span>"
        "<span class=\"took\">00:03   </span></summary>\n"
        "<div class=\"l\" id=\"L4\"><a class=\"n\" href=\"#L4\">4</a><span "
        "class=\"t\">b</span></div>\n"
        "</details>\n</details>\n"
        "<div class=\"l\" id=\"L5\"><a class=\"n\" href=\"#L5\">5</a><span "
        "class=\"t\">after</span></div>\n");
    free(html);
}

static void test_sections_that_do_not_match(void **state)
{
    (void)state;
    // An end without a start is ignored; a start without an end is closed at the end; an outer end
    // closes the inner ones.
    char *html = all("section_end:1:x\r\033[0K\nsection_start:1:a\r\033[0KA\n"
                     "section_start:2:b\r\033[0KB\nsection_end:3:a\r\033[0K\n",
                     ANSI_NESTED);
    size_t opened = 0, closed = 0;
    for (const char *p = html; (p = strstr(p, "<details")); p++)
        opened++;
    for (const char *p = html; (p = strstr(p, "</details>")); p++)
        closed++;
    assert_int_equal(opened, 2);
    assert_int_equal(closed, 2);
    free(html);
    struct buf many = BUF_INIT(KIB(64));
    for (int i = 0; i < 100; i++)
        buf_addf(&many, "section_start:1:s%d\r\033[0Kx\n", i);
    html = all(many.p, ANSI_NESTED);
    opened = closed = 0;
    for (const char *p = html; (p = strstr(p, "<details")); p++)
        opened++;
    for (const char *p = html; (p = strstr(p, "</details>")); p++)
        closed++;
    assert_int_equal(opened, ANSI_SECTIONS_MAX);
    assert_int_equal(closed, ANSI_SECTIONS_MAX);
    free(html);
    buf_done(&many);
}

static const char SAMPLE[] = "section_start:100:one\r\033[0K\033[36;1mFirst\033[0;m\n"
                             "\033[32m$ make \xc3\xa4\033[0m\r\n 0%\r50%\r100%\n"
                             "\033]0;t\007x\033[1mbold\nstill\033[0m\n"
                             "section_end:105:one\r\033[0Ktail without end";

static void test_split_anywhere(void **state)
{
    (void)state;
    for (int shape = ANSI_NESTED; shape <= ANSI_FLAT; shape++) {
        char *whole = all(SAMPLE, (enum ansi_shape)shape);
        for (size_t cut = 0; cut < sizeof(SAMPLE) - 1; cut++) {
            struct ansi a;
            ansi_init(&a, (enum ansi_shape)shape);
            struct buf b = BUF_INIT(KIB(64));
            size_t used = ansi_feed(&a, str_n(SAMPLE, cut), false, &b);
            assert_true(used <= cut);
            ansi_feed(&a, str_n(SAMPLE + used, sizeof(SAMPLE) - 1 - used), true, &b);
            ansi_finish(&a, &b);
            assert_string_equal(b.p, whole);
            buf_done(&b);
        }
        free(whole);
    }
}

// A stream goes on from a number: the colours at a line's end are all that is kept.
static void test_resume_from_saved_colours(void **state)
{
    (void)state;
    struct ansi a, b;
    struct buf one = BUF_INIT(KIB(4)), two = BUF_INIT(KIB(4));
    ansi_init(&a, ANSI_FLAT);
    ansi_feed(&a, STR("\033[1;7;95;42mx\n"), false, &one);
    ansi_init(&b, ANSI_FLAT);
    ansi_restore(&b, ansi_save(&a));
    buf_clear(&one);
    ansi_feed(&a, STR("y\n"), false, &one);
    ansi_feed(&b, STR("y\n"), false, &two);
    assert_string_equal(one.p, two.p);
    assert_non_null(strstr(one.p, "f2 b13 bold"));
    ansi_restore(&b, 0xffff); // any number is a state
    buf_done(&one);
    buf_done(&two);
}

static void test_long_lines_are_broken(void **state)
{
    (void)state;
    size_t n = ANSI_LINE_MAX * 3 + 5;
    char *text = malloc(n);
    memset(text, 'x', n);
    struct ansi a;
    ansi_init(&a, ANSI_FLAT);
    struct buf b = BUF_INIT(MIB(1));
    assert_int_equal(ansi_feed(&a, str_n(text, n), false, &b), ANSI_LINE_MAX * 3);
    assert_int_equal(a.line, 3);
    buf_done(&b);
    free(text);
}

RUN_TESTS(cmocka_unit_test(test_lines), cmocka_unit_test(test_broken_sequences),
          cmocka_unit_test(test_colour_goes_on_over_lines), cmocka_unit_test(test_sections_nest),
          cmocka_unit_test(test_sections_that_do_not_match), cmocka_unit_test(test_split_anywhere),
          cmocka_unit_test(test_resume_from_saved_colours),
          cmocka_unit_test(test_long_lines_are_broken))
