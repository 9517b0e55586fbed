// SPDX-License-Identifier: Apache-2.0
// Access to nodes: how scalars read by YAML 1.1, looking up keys, merging trees, writing JSON.
// Pure; nodes belong to whoever owns their arena.
#include "base/jout.h"
#include "base/text.h"
#include "codec/yaml.h"

struct yaml_pair *yaml_pair(const struct yaml_node *n, struct str key)
{
    if (!n || n->kind != YAML_MAP)
        return NULL;
    for (uint32_t i = 0; i < n->n; i++)
        if (str_eq(n->pairs[i].key->text, key))
            return &n->pairs[i];
    return NULL;
}

struct yaml_node *yaml_get(const struct yaml_node *n, const char *key)
{
    struct yaml_pair *p = yaml_pair(n, str_of(key));
    return p ? p->value : NULL;
}

static bool one_of(struct str s, const char *const *words)
{
    for (; *words; words++)
        if (str_ieq(s, str_of(*words)))
            return true;
    return false;
}

static bool read_null(struct str s)
{
    return s.n == 0 || str_is(s, "~") || str_ieq(s, STR("null"));
}

static bool read_bool(struct str s, bool *ret)
{
    static const char *const YES[] = {"yes", "true", "on", NULL};
    static const char *const NO[] = {"no", "false", "off", NULL};
    *ret = one_of(s, YES);
    return *ret || one_of(s, NO);
}

static bool add_digit(int64_t *v, int base, int digit)
{
    return !__builtin_mul_overflow(*v, base, v) && !__builtin_add_overflow(*v, digit, v);
}

static bool read_digits(struct str s, int base, int64_t *ret)
{
    int64_t v = 0;
    bool any = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_' || s.p[i] == ',') {
            if (!any)
                return false;
            continue;
        }
        int d = text_hex_digit(s.p[i]);
        if (d < 0 || d >= base || !add_digit(&v, base, d))
            return false;
        any = true;
    }
    *ret = v;
    return any;
}

// 1:30:00, base 60: what YAML 1.1 makes of times without quotes.
static bool read_sexagesimal(struct str s, int64_t *ret)
{
    ptrdiff_t colon = str_find(s, ':');
    if (colon <= 0 || !read_digits(str_head(s, (size_t)colon), 10, ret))
        return false;
    struct str rest = str_from(s, (size_t)colon + 1), part;
    int parts = 0;
    if (!rest.n || s.p[s.n - 1] == ':')
        return false;
    while (str_cut(&rest, ':', &part)) {
        int64_t v;
        if (part.n < 1 || part.n > 2 || !read_digits(part, 10, &v) || v > 59 || ++parts > 2)
            return false;
        if (!add_digit(ret, 60, (int)v))
            return false;
    }
    return true;
}

static bool read_int(struct str s, int64_t *ret)
{
    bool minus = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = str_from(s, 1);
    if (!s.n || s.p[0] < '0' || s.p[0] > '9')
        return false;
    int64_t v;
    bool ok;
    if (s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'X'))
        ok = read_digits(str_from(s, 2), 16, &v);
    else if (s.n > 2 && s.p[0] == '0' && (s.p[1] == 'b' || s.p[1] == 'B'))
        ok = read_digits(str_from(s, 2), 2, &v);
    else if (str_find(s, ':') >= 0)
        ok = read_sexagesimal(s, &v);
    else if (s.n > 1 && s.p[0] == '0')
        ok = read_digits(str_from(s, 1), 8, &v);
    else
        ok = s.p[s.n - 1] != '_' && s.p[s.n - 1] != ',' && read_digits(s, 10, &v);
    if (!ok)
        return false;
    *ret = minus ? -v : v;
    return true;
}

static bool read_float(struct str s)
{
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = str_from(s, 1);
    if (str_ieq(s, STR(".inf")) || str_ieq(s, STR(".nan")))
        return true;
    size_t i = 0, digits = 0, points = 0;
    for (; i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.' || (i && s.p[i] == '_'));
         i++) {
        points += s.p[i] == '.';
        digits += s.p[i] != '.' && s.p[i] != '_';
    }
    if (!digits || points > 1)
        return false;
    if (i == s.n)
        return points == 1;
    if (s.p[i] != 'e' && s.p[i] != 'E')
        return false;
    i++;
    if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
        i++;
    size_t from = i;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i == s.n && i > from;
}

enum yaml_type yaml_type(const struct yaml_node *n)
{
    if (!n)
        return YAML_NULL;
    if (n->kind == YAML_LIST)
        return YAML_IS_LIST;
    if (n->kind == YAML_MAP)
        return YAML_IS_MAP;
    bool b;
    int64_t i;
    if (!n->plain || n->tag.n)
        return YAML_STR;
    if (read_null(n->text))
        return YAML_NULL;
    if (read_bool(n->text, &b))
        return YAML_BOOL;
    if (read_int(n->text, &i))
        return YAML_INT;
    return read_float(n->text) ? YAML_FLOAT : YAML_STR;
}

const char *yaml_type_name(const struct yaml_node *n)
{
    static const char *const NAMES[] = {
        [YAML_NULL] = "null",      [YAML_BOOL] = "a boolean", [YAML_INT] = "an integer",
        [YAML_FLOAT] = "a number", [YAML_STR] = "a string",   [YAML_IS_LIST] = "a list",
        [YAML_IS_MAP] = "a map",
    };
    return NAMES[yaml_type(n)];
}

bool yaml_is_null(const struct yaml_node *n)
{
    return yaml_type(n) == YAML_NULL;
}

bool yaml_bool(const struct yaml_node *n, bool *ret)
{
    return yaml_type(n) == YAML_BOOL && read_bool(n->text, ret);
}

bool yaml_int(const struct yaml_node *n, int64_t *ret)
{
    return yaml_type(n) == YAML_INT && read_int(n->text, ret);
}

static struct yaml_node *new_node(struct arena *a, enum yaml_kind kind, struct yaml_pos pos)
{
    struct yaml_node *n = ARENA_NEW(a, struct yaml_node);
    n->kind = (uint8_t)kind;
    n->pos = pos;
    n->weight = 1;
    return n;
}

struct yaml_node *yaml_new_scalar(struct arena *a, struct str text, struct yaml_pos pos)
{
    struct yaml_node *n = new_node(a, YAML_SCALAR, pos);
    n->text = arena_str(a, text);
    return n;
}

struct yaml_node *yaml_new_list(struct arena *a, uint32_t n, struct yaml_pos pos)
{
    struct yaml_node *list = new_node(a, YAML_LIST, pos);
    list->items = ARENA_ARRAY(a, struct yaml_node *, n);
    list->n = n;
    return list;
}

struct yaml_node *yaml_new_map(struct arena *a, uint32_t n, struct yaml_pos pos)
{
    struct yaml_node *map = new_node(a, YAML_MAP, pos);
    map->pairs = ARENA_ARRAY(a, struct yaml_pair, n);
    map->n = n;
    return map;
}

struct yaml_node *yaml_merge(struct arena *a, struct yaml_node *base, struct yaml_node *over)
{
    if (!base || !over)
        return base ? base : over;
    if (base->kind != YAML_MAP || over->kind != YAML_MAP)
        return over;
    struct yaml_node *m = yaml_new_map(a, base->n + over->n, over->pos);
    m->tag = over->tag;
    m->n = 0;
    for (uint32_t i = 0; i < base->n; i++)
        m->pairs[m->n++] = base->pairs[i];
    for (uint32_t i = 0; i < over->n; i++) {
        struct yaml_pair *old = yaml_pair(m, over->pairs[i].key->text);
        if (!old) {
            m->pairs[m->n++] = over->pairs[i];
            continue;
        }
        old->key = over->pairs[i].key;
        old->value = yaml_merge(a, old->value, over->pairs[i].value);
    }
    uint64_t weight = 1;
    for (uint32_t i = 0; i < m->n; i++)
        weight += (uint64_t)m->pairs[i].key->weight + m->pairs[i].value->weight;
    m->weight = (uint32_t)MIN(weight, (uint64_t)UINT32_MAX);
    return m;
}

static void scalar_to_json(const struct yaml_node *n, struct jout *j)
{
    bool b;
    int64_t i;
    switch (yaml_type(n)) {
    case YAML_NULL:
        jout_null(j);
        return;
    case YAML_BOOL:
        jout_bool(j, yaml_bool(n, &b) && b);
        return;
    case YAML_INT:
        if (yaml_int(n, &i))
            jout_int(j, i);
        return;
    default:
        jout_str(j, n->text);
    }
}

// Depth is bounded: by the limits of the parse, and by the writer's own (deeper values become
// null).
void yaml_to_json(const struct yaml_node *n, struct jout *j)
{
    if (!n || j->depth > 55) {
        jout_null(j);
    } else if (n->kind == YAML_LIST) {
        jout_array(j);
        for (uint32_t i = 0; i < n->n; i++)
            yaml_to_json(n->items[i], j);
        jout_end_array(j);
    } else if (n->kind == YAML_MAP) {
        jout_object(j);
        for (uint32_t i = 0; i < n->n; i++) {
            jout_key(j, n->pairs[i].key->text.p);
            yaml_to_json(n->pairs[i].value, j);
        }
        jout_end_object(j);
    } else {
        scalar_to_json(n, j);
    }
}
