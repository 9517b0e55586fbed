// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"
#include "ci/expr.h"

#include <time.h>

// Time of this process alone: other load on the machine does not count.
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool lookup(void *ctx, struct str name, struct str *ret)
{
    static const struct {
        const char *key, *value;
    } VARS[] = {
        {"BRANCH", "main"},      {"EMPTY", ""},         {"BLANK", "  "},
        {"PATTERN", "/^ma.n$/"}, {"TEXT", "ma"},        {"TAG", "v1.2.3"},
        {"PATH_", "a/b/c"},      {"LINES", "one\ntwo"}, {"BAD", "/(/"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(VARS); i++)
        if (str_is(name, VARS[i].key)) {
            *ret = str_of(VARS[i].value);
            return true;
        }
    return false;
}

static const struct {
    const char *text;
    bool want;
} TRUTH[] = {
    {"$BRANCH", true},
    {"$NOPE", false},
    {"$EMPTY", false},
    {"$BLANK", false},
    {"\"\"", false},
    {"\"x\"", true},
    {"null", false},
    {"$BRANCH == \"main\"", true},
    {"$BRANCH == 'main'", true},
    {"$BRANCH != \"main\"", false},
    {"\"main\" == $BRANCH", true},
    {"$NOPE == null", true},
    {"null == $NOPE", true},
    {"$EMPTY == null", false},
    {"$EMPTY != null", true},
    {"$EMPTY == \"\"", true},
    {"$NOPE == \"\"", false},
    {"$NOPE == $NADA", true},
    // && and || give an operand; only null and false are false inside
    {"$EMPTY && \"x\"", true},
    {"$NOPE && \"x\"", false},
    {"\"x\" && $EMPTY", false},
    {"$NOPE || \"x\"", true},
    {"$EMPTY || \"x\"", false},
    {"$NOPE || $EMPTY", false},
    {"($NOPE || $BRANCH) == \"main\"", true},
    {"($BRANCH && $TAG) == \"v1.2.3\"", true},
    // precedence: comparison, then &&, then ||
    {"$BRANCH == \"main\" && $TAG == \"v1.2.3\"", true},
    {"$BRANCH == \"x\" && $NOPE || $TAG", true},
    {"$TAG || $BRANCH == \"x\" && $NOPE", true},
    {"($TAG || $BRANCH) && $NOPE", false},
    {"$BRANCH == \"main\" && ($NOPE || $EMPTY == \"\")", true},
    // patterns
    {"$BRANCH =~ /^main$/", true},
    {"$BRANCH =~ /MAIN/", false},
    {"$BRANCH =~ /MAIN/i", true},
    {"$BRANCH !~ /^dev/", true},
    {"$NOPE =~ /.*x?/", false},
    {"$NOPE !~ /.*x?/", true},
    {"$EMPTY =~ /^$/", true},
    {"$PATH_ =~ /a\\/b/", true},
    {"$LINES =~ /^two/", false},
    {"$LINES =~ /^two/m", true},
    {"$LINES =~ /one.two/", false},
    {"$LINES =~ /one.two/s", true},
    {"$TAG =~ /^v\\d+\\.\\d+(\\.\\d+)?$/", true},
    {"$BRANCH =~ $PATTERN", true},
    {"$BRANCH =~ $TEXT", true},
    {"$TAG =~ $TEXT", false},
    {"$BRANCH =~ $NOPE", false},
    {"$BRANCH !~ $NOPE", true},
    {"$BRANCH =~ $BAD", false},
    {"$BRANCH =~ \"ma\"", true},
    {"$BRANCH == /ma.n/", false},
    {"$BRANCH\n  == \"main\" &&\n\t$TAG", true},
    {"$BRANCH==\"main\"", true},
    {"(((((\"x\")))))", true},
};

static void test_truth(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(TRUTH); i++) {
        _autoarena_ struct arena a;
        arena_init(&a, MIB(1));
        struct ci_expr *x;
        size_t at;
        struct err e;
        if (ci_expr_parse(&a, str_of(TRUTH[i].text), &x, &at, &e)) {
            print_error("%s: at %zu: %s\n", TRUTH[i].text, at, e.msg);
            fail();
        }
        if (ci_expr_true(x, &a, lookup, NULL, NULL) != TRUTH[i].want) {
            print_error("%s: want %s\n", TRUTH[i].text, TRUTH[i].want ? "true" : "false");
            fail();
        }
    }
}

static const struct {
    const char *text;
    size_t at;
    const char *msg;
} WRONG[] = {
    {"", 0, "empty"},
    {"  ", 0, "empty"},
    {"$A ==", 5, "found the end"},
    {"== $A", 0, "found `==`"},
    {"$A $B", 3, "expected an operator"},
    {"($A", 3, "expected `)`"},
    {"$A)", 2, "found `)`"},
    {"()", 1, "found `)`"},
    {"${A}", 0, "write `$NAME`"},
    {"$", 0, "expected a name"},
    {"$A = \"x\"", 3, "`=` means nothing"},
    {"!$A", 0, "there is no `!`"},
    {"$A == main", 6, "`\"main\"` for the text"},
    {"$A == \"x", 6, "does not end"},
    {"$A == 'x", 6, "does not end"},
    {"$A =~ /x/", 6, "at least two characters"},
    {"$A =~ /xy", 6, "does not end"},
    {"$A =~ /(x/", 6, "not a regular expression"},
    {"$A & $B", 3, "means nothing"},
    {"$[[ inputs.x ]]", 0, "inputs are not supported"},
    {"$A == true", 6, "true"},
    {"$A\x01", 2, "byte 0x01"},
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(WRONG); i++) {
        _autoarena_ struct arena a;
        arena_init(&a, MIB(1));
        struct ci_expr *x;
        size_t at = 999;
        struct err e;
        if (!ci_expr_parse(&a, str_of(WRONG[i].text), &x, &at, &e) || at != WRONG[i].at ||
            !strstr(e.msg, WRONG[i].msg)) {
            print_error("%s: at %zu: %s\n", WRONG[i].text, at, e.msg);
            fail();
        }
    }
}

static void test_too_many_tokens(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    arena_init(&a, MIB(1));
    char text[400];
    memset(text, '(', sizeof(text));
    struct ci_expr *x;
    size_t at;
    struct err e;
    assert_int_equal(ci_expr_parse(&a, str_n(text, sizeof(text)), &x, &at, &e), E_INVALID);
    assert_int_equal(at, 100);
}

// A pattern made to run for ages ends soon, as false.
static void test_slow_pattern(void **state)
{
    (void)state;
    char subject[5000];
    memset(subject, 'a', sizeof(subject));
    int64_t from = cpu_us();
    assert_false(ci_pattern_match(STR("/^(a+)+$b/"), str_n(subject, sizeof(subject))));
    assert_true(cpu_us() - from < 2000 * 1000);
}

static void test_coverage(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *log;
        double want;
    } CASES[] = {
        {"/Total: (\\d+)%/", "a\nTotal: 80%\nb\n", 80},
        {"/Total: (\\d+\\.\\d+)%/", "Total: 10.0%\nTotal: 81.25%", 81.25},
        {"/\\d+%/", "1% 2%\nnothing", 2},
        {"/cov.*/", "cov none\ncov 5\ncov x\n", 5},
        {"/nope/", "x\n", -1},
        {"/(/", "x 5\n", -1},
        {"/xx*/", "", -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        double got = ci_pattern_coverage(str_of(CASES[i].pattern), str_of(CASES[i].log));
        if (got < CASES[i].want - 0.001 || got > CASES[i].want + 0.001) {
            print_error("%s: %f, want %f\n", CASES[i].pattern, got, CASES[i].want);
            fail();
        }
    }
}

RUN_TESTS(cmocka_unit_test(test_coverage), cmocka_unit_test(test_truth),
          cmocka_unit_test(test_wrong), cmocka_unit_test(test_too_many_tokens),
          cmocka_unit_test(test_slow_pattern))
