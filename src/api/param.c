// SPDX-License-Identifier: Apache-2.0
// Turns a query string, a form or a JSON body into the typed parameters that a route declares, with
// GitLab's error texts. Jansson parses the JSON; its tree is copied into plain values at once, so
// that no handler deals with reference counts. Runs in the request's worker thread; keeps nothing.
#include "api/param.h"

#include "base/clock.h"
#include "codec/url.h"

#include <jansson.h>
#include <math.h>

// ---- JSON ----

// Jansson allocates some 60 bytes per value: count them before it does.
static int json_precheck(struct str text, struct err *e)
{
    size_t values = 1, depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == ',' || c == ':')
            values++;
        else if (c == '[' || c == '{')
            values++, depth++;
        else if ((c == ']' || c == '}') && depth)
            depth--;
        if (depth > API_JSON_DEPTH)
            return err_set(e, E_INVALID, "JSON is nested deeper than %d levels", API_JSON_DEPTH);
        if (values > API_JSON_VALUES)
            return err_set(e, E_INVALID, "JSON has more than %d values", API_JSON_VALUES);
    }
    return 0;
}

static void value_copy(struct arena *a, const json_t *from, struct api_json *to)
{
    switch (json_typeof(from)) {
    case JSON_OBJECT: {
        to->type = AJ_OBJECT;
        size_t n = json_object_size(from);
        to->item = ARENA_ARRAY(a, struct api_json, n + 1);
        to->end = to->item + n;
        struct api_json *at = to->item;
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)from, key, value)
        {
            at->key = arena_str(a, str_of(key));
            value_copy(a, value, at++);
        }
        break;
    }
    case JSON_ARRAY: {
        to->type = AJ_ARRAY;
        size_t n = json_array_size(from);
        to->item = ARENA_ARRAY(a, struct api_json, n + 1);
        to->end = to->item + n;
        for (size_t i = 0; i < n; i++)
            value_copy(a, json_array_get(from, i), &to->item[i]);
        break;
    }
    case JSON_STRING:
        to->type = AJ_STR;
        to->text = arena_str(a, str_n(json_string_value(from), json_string_length(from)));
        break;
    case JSON_INTEGER:
        to->type = AJ_INT;
        to->i = json_integer_value(from);
        to->d = (double)to->i;
        to->text = arena_strf(a, "%lld", (long long)to->i);
        break;
    case JSON_REAL:
        to->type = AJ_REAL;
        to->d = json_real_value(from);
        to->text = arena_strf(a, "%.17g", to->d);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        to->type = AJ_BOOL;
        to->b = json_is_true(from);
        to->i = to->b;
        to->text = to->b ? STR("true") : STR("false");
        break;
    case JSON_NULL:
        to->type = AJ_NULL;
        break;
    }
}

int api_json_parse(struct arena *a, struct str text, struct api_json *ret, struct err *e)
{
    *ret = (struct api_json){0};
    int rc = json_precheck(text, e);
    if (rc < 0)
        return rc;
    json_error_t je;
    json_t *root =
        json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (!root)
        return err_set(e, E_INVALID, "JSON is not valid, line %d, column %d: %s", je.line,
                       je.column, je.text);
    value_copy(a, root, ret);
    json_decref(root);
    return 0;
}

const struct api_json *api_json_get(const struct api_json *j, const char *key)
{
    if (!j || j->type != AJ_OBJECT)
        return NULL;
    for (const struct api_json *v = j->item; v < j->end; v++)
        if (str_is(v->key, key))
            return v;
    return NULL;
}

struct str api_json_str(const struct api_json *j, const char *key, struct str none)
{
    const struct api_json *v = api_json_get(j, key);
    return v && v->type != AJ_NULL && v->type < AJ_ARRAY ? v->text : none;
}

int64_t api_json_int(const struct api_json *j, const char *key, int64_t none)
{
    const struct api_json *v = api_json_get(j, key);
    int64_t i;
    if (!v)
        return none;
    if (v->type == AJ_INT)
        return v->i;
    return v->type == AJ_STR && str_to_i64(v->text, &i) ? i : none;
}

bool api_json_bool(const struct api_json *j, const char *key, bool none)
{
    const struct api_json *v = api_json_get(j, key);
    if (!v || v->type == AJ_NULL)
        return none;
    return v->type == AJ_BOOL ? v->b : str_is(v->text, "true") || str_is(v->text, "1");
}

// ---- typed values ----

static bool value_in(const char *values, struct str s)
{
    for (struct str rest = str_of(values), one; str_cut(&rest, '|', &one);)
        if (str_eq(one, s))
            return true;
    return false;
}

static bool bool_of(struct str s, int64_t *ret)
{
    static const char *const yes[] = {"true", "1", "yes", "on", "t", "True", "TRUE"};
    static const char *const no[] = {"false", "0", "no", "off", "f", "False", "FALSE"};
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (str_is(s, yes[i]) || str_is(s, no[i])) {
            *ret = str_is(s, yes[i]);
            return true;
        }
    }
    return false;
}

#define LIST_MAX 500 // items of a list parameter

static bool list_of(struct arena *a, struct str text, struct param_value *v)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ',';
    if (v->nlist + n > LIST_MAX)
        return false;
    struct str *list = ARENA_ARRAY(a, struct str, v->nlist + n);
    if (v->nlist)
        memcpy(list, v->list, v->nlist * sizeof(*list));
    v->list = list;
    for (struct str rest = text, one; str_cut(&rest, ',', &one);) {
        one = str_trim(one);
        if (one.n)
            v->list[v->nlist++] = one;
    }
    return true;
}

// False: not of the declared type.
static bool value_set_text(struct param_value *v, const struct param *d, struct arena *a,
                           struct str text)
{
    v->set = true;
    v->null = false;
    switch (d->type) {
    case TYPE_STR:
        v->s = text;
        return memchr(text.p ? text.p : "", 0, text.n) == NULL && str_is_utf8(text);
    case TYPE_INT:
        if (text.n == 0 && !d->required) { // "?page=" means nothing was given
            v->set = false;
            return true;
        }
        return str_to_i64(text, &v->i);
    case TYPE_BOOL:
        if (text.n == 0) {
            v->set = false;
            return true;
        }
        return bool_of(text, &v->i);
    case TYPE_TIME:
        if (text.n == 0) {
            v->null = true;
            return true;
        }
        v->s = text;
        return clock_parse_rfc3339(text, &v->i);
    case TYPE_STRS:
        return str_is_utf8(text) && list_of(a, text, v);
    case TYPE_JSON: {
        struct api_json *j = ARENA_NEW(a, struct api_json);
        struct err e = ERR_INIT;
        v->json = j;
        return api_json_parse(a, text, j, &e) == 0;
    }
    case TYPE_FILE:
        v->s = text;
        return true;
    }
    return false;
}

static bool value_set_json(struct param_value *v, const struct param *d, struct arena *a,
                           const struct api_json *j)
{
    v->set = true;
    v->null = false;
    v->json = j;
    if (d->type == TYPE_JSON)
        return true;
    if (j->type == AJ_NULL) {
        v->null = true;
        v->s = STR("");
        v->i = 0;
        return true;
    }
    if (d->type == TYPE_STRS && j->type == AJ_ARRAY) {
        v->list = ARENA_ARRAY(a, struct str, (size_t)(j->end - j->item) + 1);
        v->nlist = 0;
        for (const struct api_json *one = j->item; one < j->end; one++) {
            if (one->type >= AJ_ARRAY || one->type == AJ_NULL)
                return false;
            v->list[v->nlist++] = one->text;
        }
        return true;
    }
    if (j->type >= AJ_ARRAY)
        return false;
    if (d->type == TYPE_INT && j->type == AJ_REAL) {
        v->i = (int64_t)j->d;
        return isfinite(j->d) && fabs(j->d) < 9e15 && (double)v->i == j->d;
    }
    if (d->type == TYPE_BOOL && j->type == AJ_BOOL) {
        v->i = j->b;
        return true;
    }
    v->nlist = 0;
    return value_set_text(v, d, a, j->text);
}

// ---- errors, gathered ----

struct complaints {
    char text[400];
    size_t n;
};

static void complain(struct complaints *c, const char *name, const char *what)
{
    int len =
        snprintf(c->text + c->n, sizeof(c->text) - c->n, "%s%s %s", c->n ? ", " : "", name, what);
    if (len > 0 && c->n + (size_t)len < sizeof(c->text))
        c->n += (size_t)len;
    else
        c->text[c->n] = 0; // no room for this one: the others are enough
}

static const struct param *decl_find(const struct params *p, struct str name, size_t *ret_i)
{
    if (str_ends(name, STR("[]")))
        name = str_head(name, name.n - 2);
    for (size_t i = 0; p->decl && p->decl[i].name; i++) {
        if (str_is(name, p->decl[i].name)) {
            *ret_i = i;
            return &p->decl[i];
        }
    }
    return NULL;
}

static void fill_text(struct params *p, struct arena *a, struct str name, struct str value,
                      struct complaints *bad)
{
    size_t i;
    const struct param *d = decl_find(p, name, &i);
    if (!d)
        return;
    if (d->type == TYPE_STRS && !str_ends(name, STR("[]")))
        p->value[i].nlist = 0;
    if (!value_set_text(&p->value[i], d, a, value))
        complain(bad, d->name, "is invalid");
}

static int fill_pairs(struct params *p, struct arena *a, struct str pairs, struct complaints *bad,
                      struct err *e)
{
    size_t count = 0;
    for (struct str rest = pairs, k, v; url_query_next(&rest, &k, &v);) {
        if (++count > 1000)
            return err_set(e, E_INVALID, "more than 1000 parameters");
        struct str name, value;
        if (url_decode_arena(a, k, true, &name, NULL) < 0 ||
            url_decode_arena(a, v, true, &value, NULL) < 0)
            return err_set(e, E_INVALID,
                           "a parameter is not properly encoded (a '%%' needs two hex digits, NUL "
                           "is not allowed)");
        fill_text(p, a, name, value, bad);
    }
    return 0;
}

static int fill_json(struct params *p, struct arena *a, struct str body, struct complaints *bad,
                     struct err *e)
{
    if (str_trim(body).n == 0)
        return 0;
    int rc = api_json_parse(a, body, &p->body, e);
    if (rc < 0)
        return rc;
    if (p->body.type != AJ_OBJECT)
        return err_set(e, E_INVALID, "the JSON body must be an object");
    for (const struct api_json *v = p->body.item; v < p->body.end; v++) {
        size_t i;
        const struct param *d = decl_find(p, v->key, &i);
        if (d && !value_set_json(&p->value[i], d, a, v))
            complain(bad, d->name, "is invalid");
    }
    return 0;
}

static void check_all(const struct params *p, struct complaints *bad)
{
    for (size_t i = 0; p->decl && p->decl[i].name; i++) {
        const struct param *d = &p->decl[i];
        const struct param_value *v = &p->value[i];
        if (!v->set || v->null) {
            if (d->required && d->type != TYPE_FILE)
                complain(bad, d->name, v->set ? "is empty" : "is missing");
            continue;
        }
        if (d->type == TYPE_STR) {
            if (d->required && !d->empty_ok && v->s.n == 0)
                complain(bad, d->name, "is empty");
            else if (v->s.n > (d->max ? d->max : PARAM_STR_MAX))
                complain(bad, d->name, "is too long");
            else if (d->values && v->s.n && !value_in(d->values, v->s))
                complain(bad, d->name, "does not have a valid value");
        } else if (d->type == TYPE_STRS && d->values) {
            for (size_t k = 0; k < v->nlist; k++) {
                if (!value_in(d->values, v->list[k])) {
                    complain(bad, d->name, "does not have a valid value");
                    break;
                }
            }
        }
    }
}

bool api_type_is(struct str content_type, const char *type)
{
    struct str rest = content_type, head;
    return str_cut(&rest, ';', &head) && str_ieq(str_trim(head), str_of(type));
}

int params_read(struct params *p, const struct param *decl, struct arena *a, struct str query,
                struct str type, struct str body, struct err *e)
{
    *p = (struct params){.decl = decl};
    for (size_t i = 0; decl && decl[i].name; i++)
        BUG_ON(i >= PARAMS_MAX);
    struct complaints bad = {.n = 0};
    int rc = query.p ? fill_pairs(p, a, query, &bad, e) : 0;
    if (rc == 0 && body.n) {
        if (api_type_is(type, "application/json"))
            rc = fill_json(p, a, body, &bad, e);
        else if (api_type_is(type, "application/x-www-form-urlencoded"))
            rc = fill_pairs(p, a, body, &bad, e);
    }
    if (rc < 0)
        return rc;
    check_all(p, &bad);
    return bad.n ? err_set(e, E_INVALID, "%s", bad.text) : 0;
}

int params_set(struct params *p, struct arena *a, struct str name, struct str value, struct err *e)
{
    struct complaints bad = {.n = 0};
    fill_text(p, a, name, value, &bad);
    return bad.n ? err_set(e, E_INVALID, "%s", bad.text) : 0;
}

const struct param_value *params_get(const struct params *p, const char *name)
{
    size_t i;
    const struct param *d = decl_find(p, str_of(name), &i);
    BUG_ON(!d);
    return &p->value[i];
}
