// SPDX-License-Identifier: Apache-2.0
// Projects as rows. The repository lies at repos/<storage>.git in the state folder; `storage` is
// "@hashed/aa/bb/<64 hex>" of random bytes, so that renaming never moves files.
#pragma once

#include "store/namespaces.h"

struct project {
    int64_t id;
    int64_t namespace_id;
    int64_t creator_id;
    struct str name, path;
    struct str full_path; // namespace's full path / path
    struct str full_name; // "Group / Project"
    struct str description;
    enum visibility visibility;
    bool archived;
    struct str default_branch; // "" until the first push when none was named
    struct str storage;
    bool empty_repo;

    // the namespace, joined
    bool ns_group;
    int64_t ns_owner_id;
    int64_t ns_parent_id;
    struct str ns_name, ns_path, ns_full_path;

    // pipelines
    bool ci_enabled;
    struct str ci_config_path; // "": .gitlab-ci.yml
    int64_t build_timeout_s;
    int64_t ci_git_depth;
    bool public_jobs;
    bool auto_cancel_pending;
    bool keep_latest_artifact;
    bool shared_runners, group_runners;

    int64_t repository_size;  // bytes, as last measured after a push
    int64_t repository_quota; // bytes, 0: none
    int64_t created_at, updated_at, last_activity_at;
};

// Values for a new project before the caller's own are set.
void project_defaults(struct project *p);
// Fills id, full_path, full_name, times and the joined fields. E_CONFLICT when the path is taken.
int project_insert(struct tx *tx, struct arena *a, struct project *p, struct err *e) MUST_USE;
int project_get(struct tx *tx, struct arena *a, int64_t id, struct project *ret,
                struct err *e) MUST_USE;
int project_by_path(struct tx *tx, struct arena *a, struct str full_path, struct project *ret,
                    struct err *e) MUST_USE;
// Writes name, description, visibility, archived, default_branch, the pipeline settings and quota.
int project_update(struct tx *tx, const struct project *p, struct err *e) MUST_USE;
int project_set_path(struct tx *tx, struct arena *a, int64_t id, struct str path,
                     struct err *e) MUST_USE;
// After a push: size, whether anything is in it, activity; sets default_branch where none was.
int project_pushed(struct tx *tx, int64_t id, int64_t size, bool empty, struct str default_branch,
                   int64_t now, struct err *e) MUST_USE;
int project_touch(struct tx *tx, int64_t id, int64_t now, struct err *e) MUST_USE;
// Deletes the rows and puts the files on the trash list (store/trash.h).
int project_delete(struct tx *tx, struct arena *a, int64_t id, struct err *e) MUST_USE;
// The next pipeline number within the project.
int project_next_iid(struct tx *tx, int64_t id, int64_t *ret, struct err *e) MUST_USE;

enum project_order {
    PROJECTS_BY_ID, // also created_at
    PROJECTS_BY_NAME,
    PROJECTS_BY_PATH,
    PROJECTS_BY_UPDATED,
    PROJECTS_BY_ACTIVITY,
};
struct project_filter {
    int64_t viewer_id;      // only what this user may see; 0: only public ones
    bool viewer_all;        // an administrator: everything
    bool membership;        // only where the viewer is a member (own, direct or through groups)
    bool owned;             // only in the viewer's own namespace or where the viewer is Owner
    int64_t min_access;     // only where the viewer has at least this level
    int64_t namespace_id;   // only in it; 0: any
    bool include_subgroups; // of namespace_id
    struct str search;      // in name, path or description
    bool search_namespaces; // also in the full path
    int visibility;         // exactly; -1: any
    int archived;           // 0 no, 1 yes, -1 any
    enum project_order order;
    bool ascending;
};
#define PROJECT_FILTER_ALL ((struct project_filter){.visibility = -1, .archived = -1})
int project_list(struct tx *tx, struct arena *a, const struct project_filter *f, struct page *page,
                 struct project **ret, size_t *ret_n, struct err *e) MUST_USE;
// Every storage key in use is asked for by the sweep of stray repositories.
int project_storage_known(struct tx *tx, struct str storage, bool *ret, struct err *e) MUST_USE;
