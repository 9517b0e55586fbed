// SPDX-License-Identifier: Apache-2.0
// Matching by backtracking with a budget: patterns come from job files and must not be able to
// spin. Pure functions.
#include "runner/glob.h"

enum { BUDGET = 200000, BRACE_DEPTH = 8 };

// A pattern with its braces open: what remains of the current alternative, then the outer rest.
struct rest {
    struct str p;
    const struct rest *next;
};

// Like str_from, but an empty rest keeps its place.
static struct str tail(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

struct matcher {
    int budget;
};

static bool match(struct matcher *m, const struct rest *r, struct str s, bool at_start, int depth);

static size_t find_close(struct str p)
{
    int depth = 0;
    for (size_t i = 0; i < p.n; i++) {
        if (p.p[i] == '\\' && i + 1 < p.n)
            i++;
        else if (p.p[i] == '{')
            depth++;
        else if (p.p[i] == '}' && --depth == 0)
            return i;
    }
    return 0;
}

static bool match_braces(struct matcher *m, struct str p, const struct rest *outer, size_t close,
                         struct str s, bool at_start, int depth)
{
    struct rest after = {tail(p, close + 1), outer};
    size_t from = 1;
    int nest = 0;
    for (size_t i = 1; i <= close; i++) {
        char c = p.p[i];
        if (c == '\\' && i + 1 < close) {
            i++;
            continue;
        }
        if (c == '{')
            nest++;
        if (c == '}' && i < close)
            nest--;
        if (nest == 0 && (c == ',' || i == close)) {
            struct rest one = {str_n(p.p + from, i - from), &after};
            if (match(m, &one, s, at_start, depth + 1))
                return true;
            from = i + 1;
        }
    }
    return false;
}

// [set] at p[0]; returns its length, 0 when it is not closed.
static size_t match_set(struct str p, char c, bool *ret_hit)
{
    size_t i = 1;
    bool negate = i < p.n && (p.p[i] == '!' || p.p[i] == '^'), hit = false, first = true;
    if (negate)
        i++;
    for (; i < p.n && (p.p[i] != ']' || first); i++, first = false) {
        if (p.p[i] == '\\' && i + 1 < p.n)
            i++;
        unsigned char low = (unsigned char)p.p[i], high = low;
        if (i + 2 < p.n && p.p[i + 1] == '-' && p.p[i + 2] != ']') {
            high = (unsigned char)p.p[i + 2];
            i += 2;
        }
        if ((unsigned char)c >= low && (unsigned char)c <= high)
            hit = true;
    }
    *ret_hit = hit != negate && c != '/';
    return i < p.n ? i + 1 : 0;
}

static bool match_star(struct matcher *m, const struct rest *after, struct str s, int depth)
{
    for (size_t i = 0;; i++) {
        if (match(m, after, str_n(s.p + i, s.n - i), false, depth))
            return true;
        if (i >= s.n || s.p[i] == '/' || m->budget <= 0)
            return false;
    }
}

// "**/" at the start of a component: zero or more whole components.
static bool match_deep(struct matcher *m, const struct rest *after, struct str s, int depth)
{
    for (;;) {
        if (match(m, after, s, true, depth))
            return true;
        ptrdiff_t slash = str_find(s, '/');
        if (slash < 0 || m->budget <= 0)
            return false;
        s = str_n(s.p + slash + 1, s.n - (size_t)slash - 1);
    }
}

static bool match(struct matcher *m, const struct rest *r, struct str s, bool at_start, int depth)
{
    struct rest cur = *r;
    for (;;) {
        if (--m->budget <= 0 || depth > 64)
            return false;
        while (!cur.p.n && cur.next)
            cur = *cur.next;
        if (!cur.p.n)
            return s.n == 0;
        char c = cur.p.p[0];
        if (c == '*' && cur.p.n > 1 && cur.p.p[1] == '*' && at_start) {
            struct str more = tail(cur.p, 2);
            if (!more.n && !cur.next)
                return true; // a trailing ** takes all that is left
            if (more.n && more.p[0] == '/') {
                struct rest after = {tail(more, 1), cur.next};
                return match_deep(m, &after, s, depth + 1);
            }
        }
        if (c == '*') {
            struct rest after = {tail(cur.p, 1), cur.next};
            return match_star(m, &after, s, depth + 1);
        }
        if (c == '{') {
            size_t close = find_close(cur.p);
            if (close)
                return match_braces(m, cur.p, cur.next, close, s, at_start, depth);
        }
        if (!s.n)
            return false;
        size_t used = 1;
        bool hit = false;
        if (c == '[' && (used = match_set(cur.p, s.p[0], &hit)) > 0) {
            if (!hit)
                return false;
        } else if (c == '?') {
            used = 1;
            if (s.p[0] == '/')
                return false;
        } else {
            used = 1;
            if (c == '\\' && cur.p.n > 1) {
                c = cur.p.p[1];
                used = 2;
            }
            if (c != s.p[0])
                return false;
        }
        at_start = s.p[0] == '/';
        cur.p = tail(cur.p, used);
        s = tail(s, 1);
    }
}

bool glob_match(struct str pattern, struct str path)
{
    struct matcher m = {BUDGET};
    if (!path.p)
        path = STR("");
    struct rest all = {pattern.p ? pattern : STR(""), NULL};
    return match(&m, &all, path, true, 0);
}

static bool has_wildcard(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '*' || s.p[i] == '?' || s.p[i] == '[' || s.p[i] == '{' || s.p[i] == '\\')
            return true;
    return false;
}

bool glob_is_literal(struct str pattern)
{
    return !has_wildcard(pattern);
}

struct str glob_literal_part(struct str pattern)
{
    size_t end = 0;
    for (struct str rest = pattern, part; str_cut(&rest, '/', &part);) {
        if (has_wildcard(part))
            break;
        end = (size_t)(part.p + part.n - pattern.p);
    }
    return str_head(pattern, end);
}
