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

struct matcher {
    pcre2_code *re;
    pcre2_match_context *mc;
    pcre2_match_data *md;
};

static void matcher_done(struct matcher *m)
{
    pcre2_match_data_free(m->md);
    pcre2_match_context_free(m->mc);
    pcre2_code_free(m->re);
}

static int matcher_init(struct matcher *m, struct str pattern, struct err *e)
{
    *m = (struct matcher){0};
    int rc = compile(pattern, &m->re, e);
    if (rc)
        return rc;
    m->mc = pcre2_match_context_create(NULL);
    m->md = pcre2_match_data_create_from_pattern(m->re, NULL);
    if (!m->mc || !m->md)
        return err_set(e, E_LIMIT, "not enough memory for a pattern");
    pcre2_set_match_limit(m->mc, MATCH_STEPS);
    pcre2_set_depth_limit(m->mc, MATCH_STEPS);
    pcre2_set_heap_limit(m->mc, MATCH_HEAP);
    return 0;
}

// 1 match, 0 none (also when the limits are passed).
static int matcher_run(struct matcher *m, struct str subject, size_t from)
{
    return pcre2_match(m->re, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, from, 0, m->md,
                       m->mc) > 0;
}

int ci_pattern_try(struct str pattern, struct str subject, struct err *e)
{
    _cleanup_(matcher_done) struct matcher m;
    int rc = matcher_init(&m, pattern, e);
    return rc ? E_INVALID : matcher_run(&m, subject, 0);
}

bool ci_pattern_match(struct str pattern, struct str subject)
{
    return ci_pattern_try(pattern, subject, NULL) > 0;
}

static double first_number(struct str s)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] < '0' || s.p[i] > '9'))
        i++;
    double v = i < s.n ? 0 : -1, unit = 0.1;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        v = v * 10 + (s.p[i] - '0');
    if (v < 0 || i + 1 >= s.n || s.p[i] != '.')
        return v;
    for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, unit /= 10)
        v += (s.p[i] - '0') * unit;
    return v;
}

// The last match in one line.
static double line_coverage(struct matcher *m, struct str line)
{
    double found = -1;
    for (size_t from = 0; from <= line.n && matcher_run(m, line, from);) {
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->md);
        bool group = pcre2_get_ovector_count(m->md) > 1 && at[2] != PCRE2_UNSET;
        const PCRE2_SIZE *pair = group ? at + 2 : at;
        double v = first_number(str_n(line.p + pair[0], pair[1] - pair[0]));
        if (v >= 0)
            found = v;
        from = at[1] > at[0] ? at[1] : at[1] + 1;
    }
    return found;
}

double ci_pattern_coverage(struct str pattern, struct str log)
{
    enum { MAX_LINE = 10000 };
    _cleanup_(matcher_done) struct matcher m;
    if (matcher_init(&m, pattern, NULL))
        return -1;
    while (log.n) {
        ptrdiff_t end = str_rfind(log, '\n');
        struct str line = str_head(str_from(log, (size_t)(end + 1)), MAX_LINE);
        double v = line.n ? line_coverage(&m, line) : -1;
        if (v >= 0)
            return v;
        log = str_head(log, (size_t)MAX(end, (ptrdiff_t)0));
    }
    return -1;
}
