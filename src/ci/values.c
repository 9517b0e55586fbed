// SPDX-License-Identifier: Apache-2.0
// Reading single values of a configuration with their types: text, numbers, lists, scripts,
// durations, variables, expressions. Each says what it found and what it wanted. Pure.
#include "ci/reader.h"

#define MAX_SCRIPT_NESTING 10

static bool wrong(struct reader *r, const struct path *at, const struct yaml_node *n,
                  const char *expected)
{
    PROBLEM(r, at, n->pos, expected, "this is %s", yaml_type_name(n));
    return false;
}

bool ci_read_map(struct reader *r, const struct path *at, const struct yaml_node *n)
{
    return n->kind == YAML_MAP || wrong(r, at, n, "expected a map (key: value)");
}

bool ci_read_str(struct reader *r, const struct path *at, const struct yaml_node *n,
                 struct str *ret)
{
    enum yaml_type t = yaml_type(n);
    if (t == YAML_IS_LIST || t == YAML_IS_MAP)
        return wrong(r, at, n, "expected a string");
    if (t != YAML_STR)
        return wrong(r, at, n, "expected a string; put it in quotes to make it one");
    if (memchr(n->text.p, 0, n->text.n)) {
        PROBLEM(r, at, n->pos, NULL, "the text holds a NUL character");
        return false;
    }
    *ret = n->text;
    return true;
}

bool ci_read_bool(struct reader *r, const struct path *at, const struct yaml_node *n, bool *ret)
{
    return yaml_bool(n, ret) || wrong(r, at, n, "expected true or false");
}

bool ci_read_int(struct reader *r, const struct path *at, const struct yaml_node *n, int64_t least,
                 int64_t most, int64_t *ret)
{
    if (!yaml_int(n, ret))
        return wrong(r, at, n, "expected a whole number");
    if (*ret >= least && *ret <= most)
        return true;
    PROBLEM(r, at, n->pos, NULL, "the number must be between %lld and %lld", (long long)least,
            (long long)most);
    return false;
}

static struct ci_lines new_lines(struct reader *r, size_t n)
{
    return (struct ci_lines){ARENA_ARRAY(r->a, struct str, n), 0, true};
}

bool ci_read_strs(struct reader *r, const struct path *at, const struct yaml_node *n, bool one,
                  struct ci_lines *ret)
{
    *ret = new_lines(r, n->kind == YAML_LIST ? n->n : 1);
    if (one && n->kind == YAML_SCALAR) {
        if (!ci_read_str(r, at, n, &ret->list[0]))
            return false;
        ret->n = 1;
        return true;
    }
    if (n->kind != YAML_LIST)
        return wrong(r, at, n,
                     one ? "expected a string or a list of strings" : "expected a list of strings");
    bool ok = true;
    for (uint32_t i = 0; i < n->n; i++) {
        struct path here = {at, STR_NONE, i};
        if (ci_read_str(r, &here, n->items[i], &ret->list[ret->n]))
            ret->n++;
        else
            ok = false;
    }
    return ok;
}

bool ci_read_ints(struct reader *r, const struct path *at, const struct yaml_node *n, int64_t **ret,
                  size_t *ret_n)
{
    const size_t count = n->kind == YAML_LIST ? n->n : 1;
    *ret = ARENA_ARRAY(r->a, int64_t, count);
    *ret_n = 0;
    for (size_t i = 0; i < count; i++) {
        struct path here = {at, STR_NONE, i};
        const struct yaml_node *item = n->kind == YAML_LIST ? n->items[i] : n;
        if (!ci_read_int(r, n->kind == YAML_LIST ? &here : at, item, 0, INT32_MAX, &(*ret)[*ret_n]))
            return false;
        ++*ret_n;
    }
    return true;
}

static bool script_line(struct reader *r, const struct path *at, const struct yaml_node *n,
                        struct ci_lines *to)
{
    if (n->kind == YAML_MAP) {
        PROBLEM(r, at, n->pos,
                "expected a command; a line that holds `: ` must stand in quotes or after `|`",
                "this is a map");
        return false;
    }
    if (yaml_is_null(n)) {
        PROBLEM(r, at, n->pos, "expected a command", "the line is empty");
        return false;
    }
    return ci_read_str(r, at, n, &to->list[to->n]) && ++to->n;
}

static bool script_lines(struct reader *r, const struct path *at, const struct yaml_node *n,
                         int depth, struct ci_lines *to)
{
    if (n->kind != YAML_LIST)
        return script_line(r, at, n, to);
    if (depth >= MAX_SCRIPT_NESTING) {
        PROBLEM(r, at, n->pos, NULL, "lists in a script may be nested %d levels deep",
                MAX_SCRIPT_NESTING);
        return false;
    }
    bool ok = true;
    for (uint32_t i = 0; i < n->n; i++) {
        struct path here = {at, STR_NONE, i};
        ok &= script_lines(r, &here, n->items[i], depth + 1, to);
    }
    return ok;
}

bool ci_read_script(struct reader *r, const struct path *at, const struct yaml_node *n,
                    struct ci_lines *ret)
{
    if (n->kind == YAML_MAP)
        return wrong(r, at, n, "expected a command or a list of commands");
    *ret = new_lines(r, n->weight);
    return script_lines(r, at, n, 0, ret);
}

bool ci_read_duration(struct reader *r, const struct path *at, const struct yaml_node *n,
                      bool may_be_never, int64_t *ret_s)
{
    const char *expected =
        may_be_never ? "expected a duration such as `30 min`, `1h 30m`, `2 days` or `never`"
                     : "expected a duration such as `30 min`, `1h 30m` or `2 days`";
    enum yaml_type t = yaml_type(n);
    if (t != YAML_STR && t != YAML_INT && t != YAML_FLOAT)
        return wrong(r, at, n, expected);
    if (ci_duration(n->text, ret_s) && (*ret_s > 0 || (may_be_never && *ret_s == -1)))
        return true;
    PROBLEM(r, at, n->pos, expected, "`%" PRISTR "` is not a duration",
            STRARG(str_head(n->text, 60)));
    return false;
}

bool ci_read_when(struct reader *r, const struct path *at, const struct yaml_node *n,
                  unsigned allowed, enum ci_when *ret)
{
    if (n->kind == YAML_SCALAR && ci_when_parse(n->text, ret) && (allowed >> *ret & 1)) {
        if (*ret != CI_DELAYED)
            return true;
        PROBLEM(r, at, n->pos, NULL,
                "`when: delayed` is a GitLab value that Slipway does not support yet");
        return false;
    }
    _autobuf_ struct buf words = BUF_INIT(200);
    buf_adds(&words, "expected one of");
    for (unsigned w = 0; w < CI_WHEN_COUNT; w++)
        if (allowed >> w & 1 && w != CI_DELAYED)
            buf_addf(&words, "%s `%s`", words.p[words.n - 1] == 'f' ? "" : ",",
                     ci_when_name((enum ci_when)w));
    if (n->kind != YAML_SCALAR)
        return wrong(r, at, n, words.p);
    PROBLEM(r, at, n->pos, words.p, "`%" PRISTR "` is not a value of `when` here",
            STRARG(str_head(n->text, 60)));
    return false;
}

static bool variable_text(struct reader *r, const struct path *at, const struct yaml_node *n,
                          struct str *ret)
{
    int64_t i;
    if (n->kind == YAML_SCALAR && yaml_int(n, &i)) {
        char text[24];
        snprintf(text, sizeof(text), "%lld", (long long)i);
        *ret = arena_str(r->a, str_of(text));
        if (!str_eq(*ret, n->text))
            WARNING(r, at, n->pos, "put it in quotes to keep it as written",
                    "`%" PRISTR "` is the number %s in YAML", STRARG(str_head(n->text, 60)), text);
        return true;
    }
    return ci_read_str(r, at, n, ret);
}

static const struct ci_key VARIABLE_KEYS[] = {
    {"value", true}, {"description", true}, {"expand", true}, {"options", false}};

static bool variable_map(struct reader *r, const struct path *at, const struct yaml_node *n,
                         bool global, struct ci_cfg_var *v)
{
    bool ok = true;
    for (uint32_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        struct path here = {at, p->key->text, 0};
        bool expand = true;
        if (!ci_check_key(r, at, p, VARIABLE_KEYS, ARRAY_SIZE(VARIABLE_KEYS), "a variable")) {
            ok = false;
        } else if (str_is(p->key->text, "value")) {
            ok &= variable_text(r, &here, p->value, &v->value);
        } else if (str_is(p->key->text, "expand")) {
            ok &= ci_read_bool(r, &here, p->value, &expand);
            v->raw = !expand;
        } else if (!global) {
            PROBLEM(r, &here, p->key->pos, NULL,
                    "`description` is for variables at the top of the file only");
            ok = false;
        } else {
            ok &= ci_read_str(r, &here, p->value, &v->description);
        }
    }
    if (!yaml_get(n, "value") && !global) {
        PROBLEM(r, at, n->pos, NULL, "the variable has no `value`");
        ok = false;
    }
    return ok;
}

void ci_read_variables(struct reader *r, const struct path *at, const struct yaml_node *n,
                       bool global, struct ci_cfg_vars *ret)
{
    if (!ci_read_map(r, at, n))
        return;
    ret->list = ARENA_ARRAY(r->a, struct ci_cfg_var, n->n);
    for (uint32_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        struct path here = {at, p->key->text, 0};
        struct ci_cfg_var v = {.key = p->key->text, .value = STR(""), .pos = p->key->pos};
        if (!v.key.n || memchr(v.key.p, 0, v.key.n) || str_find(v.key, '=') >= 0)
            PROBLEM(r, &here, p->key->pos, NULL, "this cannot be the name of a variable");
        else if (p->value->kind == YAML_MAP ? variable_map(r, &here, p->value, global, &v)
                                            : variable_text(r, &here, p->value, &v.value))
            ret->list[ret->n++] = v;
    }
}

struct ci_expr *ci_read_expr(struct reader *r, const struct path *at, const struct yaml_node *n,
                             struct str *ret_text)
{
    struct ci_expr *x = NULL;
    size_t offset;
    struct err e;
    if (!ci_read_str(r, at, n, ret_text))
        return NULL;
    struct str key = str_n((const char *)&n, sizeof(n));
    if (map_has(&r->exprs, key))
        return map_get(&r->exprs, key);
    if (!ci_room(r, at, n->pos, 2 * (uint64_t)ret_text->n + CI_EXPR_MAX_TOKENS * 100))
        return NULL;
    if (ci_expr_parse(r->a, *ret_text, &x, &offset, &e))
        PROBLEM(r, at, n->pos, NULL, "the expression is wrong at character %zu: %s", offset + 1,
                e.msg);
    map_set(&r->exprs, key, x);
    return x;
}

bool ci_check_key(struct reader *r, const struct path *at, const struct yaml_pair *p,
                  const struct ci_key *keys, size_t nkeys, const char *what)
{
    struct str key = p->key->text;
    const char *words[64];
    size_t n = 0;
    for (size_t i = 0; i < nkeys; i++) {
        if (!str_is(key, keys[i].name)) {
            if (n + 1 < ARRAY_SIZE(words))
                words[n++] = keys[i].name;
            continue;
        }
        if (keys[i].supported)
            return true;
        PROBLEM(r, at, p->key->pos, NULL,
                "`%s` is a GitLab keyword that Slipway does not support yet", keys[i].name);
        return false;
    }
    words[n] = NULL;
    const char *near = ci_near(key, words);
    char hint[80] = "";
    if (near)
        snprintf(hint, sizeof(hint), "did you mean `%s`?", near);
    PROBLEM(r, at, p->key->pos, hint[0] ? hint : NULL, "`%" PRISTR "` is not a keyword of %s",
            STRARG(str_head(key, 60)), what);
    return false;
}
