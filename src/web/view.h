// SPDX-License-Identifier: Apache-2.0
// What every page works with: the request, who asks, the project it is about, the values for the
// template. Internal to src/web.
#pragma once

#include "codec/url.h"
#include "forge/access.h"
#include "forge/auth.h"
#include "forge/forge.h"
#include "forge/throttle.h"
#include "git/read.h"
#include "net/http_server.h"
#include "web/tmpl.h"
#include "web/web.h"

struct web {
    struct web_ctx ctx;
    char *external_url, *pages_url, *state_dir;
    struct str origin; // of external_url: "https://host:port"
    bool secure;       // https: cookies are Secure and named __Host-
    const char *session_cookie, *form_cookie;
    struct tmpl_set *tmpl;
    struct throttle by_login, by_address;
};

struct form {
    struct form_field {
        struct str key, value;
    } * fields;
    size_t n;
};

#define VIEW_PARTS_MAX 8

struct view {
    struct web *w;
    struct http_call *c;
    struct arena *a;
    int64_t now; // wall milliseconds
    struct err e;
    struct val *root; // for the template

    struct url_path path;
    struct str part[VIEW_PARTS_MAX]; // what the route's ":x" stand for
    size_t nparts;
    const struct str *tail; // segments of a VIEW_TAIL route
    size_t ntail;
    struct form form; // of a POST

    struct actor who;
    struct str csrf;      // for this page's forms; set by view_need_csrf
    bool set_form_cookie; // an anonymous form needs its cookie
    char form_cookie[48];

    struct project project; // project routes only
    int level;              // the viewer's access level in it
    const char *tab;        // which tab is current
    struct git_repo *repo;  // closed by the dispatcher
};

// What a handler returns: 0 after answering, VIEW_PARK after http_park, or a negative E_* with v->e
// set, which becomes the page for that error.
enum { VIEW_PARK = 1 };
typedef int (*view_fn)(struct view *v);

enum view_flag {
    VIEW_GET = 0,
    VIEW_SIGNED_IN = 1,
    VIEW_ADMIN = 2,
    VIEW_POST = 4,  // POST with a CSRF token; a route without it is for GET and HEAD
    VIEW_TAIL = 8,  // takes all segments that are left
    VIEW_CODE = 16, // needs the right to read the repository; opens v->repo
};

// Routes of the whole site ("/projects/new"), or of a project, below "/<full/path>/-".
// ":x" takes one segment into v->part, in order.
struct view_route {
    const char *pattern;
    unsigned flags;
    int level; // project routes: the least access level
    view_fn fn;
    const char *tab;
};

extern const struct view_route ROUTES_SITE[], ROUTES_ACCOUNT[];               // whole site
extern const struct view_route ROUTES_CODE[], ROUTES_CI[], ROUTES_SETTINGS[]; // projects
int view_project_home(struct view *v);
int view_namespace(struct view *v, struct str full_path);

// ---- answering

// Renders `name` within the layout, status 200 unless http_status said otherwise. The handler has
// filled v->root; `title` is what stands in the window's title before the site's name.
int view_render(struct view *v, const char *name, const char *title) MUST_USE;
// 303 to a path of this site: it begins with exactly one '/'.
int view_redirect(struct view *v, const char *fmt, ...) PRINTF(2, 3);
// The page of an error. `message` may be NULL: words that fit the status.
int view_error(struct view *v, int status, const char *message);
// Security headers of everything this face answers, and the content security policy of pages.
void view_security(struct view *v);
// The policy for bytes that people uploaded: nothing may run or load.
void view_sandbox(struct view *v);

// ---- the request

struct str view_query(struct view *v, const char *name);      // "" when absent
struct str view_form(const struct view *v, const char *name); // trimmed; "" when absent
bool view_checked(const struct view *v, const char *name);    // a checkbox
// The decimal of a route's ":x"; E_NOTFOUND when it is none.
int view_id(struct view *v, size_t part, int64_t *ret) MUST_USE;
struct page view_page(struct view *v, uint32_t per_page);
// Fills "pager" for the partial of that name.
void view_pager(struct view *v, const struct page *page);
// "pager" where only "is there more" is known.
void view_pager_more(struct view *v, uint32_t page, bool more);
// Makes v->csrf and the template's `csrf` ready (a page with forms; done for who is signed in).
void view_need_csrf(struct view *v);
// `s` when it is a path of this site that is safe to redirect to, else "/".
struct str view_safe_path(struct str s);
// Client's address, as the edge tells it.
struct str view_address(const struct view *v);
// "/group/project", encoded for links.
struct str view_project_url(struct view *v);

struct pipeline;
struct tx;
// The word for view_status: the pipeline's status, or "warning" for a success in which a job failed
// that may fail.
const char *view_pipeline_state(struct tx *tx, const struct pipeline *p);

// Words and icon of a state of job or pipeline: sets status, status_text, status_icon.
void view_status(struct val *to, const char *status, bool allow_failure);
