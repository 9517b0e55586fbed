// SPDX-License-Identifier: Apache-2.0
// Putting variables together: order of precedence, overriding, and expansion of `$NAME` in values
// with circles and sizes under control. Pure.
#include "base/map.h"
#include "ci/plan.h"

#define MAX_EXPANDED KIB(64) // of one value
#define MAX_TOTAL    MIB(4)  // of all; later values stay as written
#define MAX_DEPTH    20

const char *ci_var_level_name(enum ci_var_level l)
{
    static const char *const NAMES[] = {"predefined", "global",  "workflow", "job",
                                        "rules",      "dotenv",  "instance", "group",
                                        "project",    "pipeline"};
    return NAMES[l];
}

struct expand {
    struct map index; // key -> struct ci_var *
    struct ci_var *vars;
    uint8_t *open;
    int depth;
};

static size_t name_length(struct str s)
{
    size_t n = 0;
    while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= 'A' && s.p[n] <= 'Z') ||
                       (n && s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '_'))
        n++;
    return n;
}

static void expand_into(struct expand *x, struct str s, struct buf *to);

// Where `$` stands: writes what it means and returns how many bytes were used.
static size_t expand_one(struct expand *x, struct str s, struct buf *to)
{
    if (s.n > 1 && s.p[1] == '$') {
        buf_adds(to, "$$");
        return 2;
    }
    bool braces = s.n > 1 && s.p[1] == '{';
    size_t from = braces ? 2 : 1, n = name_length(str_from(s, from));
    if (!n || (braces && (from + n >= s.n || s.p[from + n] != '}'))) {
        buf_addc(to, '$');
        return 1;
    }
    size_t used = from + n + braces;
    struct ci_var *v = map_get(&x->index, str_n(s.p + from, n));
    // A file's contents are not text to put into others: the runner puts its path there.
    if (!v || v->file || x->open[v - x->vars] || x->depth == MAX_DEPTH) {
        buf_add(to, str_head(s, used));
        return used;
    }
    if (v->raw) {
        buf_add(to, v->value);
        return used;
    }
    x->open[v - x->vars] = 1;
    x->depth++;
    expand_into(x, v->value, to);
    x->depth--;
    x->open[v - x->vars] = 0;
    return used;
}

static void expand_into(struct expand *x, struct str s, struct buf *to)
{
    while (s.n && buf_ok(to)) {
        ptrdiff_t at = str_find(s, '$');
        if (at < 0) {
            buf_add(to, s);
            return;
        }
        buf_add(to, str_head(s, (size_t)at));
        s = str_from(s, (size_t)at);
        s = str_from(s, expand_one(x, s, to));
    }
}

struct ranked {
    const struct ci_var *v;
    size_t at;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->v->level != y->v->level)
        return x->v->level < y->v->level ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static void expand_all(struct arena *a, struct expand *x, struct ci_var *ret, size_t n)
{
    _autobuf_ struct buf text = BUF_INIT(MAX_EXPANDED);
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ci_var *v = &x->vars[i];
        ret[i] = *v;
        if (v->raw || v->file || str_find(v->value, '$') < 0)
            continue;
        buf_clear(&text);
        x->open[i] = 1;
        expand_into(x, v->value, &text);
        x->open[i] = 0;
        total += text.n;
        if (buf_ok(&text) && total <= MAX_TOTAL)
            ret[i].value = arena_str(a, buf_str(&text));
    }
}

struct ci_var *ci_vars_resolve(struct arena *a, const struct ci_var *vars, size_t n, bool expand,
                               size_t *ret_n)
{
    struct ranked *ranked = ARENA_ARRAY(a, struct ranked, n);
    for (size_t i = 0; i < n; i++)
        ranked[i] = (struct ranked){&vars[i], i};
    if (n)
        qsort(ranked, n, sizeof(*ranked), by_rank);
    struct expand x = {.index = MAP_INIT, .vars = ARENA_ARRAY(a, struct ci_var, n)};
    for (size_t i = 0; i < n; i++)
        map_set(&x.index, ranked[i].v->key, (void *)(uintptr_t)ranked[i].v);
    *ret_n = 0;
    for (size_t i = 0; i < n; i++)
        if (map_get(&x.index, ranked[i].v->key) == ranked[i].v)
            x.vars[(*ret_n)++] = *ranked[i].v;
    struct ci_var *ret = x.vars;
    if (expand) {
        for (size_t i = 0; i < *ret_n; i++)
            map_set(&x.index, x.vars[i].key, &x.vars[i]);
        x.open = ARENA_ARRAY(a, uint8_t, *ret_n);
        ret = ARENA_ARRAY(a, struct ci_var, *ret_n);
        expand_all(a, &x, ret, *ret_n);
    }
    map_done(&x.index);
    return ret;
}
