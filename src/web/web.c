// SPDX-License-Identifier: Apache-2.0
// The face for people: finds the route, the session and the project of a request, checks forms, and
// turns a handler's error into its page. Templates are parsed by web_init in the starting thread;
// everything else runs in worker threads.
#include "web/view.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "web/asset.h"
#include "web/markdown.h"

#include <sodium.h>
#include <stdlib.h>

enum { FORM_MAX = 256 << 10, REQUEST_MAX = 512 << 20 };

// ---- start

static int load_templates(struct web *w, struct err *e)
{
    for (size_t i = 0; i < NASSETS; i++) {
        struct str name = ASSETS[i].name;
        int r = 0;
        if (str_starts(name, STR("templates/")) && str_ends(name, STR(".html"))) {
            struct str n = str_from(name, 10);
            n.n -= 5;
            r = tmpl_add(w->tmpl, n, ASSETS[i].bytes, e);
        } else if (str_starts(name, STR("icons/")) && str_ends(name, STR(".svg"))) {
            struct str n = str_from(name, 6);
            n.n -= 4;
            tmpl_add_icon(w->tmpl, n, ASSETS[i].bytes);
        }
        if (r)
            return r;
    }
    return tmpl_check(w->tmpl, e);
}

int web_init(const struct web_ctx *ctx, struct web **ret, struct err *e)
{
    struct url u;
    int r = url_parse(str_of(ctx->external_url), &u, e);
    if (r)
        return err_wrap(e, "the external URL");
    struct web *w = NEW(struct web);
    w->ctx = *ctx;
    w->external_url = str_dup(str_of(ctx->external_url));
    w->pages_url = ctx->pages_url ? str_dup(str_of(ctx->pages_url)) : NULL;
    w->state_dir = str_dup(str_of(ctx->state_dir));
    w->ctx.external_url = w->external_url;
    w->ctx.pages_url = w->pages_url;
    w->ctx.state_dir = w->state_dir;
    // "scheme://authority": up to the third slash.
    struct str url = str_of(w->external_url);
    ptrdiff_t host = str_search(url, STR("://"));
    ptrdiff_t path = str_find(str_from(url, (size_t)host + 3), '/');
    w->origin = path < 0 ? url : str_head(url, (size_t)(host + 3 + path));
    w->secure = str_ieq(u.scheme, STR("https"));
    w->session_cookie = w->secure ? "__Host-slipway_session" : "slipway_session";
    w->form_cookie = w->secure ? "__Host-slipway_form" : "slipway_form";
    throttle_init(&w->by_login, 10, 5 * 60 * 1000);
    throttle_init(&w->by_address, 40, 5 * 60 * 1000);
    w->tmpl = tmpl_set_new();
    markdown_init();
    git_start();
    r = load_templates(w, e);
    if (r) {
        web_done(w);
        return r;
    }
    *ret = w;
    return 0;
}

void web_done(struct web *w)
{
    if (!w)
        return;
    tmpl_set_free(w->tmpl);
    throttle_done(&w->by_login);
    throttle_done(&w->by_address);
    free(w->external_url);
    free(w->pages_url);
    free(w->state_dir);
    free(w);
}

// ---- assets

static void answer_asset(struct view *v, struct str name)
{
    const struct asset *f = asset_find(name);
    if (!f || !f->gzip.n) {
        (void)view_error(v, 404, NULL);
        return;
    }
    const char *type = str_ends(name, STR(".css"))   ? "text/css; charset=utf-8"
                       : str_ends(name, STR(".js"))  ? "text/javascript; charset=utf-8"
                       : str_ends(name, STR(".svg")) ? "image/svg+xml"
                                                     : "application/octet-stream";
    http_set(v->c, "Cache-Control", STR("public, max-age=31536000, immutable"));
    http_set(v->c, "Vary", STR("Accept-Encoding"));
    struct str accepts = http_header(v->c, "Accept-Encoding");
    bool gzip = accepts.n && str_search(accepts, STR("gzip")) >= 0;
    if (gzip)
        http_set(v->c, "Content-Encoding", STR("gzip"));
    http_send(v->c, type, gzip ? f->gzip : f->bytes);
}

// ---- forms

static int read_form(struct view *v)
{
    struct str type = http_header(v->c, "Content-Type");
    if (!str_starts(type, STR("application/x-www-form-urlencoded")))
        return err_set(&v->e, E_INVALID,
                       "The form has to be sent as "
                       "application/x-www-form-urlencoded.");
    struct buf body = BUF_INIT(FORM_MAX);
    int r = http_read_all(v->c, &body, &v->e);
    size_t n = 1;
    for (size_t i = 0; i < body.n; i++)
        n += body.p[i] == '&';
    if (!r && n > 1000)
        r = err_set(&v->e, E_LIMIT, "The form has too many fields.");
    if (!r) {
        v->form.fields = ARENA_ARRAY(v->a, struct form_field, n);
        struct str rest = arena_str(v->a, buf_str(&body)), key, value;
        while (!r && url_query_next(&rest, &key, &value)) {
            struct form_field *f = &v->form.fields[v->form.n++];
            r = url_decode_arena(v->a, key, true, &f->key, &v->e);
            if (!r)
                r = url_decode_arena(v->a, value, true, &f->value, &v->e);
            if (!r && !str_is_utf8(f->value))
                r = err_set(&v->e, E_INVALID, "A field of the form is not UTF-8.");
        }
    }
    mem_wipe(body.p, body.n);
    buf_done(&body);
    return r;
}

// The token of an anonymous form follows from a random cookie that only this site can set or send.
static struct str form_token(struct view *v, struct str cookie)
{
    unsigned char hash[32];
    crypto_generichash(hash, sizeof(hash), (const unsigned char *)cookie.p, cookie.n,
                       (const unsigned char *)"slipway form", 12);
    struct buf hex = BUF_INIT(64);
    text_hex(&hex, str_n((const char *)hash, sizeof(hash)));
    struct str token = arena_str(v->a, buf_str(&hex));
    buf_done(&hex);
    return token;
}

void view_need_csrf(struct view *v)
{
    if (v->csrf.n)
        return;
    struct str cookie;
    if (v->who.kind == ACTOR_USER) {
        v->csrf = v->who.csrf;
    } else if (http_cookie(v->c, v->w->form_cookie, &cookie) && cookie.n == 43) {
        v->csrf = form_token(v, cookie);
    } else {
        text_random(v->form_cookie, 44);
        v->csrf = form_token(v, str_of(v->form_cookie));
        http_add(v->c, "Set-Cookie",
                 arena_strf(v->a, "%s=%s; Path=/; HttpOnly; SameSite=Lax%s", v->w->form_cookie,
                            v->form_cookie, v->w->secure ? "; Secure" : ""));
    }
    val_str(v->root, "csrf", v->csrf);
}

static bool same_origin(struct view *v)
{
    struct str origin = http_header(v->c, "Origin");
    if (!origin.p) {
        struct str site = http_header(v->c, "Sec-Fetch-Site");
        return !site.p || str_is(site, "same-origin") || str_is(site, "none");
    }
    if (str_ieq(origin, v->w->origin))
        return true;
    // Reached by another name (an address, a tunnel): the browser's own Host has to agree.
    struct str host = http_host(v->c);
    ptrdiff_t at = str_search(origin, STR("://"));
    return !v->w->secure && at > 0 && host.n && str_ieq(str_from(origin, (size_t)at + 3), host);
}

static int check_post(struct view *v)
{
    if (!same_origin(v))
        return err_set(&v->e, E_DENIED, "The form came from another site.");
    int r = read_form(v);
    if (r)
        return r;
    struct str sent = view_form(v, "csrf_token"), cookie;
    bool ok = false;
    if (v->who.kind == ACTOR_USER)
        ok = auth_csrf_ok(&v->who, sent);
    else if (http_cookie(v->c, v->w->form_cookie, &cookie) && cookie.n == 43)
        ok = str_eq_secret(form_token(v, cookie), sent);
    if (!ok)
        return err_set(&v->e, E_DENIED,
                       "The form has expired or was not made by this page. Go "
                       "back, reload the page and send it again.");
    return 0;
}

// ---- routing

// Matches `pattern` against segments; fills part and tail.
static bool match(struct view *v, const struct view_route *route, const struct str *seg, size_t n)
{
    struct str rest = str_of(route->pattern + 1), want;
    size_t at = 0;
    v->nparts = 0;
    while (rest.n && str_cut(&rest, '/', &want)) {
        if (at == n)
            return false;
        if (want.n && want.p[0] == ':') {
            if (v->nparts == VIEW_PARTS_MAX)
                return false;
            v->part[v->nparts++] = seg[at];
        } else if (!str_eq(want, seg[at])) {
            return false;
        }
        at++;
    }
    v->tail = seg + at;
    v->ntail = n - at;
    return at == n || (route->flags & VIEW_TAIL);
}

static const struct view_route *find(struct view *v, const struct view_route *const *tables,
                                     const struct str *seg, size_t n, bool *wrong_method)
{
    bool post = http_method_is(v->c, "POST");
    bool get = http_method_is(v->c, "GET") || http_method_is(v->c, "HEAD");
    for (; *tables; tables++)
        for (const struct view_route *r = *tables; r->pattern; r++) {
            if (!match(v, r, seg, n))
                continue;
            if ((r->flags & VIEW_POST) ? post : get)
                return r;
            *wrong_method = true;
        }
    return NULL;
}

static int sign_in_first(struct view *v)
{
    if (!http_method_is(v->c, "GET") && !http_method_is(v->c, "HEAD"))
        return view_redirect(v, "/users/sign_in");
    struct buf b = BUF_INIT(KIB(16));
    url_query_add(&b, STR("return_to"), http_target(v->c));
    struct str query = arena_str(v->a, buf_str(&b));
    buf_done(&b);
    return view_redirect(v, "/users/sign_in%" PRISTR, STRARG(query));
}

static int run(struct view *v, const struct view_route *r)
{
    bool user = v->who.kind == ACTOR_USER;
    if ((r->flags & (VIEW_SIGNED_IN | VIEW_ADMIN)) && !user)
        return sign_in_first(v);
    if ((r->flags & VIEW_ADMIN) && !v->who.admin)
        return err_set(&v->e, E_NOTFOUND, "no such page");
    if (r->flags & VIEW_POST) {
        int e = check_post(v);
        if (e)
            return e;
    }
    v->tab = r->tab;
    return r->fn(v);
}

static int open_repo(struct view *v)
{
    struct str path = forge_repo_path(v->w->ctx.forge, v->a, v->project.storage);
    return git_repo_open(arena_dup(v->a, path), &v->repo, &v->e);
}

static int project_route(struct view *v, const struct view_route *r)
{
    bool user = v->who.kind == ACTOR_USER;
    if (r->level > v->level)
        return user ? err_set(&v->e, E_DENIED,
                              "This needs the role %s in the project; you have: %s.",
                              access_level_name(r->level), access_level_name(v->level))
                    : sign_in_first(v);
    if (r->flags & VIEW_CODE) {
        if (!access_may_read_code(&v->project, v->level))
            return user ? err_set(&v->e, E_DENIED,
                                  "Your role in this project does not include its "
                                  "code.")
                        : sign_in_first(v);
        int e = open_repo(v);
        if (e)
            return e;
    }
    return run(v, r);
}

static const struct view_route HOME = {"/", VIEW_GET, 0, view_project_home, "code"};

static int find_project(struct view *v, struct str full_path)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    // Digits alone would be taken for an id; a project's path has a namespace before it.
    if (str_find(full_path, '/') < 0)
        return err_set(&v->e, E_NOTFOUND, "no such project");
    return access_project_find(&tx, v->a, &v->who, full_path, ACCESS_NONE, &v->project, &v->level,
                               &v->e);
}

static int route_project(struct view *v)
{
    const struct url_path *p = &v->path;
    size_t dash = 0;
    while (dash < p->n && !str_is(p->seg[dash], "-"))
        dash++;
    struct str full_path = view_join(v, p->seg, dash);
    int e = find_project(v, full_path);
    if (e == E_NOTFOUND && dash == p->n) {
        int n = view_namespace(v, full_path);
        if (n != E_NOTFOUND)
            return n;
    }
    if (e == E_NOTFOUND && v->who.kind != ACTOR_USER)
        return sign_in_first(v);
    if (e)
        return e;
    if (!str_eq(v->project.full_path, full_path) && http_method_is(v->c, "GET")) {
        // Another spelling (case) of the same path: one address per page.
        struct str rest = view_join(v, p->seg + dash, p->n - dash);
        struct buf b = BUF_INIT(KIB(16));
        url_encode_path(&b, v->project.full_path);
        buf_addc(&b, rest.n ? '/' : ' ');
        url_encode_path(&b, rest);
        struct str to = str_trim(arena_str(v->a, buf_str(&b)));
        buf_done(&b);
        return view_redirect(v, "/%" PRISTR, STRARG(to));
    }
    if (dash == p->n) {
        if (!http_method_is(v->c, "GET") && !http_method_is(v->c, "HEAD"))
            return view_error(v, 405, NULL);
        return project_route(v, &HOME);
    }
    static const struct view_route *const TABLES[] = {ROUTES_CODE, ROUTES_CI, ROUTES_SETTINGS,
                                                      NULL};
    bool wrong_method = false;
    const struct view_route *r = find(v, TABLES, p->seg + dash + 1, p->n - dash - 1, &wrong_method);
    if (!r)
        return view_error(v, wrong_method ? 405 : 404, NULL);
    return project_route(v, r);
}

static int dispatch(struct view *v)
{
    int e = url_path_split(http_path(v->c), v->a, &v->path, &v->e);
    if (e)
        return e;
    const struct url_path *p = &v->path;
    if (p->n >= 4 && str_is(p->seg[0], "-") && str_is(p->seg[1], "assets")) {
        answer_asset(v, view_join(v, p->seg + 3, p->n - 3));
        return 0;
    }
    static const struct view_route *const TABLES[] = {ROUTES_SITE, ROUTES_ACCOUNT, NULL};
    bool wrong_method = false;
    const struct view_route *r = find(v, TABLES, p->seg, p->n, &wrong_method);
    if (r)
        return run(v, r);
    if (wrong_method)
        return view_error(v, 405, NULL);
    if (!p->n || str_is(p->seg[0], "-"))
        return view_error(v, 404, NULL);
    return route_project(v);
}

static int identify(struct view *v)
{
    struct str cookie;
    v->who = ACTOR_NOBODY;
    if (!http_cookie(v->c, v->w->session_cookie, &cookie) || !cookie.n)
        return 0;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct actor who;
    int r = auth_session(&tx, v->a, cookie, &who, &v->e);
    if (r == E_DENIED || r == E_NOTFOUND)
        return 0;
    if (!r)
        v->who = who;
    return r;
}

static int status_of(int code)
{
    return code == E_INVALID ? 400 : err_http_status(code);
}

int web_handle(struct http_call *c, void *web)
{
    // Files and differences are larger than what other faces keep per request.
    _autoarena_ struct arena arena;
    arena_init(&arena, REQUEST_MAX);
    struct view v = {.w = web, .c = c, .a = &arena, .now = clock_wall_ms()};
    v.root = val_map(v.a);
    if (!http_begun(c)) // a stream that goes on has sent its head
        view_security(&v);
    int r = identify(&v);
    if (!r && v.who.kind == ACTOR_USER && v.who.touch_due) {
        struct err ignored;
        // Failing to note the visit (a full disk) must not fail the visit.
        if (auth_touch(v.w->ctx.forge, &v.who, &ignored))
            v.who.touch_due = false;
    }
    if (!r)
        r = dispatch(&v);
    git_repo_close(v.repo);
    if (r < 0 && http_begun(c)) {
        http_abort(c);
    } else if (r < 0) {
        // What went wrong inside is for the operator; the page says what the visitor can do.
        bool inside = r == E_IO || status_of(r) >= 500;
        if (inside && v.w->ctx.report)
            v.w->ctx.report(v.w->ctx.report_ctx, http_request_id(c), v.e.msg);
        r = view_error(&v, status_of(r), inside || !v.e.msg[0] ? NULL : v.e.msg);
    }
    return r == VIEW_PARK ? HTTP_PARK : HTTP_DONE;
}
