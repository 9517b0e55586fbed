// SPDX-License-Identifier: Apache-2.0
// Rows of accounts. A user and the namespace of the same name come and go together. Used by forge,
// which makes the rules; stateless.
#include "store/users.h"

#include "base/clock.h"
#include "store/namespaces.h"
#include "store/routes.h"
#include "store/rows.h"

#define COLUMNS                                                                                    \
    "SELECT u.id, u.username, u.name, u.email, u.state, u.admin, n.id, u.created_at,"              \
    " u.updated_at, u.last_activity_at FROM users u LEFT JOIN namespaces n ON n.owner_id = u.id "

STORE_STMT(USER_INSERT, "INSERT INTO users (username, name, email, password_hash, state, admin,"
                        " created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)"
                        " RETURNING id");
STORE_STMT(USER_GET, COLUMNS "WHERE u.id = $1");
STORE_STMT(USER_BY_USERNAME, COLUMNS "WHERE lower(u.username) = lower($1)");
STORE_STMT(USER_BY_EMAIL, COLUMNS "WHERE lower(u.email) = lower($1)");
STORE_STMT(USER_PASSWORD, "SELECT password_hash FROM users WHERE id = $1");
STORE_STMT(USER_SET_PASSWORD, "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1");
STORE_STMT(USER_UPDATE, "UPDATE users SET name = $2, email = $3, state = $4, admin = $5,"
                        " updated_at = $6 WHERE id = $1");
STORE_STMT(USER_TOUCH, "UPDATE users SET last_activity_at = $2 WHERE id = $1");
STORE_STMT(USER_COUNT, "SELECT count(*) FROM users");

#define FILTER                                                                                     \
    "WHERE ($1 = '' OR lower(u.username) LIKE lower($1) ESCAPE '\\' OR"                            \
    " lower(u.name) LIKE lower($1) ESCAPE '\\' OR lower(u.email) = lower($2))"                     \
    " AND ($3 = '' OR lower(u.username) = lower($3)) AND ($4 = '' OR u.state = $4)"
STORE_STMT(USER_LIST, COLUMNS FILTER " ORDER BY u.id DESC LIMIT $5 OFFSET $6");
STORE_STMT(USER_LIST_COUNT, "SELECT count(*) FROM users u " FILTER);

const char *user_state_name(enum user_state s)
{
    return s == USER_BLOCKED ? "blocked" : "active";
}

static void fill(struct rows *r, struct arena *a, struct user *u)
{
    struct cols c = {r, a, 0};
    u->id = next_int(&c);
    u->username = next_text(&c);
    u->name = next_text(&c);
    u->email = next_text(&c);
    u->state = str_is(row_peek(r, c.at++), "blocked") ? USER_BLOCKED : USER_ACTIVE;
    u->admin = next_bool(&c);
    u->namespace_id = next_int(&c);
    u->created_at = next_int(&c);
    u->updated_at = next_int(&c);
    u->last_activity_at = next_int(&c);
}
AREA_READERS(user, fill, "user")

int user_insert(struct tx *tx, struct str password_hash, struct user *u, struct err *e)
{
    _autoarena_ struct arena a;
    arena_init(&a, KIB(16));
    int64_t now = clock_wall_ms();
    int rc = route_free(tx, &a, u->username, e);
    if (rc < 0)
        return rc == E_CONFLICT ? err_set(e, rc, "username has already been taken") : rc;
    rc = db_int(tx, &USER_INSERT,
                ARGS(S(u->username), S(u->name), S(u->email), S(password_hash),
                     S(str_of(user_state_name(u->state))), I(u->admin), I(now)),
                &u->id, e);
    if (rc == E_CONFLICT)
        return err_set(e, E_CONFLICT, "username or email has already been taken");
    if (rc < 0)
        return rc;
    struct ns n = {
        .owner_id = u->id, .path = u->username, .name = u->name, .visibility = VIS_PUBLIC};
    TRY(ns_insert(tx, &a, &n, e));
    u->namespace_id = n.id;
    u->created_at = u->updated_at = now;
    return 0;
}

int user_get(struct tx *tx, struct arena *a, int64_t id, struct user *ret, struct err *e)
{
    return one_user(tx, a, &USER_GET, ARGS(I(id)), ret, e);
}

int user_by_username(struct tx *tx, struct arena *a, struct str username, struct user *ret,
                     struct err *e)
{
    return one_user(tx, a, &USER_BY_USERNAME, ARGS(S(username)), ret, e);
}

int user_by_login(struct tx *tx, struct arena *a, struct str login, struct user *ret, struct err *e)
{
    struct db_stmt *stmt = str_find(login, '@') >= 0 ? &USER_BY_EMAIL : &USER_BY_USERNAME;
    return one_user(tx, a, stmt, ARGS(S(login)), ret, e);
}

int user_password_hash(struct tx *tx, struct arena *a, int64_t id, struct str *ret, struct err *e)
{
    _autorows_ struct rows r = ROWS_NONE;
    TRY(rows_open(&r, tx, &USER_PASSWORD, ARGS(I(id)), e));
    int rc = rows_next(&r, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, E_NOTFOUND, "user not found");
    *ret = row_text(&r, 0, a);
    return 0;
}

int user_set_password_hash(struct tx *tx, int64_t id, struct str hash, struct err *e)
{
    return db_one(tx, &USER_SET_PASSWORD, ARGS(I(id), S(hash), I(clock_wall_ms())), "user", e);
}

int user_update(struct tx *tx, const struct user *u, struct err *e)
{
    int rc = db_one(tx, &USER_UPDATE,
                    ARGS(I(u->id), S(u->name), S(u->email), S(str_of(user_state_name(u->state))),
                         I(u->admin), I(clock_wall_ms())),
                    "user", e);
    return rc == E_CONFLICT ? err_set(e, rc, "email has already been taken") : rc;
}

int user_touch(struct tx *tx, int64_t id, int64_t now, struct err *e)
{
    return db_one(tx, &USER_TOUCH, ARGS(I(id), I(now)), "user", e);
}

int user_list(struct tx *tx, struct arena *a, const struct user_filter *f, struct page *page,
              struct user **ret, size_t *ret_n, struct err *e)
{
    struct str like = like_pattern(a, f->search);
    struct str state = f->active == f->blocked ? STR("")
                       : f->active             ? STR("active")
                                               : STR("blocked");
    struct db_val limit = page_limit(page);
    TRY(many_user(tx, a, &USER_LIST,
                  ARGS(S(like), S(f->search), S(f->username), S(state), limit, page_offset(page)),
                  ret, ret_n, e));
    return page_count(tx, page, *ret_n, &USER_LIST_COUNT,
                      ARGS(S(like), S(f->search), S(f->username), S(state)), e);
}

int user_count(struct tx *tx, int64_t *ret, struct err *e)
{
    return db_int(tx, &USER_COUNT, NOARGS, ret, e);
}
