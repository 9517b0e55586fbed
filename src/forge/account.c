// SPDX-License-Identifier: Apache-2.0
// Accounts: checks, then rows. The slow hash is made before the write transaction begins.
// Stateless.
#include "forge/account.h"

#include "base/mem.h"
#include "forge/password.h"
#include "store/events.h"
#include "store/sessions.h"

struct str forge_repo_path(const struct forge *f, struct arena *a, struct str storage)
{
    return arena_strf(a, "%s/repos/%" PRISTR ".git", store_folder(f->store), STRARG(storage));
}

static int check_name(struct str name, struct err *e)
{
    if (name.n > 255)
        return err_set(e, E_INVALID, "name is too long (maximum is 255 characters)");
    if (!str_is_utf8(name) || str_has_control(name))
        return err_set(e, E_INVALID, "name must be text without control characters");
    return 0;
}

int account_create(struct forge *f, struct arena *a, const struct account_new *n, struct user *ret,
                   struct err *e)
{
    char hash[PASSWORD_HASH_SIZE];
    if (path_check(n->username, true, e) < 0)
        return err_wrap(e, "username");
    TRY(check_name(n->name, e));
    TRY(email_check(n->email, e));
    TRY(password_check_new(n->password, n->username, e));
    TRY(password_hash(f, n->password, hash, e));

    _autotx_ struct tx tx = TX_NONE;
    struct user u = {.username = n->username,
                     .name = n->name.n ? n->name : n->username,
                     .email = n->email,
                     .admin = n->admin};
    TRY(store_write(f->store, &tx, e));
    int rc = user_insert(&tx, str_of(hash), &u, e);
    mem_wipe(hash, sizeof(hash));
    if (rc < 0)
        return rc;
    struct event ev = {.audit = true,
                       .action = STR("user_created"),
                       .target_type = STR("User"),
                       .target_id = u.id,
                       .details = u.username};
    TRY(event_insert(&tx, &ev, e));
    TRY(user_get(&tx, a, u.id, ret, e));
    return tx_commit(&tx, e);
}

int account_set_password(struct forge *f, int64_t user_id, struct str password, struct err *e)
{
    char hash[PASSWORD_HASH_SIZE];
    TRY(password_check_new(password, STR_NONE, e));
    TRY(password_hash(f, password, hash, e));
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(f->store, &tx, e));
    int rc = user_set_password_hash(&tx, user_id, str_of(hash), e);
    mem_wipe(hash, sizeof(hash));
    if (rc < 0)
        return rc;
    // Whoever knew the old one is signed out.
    TRY(session_delete_user(&tx, user_id, 0, e));
    struct event ev = {.audit = true,
                       .action = STR("password_changed"),
                       .author_id = user_id,
                       .target_type = STR("User"),
                       .target_id = user_id};
    TRY(event_insert(&tx, &ev, e));
    return tx_commit(&tx, e);
}

int account_set_blocked(struct forge *f, const struct actor *who, int64_t user_id, bool blocked,
                        struct err *e)
{
    _autoarena_ struct arena a;
    arena_init(&a, KIB(64));
    if (!who->admin)
        return err_set(e, E_DENIED, "only an administrator may block or unblock a user");
    if (blocked && who->user_id == user_id)
        return err_set(e, E_INVALID, "you cannot block yourself");
    _autotx_ struct tx tx = TX_NONE;
    struct user u;
    TRY(store_write(f->store, &tx, e));
    TRY(user_get(&tx, &a, user_id, &u, e));
    u.state = blocked ? USER_BLOCKED : USER_ACTIVE;
    TRY(user_update(&tx, &u, e));
    if (blocked)
        TRY(session_delete_user(&tx, user_id, 0, e));
    struct event ev = {.audit = true,
                       .action = blocked ? STR("user_blocked") : STR("user_unblocked"),
                       .author_id = who->user_id,
                       .target_type = STR("User"),
                       .target_id = user_id};
    TRY(event_insert(&tx, &ev, e));
    return tx_commit(&tx, e);
}
