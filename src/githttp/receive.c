// SPDX-License-Identifier: Apache-2.0
// Push. The commands at the head of the request are judged before git is started or a byte of the
// pack is stored; then intents are written, git takes the pack, and what moved becomes push events
// (push.c). Worker threads; the request owns everything here.
#include "githttp/push.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/pktline.h"
#include "git/lsrefs.h"
#include "git/receive.h"
#include "git/repo.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIECE = 131072, OUTPUT_MAX = 4 << 20, PACKED_FROM = 64 };
#define DRAIN_BYTES ((int64_t)MIB(256))
#define DRAIN_MS    20000

static const char RESULT[] = "application/x-git-receive-pack-result";

// ---- the advertisement

static int learn_caps(struct githttp *g, const struct target *t, struct arena *a, struct str *ret,
                      struct err *e)
{
    pthread_mutex_lock(&g->lock);
    *ret = str_of(g->receive_caps);
    pthread_mutex_unlock(&g->lock);
    if (ret->n)
        return 0;
    const char *argv[] = {"receive-pack", "--http-backend-info-refs", t->repo, NULL};
    _autogit_ struct gitproc p = GITPROC_NONE;
    int rc = gitproc_start(&p, g, argv, git_env(a, NULL, NULL, 0), -1, e);
    if (rc < 0)
        return rc;
    gitproc_close_input(&p);
    // The first packet is enough; the rest of the listing is read from memory.
    _autobuf_ struct buf out = BUF_INIT(KIB(128));
    struct pkt first;
    for (size_t used; (rc = pkt_parse(buf_str(&out), &first, &used, e)) == E_AGAIN;) {
        size_t n;
        char *to = buf_reserve(&out, KIB(16));
        rc = to ? gitproc_read(&p, to, KIB(16), &n, e) : E_LIMIT;
        if (rc < 0)
            return rc;
        if (n == 0) {
            _autobuf_ struct buf why = BUF_INIT(500);
            gitproc_error(&p, &why);
            return err_set(e, E_IO, "git cannot read the repository: %s", why.p);
        }
        buf_commit(&out, n);
    }
    if (rc < 0)
        return rc;
    struct str line = pkt_line(first);
    const char *nul = line.n ? memchr(line.p, 0, line.n) : NULL;
    if (!nul)
        return err_set(e, E_IO, "git receive-pack names no capabilities");
    *ret = arena_str(a, str_trim(str_from(line, (size_t)(nul - line.p) + 1)));
    pthread_mutex_lock(&g->lock);
    if (!g->receive_caps)
        g->receive_caps = str_dup(*ret);
    pthread_mutex_unlock(&g->lock);
    return 0;
}

int receive_info(struct githttp *g, struct http_call *c, const struct target *t)
{
    struct err e = ERR_INIT;
    struct str caps;
    _autorefs_ struct git_refs *refs = NULL;
    struct answer an = {c, "application/x-git-receive-pack-advertisement", false};
    int rc = learn_caps(g, t, http_arena(c), &caps, &e);
    if (rc == 0)
        rc = git_refs_now(t->repo, &refs, &e);
    if (rc == 0)
        rc = receive_advertise(refs, caps, answer_piece, &an, &e);
    if (rc < 0 && !an.begun)
        answer_err(c, &e);
    else if (rc < 0)
        http_abort(c);
    return HTTP_DONE;
}

// ---- judging

struct push {
    struct githttp *g;
    struct http_call *c;
    const struct target *t;
    struct receive_head head;
    struct body body;
    struct buf raw;       // what was read of the body: head and the pack's beginning
    size_t head_end;      // where the pack begins in raw
    const char **reasons; // per command; NULL: fine
    bool refused;
    bool no_force;      // some ref is protected against forced pushes
    struct buf message; // for the person
    struct answer an;   // begun when git had something to say before its report
    bool report, gone;  // git's report has begun: it is held back; the client does not listen
};

static int read_head(struct push *p, struct err *e)
{
    for (;;) {
        size_t used, n;
        int rc = receive_parse(&p->head, str_from(buf_str(&p->raw), p->head_end), &used, e);
        p->head_end += used;
        if (rc != E_AGAIN)
            return rc;
        char *to = buf_reserve(&p->raw, KIB(64));
        if (!to)
            return err_set(e, E_LIMIT, "push: the list of refs is too long");
        rc = body_read(&p->body, to, KIB(64), &n, e);
        if (rc < 0)
            return rc;
        if (n == 0)
            return err_set(e, E_INVALID, "push: the request ends within its list of refs");
        buf_commit(&p->raw, n);
    }
}

static void refuse(struct push *p, size_t i, const char *short_reason, const char *sentence)
{
    p->reasons[i] = short_reason;
    p->refused = true;
    // A thousand refused refs need no thousand sentences.
    if (p->message.n < KIB(4))
        buf_addf(&p->message, "%s\n", sentence);
}

static bool protected_no_force(struct tx *tx, struct push *p, const struct receive_command *cmd,
                               struct err *e, int *rc)
{
    bool tag = str_starts(cmd->ref, STR("refs/tags/"));
    if (!tag && !str_starts(cmd->ref, STR("refs/heads/")))
        return false;
    struct protection rule = {0};
    bool is_protected = false;
    *rc = access_ref_protected(tx, http_arena(p->c), p->t->project.id, tag,
                               str_from(cmd->ref, tag ? 10 : 11), &is_protected, &rule, e);
    return *rc == 0 && is_protected && !rule.allow_force_push;
}

static int judge_one(struct tx *tx, struct push *p, size_t i, struct err *e)
{
    const struct receive_command *cmd = &p->head.commands[i];
    bool create = str_is(cmd->old_sha, GIT_ZERO_SHA), remove = str_is(cmd->new_sha, GIT_ZERO_SHA);
    struct err why = ERR_INIT;
    if (git_ref_is_internal(cmd->ref)) {
        refuse(p, i, "deny updating a hidden ref",
               "Refs below refs/pipelines/ and refs/merge-requests/ are made by the server.");
        return 0;
    }
    struct ref_change change = {cmd->ref,
                                create   ? REF_CREATE
                                : remove ? REF_DELETE
                                         : REF_UPDATE,
                                false};
    int rc = access_push(tx, &p->t->project, p->t->level, &change, &why);
    if (rc == E_DENIED || rc == E_LIMIT || rc == E_INVALID || rc == E_NOTFOUND) {
        refuse(p, i, rc == E_LIMIT ? "over quota" : "pre-receive hook declined", why.msg);
        return 0;
    }
    if (rc < 0) {
        *e = why;
        return rc;
    }
    if (!create && !remove && protected_no_force(tx, p, cmd, e, &rc))
        p->no_force = true;
    return rc < 0 ? rc : 0;
}

static int judge(struct push *p, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(p->g->cfg.forge->store, &tx, e));
    for (size_t i = 0; i < p->head.n; i++)
        TRY(judge_one(&tx, p, i, e));
    return 0;
}

// The refusal as report-status; the rest of the body is read first, since git listens only after it
// has sent everything.
static int answer_refused(struct push *p)
{
    _autobuf_ struct buf out = BUF_INIT(MIB(16));
    receive_refuse(&p->head, p->reasons, buf_str(&p->message), &out);
    body_drain(&p->body, DRAIN_BYTES, DRAIN_MS);
    no_cache(p->c);
    http_send(p->c, RESULT, buf_str(&out));
    return HTTP_DONE;
}

static int refuse_all(struct push *p, const char *short_reason, const char *sentence)
{
    for (size_t i = 0; i < p->head.n; i++)
        p->reasons[i] = short_reason;
    buf_addf(&p->message, "%s\n", sentence);
    return answer_refused(p);
}

// ---- taking the pack

static int feed_pack(struct push *p, struct gitproc *git, struct buf *out, int64_t max_input,
                     struct err *e)
{
    int64_t pack = (int64_t)(p->raw.n - p->head_end);
    int rc = gitproc_feed(git, buf_str(&p->raw), out, e);
    _autofree_ char *piece = mem_zalloc(PIECE, 1);
    while (rc == 0) {
        size_t n;
        rc = body_read(&p->body, piece, PIECE, &n, e);
        if (rc < 0 || n == 0)
            break;
        pack += (int64_t)n;
        if (pack > max_input)
            return err_set(
                e, E_LIMIT,
                "The push is larger than the %lld MiB that are left for this repository.",
                (long long)(max_input >> 20));
        rc = gitproc_feed(git, str_n(piece, n), out, e);
    }
    return rc;
}

// Hands on what git says while it works (progress, keep-alives), so that nobody on the way takes
// the silence for the end. The report itself is held back until the push's events are written.
static void stream_progress(struct push *p, struct buf *out)
{
    size_t n = 0;
    while (p->head.sideband && !p->report) {
        struct pkt k;
        size_t used;
        if (pkt_parse(str_from(buf_str(out), n), &k, &used, NULL) < 0)
            break;
        bool progress = k.type == PKT_DATA && k.data.n && k.data.p[0] == 2;
        bool keepalive = k.type == PKT_DATA && k.data.n == 1 && k.data.p[0] == 1;
        p->report = !progress && !keepalive;
        n += p->report ? 0 : used;
    }
    if (n && !p->gone)
        p->gone = answer_piece(&p->an, str_head(buf_str(out), n), NULL) < 0;
    buf_shift(out, n);
}

// A client that has gone away does not stop a push that has arrived whole.
static int gather_rest(struct push *p, struct gitproc *git, struct buf *out, struct err *e)
{
    for (;;) {
        char waste[4096];
        stream_progress(p, out);
        size_t n, room = MIN((size_t)KIB(64), out->max - out->n);
        char *to = room ? buf_reserve(out, room) : NULL;
        int rc = gitproc_read(git, to ? to : waste, to ? room : sizeof(waste), &n, e);
        if (rc < 0 || n == 0)
            return rc;
        if (to)
            buf_commit(out, n);
    }
}

static int64_t room_left(const struct push *p)
{
    int64_t quota = p->t->project.repository_quota;
    int64_t max = quota ? MIN(quota, p->g->cfg.max_repo_bytes) : p->g->cfg.max_repo_bytes, size = 0;
    if (git_repo_size(p->t->repo, &size, NULL) < 0)
        size = p->t->project.repository_size;
    return MIN(max - size, p->g->cfg.max_push_bytes);
}

static int run_git(struct push *p, struct push_lock *lock, int64_t room, struct buf *out,
                   struct err *e)
{
    struct arena *a = http_arena(p->c);
    // git must stop by itself a little later than we do, so that the message is ours.
    char limit[32];
    snprintf(limit, sizeof(limit), "%lld", (long long)room + (long long)MIB(1));
    const struct git_setting settings[] = {
        {"receive.maxInputSize", limit},
        {"receive.denyNonFastForwards", p->no_force ? "true" : "false"},
        {"receive.denyDeletes", "false"},
    };
    const char *argv[] = {"receive-pack", "--stateless-rpc", p->t->repo, NULL};
    _autogit_ struct gitproc git = GITPROC_NONE;
    int rc = gitproc_start(&git, p->g, argv,
                           git_env(a, p->t->protocol, settings, ARRAY_SIZE(settings)), lock->fd, e);
    if (rc < 0)
        return rc;
    rc = feed_pack(p, &git, out, room, e);
    if (rc == E_IO && git.in < 0)
        rc = 0; // git ended early: its output says why
    gitproc_close_input(&git);
    // Whatever went wrong on our side, git sees its input end and undoes what it began; only when
    // it does not end by itself is it killed.
    if (rc == 0)
        rc = gather_rest(p, &git, out, e);
    int code = gitproc_wait(&git, rc < 0 ? 2000 : 10000);
    if (rc == 0 && code != 0) {
        _autobuf_ struct buf why = BUF_INIT(500);
        gitproc_error(&git, &why);
        log_warn("git receive-pack failed", LOGI("project", p->t->project.id), LOGI("code", code),
                 LOGS("reason", why.p), LOGS("request", http_request_id(p->c)));
        if (out->n == 0)
            return err_set(e, E_IO, "git could not take this push: %s", why.p);
    }
    return rc;
}

// Thousands of loose refs make every later listing slow: they go into packed-refs at once. A
// failure changes nothing that anybody relies on.
static void pack_refs(const struct push *p)
{
    struct arena *a = http_arena(p->c);
    const struct git_setting durable[] = {{"core.fsync", "reference"}};
    const char *argv[] = {p->g->cfg.git_program, arena_printf(a, "--git-dir=%s", p->t->repo),
                          "pack-refs", "--all", NULL};
    struct spawn_options o = {
        .argv = argv, .env = git_env(a, NULL, durable, 1), .cwd = "/", .new_group = true};
    struct err why = ERR_INIT;
    int code = 0;
    if (spawn_run(&o, STR_NONE, NULL, NULL, clock_ms() + 60000, &code, &why) < 0 || code != 0)
        log_warn("git pack-refs failed", LOGI("project", p->t->project.id), LOGI("code", code),
                 LOGS("reason", why.msg));
}

// Git's report, after a line to the person when not every branch got its pipeline.
static void tell_limit(const struct push *p, size_t branches, const struct buf *report,
                       struct buf *said)
{
    char text[160];
    if (branches > PUSH_PIPELINES_MAX && p->head.sideband) {
        int n = snprintf(text, sizeof(text),
                         "Only the first %d of these %zu branches and tags may start a pipeline; "
                         "start others by hand.\n",
                         PUSH_PIPELINES_MAX, branches);
        pkt_sideband(said, 2, str_n(text, (size_t)n));
    }
    buf_add(said, buf_str(report));
}

static int take_push(struct push *p)
{
    struct err e = ERR_INIT;
    int64_t room = p->head.has_pack ? room_left(p) : (int64_t)MIB(1);
    if (room <= 0)
        return refuse_all(
            p, "over quota",
            "The repository has reached its size limit. Delete what is not needed, or "
            "ask an administrator for a larger quota.");
    struct push_lock lock = PUSH_LOCK_NONE;
    int rc = push_open(p->g, p->t, &p->head, p->reasons, &lock, &e);
    if (rc == E_BUSY || rc == E_CONFLICT) {
        buf_addf(&p->message, "%s\n", e.msg);
        return answer_refused(p);
    }
    if (rc < 0)
        return refuse_all(p, rc == E_LIMIT ? "no space left" : "internal error",
                          rc == E_LIMIT
                              ? "The server's disk is full. Nothing was changed; try again "
                                "later."
                              : "The server could not note this push. Nothing was "
                                "changed; try again.");
    _autobuf_ struct buf out = BUF_INIT(OUTPUT_MAX);
    rc = run_git(p, &lock, room, &out, &e);
    if (rc == 0 && p->head.n >= PACKED_FROM)
        pack_refs(p);
    // Also after a failure: refs may have moved before it.
    struct err settle_error = ERR_INIT;
    if (push_close(p->g, p->t, &p->head, &lock, &settle_error) < 0)
        log_error("push events could not be written; they follow later",
                  LOGI("project", p->t->project.id), LOGS("reason", settle_error.msg));
    // Before the answer: whoever has pushed finds the pipelines.
    push_announce(p->g, &lock);
    _autobuf_ struct buf said = BUF_INIT(OUTPUT_MAX + KIB(4));
    if (rc == 0)
        tell_limit(p, lock.branches, &out, &said);
    if (rc < 0 && p->an.begun) {
        http_abort(p->c);
    } else if (rc == E_LIMIT) {
        refuse_all(p, "push too large", e.msg);
    } else if (rc < 0) {
        answer_err(p->c, &e);
    } else if (p->an.begun) {
        if (!p->gone && answer_piece(&p->an, buf_str(&said), &e) < 0)
            http_abort(p->c);
    } else {
        no_cache(p->c);
        http_send(p->c, RESULT, buf_str(&said));
    }
    return HTTP_DONE;
}

static int serve_push(struct push *p)
{
    struct err e = ERR_INIT;
    int rc = body_init(&p->body, p->c, p->g->cfg.max_push_bytes + (int64_t)RECEIVE_MAX_HEAD, &e);
    if (rc < 0) {
        answer_text(p->c, 415, "%s\n", e.msg);
        return HTTP_DONE;
    }
    rc = read_head(p, &e);
    if (rc < 0) {
        answer_err(p->c, &e);
        return HTTP_DONE;
    }
    if (p->head.n == 0) {
        // git asks with an empty request whether it would be let in, before it sends a large one.
        no_cache(p->c);
        http_send(p->c, RESULT, STR(""));
        return HTTP_DONE;
    }
    p->reasons = ARENA_ARRAY(http_arena(p->c), const char *, p->head.n);
    rc = judge(p, &e);
    if (rc < 0) {
        answer_err(p->c, &e);
        return HTTP_DONE;
    }
    return p->refused ? answer_refused(p) : take_push(p);
}

int receive_post(struct githttp *g, struct http_call *c, const struct target *t)
{
    int result;
    _autoslot_ struct slot slot = {0};
    if (!slot_or_park(g, c, &slot, &result))
        return result;
    struct arena arena; // the head of a large push does not fit a request's arena
    arena_init(&arena, 4 * RECEIVE_MAX_HEAD);
    struct push p = {.g = g, .c = c, .t = t, .an = {c, RESULT, false}};
    buf_init(&p.raw, RECEIVE_MAX_HEAD + MIB(1)); // grows with what comes
    buf_init(&p.message, KIB(16));
    receive_head_init(&p.head, &arena);
    result = serve_push(&p);
    receive_head_done(&p.head);
    body_done(&p.body);
    buf_done(&p.raw);
    buf_done(&p.message);
    arena_done(&arena);
    return result;
}
