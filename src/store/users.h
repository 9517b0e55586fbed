// SPDX-License-Identifier: Apache-2.0
// Accounts as rows. Rules (names, passwords) are forge/account.h's; password hashes are read by
// their own call only, so that no listing ever carries one.
#pragma once

#include "store/store.h"

enum user_state { USER_ACTIVE, USER_BLOCKED };
const char *user_state_name(enum user_state s); // "active", "blocked"

struct user {
    int64_t id;
    struct str username; // unique without regard to case
    struct str name;
    struct str email; // unique without regard to case
    enum user_state state;
    bool admin;
    int64_t namespace_id; // the user's own namespace
    int64_t created_at, updated_at;
    int64_t last_activity_at; // coarse: within a day
};

// Inserts the user and the namespace of the same path; fills id, namespace_id, times. E_CONFLICT
// when the username, email or path is taken.
int user_insert(struct tx *tx, struct str password_hash, struct user *u, struct err *e) MUST_USE;
int user_get(struct tx *tx, struct arena *a, int64_t id, struct user *ret, struct err *e) MUST_USE;
int user_by_username(struct tx *tx, struct arena *a, struct str username, struct user *ret,
                     struct err *e) MUST_USE;
// By username or email.
int user_by_login(struct tx *tx, struct arena *a, struct str login, struct user *ret,
                  struct err *e) MUST_USE;
int user_password_hash(struct tx *tx, struct arena *a, int64_t id, struct str *ret,
                       struct err *e) MUST_USE;
int user_set_password_hash(struct tx *tx, int64_t id, struct str hash, struct err *e) MUST_USE;
// Writes name, email, state, admin.
int user_update(struct tx *tx, const struct user *u, struct err *e) MUST_USE;
int user_touch(struct tx *tx, int64_t id, int64_t now, struct err *e) MUST_USE;

struct user_filter {
    struct str search;    // in username, name or exactly the email; empty: all
    struct str username;  // exactly; empty: all
    bool active, blocked; // both false: all
};
// Newest first, as GitLab.
int user_list(struct tx *tx, struct arena *a, const struct user_filter *f, struct page *page,
              struct user **ret, size_t *ret_n, struct err *e) MUST_USE;
int user_count(struct tx *tx, int64_t *ret, struct err *e) MUST_USE;
