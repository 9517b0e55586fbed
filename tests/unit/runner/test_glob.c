// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/clock.h"
#include "runner/glob.h"

static const struct {
    const char *pattern, *path;
    bool want;
} CASES[] = {
    {"a", "a", true},
    {"a", "ab", false},
    {"*", "a", true},
    {"*", ".hidden", true},
    {"*", "a/b", false},
    {"a*c", "abbc", true},
    {"a*c", "ab/c", false},
    {"?", "a", true},
    {"?", "/", false},
    {"*.o", "x.o", true},
    {"*.o", "d/x.o", false},
    {"**/*.o", "x.o", true},
    {"**/*.o", "a/b/x.o", true},
    {"a/**/b", "a/b", true},
    {"a/**/b", "a/x/y/b", true},
    {"a/**/b", "ab", false},
    {"a/**", "a/x/y", true},
    {"a**b", "axxb", true},
    {"a**b", "ax/xb", false},
    {"[abc]", "b", true},
    {"[!abc]", "b", false},
    {"[^abc]", "d", true},
    {"[a-c]x", "bx", true},
    {"[]]", "]", true},
    {"[a", "[a", true},
    {"{a,b}.txt", "b.txt", true},
    {"{a,b}.txt", "c.txt", false},
    {"{a,b{1,2}}/x", "b2/x", true},
    {"{src,lib}/**/*.{c,h}", "lib/a/b.h", true},
    {"{a", "{a", true},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"", "", true},
    {"", "a", false},
    {"a/", "a", false},
};

static void cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++)
        if (glob_match(str_of(CASES[i].pattern), str_of(CASES[i].path)) != CASES[i].want)
            fail_msg("'%s' on '%s' is not %d", CASES[i].pattern, CASES[i].path, CASES[i].want);
}

static void hostile_patterns_end(void **state)
{
    (void)state;
    char pattern[600], path[400];
    for (size_t i = 0; i + 1 < sizeof(pattern); i += 2)
        memcpy(pattern + i, "*a", 2);
    memset(path, 'a', sizeof(path));
    int64_t start = clock_ms();
    assert_false(glob_match(str_n(pattern, sizeof(pattern) - 1), str_n(path, sizeof(path))));
    memset(pattern, '{', sizeof(pattern));
    glob_match(str_n(pattern, sizeof(pattern)), str_n(path, sizeof(path)));
    assert_true(clock_ms() - start < 2000);
}

static void literal_parts(void **state)
{
    (void)state;
    assert_str(glob_literal_part(STR("a/b/*.o")), "a/b");
    assert_str(glob_literal_part(STR("*.o")), "");
    assert_str(glob_literal_part(STR("a/b")), "a/b");
    assert_str(glob_literal_part(STR("a/**/b")), "a");
    assert_true(glob_is_literal(STR("a/b")));
    assert_false(glob_is_literal(STR("a/{b,c}")));
}

RUN_TESTS(cmocka_unit_test(cases), cmocka_unit_test(hostile_patterns_end),
          cmocka_unit_test(literal_parts))
