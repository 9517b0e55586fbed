// SPDX-License-Identifier: Apache-2.0
// Who is it? Passwords, personal access tokens, sessions and job tokens become a `struct actor`.
// A wrong, expired, revoked or blocked one is E_DENIED with the same message and, for passwords,
// the same work as an unknown name. Nothing here logs or keeps a secret.
#pragma once

#include "forge/actor.h"
#include "forge/forge.h"

#define TOKEN_PREFIX         "glpat-"
#define TOKEN_JOB_PREFIX     "glcbt-"
#define TOKEN_RUNNER_PREFIX  "glrt-"
#define TOKEN_RANDOM         26               // characters of 6 bits each after the prefix
#define TOKEN_TEXT_SIZE      64               // room for any token with its NUL
#define TOKEN_TOUCH_MS       (10 * 60 * 1000) // last_used_at is at most this old while in use
#define SESSION_COOKIE_CHARS 43
#define SESSION_LIFE_MS      (7LL * 86400 * 1000) // since last seen
#define SESSION_TOUCH_MS     (10 * 60 * 1000)

// ---- secrets ----

// Writes "<prefix><random>" and its hash.
void token_make(const char *prefix, char out[TOKEN_TEXT_SIZE], unsigned char ret_sha256[32]);

// ---- checking; the strings of *ret are in the arena ----

// Username or email, with the password. Slow on purpose; opens its own transactions.
int auth_password(struct forge *f, struct arena *a, struct str login, struct str password,
                  struct actor *ret, struct err *e) MUST_USE;
// Within the caller's read transaction: cheap enough for every request.
int auth_token(struct tx *tx, struct arena *a, struct str secret, struct actor *ret,
               struct err *e) MUST_USE;
int auth_job_token(struct tx *tx, struct arena *a, struct str secret, struct actor *ret,
                   struct err *e) MUST_USE;
int auth_session(struct tx *tx, struct arena *a, struct str cookie, struct actor *ret,
                 struct err *e) MUST_USE;
// By prefix: a personal access token, or a job's ("Bearer", PRIVATE-TOKEN, JOB-TOKEN).
int auth_any_token(struct tx *tx, struct arena *a, struct str secret, struct actor *ret,
                   struct err *e) MUST_USE;
// True when auth_basic would look for a token, not a password.
bool auth_basic_is_token(struct str user, struct str password);
// HTTP Basic, as Git sends it: user "gitlab-ci-token" with a job token; any user name with a token
// as the password; or name and password. Opens its own transactions.
int auth_basic(struct forge *f, struct arena *a, struct str user, struct str password,
               struct actor *ret, struct err *e) MUST_USE;
// Notes the use (last_used_at, session life) when actor->touch_due; not inside a write transaction.
// A failure (full disk) is not the request's failure: the result may be ignored with (void).
int auth_touch(struct forge *f, const struct actor *who, struct err *e);

// ---- personal access tokens ----

// Writes the secret, shown once. scopes must not be 0; expires_at 0: never. Only for oneself, or by
// an administrator.
int auth_token_create(struct forge *f, const struct actor *who, int64_t user_id, struct str name,
                      unsigned scopes, int64_t expires_at, struct token *ret,
                      char ret_secret[TOKEN_TEXT_SIZE], struct err *e) MUST_USE;
int auth_token_revoke(struct forge *f, const struct actor *who, int64_t token_id,
                      struct err *e) MUST_USE;

// ---- sessions ----

// After auth_password(): writes the cookie's value; *ret carries session_id and csrf.
int auth_session_begin(struct forge *f, struct arena *a, const struct actor *who, struct str ip,
                       struct str user_agent, char ret_cookie[TOKEN_TEXT_SIZE], struct actor *ret,
                       struct err *e) MUST_USE;
int auth_session_end(struct forge *f, const struct actor *who, struct err *e) MUST_USE;
// True when the form's token is the session's (constant time).
bool auth_csrf_ok(const struct actor *who, struct str token);
