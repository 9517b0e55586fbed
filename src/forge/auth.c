// SPDX-License-Identifier: Apache-2.0
// Turns what a request carries into an actor. Secrets are looked up by their SHA-256, so a wrong
// one costs an index lookup and tells nothing; every refusal reads the same. Stateless.
#include "forge/auth.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "forge/account.h"
#include "forge/password.h"
#include "store/events.h"
#include "store/jobs.h"
#include "store/seal.h"
#include "store/sessions.h"
#include "store/users.h"

#include <stdio.h>

static int refused(struct err *e)
{
    return err_set(e, E_DENIED, "401 Unauthorized: the credentials are wrong, expired or revoked");
}

// ---- secrets ----

void token_make(const char *prefix, char out[TOKEN_TEXT_SIZE], unsigned char ret_sha256[32])
{
    char random[TOKEN_RANDOM + 1];
    text_random(random, sizeof(random));
    snprintf(out, TOKEN_TEXT_SIZE, "%s%s", prefix, random);
    mem_wipe(random, sizeof(random));
    sha256(str_of(out), ret_sha256);
}

// ---- actors ----

static void become(struct actor *to, const struct user *u)
{
    *to = (struct actor){.kind = ACTOR_USER,
                         .user_id = u->id,
                         .username = u->username,
                         .name = u->name,
                         .email = u->email,
                         .admin = u->admin,
                         .scopes = SCOPE_ALL};
}

// A missing row is a wrong credential; anything else is the store's own failure.
static int lookup(int rc, struct err *e)
{
    return rc == E_NOTFOUND ? refused(e) : rc;
}

static int active_user(struct tx *tx, struct arena *a, int64_t id, struct actor *ret, struct err *e)
{
    struct user u;
    TRY(lookup(user_get(tx, a, id, &u, e), e));
    if (u.state != USER_ACTIVE)
        return refused(e);
    become(ret, &u);
    return 0;
}

int auth_password(struct forge *f, struct arena *a, struct str login, struct str password,
                  struct actor *ret, struct err *e)
{
    struct user u = {0};
    struct str hash = STR_NONE;
    *ret = ACTOR_NOBODY;
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(f->store, &tx, e));
        int rc = user_by_login(&tx, a, login, &u, e);
        if (rc == 0)
            rc = user_password_hash(&tx, a, u.id, &hash, e);
        if (rc < 0 && rc != E_NOTFOUND)
            return rc;
        if (rc < 0)
            hash = STR_NONE;
    }
    bool ok = password.n <= PASSWORD_MAX && password_verify(f, password, hash);
    if (!ok || u.state != USER_ACTIVE)
        return refused(e);
    become(ret, &u);
    return 0;
}

int auth_token(struct tx *tx, struct arena *a, struct str secret, struct actor *ret, struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    struct token t;
    int64_t now = clock_wall_ms();
    *ret = ACTOR_NOBODY;
    if (!str_starts(secret, STR(TOKEN_PREFIX)) || secret.n >= TOKEN_TEXT_SIZE)
        return refused(e);
    TRY(lookup(token_by_hash(tx, a, sha256(secret, hash), &t, e), e));
    if (t.revoked || (t.expires_at && t.expires_at <= now))
        return refused(e);
    struct actor who;
    TRY(active_user(tx, a, t.user_id, &who, e));
    who.scopes = t.scopes;
    who.token_id = t.id;
    who.touch_due = t.last_used_at + TOKEN_TOUCH_MS <= now;
    *ret = who;
    return 0;
}

int auth_job_token(struct tx *tx, struct arena *a, struct str secret, struct actor *ret,
                   struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    struct job j;
    *ret = ACTOR_NOBODY;
    if (!str_starts(secret, STR(TOKEN_JOB_PREFIX)) || secret.n >= TOKEN_TEXT_SIZE)
        return refused(e);
    TRY(lookup(job_by_token(tx, a, sha256(secret, hash), &j, e), e));
    struct actor who = {.kind = ACTOR_JOB};
    if (j.user_id) {
        TRY(active_user(tx, a, j.user_id, &who, e));
        who.kind = ACTOR_JOB;
        who.admin = false;
    }
    who.scopes = SCOPE_READ_API | SCOPE_READ_REPOSITORY;
    who.job_id = j.id;
    who.job_project_id = j.project_id;
    who.job_pipeline_id = j.pipeline_id;
    *ret = who;
    return 0;
}

int auth_session(struct tx *tx, struct arena *a, struct str cookie, struct actor *ret,
                 struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    struct session s;
    int64_t now = clock_wall_ms();
    *ret = ACTOR_NOBODY;
    if (cookie.n != SESSION_COOKIE_CHARS)
        return refused(e);
    TRY(lookup(session_by_hash(tx, a, sha256(cookie, hash), &s, e), e));
    if (s.expires_at <= now)
        return refused(e);
    struct actor who;
    TRY(active_user(tx, a, s.user_id, &who, e));
    who.session_id = s.id;
    who.csrf = s.csrf;
    who.touch_due = s.last_seen_at + SESSION_TOUCH_MS <= now;
    *ret = who;
    return 0;
}

int auth_any_token(struct tx *tx, struct arena *a, struct str secret, struct actor *ret,
                   struct err *e)
{
    if (str_starts(secret, STR(TOKEN_JOB_PREFIX)))
        return auth_job_token(tx, a, secret, ret, e);
    return auth_token(tx, a, secret, ret, e);
}

// Some clients send a token as the user's name, with an empty or a fixed password.
static struct str basic_secret(struct str user, struct str password)
{
    return str_starts(user, STR(TOKEN_PREFIX)) ? user : password;
}

bool auth_basic_is_token(struct str user, struct str password)
{
    struct str secret = basic_secret(user, password);
    return str_starts(secret, STR(TOKEN_PREFIX)) || str_starts(secret, STR(TOKEN_JOB_PREFIX));
}

int auth_basic(struct forge *f, struct arena *a, struct str user, struct str password,
               struct actor *ret, struct err *e)
{
    struct str secret = basic_secret(user, password);
    if (auth_basic_is_token(user, password)) {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(f->store, &tx, e));
        return auth_any_token(&tx, a, secret, ret, e);
    }
    return auth_password(f, a, user, password, ret, e);
}

int auth_touch(struct forge *f, const struct actor *who, struct err *e)
{
    int64_t now = clock_wall_ms();
    if (!who->touch_due)
        return 0;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(f->store, &tx, e));
    if (who->token_id)
        TRY(token_touch(&tx, who->token_id, now, e));
    if (who->session_id)
        TRY(session_touch(&tx, who->session_id, now, now + SESSION_LIFE_MS, e));
    if (who->user_id)
        TRY(user_touch(&tx, who->user_id, now, e));
    return tx_commit(&tx, e);
}

// ---- personal access tokens ----

static int audit(struct tx *tx, const struct actor *who, struct str action, const char *type,
                 int64_t id, struct str details, struct str ip, struct err *e)
{
    struct event ev = {.audit = true,
                       .action = action,
                       .author_id = who->user_id,
                       .target_type = str_of(type),
                       .target_id = id,
                       .details = details,
                       .ip = ip};
    return event_insert(tx, &ev, e);
}

static bool is_self_or_admin(const struct actor *who, int64_t user_id)
{
    return who->kind == ACTOR_USER && (who->admin || who->user_id == user_id);
}

int auth_token_create(struct forge *f, const struct actor *who, int64_t user_id, struct str name,
                      unsigned scopes, int64_t expires_at, struct token *ret,
                      char ret_secret[TOKEN_TEXT_SIZE], struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    if (!is_self_or_admin(who, user_id))
        return err_set(e, E_DENIED, "a token can be made for oneself only");
    name = str_trim(name);
    if (name.n == 0 || name.n > 255 || !str_is_utf8(name) || str_has_control(name))
        return err_set(e, E_INVALID, "name must be 1 to 255 characters without control characters");
    if (scopes == 0 || (scopes & ~(unsigned)SCOPE_ALL))
        return err_set(e, E_INVALID, "scopes can't be blank; choose at least one");
    if (expires_at && expires_at <= clock_wall_ms())
        return err_set(e, E_INVALID, "expires_at must be in the future");

    _autotx_ struct tx tx = TX_NONE;
    struct token t = {.user_id = user_id, .name = name, .scopes = scopes, .expires_at = expires_at};
    token_make(TOKEN_PREFIX, ret_secret, hash);
    TRY(store_write(f->store, &tx, e));
    int rc = token_insert(&tx, str_n((const char *)hash, sizeof(hash)), &t, e);
    if (rc == E_CONFLICT)
        return err_set(e, E_NOTFOUND, "user not found");
    if (rc < 0)
        return rc;
    TRY(audit(&tx, who, STR("token_created"), "Token", t.id, name, STR(""), e));
    TRY(tx_commit(&tx, e));
    *ret = t;
    return 0;
}

int auth_token_revoke(struct forge *f, const struct actor *who, int64_t token_id, struct err *e)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    struct token t;
    arena_init(&a, KIB(64));
    TRY(store_write(f->store, &tx, e));
    int rc = token_get(&tx, &a, token_id, &t, e);
    if (rc == 0 && !is_self_or_admin(who, t.user_id))
        rc = err_set(e, E_NOTFOUND, "token not found");
    if (rc < 0)
        return rc;
    TRY(token_revoke(&tx, token_id, e));
    TRY(audit(&tx, who, STR("token_revoked"), "Token", token_id, t.name, STR(""), e));
    return tx_commit(&tx, e);
}

// ---- sessions ----

int auth_session_begin(struct forge *f, struct arena *a, const struct actor *who, struct str ip,
                       struct str user_agent, char ret_cookie[TOKEN_TEXT_SIZE], struct actor *ret,
                       struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    char csrf[SESSION_COOKIE_CHARS + 1];
    if (who->kind != ACTOR_USER)
        return err_set(e, E_DENIED, "only a person can sign in");
    text_random(ret_cookie, SESSION_COOKIE_CHARS + 1);
    text_random(csrf, sizeof(csrf));
    _autotx_ struct tx tx = TX_NONE;
    struct session s = {.user_id = who->user_id,
                        .csrf = str_of(csrf),
                        .ip = ip,
                        .user_agent = str_head(user_agent, 255),
                        .expires_at = clock_wall_ms() + SESSION_LIFE_MS};
    TRY(store_write(f->store, &tx, e));
    TRY(session_insert(&tx, sha256(str_of(ret_cookie), hash), &s, e));
    TRY(user_touch(&tx, who->user_id, s.created_at, e));
    TRY(audit(&tx, who, STR("signed_in"), "User", who->user_id, STR(""), ip, e));
    TRY(tx_commit(&tx, e));
    *ret = *who;
    ret->session_id = s.id;
    ret->csrf = arena_str(a, str_of(csrf));
    return 0;
}

int auth_session_end(struct forge *f, const struct actor *who, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    if (!who->session_id)
        return 0;
    TRY(store_write(f->store, &tx, e));
    int rc = session_delete(&tx, who->session_id, e);
    if (rc < 0 && rc != E_NOTFOUND)
        return rc;
    return tx_commit(&tx, e);
}

bool auth_csrf_ok(const struct actor *who, struct str token)
{
    return who->session_id && who->csrf.n && str_eq_secret(who->csrf, token);
}
