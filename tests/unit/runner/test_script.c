// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "runner/script.h"

static void sections(void **state)
{
    (void)state;
    _autobuf_ struct buf b = BUF_INIT(4096);
    script_section(&b, true, 1700000000, "step_script");
    script_section(&b, false, 1700000001, "step_script");
    assert_str(buf_str(&b), "section_start:1700000000:step_script\r\x1b[0K"
                            "section_end:1700000001:step_script\r\x1b[0K");
}

static void quoting(void **state)
{
    (void)state;
    _autobuf_ struct buf b = BUF_INIT(4096);
    script_quote(&b, STR("it's $x `y` \"z\"\n"));
    assert_str(buf_str(&b), "'it'\\''s $x `y` \"z\"\n'");
}

static void steps(void **state)
{
    (void)state;
    const struct str lines[] = {STR("echo 'a'"), STR(""), STR("if true\nthen echo b\nfi\n")};
    _autobuf_ struct buf b = BUF_INIT(4096);
    script_step(&b, lines, ARRAY_SIZE(lines), true, false);
    assert_str(buf_str(&b),
               "set -eo pipefail\n"
               "printf '%s\\n' '\x1b[32;1m$ echo '\\''a'\\''\x1b[0;m'\n"
               "echo 'a'\n"
               "printf '%s\\n' '\x1b[32;1m$ if true # collapsed multi-line command\x1b[0;m'\n"
               "if true\nthen echo b\nfi\n");
    buf_clear(&b);
    script_step(&b, lines, 1, false, true);
    assert_true(str_starts(buf_str(&b), STR("set -e\nset -x\n")));
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *in, *url, *user;
    } CASES[] = {
        {"http://u:p@h:80/x.git", "http://h:80/x.git", "u:p"},
        {"https://h/x.git", "https://h/x.git", ""},
        {"http://u:p@x@h/y", "http://h/y", "u:p@x"},
        {"http://h/a@b", "http://h/a@b", ""},
        {"http://u:p@h", "http://h", "u:p"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        _autobuf_ struct buf url = BUF_INIT(4096);
        _autobuf_ struct buf user = BUF_INIT(4096);
        assert_true(script_split_url(str_of(CASES[i].in), &url, &user));
        assert_str(buf_str(&url), CASES[i].url);
        assert_str(buf_str(&user), CASES[i].user);
    }
    _autobuf_ struct buf out = BUF_INIT(4096);
    assert_false(script_split_url(STR("ssh://h/x"), &out, &out));
    assert_false(script_split_url(STR("--upload-pack=x"), &out, &out));
    assert_false(script_split_url(STR("http://h/\nx"), &out, &out));
}

static void sources_hold_no_unquoted_input(void **state)
{
    (void)state;
    const struct str specs[] = {STR("+refs/heads/a;rm -rf $HOME:refs/x")};
    struct script_sources s = {.url = STR("http://h/\"];touch x"),
                               .sha = STR("$(touch x)"),
                               .ref = STR("`touch x`"),
                               .refspecs = specs,
                               .nrefspecs = 1,
                               .depth = 3,
                               .fetch_flags = STR("--quiet ;touch"),
                               .checkout = true};
    _autobuf_ struct buf b = BUF_INIT(KIB(64));
    script_get_sources(&b, &s);
    assert_true(
        str_search(buf_str(&b),
                   STR("'+refs/heads/a;rm -rf $HOME:refs/x' --depth 3 '--quiet' ';touch'")) > 0);
    assert_true(str_search(buf_str(&b), STR("--detach '$(touch x)'")) > 0);
    assert_true(str_search(buf_str(&b), STR("url = \"http://h/\\\"];touch x\"")) > 0);
}

RUN_TESTS(cmocka_unit_test(sections), cmocka_unit_test(quoting), cmocka_unit_test(steps),
          cmocka_unit_test(urls), cmocka_unit_test(sources_hold_no_unquoted_input))
