// SPDX-License-Identifier: Apache-2.0
// Projects, groups and their members: making, changing, deleting, by the rules.
#pragma once

#include "forge/access.h"
#include "forge/forge.h"

struct project_new {
    int64_t namespace_id; // 0: the actor's own
    struct str name;      // empty: the path
    struct str path;      // empty: made from the name
    struct str description;
    int visibility;            // enum visibility, or -1: private
    struct str default_branch; // empty: "main"
};
// Makes the bare repository, then the rows, with the default branch protected (push and merge:
// Maintainer). Needs Maintainer in a group. E_CONFLICT when the path is taken.
int project_create(struct forge *f, struct arena *a, const struct actor *who,
                   const struct project_new *n, struct project *ret, struct err *e) MUST_USE;
// Owner (or administrator).
int project_remove(struct forge *f, struct arena *a, const struct actor *who, int64_t id,
                   struct err *e) MUST_USE;
// Maintainer; visibility and archiving: Owner. `p` is a row from access_project_get with changes.
int project_change(struct forge *f, struct arena *a, const struct actor *who,
                   const struct project *p, struct err *e) MUST_USE;
// Removes repositories below repos/ that no row names; a crash during creation leaves such. Only at
// start. Returns how many.
int64_t project_sweep_repos(struct forge *f, struct err *e) MUST_USE;

struct group_new {
    int64_t parent_id; // 0: top level
    struct str name, path, description;
    int visibility; // or -1: private
};
// The actor becomes Owner. Subgroups need Maintainer in the parent.
int group_create(struct forge *f, struct arena *a, const struct actor *who,
                 const struct group_new *n, struct ns *ret, struct err *e) MUST_USE;
int group_remove(struct forge *f, struct arena *a, const struct actor *who, int64_t id,
                 struct err *e) MUST_USE;

// Maintainer may give up to Maintainer, Owner anything; nobody gives more than they have. Exactly
// one of project_id and namespace_id. The last Owner of a group stays.
int member_change(struct forge *f, struct arena *a, const struct actor *who, int64_t project_id,
                  int64_t namespace_id, int64_t user_id, int level, int64_t expires_at,
                  struct err *e) MUST_USE;
int member_drop(struct forge *f, struct arena *a, const struct actor *who, int64_t project_id,
                int64_t namespace_id, int64_t user_id, struct err *e) MUST_USE;
