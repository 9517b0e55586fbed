// SPDX-License-Identifier: Apache-2.0
// The helpers of page handlers: rendering within the layout, redirects, errors, fields of queries
// and forms. Worker threads only.
#include "web/view.h"

#include "base/text.h"
#include "store/pipelines.h"
#include "web/asset.h"

#include <stdlib.h>

enum { PAGE_MAX = 24 << 20 };

// ---- headers

void view_security(struct view *v)
{
    http_set(v->c, "X-Content-Type-Options", STR("nosniff"));
    http_set(v->c, "X-Frame-Options", STR("DENY"));
    http_set(v->c, "Referrer-Policy", STR("same-origin"));
    http_set(v->c, "Content-Security-Policy",
             STR("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                 "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
                 "frame-ancestors 'none'"));
    if (v->w->secure) {
        http_set(v->c, "Strict-Transport-Security", STR("max-age=31536000"));
        // Over plain http browsers ignore it and complain.
        http_set(v->c, "Cross-Origin-Opener-Policy", STR("same-origin"));
    }
}

void view_sandbox(struct view *v)
{
    http_set(v->c, "Content-Security-Policy",
             STR("default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"));
    http_set(v->c, "Cross-Origin-Resource-Policy", STR("same-origin"));
}

// ---- rendering

static struct str theme(struct view *v)
{
    struct str t;
    if (http_cookie(v->c, "slipway_theme", &t) && (str_is(t, "dark") || str_is(t, "light")))
        return t;
    return STR("auto");
}

static void fill_project(struct view *v)
{
    struct val *p = val_sub(v->root, "project");
    const struct project *row = &v->project;
    val_int(p, "id", row->id);
    val_str(p, "name", row->name);
    ptrdiff_t slash = str_rfind(row->full_path, '/');
    val_str(p, "slug", str_from(row->full_path, (size_t)(slash + 1)));
    val_str(p, "path", row->full_path);
    val_str(p, "ns_path", row->ns_full_path);
    val_str(p, "description", row->description);
    val_str(p, "url", view_project_url(v));
    val_str(p, "default_branch", row->default_branch);
    val_cstr(p, "visibility", visibility_name(row->visibility));
    val_cstr(p, "visibility_icon",
             row->visibility == VIS_PUBLIC     ? "globe"
             : row->visibility == VIS_INTERNAL ? "shield"
                                               : "lock");
    val_bool(p, "archived", row->archived);
    val_bool(p, "reads_code", access_may_read_code(row, v->level));
    val_bool(p, "maintainer", v->level >= ACCESS_MAINTAINER);
    val_bool(p, "developer", v->level >= ACCESS_DEVELOPER);
    if (v->tab)
        val_bool(p, arena_dup(v->a, arena_strf(v->a, "tab_%s", v->tab)), true);
}

static void fill_layout(struct view *v, const char *title)
{
    val_cstr(v->root, "title", title);
    val_cstr(v->root, "assets", arena_dup(v->a, arena_strf(v->a, "/-/assets/%s", ASSETS_VERSION)));
    val_str(v->root, "theme", theme(v));
    val_cstr(v->root, "version", SLIPWAY_VERSION);
    val_cstr(v->root, "request_id", http_request_id(v->c));
    val_str(v->root, "here", http_target(v->c));
    if (v->who.kind == ACTOR_USER) {
        struct val *me = val_sub(v->root, "me");
        val_str(me, "username", v->who.username);
        val_str(me, "name", v->who.name.n ? v->who.name : v->who.username);
        val_bool(me, "admin", v->who.admin);
        view_need_csrf(v);
    }
    if (v->project.id)
        fill_project(v);
}

// What "?notice=x" says: short words for what a form has just done.
static const char *notice_text(struct str code)
{
    static const struct {
        const char *code, *text;
    } NOTICES[] = {
        {"signed_out", "You are signed out."},
        {"token_revoked", "The token is revoked."},
        {"variable_saved", "The variable is saved."},
        {"variable_removed", "The variable is removed."},
        {"member_saved", "The member is saved."},
        {"member_removed", "The member is removed."},
        {"project_created", "The project is there. Push something to it."},
        {"project_saved", "The settings are saved."},
        {"project_removed", "The project is removed."},
        {"pipeline_canceled", "The pipeline is being canceled."},
        {"pipeline_retried", "Failed and canceled jobs start again."},
        {"job_canceled", "The job is being canceled."},
        {"job_retried", "The job starts again."},
        {"job_started", "The job starts."},
    };
    for (size_t i = 0; i < ARRAY_SIZE(NOTICES); i++)
        if (str_is(code, NOTICES[i].code))
            return NOTICES[i].text;
    return NULL;
}

// A stream has begun, and at a rerun its viewer has signed out or lost access: all that can still
// be said is that it ends.
static bool stream_ends(struct view *v)
{
    if (http_begun(v->c))
        http_abort(v->c);
    return http_begun(v->c);
}

int view_render(struct view *v, const char *name, const char *title)
{
    if (stream_ends(v))
        return 0;
    const char *notice = notice_text(view_query(v, "notice"));
    if (notice)
        val_cstr(v->root, "notice", notice);
    fill_layout(v, title);
    struct buf page = BUF_INIT(PAGE_MAX), whole = BUF_INIT(PAGE_MAX);
    int r = tmpl_render(v->w->tmpl, str_of(name), v->root, v->now, &page, &v->e);
    if (!r) {
        val_html(v->root, "content", buf_str(&page));
        r = tmpl_render(v->w->tmpl, STR("layout"), v->root, v->now, &whole, &v->e);
    }
    if (!r) {
        http_set(v->c, "Cache-Control", STR("no-store"));
        http_send(v->c, "text/html; charset=utf-8", buf_str(&whole));
    }
    buf_done(&page);
    buf_done(&whole);
    return r;
}

int view_redirect(struct view *v, const char *fmt, ...)
{
    if (stream_ends(v))
        return 0;
    va_list ap;
    va_start(ap, fmt);
    struct buf to = BUF_INIT(KIB(32));
    buf_vaddf(&to, fmt, ap);
    va_end(ap);
    http_status(v->c, 303);
    http_set(v->c, "Location", view_safe_path(buf_str(&to)));
    http_set(v->c, "Cache-Control", STR("no-store"));
    http_send(v->c, NULL, STR_NONE);
    buf_done(&to);
    return 0;
}

static const char *error_words(int status)
{
    switch (status) {
    case 400:
        return "The address or form could not be understood.";
    case 403:
        return "You may not do this.";
    case 404:
        return "There is no such page, or you may not see it.";
    case 405:
        return "This address does not take that kind of request.";
    case 409:
        return "Something changed in the meantime. Go back and look again.";
    case 413:
        return "That is more than fits.";
    case 429:
        return "Too many attempts. Wait a few minutes.";
    case 503:
        return "The server is busy. Try again in a moment.";
    default:
        return "Something went wrong here, not with you. Try again; if it stays, tell your "
               "administrator the request number below.";
    }
}

static const char *error_title(int status)
{
    switch (status) {
    case 400:
        return "Bad request";
    case 403:
        return "Not allowed";
    case 404:
        return "Not found";
    case 405:
        return "Wrong method";
    case 409:
        return "Conflict";
    case 413:
        return "Too large";
    case 429:
        return "Too many attempts";
    case 503:
        return "Busy";
    default:
        return "Error";
    }
}

// Messages of the layers below are written for the API: "404 Project Not Found", "403 Forbidden:
// this needs ...". A page has the number above and wants a sentence.
static const char *error_sentence(struct view *v, int status, const char *message)
{
    struct str s = message ? str_of(message) : STR_NONE;
    if (str_starts(s, STR("403 Forbidden: ")))
        s = str_from(s, strlen("403 Forbidden: "));
    if (!s.n || (s.n > 3 && s.p[0] >= '4' && s.p[0] <= '5' && s.p[3] == ' '))
        return error_words(status);
    char *copy = arena_dup(v->a, s);
    if (copy[0] >= 'a' && copy[0] <= 'z')
        copy[0] = (char)(copy[0] - 'a' + 'A');
    return copy;
}

int view_error(struct view *v, int status, const char *message)
{
    struct val *old = v->root;
    v->root = val_map(v->a);
    v->csrf = STR_NONE;
    (void)old;
    v->tab = NULL;
    val_int(v->root, "status", status);
    val_cstr(v->root, "heading", error_title(status));
    val_cstr(v->root, "message", error_sentence(v, status, message));
    val_bool(v->root, "server_fault", status >= 500);
    val_bool(v->root, "not_found", status == 404);
    http_status(v->c, status);
    if (view_render(v, "error", error_title(status)))
        http_fail(v->c, 500, "%s", v->e.msg);
    return 0;
}

// ---- queries and forms

struct str view_query(struct view *v, const char *name)
{
    struct str s;
    return http_query_get(v->c, name, &s) ? s : STR_NONE;
}

struct str view_form(const struct view *v, const char *name)
{
    for (size_t i = 0; i < v->form.n; i++)
        if (str_is(v->form.fields[i].key, name))
            return str_trim(v->form.fields[i].value);
    return STR_NONE;
}

bool view_checked(const struct view *v, const char *name)
{
    return view_form(v, name).n > 0;
}

int view_id(struct view *v, size_t part, int64_t *ret)
{
    int64_t id;
    if (part >= v->nparts || !str_to_i64(v->part[part], &id) || id <= 0)
        return err_set(&v->e, E_NOTFOUND, "There is nothing with that number.");
    *ret = id;
    return 0;
}

struct page view_page(struct view *v, uint32_t per_page)
{
    uint64_t n;
    struct str s = view_query(v, "page");
    if (!str_to_u64(s, &n) || n < 1 || n > 1000000)
        n = 1;
    return (struct page){.page = (uint32_t)n, .per_page = per_page};
}

// The current address with another page number.
static struct str page_link(struct view *v, uint32_t page)
{
    struct buf b = BUF_INIT(KIB(32));
    buf_add(&b, http_path(v->c));
    struct str rest = http_query(v->c), k, val;
    char sep = '?';
    while (rest.n && url_query_next(&rest, &k, &val)) {
        if (str_is(k, "page") || str_is(k, "notice"))
            continue;
        buf_addf(&b, "%c%" PRISTR "=%" PRISTR, sep, STRARG(k), STRARG(val));
        sep = '&';
    }
    buf_addf(&b, "%cpage=%u", sep, page);
    struct str s = arena_str(v->a, buf_str(&b));
    buf_done(&b);
    return s;
}

void view_pager_more(struct view *v, uint32_t page, bool more)
{
    if (page <= 1 && !more)
        return;
    struct val *p = val_sub(v->root, "pager");
    val_int(p, "page", page);
    if (page > 1)
        val_str(p, "previous", page_link(v, page - 1));
    if (more)
        val_str(p, "next", page_link(v, page + 1));
}

void view_pager(struct view *v, const struct page *page)
{
    uint32_t n = MAX(page->page, 1u);
    view_pager_more(v, n, (int64_t)n * page->per_page < page->total);
}

struct str view_safe_path(struct str s)
{
    bool ok = s.n && s.p[0] == '/' && !str_has_control(s) && str_find(s, '\\') < 0 &&
              !str_starts(s, STR("//"));
    return ok ? s : STR("/");
}

struct str view_address(const struct view *v)
{
    // The edge is the only peer of the server's socket and overwrites this field.
    struct str peer = http_remote(v->c);
    struct str forwarded = http_header(v->c, "X-Forwarded-For");
    if (!str_is(peer, "unix") || !forwarded.n)
        return peer;
    ptrdiff_t comma = str_rfind(forwarded, ',');
    return str_trim(comma < 0 ? forwarded : str_from(forwarded, (size_t)comma + 1));
}

struct str view_project_url(struct view *v)
{
    struct buf b = BUF_INIT(KIB(8));
    buf_addc(&b, '/');
    url_encode_path(&b, v->project.full_path);
    struct str s = arena_str(v->a, buf_str(&b));
    buf_done(&b);
    return s;
}

// ---- states

const char *view_pipeline_state(struct tx *tx, const struct pipeline *p)
{
    bool warned = false;
    if (p->status == CI_SUCCESS && pipeline_warned(tx, p->id, &warned, NULL) == 0 && warned)
        return "warning";
    return ci_status_name(p->status);
}

void view_status(struct val *to, const char *status, bool allow_failure)
{
    static const struct {
        const char *status, *text, *icon;
    } STATES[] = {
        {"success", "passed", "s-success"},
        {"failed", "failed", "s-failed"},
        {"running", "running", "s-running"},
        {"pending", "pending", "s-pending"},
        {"created", "created", "s-created"},
        {"canceled", "canceled", "s-canceled"},
        {"canceling", "canceling", "s-canceled"},
        {"skipped", "skipped", "s-skipped"},
        {"manual", "manual", "s-manual"},
        {"scheduled", "scheduled", "s-pending"},
        {"preparing", "preparing", "s-pending"},
        {"waiting_for_resource", "waiting", "s-pending"},
        {"warning", "passed with warnings", "s-warning"},
    };
    if (allow_failure && str_is(str_of(status), "failed"))
        status = "warning";
    for (size_t i = 0; i < ARRAY_SIZE(STATES); i++)
        if (str_is(str_of(status), STATES[i].status)) {
            val_cstr(to, "status", STATES[i].status);
            val_cstr(to, "status_text",
                     allow_failure && i == ARRAY_SIZE(STATES) - 1 ? "failed, allowed"
                                                                  : STATES[i].text);
            val_cstr(to, "status_icon", STATES[i].icon);
            return;
        }
    BUG("a state without words");
}
