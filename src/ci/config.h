// SPDX-License-Identifier: Apache-2.0
// A `.gitlab-ci.yml`, parsed and validated. Work goes in two steps: transformations on YAML trees
// (anchors, `extends`, `!reference`, defaults; later includes and inputs), which keep each node's
// position, and then one typed reading of the result. So every value knows the file, line and
// column it came from, whichever way it came. All errors of a file are reported at once.
// Pure: no store, no I/O, no clock. Everything lives in the arena given.
#pragma once

#include "ci/expr.h"
#include "ci/job_status.h"
#include "codec/yaml.h"

// What a person reads about a mistake.
struct ci_problem {
    struct yaml_pos pos;
    struct str path;     // "jobs:build:script" style: "build:artifacts:paths"
    struct str msg;      // what is wrong
    struct str expected; // what would be right; may be empty
};
struct ci_problems {
    struct ci_problem *list;
    size_t n, cap;
    size_t left_out; // beyond CI_MAX_PROBLEMS
};
#define CI_MAX_PROBLEMS 100

// "line 3, column 5: build:script: ..." of one problem, appended.
void ci_problem_text(const struct ci_problem *p, struct buf *to);
// [{"line":3,"column":5,"path":"..","message":"..","expected":".."}]
void ci_problems_json(const struct ci_problems *ps, struct buf *to);

// Every keyword of a job and of `default`.
enum ci_keyword {
    CI_KW_AFTER_SCRIPT,
    CI_KW_ALLOW_FAILURE,
    CI_KW_ARTIFACTS,
    CI_KW_BEFORE_SCRIPT,
    CI_KW_COVERAGE,
    CI_KW_DEPENDENCIES,
    CI_KW_EXCEPT,
    CI_KW_EXTENDS,
    CI_KW_IMAGE,
    CI_KW_INTERRUPTIBLE,
    CI_KW_NEEDS,
    CI_KW_ONLY,
    CI_KW_PAGES,
    CI_KW_PUBLISH,
    CI_KW_RETRY,
    CI_KW_RULES,
    CI_KW_SCRIPT,
    CI_KW_STAGE,
    CI_KW_TAGS,
    CI_KW_TIMEOUT,
    CI_KW_VARIABLES,
    CI_KW_WHEN,
    CI_KW_COUNT,
};

struct ci_lines {
    struct str *list;
    size_t n;
    bool set; // the keyword was there, also when the list is empty
};

// A variable as configured.
struct ci_cfg_var {
    struct str key, value, description;
    bool raw; // expand: false
    struct yaml_pos pos;
};
struct ci_cfg_vars {
    struct ci_cfg_var *list;
    size_t n;
};

struct ci_rule {
    struct ci_expr *cond; // NULL: always
    struct str cond_text;
    bool has_when, has_allow_failure, allow_failure;
    enum ci_when when;
    struct ci_cfg_vars variables;
    struct yaml_pos pos;
};
struct ci_rules {
    struct ci_rule *list;
    size_t n;
    bool set;
};

struct ci_need {
    struct str job;
    bool artifacts, optional;
    struct yaml_pos pos;
};

// only / except
struct ci_policy {
    bool set;
    struct ci_lines refs; // branches, tags, a source, a ref's name, /regex/, any with @path
    struct ci_expr **variables;
    size_t nvariables;
    struct yaml_pos pos;
};

struct ci_artifacts {
    bool set, untracked;
    struct ci_lines paths, exclude;
    struct str name;
    struct str expire_in; // as written; empty: the instance's default
    int64_t expire_s;     // seconds; -1: never; 0: not given
    enum ci_when when;    // CI_ON_SUCCESS, CI_ON_FAILURE, CI_ALWAYS
};

#define CI_MAX_RETRY 2
struct ci_job {
    struct str name;
    struct yaml_pos pos;                       // of the name
    const struct yaml_node *node[CI_KW_COUNT]; // where each keyword's value stands; NULL: not set
    struct str stage;
    int stage_index;
    struct ci_lines before_script, script, after_script;
    struct ci_cfg_vars variables;
    struct ci_rules rules;
    struct ci_policy only, except;
    bool has_needs;
    struct ci_need *needs;
    size_t nneeds;
    bool has_dependencies;
    struct ci_lines dependencies;
    bool has_when;
    enum ci_when when;
    bool has_allow_failure, allow_failure;
    int64_t *allow_exit_codes; // allow_failure:exit_codes
    size_t nallow_exit_codes;
    int retry_max; // 0: none
    struct ci_lines retry_when;
    int64_t *retry_exit_codes;
    size_t nretry_exit_codes;
    int64_t timeout_s; // 0: the project's
    struct ci_lines tags;
    bool interruptible, has_interruptible;
    struct ci_artifacts artifacts;
    struct str coverage; // /regex/ or empty
    struct str image;    // name as written, ignored by Slipway; empty when none
    bool is_pages;       // publishes a site
    struct str publish;  // folder to publish; "public" unless pages says otherwise
};

struct ci_config {
    struct ci_lines stages; // .pre first, .post last
    struct ci_job *jobs;    // visible ones, in order of the file
    size_t njobs;
    struct ci_cfg_vars variables;
    bool has_workflow;
    struct ci_rules workflow;
    struct str workflow_name;
    bool on_job_failure_all; // workflow:auto_cancel
    int on_new_commit;       // enum ci_on_new_commit
    struct yaml_node *root;  // the tree after all transformations
};
enum ci_on_new_commit { CI_CANCEL_CONSERVATIVE, CI_CANCEL_INTERRUPTIBLE, CI_CANCEL_NONE };

// What an arena for ci_config_parse or ci_plan may hold, for every file within the limits to be
// read. With a smaller one large files get an error (a usual one takes less than a megabyte).
#define CI_ARENA_BYTES MIB(512)

// Reads a configuration. Returns 0, or E_INVALID / E_LIMIT with `errors` filled (at least one).
// `warnings` may be filled in both cases. `*ret` may be NULL on failure.
int ci_config_parse(struct arena *a, struct str text, struct ci_config **ret,
                    struct ci_problems *errors, struct ci_problems *warnings) MUST_USE;

// The job of that name, or NULL.
const struct ci_job *ci_config_job(const struct ci_config *c, struct str name);

// "1h30", "2 days", "3 mins 4 sec", "1:30", "never" (-1): GitLab's durations, in seconds.
bool ci_duration(struct str s, int64_t *ret_s) MUST_USE;
