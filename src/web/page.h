// SPDX-License-Identifier: Apache-2.0
// What every page handler works with: the request, who asks, the project it is about, the values
// for the template. Internal to src/web.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "codec/url.h"
#include "git/repo.h"
#include "net/http_server.h"
#include "store/members.h"
#include "store/projects.h"
#include "store/sessions.h"
#include "store/users.h"
#include "web/throttle.h"
#include "web/tmpl.h"
#include "web/web.h"

struct web {
    struct web_ctx ctx;
    char *external_url, *pages_url, *state_dir;
    bool secure; // https: cookies are Secure and __Host-
    const char *session_cookie, *form_cookie;
    struct tmpl_set *tmpl;
    struct throttle by_login, by_address;
};

struct form {
    struct form_field {
        struct str key, value;
    } *fields;
    size_t n;
};

struct page {
    struct web *w;
    struct http_call *c;
    struct arena *a;
    int64_t now; // wall milliseconds
    struct err e;
    struct val *root;

    struct url_path path;
    const struct str *rest; // the segments after the route's fixed part
    size_t nrest;
    struct form form; // of a POST

    bool signed_in;
    struct user user;
    struct session session;
    struct str csrf;       // what this page's forms carry; "" until a form needs it
    struct str set_cookie; // a form cookie to send along

    struct project project; // project routes only
    int level;              // the viewer's access level in it
    const char *section;    // which tab is current
    struct git_repo *repo;  // closed by the dispatcher
};

// What a handler returns: 0 after answering, PAGE_PARK after http_park, or a negative E_* with p->e
// set, which becomes the page for that error.
enum { PAGE_PARK = 1 };
typedef int (*page_fn)(struct page *p);

enum page_flag {
    PAGE_ANY = 0,     // anonymous visitors may
    PAGE_SIGNED_IN = 1,
    PAGE_ADMIN = 2,
    PAGE_POST = 4,    // POST only, checked for CSRF; without it GET and HEAD only
    PAGE_TAIL = 8,    // the pattern's last part takes all segments that are left (also none)
};

// Routes of the whole site ("/projects/new") or of a project, below "/<path>/-" ("/pipelines/:id").
// ":x" takes one segment into p->rest, in order.
struct page_route {
    const char *pattern;
    unsigned flags;
    int level; // project routes: the least access level (0: whoever sees the project)
    page_fn fn;
    const char *section; // tab that is current
};
#define PAGE_ROUTES_END {NULL, 0, 0, NULL, NULL}

extern const struct page_route ROUTES_SITE[], ROUTES_ACCOUNT[];                        // whole site
extern const struct page_route ROUTES_CODE[], ROUTES_CI[], ROUTES_SETTINGS[];          // projects
int page_project_home(struct page *p);
int page_namespace(struct page *p, struct str full_path);

// ---- answering

// Renders `name` within the layout. The handler has filled p->root.
int page_render(struct page *p, const char *name, const char *title);
int page_render_status(struct page *p, int status, const char *name, const char *title);
// 303 to a path of this site (an own path that starts with one '/').
int page_redirect(struct page *p, const char *fmt, ...) PRINTF(2, 3);
// The page for an error: clear words, the right status.
int page_error(struct page *p, int status, const char *message);
// A fragment: renders a template without layout into `out`.
int page_fragment(struct page *p, const char *name, const struct val *v, struct buf *out);
// Headers of everything this face answers.
void page_security(struct page *p);

// ---- the request

// "" when absent.
struct str page_query(struct page *p, const char *name);
struct str page_form(const struct page *p, const char *name);
bool page_form_has(const struct page *p, const char *name);
// Positive decimal of a route's ":id"; E_NOTFOUND otherwise.
int page_id(struct page *p, size_t rest_index, int64_t *ret) MUST_USE;
// ?page=N as the store wants it.
uint32_t page_number(struct page *p);
// Fills "pager" for the pager partial: previous and next with the query kept.
void page_pager(struct page *p, uint32_t page, uint32_t per_page, int64_t total);
// Makes p->csrf ready; called for every page with forms (signed in: always ready).
void page_need_csrf(struct page *p);
// Client's address for throttling and logs.
struct str page_address(const struct page *p);
// A path of this site that is safe to redirect to, or "/".
struct str page_safe_path(struct str s);

// ---- projects

// Opens p->repo. E_NOTFOUND when the folder is missing.
int page_open_repo(struct page *p) MUST_USE;
// "/group/project", encoded for links.
struct str page_project_url(struct page *p);
