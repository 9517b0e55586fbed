// SPDX-License-Identifier: Apache-2.0
// The runner protocol's job half: asking for a job (long poll), reporting states, sending the
// trace. The engine (ci/engine.h) decides, the store keeps; this file speaks the protocol exactly
// as gitlab-runner does. Handlers run in request workers; a waiting request is parked on the topic
// "runners".
#include "api/pages.h"
#include "api/payload.h"
#include "api/runner_auth.h"
#include "api/tables.h"
#include "base/clock.h"
#include "ci/engine.h"
#include "git/read.h"
#include "store/blob.h"

#include <inttypes.h>

#define TRACE_PATCH_MAX MIB(8)

// ---- POST /jobs/request ----

static struct ci_runner_info info_of(struct api_req *r)
{
    const struct param_value *p = req_param(r, "info");
    const struct api_json *info = p->set ? p->json : NULL;
    return (struct ci_runner_info){
        .system_id = str_head(req_str(r, "system_id", STR_NONE), 64),
        .name = api_json_str(info, "name", STR_NONE),
        .version = api_json_str(info, "version", STR_NONE),
        .revision = api_json_str(info, "revision", STR_NONE),
        .platform = api_json_str(info, "platform", STR_NONE),
        .architecture = api_json_str(info, "architecture", STR_NONE),
        .executor = api_json_str(info, "executor", STR_NONE),
        .ip = http_remote(r->http),
        .can_cancel_gracefully =
            api_json_bool(api_json_get(info, "features"), "cancel_gracefully", false),
    };
}

// Notes when a runner was last heard of, at most once a minute. A failure is not the request's.
static void runner_seen(struct api_req *r, const struct runner *runner,
                        const struct ci_runner_info *info)
{
    bool due = false;
    if (runner_manager_due(&r->tx, runner->id, info->system_id, r->now, &due, NULL) < 0 || !due)
        return;
    req_end_read(r);
    struct runner_manager m = {
        .runner_id = runner->id,
        .system_id = info->system_id,
        .version = info->version,
        .revision = info->revision,
        .platform = info->platform,
        .architecture = info->architecture,
        .executor = info->executor,
        .ip = info->ip,
        .features = STR("{}"),
    };
    _autotx_ struct tx tx = TX_NONE;
    if (store_write(r->api->cfg.store, &tx, NULL) == 0 &&
        runner_manager_seen(&tx, &m, r->now, NULL) == 0 && tx_commit(&tx, NULL) < 0)
        return;
}

// The runner fetches refs/pipelines/ID: it must exist before the job starts, and keeps the commit
// alive.
static int pin_commit(struct api_req *r, const struct ci_claim *claim)
{
    struct project p;
    int rc = req_read(r, &r->e);
    if (rc == 0)
        rc = project_get(&r->tx, r->a, claim->project_id, &p, &r->e);
    if (rc < 0)
        return rc;
    r->project = p;
    _autorepo_ struct git_repo *repo = NULL;
    rc = git_repo_open(req_repo_path(r), &repo, &r->e);
    if (rc < 0)
        return rc;
    struct str ref = arena_strf(r->a, "refs/pipelines/%" PRId64, claim->pipeline_id);
    const char *sha;
    if (git_resolve(repo, ref, r->a, &sha, NULL, NULL) == 0 && str_is(claim->sha, sha))
        return 0;
    return git_ref_set(repo, ref, claim->sha, &r->e);
}

// The version of the queue that a 204 carries and the runner echoes. Every request looks at the
// queue itself, so the value only has to differ from one process to the next.
static struct str queue_version(struct api_req *r)
{
    return arena_strf(r->a, "%016" PRIx64, str_hash(STR("queue")));
}

static int no_job(struct api_req *r)
{
    http_set(r->http, "X-GitLab-Last-Update", queue_version(r));
    return reply_empty(r, 204);
}

static int job_request(struct api_req *r)
{
    http_watch(r->http, "runners");
    // The watch comes before the look: the snapshot of the dispatcher may be older than it.
    if (req_read(r, &r->e) < 0)
        return reply_err(r, NULL);
    struct runner runner;
    if (!runner_authenticate(r, &runner))
        return HTTP_DONE;
    struct ci_runner_info info = info_of(r);
    uint64_t *deadline = http_cursor(r->http);
    bool first = *deadline == 0;
    if (first) {
        *deadline = (uint64_t)(clock_ms() + r->api->cfg.poll_ms);
        runner_seen(r, &runner, &info);
        if (!r->tx.store && req_read(r, &r->e) < 0)
            return reply_err(r, NULL);
    }
    int64_t id;
    int rc = job_claimable(&r->tx, runner.id, &id, &r->e);
    req_end_read(r);
    struct ci_claim claim;
    // Nobody would hear of the job: it stays for another runner.
    if (rc == 0 && http_gone(r->http))
        return no_job(r);
    if (rc == 0)
        rc = ci_engine_request(r->api->cfg.engine, runner.id, &info, r->a, &claim, &r->e);
    if (rc == 0) {
        if (pin_commit(r, &claim) < 0) {
            struct err e = r->e;
            (void)!ci_engine_drop_job(r->api->cfg.engine, claim.job_id,
                                      STR("runner_system_failure"), &r->e);
            return reply_message(r, 500, "500 job %" PRId64 " could not be given out: %s",
                                 claim.job_id, e.msg);
        }
        payload_write(r, reply_begin(r), &claim);
        http_set(r->http, "X-GitLab-Last-Update", queue_version(r));
        reply_status(r, 201);
        // Without this the sweep would find it, some seconds later.
        if (http_failed(r->http))
            (void)!ci_engine_unclaim(r->api->cfg.engine, claim.job_id, claim.pipeline_id, NULL);
        return HTTP_DONE;
    }
    if (rc == E_CONFLICT || rc == E_BUSY)
        return reply_message(r, 409, "409 Conflict");
    if (rc != E_NOTFOUND)
        return reply_err(r, NULL);
    bool wait = str_eq(req_str(r, "last_update", STR_NONE), queue_version(r));
    if (!wait || http_timed_out(r->http) || http_stopping(r->http) ||
        clock_ms() >= (int64_t)*deadline)
        return no_job(r);
    return http_park(r->http, (int64_t)*deadline);
}

// ---- PUT /jobs/:id ----

// The trace must be what the runner sent, byte for byte. *ret_ok false: it has to send it again.
static int check_trace(struct api_req *r, const struct job *job, bool *ret_ok)
{
    *ret_ok = true;
    const struct param_value *p = req_param(r, "output");
    const struct api_json *output = p->set ? p->json : NULL;
    struct str checksum = api_json_str(output, "checksum", req_str(r, "checksum", STR_NONE));
    int64_t bytes = api_json_int(output, "bytesize", -1);
    if (!checksum.n && bytes < 0)
        return 0;
    uint32_t crc;
    int64_t size;
    struct store *store = r->api->cfg.store;
    TRY(trace_crc32(store, job->project_id, job->id, &crc, &size, &r->e));
    char have[24];
    snprintf(have, sizeof(have), "crc32:%08x", crc);
    if ((bytes >= 0 && bytes != size) ||
        (str_starts(checksum, STR("crc32:")) && !str_is(checksum, have))) {
        *ret_ok = false;
        return trace_reset(store, job->project_id, job->id, &r->e);
    }
    return 0;
}

// Tells people in the log why the server changed the runner's verdict.
static void trace_note(struct api_req *r, const struct job *job, const char *text)
{
    struct store *store = r->api->cfg.store;
    int64_t size;
    if (trace_size(store, job->project_id, job->id, &size, NULL) == 0)
        (void)!trace_append(store, job->project_id, job->id, size,
                            arena_strf(r->a, "\n\033[31;1mERROR: %s\033[0;m\n", text), INT64_MAX,
                            &size, NULL);
}

// A job that publishes a site succeeds only when the site is up.
static void publish_pages(struct api_req *r, const struct job *job, struct ci_job_update *u)
{
    struct str spec;
    struct api_json options;
    struct artifact archive;
    struct project p;
    struct err e = ERR_INIT;
    if (req_read(r, &e) < 0 || job_spec(&r->tx, r->a, job->id, &spec, &e) < 0)
        return;
    if (str_search(spec, STR("\"publish\"")) < 0) // almost every job
        return;
    int parsed = api_json_parse(r->a, spec, &options, &e);
    struct str root = parsed == 0 ? api_json_str(&options, "publish", STR_NONE) : STR("public");
    if (!root.n)
        return;
    int rc = parsed < 0 ? parsed : project_get(&r->tx, r->a, job->project_id, &p, &e);
    if (rc == 0) {
        rc = artifact_get(&r->tx, r->a, job->id, STR("archive"), r->now, &archive, &e);
        if (rc == E_NOTFOUND)
            rc = err_set(&e, E_INVALID,
                         "this job publishes a site, but it has no artifacts: add `artifacts: "
                         "paths: [%" PRISTR "]`",
                         STRARG(root));
    }
    req_end_read(r);
    if (rc == 0)
        rc = pages_publish(r->api, job, &archive, p.full_path, root, &e);
    if (rc < 0) {
        trace_note(r, job, e.msg);
        u->state = STR("failed");
        u->failure_reason = STR("unknown_failure");
    }
}

static int job_put(struct api_req *r)
{
    struct job job;
    if (!job_authenticate(r, &job))
        return HTTP_DONE;
    req_end_read(r);
    struct ci_job_update u = {
        .state = req_str(r, "state", STR_NONE),
        .failure_reason = req_str(r, "failure_reason", STR_NONE),
        .has_exit_code = req_has(r, "exit_code"),
        .exit_code = req_int(r, "exit_code", 0),
    };
    bool final = str_is(u.state, "success") || str_is(u.state, "failed");
    if (final) {
        bool ok;
        REQ_TRY(r, check_trace(r, &job, &ok), "Job");
        job_status_headers(r, job.status);
        if (!ok)
            return reply_message(r, 412,
                                 "412 Precondition Failed: the trace here is not what was "
                                 "sent; send it again from 0");
        REQ_TRY(r, trace_sync(r->api->cfg.store, job.project_id, job.id, &r->e), "Job");
    }
    if (str_is(u.state, "success") && job.status == CI_RUNNING)
        publish_pages(r, &job, &u);
    req_end_read(r);
    enum ci_status status;
    int rc = ci_engine_update_job(r->api->cfg.engine, job.id, &u, &status, &r->e);
    if (rc == E_CONFLICT) {
        job_status_headers(r, status);
        return reply_message(r, 409, "409 Conflict: %s", r->e.msg);
    }
    REQ_TRY(r, rc, "Job");
    job_status_headers(r, status);
    jout_int(reply_begin(r), job.id);
    return reply_status(r, 200);
}

// ---- PATCH /jobs/:id/trace ----

// "START-END", END inclusive, without a unit (gitlab-runner) or "bytes START-END/*".
static bool content_range(struct str s, int64_t *ret_start, int64_t *ret_end)
{
    s = str_trim(s);
    if (str_starts(s, STR("bytes ")))
        s = str_trim(str_from(s, 6));
    struct str start, end = s;
    if (!str_cut(&end, '-', &start) || !end.p)
        return false;
    ptrdiff_t slash = str_find(end, '/');
    if (slash >= 0)
        end = str_head(end, (size_t)slash);
    uint64_t a, b;
    if (!str_to_u64(start, &a) || !str_to_u64(end, &b) || b > INT64_MAX / 2 || b + 1 < a)
        return false;
    *ret_start = (int64_t)a;
    *ret_end = (int64_t)b;
    return true;
}

static void range_header(struct api_req *r, int64_t size)
{
    http_setf(r->http, "Range", "0-%" PRId64, size);
}

static int trace_patch(struct api_req *r)
{
    struct job job;
    if (!job_authenticate(r, &job))
        return HTTP_DONE;
    req_end_read(r);
    int64_t start, end, size = 0;
    if (!content_range(http_header(r->http, "Content-Range"), &start, &end))
        return reply_error(r, 400, "Missing or malformed header Content-Range: START-END");
    _autobuf_ struct buf body = BUF_INIT(TRACE_PATCH_MAX);
    http_body_limit(r->http, TRACE_PATCH_MAX);
    if (http_read_all(r->http, &body, &r->e) < 0)
        return reply_message(r, r->e.code == E_LIMIT ? 413 : 400, "%s", r->e.msg);
    if ((int64_t)body.n != end - start + 1)
        return reply_error(r, 400, "Content-Range tells %" PRId64 " bytes, the body has %zu",
                           end - start + 1, body.n);
    struct store *store = r->api->cfg.store;
    int64_t max = r->api->cfg.trace_max;
    int rc = trace_append(store, job.project_id, job.id, start, buf_str(&body), max, &size, &r->e);
    if (rc == E_CONFLICT) {
        range_header(r, size);
        job_status_headers(r, job.status);
        return reply_message(r, 416, "416 Range Not Satisfiable");
    }
    if (rc == E_LIMIT && start + (int64_t)body.n > max) {
        (void)!ci_engine_drop_job(r->api->cfg.engine, job.id, STR("trace_size_exceeded"), NULL);
        job_status_headers(r, CI_FAILED);
        return reply_forbidden(r, "the job's log is too large");
    }
    if (rc == E_LIMIT) {
        http_set(r->http, "Retry-After", STR("5"));
        return reply_message(r, 503, "503 %s", r->e.msg);
    }
    REQ_TRY(r, rc, "Job");
    enum ci_status status = job.status;
    if (ci_engine_touch_job(r->api->cfg.engine, job.id, &status, &r->e) < 0)
        status = job.status; // the bytes are kept; the sign of life comes with the next patch
    char topic[40];
    snprintf(topic, sizeof(topic), "job:%" PRId64, job.id);
    http_server_wake(http_call_server(r->http), topic);
    range_header(r, size);
    job_status_headers(r, status);
    return reply_message(r, 202, "0-%" PRId64, size);
}

static const struct route routes[] = {
    ROUTE(POST, "/jobs/request", job_request, NONE, ANYONE, .reply = "job_payload",
          .doc = "Ask for a job (runner token); waits until there is one.", .body_max = KIB(64),
          PARAMS(OPT("token", STR, "The runner's token."),
                 OPT("system_id", STR, "Which machine asks."),
                 OPT("last_update", STR, "X-GitLab-Last-Update of the last answer."),
                 OPT("info", JSON, "What the runner is and can do."),
                 OPT("session", JSON, "Its session server; not used."))),
    ROUTE(PUT, "/jobs/:job_id", job_put, NONE, ANYONE, .doc = "Report a job's state (job token).",
          .body_max = KIB(64),
          PARAMS(OPT("token", STR, "The job's token."),
                 REQ("state", STR, "The state.", .values = "pending|running|success|failed"),
                 OPT("info", JSON, "What the runner is."),
                 OPT("output", JSON, "checksum (crc32:%08x) and bytesize of the trace."),
                 OPT("checksum", STR, "The older place of the checksum."),
                 OPT("exit_code", INT, "Of the script."),
                 OPT("failure_reason", STR, "Why it failed."))),
    ROUTE(PATCH, "/jobs/:job_id/trace", trace_patch, NONE, ANYONE, .status = 202, .raw_body = true,
          .doc = "Append to a job's log (job token, Content-Range).",
          PARAMS(OPT("token", STR, "The job's token."), OPT("debug_trace", BOOL, "Accepted."))),
};
const struct route_table runner_job_table = ROUTE_TABLE("Jobs, by runners", routes);
