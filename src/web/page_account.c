// SPDX-License-Identifier: Apache-2.0
// Signing in and out, and access tokens. Guessing is slowed down per account name and per address;
// the answer to a wrong name and a wrong password is the same.
#include "web/view.h"

#include "base/clock.h"
#include "base/mem.h"

enum { MINUTE = 60 * 1000 };

// ---- signing in

static int show_sign_in(struct view *v, struct str login, const char *problem)
{
    view_need_csrf(v);
    val_str(v->root, "login", login);
    val_str(v->root, "return_to",
            view_safe_path(http_method_is(v->c, "POST") ? view_form(v, "return_to")
                                                        : view_query(v, "return_to")));
    if (problem)
        val_cstr(v->root, "problem", problem);
    val_bool(v->root, "bare", true);
    return view_render(v, "sign_in", "Sign in");
}

static int sign_in_page(struct view *v)
{
    if (v->who.kind == ACTOR_USER)
        return view_redirect(v, "%" PRISTR, STRARG(view_safe_path(view_query(v, "return_to"))));
    return show_sign_in(v, STR_NONE, NULL);
}

static int throttled(struct view *v, struct str login, int64_t wait)
{
    http_status(v->c, 429);
    http_setf(v->c, "Retry-After", "%lld", (long long)(wait + 999) / 1000);
    struct str words = arena_strf(v->a, "Too many attempts. Try again in %lld minutes.",
                                  (long long)((wait + MINUTE - 1) / MINUTE));
    return show_sign_in(v, login, arena_dup(v->a, words));
}

static void set_session_cookie(struct view *v, const char *value, int64_t life_ms)
{
    http_add(v->c, "Set-Cookie",
             arena_strf(v->a, "%s=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%lld%s",
                        v->w->session_cookie, value, (long long)(life_ms / 1000),
                        v->w->secure ? "; Secure" : ""));
}

static int sign_in(struct view *v)
{
    struct str login = view_form(v, "login"), password = STR_NONE;
    for (size_t i = 0; i < v->form.n; i++)
        if (str_is(v->form.fields[i].key, "password"))
            password = v->form.fields[i].value; // not trimmed
    int64_t now = clock_ms();
    struct str address = view_address(v);
    struct buf b = BUF_INIT(KIB(4));
    for (size_t i = 0; i < MIN(login.n, (size_t)255); i++)
        buf_addc(&b, login.p[i] >= 'A' && login.p[i] <= 'Z' ? (char)(login.p[i] + 32) : login.p[i]);
    struct str account = arena_str(v->a, buf_str(&b));
    buf_done(&b);
    int64_t wait = MAX(throttle_wait(&v->w->by_login, account, now),
                       throttle_wait(&v->w->by_address, address, now));
    if (wait)
        return throttled(v, login, wait);
    struct actor who;
    int r = auth_password(v->w->ctx.forge, v->a, login, password, &who, &v->e);
    if (r == E_DENIED || r == E_NOTFOUND || r == E_INVALID) {
        throttle_fail(&v->w->by_login, account, now);
        throttle_fail(&v->w->by_address, address, now);
        http_status(v->c, 401);
        return show_sign_in(v, login, "Name or password is wrong.");
    }
    if (r)
        return r;
    char cookie[TOKEN_TEXT_SIZE];
    struct actor in;
    TRY(auth_session_begin(v->w->ctx.forge, v->a, &who, address, http_header(v->c, "User-Agent"),
                           cookie, &in, &v->e));
    throttle_clear(&v->w->by_login, account);
    set_session_cookie(v, cookie, SESSION_LIFE_MS);
    mem_wipe(cookie, sizeof(cookie));
    return view_redirect(v, "%" PRISTR, STRARG(view_safe_path(view_form(v, "return_to"))));
}

static int sign_out(struct view *v)
{
    TRY(auth_session_end(v->w->ctx.forge, &v->who, &v->e));
    set_session_cookie(v, "", 0);
    return view_redirect(v, "/users/sign_in?notice=signed_out");
}

// ---- access tokens

static const struct {
    enum token_scope bit;
    const char *what;
} SCOPES[] = {
    {SCOPE_API, "Everything the API can do, as you"},
    {SCOPE_READ_API, "Everything the API can read, as you"},
    {SCOPE_READ_USER, "Who you are"},
    {SCOPE_READ_REPOSITORY, "git clone and fetch"},
    {SCOPE_WRITE_REPOSITORY, "git push, too"},
    {SCOPE_CREATE_RUNNER, "Register runners"},
};

static void fill_scopes(struct view *v)
{
    struct val *list = val_list(v->root, "scopes");
    for (size_t i = 0; i < ARRAY_SIZE(SCOPES); i++) {
        struct val *s = val_push(list);
        val_cstr(s, "name", token_scope_name(SCOPES[i].bit));
        val_cstr(s, "what", SCOPES[i].what);
        bool on = false;
        for (size_t k = 0; k < v->form.n; k++)
            on = on || (str_is(v->form.fields[k].key, "scopes") &&
                        str_is(v->form.fields[k].value, token_scope_name(SCOPES[i].bit)));
        val_bool(s, "on", on);
    }
}

static int fill_tokens(struct view *v)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct token_filter f = {.user_id = v->who.user_id, .state = TOKENS_ACTIVE};
    struct page page = {.per_page = 100};
    struct token *t;
    size_t n;
    TRY(token_list(&tx, v->a, &f, v->now, &page, &t, &n, &v->e));
    val_bool(v->root, "any_tokens", n > 0);
    struct val *list = val_list(v->root, "tokens");
    for (size_t i = 0; i < n; i++) {
        struct val *row = val_push(list);
        val_int(row, "id", t[i].id);
        val_str(row, "name", t[i].name);
        val_int(row, "created_at", t[i].created_at);
        if (t[i].expires_at)
            val_int(row, "expires_at", t[i].expires_at);
        if (t[i].last_used_at)
            val_int(row, "last_used_at", t[i].last_used_at);
        struct val *scopes = val_list(row, "scopes");
        for (unsigned bit = 1; bit <= SCOPE_ALL; bit <<= 1)
            if (t[i].scopes & bit && token_scope_name(bit))
                val_push_str(scopes, str_of(token_scope_name(bit)));
    }
    return 0;
}

static int show_tokens(struct view *v, const char *problem)
{
    TRY(fill_tokens(v));
    fill_scopes(v);
    val_str(v->root, "form_name", view_form(v, "name"));
    val_str(v->root, "form_expires", view_form(v, "expires_at"));
    if (problem)
        val_cstr(v->root, "problem", problem);
    return view_render(v, "tokens", "Access tokens");
}

static int tokens_page(struct view *v)
{
    return show_tokens(v, NULL);
}

static int token_problem(struct view *v, const char *problem)
{
    http_status(v->c, 422);
    return show_tokens(v, problem);
}

static int token_make_form(struct view *v)
{
    struct str name = view_form(v, "name"), expires = view_form(v, "expires_at");
    unsigned scopes = 0, bit;
    for (size_t i = 0; i < v->form.n; i++)
        if (str_is(v->form.fields[i].key, "scopes")) {
            if (!token_scope_parse(v->form.fields[i].value, &bit))
                return token_problem(v, "One of the scopes is unknown.");
            scopes |= bit;
        }
    if (!name.n || name.n > 255)
        return token_problem(v, "The token needs a name (up to 255 bytes).");
    if (!scopes)
        return token_problem(v, "Choose at least one scope: without one the token can do nothing.");
    int64_t expires_at = 0;
    if (expires.n && (!clock_parse_rfc3339(expires, &expires_at) || expires_at <= v->now))
        return token_problem(v, "The expiry has to be a date in the future, like 2030-12-31.");
    struct token t;
    char secret[TOKEN_TEXT_SIZE];
    int r = auth_token_create(v->w->ctx.forge, &v->who, v->who.user_id, name, scopes, expires_at,
                              &t, secret, &v->e);
    if (r == E_INVALID)
        return token_problem(v, v->e.msg);
    if (r)
        return r;
    val_cstr(v->root, "new_secret", arena_dup(v->a, str_of(secret)));
    val_str(v->root, "new_name", name);
    mem_wipe(secret, sizeof(secret));
    v->form.n = 0;
    return show_tokens(v, NULL);
}

static int token_revoke_form(struct view *v)
{
    int64_t id;
    TRY(view_id(v, 0, &id));
    TRY(auth_token_revoke(v->w->ctx.forge, &v->who, id, &v->e));
    return view_redirect(v, "/-/user_settings/personal_access_tokens?notice=token_revoked");
}

const struct view_route ROUTES_ACCOUNT[] = {
    {"/users/sign_in", VIEW_GET, 0, sign_in_page, NULL},
    {"/users/sign_in", VIEW_POST, 0, sign_in, NULL},
    {"/users/sign_out", VIEW_POST | VIEW_SIGNED_IN, 0, sign_out, NULL},
    {"/-/user_settings/personal_access_tokens", VIEW_SIGNED_IN, 0, tokens_page, NULL},
    {"/-/user_settings/personal_access_tokens", VIEW_POST | VIEW_SIGNED_IN, 0, token_make_form,
     NULL},
    {"/-/user_settings/personal_access_tokens/:id/revoke", VIEW_POST | VIEW_SIGNED_IN, 0,
     token_revoke_form, NULL},
    {NULL, 0, 0, NULL, NULL},
};
