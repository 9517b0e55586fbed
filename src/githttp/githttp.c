// SPDX-License-Identifier: Apache-2.0
// The Git face: which request is which, and the answers that all services share. One `struct
// githttp` serves all worker threads; the wiring owns it.
#include "githttp/priv.h"

#include "base/mem.h"
#include "git/repo.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// The web sign-in has the same measure.
#define PASSWORDS_WRONG_MAX 10
#define PASSWORDS_WINDOW_MS (5 * 60 * 1000)

int githttp_new(const struct githttp_config *cfg, struct githttp **ret, struct err *e)
{
    (void)e;
    git_start();
    struct githttp *g = NEW(struct githttp);
    g->cfg = *cfg;
    g->cfg.git_program = cfg->git_program ? cfg->git_program : "git";
    g->cfg.max_push_bytes = cfg->max_push_bytes ? cfg->max_push_bytes : (int64_t)GIB(2);
    g->cfg.max_repo_bytes = cfg->max_repo_bytes ? cfg->max_repo_bytes : (int64_t)GIB(10);
    g->cfg.idle_ms = cfg->idle_ms ? cfg->idle_ms : 60000;
    g->cfg.total_ms = cfg->total_ms ? cfg->total_ms : 3600000;
    g->cfg.max_packs = cfg->max_packs ? cfg->max_packs : 8;
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->settle_wake, &attr);
    pthread_condattr_destroy(&attr);
    g->auth = auth_cache_new();
    throttle_init(&g->by_account, PASSWORDS_WRONG_MAX, PASSWORDS_WINDOW_MS);
    throttle_init(&g->by_address, PASSWORDS_WRONG_MAX * 4, PASSWORDS_WINDOW_MS);
    *ret = g;
    return 0;
}

void githttp_free(struct githttp *g)
{
    if (!g)
        return;
    settle_stop(g);
    auth_cache_free(g->auth);
    throttle_done(&g->by_account);
    throttle_done(&g->by_address);
    pthread_cond_destroy(&g->settle_wake);
    pthread_mutex_destroy(&g->lock);
    free(g->upload_v2);
    free(g->receive_caps);
    free(g);
}

// ---- answers

void no_cache(struct http_call *c)
{
    http_set(c, "Cache-Control", STR("no-cache, max-age=0, must-revalidate"));
    http_set(c, "Pragma", STR("no-cache"));
    http_set(c, "Expires", STR("Fri, 01 Jan 1980 00:00:00 GMT"));
}

void answer_text(struct http_call *c, int status, const char *fmt, ...)
{
    _autobuf_ struct buf text = BUF_INIT(KIB(4));
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    http_status(c, status);
    no_cache(c);
    http_send(c, "text/plain; charset=utf-8", buf_str(&text));
}

void answer_err(struct http_call *c, const struct err *e)
{
    int status = err_http_status(e->code);
    if (e->code == E_BUSY)
        http_set(c, "Retry-After", STR("1"));
    answer_text(c, status, "%s\n", e->msg);
}

int answer_piece(void *ctx, struct str piece, struct err *e)
{
    struct answer *an = ctx;
    if (!an->begun) {
        an->begun = true;
        no_cache(an->c);
        int rc = http_begin(an->c, an->content_type, e);
        if (rc < 0)
            return rc;
    }
    return http_write(an->c, piece, e);
}

// ---- routing

enum service { NOT_GIT, INFO_REFS, UPLOAD_PACK, RECEIVE_PACK, DUMB };

static enum service service_of(struct str path, struct str *ret_project)
{
    static const struct {
        const char *tail;
        enum service service;
    } TAILS[] = {{".git/info/refs", INFO_REFS},
                 {".git/git-upload-pack", UPLOAD_PACK},
                 {".git/git-receive-pack", RECEIVE_PACK},
                 {".git/HEAD", DUMB}};
    for (size_t i = 0; i < ARRAY_SIZE(TAILS); i++) {
        struct str tail = str_of(TAILS[i].tail);
        if (path.n > tail.n + 1 && str_ends(path, tail)) {
            *ret_project = str_n(path.p + 1, path.n - tail.n - 1);
            return TAILS[i].service;
        }
    }
    ptrdiff_t objects = str_search(path, STR(".git/objects/"));
    if (objects > 1) {
        *ret_project = str_n(path.p + 1, (size_t)objects - 1);
        return DUMB;
    }
    return NOT_GIT;
}

bool githttp_matches(struct str path)
{
    struct str project;
    return service_of(path, &project) != NOT_GIT;
}

static int wrong_method(struct http_call *c, const char *allowed)
{
    http_set(c, "Allow", str_of(allowed));
    answer_text(c, 405, "Use %s here.\n", allowed);
    return HTTP_DONE;
}

static int old_protocol(struct http_call *c)
{
    answer_text(
        c, 403,
        "This server speaks the smart Git protocol only. Use Git 1.6.6 or newer, and do not "
        "set GIT_SMART_HTTP=0.\n");
    return HTTP_DONE;
}

static int handle_info(struct githttp *g, struct http_call *c, struct str project)
{
    if (!http_method_is(c, "GET") && !http_method_is(c, "HEAD"))
        return wrong_method(c, "GET");
    struct str service;
    if (!http_query_get(c, "service", &service))
        return old_protocol(c);
    bool push = str_is(service, "git-receive-pack");
    if (!push && !str_is(service, "git-upload-pack")) {
        answer_text(c, 403, "There is no such Git service.\n");
        return HTTP_DONE;
    }
    struct target t;
    if (!let_in(g, c, project, push, &t))
        return HTTP_DONE;
    return push ? receive_info(g, c, &t) : upload_info(g, c, &t);
}

static int handle_post(struct githttp *g, struct http_call *c, struct str project, bool push)
{
    if (!http_method_is(c, "POST"))
        return wrong_method(c, "POST");
    const char *want =
        push ? "application/x-git-receive-pack-request" : "application/x-git-upload-pack-request";
    // The type cannot be sent by a form on another site: together with Basic credentials that a
    // browser may remember, this keeps such forms out.
    if (!str_ieq(http_header(c, "Content-Type"), str_of(want))) {
        answer_text(c, 415, "The request must have the content type %s.\n", want);
        return HTTP_DONE;
    }
    struct target t;
    if (!let_in(g, c, project, push, &t))
        return HTTP_DONE;
    return push ? receive_post(g, c, &t) : upload_post(g, c, &t);
}

int githttp_handle(struct http_call *c, void *ctx)
{
    struct githttp *g = ctx;
    struct str project;
    switch (service_of(http_path(c), &project)) {
    case INFO_REFS:
        return handle_info(g, c, project);
    case UPLOAD_PACK:
        return handle_post(g, c, project, false);
    case RECEIVE_PACK:
        return handle_post(g, c, project, true);
    case DUMB:
        return old_protocol(c);
    case NOT_GIT:
        break;
    }
    answer_text(c, 404, "There is nothing here.\n");
    return HTTP_DONE;
}
