// SPDX-License-Identifier: Apache-2.0
// The dispatcher: finds the route, learns who asks, checks scope and role as the table says, reads
// the parameters, loads the project or group that the path names, and calls the handler. One struct
// api is shared by all workers and immutable; each request's state is on its worker's stack and
// arena.
#include "api/api.h"

#include "api/health.h"
#include "api/openapi.h"
#include "api/pages.h"
#include "api/request.h"
#include "api/tables.h"
#include "base/clock.h"
#include "base/mem.h"

static const struct route_table *const tables[] = {
    &version_table,    &user_table,     &token_table,  &group_table,    &project_table,
    &member_table,     &repo_table,     &branch_table, &commit_table,   &protection_table,
    &variable_table,   &pipeline_table, &job_table,    &artifact_table, &runner_table,
    &runner_job_table, &pages_table,    &lint_table,
};

const struct route_table *api_routes(size_t t)
{
    return t < ARRAY_SIZE(tables) ? tables[t] : NULL;
}

void api_openapi(const char *external_url, struct buf *to)
{
    openapi_write(tables, ARRAY_SIZE(tables), external_url, to);
}

int api_new(const struct api_ctx *c, struct api **ret, struct err *e)
{
    struct api *api = NEW(struct api);
    api->cfg = *c;
    if (!api->cfg.session_cookie)
        api->cfg.session_cookie = strncmp(c->external_url, "https:", 6) == 0
                                      ? "__Host-slipway_session"
                                      : "slipway_session";
    if (!api->cfg.instance_uuid)
        api->cfg.instance_uuid = "";
    if (!api->cfg.artifact_max)
        api->cfg.artifact_max = (int64_t)MIB(100);
    if (!api->cfg.trace_max)
        api->cfg.trace_max = (int64_t)MIB(100);
    if (!api->cfg.poll_ms)
        api->cfg.poll_ms = 50000;
    api->router = api_router_new(tables, ARRAY_SIZE(tables));
    buf_init(&api->openapi, MIB(8));
    api_openapi(c->external_url, &api->openapi);
    int rc = pages_relink_all(api, e);
    if (rc < 0) {
        api_free(api);
        return rc;
    }
    *ret = api;
    return 0;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    api_router_free(api->router);
    buf_done(&api->openapi);
    free(api);
}

int64_t api_artifact_max(const struct api *api)
{
    return api->cfg.artifact_max;
}

bool api_matches(struct str path)
{
    return str_starts(path, STR("/api/")) || str_is(path, "/api") || health_matches(path);
}

// ---- who asks ----

// *ret_secret: p == NULL when no token was sent. GitLab's order.
static void find_token(struct api_req *r, struct str *ret_secret, bool *ret_job_token)
{
    *ret_job_token = false;
    *ret_secret = http_header(r->http, "PRIVATE-TOKEN");
    if (ret_secret->p)
        return;
    struct str authorization = http_header(r->http, "Authorization");
    if (authorization.n > 7 && str_ieq(str_head(authorization, 7), STR("Bearer "))) {
        *ret_secret = str_trim(str_from(authorization, 7));
        return;
    }
    *ret_secret = http_header(r->http, "JOB-TOKEN");
    if (ret_secret->p) {
        *ret_job_token = true;
        return;
    }
    if (!http_query(r->http).p)
        return;
    if (http_query_get(r->http, "private_token", ret_secret) ||
        http_query_get(r->http, "access_token", ret_secret))
        return;
    *ret_job_token = http_query_get(r->http, "job_token", ret_secret);
    if (!*ret_job_token)
        *ret_secret = STR_NONE;
}

static int unauthorized(struct api_req *r)
{
    return reply_message(r, 401, "401 Unauthorized");
}

static bool need_met(const struct actor *who, enum api_need need)
{
    switch (need) {
    case NEED_NONE:
    case NEED_SELF:
        return true;
    case NEED_READ_USER:
        return actor_has_scope(who, SCOPE_READ_USER) || actor_has_scope(who, SCOPE_READ_API);
    case NEED_READ_API:
        return actor_has_scope(who, SCOPE_READ_API);
    case NEED_READ_REPO:
        return actor_has_scope(who, SCOPE_READ_API) || actor_has_scope(who, SCOPE_READ_REPOSITORY);
    case NEED_CREATE_RUNNER:
        return actor_has_scope(who, SCOPE_CREATE_RUNNER);
    case NEED_API:
        return actor_has_scope(who, SCOPE_API);
    }
    return false;
}

// 0: go on; else HTTP_DONE was answered (returned as 1).
static int identify(struct api_req *r)
{
    struct str secret;
    bool job_token;
    r->who = ACTOR_NOBODY;
    if (r->route->scope == NEED_NONE)
        return 0;
    find_token(r, &secret, &job_token);
    if (secret.p) {
        int rc = job_token ? auth_job_token(&r->tx, r->a, secret, &r->who, &r->e)
                           : auth_any_token(&r->tx, r->a, secret, &r->who, &r->e);
        if (rc == E_DENIED || rc == E_NOTFOUND || rc == E_INVALID) {
            unauthorized(r);
            return 1;
        }
        if (rc < 0) {
            reply_err(r, NULL);
            return 1;
        }
    } else {
        struct str cookie;
        if (!http_cookie(r->http, r->api->cfg.session_cookie, &cookie))
            return 0;
        if (auth_session(&r->tx, r->a, cookie, &r->who, &r->e) < 0) {
            r->who = ACTOR_NOBODY;
            r->e = ERR_INIT;
            return 0;
        }
        struct str csrf = http_header(r->http, "X-CSRF-Token");
        if (r->route->method != API_GET && (!csrf.p || !auth_csrf_ok(&r->who, csrf))) {
            reply_forbidden(r, "the X-CSRF-Token header is missing or not this session's");
            return 1;
        }
    }
    if (r->who.kind == ACTOR_JOB) {
        if (r->route->job_token)
            return 0;
        reply_forbidden(r, "a job token does not open this route");
        return 1;
    }
    if (!need_met(&r->who, r->route->scope)) {
        struct jout *j = reply_begin(r);
        jout_object(j);
        jout_kcstr(j, "error", "insufficient_scope");
        jout_kcstr(j, "error_description",
                   "The request requires higher privileges than provided by the access token.");
        jout_kcstr(j, "scope", api_need_name(r->route->scope));
        jout_end_object(j);
        reply_status(r, 403);
        return 1;
    }
    return 0;
}

// ---- what the route asks for ----

static int read_params(struct api_req *r)
{
    _autobuf_ struct buf body = BUF_INIT(r->route->body_max ? r->route->body_max : API_BODY_MAX);
    struct str type = http_header(r->http, "Content-Type");
    bool multipart = api_type_is(type, "multipart/form-data");
    if (r->route->method != API_GET && !r->route->raw_body && http_content_length(r->http) != 0) {
        http_body_limit(r->http, (int64_t)body.max);
        if (http_read_all(r->http, &body, &r->e) < 0) {
            if (r->e.code == E_LIMIT)
                reply_message(r, 413, "413 the body is larger than %zu bytes", body.max);
            else
                reply_message(r, 400, "400 %s", r->e.msg);
            return 1;
        }
        if (body.n && !multipart && !api_type_is(type, "application/json") &&
            !api_type_is(type, "application/x-www-form-urlencoded")) {
            reply_error(r, 415,
                        "The provided content-type '%" PRISTR
                        "' is not supported: send application/json or a form.",
                        STRARG(str_head(type, 100)));
            return 1;
        }
    }
    // The parsed values point into the body.
    struct str text = arena_str(r->a, buf_str(&body));
    if (params_read(&r->params, r->route->params, r->a, http_query(r->http), type, text, &r->e) <
        0) {
        reply_error(r, 400, "%s", r->e.msg);
        return 1;
    }
    return 0;
}

static int read_page(struct api_req *r)
{
    static const char *const names[] = {"page", "per_page"};
    for (int i = 0; i < 2; i++) {
        struct str text;
        int64_t v;
        if (!http_query_get(r->http, names[i], &text) || text.n == 0)
            continue;
        if (!str_to_i64(text, &v)) {
            reply_error(r, 400, "%s is invalid", names[i]);
            return 1;
        }
        if (v < 1 || (i == 0 && v > 10000000)) {
            reply_error(r, 400, "%s does not have a valid value", names[i]);
            return 1;
        }
        if (i == 0)
            r->page.page = (uint32_t)v;
        else
            r->page.per_page = (uint32_t)MIN(v, STORE_PER_PAGE_MAX);
    }
    return 0;
}

static int denied(struct api_req *r)
{
    return req_signed_in(r) ? reply_forbidden(r, NULL) : unauthorized(r);
}

// Loads the project or group that the path names and compares the levels.
static int enter(struct api_req *r)
{
    enum api_role role = r->route->role;
    bool read = r->route->method == API_GET;
    struct str pattern = str_from(str_of(r->route->pattern), sizeof("/api/v4") - 1);
    bool in_project = str_starts(pattern, STR("/projects/:id"));
    bool in_group = str_starts(pattern, STR("/groups/:id"));
    if (role == ROLE_ANYONE && !in_project && !in_group)
        return 0;
    if (!req_signed_in(r) && (role == ROLE_USER || role == ROLE_ADMIN)) {
        unauthorized(r);
        return 1;
    }
    if (role == ROLE_ADMIN && !r->who.admin) {
        reply_forbidden(r, NULL);
        return 1;
    }
    if (!in_project && !in_group)
        return 0;
    int rc = in_project ? access_project_find(&r->tx, r->a, &r->who, r->path[0], ACCESS_NONE,
                                              &r->project, &r->level, &r->e)
                        : access_ns_find(&r->tx, r->a, &r->who, r->path[0], ACCESS_NONE, &r->group,
                                         &r->level, &r->e);
    if (rc < 0) {
        // Anonymous callers learn nothing, but that signing in might help.
        if (rc == E_NOTFOUND && !req_signed_in(r) && !read)
            unauthorized(r);
        else
            reply_err(r, in_project ? "Project" : "Group");
        return 1;
    }
    if (role < ROLE_GUEST || role > ROLE_OWNER)
        return 0;
    // What is archived is only read, deleted, or taken out of the archive (PUT asks the forge).
    bool below = in_project && str_find(str_from(pattern, sizeof("/projects/:id") - 1), '/') == 0;
    if (!read && below && r->project.archived && role >= ROLE_GUEST &&
        !str_ends(pattern, STR("archive")) && r->level >= (int)role) {
        reply_forbidden(r, "the project is archived");
        return 1;
    }
    int level = r->level;
    enum visibility v = in_project ? r->project.visibility : r->group.visibility;
    if (read && (v == VIS_PUBLIC || (v == VIS_INTERNAL && r->who.kind == ACTOR_USER)))
        level = MAX(level, (int)ROLE_REPORTER);
    if (level < (int)role) {
        denied(r);
        return 1;
    }
    return 0;
}

static int handle_route(struct api_req *r, const struct api_match *m)
{
    for (size_t i = 0; i < m->nraw; i++) {
        int rc = api_path_decode(r->a, m->raw[i], &r->path[i]);
        if (rc != API_DECODE_OK)
            return reply_error(r, 400, "%s",
                               rc == API_DECODE_DOTS
                                   ? "the path is invalid: it has a '.' or '..' segment"
                                   : "the path is invalid: a control character, bad percent-"
                                     "encoding or text that is not UTF-8");
    }
    r->now = clock_wall_ms();
    if (store_read(r->api->cfg.store, &r->tx, &r->e) < 0)
        return reply_err(r, NULL);
    if (identify(r))
        return HTTP_DONE;
    if (enter(r))
        return HTTP_DONE;
    if (r->route->method != API_GET && !r->route->raw_body && http_content_length(r->http) != 0) {
        req_end_read(r); // a slow body must not hold a snapshot
        if (read_params(r))
            return HTTP_DONE;
        if (req_read(r, &r->e) < 0)
            return reply_err(r, NULL);
    } else if (read_params(r)) {
        return HTTP_DONE;
    }
    r->page = (struct page){.page = 1, .per_page = STORE_PER_PAGE_DEFAULT};
    if (r->route->paged && read_page(r))
        return HTTP_DONE;
    return r->route->handle(r);
}

int api_handle(struct http_call *c, void *ctx)
{
    const struct api *api = ctx;
    struct str path = http_path(c);
    if (health_matches(path))
        return health_handle(c, api);
    struct api_match m;
    struct api_req *r = ARENA_NEW(http_arena(c), struct api_req);
    r->api = api;
    r->http = c;
    r->a = http_arena(c);
    r->tx = TX_NONE;
    buf_init(&r->out, API_REPLY_MAX);
    api_router_match(api->router, api_method_of(http_method(c)), path, &m);
    r->route = m.route;
    int rc;
    if (m.route) {
        rc = handle_route(r, &m);
    } else if (m.path_known) {
        http_set(c, "Allow", str_of(m.allow));
        rc = reply_error(r, 405, "405 Not Allowed");
    } else {
        rc = reply_error(r, 404, "404 Not Found");
    }
    tx_done(&r->tx);
    if (rc == HTTP_DONE && r->who.touch_due)
        (void)auth_touch(api->cfg.forge, &r->who, NULL);
    buf_done(&r->out);
    return rc;
}
