// SPDX-License-Identifier: Apache-2.0
// Jobs as rows, and the queue that runners take them from.
//
// Life: created -> (manual | scheduled | waiting_for_resource | preparing) -> pending -> running ->
// (canceling) -> success | failed | canceled; or skipped. All changes of status go through
// job_move, job_claim or job_finish, which change a row only from a state they name: two threads
// (or a late runner) cannot both succeed. Each wakes "job:<id>" and "pipeline:<pipeline id>"; a job
// that becomes pending also wakes "runners".
//
// A retry is a new row with the same name in the same pipeline; the old one gets `retried`.
#pragma once

#include "store/status.h"
#include "store/store.h"

enum job_when {
    WHEN_ON_SUCCESS,
    WHEN_ON_FAILURE,
    WHEN_ALWAYS,
    WHEN_MANUAL,
    WHEN_DELAYED,
    WHEN_NEVER
};
const char *job_when_name(enum job_when w); // "on_success"
bool job_when_parse(struct str name, enum job_when *ret) MUST_USE;

struct job_need {
    struct str name; // of the job in the same pipeline; its newest row counts
    bool artifacts;
    bool optional;
};

struct job {
    int64_t id, pipeline_id, project_id;
    struct str name;
    struct str stage;
    int stage_idx;
    int position; // order within the file
    enum ci_status status;
    enum job_when when;
    bool allow_failure;
    bool dag; // has `needs` (also an empty list): does not wait for stages
    bool interruptible;
    bool retried;          // a newer row took its place
    int64_t retry_of;      // the row this one replaces, or 0
    int attempt;           // 0: first
    int retry_max;         // automatic retries allowed
    struct str retry_when; // comma list of reasons, "always"
    bool trigger;          // runs on no runner
    struct str ref;        // of the pipeline
    bool tag;              // a tag pipeline
    bool protected_ref;    // may run on ref_protected runners, sees protected variables
    struct str sha;
    struct str tag_list; // runner tags, comma separated, sorted
    int64_t timeout_s;   // 0: the project's
    int64_t start_at;    // delayed: when; else 0
    struct str resource_group;
    struct str environment;
    int64_t user_id;
    int64_t runner_id;    // 0: none yet
    struct str system_id; // of the runner's manager
    struct str failure_reason;
    int exit_code;   // -1: none
    double coverage; // percent; negative: none
    struct str coverage_regex;
    int64_t trace_size; // bytes, set at the end (while running: store/blob.h)
    struct str trace_checksum;
    int64_t created_at, updated_at, queued_at, started_at, finished_at, erased_at;
    int64_t acked_at; // first sign of life from the runner after the claim; 0: none
    int64_t seen_at;  // latest sign of life, coarse (job_seen)
    int64_t spec_id;

    // For insertion only; read with job_spec() and job_needs().
    struct str
        spec; // JSON: script, variables, artifacts ... what the runner's payload is made from
    const struct job_need *needs;
    size_t nneeds;
    const struct str *tags;
    size_t ntags;
};

// Fills id, spec_id and times (not tag_list). Writes spec, needs and tags too. With spec_id set the
// spec is shared (a retry keeps its configuration) and `spec` ignored. A job inserted as pending
// gets queued_at.
int job_insert(struct tx *tx, struct job *j, int64_t now, struct err *e) MUST_USE;
// A new row like `id` (same spec, needs, tags; attempt + 1) in state `status`; marks the old one
// retried. E_CONFLICT when it was retried before.
int job_insert_retry(struct tx *tx, struct arena *a, int64_t id, enum ci_status status,
                     int64_t user_id, int64_t now, struct job *ret, struct err *e) MUST_USE;
int job_get(struct tx *tx, struct arena *a, int64_t id, struct job *ret, struct err *e) MUST_USE;
int job_spec(struct tx *tx, struct arena *a, int64_t id, struct str *ret, struct err *e) MUST_USE;
int job_needs(struct tx *tx, struct arena *a, int64_t id, struct job_need **ret, size_t *ret_n,
              struct err *e) MUST_USE;
// Needs of all jobs of a pipeline at once, by job id.
struct job_edge {
    int64_t job_id;
    struct job_need need;
};
int job_edges(struct tx *tx, struct arena *a, int64_t pipeline_id, struct job_edge **ret,
              size_t *ret_n, struct err *e) MUST_USE;
// In order of stage, position, id. `retried`: old rows too.
int job_list_pipeline(struct tx *tx, struct arena *a, int64_t pipeline_id, bool retried,
                      struct job **ret, size_t *ret_n, struct err *e) MUST_USE;
// Newest first; statuses 0: any. pipeline_id or project_id 0: any.
int job_list(struct tx *tx, struct arena *a, int64_t project_id, int64_t pipeline_id,
             unsigned statuses, bool retried, struct page *page, struct job **ret, size_t *ret_n,
             struct err *e) MUST_USE;
// The newest successful row of that name on a ref, whose pipeline was the latest with one; for
// artifacts by ref.
int job_latest_success(struct tx *tx, struct arena *a, int64_t project_id, struct str ref,
                       struct str name, struct job *ret, struct err *e) MUST_USE;

// ---- changes of status ----

// E_CONFLICT when the status now is not in the set `from`. To pending: sets queued_at. To created
// or manual from skipped: clears the times. start_at: for CI_SCHEDULED, else ignored.
int job_move(struct tx *tx, int64_t id, unsigned from, enum ci_status to, int64_t start_at,
             int64_t now, struct err *e) MUST_USE;
// To a finished state; sets finished_at (but not of a skipped one), wipes the job token. reason ""
// and exit_code -1: none.
int job_finish(struct tx *tx, int64_t id, unsigned from, enum ci_status to, struct str reason,
               int exit_code, int64_t now, struct err *e) MUST_USE;
int job_set_user(struct tx *tx, int64_t id, int64_t user_id, struct err *e) MUST_USE;
// Its failure does not fail the pipeline (an exit code that allow_failure:exit_codes lists).
int job_set_allow_failure(struct tx *tx, int64_t id, bool allow, struct err *e) MUST_USE;
int job_set_coverage(struct tx *tx, int64_t id, double percent, struct err *e) MUST_USE;
int job_set_trace(struct tx *tx, int64_t id, int64_t size, struct str checksum,
                  struct err *e) MUST_USE;
// Marks as erased; the artifacts' rows go, files to the trash list.
int job_erase(struct tx *tx, int64_t id, int64_t now, struct err *e) MUST_USE;

// ---- the queue ----

struct job_claim {
    int64_t runner_id;
    struct str system_id;
    struct str token_sha256; // of the secret the runner gets
    int64_t now;
};
// Takes the oldest pending job that the runner may run (its type and projects, tags, run_untagged,
// access level; not paused) from pending to running, and returns its row. Each job is taken exactly
// once. E_NOTFOUND: nothing for this runner.
int job_claim(struct tx *tx, struct arena *a, const struct job_claim *c, struct job *ret,
              struct err *e) MUST_USE;
// The same question without taking: for a cheap look before a write transaction.
int job_claimable(struct tx *tx, int64_t runner_id, int64_t *ret_job_id, struct err *e) MUST_USE;
// A claim whose answer never reached the runner goes back to pending with its token void;
// E_CONFLICT once the runner was heard of (job_ack) or the job is no longer running.
int job_unclaim(struct tx *tx, int64_t id, int64_t now, struct err *e) MUST_USE;
// First and later signs of life. Cheap to call often: writes only when 10 s passed since the last.
// job_seen_due tells from a row already read whether it would write.
int job_seen(struct tx *tx, int64_t id, int64_t now, struct err *e) MUST_USE;
bool job_seen_due(const struct job *j, int64_t now);
// Jobs on runners: not heard of since `seen_before`, or claimed before `acked_before` and never
// heard of.
int job_silent(struct tx *tx, struct arena *a, int64_t seen_before, int64_t acked_before,
               struct job **ret, size_t *ret_n, struct err *e) MUST_USE;
// Jobs past their timeout and `grace_ms` (running since started_at).
int job_overdue(struct tx *tx, struct arena *a, int64_t grace_ms, int64_t now, struct job **ret,
                size_t *ret_n, struct err *e) MUST_USE;
// Scheduled jobs whose time has come, and the next time one comes (0: none).
int job_due(struct tx *tx, struct arena *a, int64_t now, int64_t **ret_ids, size_t *ret_n,
            int64_t *ret_next, struct err *e) MUST_USE;
// The running job of a token; the token is void as soon as the job ends.
int job_by_token(struct tx *tx, struct arena *a, struct str token_sha256, struct job *ret,
                 struct err *e) MUST_USE;
int job_has_token(struct tx *tx, int64_t id, struct str token_sha256, bool *ret,
                  struct err *e) MUST_USE;
// Pending in the whole instance, and running of one project on instance runners.
int job_queue_counts(struct tx *tx, int64_t project_id, int64_t *ret_pending, int64_t *ret_running,
                     struct err *e) MUST_USE;
