// SPDX-License-Identifier: Apache-2.0
// Members of projects and groups. The rules are forge/project.h's. Runs in request workers.
#include "api/shapes.h"
#include "api/tables.h"
#include "forge/project.h"

static void shape_member(struct api_req *r, struct jout *j, const struct member *m)
{
    jout_object(j);
    jout_kint(j, "id", m->user_id);
    jout_kstr(j, "username", m->username);
    jout_kstr(j, "name", m->name);
    jout_kcstr(j, "state", m->blocked ? "blocked" : "active");
    jout_kbool(j, "locked", false);
    jout_knull(j, "avatar_url");
    jout_kstr(j, "web_url", req_url(r, "/%" PRISTR, STRARG(m->username)));
    jout_kint(j, "access_level", m->access_level);
    jout_ktime(j, "created_at", m->created_at);
    shape_kdate(j, "expires_at", m->expires_at);
    jout_kcstr(j, "membership_state", "active");
    jout_end_object(j);
}

static int list(struct api_req *r, bool inherited)
{
    struct member *found;
    size_t n;
    REQ_TRY(r,
            member_list(&r->tx, r->a, r->project.id, r->group.id, inherited,
                        req_str(r, "query", STR_NONE), r->now, &r->page, &found, &n, &r->e),
            NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < n; i++)
        shape_member(r, j, &found[i]);
    jout_end_array(j);
    reply_page(r);
    return reply_end(r);
}

static int member_index(struct api_req *r)
{
    return list(r, false);
}

static int member_index_all(struct api_req *r)
{
    return list(r, true);
}

static int member_show(struct api_req *r)
{
    struct member m;
    REQ_TRY(r, member_get(&r->tx, r->a, r->project.id, r->group.id, req_id(r, 1), &m, &r->e), NULL);
    shape_member(r, reply_begin(r), &m);
    return reply_end(r);
}

// The highest level anywhere up the tree; walks the inherited list by the user's name.
static int member_show_all(struct api_req *r)
{
    struct user u;
    struct member *found;
    size_t n;
    struct page page = {.page = 1, .per_page = STORE_PER_PAGE_MAX};
    REQ_TRY(r, user_get(&r->tx, r->a, req_id(r, 1), &u, &r->e), NULL);
    REQ_TRY(r,
            member_list(&r->tx, r->a, r->project.id, r->group.id, true, u.username, r->now, &page,
                        &found, &n, &r->e),
            NULL);
    for (size_t i = 0; i < n; i++) {
        if (found[i].user_id != u.id)
            continue;
        shape_member(r, reply_begin(r), &found[i]);
        return reply_end(r);
    }
    return reply_404(r, NULL);
}

static bool level_ok(int64_t level)
{
    return level == ROLE_GUEST || level == ROLE_REPORTER || level == ROLE_DEVELOPER ||
           level == ROLE_MAINTAINER || level == ROLE_OWNER;
}

static int set_member(struct api_req *r, int64_t user_id, bool must_be_new, bool must_exist)
{
    struct member m;
    int64_t level = req_int(r, "access_level", 0);
    if (!level_ok(level))
        return reply_error(r, 400, "access_level does not have a valid value");
    struct user u;
    REQ_TRY(r, user_get(&r->tx, r->a, user_id, &u, &r->e), "User");
    bool is_member = member_get(&r->tx, r->a, r->project.id, r->group.id, user_id, &m, &r->e) == 0;
    if (must_be_new && is_member)
        return reply_message(r, 409, "Member already exists");
    if (must_exist && !is_member)
        return reply_404(r, NULL);
    int64_t expires_at = req_has(r, "expires_at") ? req_param(r, "expires_at")->i
                         : is_member && !req_param(r, "expires_at")->null ? m.expires_at
                                                                          : 0;
    if (expires_at && expires_at <= r->now)
        return reply_message(r, 400, "expires_at cannot be a date in the past");
    req_end_read(r);
    REQ_TRY(r,
            member_change(r->api->cfg.forge, r->a, &r->who, r->project.id, r->group.id, user_id,
                          (int)level, expires_at, &r->e),
            "User");
    REQ_TRY(r, req_read(r, &r->e), NULL);
    REQ_TRY(r, member_get(&r->tx, r->a, r->project.id, r->group.id, user_id, &m, &r->e), "User");
    shape_member(r, reply_begin(r), &m);
    return reply_end(r);
}

static int member_post(struct api_req *r)
{
    int64_t user_id = req_int(r, "user_id", 0);
    struct user u;
    if (!user_id && req_has(r, "username")) {
        REQ_TRY(r, user_by_username(&r->tx, r->a, req_str(r, "username", STR_NONE), &u, &r->e),
                "User");
        user_id = u.id;
    }
    if (!user_id)
        return reply_error(r, 400, "user_id is missing");
    return set_member(r, user_id, true, false);
}

static int member_put(struct api_req *r)
{
    return set_member(r, req_id(r, 1), false, true);
}

static int member_delete(struct api_req *r)
{
    struct member m;
    int64_t user_id = req_id(r, 1);
    REQ_TRY(r, member_get(&r->tx, r->a, r->project.id, r->group.id, user_id, &m, &r->e), NULL);
    req_end_read(r);
    REQ_TRY(
        r,
        member_drop(r->api->cfg.forge, r->a, &r->who, r->project.id, r->group.id, user_id, &r->e),
        "User");
    return reply_empty(r, 204);
}

#define LIST_PARAMS PARAMS(OPT("query", STR, "In username or name."))
#define LEVEL       REQ("access_level", INT, "10, 20, 30, 40 or 50.")
#define EXPIRES     OPT("expires_at", TIME, "The date from which it ends.")
#define ADD_PARAMS                                                                                 \
    PARAMS(OPT("user_id", INT, "Who."), OPT("username", STR, "Who, by name."), LEVEL, EXPIRES)

#define MEMBER_ROUTES(where, manage)                                                               \
    ROUTE(GET, where "/members", member_index, READ_API, GUEST, .reply = "member[]",               \
          .paged = true, .doc = "List direct members.", LIST_PARAMS),                              \
        ROUTE(GET, where "/members/all", member_index_all, READ_API, GUEST, .reply = "member[]",   \
              .paged = true, .doc = "List members, those of groups above, too.", LIST_PARAMS),     \
        ROUTE(GET, where "/members/:user_id", member_show, READ_API, GUEST, .reply = "member",     \
              .doc = "Show a direct member."),                                                     \
        ROUTE(GET, where "/members/all/:user_id", member_show_all, READ_API, GUEST,                \
              .reply = "member", .doc = "Show a member with the highest level."),                  \
        ROUTE(POST, where "/members", member_post, API, manage, .reply = "member",                 \
              .doc = "Add a member.", ADD_PARAMS),                                                 \
        ROUTE(PUT, where "/members/:user_id", member_put, API, manage, .reply = "member",          \
              .doc = "Change a member's level.", PARAMS(LEVEL, EXPIRES)),                          \
        ROUTE(DELETE, where "/members/:user_id", member_delete, API, manage, .status = 204,        \
              .doc = "Remove a member.")

static const struct route routes[] = {
    MEMBER_ROUTES("/projects/:id", MAINTAINER),
    MEMBER_ROUTES("/groups/:id", OWNER),
};
const struct route_table member_table = ROUTE_TABLE("Members", routes);
