// SPDX-License-Identifier: Apache-2.0
// Writes ref listings in git's formats from a snapshot. Internal refs are shown by ls-refs only to
// whoever asks for their prefix (a runner fetching refs/pipelines/12), so that listings stay short.
#include "git/lsrefs.h"

#include "base/mem.h"
#include "codec/pktline.h"

#include <stdlib.h>

enum { PIECE = 65536 };

struct out {
    struct buf buf;
    int (*emit)(void *ctx, struct str piece, struct err *e);
    void *ctx;
};

static int out_flush(struct out *o, bool end, struct err *e)
{
    if (o->buf.n == 0 || (!end && o->buf.n < PIECE))
        return 0;
    int rc = o->emit(o->ctx, buf_str(&o->buf), e);
    buf_clear(&o->buf);
    return rc;
}

bool git_ref_is_internal(struct str ref)
{
    return str_starts(ref, STR("refs/pipelines/")) || str_starts(ref, STR("refs/merge-requests/"));
}

struct request {
    bool symrefs, peel, unborn;
    struct str *prefixes;
    size_t n, cap;
};

bool lsrefs_is(struct str request)
{
    struct pkt p;
    size_t used;
    return pkt_parse(request, &p, &used, NULL) == 0 && p.type == PKT_DATA &&
           str_is(pkt_line(p), "command=ls-refs");
}

static int take_argument(struct request *rq, struct str arg, struct err *e)
{
    if (str_is(arg, "peel")) {
        rq->peel = true;
    } else if (str_is(arg, "symrefs")) {
        rq->symrefs = true;
    } else if (str_is(arg, "unborn")) {
        rq->unborn = true;
    } else if (str_starts(arg, STR("ref-prefix "))) {
        if (rq->n == LSREFS_MAX_PREFIXES)
            return err_set(e, E_LIMIT, "ls-refs: more than %d prefixes", LSREFS_MAX_PREFIXES);
        if (rq->n == rq->cap) {
            rq->cap = MAX(rq->cap * 2, (size_t)16);
            rq->prefixes = mem_grow(rq->prefixes, rq->cap, sizeof(*rq->prefixes));
        }
        rq->prefixes[rq->n++] = str_from(arg, 11);
    } else {
        return err_set(e, E_INVALID, "ls-refs: unexpected argument \"%" PRISTR "\"",
                       STRARG(str_head(arg, 100)));
    }
    return 0;
}

static int parse_request(struct str in, struct request *rq, struct err *e)
{
    bool arguments = false;
    for (bool first = true;; first = false) {
        struct pkt p;
        size_t used;
        int rc = pkt_parse(in, &p, &used, e);
        if (rc == E_AGAIN)
            return err_set(e, E_INVALID, "ls-refs: the request ends early");
        if (rc < 0)
            return rc;
        in = str_from(in, used);
        if (p.type == PKT_FLUSH)
            return 0;
        if (p.type == PKT_DELIM && !arguments) {
            arguments = true;
            continue;
        }
        if (p.type != PKT_DATA)
            return err_set(e, E_INVALID, "ls-refs: a packet that does not belong here");
        if (!arguments) {
            // Capabilities: agent, server-option, object-format. Only the last could matter.
            if (!first && str_starts(pkt_line(p), STR("object-format=")) &&
                !str_is(pkt_line(p), "object-format=sha1"))
                return err_set(e, E_INVALID, "ls-refs: the repository's object format is sha1");
            continue;
        }
        rc = take_argument(rq, pkt_line(p), e);
        if (rc < 0)
            return rc;
    }
}

static void put_ref(struct out *o, const struct request *rq, struct str sha, struct str name,
                    struct str symref, struct str peeled)
{
    // This runs once for each of many thousand refs: no printf.
    struct buf *b = &o->buf;
    size_t start = b->n;
    buf_adds(b, "0000");
    if (sha.n)
        buf_add(b, sha);
    else
        buf_adds(b, "unborn");
    buf_addc(b, ' ');
    buf_add(b, name);
    if (rq->symrefs && symref.n) {
        buf_adds(b, " symref-target:");
        buf_add(b, symref);
    }
    if (rq->peel && peeled.n) {
        buf_adds(b, " peeled:");
        buf_add(b, peeled);
    }
    buf_addc(b, '\n');
    pkt_close(b, start);
}

static int by_prefix(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool wants(const struct request *rq, struct str name)
{
    if (rq->n == 0)
        return true;
    for (size_t i = 0; i < rq->n; i++) {
        if (str_starts(name, rq->prefixes[i]))
            return true;
    }
    return false;
}

// Sorted, and without prefixes that another one covers: each ref then comes once, in order.
static void tidy(struct request *rq)
{
    if (rq->n < 2)
        return;
    qsort(rq->prefixes, rq->n, sizeof(*rq->prefixes), by_prefix);
    size_t kept = 1;
    for (size_t i = 1; i < rq->n; i++) {
        if (!str_starts(rq->prefixes[i], rq->prefixes[kept - 1]))
            rq->prefixes[kept++] = rq->prefixes[i];
    }
    rq->n = kept;
}

static int list_prefix(struct out *o, const struct git_refs *refs, const struct request *rq,
                       struct str prefix, struct err *e)
{
    bool internal_too = str_starts(prefix, STR("refs/pipelines/")) ||
                        str_starts(prefix, STR("refs/merge-requests/"));
    for (size_t i = git_refs_seek(refs, prefix); i < refs->n; i++) {
        const struct git_ref *r = &refs->items[i];
        if (!str_starts(r->name, prefix))
            break;
        if (!internal_too && git_ref_is_internal(r->name))
            continue;
        put_ref(o, rq, r->sha, r->name, r->symref, r->peeled);
        int rc = out_flush(o, false, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int list_all(struct out *o, const struct git_refs *refs, const struct request *rq,
                    struct err *e)
{
    if (wants(rq, STR("HEAD")) && (refs->head_sha.n || (rq->unborn && refs->head.n)))
        put_ref(o, rq, refs->head_sha, STR("HEAD"), refs->head, STR_NONE);
    if (rq->n == 0)
        return list_prefix(o, refs, rq, STR(""), e);
    for (size_t i = 0; i < rq->n; i++) {
        int rc = list_prefix(o, refs, rq, rq->prefixes[i], e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int lsrefs_answer(const struct git_refs *refs, struct str request,
                  int (*emit)(void *ctx, struct str piece, struct err *e), void *ctx, struct err *e)
{
    struct out o = {BUF_INIT(2 * PIECE), emit, ctx};
    struct request rq = {0};
    int rc = parse_request(request, &rq, e);
    tidy(&rq);
    if (rc == 0)
        rc = list_all(&o, refs, &rq, e);
    if (rc == 0) {
        pkt_flush(&o.buf);
        rc = out_flush(&o, true, e);
    }
    buf_done(&o.buf);
    free(rq.prefixes);
    return rc;
}

int receive_advertise(const struct git_refs *refs, struct str caps,
                      int (*emit)(void *ctx, struct str piece, struct err *e), void *ctx,
                      struct err *e)
{
    struct out o = {BUF_INIT(2 * PIECE), emit, ctx};
    pkt_addf(&o.buf, "# service=git-receive-pack\n");
    pkt_flush(&o.buf);
    bool first = true;
    int rc = 0;
    for (size_t i = 0; i <= refs->n && rc == 0; i++) {
        const struct git_ref *r = i < refs->n ? &refs->items[i] : NULL;
        if (r ? git_ref_is_internal(r->name) : !first)
            continue;
        size_t start = o.buf.n;
        buf_adds(&o.buf, "0000");
        buf_add(&o.buf, r ? r->sha : STR("0000000000000000000000000000000000000000"));
        buf_addc(&o.buf, ' ');
        buf_add(&o.buf, r ? r->name : STR("capabilities^{}"));
        if (first) {
            buf_addc(&o.buf, 0);
            buf_add(&o.buf, caps);
        }
        buf_addc(&o.buf, '\n');
        pkt_close(&o.buf, start);
        first = false;
        rc = out_flush(&o, false, e);
    }
    if (rc == 0) {
        pkt_flush(&o.buf);
        rc = out_flush(&o, true, e);
    }
    buf_done(&o.buf);
    return rc;
}
