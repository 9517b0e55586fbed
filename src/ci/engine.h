// SPDX-License-Identifier: Apache-2.0
// The engine: makes pipelines from pushes and requests, moves their jobs forward, hands jobs to
// runners. Every operation is one transaction of the store; its wakes (store_on_wake: "runners",
// "job:<id>", "pipeline:<id>") go out after the commit, never before. May be called from any worker
// thread at once; the engine holds no state that the store does not have, so nothing is lost when
// the process dies. The caller has no transaction open.
#pragma once

#include "ci/plan.h"

struct store;
struct ci_engine;

struct ci_engine_config {
    struct store *store;
    // Reads a file of a commit into `into` (which has a ceiling): E_NOTFOUND when the commit has no
    // such file. Called outside any transaction.
    int (*fetch)(void *ctx, int64_t project_id, struct str sha, struct str path, struct buf *into,
                 struct err *e);
    // Resolves a branch's or tag's name (tag says which was found) to a commit; E_NOTFOUND.
    int (*resolve)(void *ctx, int64_t project_id, struct str ref, char ret_sha[65], bool *ret_tag,
                   struct err *e);
    // The commit's message, author ("Name <mail>") and time (RFC 3339), in memory of `a`.
    int (*commit)(void *ctx, int64_t project_id, struct str sha, struct arena *a,
                  struct str *ret_message, struct str *ret_author, struct str *ret_time,
                  struct err *e);
    void *git_ctx;
    const char *external_url;  // "http://localhost:8080", no trailing slash
    const char *pages_domain;  // "pages.localhost:8080"
    int64_t default_timeout_s; // of a job; 3600
    int64_t default_expire_s;  // of artifacts; 30 days; 0: never
    int64_t stuck_running_s;   // a running job without a word from its runner; 600
    int64_t stuck_pending_s;   // a pending job that no runner took; 24 h
    int64_t canceling_s;       // a canceling job whose runner does not answer; 300
    // So long after a start nobody counts as silent or late: the server itself was away, and
    // runners need a moment to find it again. 60; negative: none.
    int64_t restart_grace_s;
};

struct forge;
// Fills fetch, resolve, commit and git_ctx: repositories on this disk, below the forge's folder.
void ci_engine_use_git(struct ci_engine_config *cfg, struct forge *f);

int ci_engine_new(const struct ci_engine_config *cfg, struct ci_engine **ret,
                  struct err *e) MUST_USE;
void ci_engine_free(struct ci_engine *en);

// ---- pipelines ----

struct ci_push {
    int64_t event_id; // row of store/pushes.h, marked as handled in the same transaction; 0: none
    int64_t project_id;
    int64_t user_id;
    struct str ref;            // full: "refs/heads/main", "refs/tags/v1"
    struct str before, after;  // hex; zeros when created or deleted
    bool skip;                 // push option ci.skip
    const struct ci_var *vars; // push option ci.variable
    size_t nvars;
};
// Makes the pipeline of a push: reads .gitlab-ci.yml at `after`. *ret_id is 0 when there is none
// to make (deleted ref, no file, no job after rules). A file with errors makes a pipeline that
// failed with config_error; `[skip ci]` makes a skipped one. E_CONFLICT: the event was handled
// before; nothing was made.
int ci_engine_push(struct ci_engine *en, const struct ci_push *p, int64_t *ret_id,
                   struct err *e) MUST_USE;

// Makes the pipelines of push events that nobody has handled yet, oldest first, at most `most`.
// Call on the wake "pushes" and at start; any thread, also several at once. *ret_n is how many it
// took. An event that cannot be handled now (disk full) stays and is the error.
int ci_engine_take_pushes(struct ci_engine *en, size_t most, size_t *ret_n, struct err *e) MUST_USE;

// Starts a pipeline on a branch or tag by hand ("web", "api", "trigger", "schedule"). Unlike a push
// it fails with E_INVALID when there would be no pipeline, and says why. `vars` are given at level
// CI_VAR_PIPELINE.
int ci_engine_create(struct ci_engine *en, int64_t project_id, int64_t user_id, struct str ref,
                     struct str source, const struct ci_var *vars, size_t nvars, int64_t *ret_id,
                     struct err *e) MUST_USE;

int ci_engine_cancel_pipeline(struct ci_engine *en, int64_t pipeline_id, struct err *e) MUST_USE;
// Starts failed and canceled jobs again.
int ci_engine_retry_pipeline(struct ci_engine *en, int64_t pipeline_id, int64_t user_id,
                             struct err *e) MUST_USE;

// ---- jobs, by people ----

// E_CONFLICT: its state does not allow it (the message says which state).
int ci_engine_cancel_job(struct ci_engine *en, int64_t job_id, struct err *e) MUST_USE;
// The new job that replaces the old one; the old one is marked retried.
int ci_engine_retry_job(struct ci_engine *en, int64_t job_id, int64_t user_id, int64_t *ret_id,
                        struct err *e) MUST_USE;
// Starts a manual job. `vars` (level CI_VAR_PIPELINE) may be NULL. *ret_id is the job that runs
// (another one when it had already run).
int ci_engine_play_job(struct ci_engine *en, int64_t job_id, int64_t user_id,
                       const struct ci_var *vars, size_t nvars, int64_t *ret_id,
                       struct err *e) MUST_USE;

// ---- jobs, by runners ----

struct ci_runner_info { // what a request for a job tells; all optional
    struct str system_id, name, version, revision, platform, architecture, executor, ip;
    bool can_cancel_gracefully; // feature cancel_gracefully
};

struct ci_dependency {
    int64_t job_id;
    struct str name, token; // the token lets the runner read that job's artifacts
    struct str filename;
    int64_t size;
};

// Everything that the payload of `POST /jobs/request` needs. Strings live in the arena.
struct ci_claim {
    int64_t job_id, pipeline_id, project_id, namespace_id, root_namespace_id, user_id;
    struct str token; // clear text, only here: the store keeps its hash
    struct str name, stage, project_name, project_path;
    struct str sha, before_sha, ref;
    bool tag, protected_ref;
    int64_t timeout_s;
    double queued_s;
    struct ci_var *vars; // resolved order, low to high; not yet expanded: the runner does that
    size_t nvars;
    struct ci_lines script; // before_script and script together
    struct ci_lines after_script;
    struct ci_artifacts artifacts; // .set false: none
    struct ci_dependency *deps;
    size_t ndeps;
    struct ci_lines notes; // lines for the head of the trace, e.g. that `image` is ignored
    bool trace_sections;
    struct str repo_url; // with the token: http://gitlab-ci-token:TOKEN@host/group/project.git
};

// Takes the oldest pending job that this runner may run. E_NOTFOUND: none now. Two runners never
// get the same job.
int ci_engine_request(struct ci_engine *en, int64_t runner_id, const struct ci_runner_info *info,
                      struct arena *a, struct ci_claim *ret, struct err *e) MUST_USE;
// Gives a claimed job back: its answer did not reach the runner. E_CONFLICT when the runner was
// heard of since.
int ci_engine_unclaim(struct ci_engine *en, int64_t job_id, int64_t pipeline_id,
                      struct err *e) MUST_USE;

struct ci_job_update {
    struct str state;          // "running", "success", "failed", "canceled", "pending" (keep-alive)
    struct str failure_reason; // of failed
    bool has_exit_code;
    int64_t exit_code;
};
// What a runner reports. *ret_status is the job's status afterwards (the `Job-Status` header).
// Reporting the same end twice is fine; a job that ended otherwise gives E_CONFLICT.
int ci_engine_update_job(struct ci_engine *en, int64_t job_id, const struct ci_job_update *u,
                         enum ci_status *ret_status, struct err *e) MUST_USE;
// A sign of life (trace, keep-alive) without another change.
int ci_engine_touch_job(struct ci_engine *en, int64_t job_id, enum ci_status *ret_status,
                        struct err *e) MUST_USE;
// Fails a job for a reason of the server's ("trace_size_exceeded", ...).
int ci_engine_drop_job(struct ci_engine *en, int64_t job_id, struct str reason,
                       struct err *e) MUST_USE;

// When artifacts that a runner uploads now expire (wall ms, 0: never). `expire_in` is what the
// upload said (may be empty: the instance's default).
int64_t ci_engine_artifacts_expire_at(struct ci_engine *en, struct str expire_in);

// ---- housekeeping ----

// Ends what would hang: running jobs whose runner fell silent, jobs past their timeout, pending
// jobs that nobody takes, canceling jobs that nobody confirms; processes pipelines that have work
// left. Call about every 10 s and once at start. *ret_ms_next (may be NULL): when to call again.
int ci_engine_sweep(struct ci_engine *en, int64_t *ret_ms_next, struct err *e) MUST_USE;
