// SPDX-License-Identifier: Apache-2.0
// Compiles the route tables into a trie with one node per path segment and walks it for each
// request. The trie belongs to the api object, is built at start and only read afterwards, by any
// thread. Decoding of percent signs happens after splitting, so an encoded slash stays in its
// segment.
#include "api/router.h"

#include "base/err.h"
#include "base/mem.h"
#include "codec/url.h"

struct node {
    struct str literal; // the segment; empty for parameter nodes
    struct node *children, *next;
    struct node *param; // one segment of any text
    struct node *tail;  // the rest of the path
    const struct route *by_method[API_METHODS];
};

struct api_router {
    struct node root;
};

static const char *const method_names[API_METHODS] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

const char *api_method_name(enum api_method m)
{
    return method_names[m];
}

int api_method_of(struct str name)
{
    if (str_is(name, "HEAD"))
        return API_GET;
    for (int m = 0; m < API_METHODS; m++)
        if (str_is(name, method_names[m]))
            return m;
    return -1;
}

const char *api_need_name(enum api_need s)
{
    static const char *const names[] = {"none",          "read_user", "read_api", "read_repository",
                                        "create_runner", "api",       "any"};
    return names[s];
}

const char *api_role_name(enum api_role r)
{
    switch (r) {
    case ROLE_ANYONE:
        return "Anyone";
    case ROLE_USER:
        return "Signed in";
    case ROLE_GUEST:
        return "Guest";
    case ROLE_REPORTER:
        return "Reporter";
    case ROLE_DEVELOPER:
        return "Developer";
    case ROLE_MAINTAINER:
        return "Maintainer";
    case ROLE_OWNER:
        return "Owner";
    case ROLE_ADMIN:
        return "Administrator";
    }
    return "?";
}

static struct node *node_literal(struct node *at, struct str segment)
{
    for (struct node *c = at->children; c; c = c->next)
        if (str_eq(c->literal, segment))
            return c;
    struct node *c = NEW(struct node);
    c->literal = segment;
    c->next = at->children;
    at->children = c;
    return c;
}

static void router_add(struct api_router *r, const struct route *route)
{
    struct node *at = &r->root;
    struct str rest = str_from(str_of(route->pattern), 1), segment;
    size_t nparams = 0;
    while (str_cut(&rest, '/', &segment)) {
        if (segment.n && segment.p[0] == '*') {
            if (!at->tail)
                at->tail = NEW(struct node);
            at = at->tail;
            BUG_ON(rest.p != NULL);
            nparams++;
        } else if (segment.n && segment.p[0] == ':') {
            if (!at->param)
                at->param = NEW(struct node);
            at = at->param;
            nparams++;
        } else {
            at = node_literal(at, segment);
        }
    }
    BUG_ON(nparams > API_PATH_PARAMS);
    BUG_ON(at->by_method[route->method] != NULL);
    at->by_method[route->method] = route;
}

struct api_router *api_router_new(const struct route_table *const *tables, size_t n)
{
    struct api_router *r = NEW(struct api_router);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tables[t]->n; i++)
            router_add(r, &tables[t]->routes[i]);
    return r;
}

static void node_free(struct node *n)
{
    if (!n)
        return;
    for (struct node *c = n->children, *next; c; c = next) {
        next = c->next;
        node_free(c);
    }
    node_free(n->param);
    node_free(n->tail);
    free(n);
}

void api_router_free(struct api_router *r)
{
    if (!r)
        return;
    for (struct node *c = r->root.children, *next; c; c = next) {
        next = c->next;
        node_free(c);
    }
    node_free(r->root.param);
    node_free(r->root.tail);
    free(r);
}

static bool node_has_route(const struct node *n)
{
    for (int m = 0; m < API_METHODS; m++)
        if (n->by_method[m])
            return true;
    return false;
}

// Depth is bounded by the patterns' length, so the recursion and its backtracking are, too.
static const struct node *node_walk(const struct node *at, struct str rest, struct api_match *m,
                                    size_t nraw, size_t depth)
{
    if (!rest.p) {
        m->nraw = nraw;
        return node_has_route(at) ? at : NULL;
    }
    if (depth > API_PATH_SEGMENTS)
        return NULL;
    struct str after = rest, segment;
    if (!str_cut(&after, '/', &segment))
        segment = STR(""); // a trailing slash
    for (const struct node *c = at->children; c; c = c->next) {
        if (!str_eq(c->literal, segment))
            continue;
        const struct node *found = node_walk(c, after, m, nraw, depth + 1);
        if (found)
            return found;
    }
    if (at->param && segment.n) {
        m->raw[nraw] = segment;
        const struct node *found = node_walk(at->param, after, m, nraw + 1, depth + 1);
        if (found)
            return found;
    }
    if (at->tail && rest.n) {
        m->raw[nraw] = rest;
        m->nraw = nraw + 1;
        return at->tail;
    }
    return NULL;
}

void api_router_match(const struct api_router *r, int method, struct str path,
                      struct api_match *ret)
{
    *ret = (struct api_match){0};
    if (path.n == 0 || path.p[0] != '/')
        return;
    const struct node *found = node_walk(&r->root, (struct str){path.p + 1, path.n - 1}, ret, 0, 0);
    if (!found)
        return;
    if (method >= 0)
        ret->route = found->by_method[method];
    if (ret->route)
        return;
    ret->path_known = true;
    size_t n = 0;
    for (int m = 0; m < API_METHODS; m++) {
        if (!found->by_method[m])
            continue;
        int len = snprintf(ret->allow + n, sizeof(ret->allow) - n, "%s%s%s", n ? ", " : "",
                           method_names[m], m == API_GET ? ", HEAD" : "");
        n += (size_t)len;
    }
}

int api_path_decode(struct arena *a, struct str raw, struct str *ret)
{
    struct err e = ERR_INIT;
    if (url_decode_arena(a, raw, false, ret, &e) < 0)
        return API_DECODE_BAD;
    if (str_has_control(*ret) || !str_is_utf8(*ret))
        return API_DECODE_BAD;
    for (struct str rest = *ret, segment; str_cut(&rest, '/', &segment);)
        if (str_is(segment, "..") || str_is(segment, "."))
            return API_DECODE_DOTS;
    return API_DECODE_OK;
}
