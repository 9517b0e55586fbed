// SPDX-License-Identifier: Apache-2.0
// Jobs as people see them: listing, log, and the buttons cancel, retry, play, erase. The engine
// (ci/engine.h) does; this file reads requests and writes GitLab's shapes. Runs in request workers.
#include "api/jobs_api.h"
#include "api/shapes.h"
#include "api/tables.h"
#include "ci/engine.h"
#include "os/fd.h"
#include "store/blob.h"

#include <unistd.h>

static bool may_see(const struct api_req *r)
{
    return r->level >= ROLE_REPORTER || r->project.public_jobs;
}

static int find(struct api_req *r, struct job *ret)
{
    int rc = job_get(&r->tx, r->a, req_id(r, 1), ret, &r->e);
    if (rc == 0 && ret->project_id != r->project.id)
        rc = err_set(&r->e, E_NOTFOUND, "no such job in this project");
    return rc;
}

int jobs_reply_list(struct api_req *r, int64_t pipeline_id)
{
    const struct param_value *scope = req_param(r, "scope");
    unsigned statuses = 0;
    for (size_t i = 0; i < scope->nlist; i++) {
        enum ci_status s;
        if (!ci_status_parse(scope->list[i], &s))
            return reply_error(r, 400, "scope does not have a valid value");
        statuses |= CI_BIT(s);
    }
    struct job *list;
    size_t n;
    bool retried = !pipeline_id || req_bool(r, "include_retried", false);
    REQ_TRY(r,
            job_list(&r->tx, r->a, r->project.id, pipeline_id, statuses, retried, &r->page, &list,
                     &n, &r->e),
            NULL);
    struct jout *j = reply_begin(r);
    struct shape_jobs shared = {0};
    jout_array(j);
    for (size_t i = 0; i < n; i++)
        shape_job(r, j, &list[i], &shared);
    jout_end_array(j);
    shape_jobs_done(&shared);
    reply_page(r);
    return reply_end(r);
}

static int reply_job(struct api_req *r, const struct job *job, int status)
{
    struct shape_jobs shared = {0};
    shape_job(r, reply_begin(r), job, &shared);
    shape_jobs_done(&shared);
    return reply_status(r, status);
}

static int reply_job_again(struct api_req *r, int64_t id, int status)
{
    struct job job;
    if (req_read(r, &r->e) < 0 || job_get(&r->tx, r->a, id, &job, &r->e) < 0)
        return reply_err(r, "Job");
    return reply_job(r, &job, status);
}

static int job_index(struct api_req *r)
{
    return may_see(r) ? jobs_reply_list(r, 0) : reply_forbidden(r, NULL);
}

static int job_show(struct api_req *r)
{
    struct job job;
    if (!may_see(r))
        return reply_forbidden(r, NULL);
    REQ_TRY(r, find(r, &job), "Job");
    return reply_job(r, &job, 200);
}

static int job_own(struct api_req *r)
{
    struct job job;
    if (r->who.kind != ACTOR_JOB)
        return reply_message(r, 401, "401 Unauthorized");
    REQ_TRY(r, job_get(&r->tx, r->a, r->who.job_id, &job, &r->e), "Job");
    REQ_TRY(r, project_get(&r->tx, r->a, job.project_id, &r->project, &r->e), "Project");
    return reply_job(r, &job, 200);
}

static int job_trace(struct api_req *r)
{
    struct job job;
    if (!may_see(r))
        return reply_forbidden(r, NULL);
    REQ_TRY(r, find(r, &job), "Job");
    req_end_read(r);
    http_set(r->http, "X-Content-Type-Options", STR("nosniff"));
    _cleanup_(fd_closep) int fd = -1;
    int64_t size = 0;
    int rc =
        blob_open(r->api->cfg.store, trace_path(r->a, job.project_id, job.id), &fd, &size, &r->e);
    if (rc == E_NOTFOUND || (rc == 0 && size == 0)) {
        http_send(r->http, "text/plain; charset=utf-8", STR(""));
        return HTTP_DONE;
    }
    REQ_TRY(r, rc, "Job");
    REQ_TRY(r, http_send_file(r->http, "text/plain; charset=utf-8", fd, 0, size, &r->e), "Job");
    return HTTP_DONE;
}

// What the engine refuses for a job's state is 403 in GitLab, with the reason.
static int reply_refused(struct api_req *r, int rc)
{
    if (rc == E_CONFLICT)
        return reply_message(r, 403, "403 Forbidden - %s", r->e.msg);
    return reply_err(r, "Job");
}

static int job_cancel(struct api_req *r)
{
    struct job job;
    REQ_TRY(r, find(r, &job), "Job");
    req_end_read(r);
    int rc = ci_engine_cancel_job(r->api->cfg.engine, job.id, &r->e);
    return rc < 0 ? reply_refused(r, rc) : reply_job_again(r, job.id, 201);
}

static int job_retry(struct api_req *r)
{
    struct job job;
    int64_t id;
    REQ_TRY(r, find(r, &job), "Job");
    req_end_read(r);
    int rc = ci_engine_retry_job(r->api->cfg.engine, job.id, r->who.user_id, &id, &r->e);
    return rc < 0 ? reply_refused(r, rc) : reply_job_again(r, id, 201);
}

static int job_play(struct api_req *r)
{
    struct job job;
    struct ci_var *vars;
    size_t n;
    int64_t id;
    REQ_TRY(r, find(r, &job), "Job");
    REQ_TRY(r, pipeline_read_variables(r, "job_variables_attributes", &vars, &n), NULL);
    if (job.status != CI_MANUAL && job.status != CI_SCHEDULED)
        return reply_message(r, 400, "400 Bad request - Unplayable Job");
    req_end_read(r);
    int rc = ci_engine_play_job(r->api->cfg.engine, job.id, r->who.user_id, vars, n, &id, &r->e);
    return rc < 0 ? reply_refused(r, rc) : reply_job_again(r, id, 200);
}

static int erase(struct api_req *r, const struct job *job)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(r->api->cfg.store, &tx, &r->e));
    TRY(job_erase(&tx, job->id, r->now, &r->e));
    TRY(tx_commit(&tx, &r->e));
    return trace_reset(r->api->cfg.store, job->project_id, job->id, &r->e);
}

static int job_erase_(struct api_req *r)
{
    struct job job;
    REQ_TRY(r, find(r, &job), "Job");
    if (!ci_status_in(job.status, CI_SET_FINISHED) || job.erased_at)
        return reply_forbidden(r, "Job is not erasable!");
    req_end_read(r);
    REQ_TRY(r, erase(r, &job), "Job");
    return reply_job_again(r, job.id, 201);
}

static const struct route routes[] = {
    ROUTE(GET, "/projects/:id/jobs", job_index, READ_API, GUEST, .reply = "job[]", .paged = true,
          .doc = "List a project's jobs, newest first.",
          PARAMS(OPT("scope", STRS, "Only in these states."))),
    ROUTE(GET, "/projects/:id/jobs/:job_id", job_show, READ_API, GUEST, .reply = "job",
          .job_token = true, .doc = "Show a job."),
    ROUTE(GET, "/job", job_own, SELF, ANYONE, .reply = "job", .job_token = true,
          .doc = "Show the job whose token this is."),
    ROUTE(GET, "/projects/:id/jobs/:job_id/trace", job_trace, READ_API, GUEST,
          .reply_type = "text/plain", .doc = "Show a job's log."),
    ROUTE(POST, "/projects/:id/jobs/:job_id/cancel", job_cancel, API, DEVELOPER, .reply = "job",
          .doc = "Cancel a job.", PARAMS(OPT("force", BOOL, "Accepted."))),
    ROUTE(POST, "/projects/:id/jobs/:job_id/retry", job_retry, API, DEVELOPER, .reply = "job",
          .doc = "Run a job again, as a new one."),
    ROUTE(POST, "/projects/:id/jobs/:job_id/play", job_play, API, DEVELOPER, .reply = "job",
          .status = 200, .doc = "Start a manual job.",
          PARAMS(OPT("job_variables_attributes", JSON, "List of {key, value}."))),
    ROUTE(POST, "/projects/:id/jobs/:job_id/erase", job_erase_, API, MAINTAINER, .reply = "job",
          .doc = "Erase a finished job's log and artifacts."),
};
const struct route_table job_table = ROUTE_TABLE("Jobs", routes);
