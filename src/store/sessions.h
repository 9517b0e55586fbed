// SPDX-License-Identifier: Apache-2.0
// Browser sessions as rows. The cookie's SHA-256 is the key; the cookie itself is never kept.
#pragma once

#include "store/store.h"

struct session {
    int64_t id, user_id;
    struct str csrf; // secret that forms echo back
    struct str ip, user_agent;
    int64_t created_at, expires_at, last_seen_at;
};

int session_insert(struct tx *tx, struct str sha256, struct session *s, struct err *e) MUST_USE;
int session_by_hash(struct tx *tx, struct arena *a, struct str sha256, struct session *ret,
                    struct err *e) MUST_USE;
int session_touch(struct tx *tx, int64_t id, int64_t now, int64_t expires_at,
                  struct err *e) MUST_USE;
int session_delete(struct tx *tx, int64_t id, struct err *e) MUST_USE;
// Ends all of a user's sessions but `except` (0: none).
int session_delete_user(struct tx *tx, int64_t user_id, int64_t except, struct err *e) MUST_USE;
// Removes expired ones; returns how many.
int64_t session_sweep(struct tx *tx, int64_t now, struct err *e) MUST_USE;
int session_list(struct tx *tx, struct arena *a, int64_t user_id, struct session **ret,
                 size_t *ret_n, struct err *e) MUST_USE;
