// SPDX-License-Identifier: Apache-2.0
// Rows of browser sessions, found by the hash of their cookie. Expiry is forge's rule; the sweep
// removes what no longer matters. Stateless.
#include "store/sessions.h"

#include "base/clock.h"
#include "store/rows.h"

#define COLUMNS                                                                                    \
    "SELECT id, user_id, csrf, ip, user_agent, created_at, expires_at, last_seen_at FROM "         \
    "sessions "

STORE_STMT(SESSION_INSERT, "INSERT INTO sessions (user_id, sha256, csrf, ip, user_agent,"
                           " created_at, expires_at, last_seen_at)"
                           " VALUES ($1, $2, $3, $4, $5, $6, $7, $6) RETURNING id");
STORE_STMT(SESSION_BY_HASH, COLUMNS "WHERE sha256 = $1");
STORE_STMT(SESSION_TOUCH, "UPDATE sessions SET last_seen_at = $2, expires_at = $3 WHERE id = $1");
STORE_STMT(SESSION_DELETE, "DELETE FROM sessions WHERE id = $1");
STORE_STMT(SESSION_DELETE_USER, "DELETE FROM sessions WHERE user_id = $1 AND id <> $2");
STORE_STMT(SESSION_SWEEP, "DELETE FROM sessions WHERE expires_at <= $1");
STORE_STMT(SESSION_LIST, COLUMNS "WHERE user_id = $1 ORDER BY last_seen_at DESC, id DESC");

static void fill(struct rows *r, struct arena *a, struct session *s)
{
    struct cols c = {r, a, 0};
    s->id = next_int(&c);
    s->user_id = next_int(&c);
    s->csrf = next_text(&c);
    s->ip = next_text(&c);
    s->user_agent = next_text(&c);
    s->created_at = next_int(&c);
    s->expires_at = next_int(&c);
    s->last_seen_at = next_int(&c);
}
AREA_READERS(session, fill, "session")

int session_insert(struct tx *tx, struct str sha256, struct session *s, struct err *e)
{
    s->created_at = s->last_seen_at = clock_wall_ms();
    return db_int(tx, &SESSION_INSERT,
                  ARGS(I(s->user_id), B(sha256), S(s->csrf), S(s->ip), S(s->user_agent),
                       I(s->created_at), I(s->expires_at)),
                  &s->id, e);
}

int session_by_hash(struct tx *tx, struct arena *a, struct str sha256, struct session *ret,
                    struct err *e)
{
    return one_session(tx, a, &SESSION_BY_HASH, ARGS(B(sha256)), ret, e);
}

int session_touch(struct tx *tx, int64_t id, int64_t now, int64_t expires_at, struct err *e)
{
    return db_one(tx, &SESSION_TOUCH, ARGS(I(id), I(now), I(expires_at)), "session", e);
}

int session_delete(struct tx *tx, int64_t id, struct err *e)
{
    return db_one(tx, &SESSION_DELETE, ARGS(I(id)), "session", e);
}

int session_delete_user(struct tx *tx, int64_t user_id, int64_t except, struct err *e)
{
    int64_t n = db_run(tx, &SESSION_DELETE_USER, ARGS(I(user_id), I(except)), e);
    return n < 0 ? (int)n : 0;
}

int64_t session_sweep(struct tx *tx, int64_t now, struct err *e)
{
    return db_run(tx, &SESSION_SWEEP, ARGS(I(now)), e);
}

int session_list(struct tx *tx, struct arena *a, int64_t user_id, struct session **ret,
                 size_t *ret_n, struct err *e)
{
    return many_session(tx, a, &SESSION_LIST, ARGS(I(user_id)), ret, ret_n, e);
}
