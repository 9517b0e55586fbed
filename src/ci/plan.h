// SPDX-License-Identifier: Apache-2.0
// From a configuration and the circumstances of a push (or another start) to the jobs of a
// pipeline: workflow and job rules decide, variables are put together, each job gets the options
// that a runner needs. The same function serves the server, lint and local runs.
// Pure: no store, no I/O, no clock. Everything lives in the arena given.
#pragma once

#include "ci/config.h"

// Where a variable comes from; higher wins.
enum ci_var_level {
    CI_VAR_PREDEFINED,
    CI_VAR_GLOBAL,   // `variables:` at the top
    CI_VAR_WORKFLOW, // workflow:rules:variables
    CI_VAR_JOB,
    CI_VAR_RULES,
    CI_VAR_DOTENV,
    CI_VAR_INSTANCE,
    CI_VAR_GROUP,
    CI_VAR_PROJECT,
    CI_VAR_PIPELINE, // given when the pipeline was started
};
const char *ci_var_level_name(enum ci_var_level l);

struct ci_var {
    struct str key, value;
    enum ci_var_level level;
    bool raw;            // not expanded
    bool file;           // the runner writes it to a file and passes the path
    bool masked;         // hidden in traces
    bool hidden;         // not public: true for secrets
    struct yaml_pos pos; // for those of the configuration
};

struct ci_context {
    struct str ref;            // "main", "v1.0": without refs/heads/
    bool tag;                  // ref is a tag
    struct str source;         // CI_PIPELINE_SOURCE: push, web, api, ...
    struct str project_path;   // "group/project", for only: branches@group/project
    const struct ci_var *vars; // all but the configuration's own; any order, levels decide
    size_t nvars;
    // Names of changed files for rules:changes (not used yet); NULL: not known.
    const struct str *changed;
    size_t nchanged;
};

struct ci_plan_need {
    uint32_t job; // index into plan.jobs
    bool artifacts;
};

struct ci_plan_job {
    struct str name, stage;
    int stage_index; // into plan.stages
    enum ci_when when;
    bool allow_failure;
    bool dag; // has `needs`
    struct ci_plan_need *needs;
    size_t nneeds;
    struct ci_var *vars; // of the configuration: global, workflow, job, rules; last wins
    size_t nvars;
    struct ci_lines tags;
    bool interruptible;
    int64_t timeout_s;          // 0: the project's
    int64_t artifacts_expire_s; // -1 never, 0 not given
    bool is_pages;
    int rule;           // index of the rule that let it in, -1: none needed
    struct str options; // JSON, see below
    const struct ci_job *cfg;
};

// Options, what the engine stores with a job and reads again when a runner takes it:
// { "before_script":[..], "script":[..], "after_script":[..],
//   "artifacts":{"name","untracked","paths","exclude","when","expire_in"},
//   "dependencies":[names],           only when configured
//   "retry":{"max","when":[..],"exit_codes":[..]}, "allow_failure_exit_codes":[..],
//   "coverage":"/../", "image":"name as written, for the note in the trace",
//   "publish":"public",               of a job that publishes a site
//   "notes":["..."] }                 lines for the head of the trace
// Keys without a value are left out.

struct ci_plan {
    struct ci_plan_job *jobs; // sorted by stage, then by order in the file
    size_t njobs;
    struct ci_lines stages; // those that have jobs, in order
    struct str name;        // workflow:name
    bool on_job_failure_all;
    int on_new_commit;
    // No jobs although the file is right: why (a sentence); the pipeline is then not created.
    struct str none_because;
    struct ci_problems errors, warnings;
    const struct ci_config *config;
};

// Makes the plan. Returns 0 (also when nothing is to run: see none_because), or E_INVALID/E_LIMIT
// with plan->errors filled.
int ci_plan(struct arena *a, struct str config_text, const struct ci_context *ctx,
            struct ci_plan *plan) MUST_USE;

// Puts variables in order of precedence and drops those that a later one overrides; expands
// `$NAME` and `${NAME}` in the values of those that are not raw when `expand` (an undefined name
// stays as written, `$$` stays). The result is in `a`.
struct ci_var *ci_vars_resolve(struct arena *a, const struct ci_var *vars, size_t n, bool expand,
                               size_t *ret_n);
