// SPDX-License-Identifier: Apache-2.0
// Who asks for which repository, and may they? Answers as GitLab does: 401 to strangers whether or
// not the project exists, 404 to people who may not see it, 403 to those who see it but may not.
// Any worker thread; the cache of verified passwords has one lock.
#include "githttp/priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/url.h"
#include "forge/forge.h"
#include "store/users.h"

#include <sodium.h>
#include <stdlib.h>

enum { SLOTS = 1024, KEEP_MS = 60000, KEY_BYTES = 32 };

struct verified {
    unsigned char key[KEY_BYTES];  // of name and password together
    unsigned char hash[KEY_BYTES]; // of the stored hash: a changed password ends the entry
    int64_t user_id, until;
};

struct auth_cache {
    pthread_mutex_t lock;
    unsigned char secret[crypto_generichash_KEYBYTES];
    struct verified slots[SLOTS];
};

struct auth_cache *auth_cache_new(void)
{
    if (sodium_init() < 0)
        BUG("libsodium cannot start");
    struct auth_cache *ac = NEW(struct auth_cache);
    pthread_mutex_init(&ac->lock, NULL);
    randombytes_buf(ac->secret, sizeof(ac->secret));
    return ac;
}

void auth_cache_free(struct auth_cache *ac)
{
    if (!ac)
        return;
    pthread_mutex_destroy(&ac->lock);
    mem_wipe(ac, sizeof(*ac));
    free(ac);
}

static void digest(const struct auth_cache *ac, struct str a, struct str b,
                   unsigned char out[KEY_BYTES])
{
    crypto_generichash_state st;
    uint64_t n = a.n; // so that "ab"+"c" is not "a"+"bc"
    crypto_generichash_init(&st, ac->secret, sizeof(ac->secret), KEY_BYTES);
    crypto_generichash_update(&st, (const unsigned char *)&n, sizeof(n));
    crypto_generichash_update(&st, (const unsigned char *)(a.n ? a.p : ""), a.n);
    crypto_generichash_update(&st, (const unsigned char *)(b.n ? b.p : ""), b.n);
    crypto_generichash_final(&st, out, KEY_BYTES);
}

static struct verified *slot_of(struct auth_cache *ac, const unsigned char key[KEY_BYTES])
{
    return &ac->slots[(key[0] | key[1] << 8) % SLOTS];
}

// E_NOTFOUND: not in the cache.
static int from_cache(struct githttp *g, struct arena *a, const unsigned char key[KEY_BYTES],
                      struct actor *ret, struct err *e)
{
    pthread_mutex_lock(&g->auth->lock);
    struct verified v = *slot_of(g->auth, key);
    pthread_mutex_unlock(&g->auth->lock);
    if (v.until < clock_ms() || sodium_memcmp(v.key, key, KEY_BYTES) != 0)
        return E_NOTFOUND;
    _autotx_ struct tx tx = TX_NONE;
    struct user u;
    struct str hash;
    unsigned char now[KEY_BYTES];
    TRY(store_read(g->cfg.forge->store, &tx, e));
    TRY(user_get(&tx, a, v.user_id, &u, e));
    TRY(user_password_hash(&tx, a, v.user_id, &hash, e));
    digest(g->auth, hash, STR_NONE, now);
    if (u.state != USER_ACTIVE || sodium_memcmp(now, v.hash, KEY_BYTES) != 0)
        return E_NOTFOUND;
    *ret = (struct actor){.kind = ACTOR_USER,
                          .user_id = u.id,
                          .username = u.username,
                          .name = u.name,
                          .email = u.email,
                          .admin = u.admin,
                          .scopes = SCOPE_ALL};
    return 0;
}

static void remember(struct githttp *g, struct arena *a, const unsigned char key[KEY_BYTES],
                     int64_t user_id)
{
    _autotx_ struct tx tx = TX_NONE;
    struct str hash;
    if (store_read(g->cfg.forge->store, &tx, NULL) < 0 ||
        user_password_hash(&tx, a, user_id, &hash, NULL) < 0)
        return;
    struct verified v = {.user_id = user_id, .until = clock_ms() + KEEP_MS};
    memcpy(v.key, key, KEY_BYTES);
    digest(g->auth, hash, STR_NONE, v.hash);
    pthread_mutex_lock(&g->auth->lock);
    *slot_of(g->auth, key) = v;
    pthread_mutex_unlock(&g->auth->lock);
}

// Of a name as its owner may write it, and of where it is tried from: who guesses shuts out nobody
// but whoever shares the address.
static struct str account_key(struct arena *a, struct str user, struct str address)
{
    user = str_head(user, 255);
    char *low = ARENA_ARRAY(a, char, user.n + 1);
    for (size_t i = 0; i < user.n; i++)
        low[i] = user.p[i] >= 'A' && user.p[i] <= 'Z' ? (char)(user.p[i] + 32) : user.p[i];
    return arena_strf(a, "%" PRISTR " %" PRISTR, STRARG(address), STRARG(str_n(low, user.n)));
}

int auth_cached(struct githttp *g, struct arena *a, struct str address, struct str user,
                struct str password, struct actor *ret, int64_t *ret_wait_ms, struct err *e)
{
    unsigned char key[KEY_BYTES];
    *ret_wait_ms = 0;
    if (auth_basic_is_token(user, password))
        return auth_basic(g->cfg.forge, a, user, password, ret, e);
    int64_t now = clock_ms();
    struct str account = account_key(a, user, address);
    // Also before the cache: otherwise it would tell the right password from the wrong ones.
    *ret_wait_ms = MAX(throttle_wait(&g->by_account, account, now),
                       throttle_wait(&g->by_address, address, now));
    if (*ret_wait_ms)
        return err_set(e, E_LIMIT, "too many wrong passwords");
    digest(g->auth, user, password, key);
    if (from_cache(g, a, key, ret, NULL) == 0)
        return 0;
    int rc = auth_basic(g->cfg.forge, a, user, password, ret, e);
    if (rc == 0) {
        throttle_clear(&g->by_account, account);
        remember(g, a, key, ret->user_id);
    } else if (rc == E_DENIED) {
        throttle_fail(&g->by_account, account, now);
        throttle_fail(&g->by_address, address, now);
    }
    return rc;
}

// ---- the request

// The edge is the only peer of a unix socket and overwrites the field.
static struct str address_of(const struct http_call *c)
{
    struct str peer = http_remote(c), forwarded = http_header(c, "X-Forwarded-For");
    if (!str_is(peer, "unix") || !forwarded.n)
        return peer;
    ptrdiff_t comma = str_rfind(forwarded, ',');
    return str_trim(comma < 0 ? forwarded : str_from(forwarded, (size_t)comma + 1));
}

static int read_credentials(struct githttp *g, struct http_call *c, struct actor *ret,
                            int64_t *ret_wait_ms, struct err *e)
{
    *ret_wait_ms = 0;
    struct str header = http_header(c, "Authorization"), scheme, rest = header;
    if (!header.n) {
        *ret = ACTOR_NOBODY;
        return 0;
    }
    str_cut(&rest, ' ', &scheme);
    rest = str_trim(rest);
    if (str_ieq(scheme, STR("Bearer"))) {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(g->cfg.forge->store, &tx, e));
        return auth_any_token(&tx, http_arena(c), rest, ret, e);
    }
    if (!str_ieq(scheme, STR("Basic")))
        return err_set(e, E_DENIED, "use Basic authentication");
    _autobuf_ struct buf plain = BUF_INIT(4096);
    if (!text_unbase64(&plain, rest))
        return err_set(e, E_DENIED, "the Authorization field is damaged");
    struct str text = buf_str(&plain);
    ptrdiff_t colon = str_find(text, ':');
    if (colon < 0 || memchr(text.p, 0, text.n))
        return err_set(e, E_DENIED, "the Authorization field is damaged");
    int rc = auth_cached(g, http_arena(c), address_of(c), str_head(text, (size_t)colon),
                         str_from(text, (size_t)colon + 1), ret, ret_wait_ms, e);
    mem_wipe(plain.p, plain.n);
    return rc;
}

static bool ask_who(struct http_call *c, const char *why)
{
    http_set(c, "WWW-Authenticate", STR("Basic realm=\"Slipway\", charset=\"UTF-8\""));
    answer_text(c, 401, "%s\n", why);
    return false;
}

static int find_project(struct githttp *g, struct arena *a, struct str path, struct target *t,
                        struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(g->cfg.forge->store, &tx, e));
    // A path of digits alone would be taken for an id.
    if (str_find(path, '/') < 0)
        return err_set(e, E_NOTFOUND, "no such project");
    return access_project_find(&tx, a, &t->who, path, ACCESS_NONE, &t->project, &t->level, e);
}

bool let_in(struct githttp *g, struct http_call *c, struct str project_path, bool push,
            struct target *ret)
{
    struct err e = ERR_INIT;
    struct arena *a = http_arena(c);
    *ret = (struct target){0};
    int64_t wait_ms;
    int rc = read_credentials(g, c, &ret->who, &wait_ms, &e);
    if (rc < 0 && wait_ms) {
        http_setf(c, "Retry-After", "%lld", (long long)(wait_ms + 999) / 1000);
        answer_text(c, 429, "Too many wrong passwords. Try again in %lld minutes.\n",
                    (long long)(wait_ms + 59999) / 60000);
        return false;
    }
    if (rc == E_DENIED || rc == E_NOTFOUND)
        return ask_who(c, "Access denied: the user name, password or token is wrong, expired or "
                          "revoked. Make a token with the scope read_repository or "
                          "write_repository and use it as the password.");
    if (rc < 0) {
        answer_err(c, &e);
        return false;
    }
    bool anonymous = ret->who.kind == ACTOR_ANONYMOUS;
    struct str path;
    rc = url_decode_arena(a, project_path, false, &path, &e);
    if (rc == 0)
        rc = find_project(g, a, path, ret, &e);
    if (rc == E_NOTFOUND || rc == E_DENIED || rc == E_INVALID) {
        if (anonymous)
            return ask_who(c, "Sign in to use this repository: with your user name and password, "
                              "or with a token as the password.");
        answer_text(c, 404, "The project \"%" PRISTR "\" does not exist, or you may not see it.\n",
                    STRARG(str_head(path, 200)));
        return false;
    }
    if (rc < 0) {
        answer_err(c, &e);
        return false;
    }
    if (push && anonymous)
        return ask_who(c, "Sign in to push: with your user name and password, or with a token that "
                          "has the scope write_repository as the password.");
    enum token_scope need = push ? SCOPE_WRITE_REPOSITORY : SCOPE_READ_REPOSITORY;
    if (!actor_has_scope(&ret->who, need)) {
        answer_text(c, 403, "This token has not the scope %s, which %s needs.\n",
                    token_scope_name(need), push ? "a push" : "reading a repository");
        return false;
    }
    if (push && ret->who.kind == ACTOR_JOB) {
        answer_text(c, 403, "A job's token may read the repository of its project, not push.\n");
        return false;
    }
    if (!access_may_read_code(&ret->project, ret->level)) {
        if (anonymous)
            return ask_who(c, "Sign in to read this repository.");
        answer_text(c, 403, "You are not allowed to download code from this project.\n");
        return false;
    }
    if (push && ret->project.archived) {
        answer_text(c, 403, "This project is archived: nothing can be pushed to it.\n");
        return false;
    }
    if (push && ret->level < ACCESS_DEVELOPER) {
        answer_text(c, 403,
                    "You are not allowed to push code to this project: that needs the role "
                    "Developer or higher.\n");
        return false;
    }
    if (ret->who.touch_due)
        (void)auth_touch(g->cfg.forge, &ret->who, NULL);
    ret->repo = arena_dup(a, forge_repo_path(g->cfg.forge, a, ret->project.storage));
    struct str protocol = http_header(c, "Git-Protocol");
    if (git_protocol_ok(protocol)) {
        ret->protocol = arena_dup(a, protocol);
        ret->version = git_protocol_version(protocol);
    }
    return true;
}
