// SPDX-License-Identifier: Apache-2.0
// Who may do what where, as rows: a user's level in a project or a group. A level in a group holds
// in everything below it; the highest counts.
#pragma once

#include "store/store.h"

enum access_level {
    ACCESS_NONE = 0,
    ACCESS_MINIMAL = 5,
    ACCESS_GUEST = 10,
    ACCESS_REPORTER = 20,
    ACCESS_DEVELOPER = 30,
    ACCESS_MAINTAINER = 40,
    ACCESS_OWNER = 50,
};
const char *access_level_name(int level); // "Developer"; "No access" for 0

struct member {
    int64_t id;
    int64_t user_id;
    int64_t project_id,
        namespace_id; // exactly one is set; of an inherited one: where it comes from
    int access_level;
    int64_t created_at;
    int64_t expires_at; // 0: does not expire
    int64_t created_by;
    struct str username, name, email; // joined
    bool blocked;
};

// Sets the level of a user in a project or a group (the other id is 0); inserts or changes.
int member_set(struct tx *tx, const struct member *m, struct err *e) MUST_USE;
int member_remove(struct tx *tx, int64_t project_id, int64_t namespace_id, int64_t user_id,
                  struct err *e) MUST_USE;
// Direct membership only.
int member_get(struct tx *tx, struct arena *a, int64_t project_id, int64_t namespace_id,
               int64_t user_id, struct member *ret, struct err *e) MUST_USE;
// Direct ones, or with `inherited` each user once with the highest level. By level, then username.
int member_list(struct tx *tx, struct arena *a, int64_t project_id, int64_t namespace_id,
                bool inherited, struct str search, int64_t now, struct page *page,
                struct member **ret, size_t *ret_n, struct err *e) MUST_USE;

// The highest level through the project, its groups and ownership of the user namespace; ignores
// administration and visibility (forge/access.h adds them). 0 when none.
int member_project_level(struct tx *tx, int64_t project_id, int64_t user_id, int64_t now, int *ret,
                         struct err *e) MUST_USE;
int member_ns_level(struct tx *tx, int64_t namespace_id, int64_t user_id, int64_t now, int *ret,
                    struct err *e) MUST_USE;
