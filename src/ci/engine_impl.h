// SPDX-License-Identifier: Apache-2.0
// Inside src/ci only: what the files of the engine half share.
#pragma once

#include "ci/engine.h"
#include "ci/process.h"
#include "ci/variables.h"
#include "store/jobs.h"
#include "store/pipelines.h"
#include "store/projects.h"
#include "store/store.h"

#include <inttypes.h>

#define ENGINE_ARENA MIB(512)
#define ANY_STATUS   ((1u << CI_STATUS_COUNT) - 1)

struct ci_engine {
    struct ci_engine_config cfg;
    char *external_url, *pages_domain; // copies
    int64_t started;                   // clock_ms() when the engine was made
    bool checked;                      // the sweep has looked at every unfinished pipeline once
};

// ---- engine.c: moving a pipeline on; all inside the caller's write transaction ----

// Everything a pipeline's processing looks at.
struct pipeline_jobs {
    struct job *rows; // newest of each name, by stage
    struct ci_pjob *jobs;
    size_t n;
};
int engine_load(struct tx *tx, struct arena *a, int64_t pipeline_id, struct pipeline_jobs *ret,
                struct err *e) MUST_USE;
// Starts, skips and holds jobs, stores what changed and the pipeline's status.
int engine_process(struct tx *tx, struct arena *a, int64_t pipeline_id, int64_t now,
                   struct err *e) MUST_USE;
// After job `job_id` was played or retried: what was skipped because of it waits again.
int engine_reset_after(struct tx *tx, struct arena *a, int64_t pipeline_id, int64_t job_id,
                       int64_t now, struct err *e) MUST_USE;
// Cancels what can be: on a runner becomes canceling, the rest canceled. Does not process.
int engine_cancel_row(struct tx *tx, const struct job *j, int64_t now, struct err *e) MUST_USE;
int engine_cancel_all(struct tx *tx, struct arena *a, int64_t pipeline_id, bool interruptible_only,
                      int64_t now, struct err *e) MUST_USE;

// ---- finish.c ----

// Ends a job from one of `from`; starts the automatic retry, cancels the rest when the pipeline
// says so, and processes the pipeline. The caller commits.
int engine_finish(struct tx *tx, struct arena *a, const struct job *j, unsigned from,
                  enum ci_status to, struct str reason, int exit_code, int64_t now,
                  struct err *e) MUST_USE;

// Percent that the job's coverage pattern finds last in its trace; negative: none. Reads the file.
double engine_coverage(struct ci_engine *en, struct arena *a, const struct job *j);

// ---- spec.c: the JSON kept with a job (plan.h says what is in it) ----

struct job_spec {
    struct ci_lines script, after_script, notes, dependencies;
    bool has_dependencies;
    struct ci_artifacts artifacts;
    struct ci_lines retry_when;
    int retry_max;
    int64_t *retry_exit_codes, *allow_exit_codes;
    size_t nretry_exit_codes, nallow_exit_codes;
    struct ci_var *vars;
    size_t nvars;
    struct str image;
};
int spec_parse(struct arena *a, struct str json, struct job_spec *ret, struct err *e) MUST_USE;
// [{"key","value","file","raw","masked"}]
struct str vars_to_json(struct arena *a, const struct ci_var *vars, size_t n);
int vars_from_json(struct arena *a, struct str json, enum ci_var_level level, struct ci_var **ret,
                   size_t *ret_n, struct err *e) MUST_USE;
// What is kept with a pipeline.
struct pipeline_facts {
    bool on_job_failure_all;
    int on_new_commit;
    struct str commit_message, commit_author, commit_time, tag_message;
};
struct str facts_to_json(struct arena *a, const struct pipeline_facts *f,
                         const struct ci_lines *stages);
int facts_from_json(struct arena *a, struct str json, struct pipeline_facts *ret,
                    struct err *e) MUST_USE;

// ---- create.c ----

// Facts of project, server, pipeline and user for the predefined variables.
int engine_facts(struct ci_engine *en, struct tx *tx, struct arena *a, const struct project *p,
                 const struct pipeline *pl, const struct pipeline_facts *pf, int64_t user_id,
                 struct ci_facts *ret, struct err *e) MUST_USE;
// Variables of instance, groups and project, appended behind `n` that `*vars` has.
int engine_stored_vars(struct tx *tx, struct arena *a, int64_t project_id, bool protected_ref,
                       struct ci_var **ret, size_t *ret_n, struct err *e) MUST_USE;
struct ci_var *vars_join(struct arena *a, const struct ci_var *x, size_t nx, const struct ci_var *y,
                         size_t ny, size_t *ret_n);
