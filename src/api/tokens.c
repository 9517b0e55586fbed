// SPDX-License-Identifier: Apache-2.0
// Personal access tokens: listing, making, revoking. A secret is shown once, in the answer that
// made it. Runs in request workers.
#include "store/tokens.h"
#include "api/shapes.h"
#include "api/tables.h"
#include "base/mem.h"

static void shape_token(struct jout *j, const struct token *t, int64_t now, const char *secret)
{
    jout_object(j);
    jout_kint(j, "id", t->id);
    jout_kstr(j, "name", t->name);
    shape_kopt(j, "description", t->description);
    jout_kbool(j, "revoked", t->revoked);
    jout_ktime(j, "created_at", t->created_at);
    jout_key(j, "scopes");
    jout_array(j);
    for (unsigned bit = 1; bit <= SCOPE_ALL; bit <<= 1)
        if (t->scopes & bit)
            jout_cstr(j, token_scope_name(bit));
    jout_end_array(j);
    jout_kint(j, "user_id", t->user_id);
    jout_ktime(j, "last_used_at", t->last_used_at);
    jout_kbool(j, "active", !t->revoked && (!t->expires_at || t->expires_at > now));
    shape_kdate(j, "expires_at", t->expires_at);
    if (secret)
        jout_kcstr(j, "token", secret);
    jout_end_object(j);
}

static int token_index(struct api_req *r)
{
    struct token_filter f = {.user_id = req_int(r, "user_id", 0)};
    if (!r->who.admin) {
        if (f.user_id && f.user_id != r->who.user_id)
            return reply_message(r, 401, "401 Unauthorized");
        f.user_id = r->who.user_id;
    }
    struct str state = req_str(r, "state", STR_NONE);
    if (state.n)
        f.state = str_is(state, "active") ? TOKENS_ACTIVE : TOKENS_INACTIVE;
    struct token *list;
    size_t n;
    REQ_TRY(r, token_list(&r->tx, r->a, &f, r->now, &r->page, &list, &n, &r->e), NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < n; i++)
        shape_token(j, &list[i], r->now, NULL);
    jout_end_array(j);
    reply_page(r);
    return reply_end(r);
}

// Finds a token that the caller may see; "self" is the one the request was made with.
static int find(struct api_req *r, bool self, struct token *ret)
{
    int64_t id = self ? r->who.token_id : req_id(r, 0);
    int rc = id ? token_get(&r->tx, r->a, id, ret, &r->e)
                : err_set(&r->e, E_NOTFOUND, "the request was not made with a token");
    if (rc == 0 && !r->who.admin && ret->user_id != r->who.user_id)
        rc = err_set(&r->e, E_NOTFOUND, "no such token");
    return rc;
}

static int show(struct api_req *r, bool self)
{
    struct token t = {0};
    REQ_TRY(r, find(r, self, &t), "Personal Access Token");
    shape_token(reply_begin(r), &t, r->now, NULL);
    return reply_end(r);
}

static int token_show(struct api_req *r)
{
    return show(r, false);
}

static int token_self(struct api_req *r)
{
    return show(r, true);
}

static int revoke(struct api_req *r, bool self)
{
    struct token t = {0};
    REQ_TRY(r, find(r, self, &t), "Personal Access Token");
    req_end_read(r);
    REQ_TRY(r, auth_token_revoke(r->api->cfg.forge, &r->who, t.id, &r->e), "Personal Access Token");
    return reply_empty(r, 204);
}

static int token_delete(struct api_req *r)
{
    return revoke(r, false);
}

static int token_delete_self(struct api_req *r)
{
    return revoke(r, true);
}

static int create_for(struct api_req *r, int64_t user_id)
{
    const struct param_value *names = req_param(r, "scopes");
    unsigned scopes = 0, bit;
    for (size_t i = 0; i < names->nlist; i++) {
        if (!token_scope_parse(names->list[i], &bit))
            return reply_error(r, 400, "scopes does not have a valid value");
        scopes |= bit;
    }
    if (!scopes)
        return reply_error(r, 400, "scopes is empty");
    int64_t expires_at = req_has(r, "expires_at") ? req_param(r, "expires_at")->i : 0;
    if (expires_at && expires_at <= r->now)
        return reply_message(r, 400, "expires_at lies in the past");
    req_end_read(r);
    struct token t = {0};
    char secret[TOKEN_TEXT_SIZE];
    REQ_TRY(r,
            auth_token_create(r->api->cfg.forge, &r->who, user_id, req_str(r, "name", STR_NONE),
                              scopes, expires_at, &t, secret, &r->e),
            "User");
    shape_token(reply_begin(r), &t, r->now, secret);
    mem_wipe(secret, sizeof(secret));
    http_set(r->http, "Cache-Control", STR("no-store"));
    return reply_end(r);
}

static int token_create_own(struct api_req *r)
{
    return create_for(r, r->who.user_id);
}

static int token_create_user(struct api_req *r)
{
    return create_for(r, req_id(r, 0));
}

#define CREATE_PARAMS                                                                              \
    PARAMS(REQ("name", STR, "What it is for.", .max = 255),                                        \
           REQ("scopes", STRS,                                                                     \
               "What it may do: api, read_api, read_user, read_repository, "                       \
               "write_repository, create_runner."),                                                \
           OPT("expires_at", TIME, "The date from which it is no longer valid."),                  \
           OPT("description", STR, "Ignored for now.", .max = 255))

static const struct route routes[] = {
    ROUTE(GET, "/personal_access_tokens", token_index, READ_API, USER, .reply = "token[]",
          .paged = true, .doc = "List your tokens; administrators see everybody's.",
          PARAMS(OPT("user_id", INT, "Of this user."),
                 OPT("state", STR, "Only these.", .values = "active|inactive"))),
    ROUTE(POST, "/personal_access_tokens", token_create_own, API, USER, .reply = "token",
          .doc = "Make a token for yourself.", CREATE_PARAMS),
    ROUTE(POST, "/user/personal_access_tokens", token_create_own, API, USER, .reply = "token",
          .doc = "Make a token for yourself.", CREATE_PARAMS),
    ROUTE(GET, "/personal_access_tokens/self", token_self, SELF, USER, .reply = "token",
          .doc = "Show the token of this request."),
    ROUTE(DELETE, "/personal_access_tokens/self", token_delete_self, SELF, USER, .status = 204,
          .doc = "Revoke the token of this request."),
    ROUTE(GET, "/personal_access_tokens/:token_id", token_show, READ_API, USER, .reply = "token",
          .doc = "Show a token."),
    ROUTE(DELETE, "/personal_access_tokens/:token_id", token_delete, API, USER, .status = 204,
          .doc = "Revoke a token."),
    ROUTE(POST, "/users/:user_id/personal_access_tokens", token_create_user, API, ADMIN,
          .reply = "token", .doc = "Make a token for a user.", CREATE_PARAMS),
};
const struct route_table token_table = ROUTE_TABLE("Personal access tokens", routes);
