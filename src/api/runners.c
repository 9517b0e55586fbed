// SPDX-License-Identifier: Apache-2.0
// Runners: making one and its token, the runner protocol's registration half (register, verify,
// unregister), and what people see of them. Runs in request workers.
#include "api/runner_auth.h"
#include "api/shapes.h"
#include "api/tables.h"
#include "base/mem.h"

// ---- making ----

struct made {
    char secret[TOKEN_TEXT_SIZE];
    struct secret_hash hash;
};

static int make_runner(struct api_req *r, struct runner *row, struct made *m)
{
    const struct param_value *tags = req_param(r, "tag_list");
    row->tags = tags->list;
    row->ntags = tags->nlist;
    row->description = req_str(r, "description", STR_NONE);
    row->maintenance_note = req_str(r, "maintenance_note", STR_NONE);
    row->run_untagged = req_bool(r, "run_untagged", tags->nlist == 0);
    row->locked = req_bool(r, "locked", false);
    row->paused = req_bool(r, "paused", false);
    row->ref_protected = str_is(req_str(r, "access_level", STR_NONE), "ref_protected");
    row->maximum_timeout_s = req_int(r, "maximum_timeout", 0);
    row->creator_id = r->who.user_id;
    if (!row->run_untagged && !row->ntags)
        return err_set(
            &r->e, E_INVALID,
            "tags_list can not be empty when runner is not allowed to pick untagged jobs");
    if (row->maximum_timeout_s && row->maximum_timeout_s < 600)
        return err_set(&r->e, E_INVALID, "maximum_timeout must be at least 600 seconds");
    token_make(TOKEN_RUNNER_PREFIX, m->secret, m->hash.sha256);
    row->short_token = str_head(str_of(m->secret + sizeof(TOKEN_RUNNER_PREFIX) - 1), 9);
    req_end_read(r);
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(r->api->cfg.store, &tx, &r->e));
    TRY(runner_insert(&tx, str_n((char *)m->hash.sha256, 32), row, &r->e));
    return tx_commit(&tx, &r->e);
}

static int reply_token(struct api_req *r, const struct runner *row, const char *secret, int status)
{
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_kint(j, "id", row->id);
    jout_kcstr(j, "token", secret);
    jout_ktime(j, "token_expires_at", row->token_expires_at);
    jout_end_object(j);
    http_set(r->http, "Cache-Control", STR("no-store"));
    return reply_status(r, status);
}

// Who may make a runner of which kind: instance: administrators; group: Owners; project:
// Maintainers.
static int may_make(struct api_req *r, struct runner *row)
{
    int level = 0;
    if (row->type == RUNNER_INSTANCE)
        return r->who.admin ? 0 : err_set(&r->e, E_DENIED, "only an administrator may do this");
    const char *name = row->type == RUNNER_GROUP ? "group_id" : "project_id";
    int64_t id = req_int(r, name, 0);
    if (id <= 0)
        return err_set(&r->e, E_INVALID, "%s is missing", name);
    struct str text = arena_strf(r->a, "%lld", (long long)id);
    if (row->type == RUNNER_GROUP) {
        row->group_id = id;
        TRY(access_ns_find(&r->tx, r->a, &r->who, text, ACCESS_NONE, &r->group, &level, &r->e));
        return level >= ROLE_OWNER ? 0 : err_set(&r->e, E_DENIED, "only an Owner may do this");
    }
    row->project_id = id;
    TRY(access_project_find(&r->tx, r->a, &r->who, text, ACCESS_NONE, &r->project, &level, &r->e));
    return level >= ROLE_MAINTAINER ? 0 : err_set(&r->e, E_DENIED, "only a Maintainer may do this");
}

static int runner_create(struct api_req *r)
{
    struct runner row = {0};
    struct made m;
    if (!runner_type_parse(req_str(r, "runner_type", STR_NONE), &row.type))
        return reply_error(r, 400, "runner_type does not have a valid value");
    REQ_TRY(r, may_make(r, &row), "Project");
    REQ_TRY(r, make_runner(r, &row, &m), NULL);
    return reply_token(r, &row, m.secret, 201);
}

// ---- by runners ----

// The old way: a registration token for the whole instance. Slipway has none: `user/runners` makes
// runners.
static int runner_register(struct api_req *r)
{
    return reply_forbidden(r, "registration tokens are not used: make a runner with POST "
                              "/user/runners (or `slipway admin runner`) and use its glrt- token");
}

static int runner_verify(struct api_req *r)
{
    struct runner row;
    if (!runner_authenticate(r, &row))
        return HTTP_DONE;
    const char *secret = req_str(r, "token", STR_NONE).p;
    struct str system_id = str_head(req_str(r, "system_id", STR_NONE), 64);
    req_end_read(r);
    struct runner_manager manager = {.runner_id = row.id,
                                     .system_id = system_id,
                                     .ip = http_remote(r->http),
                                     .features = STR("{}")};
    _autotx_ struct tx tx = TX_NONE;
    int rc = store_write(r->api->cfg.store, &tx, &r->e);
    if (rc == 0)
        rc = runner_manager_seen(&tx, &manager, r->now, &r->e);
    if (rc == 0)
        rc = tx_commit(&tx, &r->e);
    REQ_TRY(r, rc, "Runner");
    return reply_token(r, &row, secret ? secret : "", 200);
}

static int in_write(struct api_req *r, int (*change)(struct tx *tx, struct api_req *r, void *arg),
                    void *arg)
{
    req_end_read(r);
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(r->api->cfg.store, &tx, &r->e));
    TRY(change(&tx, r, arg));
    return tx_commit(&tx, &r->e);
}

static int do_delete(struct tx *tx, struct api_req *r, void *arg)
{
    return runner_delete(tx, ((struct runner *)arg)->id, &r->e);
}

static int do_delete_manager(struct tx *tx, struct api_req *r, void *arg)
{
    return runner_manager_delete(tx, ((struct runner *)arg)->id, req_str(r, "system_id", STR_NONE),
                                 &r->e);
}

static int runner_unregister(struct api_req *r)
{
    struct runner row;
    if (!runner_authenticate(r, &row))
        return HTTP_DONE;
    REQ_TRY(r, in_write(r, do_delete, &row), "Runner");
    return reply_empty(r, 204);
}

static int manager_unregister(struct api_req *r)
{
    struct runner row;
    if (!runner_authenticate(r, &row))
        return HTTP_DONE;
    REQ_TRY(r, in_write(r, do_delete_manager, &row), "Runner manager");
    return reply_empty(r, 204);
}

struct reset {
    struct runner *row;
    struct made m;
};

static int do_reset(struct tx *tx, struct api_req *r, void *arg)
{
    struct reset *reset = arg;
    token_make(TOKEN_RUNNER_PREFIX, reset->m.secret, reset->m.hash.sha256);
    return runner_set_token(tx, reset->row->id, str_n((char *)reset->m.hash.sha256, 32),
                            str_head(str_of(reset->m.secret + sizeof(TOKEN_RUNNER_PREFIX) - 1), 9),
                            &r->e);
}

static int reset_token(struct api_req *r, struct runner *row)
{
    struct reset reset = {.row = row};
    REQ_TRY(r, in_write(r, do_reset, &reset), "Runner");
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_kcstr(j, "token", reset.m.secret);
    jout_ktime(j, "token_expires_at", row->token_expires_at);
    jout_end_object(j);
    http_set(r->http, "Cache-Control", STR("no-store"));
    return reply_status(r, 201);
}

static int runner_reset_own(struct api_req *r)
{
    struct runner row;
    return runner_authenticate(r, &row) ? reset_token(r, &row) : HTTP_DONE;
}

static int router_discovery(struct api_req *r)
{
    return reply_message(r, 501, "501 Not Implemented: there is no job router");
}

// ---- by people ----

// Administrators see all; others the runners they made and those of projects where they are
// Maintainer (by the project's list). *ret is filled or 404/403 was answered.
static bool find_runner(struct api_req *r, struct runner *ret)
{
    if (runner_get(&r->tx, r->a, req_id(r, 0), ret, &r->e) < 0) {
        reply_err(r, "Runner");
        return false;
    }
    if (r->who.admin || (ret->creator_id && ret->creator_id == r->who.user_id))
        return true;
    reply_forbidden(r, "No access granted");
    return false;
}

static int list_runners(struct api_req *r, struct runner_filter *f, bool own_only)
{
    struct runner *list;
    size_t n;
    f->type = -1;
    f->paused = req_has(r, "paused") ? (int)req_bool(r, "paused", false) : -1;
    enum runner_type type;
    if (req_has(r, "type") && runner_type_parse(req_str(r, "type", STR_NONE), &type))
        f->type = (int)type;
    REQ_TRY(r, runner_list(&r->tx, r->a, f, &r->page, &list, &n, &r->e), NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < n; i++)
        if (!own_only || list[i].creator_id == r->who.user_id)
            shape_runner(r, j, &list[i]);
    jout_end_array(j);
    reply_page(r);
    return reply_end(r);
}

static int runner_index(struct api_req *r)
{
    struct runner_filter f = {0};
    return list_runners(r, &f, !r->who.admin);
}

static int runner_index_all(struct api_req *r)
{
    struct runner_filter f = {0};
    return list_runners(r, &f, false);
}

static int runner_index_project(struct api_req *r)
{
    struct runner_filter f = {.project_id = r->project.id};
    return list_runners(r, &f, false);
}

static int show(struct api_req *r, const struct runner *row)
{
    struct runner_manager *managers;
    size_t n = 0;
    if (runner_manager_list(&r->tx, r->a, row->id, &managers, &n, NULL) < 0)
        n = 0;
    const struct runner_manager none = {0}, *last = &none;
    for (size_t i = 0; i < n; i++)
        if (managers[i].contacted_at >= last->contacted_at)
            last = &managers[i];
    struct jout *j = reply_begin(r);
    jout_object(j);
    shape_runner_fields(r, j, row);
    jout_key(j, "tag_list");
    jout_array(j);
    for (struct str rest = row->tag_list, tag; str_cut(&rest, ',', &tag);)
        if (tag.n)
            jout_str(j, tag);
    jout_end_array(j);
    jout_kbool(j, "run_untagged", row->run_untagged);
    jout_kbool(j, "locked", row->locked);
    jout_key(j, "maximum_timeout");
    if (row->maximum_timeout_s)
        jout_int(j, row->maximum_timeout_s);
    else
        jout_null(j);
    jout_kcstr(j, "access_level", row->ref_protected ? "ref_protected" : "not_protected");
    shape_kopt(j, "version", last->version);
    shape_kopt(j, "revision", last->revision);
    shape_kopt(j, "platform", last->platform);
    shape_kopt(j, "architecture", last->architecture);
    jout_ktime(j, "contacted_at", row->contacted_at);
    shape_kopt(j, "maintenance_note", row->maintenance_note);
    jout_key(j, "projects");
    jout_array(j);
    jout_end_array(j);
    jout_key(j, "groups");
    jout_array(j);
    jout_end_array(j);
    jout_end_object(j);
    return reply_status(r, 200);
}

static int runner_show(struct api_req *r)
{
    struct runner row;
    return find_runner(r, &row) ? show(r, &row) : HTTP_DONE;
}

static int do_update(struct tx *tx, struct api_req *r, void *arg)
{
    return runner_update(tx, arg, &r->e);
}

static int runner_put(struct api_req *r)
{
    struct runner row;
    if (!find_runner(r, &row))
        return HTTP_DONE;
    const struct param_value *tags = req_param(r, "tag_list");
    if (tags->set) {
        row.tags = tags->nlist ? tags->list : (struct str[]){STR_NONE};
        row.ntags = tags->nlist;
    }
    row.description = req_str(r, "description", row.description);
    row.maintenance_note = req_str(r, "maintenance_note", row.maintenance_note);
    row.paused =
        req_has(r, "active") ? !req_bool(r, "active", true) : req_bool(r, "paused", row.paused);
    row.run_untagged = req_bool(r, "run_untagged", row.run_untagged);
    row.locked = req_bool(r, "locked", row.locked);
    if (req_has(r, "access_level"))
        row.ref_protected = str_is(req_str(r, "access_level", STR_NONE), "ref_protected");
    row.maximum_timeout_s = req_int(r, "maximum_timeout", row.maximum_timeout_s);
    REQ_TRY(r, in_write(r, do_update, &row), "Runner");
    if (req_read(r, &r->e) < 0 || runner_get(&r->tx, r->a, row.id, &row, &r->e) < 0)
        return reply_err(r, "Runner");
    return show(r, &row);
}

static int runner_remove(struct api_req *r)
{
    struct runner row;
    if (!find_runner(r, &row))
        return HTTP_DONE;
    REQ_TRY(r, in_write(r, do_delete, &row), "Runner");
    return reply_empty(r, 204);
}

static int runner_reset(struct api_req *r)
{
    struct runner row;
    return find_runner(r, &row) ? reset_token(r, &row) : HTTP_DONE;
}

static int runner_jobs(struct api_req *r)
{
    struct runner row;
    if (!find_runner(r, &row))
        return HTTP_DONE;
    jout_array(reply_begin(r)); // the store has no index of jobs by runner yet
    jout_end_array(&r->j);
    reply_page(r);
    return reply_end(r);
}

#define SETTINGS                                                                                   \
    OPT("description", STR, "What it is.", .max = 1024),                                           \
        OPT("maintenance_note", STR, "A note for people.", .max = 1024),                           \
        OPT("tag_list", STRS, "Tags that jobs may ask for."),                                      \
        OPT("run_untagged", BOOL, "Takes jobs without tags."),                                     \
        OPT("locked", BOOL, "Stays with its projects."), OPT("paused", BOOL, "Takes no jobs."),    \
        OPT("access_level", STR, "ref_protected: only jobs of protected refs.",                    \
            .values = "not_protected|ref_protected"),                                              \
        OPT("maximum_timeout", INT, "Longest time of a job, seconds.")
#define TOKEN_PARAMS                                                                               \
    PARAMS(OPT("token", STR, "The runner's token."), OPT("system_id", STR, "Which machine."),      \
           OPT("info", JSON, "What the runner is."))
#define LIST_PARAMS                                                                                \
    PARAMS(OPT("type", STR, "Only these.", .values = "instance_type|group_type|project_type"),     \
           OPT("paused", BOOL, "Only paused ones, or only others."),                               \
           OPT("scope", STR, "Accepted."), OPT("status", STR, "Accepted."))

static const struct route routes[] = {
    ROUTE(POST, "/user/runners", runner_create, CREATE_RUNNER, USER, .reply = "runner_token",
          .doc = "Make a runner; its token is shown once.",
          PARAMS(REQ("runner_type", STR, "Whose jobs it takes.",
                     .values = "instance_type|group_type|project_type"),
                 OPT("group_id", INT, "Of a group runner."),
                 OPT("project_id", INT, "Of a project runner."), SETTINGS)),
    ROUTE(POST, "/runners", runner_register, NONE, ANYONE,
          .doc = "The old registration; answers 403 and says what to do.",
          PARAMS(OPT("token", STR, "A registration token."))),
    ROUTE(POST, "/runners/verify", runner_verify, NONE, ANYONE, .reply = "runner_token",
          .status = 200, .doc = "Tell whether a runner's token is good.", TOKEN_PARAMS),
    ROUTE(DELETE, "/runners", runner_unregister, NONE, ANYONE, .status = 204,
          .doc = "Remove a runner by its token.", TOKEN_PARAMS),
    ROUTE(DELETE, "/runners/managers", manager_unregister, NONE, ANYONE, .status = 204,
          .doc = "Forget one machine of a runner.", TOKEN_PARAMS),
    ROUTE(POST, "/runners/reset_authentication_token", runner_reset_own, NONE, ANYONE,
          .reply = "reset_token", .doc = "Replace a runner's token, by the token.", TOKEN_PARAMS),
    ROUTE(GET, "/runners/router/discovery", router_discovery, NONE, ANYONE, .status = 501,
          .doc = "Not offered."),
    ROUTE(GET, "/runners", runner_index, READ_API, USER, .reply = "runner[]", .paged = true,
          .doc = "List your runners.", LIST_PARAMS),
    ROUTE(GET, "/runners/all", runner_index_all, READ_API, ADMIN, .reply = "runner[]",
          .paged = true, .doc = "List all runners.", LIST_PARAMS),
    ROUTE(GET, "/runners/:runner_id", runner_show, READ_API, USER, .reply = "runner_details",
          .doc = "Show a runner."),
    ROUTE(PUT, "/runners/:runner_id", runner_put, API, USER, .reply = "runner_details",
          .doc = "Change a runner.",
          PARAMS(OPT("active", BOOL, "The opposite of paused."), SETTINGS)),
    ROUTE(DELETE, "/runners/:runner_id", runner_remove, API, USER, .status = 204,
          .doc = "Delete a runner."),
    ROUTE(POST, "/runners/:runner_id/reset_authentication_token", runner_reset, API, USER,
          .reply = "reset_token", .doc = "Replace a runner's token."),
    ROUTE(GET, "/runners/:runner_id/jobs", runner_jobs, READ_API, USER, .reply = "job[]",
          .paged = true, .doc = "List a runner's jobs."),
    ROUTE(GET, "/projects/:id/runners", runner_index_project, READ_API, MAINTAINER,
          .reply = "runner[]", .paged = true, .doc = "List runners that could run its jobs.",
          LIST_PARAMS),
};
const struct route_table runner_table = ROUTE_TABLE("Runners", routes);
