// SPDX-License-Identifier: Apache-2.0
// Pipelines of a project: listing, starting, canceling, retrying, deleting. The engine
// (ci/engine.h) does, this file reads requests and writes GitLab's shapes. Runs in request workers.
#include "api/jobs_api.h"
#include "api/shapes.h"
#include "api/tables.h"
#include "ci/engine.h"
#include "git/repo.h"

#include <inttypes.h>

static bool may_see(const struct api_req *r)
{
    return r->level >= ROLE_REPORTER || r->project.public_jobs;
}

static int find(struct api_req *r, struct pipeline *ret)
{
    int rc = pipeline_get(&r->tx, r->a, req_id(r, 1), ret, &r->e);
    if (rc == 0 && ret->project_id != r->project.id)
        rc = err_set(&r->e, E_NOTFOUND, "no such pipeline in this project");
    return rc;
}

static int reply_pipeline(struct api_req *r, int64_t id, int status)
{
    struct pipeline p;
    if (req_read(r, &r->e) < 0 || pipeline_get(&r->tx, r->a, id, &p, &r->e) < 0)
        return reply_err(r, "Pipeline");
    shape_pipeline(r, reply_begin(r), &p);
    return reply_status(r, status);
}

// `scope` groups states: running, pending, finished; branches and tags are not states.
static bool scope_statuses(struct str scope, struct pipeline_filter *f)
{
    if (str_is(scope, "running"))
        f->statuses = CI_BIT(CI_RUNNING);
    else if (str_is(scope, "pending"))
        f->statuses = CI_BIT(CI_PENDING);
    else if (str_is(scope, "finished"))
        f->statuses = CI_BIT(CI_SUCCESS) | CI_BIT(CI_FAILED) | CI_BIT(CI_CANCELED);
    else if (str_is(scope, "branches"))
        f->tag = 0;
    else if (str_is(scope, "tags"))
        f->tag = 1;
    else
        return false;
    return true;
}

static int pipeline_index(struct api_req *r)
{
    struct pipeline_filter f = {
        .project_id = r->project.id,
        .ref = req_str(r, "ref", STR_NONE),
        .sha = req_str(r, "sha", STR_NONE),
        .source = req_str(r, "source", STR_NONE),
        .username = req_str(r, "username", STR_NONE),
        .name = req_str(r, "name", STR_NONE),
        .tag = -1,
        .created_after = req_int(r, "created_after", 0),
        .created_before = req_int(r, "created_before", 0),
        .updated_after = req_int(r, "updated_after", 0),
        .updated_before = req_int(r, "updated_before", 0),
        .by_updated = str_is(req_str(r, "order_by", STR_NONE), "updated_at"),
        .ascending = str_is(req_str(r, "sort", STR_NONE), "asc"),
    };
    enum ci_status status;
    if (!may_see(r))
        return reply_forbidden(r, NULL);
    if (req_has(r, "scope"))
        scope_statuses(req_str(r, "scope", STR_NONE), &f);
    if (req_has(r, "status")) {
        if (!ci_status_parse(req_str(r, "status", STR_NONE), &status))
            return reply_error(r, 400, "status does not have a valid value");
        f.statuses = CI_BIT(status);
    }
    struct pipeline *list;
    size_t n;
    REQ_TRY(r, pipeline_list(&r->tx, r->a, &f, &r->page, &list, &n, &r->e), NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < n; i++)
        shape_pipeline_basic(r, j, &list[i]);
    jout_end_array(j);
    reply_page(r);
    return reply_end(r);
}

static int pipeline_show(struct api_req *r)
{
    struct pipeline p;
    if (!may_see(r))
        return reply_forbidden(r, NULL);
    REQ_TRY(r, find(r, &p), "Pipeline");
    shape_pipeline(r, reply_begin(r), &p);
    return reply_end(r);
}

static int pipeline_newest(struct api_req *r)
{
    struct pipeline p;
    if (!may_see(r))
        return reply_forbidden(r, NULL);
    struct str ref = req_str(r, "ref", r->project.default_branch);
    REQ_TRY(r, pipeline_latest(&r->tx, r->a, r->project.id, ref, STR_NONE, 0, &p, &r->e),
            "Pipeline");
    shape_pipeline(r, reply_begin(r), &p);
    return reply_end(r);
}

static int bad_variables(struct api_req *r)
{
    return err_set(&r->e, E_INVALID,
                   "variables must be a list of {\"key\":..., \"value\":...} or an object");
}

#define VARIABLES_MAX 200

// A list of {key, value, variable_type}, or (as triggers send it) an object of names and values.
int pipeline_read_variables(struct api_req *r, const char *name, struct ci_var **ret, size_t *ret_n)
{
    const struct param_value *v = req_param(r, name);
    const struct api_json *json = v->set && !v->null ? v->json : NULL;
    *ret = NULL;
    *ret_n = 0;
    if (!json || json->type == AJ_NULL)
        return 0;
    if (json->type != AJ_ARRAY && json->type != AJ_OBJECT)
        return bad_variables(r);
    size_t n = (size_t)(json->end - json->item);
    if (n > VARIABLES_MAX)
        return err_set(&r->e, E_INVALID, "more than %d variables", VARIABLES_MAX);
    struct ci_var *vars = ARENA_ARRAY(r->a, struct ci_var, n + 1);
    for (size_t i = 0; i < n; i++) {
        const struct api_json *one = &json->item[i];
        struct ci_var *var = &vars[i];
        var->level = CI_VAR_PIPELINE;
        if (json->type == AJ_OBJECT) {
            if (one->type >= AJ_ARRAY)
                return bad_variables(r);
            var->key = one->key;
            var->value = one->text;
        } else {
            if (one->type != AJ_OBJECT)
                return bad_variables(r);
            var->key = api_json_str(one, "key", STR_NONE);
            var->value = api_json_str(one, "value", STR(""));
            var->file = str_is(api_json_str(one, "variable_type", STR_NONE), "file");
            var->raw = api_json_bool(one, "raw", false);
        }
        TRY(variable_key_check(var->key, &r->e));
        if (!var->value.p)
            var->value = STR("");
    }
    *ret = vars;
    *ret_n = n;
    return 0;
}

static int base_error(struct api_req *r)
{
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_key(j, "message");
    jout_object(j);
    jout_key(j, "base");
    jout_array(j);
    jout_cstr(j, r->e.msg);
    jout_end_array(j);
    jout_end_object(j);
    jout_end_object(j);
    return reply_status(r, 400);
}

static int pipeline_create(struct api_req *r)
{
    struct ci_var *vars;
    size_t n;
    int64_t id;
    REQ_TRY(r, pipeline_read_variables(r, "variables", &vars, &n), NULL);
    struct str ref = req_str(r, "ref", STR_NONE);
    bool is_protected = false;
    struct protection rule = {0};
    REQ_TRY(
        r,
        access_ref_protected(&r->tx, r->a, r->project.id, false, ref, &is_protected, &rule, &r->e),
        NULL);
    if (is_protected && r->level < (rule.push_level ? rule.push_level : ROLE_MAINTAINER) &&
        r->level < (rule.merge_level ? rule.merge_level : ROLE_MAINTAINER)) {
        err_set(&r->e, E_INVALID,
                "You do not have sufficient permission to run a pipeline on "
                "'%" PRISTR "'. Please select a different branch or contact "
                "your administrator for assistance.",
                STRARG(str_head(ref, 200)));
        return base_error(r);
    }
    req_end_read(r);
    int rc = ci_engine_create(r->api->cfg.engine, r->project.id, r->who.user_id, ref, STR("api"),
                              vars, n, &id, &r->e);
    if (rc == E_NOTFOUND)
        err_set(&r->e, E_INVALID, "Reference not found");
    if (rc == E_INVALID || rc == E_NOTFOUND || rc == E_LIMIT)
        return base_error(r);
    REQ_TRY(r, rc, "Pipeline");
    return reply_pipeline(r, id, 201);
}

static int pipeline_jobs(struct api_req *r)
{
    struct pipeline p;
    if (!may_see(r))
        return reply_forbidden(r, NULL);
    REQ_TRY(r, find(r, &p), "Pipeline");
    return jobs_reply_list(r, p.id);
}

// There are no bridges yet: an empty list is the truth.
static int pipeline_bridges(struct api_req *r)
{
    struct pipeline p;
    if (!may_see(r))
        return reply_forbidden(r, NULL);
    REQ_TRY(r, find(r, &p), "Pipeline");
    jout_array(reply_begin(r));
    jout_end_array(&r->j);
    reply_page(r);
    return reply_end(r);
}

static int pipeline_variables(struct api_req *r)
{
    struct pipeline p;
    struct str config, text;
    struct api_json list = {0};
    REQ_TRY(r, find(r, &p), "Pipeline");
    REQ_TRY(r, pipeline_config(&r->tx, r->a, p.id, &config, &text, &r->e), "Pipeline");
    if (text.n)
        REQ_TRY(r, api_json_parse(r->a, text, &list, &r->e), NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (const struct api_json *v = list.item; list.type == AJ_ARRAY && v < list.end; v++) {
        jout_object(j);
        jout_kcstr(j, "variable_type", api_json_bool(v, "file", false) ? "file" : "env_var");
        jout_kstr(j, "key", api_json_str(v, "key", STR("")));
        jout_kstr(j, "value", api_json_str(v, "value", STR("")));
        jout_kbool(j, "raw", api_json_bool(v, "raw", false));
        jout_end_object(j);
    }
    jout_end_array(j);
    return reply_end(r);
}

static int pipeline_cancel(struct api_req *r)
{
    struct pipeline p;
    REQ_TRY(r, find(r, &p), "Pipeline");
    req_end_read(r);
    REQ_TRY(r, ci_engine_cancel_pipeline(r->api->cfg.engine, p.id, &r->e), "Pipeline");
    return reply_pipeline(r, p.id, 200);
}

static int pipeline_retry(struct api_req *r)
{
    struct pipeline p;
    REQ_TRY(r, find(r, &p), "Pipeline");
    req_end_read(r);
    REQ_TRY(r, ci_engine_retry_pipeline(r->api->cfg.engine, p.id, r->who.user_id, &r->e),
            "Pipeline");
    return reply_pipeline(r, p.id, 201);
}

static int pipeline_remove(struct api_req *r)
{
    struct pipeline p;
    REQ_TRY(r, find(r, &p), "Pipeline");
    req_end_read(r);
    // Runners must not keep working for something that is gone.
    if (!ci_status_in(p.status, CI_SET_FINISHED))
        REQ_TRY(r, ci_engine_cancel_pipeline(r->api->cfg.engine, p.id, &r->e), "Pipeline");
    _autotx_ struct tx tx = TX_NONE;
    REQ_TRY(r, store_write(r->api->cfg.store, &tx, &r->e), NULL);
    REQ_TRY(r, pipeline_delete(&tx, p.id, &r->e), "Pipeline");
    REQ_TRY(r, tx_commit(&tx, &r->e), "Pipeline");
    _autorepo_ struct git_repo *repo = NULL;
    if (git_repo_open(req_repo_path(r), &repo, NULL) == 0)
        (void)!git_ref_delete(repo, arena_strf(r->a, "refs/pipelines/%" PRId64, p.id), STR_NONE,
                              NULL);
    return reply_empty(r, 204);
}

static const struct route routes[] = {
    ROUTE(
        GET, "/projects/:id/pipelines", pipeline_index, READ_API, GUEST,
        .reply = "pipeline_basic[]", .paged = true, .doc = "List pipelines, newest first.",
        PARAMS(OPT("scope", STR, "Only these.", .values = "running|pending|finished|branches|tags"),
               OPT("status", STR, "Only in this state."), OPT("ref", STR, "Only of this ref."),
               OPT("sha", STR, "Only of this commit."), OPT("source", STR, "Only started so."),
               OPT("username", STR, "Only of this user."), OPT("name", STR, "Only of this name."),
               OPT("yaml_errors", BOOL, "Accepted."), OPT("created_after", TIME, "Made after."),
               OPT("created_before", TIME, "Made before."),
               OPT("updated_after", TIME, "Changed after."),
               OPT("updated_before", TIME, "Changed before."),
               OPT("order_by", STR, "Order.", .values = "id|status|ref|updated_at|user_id"),
               OPT("sort", STR, "Direction.", .values = "asc|desc"))),
    ROUTE(GET, "/projects/:id/pipelines/latest", pipeline_newest, READ_API, GUEST,
          .reply = "pipeline", .doc = "Show the newest pipeline of a ref.",
          PARAMS(OPT("ref", STR, "Branch or tag; the default branch when missing."))),
    ROUTE(GET, "/projects/:id/pipelines/:pipeline_id", pipeline_show, READ_API, GUEST,
          .reply = "pipeline", .job_token = true, .doc = "Show a pipeline."),
    ROUTE(POST, "/projects/:id/pipeline", pipeline_create, API, DEVELOPER, .reply = "pipeline",
          .doc = "Start a pipeline.",
          PARAMS(REQ("ref", STR, "Branch or tag.", .max = 1024),
                 OPT("variables", JSON, "List of {key, value, variable_type}."),
                 OPT("inputs", JSON, "Not supported yet; ignored."))),
    ROUTE(GET, "/projects/:id/pipelines/:pipeline_id/jobs", pipeline_jobs, READ_API, GUEST,
          .reply = "job[]", .paged = true, .doc = "List a pipeline's jobs.",
          PARAMS(OPT("scope", STRS, "Only in these states."),
                 OPT("include_retried", BOOL, "Those that were retried, too."))),
    ROUTE(GET, "/projects/:id/pipelines/:pipeline_id/bridges", pipeline_bridges, READ_API, GUEST,
          .reply = "any[]", .paged = true, .doc = "List a pipeline's bridges: none yet.",
          PARAMS(OPT("scope", STRS, "Accepted."))),
    ROUTE(GET, "/projects/:id/pipelines/:pipeline_id/variables", pipeline_variables, READ_API,
          MAINTAINER, .reply = "pipeline_variable[]", .doc = "List the variables it was given."),
    ROUTE(POST, "/projects/:id/pipelines/:pipeline_id/cancel", pipeline_cancel, API, DEVELOPER,
          .reply = "pipeline", .status = 200, .doc = "Cancel a pipeline's jobs."),
    ROUTE(POST, "/projects/:id/pipelines/:pipeline_id/retry", pipeline_retry, API, DEVELOPER,
          .reply = "pipeline", .doc = "Start failed and canceled jobs again."),
    ROUTE(DELETE, "/projects/:id/pipelines/:pipeline_id", pipeline_remove, API, OWNER,
          .status = 204, .doc = "Delete a pipeline with logs and artifacts."),
};
const struct route_table pipeline_table = ROUTE_TABLE("Pipelines", routes);
