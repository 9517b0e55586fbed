// SPDX-License-Identifier: Apache-2.0
// Reads what a client sent (query, form, JSON body) into the parameters that a route declares, and
// says what is wrong with it in GitLab's words. Pure: no I/O. Everything lies in the request's
// arena.
#pragma once

#include "api/route.h"
#include "base/arena.h"
#include "base/err.h"

// A JSON value, as plain data. `text` holds strings, and numbers and booleans as they would be
// written.
struct api_json {
    enum { AJ_NULL, AJ_BOOL, AJ_INT, AJ_REAL, AJ_STR, AJ_ARRAY, AJ_OBJECT } type;
    bool b;
    int64_t i;
    double d;
    struct str text;
    struct str key;              // inside an object
    struct api_json *item, *end; // of arrays and objects: for (v = j->item; v < j->end; v++)
};
#define API_JSON_DEPTH  32
#define API_JSON_VALUES 20000

// E_INVALID: not JSON (with line and column), too deep, too many values, duplicate keys, NUL.
int api_json_parse(struct arena *a, struct str text, struct api_json *ret, struct err *e) MUST_USE;
// The member, or NULL.
const struct api_json *api_json_get(const struct api_json *j, const char *key);
// A string member (numbers and booleans count as their text); `none` when absent or null.
struct str api_json_str(const struct api_json *j, const char *key, struct str none);
int64_t api_json_int(const struct api_json *j, const char *key, int64_t none);
bool api_json_bool(const struct api_json *j, const char *key, bool none);

struct param_value {
    bool set;
    bool null; // JSON null was given: clear it
    int64_t i; // TYPE_INT, TYPE_BOOL, TYPE_TIME (wall ms)
    struct str s;
    struct str *list; // TYPE_STRS
    size_t nlist;
    const struct api_json *json;
};

struct params {
    const struct param *decl; // the route's
    struct param_value value[PARAMS_MAX];
    struct api_json body; // the JSON body, AJ_NULL without one
};

// Fills from the query, then from the body, which wins. `type` is the body's Content-Type, `body`
// empty when there is none. Undeclared names are ignored, as GitLab does. E_INVALID with `e->msg`
// as GitLab words it: "name is missing, visibility does not have a valid value".
int params_read(struct params *p, const struct param *decl, struct arena *a, struct str query,
                struct str type, struct str body, struct err *e) MUST_USE;
// Adds one value from a multipart field; checks come with params_check.
int params_set(struct params *p, struct arena *a, struct str name, struct str value,
               struct err *e) MUST_USE;

// A name that the route does not declare is a bug.
const struct param_value *params_get(const struct params *p, const char *name);

// True for application/x-www-form-urlencoded and so on, without regard to case and parameters.
bool api_type_is(struct str content_type, const char *type);
