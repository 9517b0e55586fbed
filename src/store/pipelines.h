// SPDX-License-Identifier: Apache-2.0
// Pipelines as rows. Stages are not rows: a job carries its stage's name and index. Insertion and
// every change of status wake "pipeline:<id>".
#pragma once

#include "store/status.h"
#include "store/store.h"

struct pipeline {
    int64_t id, project_id;
    int64_t iid;    // number within the project
    struct str ref; // short name of the branch or tag, "main"
    bool tag;
    bool protected_ref;
    struct str sha, before_sha;
    struct str source; // "push", "web", "api" ...
    enum ci_status status;
    struct str failure_reason; // "config_error" ...
    struct str yaml_errors;    // one per line: "file:line:column: text"
    struct str warnings;       // the same, of a valid file
    struct str name;           // workflow:name
    struct str commit_title;
    int64_t user_id;
    int64_t push_event_id;     // 0: not from a push
    int64_t retried_from;      // 0
    bool cancel_on_new_commit; // workflow:auto_cancel lets a newer pipeline cancel this one
    struct str variables;      // JSON array of {key, value, ...} given at creation
    struct str config;         // JSON the engine keeps: merged configuration, stages, explanations
    int64_t created_at, updated_at, committed_at, started_at, finished_at;
    int64_t queued_ms;   // creation to first start; 0: not started
    int64_t duration_ms; // time with at least one job running; -1: not known yet
    double coverage;     // percent; negative: none
};

// Takes the next iid; fills id, iid, times. E_CONFLICT when push_event_id has its pipeline already.
int pipeline_insert(struct tx *tx, struct pipeline *p, struct err *e) MUST_USE;
// All but `config` and `variables` (their own calls: they are large); here they stay empty.
int pipeline_get(struct tx *tx, struct arena *a, int64_t id, struct pipeline *ret,
                 struct err *e) MUST_USE;
int pipeline_by_iid(struct tx *tx, struct arena *a, int64_t project_id, int64_t iid,
                    struct pipeline *ret, struct err *e) MUST_USE;
int pipeline_config(struct tx *tx, struct arena *a, int64_t id, struct str *ret_config,
                    struct str *ret_variables, struct err *e) MUST_USE;
int pipeline_set_config(struct tx *tx, int64_t id, struct str config, struct err *e) MUST_USE;
// Moves to `to` when the status now is in the set `from`, else E_CONFLICT. Sets updated_at;
// entering running sets started_at (once) and queued_ms, entering a finished state finished_at;
// leaving one clears finished_at.
int pipeline_set_status(struct tx *tx, int64_t id, unsigned from, enum ci_status to, int64_t now,
                        struct err *e) MUST_USE;
int pipeline_set_failure(struct tx *tx, int64_t id, struct str reason, struct str yaml_errors,
                         struct err *e) MUST_USE;
int pipeline_set_name(struct tx *tx, int64_t id, struct str name, struct err *e) MUST_USE;
int pipeline_set_duration(struct tx *tx, int64_t id, int64_t duration_ms, double coverage,
                          struct err *e) MUST_USE;
// The newest of a ref; `sha` empty: of any commit; `statuses` 0: any.
int pipeline_latest(struct tx *tx, struct arena *a, int64_t project_id, struct str ref,
                    struct str sha, unsigned statuses, struct pipeline *ret,
                    struct err *e) MUST_USE;
// Rows, jobs, artifacts; files go to the trash list.
int pipeline_delete(struct tx *tx, int64_t id, struct err *e) MUST_USE;

struct pipeline_filter {
    int64_t project_id;
    unsigned statuses;                                                    // set of CI_BIT; 0: any
    struct str ref, sha, source, username, name;                          // empty: any
    int tag;                                                              // 0 no, 1 yes, -1 any
    int64_t user_id;                                                      // 0: any
    int64_t created_after, created_before, updated_after, updated_before; // 0: any
    bool by_updated;                                                      // else by id
    bool ascending;
};
int pipeline_list(struct tx *tx, struct arena *a, const struct pipeline_filter *f,
                  struct page *page, struct pipeline **ret, size_t *ret_n, struct err *e) MUST_USE;
// Older ones of the same ref that are alive and may be cancelled for a newer one.
int pipeline_supersedable(struct tx *tx, struct arena *a, int64_t project_id, struct str ref,
                          int64_t before_id, int64_t **ret_ids, size_t *ret_n,
                          struct err *e) MUST_USE;
// Every pipeline that is not finished (the engine looks at them once at start).
int pipeline_unfinished(struct tx *tx, struct arena *a, int64_t **ret_ids, size_t *ret_n,
                        struct err *e) MUST_USE;
// Whether a job of it failed that is allowed to fail: a success "with warnings".
int pipeline_warned(struct tx *tx, int64_t id, bool *ret, struct err *e) MUST_USE;
