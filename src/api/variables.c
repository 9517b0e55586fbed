// SPDX-License-Identifier: Apache-2.0
// CI/CD variables of projects, groups and the instance. Values are sealed by the store; a hidden
// one is never shown again. Runs in request workers.
#include "store/variables.h"
#include "api/shapes.h"
#include "api/tables.h"

static void shape_variable(struct jout *j, const struct variable *v)
{
    jout_object(j);
    jout_kcstr(j, "variable_type", v->file ? "file" : "env_var");
    jout_kstr(j, "key", v->key);
    jout_key(j, "value");
    if (v->hidden)
        jout_null(j);
    else
        jout_str(j, v->value);
    jout_kbool(j, "hidden", v->hidden);
    jout_kbool(j, "protected", v->is_protected);
    jout_kbool(j, "masked", v->masked);
    jout_kbool(j, "raw", v->raw);
    jout_kstr(j, "environment_scope", v->environment_scope.n ? v->environment_scope : STR("*"));
    shape_kopt(j, "description", v->description);
    jout_end_object(j);
}

static int variable_index(struct api_req *r)
{
    struct variable *list;
    size_t n;
    REQ_TRY(r, variable_list(&r->tx, r->a, r->project.id, r->group.id, &r->page, &list, &n, &r->e),
            NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < n; i++)
        shape_variable(j, &list[i]);
    jout_end_array(j);
    reply_page(r);
    return reply_end(r);
}

// The key stands last in the path; `filter[environment_scope]` chooses among several.
static int find(struct api_req *r, struct variable *ret)
{
    struct str scope = req_str(r, "filter[environment_scope]", STR_NONE);
    size_t key = r->project.id || r->group.id ? 1 : 0;
    return variable_get(&r->tx, r->a, r->project.id, r->group.id, r->path[key], scope, ret, &r->e);
}

static int reply_find(struct api_req *r, int rc)
{
    if (rc == E_CONFLICT)
        return reply_message(r, 409,
                             "There are multiple variables with provided parameters. Please use "
                             "'filter[environment_scope]'");
    return reply_err(r, "Variable");
}

static int variable_show(struct api_req *r)
{
    struct variable v;
    int rc = find(r, &v);
    if (rc < 0)
        return reply_find(r, rc);
    shape_variable(reply_begin(r), &v);
    return reply_end(r);
}

static void read_fields(struct api_req *r, struct variable *v)
{
    v->value = req_str(r, "value", v->value);
    if (req_has(r, "variable_type"))
        v->file = str_is(req_str(r, "variable_type", STR_NONE), "file");
    v->is_protected = req_bool(r, "protected", v->is_protected);
    v->masked = req_bool(r, "masked", v->masked) || req_bool(r, "masked_and_hidden", false);
    v->hidden = v->hidden || req_bool(r, "masked_and_hidden", false);
    v->raw = req_bool(r, "raw", v->raw);
    v->environment_scope = req_str(r, "environment_scope", v->environment_scope);
    v->description = req_str(r, "description", v->description);
}

static int field_error(struct api_req *r, const char *field, const char *text)
{
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_key(j, "message");
    jout_object(j);
    jout_key(j, field);
    jout_array(j);
    jout_cstr(j, text);
    jout_end_array(j);
    jout_end_object(j);
    jout_end_object(j);
    return reply_status(r, 400);
}

// 0: fine; 1: answered.
static int check(struct api_req *r, const struct variable *v)
{
    struct err e = ERR_INIT;
    if (variable_key_check(v->key, &e) < 0) {
        field_error(r, "key", e.msg);
        return 1;
    }
    if (v->masked && !variable_maskable(v->value, v->raw)) {
        field_error(r, "value",
                    "cannot be masked: it must be one line of at least 8 characters without "
                    "spaces");
        return 1;
    }
    return 0;
}

enum change { INSERT, UPDATE, DELETE };

static int write(struct api_req *r, struct variable *v, enum change what)
{
    req_end_read(r);
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(r->api->cfg.store, &tx, &r->e));
    TRY(what == INSERT   ? variable_insert(&tx, v, &r->e)
        : what == UPDATE ? variable_update(&tx, v, &r->e)
                         : variable_delete(&tx, v->id, &r->e));
    return tx_commit(&tx, &r->e);
}

static int variable_post(struct api_req *r)
{
    struct variable v = {.project_id = r->project.id,
                         .namespace_id = r->group.id,
                         .environment_scope = STR("*"),
                         .value = STR("")};
    v.key = req_str(r, "key", STR_NONE);
    read_fields(r, &v);
    if (check(r, &v))
        return HTTP_DONE;
    int rc = write(r, &v, INSERT);
    if (rc == E_CONFLICT)
        return field_error(
            r, "key", arena_printf(r->a, "(%" PRISTR ") has already been taken", STRARG(v.key)));
    REQ_TRY(r, rc, "Variable");
    shape_variable(reply_begin(r), &v);
    return reply_end(r);
}

static int variable_put(struct api_req *r)
{
    struct variable v;
    int rc = find(r, &v);
    if (rc < 0)
        return reply_find(r, rc);
    read_fields(r, &v);
    if (check(r, &v))
        return HTTP_DONE;
    rc = write(r, &v, UPDATE);
    if (rc == E_CONFLICT)
        return field_error(r, "key", "has already been taken in this environment scope");
    REQ_TRY(r, rc, "Variable");
    shape_variable(reply_begin(r), &v);
    return reply_end(r);
}

static int variable_remove(struct api_req *r)
{
    struct variable v;
    int rc = find(r, &v);
    if (rc < 0)
        return reply_find(r, rc);
    REQ_TRY(r, write(r, &v, DELETE), "Variable");
    return reply_empty(r, 204);
}

#define VALUE_MAX 10000
#define FILTER    OPT("filter[environment_scope]", STR, "Which one of several.", .max = 255)
#define FIELDS                                                                                     \
    OPT("variable_type", STR, "file: jobs get a path to the value.", .values = "env_var|file"),    \
        OPT("protected", BOOL, "Only for protected refs."),                                        \
        OPT("masked", BOOL, "Hidden in logs."),                                                    \
        OPT("masked_and_hidden", BOOL, "Hidden in logs and never shown again."),                   \
        OPT("raw", BOOL, "$NAME in it is not expanded."),                                          \
        OPT("environment_scope", STR, "\"*\", \"production\", \"review/*\".", .max = 255),         \
        OPT("description", STR, "What it is for.", .max = 255)

#define VARIABLE_ROUTES(where, role)                                                               \
    ROUTE(GET, where "/variables", variable_index, API, role, .reply = "variable[]",               \
          .paged = true, .doc = "List variables."),                                                \
        ROUTE(GET, where "/variables/:key", variable_show, API, role, .reply = "variable",         \
              .doc = "Show a variable.", PARAMS(FILTER)),                                          \
        ROUTE(POST, where "/variables", variable_post, API, role, .reply = "variable",             \
              .doc = "Make a variable.",                                                           \
              PARAMS(REQ("key", STR, "Its name.", .max = 255),                                     \
                     REQ("value", STR, "Its value.", .max = VALUE_MAX, .empty_ok = true),          \
                     FIELDS)),                                                                     \
        ROUTE(PUT, where "/variables/:key", variable_put, API, role, .reply = "variable",          \
              .doc = "Change a variable.",                                                         \
              PARAMS(OPT("value", STR, "Its value.", .max = VALUE_MAX), FILTER, FIELDS)),          \
        ROUTE(DELETE, where "/variables/:key", variable_remove, API, role, .status = 204,          \
              .doc = "Delete a variable.", PARAMS(FILTER))

static const struct route routes[] = {
    VARIABLE_ROUTES("/projects/:id", MAINTAINER),
    VARIABLE_ROUTES("/groups/:id", OWNER),
    VARIABLE_ROUTES("/admin/ci", ADMIN),
};
const struct route_table variable_table = ROUTE_TABLE("Variables", routes);
