// SPDX-License-Identifier: Apache-2.0
// Durations as GitLab reads them: "1h30", "2 days and 3 hrs", "1:30", "45", "never". A month has 30
// days, a year 365.25. Pure.
#include "ci/config.h"

#define LONGEST_S (100LL * 366 * 86400)

static const struct {
    const char *name;
    int64_t seconds;
    int next; // index of the unit that a bare number after this one means ("1h30"), -1: none
} UNITS[] = {
    {"s", 1, -1},           {"sec", 1, -1},          {"secs", 1, -1},
    {"second", 1, -1},      {"seconds", 1, -1},      {"m", 60, 0},
    {"min", 60, 0},         {"mins", 60, 0},         {"minute", 60, 0},
    {"minutes", 60, 0},     {"h", 3600, 5},          {"hr", 3600, 5},
    {"hrs", 3600, 5},       {"hour", 3600, 5},       {"hours", 3600, 5},
    {"d", 86400, 10},       {"dy", 86400, 10},       {"day", 86400, 10},
    {"days", 86400, 10},    {"w", 604800, 15},       {"wk", 604800, 15},
    {"wks", 604800, 15},    {"week", 604800, 15},    {"weeks", 604800, 15},
    {"mo", 2592000, 19},    {"mos", 2592000, 19},    {"mon", 2592000, 19},
    {"mth", 2592000, 19},   {"month", 2592000, 19},  {"months", 2592000, 19},
    {"y", 31557600, 24},    {"yr", 31557600, 24},    {"yrs", 31557600, 24},
    {"year", 31557600, 24}, {"years", 31557600, 24},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t run(struct str s, bool (*is)(char))
{
    size_t n = 0;
    while (n < s.n && is(s.p[n]))
        n++;
    return n;
}

// Digits with an optional fraction, in thousandths.
static bool number(struct str *s, int64_t *ret_milli)
{
    size_t n = run(*s, is_digit);
    uint64_t whole;
    if (n > 12 || !str_to_u64(str_head(*s, n), &whole))
        return false;
    *ret_milli = (int64_t)whole * 1000;
    *s = str_from(*s, n);
    if (s->n < 2 || s->p[0] != '.' || !is_digit(s->p[1]))
        return true;
    *s = str_from(*s, 1);
    int64_t unit = 100;
    for (; s->n && is_digit(s->p[0]); *s = str_from(*s, 1), unit /= 10)
        *ret_milli += (s->p[0] - '0') * unit;
    return true;
}

static int unit_of(struct str word)
{
    for (size_t i = 0; i < ARRAY_SIZE(UNITS); i++)
        if (str_ieq(word, str_of(UNITS[i].name)))
            return (int)i;
    return -1;
}

// 1:30 is minutes and seconds, 1:02:03 with hours, 1:0:0:0 with days.
static bool clock_form(struct str s, int64_t *ret_s)
{
    static const int64_t EACH[] = {1, 60, 3600, 86400};
    int64_t parts[4];
    size_t n = 0;
    for (struct str rest = s, part; str_cut(&rest, ':', &part);) {
        uint64_t v;
        if (n == 4 || part.n > 9 || !str_to_u64(part, &v))
            return false;
        parts[n++] = (int64_t)v;
    }
    *ret_s = 0;
    for (size_t i = 0; i < n; i++)
        *ret_s += parts[i] * EACH[n - 1 - i];
    return n > 1;
}

static struct str skip_filler(struct str s)
{
    for (;;) {
        size_t n = run(s, is_letter);
        if (s.n && (s.p[0] == ' ' || s.p[0] == ','))
            s = str_from(s, 1);
        else if (str_ieq(str_head(s, n), STR("and")) || str_ieq(str_head(s, n), STR("with")))
            s = str_from(s, n);
        else
            return s;
    }
}

bool ci_duration(struct str s, int64_t *ret_s)
{
    s = str_trim(s);
    int64_t total = 0, milli;
    if (str_ieq(s, STR("never"))) {
        *ret_s = -1;
        return true;
    }
    if (str_find(s, ':') >= 0)
        return clock_form(s, ret_s) && *ret_s <= LONGEST_S;
    int last = -1;
    bool any = false;
    for (s = skip_filler(s); s.n; s = skip_filler(s)) {
        if (!number(&s, &milli))
            return false;
        s = skip_filler(s);
        size_t n = run(s, is_letter);
        int unit = n ? unit_of(str_head(s, n)) : any && last >= 0 ? UNITS[last].next : 0;
        if (unit < 0)
            return false;
        total += milli * UNITS[unit].seconds / 1000;
        if (total > LONGEST_S)
            return false;
        s = str_from(s, n);
        last = unit;
        any = true;
    }
    *ret_s = total;
    return any;
}
