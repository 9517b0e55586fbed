// SPDX-License-Identifier: Apache-2.0
// Protected branches and tags as rows. A name may hold `*`, which matches any run of bytes, also
// slashes, as in GitLab. The rule that applies them is forge/access.h's.
#pragma once

#include "store/members.h"

struct protection {
    int64_t id, project_id;
    bool tag; // else a branch
    struct str name;
    int push_level;  // lowest level that may push (for a tag: create it); 0: nobody
    int merge_level; // branches only
    bool allow_force_push;
    int64_t created_at;
};

int protection_insert(struct tx *tx, struct protection *p, struct err *e) MUST_USE;
int protection_update(struct tx *tx, const struct protection *p, struct err *e) MUST_USE;
// By exact name.
int protection_get(struct tx *tx, struct arena *a, int64_t project_id, bool tag, struct str name,
                   struct protection *ret, struct err *e) MUST_USE;
int protection_delete(struct tx *tx, int64_t project_id, bool tag, struct str name,
                      struct err *e) MUST_USE;
// All of a project, by name. There are few; no pages.
int protection_list(struct tx *tx, struct arena *a, int64_t project_id, bool tag,
                    struct protection **ret, size_t *ret_n, struct err *e) MUST_USE;
// True when `name` (without refs/heads/) fits the pattern.
bool protection_matches(struct str pattern, struct str name);
