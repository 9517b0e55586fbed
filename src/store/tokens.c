// SPDX-License-Identifier: Apache-2.0
// Rows of personal access tokens, found by the hash of their secret. Which of them still count is
// forge's rule. Stateless.
#include "store/tokens.h"

#include "base/clock.h"
#include "store/rows.h"

#define COLUMNS                                                                                    \
    "SELECT id, user_id, name, description, scopes, revoked, created_at, expires_at,"              \
    " last_used_at FROM tokens "

STORE_STMT(TOKEN_INSERT, "INSERT INTO tokens (user_id, sha256, name, description, scopes,"
                         " created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
                         " RETURNING id");
STORE_STMT(TOKEN_GET, COLUMNS "WHERE id = $1");
STORE_STMT(TOKEN_BY_HASH, COLUMNS "WHERE sha256 = $1");
STORE_STMT(TOKEN_REVOKE, "UPDATE tokens SET revoked = 1 WHERE id = $1");
STORE_STMT(TOKEN_TOUCH, "UPDATE tokens SET last_used_at = $2 WHERE id = $1");

// $2: 0 all, 1 active, 2 inactive
#define FILTER                                                                                     \
    "WHERE ($1 = 0 OR user_id = $1) AND ($2 = 0 OR"                                                \
    " ($2 = 1) = (revoked = 0 AND (expires_at = 0 OR expires_at > $3)))"
STORE_STMT(TOKEN_LIST, COLUMNS FILTER " ORDER BY id DESC LIMIT $4 OFFSET $5");
STORE_STMT(TOKEN_LIST_COUNT, "SELECT count(*) FROM tokens " FILTER);

static const char *const SCOPES[] = {
    "api", "read_api", "read_user", "read_repository", "write_repository", "create_runner", "sudo"};

const char *token_scope_name(enum token_scope one)
{
    for (size_t i = 0; i < ARRAY_SIZE(SCOPES); i++)
        if ((unsigned)one == 1u << i)
            return SCOPES[i];
    return NULL;
}

bool token_scope_parse(struct str name, unsigned *ret_bit)
{
    for (size_t i = 0; i < ARRAY_SIZE(SCOPES); i++)
        if (str_is(name, SCOPES[i])) {
            *ret_bit = 1u << i;
            return true;
        }
    return false;
}

static void fill(struct rows *r, struct arena *a, struct token *t)
{
    struct cols c = {r, a, 0};
    t->id = next_int(&c);
    t->user_id = next_int(&c);
    t->name = next_text(&c);
    t->description = next_text(&c);
    t->scopes = (unsigned)next_int(&c);
    t->revoked = next_bool(&c);
    t->created_at = next_int(&c);
    t->expires_at = next_int(&c);
    t->last_used_at = next_int(&c);
}
AREA_READERS(token, fill, "token")

int token_insert(struct tx *tx, struct str sha256, struct token *t, struct err *e)
{
    t->created_at = clock_wall_ms();
    return db_int(tx, &TOKEN_INSERT,
                  ARGS(I(t->user_id), B(sha256), S(t->name), S(t->description), I(t->scopes),
                       I(t->created_at), I(t->expires_at)),
                  &t->id, e);
}

int token_get(struct tx *tx, struct arena *a, int64_t id, struct token *ret, struct err *e)
{
    return one_token(tx, a, &TOKEN_GET, ARGS(I(id)), ret, e);
}

int token_by_hash(struct tx *tx, struct arena *a, struct str sha256, struct token *ret,
                  struct err *e)
{
    return one_token(tx, a, &TOKEN_BY_HASH, ARGS(B(sha256)), ret, e);
}

int token_revoke(struct tx *tx, int64_t id, struct err *e)
{
    return db_one(tx, &TOKEN_REVOKE, ARGS(I(id)), "token", e);
}

int token_touch(struct tx *tx, int64_t id, int64_t now, struct err *e)
{
    return db_one(tx, &TOKEN_TOUCH, ARGS(I(id), I(now)), "token", e);
}

int token_list(struct tx *tx, struct arena *a, const struct token_filter *f, int64_t now,
               struct page *page, struct token **ret, size_t *ret_n, struct err *e)
{
    struct db_val limit = page_limit(page);
    TRY(many_token(tx, a, &TOKEN_LIST,
                   ARGS(I(f->user_id), I(f->state), I(now), limit, page_offset(page)), ret, ret_n,
                   e));
    return page_count(tx, page, *ret_n, &TOKEN_LIST_COUNT, ARGS(I(f->user_id), I(f->state), I(now)),
                      e);
}
