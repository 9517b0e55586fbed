// SPDX-License-Identifier: Apache-2.0
// Clone and fetch. Capabilities and ref listings of protocol v2 are answered from memory; packs
// come from the git program and stream through with back-pressure. Worker threads.
#include "githttp/priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "codec/pktline.h"
#include "git/lsrefs.h"
#include "git/refs.h"

#include <stdlib.h>

enum { PIECE = 131072, REQUEST_MAX = 64 << 20, REREADABLE = 65536 };

static int run_info(struct githttp *g, const struct target *t, struct arena *a, struct buf *out,
                    struct err *e)
{
    const char *argv[] = {"upload-pack", "--http-backend-info-refs", t->repo, NULL};
    _autogit_ struct gitproc p = GITPROC_NONE;
    int rc = gitproc_start(&p, g, argv, git_env(a, t->protocol, NULL, 0), -1, e);
    if (rc < 0)
        return rc;
    gitproc_close_input(&p);
    for (;;) {
        char *to = buf_reserve(out, KIB(64));
        size_t n;
        if (!to)
            return err_set(e, E_LIMIT, "the list of refs is too long");
        rc = gitproc_read(&p, to, KIB(64), &n, e);
        if (rc < 0)
            return rc;
        if (n == 0)
            break;
        buf_commit(out, n);
    }
    if (gitproc_wait(&p, 10000) != 0) {
        _autobuf_ struct buf why = BUF_INIT(500);
        gitproc_error(&p, &why);
        return err_set(e, E_IO, "git cannot read the repository: %s", why.p);
    }
    return 0;
}

// The advertisement of protocol v2 depends on git's version and our settings alone.
static int v2_capabilities(struct githttp *g, const struct target *t, struct arena *a,
                           struct str *ret, struct err *e)
{
    pthread_mutex_lock(&g->lock);
    *ret = str_n(g->upload_v2, g->upload_v2_n);
    pthread_mutex_unlock(&g->lock);
    if (ret->n)
        return 0;
    _autobuf_ struct buf out = BUF_INIT(KIB(256));
    int rc = run_info(g, t, a, &out, e);
    if (rc < 0)
        return rc;
    *ret = arena_str(a, buf_str(&out));
    pthread_mutex_lock(&g->lock);
    if (!g->upload_v2) {
        g->upload_v2_n = out.n;
        g->upload_v2 = buf_take(&out);
    }
    pthread_mutex_unlock(&g->lock);
    return 0;
}

int upload_info(struct githttp *g, struct http_call *c, const struct target *t)
{
    struct err e = ERR_INIT;
    struct arena *a = http_arena(c);
    if (t->version == 2) {
        struct str caps;
        if (v2_capabilities(g, t, a, &caps, &e) < 0) {
            answer_err(c, &e);
            return HTTP_DONE;
        }
        no_cache(c);
        http_send(c, "application/x-git-upload-pack-advertisement", caps);
        return HTTP_DONE;
    }
    _autobuf_ struct buf out = BUF_INIT(MIB(64));
    pkt_addf(&out, "# service=git-upload-pack\n");
    pkt_flush(&out);
    if (run_info(g, t, a, &out, &e) < 0) {
        answer_err(c, &e);
        return HTTP_DONE;
    }
    no_cache(c);
    http_send(c, "application/x-git-upload-pack-advertisement", buf_str(&out));
    return HTTP_DONE;
}

static int list_refs(struct http_call *c, const struct target *t, struct str request)
{
    struct err e = ERR_INIT;
    _autorefs_ struct git_refs *refs = NULL;
    struct answer an = {c, "application/x-git-upload-pack-result", false};
    int rc = git_refs_now(t->repo, &refs, &e);
    if (rc == 0)
        rc = lsrefs_answer(refs, request, answer_piece, &an, &e);
    if (rc < 0 && !an.begun)
        answer_err(c, &e);
    else if (rc < 0)
        http_abort(c);
    return HTTP_DONE;
}

static int serve_pack(struct githttp *g, struct http_call *c, const struct target *t,
                      struct buf *request)
{
    struct err e = ERR_INIT;
    const char *argv[] = {"upload-pack", "--stateless-rpc", t->repo, NULL};
    _autogit_ struct gitproc p = GITPROC_NONE;
    struct answer an = {c, "application/x-git-upload-pack-result", false};
    _autobuf_ struct buf early = BUF_INIT(MIB(16));
    int rc = gitproc_start(&p, g, argv, git_env(http_arena(c), t->protocol, NULL, 0), -1, &e);
    if (rc < 0) {
        answer_err(c, &e);
        return HTTP_DONE;
    }
    // A git that ends early says why in its output: that is the answer.
    rc = gitproc_feed(&p, buf_str(request), &early, &e);
    gitproc_close_input(&p);
    buf_done(request);
    if (rc == E_AGAIN) {
        answer_err(c, &e);
        return HTTP_DONE;
    }
    rc = early.n ? answer_piece(&an, buf_str(&early), &e) : 0;
    _autofree_ char *piece = mem_zalloc(PIECE, 1);
    while (rc == 0) {
        size_t n;
        rc = gitproc_read(&p, piece, PIECE, &n, &e);
        if (rc < 0 || n == 0)
            break;
        rc = answer_piece(&an, str_n(piece, n), &e);
    }
    if (rc < 0) {
        if (an.begun)
            http_abort(c);
        else
            answer_err(c, &e);
        return HTTP_DONE;
    }
    int code = gitproc_wait(&p, 10000);
    if (an.begun)
        return HTTP_DONE;
    if (code != 0) {
        _autobuf_ struct buf why = BUF_INIT(500);
        gitproc_error(&p, &why);
        log_warn("git upload-pack failed", LOGI("project", t->project.id), LOGS("reason", why.p),
                 LOGS("request", http_request_id(c)));
        answer_text(c, 500, "git could not serve this request.\n");
        return HTTP_DONE;
    }
    no_cache(c);
    http_send(c, "application/x-git-upload-pack-result", STR(""));
    return HTTP_DONE;
}

int upload_post(struct githttp *g, struct http_call *c, const struct target *t)
{
    struct err e = ERR_INIT;
    _autobody_ struct body body = {0};
    _autobuf_ struct buf request = BUF_INIT(REQUEST_MAX);
    _autoslot_ struct slot slot = {0};
    int result;
    // A small body can be read again after a wait, so that ref listings need no place in the queue.
    int64_t length = http_content_length(c);
    bool small = length >= 0 && length <= REREADABLE;
    if (!small && !slot_or_park(g, c, &slot, &result))
        return result;
    int rc = body_init(&body, c, REQUEST_MAX, &e);
    if (rc < 0) {
        answer_text(c, 415, "%s\n", e.msg);
        return HTTP_DONE;
    }
    rc = body_all(&body, &request, &e);
    if (rc < 0) {
        answer_err(c, &e);
        return HTTP_DONE;
    }
    if (t->version == 2 && lsrefs_is(buf_str(&request)))
        return list_refs(c, t, buf_str(&request));
    if (small && !slot_or_park(g, c, &slot, &result))
        return result;
    return serve_pack(g, c, t, &request);
}
