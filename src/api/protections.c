// SPDX-License-Identifier: Apache-2.0
// Protected branches: who may push and merge. The rule that applies them is forge/access.h's. Runs
// in request workers.
#include "store/protections.h"
#include "api/shapes.h"
#include "api/tables.h"

static void level(struct jout *j, const char *key, int64_t id, int value)
{
    jout_key(j, key);
    jout_array(j);
    jout_object(j);
    jout_kint(j, "id", id);
    jout_kint(j, "access_level", value);
    jout_kcstr(j, "access_level_description",
               value == 0                ? "No one"
               : value == ROLE_DEVELOPER ? "Developers + Maintainers"
                                         : "Maintainers");
    jout_knull(j, "user_id");
    jout_knull(j, "group_id");
    jout_end_object(j);
    jout_end_array(j);
}

static void shape_protection(struct jout *j, const struct protection *p)
{
    jout_object(j);
    jout_kint(j, "id", p->id);
    jout_kstr(j, "name", p->name);
    level(j, "push_access_levels", p->id, p->push_level);
    level(j, "merge_access_levels", p->id, p->merge_level);
    jout_kbool(j, "allow_force_push", p->allow_force_push);
    jout_key(j, "unprotect_access_levels");
    jout_array(j);
    jout_end_array(j);
    jout_kbool(j, "code_owner_approval_required", false);
    jout_kbool(j, "inherited", false);
    jout_end_object(j);
}

static int protection_index(struct api_req *r)
{
    struct protection *list;
    size_t n;
    struct str search = req_str(r, "search", STR_NONE);
    REQ_TRY(r, protection_list(&r->tx, r->a, r->project.id, false, &list, &n, &r->e), NULL);
    size_t from = (size_t)(r->page.page - 1) * r->page.per_page, at = 0;
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < n; i++) {
        if (search.n && str_search(list[i].name, search) < 0)
            continue;
        if (at >= from && at < from + r->page.per_page)
            shape_protection(j, &list[i]);
        at++;
    }
    jout_end_array(j);
    r->page.total = (int64_t)at;
    reply_page(r);
    return reply_end(r);
}

static int find(struct api_req *r, struct protection *ret)
{
    return protection_get(&r->tx, r->a, r->project.id, false, r->path[1], ret, &r->e);
}

static int protection_show(struct api_req *r)
{
    struct protection p;
    REQ_TRY(r, find(r, &p), NULL);
    shape_protection(reply_begin(r), &p);
    return reply_end(r);
}

static bool level_ok(int64_t v)
{
    return v == 0 || v == ROLE_DEVELOPER || v == ROLE_MAINTAINER;
}

enum change { INSERT, UPDATE, DELETE };

static int write(struct api_req *r, struct protection *p, enum change what)
{
    req_end_read(r);
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(r->api->cfg.store, &tx, &r->e));
    TRY(what == INSERT   ? protection_insert(&tx, p, &r->e)
        : what == UPDATE ? protection_update(&tx, p, &r->e)
                         : protection_delete(&tx, p->project_id, p->tag, p->name, &r->e));
    return tx_commit(&tx, &r->e);
}

static int protection_post(struct api_req *r)
{
    int64_t push = req_int(r, "push_access_level", ROLE_MAINTAINER),
            merge = req_int(r, "merge_access_level", ROLE_MAINTAINER);
    if (!level_ok(push))
        return reply_error(r, 400, "push_access_level does not have a valid value");
    if (!level_ok(merge))
        return reply_error(r, 400, "merge_access_level does not have a valid value");
    struct protection p = {.project_id = r->project.id,
                           .name = req_str(r, "name", STR_NONE),
                           .push_level = (int)push,
                           .merge_level = (int)merge,
                           .allow_force_push = req_bool(r, "allow_force_push", false)};
    if (str_has_control(p.name))
        return reply_error(r, 400, "name is invalid");
    int rc = write(r, &p, INSERT);
    if (rc == E_CONFLICT)
        return reply_message(r, 409, "Protected branch '%" PRISTR "' already exists",
                             STRARG(p.name));
    REQ_TRY(r, rc, NULL);
    shape_protection(reply_begin(r), &p);
    return reply_end(r);
}

static int protection_patch(struct api_req *r)
{
    struct protection p;
    REQ_TRY(r, find(r, &p), NULL);
    p.allow_force_push = req_bool(r, "allow_force_push", p.allow_force_push);
    REQ_TRY(r, write(r, &p, UPDATE), NULL);
    shape_protection(reply_begin(r), &p);
    return reply_end(r);
}

static int protection_remove(struct api_req *r)
{
    struct protection p;
    REQ_TRY(r, find(r, &p), NULL);
    REQ_TRY(r, write(r, &p, DELETE), NULL);
    return reply_empty(r, 204);
}

static const struct route routes[] = {
    ROUTE(GET, "/projects/:id/protected_branches", protection_index, READ_API, GUEST,
          .reply = "protected_branch[]", .paged = true, .doc = "List protected branches.",
          PARAMS(OPT("search", STR, "In the name."))),
    ROUTE(POST, "/projects/:id/protected_branches", protection_post, API, MAINTAINER,
          .reply = "protected_branch", .doc = "Protect a branch, or a pattern with *.",
          PARAMS(REQ("name", STR, "Branch or pattern.", .max = 255),
                 OPT("push_access_level", INT, "Who may push: 0, 30, 40."),
                 OPT("merge_access_level", INT, "Who may merge: 0, 30, 40."),
                 OPT("allow_force_push", BOOL, "Whoever may push may force."))),
    ROUTE(GET, "/projects/:id/protected_branches/:name", protection_show, READ_API, GUEST,
          .reply = "protected_branch", .doc = "Show a protected branch."),
    ROUTE(PATCH, "/projects/:id/protected_branches/:name", protection_patch, API, MAINTAINER,
          .reply = "protected_branch", .doc = "Change a protected branch.",
          PARAMS(OPT("allow_force_push", BOOL, "Whoever may push may force."))),
    ROUTE(DELETE, "/projects/:id/protected_branches/:name", protection_remove, API, MAINTAINER,
          .status = 204, .doc = "Take the protection away."),
};
const struct route_table protection_table = ROUTE_TABLE("Protected branches", routes);
