// SPDX-License-Identifier: Apache-2.0
// Groups and namespaces: listing, making, deleting. The rules are forge/project.h's. Runs in
// request workers.
#include "api/shapes.h"
#include "api/tables.h"
#include "forge/project.h"

#define VISIBILITIES "private|internal|public"

static int list_ns(struct api_req *r, struct ns_filter *f, bool groups)
{
    f->viewer_id = r->who.kind == ACTOR_USER ? r->who.user_id : 0;
    f->viewer_all = r->who.admin;
    f->search = req_str(r, "search", STR_NONE);
    struct ns *list;
    size_t n;
    REQ_TRY(r, ns_list(&r->tx, r->a, f, &r->page, &list, &n, &r->e), NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < n; i++) {
        if (groups)
            shape_group(r, j, &list[i]);
        else
            shape_namespace(r, j, &list[i]);
    }
    jout_end_array(j);
    reply_page(r);
    return reply_end(r);
}

static int namespace_index(struct api_req *r)
{
    struct ns_filter f = {.member_min = ROLE_GUEST};
    return list_ns(r, &f, false);
}

static int namespace_show(struct api_req *r)
{
    struct ns n;
    REQ_TRY(r, access_ns_find(&r->tx, r->a, &r->who, r->path[0], ACCESS_NONE, &n, &r->level, &r->e),
            "Namespace");
    shape_namespace(r, reply_begin(r), &n);
    return reply_end(r);
}

static int group_index(struct api_req *r)
{
    struct ns_filter f = {
        .groups_only = true,
        .top_level_only = req_bool(r, "top_level_only", false),
        .member_min = req_bool(r, "owned", false) ? ROLE_OWNER : req_int(r, "min_access_level", 0),
    };
    return list_ns(r, &f, true);
}

static int group_subgroups(struct api_req *r)
{
    struct ns_filter f = {.groups_only = true, .parent_id = r->group.id};
    return list_ns(r, &f, true);
}

static int group_show(struct api_req *r)
{
    if (!r->group.group)
        return reply_404(r, "Group");
    shape_group(r, reply_begin(r), &r->group);
    return reply_end(r);
}

static int group_post(struct api_req *r)
{
    struct group_new n = {
        .parent_id = req_int(r, "parent_id", 0),
        .name = req_str(r, "name", STR_NONE),
        .path = req_str(r, "path", STR_NONE),
        .description = req_str(r, "description", STR_NONE),
        .visibility = -1,
    };
    enum visibility v;
    if (visibility_parse(req_str(r, "visibility", STR_NONE), &v))
        n.visibility = (int)v;
    req_end_read(r);
    struct ns made;
    int rc = group_create(r->api->cfg.forge, r->a, &r->who, &n, &made, &r->e);
    if (rc == E_CONFLICT)
        return reply_message(r, 400, "Failed to save group {:path=>[\"has already been taken\"]}");
    REQ_TRY(r, rc, "Group");
    shape_group(r, reply_begin(r), &made);
    return reply_end(r);
}

static int save(struct api_req *r)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(r->api->cfg.store, &tx, &r->e));
    TRY(ns_update(&tx, &r->group, &r->e));
    return tx_commit(&tx, &r->e);
}

static int group_put(struct api_req *r)
{
    enum visibility v;
    if (!r->group.group)
        return reply_404(r, "Group");
    r->group.name = req_str(r, "name", r->group.name);
    r->group.description = req_str(r, "description", r->group.description);
    if (visibility_parse(req_str(r, "visibility", STR_NONE), &v))
        r->group.visibility = v;
    if (!r->group.name.n || str_has_control(r->group.name))
        return reply_message(r, 400, "name is invalid");
    req_end_read(r);
    REQ_TRY(r, save(r), "Group");
    return group_show(r);
}

static int group_delete(struct api_req *r)
{
    req_end_read(r);
    int rc = group_remove(r->api->cfg.forge, r->a, &r->who, r->group.id, &r->e);
    if (rc == E_CONFLICT)
        return reply_message(r, 400, "%s", r->e.msg);
    REQ_TRY(r, rc, "Group");
    return reply_message(r, 202, "202 Accepted");
}

static const struct route routes[] = {
    ROUTE(GET, "/namespaces", namespace_index, READ_API, USER, .reply = "namespace[]",
          .paged = true, .doc = "List namespaces where you may be.",
          PARAMS(OPT("search", STR, "In name or path."))),
    ROUTE(GET, "/namespaces/:namespace_id", namespace_show, READ_API, USER, .reply = "namespace",
          .doc = "Show a namespace."),
    ROUTE(GET, "/groups", group_index, READ_API, ANYONE, .reply = "group[]", .paged = true,
          .doc = "List groups.",
          PARAMS(OPT("search", STR, "In name or path."), OPT("owned", BOOL, "Only your own."),
                 OPT("top_level_only", BOOL, "No subgroups."),
                 OPT("min_access_level", INT, "Only where you have at least this level."),
                 OPT("all_available", BOOL, "Accepted."))),
    ROUTE(POST, "/groups", group_post, API, USER, .reply = "group", .doc = "Make a group.",
          PARAMS(REQ("name", STR, "Name for people.", .max = 255),
                 REQ("path", STR, "Name in addresses.", .max = 255),
                 OPT("parent_id", INT, "The group above."),
                 OPT("description", STR, "What it is.", .max = 500),
                 OPT("visibility", STR, "Who sees it.", .values = VISIBILITIES))),
    ROUTE(GET, "/groups/:id", group_show, READ_API, GUEST, .reply = "group", .doc = "Show a group.",
          PARAMS(OPT("with_projects", BOOL, "Accepted; see /groups/:id/projects."))),
    ROUTE(PUT, "/groups/:id", group_put, API, OWNER, .reply = "group", .doc = "Change a group.",
          PARAMS(OPT("name", STR, "Name for people.", .max = 255),
                 OPT("description", STR, "What it is.", .max = 500),
                 OPT("visibility", STR, "Who sees it.", .values = VISIBILITIES))),
    ROUTE(DELETE, "/groups/:id", group_delete, API, OWNER, .status = 202,
          .doc = "Delete an empty group."),
    ROUTE(GET, "/groups/:id/subgroups", group_subgroups, READ_API, GUEST, .reply = "group[]",
          .paged = true, .doc = "List subgroups.", PARAMS(OPT("search", STR, "In name or path."))),
};
const struct route_table group_table = ROUTE_TABLE("Groups", routes);
