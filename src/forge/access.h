// SPDX-License-Identifier: Apache-2.0
// What may this actor do here? All questions take the caller's transaction: the answer is as of
// that snapshot and must not be kept longer. These functions only read.
#pragma once

#include "forge/actor.h"
#include "store/members.h"
#include "store/projects.h"
#include "store/protections.h"
#include "store/variables.h"

// The effective level: the highest of memberships up the tree; Owner in one's own namespace and for
// an administrator; 0 without any. A job acts in its own project as Developer at most, elsewhere
// not at all beyond what is public.
int access_project(struct tx *tx, const struct actor *who, const struct project *p, int *ret,
                   struct err *e) MUST_USE;
int access_ns(struct tx *tx, const struct actor *who, const struct ns *n, int *ret,
              struct err *e) MUST_USE;

// The project, when the actor may see it and has at least `min` there (ACCESS_NONE: seeing is
// enough). E_NOTFOUND or E_DENIED as forge.h says. ret_level may be NULL.
int access_project_get(struct tx *tx, struct arena *a, const struct actor *who, int64_t id, int min,
                       struct project *ret, int *ret_level, struct err *e) MUST_USE;
// By id in digits or full path ("group/sub/project"), as GitLab's :id takes either, already
// decoded.
int access_project_find(struct tx *tx, struct arena *a, const struct actor *who, struct str id,
                        int min, struct project *ret, int *ret_level, struct err *e) MUST_USE;
int access_ns_find(struct tx *tx, struct arena *a, const struct actor *who, struct str id, int min,
                   struct ns *ret, int *ret_level, struct err *e) MUST_USE;

// Whether the repository may be read: what sees the project, except a guest of a private one.
bool access_may_read_code(const struct project *p, int level);

struct ref_change {
    struct str ref; // full name: "refs/heads/main"
    enum { REF_CREATE, REF_UPDATE, REF_DELETE } what;
    bool force; // the old commit is not an ancestor of the new one; pass false when not known yet
};
// May the actor change this ref? E_DENIED with the sentence that Git shows the person: archived,
// level, protected branch or tag, over quota, hidden ref. `level` from access_project().
int access_push(struct tx *tx, const struct project *p, int level, const struct ref_change *c,
                struct err *e) MUST_USE;
// Whether branch or tag `name` (short) is protected; *ret_push_level etc. are of the matching rules
// (the most permissive wins, as in GitLab).
int access_ref_protected(struct tx *tx, struct arena *a, int64_t project_id, bool tag,
                         struct str name, bool *ret, struct protection *ret_rule_or_null,
                         struct err *e) MUST_USE;

// The variables a pipeline's job sees: protected ones only when `protected_ref`; of several with
// one key the nearest level and then the most specific environment scope wins (`environment` may be
// empty). Sorted by key.
int access_pipeline_variables(struct tx *tx, struct arena *a, int64_t project_id,
                              bool protected_ref, struct str environment, struct variable **ret,
                              size_t *ret_n, struct err *e) MUST_USE;
// GitLab's rule for a value that can be masked: one line, 8 characters or more of the allowed set.
bool variable_maskable(struct str value, bool raw);
int variable_key_check(struct str key, struct err *e) MUST_USE;
// Whether an environment name fits a scope ("*", "review/*").
bool environment_matches(struct str scope, struct str environment);
