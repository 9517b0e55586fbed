// SPDX-License-Identifier: Apache-2.0
// Runners as rows: one per token ("glrt-..."), with one manager per machine that uses it. Changes
// of what a runner may take wake "runners".
#pragma once

#include "store/store.h"

enum runner_type { RUNNER_INSTANCE, RUNNER_GROUP, RUNNER_PROJECT };
const char *runner_type_name(enum runner_type t); // "instance_type"
bool runner_type_parse(struct str name, enum runner_type *ret) MUST_USE;

#define RUNNER_ONLINE_MS (2 * 3600 * 1000) // contacted within: "online"
#define RUNNER_STALE_MS  (7LL * 86400 * 1000)

struct runner {
    int64_t id;
    enum runner_type type;
    struct str short_token; // first characters of the secret, for people to tell runners apart
    struct str description;
    struct str maintenance_note;
    struct str tag_list; // comma separated, sorted
    bool run_untagged;
    bool locked;
    bool ref_protected; // access_level "ref_protected": only jobs of protected refs
    bool paused;
    int64_t maximum_timeout_s; // 0: none
    int64_t creator_id;
    int64_t group_id;     // of a group runner
    int64_t contacted_at; // coarse: within a minute
    int64_t created_at, token_expires_at;

    // For insertion and update only.
    const struct str *tags;
    size_t ntags;
    int64_t project_id; // insertion of a project runner: its first project
};

// One machine that runs with a runner's token; values are what it last said of itself.
struct runner_manager {
    int64_t id, runner_id;
    struct str system_id, version, revision, platform, architecture, executor, ip;
    struct str features; // JSON object
    int64_t created_at, contacted_at;
};

int runner_insert(struct tx *tx, struct str token_sha256, struct runner *r, struct err *e) MUST_USE;
int runner_get(struct tx *tx, struct arena *a, int64_t id, struct runner *ret,
               struct err *e) MUST_USE;
int runner_by_token(struct tx *tx, struct arena *a, struct str token_sha256, struct runner *ret,
                    struct err *e) MUST_USE;
// Writes description, note, tags (when `tags` is set), run_untagged, locked, ref_protected, paused,
// maximum_timeout_s.
int runner_update(struct tx *tx, const struct runner *r, struct err *e) MUST_USE;
int runner_set_token(struct tx *tx, int64_t id, struct str token_sha256, struct str short_token,
                     struct err *e) MUST_USE;
// Jobs that run on it keep its id.
int runner_delete(struct tx *tx, int64_t id, struct err *e) MUST_USE;
int runner_add_project(struct tx *tx, int64_t id, int64_t project_id, struct err *e) MUST_USE;
int runner_remove_project(struct tx *tx, int64_t id, int64_t project_id, struct err *e) MUST_USE;

struct runner_filter {
    int64_t project_id; // those that could take the project's jobs; 0: all
    bool project_only;  // with project_id: only runners of the project itself
    int type;           // enum runner_type, or -1
    int paused;         // 0, 1, -1
};
// Newest first.
int runner_list(struct tx *tx, struct arena *a, const struct runner_filter *f, struct page *page,
                struct runner **ret, size_t *ret_n, struct err *e) MUST_USE;

// Inserts or refreshes; needs runner_id, system_id and what is known. Writes contacted_at of both.
int runner_manager_seen(struct tx *tx, struct runner_manager *m, int64_t now,
                        struct err *e) MUST_USE;
// True when the manager is unknown, or contacted_at is older than a minute: then call
// runner_manager_seen in a write.
int runner_manager_due(struct tx *tx, int64_t runner_id, struct str system_id, int64_t now,
                       bool *ret, struct err *e) MUST_USE;
int runner_manager_list(struct tx *tx, struct arena *a, int64_t runner_id,
                        struct runner_manager **ret, size_t *ret_n, struct err *e) MUST_USE;
int runner_manager_delete(struct tx *tx, int64_t runner_id, struct str system_id,
                          struct err *e) MUST_USE;
