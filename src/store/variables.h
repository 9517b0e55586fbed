// SPDX-License-Identifier: Apache-2.0
// CI/CD variables of the instance, of groups and of projects. Values are sealed in the database
// with the key in secrets/store.key (libsodium secretbox); these functions take and give plain
// ones.
#pragma once

#include "store/store.h"

struct variable {
    int64_t id;
    int64_t project_id, namespace_id; // at most one is set; none: of the instance
    struct str key;
    struct str value;
    bool file; // variable_type "file", else "env_var"
    bool is_protected, masked, hidden, raw;
    struct str environment_scope; // "*": all
    struct str description;
    int64_t created_at;
};

// E_CONFLICT when key and scope exist there.
int variable_insert(struct tx *tx, struct variable *v, struct err *e) MUST_USE;
// Writes everything but the owner, by id.
int variable_update(struct tx *tx, const struct variable *v, struct err *e) MUST_USE;
// `scope` empty: the only one of that key, E_CONFLICT when there are several.
int variable_get(struct tx *tx, struct arena *a, int64_t project_id, int64_t namespace_id,
                 struct str key, struct str scope, struct variable *ret, struct err *e) MUST_USE;
int variable_delete(struct tx *tx, int64_t id, struct err *e) MUST_USE;
int variable_list(struct tx *tx, struct arena *a, int64_t project_id, int64_t namespace_id,
                  struct page *page, struct variable **ret, size_t *ret_n, struct err *e) MUST_USE;
// Everything that reaches a project, lowest precedence first: instance, groups from the top down,
// project. Protected ones too: forge/access.h's forge_pipeline_variables() decides.
int variable_inherited(struct tx *tx, struct arena *a, int64_t project_id, struct variable **ret,
                       size_t *ret_n, struct err *e) MUST_USE;
