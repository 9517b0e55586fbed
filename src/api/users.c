// SPDX-License-Identifier: Apache-2.0
// People: oneself, others, and accounts that administrators make. The rules are forge/account.h's;
// this file reads requests and writes GitLab's shapes. Runs in request workers.
#include "api/shapes.h"
#include "api/tables.h"
#include "base/mem.h"
#include "base/text.h"
#include "forge/account.h"

static int user_self(struct api_req *r)
{
    struct user u;
    REQ_TRY(r, user_get(&r->tx, r->a, r->who.user_id, &u, &r->e), "User");
    shape_user(r, reply_begin(r), &u, SHAPE_SELF);
    return reply_end(r);
}

static enum shape_view view_of(const struct api_req *r, const struct user *u)
{
    if (r->who.admin)
        return SHAPE_ADMIN;
    return r->who.user_id == u->id ? SHAPE_SELF : SHAPE_PUBLIC;
}

static int user_show(struct api_req *r)
{
    struct user u;
    REQ_TRY(r, user_get(&r->tx, r->a, req_id(r, 0), &u, &r->e), "User");
    shape_user(r, reply_begin(r), &u, view_of(r, &u));
    return reply_end(r);
}

static int user_index(struct api_req *r)
{
    struct user_filter f = {
        .search = req_str(r, "search", STR_NONE),
        .username = req_str(r, "username", STR_NONE),
        .active = req_bool(r, "active", false),
        .blocked = req_bool(r, "blocked", false),
    };
    struct user *list;
    size_t n;
    REQ_TRY(r, user_list(&r->tx, r->a, &f, &r->page, &list, &n, &r->e), NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < n; i++)
        shape_user(r, j, &list[i], view_of(r, &list[i]));
    jout_end_array(j);
    reply_page(r);
    return reply_end(r);
}

static int user_create(struct api_req *r)
{
    char random[33];
    struct str password = req_str(r, "password", STR_NONE);
    if (!password.n) {
        if (!req_bool(r, "force_random_password", false) && !req_bool(r, "reset_password", false))
            return reply_error(
                r, 400,
                "password, reset_password, force_random_password are missing, at least one "
                "parameter must be provided");
        text_random(random, sizeof(random));
        password = str_of(random);
    }
    struct account_new n = {
        .username = req_str(r, "username", STR_NONE),
        .name = req_str(r, "name", STR_NONE),
        .email = req_str(r, "email", STR_NONE),
        .password = password,
        .admin = req_bool(r, "admin", false),
    };
    req_end_read(r);
    struct user u;
    REQ_TRY(r, account_create(r->api->cfg.forge, r->a, &n, &u, &r->e), "User");
    mem_wipe(random, sizeof(random));
    shape_user(r, reply_begin(r), &u, SHAPE_ADMIN);
    return reply_end(r);
}

static int set_blocked(struct api_req *r, bool blocked)
{
    struct user u;
    REQ_TRY(r, user_get(&r->tx, r->a, req_id(r, 0), &u, &r->e), "User");
    req_end_read(r);
    REQ_TRY(r, account_set_blocked(r->api->cfg.forge, &r->who, u.id, blocked, &r->e), "User");
    jout_bool(reply_begin(r), true);
    return reply_end(r);
}

static int user_block(struct api_req *r)
{
    return set_blocked(r, true);
}

static int user_unblock(struct api_req *r)
{
    return set_blocked(r, false);
}

static const struct route routes[] = {
    ROUTE(GET, "/user", user_self, READ_USER, USER, .reply = "user", .doc = "Show yourself."),
    ROUTE(GET, "/users", user_index, READ_USER, USER, .reply = "user[]", .paged = true,
          .doc = "List users; administrators see all fields.",
          PARAMS(OPT("search", STR, "In username or name, or the exact email."),
                 OPT("username", STR, "Exactly this username."),
                 OPT("active", BOOL, "Only active ones."),
                 OPT("blocked", BOOL, "Only blocked ones."))),
    ROUTE(GET, "/users/:user_id", user_show, READ_USER, USER, .reply = "user",
          .doc = "Show a user."),
    ROUTE(POST, "/users", user_create, API, ADMIN, .reply = "user", .doc = "Make an account.",
          PARAMS(REQ("email", STR, "Email address.", .max = 254),
                 REQ("username", STR, "Name in addresses.", .max = 255),
                 REQ("name", STR, "Name for people.", .max = 255),
                 OPT("password", STR, "The first password.", .max = 128),
                 OPT("reset_password", BOOL, "Make a random password."),
                 OPT("force_random_password", BOOL, "Make a random password."),
                 OPT("admin", BOOL, "An administrator."))),
    ROUTE(POST, "/users/:user_id/block", user_block, API, ADMIN, .doc = "Block an account."),
    ROUTE(POST, "/users/:user_id/unblock", user_unblock, API, ADMIN, .doc = "Unblock an account."),
};
const struct route_table user_table = ROUTE_TABLE("Users", routes);
