// SPDX-License-Identifier: Apache-2.0
// Expansion of variables. Depth first with a mark per variable, so that chains of any order resolve
// and cycles end; the total length is bounded by the ceiling on one value. Owned by one job's
// thread.
#include "runner/vars.h"

#include "base/buf.h"

#include <ctype.h>

enum { VALUE_MAX = 1 << 20 };

void vars_init(struct vars *v, struct arena *a, struct str files_dir)
{
    *v = (struct vars){a, MAP_INIT, files_dir};
}

void vars_done(struct vars *v)
{
    map_done(&v->by_key);
}

bool vars_set(struct vars *v, struct str key, struct str value, bool raw, bool file)
{
    if (!key.n || str_find(key, '=') >= 0 || str_find(key, '\0') >= 0 || str_find(key, '/') >= 0 ||
        (!file && str_find(value, '\0') >= 0))
        return false;
    struct var *var = ARENA_NEW(v->a, struct var);
    *var = (struct var){arena_str(v->a, key), arena_str(v->a, value), file, raw, 0};
    map_set(&v->by_key, key, var);
    return true;
}

static bool is_name_char(char c, bool first)
{
    return c == '_' || isalpha((unsigned char)c) || (!first && isdigit((unsigned char)c));
}

// Reads a reference at s.p[0] == '$'. Returns its length, 1 when it is a lone dollar.
static size_t reference(struct str s, struct str *ret_name)
{
    *ret_name = STR_NONE;
    if (s.n < 2)
        return 1;
    if (s.p[1] == '$') {
        *ret_name = str_n(s.p, 1);
        return 2;
    }
    if (s.p[1] == '{') {
        ptrdiff_t end = str_find(s, '}');
        if (end < 3)
            return 1;
        for (ptrdiff_t i = 2; i < end; i++)
            if (!is_name_char(s.p[i], i == 2))
                return 1;
        *ret_name = str_n(s.p + 2, (size_t)end - 2);
        return (size_t)end + 1;
    }
    size_t n = 1;
    while (n < s.n && is_name_char(s.p[n], n == 1))
        n++;
    if (n > 1)
        *ret_name = str_n(s.p + 1, n - 1);
    return n;
}

static struct str shown(const struct vars *v, const struct var *var)
{
    if (!var->file)
        return var->value;
    return arena_strf(v->a, "%" PRISTR "/%" PRISTR, STRARG(v->files_dir), STRARG(var->key));
}

static void expand_one(struct vars *v, struct var *var, struct str (*base)(struct str));

static struct str expand_text(struct vars *v, struct str s, struct str (*base)(struct str))
{
    if (str_find(s, '$') < 0)
        return s;
    struct buf out = BUF_INIT(VALUE_MAX);
    for (size_t at = 0; at < s.n;) {
        struct str rest = str_from(s, at), name;
        ptrdiff_t dollar = str_find(rest, '$');
        if (dollar < 0) {
            buf_add(&out, rest);
            break;
        }
        buf_add(&out, str_head(rest, (size_t)dollar));
        rest = str_from(rest, (size_t)dollar);
        size_t n = reference(rest, &name);
        at += (size_t)dollar + n;
        if (!name.p) {
            buf_add(&out, str_head(rest, n));
            continue;
        }
        if (name.p[0] == '$') {
            buf_addc(&out, '$');
            continue;
        }
        struct var *other = map_get(&v->by_key, name);
        if (other && other->state != 1) {
            expand_one(v, other, base);
            buf_add(&out, shown(v, other));
        } else if (base)
            buf_add(&out, base(name));
    }
    struct str done = arena_str(v->a, buf_str(&out));
    buf_done(&out);
    return done;
}

static void expand_one(struct vars *v, struct var *var, struct str (*base)(struct str))
{
    if (var->state == 2 || var->raw || var->file) {
        var->state = 2;
        return;
    }
    var->state = 1;
    var->value = expand_text(v, var->value, base);
    var->state = 2;
}

void vars_expand(struct vars *v, struct str (*base)(struct str key))
{
    map_each (item, &v->by_key)
        expand_one(v, item->value, base);
}

struct str vars_get(const struct vars *v, const char *key)
{
    const struct var *var = map_get(&v->by_key, str_of(key));
    return var ? shown(v, var) : STR_NONE;
}

struct str vars_text(struct vars *v, struct str text)
{
    return expand_text(v, text, NULL);
}
