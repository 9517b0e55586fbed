// SPDX-License-Identifier: Apache-2.0
// The template engine: escaping, sections, errors with their place, and what the embedded templates
// themselves may not contain.
#include "../../lib/test.h"

#include "base/buf.h"
#include "web/asset.h"
#include "web/tmpl.h"

#define NOW 1767225600000 // 2026-01-01T00:00:00Z

struct world {
    struct arena a;
    struct tmpl_set *set;
    struct val *root;
    struct buf out;
    struct err e;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    arena_init(&w->a, MIB(4));
    w->set = tmpl_set_new();
    w->root = val_map(&w->a);
    buf_init(&w->out, KIB(64));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    tmpl_set_free(w->set);
    buf_done(&w->out);
    arena_done(&w->a);
    free(w);
    return 0;
}

static int parse(struct world *w, const char *name, const char *source)
{
    return tmpl_add(w->set, str_of(name), str_of(source), &w->e);
}

static const char *render(struct world *w, const char *source)
{
    assert_int_equal(parse(w, "t", source), 0);
    buf_clear(&w->out);
    if (tmpl_render(w->set, STR("t"), w->root, NOW, &w->out, &w->e))
        return w->e.msg;
    return w->out.p;
}

static void test_escapes(void **state)
{
    struct world *w = *state;
    static const char *const TABLE[][2] = {
        {"plain", "plain"},
        {"<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
        {"\" onmouseover=\"x", "&quot; onmouseover=&quot;x"},
        {"' onmouseover='x", "&#39; onmouseover=&#39;x"},
        {"a & b &amp; c", "a &amp; b &amp;amp; c"},
        {"</title><svg/onload=1>", "&lt;/title&gt;&lt;svg/onload=1&gt;"},
        {"{{other}}", "{{other}}"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(TABLE); i++) {
        val_cstr(w->root, "x", TABLE[i][0]);
        char want[200];
        snprintf(want, sizeof(want), "<p title=\"%s\">%s</p>", TABLE[i][1], TABLE[i][1]);
        assert_string_equal(render(w, "<p title=\"{{x}}\">{{x}}</p>"), want);
    }
}

static void test_raw_needs_markup(void **state)
{
    struct world *w = *state;
    val_cstr(w->root, "text", "<b>");
    val_html(w->root, "markup", STR("<b>"));
    assert_string_equal(render(w, "{{{markup}}}"), "<b>");
    assert_string_equal(render(w, "a\n{{{text}}}"), "t:2: 'text' is not markup");
    assert_string_equal(render(w, "{{markup}}"), "t:1: 'markup' is markup: write {{{ }}}");
}

static void test_sections(void **state)
{
    struct world *w = *state;
    val_cstr(w->root, "name", "root");
    struct val *list = val_list(w->root, "list");
    val_cstr(val_push(list), "name", "one");
    val_int(val_push(list), "n", 2);
    val_push_str(val_list(w->root, "words"), STR("<w>"));
    (void)val_list(w->root, "none");
    val_cstr(val_sub(w->root, "map"), "name", "inner");
    val_bool(w->root, "yes", true);
    val_bool(w->root, "no", false);
    val_int(w->root, "zero", 0);
    assert_string_equal(render(w, "{{#list}}[{{name}}]{{/list}}"), "[one][root]");
    assert_string_equal(render(w, "{{#words}}{{.}}{{/words}}"), "&lt;w&gt;");
    assert_string_equal(render(w, "{{#none}}x{{/none}}{{^none}}empty{{/none}}"), "empty");
    assert_string_equal(render(w, "{{#map}}{{name}}{{/map}} {{map.name}}"), "inner inner");
    assert_string_equal(render(w, "{{#yes}}y{{/yes}}{{#no}}n{{/no}}{{^zero}}z{{/zero}}"), "yz");
    assert_string_equal(render(w, "{{#gone?}}x{{/gone?}}{{^gone?}}-{{/gone?}}{{gone?}}"), "-");
    assert_string_equal(render(w, "a\n  {{#yes}}\nb\n  {{/yes}}\nc"), "a\n  b\n  c");
}

static void test_errors_have_a_place(void **state)
{
    struct world *w = *state;
    val_cstr(w->root, "x", "v");
    assert_string_equal(render(w, "\n\n{{missing}}"), "t:3: 'missing' is not set");
    assert_string_equal(render(w, "{{#missing}}{{/missing}}"), "t:1: 'missing' is not set");
    assert_string_equal(render(w, "{{x|time}}"), "t:1: 'x' has not the type that time needs");
    static const char *const BAD[][2] = {
        {"{{#a}}", "t:1: {{#a}} is not closed"},
        {"{{/a}}", "t:1: {{/a}} closes nothing"},
        {"{{#a}}{{/b}}", "t:1: {{/b}} closes nothing"},
        {"{{a", "t:1: a tag is not closed"},
        {"{{a|rot13}}", "t:1: there is no filter 'rot13'"},
        {"{{}}", "t:1: an empty tag"},
        {"{{^}}", "t:1: an empty tag"},
        {"{{|time}}", "t:1: an empty tag"},
        {"<a href={{x}}>", "t:1: {{x}} stands in a tag outside of double quotes"},
        {"<a {{x}}>", "t:1: {{x}} stands in a tag outside of double quotes"},
        {"<a href=\"{{{x}}}\">", "t:1: {{x}} stands in a tag outside of double quotes"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
        assert_int_equal(parse(w, "t", BAD[i][0]), E_INVALID);
        assert_string_equal(w->e.msg, BAD[i][1]);
    }
    assert_int_equal(parse(w, "u", "{{>nowhere}}"), 0);
    assert_int_equal(tmpl_check(w->set, &w->e), E_INVALID);
    assert_string_equal(w->e.msg, "u:1: there is no template 'nowhere'");
}

static void test_partials_cannot_loop(void **state)
{
    struct world *w = *state;
    assert_int_equal(parse(w, "t", "{{>t}}"), 0);
    assert_int_equal(tmpl_render(w->set, STR("t"), w->root, NOW, &w->out, &w->e), E_INVALID);
}

static void test_filters(void **state)
{
    struct world *w = *state;
    val_int(w->root, "t", NOW - 3 * 60 * 1000);
    val_int(w->root, "n", 1536);
    val_int(w->root, "ms", 65000);
    val_cstr(w->root, "p", "a b/c?d");
    assert_string_equal(render(w, "{{t|time}}"),
                        "<time datetime=\"2025-12-31T23:57:00.000Z\" title=\"2025-12-31 23:57:00 "
                        "UTC\">3 minutes ago</time>");
    assert_string_equal(render(w, "{{n|size}} {{ms|ms}} {{p|path}} {{p|query}}"),
                        "1.5 KiB 1 m 05 s a%20b/c%3Fd a%20b%2Fc%3Fd");
}

static void test_ages(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *words;
    } TABLE[] = {
        {0, "just now"},
        {59, "59 seconds ago"},
        {60, "1 minute ago"},
        {3599, "59 minutes ago"},
        {3600, "1 hour ago"},
        {86400, "1 day ago"},
        {86400 * 45, "1 month ago"},
        {86400LL * 800, "2 years ago"},
        {-3600, "in the future"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(TABLE); i++) {
        struct buf b = BUF_INIT(100);
        tmpl_age(&b, NOW - TABLE[i].seconds * 1000, NOW);
        assert_string_equal(b.p, TABLE[i].words);
        buf_done(&b);
    }
}

// What the content security policy would refuse must not be in any template.
static void test_embedded_templates_parse_and_are_clean(void **state)
{
    struct world *w = *state;
    size_t templates = 0;
    for (size_t i = 0; i < NASSETS; i++) {
        struct str n = ASSETS[i].name;
        if (str_starts(n, STR("icons/"))) {
            tmpl_add_icon(w->set, str_n(n.p + 6, n.n - 10), ASSETS[i].bytes);
            continue;
        }
        if (!str_starts(n, STR("templates/")))
            continue;
        templates++;
        int r = tmpl_add(w->set, str_n(n.p + 10, n.n - 15), ASSETS[i].bytes, &w->e);
        if (r)
            fail_msg("%s", w->e.msg);
        static const char *const BANNED[] = {
            " style=",     "<style",   " onclick", " onload", " onerror",
            "javascript:", "<script>", "http://",  "https://"};
        for (size_t k = 0; k < ARRAY_SIZE(BANNED); k++)
            if (str_search(ASSETS[i].bytes, str_of(BANNED[k])) >= 0)
                fail_msg("%" PRISTR " holds %s", STRARG(n), BANNED[k]);
        // Every form that posts carries the token.
        struct str rest = ASSETS[i].bytes;
        for (ptrdiff_t at; (at = str_search(rest, STR("method=\"post\""))) >= 0;) {
            rest = str_from(rest, (size_t)at + 1);
            ptrdiff_t end = str_search(rest, STR("</form>"));
            ptrdiff_t token = str_search(rest, STR("name=\"csrf_token\""));
            if (token < 0 || token > end)
                fail_msg("%" PRISTR " has a form without csrf_token", STRARG(n));
        }
    }
    assert_true(templates > 15);
    if (tmpl_check(w->set, &w->e))
        fail_msg("%s", w->e.msg);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
RUN_TESTS(T(test_escapes), T(test_raw_needs_markup), T(test_sections), T(test_errors_have_a_place),
          T(test_partials_cannot_loop), T(test_filters), T(test_ages),
          T(test_embedded_templates_parse_and_are_clean))
