// SPDX-License-Identifier: Apache-2.0
// Personal access tokens as rows. Only the SHA-256 of the secret is kept; forge/auth.h makes and
// checks secrets.
#pragma once

#include "store/store.h"

// GitLab's scope names as bits.
enum token_scope {
    SCOPE_API = 1,
    SCOPE_READ_API = 2,
    SCOPE_READ_USER = 4,
    SCOPE_READ_REPOSITORY = 8,
    SCOPE_WRITE_REPOSITORY = 16,
    SCOPE_CREATE_RUNNER = 32,
    SCOPE_SUDO = 64, // accepted and kept; grants nothing yet
    SCOPE_ALL = 127,
};
const char *token_scope_name(enum token_scope one); // NULL when not exactly one known bit
bool token_scope_parse(struct str name, unsigned *ret_bit) MUST_USE;

struct token {
    int64_t id, user_id;
    struct str name;
    struct str description;
    unsigned scopes;
    bool revoked;
    int64_t created_at;
    int64_t expires_at;   // 0: does not expire
    int64_t last_used_at; // coarse: see token_touch
};

int token_insert(struct tx *tx, struct str sha256, struct token *t, struct err *e) MUST_USE;
int token_get(struct tx *tx, struct arena *a, int64_t id, struct token *ret,
              struct err *e) MUST_USE;
// Also finds revoked and expired ones: the caller decides.
int token_by_hash(struct tx *tx, struct arena *a, struct str sha256, struct token *ret,
                  struct err *e) MUST_USE;
int token_revoke(struct tx *tx, int64_t id, struct err *e) MUST_USE;
int token_touch(struct tx *tx, int64_t id, int64_t now, struct err *e) MUST_USE;
struct token_filter {
    int64_t user_id; // 0: of everybody
    enum { TOKENS_ALL, TOKENS_ACTIVE, TOKENS_INACTIVE } state;
};
// Newest first.
int token_list(struct tx *tx, struct arena *a, const struct token_filter *f, int64_t now,
               struct page *page, struct token **ret, size_t *ret_n, struct err *e) MUST_USE;
