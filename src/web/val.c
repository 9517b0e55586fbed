// SPDX-License-Identifier: Apache-2.0
// The value tree that page handlers fill and templates read. Everything lives in the request's
// arena, so nothing here frees. One thread: the worker that serves the request.
#include "web/val.h"

static struct val *attach(struct val *to, const char *key, enum val_type type)
{
    struct val *v = ARENA_NEW(to->arena, struct val);
    v->type = type;
    v->arena = to->arena;
    v->key = key;
    if (to->last)
        to->last->next = v;
    else
        to->first = v;
    to->last = v;
    return v;
}

static struct val *entry(struct val *map, const char *key, enum val_type type)
{
    BUG_ON(map->type != VAL_MAP);
    return attach(map, key, type);
}

struct val *val_map(struct arena *a)
{
    struct val *v = ARENA_NEW(a, struct val);
    v->type = VAL_MAP;
    v->arena = a;
    return v;
}

void val_str(struct val *map, const char *key, struct str s)
{
    entry(map, key, VAL_STR)->str = s;
}

void val_cstr(struct val *map, const char *key, const char *cstr_or_null)
{
    val_str(map, key, str_of(cstr_or_null));
}

void val_strf(struct val *map, const char *key, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct buf b = BUF_INIT(MIB(1));
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    val_str(map, key, arena_str(map->arena, buf_str(&b)));
    buf_done(&b);
}

void val_html(struct val *map, const char *key, struct str markup)
{
    entry(map, key, VAL_HTML)->str = markup;
}

void val_int(struct val *map, const char *key, int64_t n)
{
    entry(map, key, VAL_INT)->num = n;
}

void val_bool(struct val *map, const char *key, bool b)
{
    entry(map, key, VAL_BOOL)->num = b;
}

struct val *val_sub(struct val *map, const char *key)
{
    return entry(map, key, VAL_MAP);
}

struct val *val_list(struct val *map, const char *key)
{
    return entry(map, key, VAL_LIST);
}

struct val *val_push(struct val *list)
{
    BUG_ON(list->type != VAL_LIST);
    return attach(list, NULL, VAL_MAP);
}

void val_push_str(struct val *list, struct str s)
{
    BUG_ON(list->type != VAL_LIST);
    attach(list, NULL, VAL_STR)->str = s;
}

const struct val *val_get(const struct val *map, struct str key)
{
    const struct val *found = NULL;
    if (map->type == VAL_MAP)
        for (const struct val *v = map->first; v; v = v->next)
            if (str_is(key, v->key))
                found = v;
    return found;
}

bool val_truthy(const struct val *v)
{
    switch (v->type) {
    case VAL_STR:
    case VAL_HTML:
        return v->str.n > 0;
    case VAL_INT:
    case VAL_BOOL:
        return v->num != 0;
    case VAL_LIST:
        return v->first != NULL;
    case VAL_MAP:
        return true;
    }
    return false;
}
