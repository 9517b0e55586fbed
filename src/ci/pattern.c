// SPDX-License-Identifier: Apache-2.0
// Regular expressions of configurations: `/text/flags`, or the bare text of one. GitLab means RE2;
// PCRE2 reads the same syntax, and its limits on steps and memory give the bound that RE2 gives by
// construction. Pure.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "ci/expr.h"

#include <pcre2.h>

#define MAX_PATTERN 2000
#define MATCH_STEPS 50000
#define MATCH_HEAP  4096 // KiB

bool ci_pattern_is(struct str text)
{
    if (text.n < 2 || text.p[0] != '/')
        return false;
    ptrdiff_t end = str_rfind(text, '/');
    if (end < 2)
        return false;
    for (size_t i = (size_t)end + 1; i < text.n; i++)
        if (!text.p[i] || !strchr("ismU", text.p[i]))
            return false;
    return true;
}

static uint32_t flag_of(char c)
{
    switch (c) {
    case 'i':
        return PCRE2_CASELESS;
    case 's':
        return PCRE2_DOTALL;
    case 'm':
        return PCRE2_MULTILINE;
    default:
        return PCRE2_UNGREEDY;
    }
}

static int compile(struct str pattern, pcre2_code **ret, struct err *e)
{
    uint32_t flags =
        PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    if (pattern.n > MAX_PATTERN)
        return err_set(e, E_INVALID, "the pattern is longer than %d bytes", MAX_PATTERN);
    if (ci_pattern_is(pattern)) {
        size_t end = (size_t)str_rfind(pattern, '/');
        for (size_t i = end + 1; i < pattern.n; i++)
            flags |= flag_of(pattern.p[i]);
        pattern = str_n(pattern.p + 1, end - 1);
    }
    _autobuf_ struct buf text = BUF_INIT(MAX_PATTERN + 1);
    for (size_t i = 0; i < pattern.n; i++)
        if (pattern.p[i] != '\\' || i + 1 == pattern.n || pattern.p[i + 1] != '/')
            buf_addc(&text, pattern.p[i]);
    int code;
    PCRE2_SIZE at;
    *ret = pcre2_compile((PCRE2_SPTR)text.p, text.n, flags, &code, &at, NULL);
    if (*ret)
        return 0;
    char why[120];
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
    return err_set(e, E_INVALID,
                   "`/%" PRISTR "/` is not a regular expression: %s (at character %zu)",
                   STRARG(str_head(pattern, 80)), why, (size_t)at + 1);
}

int ci_pattern_check(struct str pattern, struct err *e)
{
    pcre2_code *re;
    int r = compile(pattern, &re, e);
    if (!r)
        pcre2_code_free(re);
    return r;
}

bool ci_pattern_match(struct str pattern, struct str subject)
{
    pcre2_code *re;
    if (compile(pattern, &re, NULL))
        return false;
    pcre2_match_context *mc = pcre2_match_context_create(NULL);
    pcre2_match_data *md = pcre2_match_data_create(1, NULL);
    bool found = false;
    if (mc && md) {
        pcre2_set_match_limit(mc, MATCH_STEPS);
        pcre2_set_depth_limit(mc, MATCH_STEPS);
        pcre2_set_heap_limit(mc, MATCH_HEAP);
        found =
            pcre2_match(re, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0, md, mc) >= 0;
    }
    pcre2_match_data_free(md);
    pcre2_match_context_free(mc);
    pcre2_code_free(re);
    return found;
}
