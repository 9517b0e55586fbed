// SPDX-License-Identifier: Apache-2.0
// Intents, locks and events of pushes, and their reconciliation after a crash. Rules: the lock file
// is locked before the intents are committed and is removed after they are settled; whoever can
// lock it may settle. Worker threads, and the starting thread for githttp_reconcile.
#include "githttp/push.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "git/lock.h"
#include "git/read.h"
#include "git/refs.h"
#include "os/fd.h"
#include "store/pushes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// Counting commits costs a walk each: a push of many refs gets counts for the first ones.
enum { COUNT_MAX = 1000, DESCRIBED_MAX = 20, SYNC_ONE_BY_ONE = 8 };

static void lock_path(const char *repo, int64_t push_id, char out[4096])
{
    snprintf(out, 4096, "%s/slipway-push-%lld.lock", repo, (long long)push_id);
}

static int lock_make(const char *repo, struct push_lock *l, struct err *e)
{
    lock_path(repo, l->push_id, l->path);
    l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->fd < 0)
        return err_errno(e, errno, "cannot make the push's lock");
    if (flock(l->fd, LOCK_EX | LOCK_NB) < 0) {
        int rc = err_errno(e, errno, "cannot lock the push");
        fd_close(&l->fd);
        return rc;
    }
    return 0;
}

static void lock_drop(struct push_lock *l)
{
    if (l->fd < 0)
        return;
    unlink(l->path);
    fd_close(&l->fd);
}

// ---- what moved

struct moved {
    struct str ref, old_sha, new_sha; // as intended
    char now[GIT_SHA_HEX + 1];        // zeros: it does not exist
    bool happened;
    int64_t count;
    struct str title;
    int64_t event_id; // 0: none, or nobody has to do anything about it
};

// What a pipeline could be made for.
static bool may_run(const struct moved *m)
{
    return m->happened && !str_is(m->new_sha, GIT_ZERO_SHA) &&
           (str_starts(m->ref, STR("refs/heads/")) || str_starts(m->ref, STR("refs/tags/")));
}

static int look(const char *repo, struct moved *m, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = git_ref_lookup(repo, m->ref, m->now, &why);
    if (rc == E_NOTFOUND) {
        memcpy(m->now, GIT_ZERO_SHA, sizeof(m->now));
    } else if (rc < 0) {
        *e = why;
        return rc;
    }
    m->happened = str_is(m->new_sha, m->now) && !str_eq(m->old_sha, m->new_sha);
    return 0;
}

// Makes the moved refs survive a power cut before their events do: file by file when they are few,
// otherwise the whole filesystem at once.
static int sync_refs(const char *repo, const struct moved *m, size_t n, struct err *e)
{
    size_t happened = 0;
    bool gone = false;
    for (size_t i = 0; i < n; i++) {
        happened += m[i].happened;
        gone |= m[i].happened && str_is(m[i].new_sha, GIT_ZERO_SHA);
    }
    if (happened == 0)
        return 0;
    if (happened > SYNC_ONE_BY_ONE || gone) {
        _autofd_ int dir = open(repo, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return dir >= 0 && syncfs(dir) == 0 ? 0 : err_errno(e, errno, "cannot sync the repository");
    }
    for (size_t i = 0; i < n; i++) {
        char path[4200];
        if (!m[i].happened)
            continue;
        snprintf(path, sizeof(path), "%s/%" PRISTR, repo, STRARG(m[i].ref));
        _autofd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            continue; // packed meanwhile: that file was synced by who packed it
        if (fd < 0 || fsync(fd) < 0)
            return err_errno(e, errno, "cannot sync a ref");
    }
    return 0;
}

static void describe(struct git_repo *r, struct arena *a, struct moved *m)
{
    struct git_commit c;
    const char *sha;
    if (!m->happened || str_is(m->new_sha, GIT_ZERO_SHA) || !r)
        return;
    if (git_resolve(r, m->ref, a, &sha, NULL, NULL) < 0 ||
        git_commit_get(r, str_of(sha), a, &c, NULL) < 0)
        return;
    m->title = c.title;
    struct str before = str_is(m->old_sha, GIT_ZERO_SHA) ? STR_NONE : m->old_sha;
    size_t n = 0;
    if (git_commit_count_since(r, str_of(sha), before, COUNT_MAX, &n, NULL) == 0)
        m->count = (int64_t)n;
}

// HEAD of a repository whose default branch was never pushed follows the first branch that was.
static struct str settle_head(struct git_repo *r, struct arena *a, const struct moved *m, size_t n)
{
    const char *head;
    struct git_ref_item item;
    if (!r || git_repo_head(r, a, &head, NULL) < 0)
        return STR_NONE;
    if (git_ref_get(r, false, str_of(head), a, &item, NULL) == 0)
        return str_of(head);
    struct str best = STR_NONE;
    for (size_t i = 0; i < n; i++) {
        if (!m[i].happened || !str_starts(m[i].ref, STR("refs/heads/")) ||
            str_is(m[i].new_sha, GIT_ZERO_SHA))
            continue;
        struct str name = str_from(m[i].ref, 11);
        if (!best.n || str_is(name, "main") || (str_is(name, "master") && !str_is(best, "main")))
            best = name;
    }
    if (!best.n || git_repo_set_head(r, best, NULL) < 0)
        return str_of(head);
    return best;
}

static int write_events(struct store *s, int64_t push_id, int64_t project_id, struct moved *m,
                        size_t n, int64_t size, bool empty, struct str branch, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(s, &tx, e));
    bool any = false;
    size_t events = 0, branches = 0;
    int64_t now = clock_wall_ms();
    for (size_t i = 0; i < n; i++) {
        struct err why = ERR_INIT;
        int rc = push_finish(&tx, push_id, m[i].ref, m[i].happened, str_of(m[i].now), m[i].count,
                             m[i].title, &m[i].event_id, &why);
        if (rc == E_NOTFOUND) {
            m[i].event_id = 0; // somebody settled it before us
            continue;
        }
        if (rc < 0) {
            *e = why;
            return rc;
        }
        any |= m[i].happened;
        if (!m[i].event_id)
            continue;
        events++;
        branches += may_run(&m[i]);
        if (may_run(&m[i]) ? branches > PUSH_PIPELINES_MAX : events > PUSH_PIPELINES_MAX) {
            TRY(push_event_handled(&tx, m[i].event_id, now, e));
            m[i].event_id = 0;
        }
    }
    if (any)
        TRY(project_pushed(&tx, project_id, size, empty, branch, now, e));
    return tx_commit(&tx, e);
}

// The one way from intents to events. The lock is held by the caller.
static int settle(struct store *s, const char *repo, int64_t push_id, int64_t project_id,
                  struct moved *m, size_t n, struct arena *a, struct err *e)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        int seen = look(repo, &m[i], e);
        if (seen < 0)
            return seen;
        any |= m[i].happened;
    }
    int rc = sync_refs(repo, m, n, e);
    if (rc < 0)
        return rc;
    _autorepo_ struct git_repo *r = NULL;
    int64_t size = 0;
    bool empty = false;
    struct str branch = STR_NONE;
    if (any && git_repo_open(repo, &r, NULL) == 0) {
        for (size_t i = 0; i < MIN(n, (size_t)DESCRIBED_MAX); i++)
            describe(r, a, &m[i]);
        branch = settle_head(r, a, m, n);
        if (git_repo_size(repo, &size, NULL) < 0)
            size = 0;
        _autorefs_ struct git_refs *refs = NULL;
        empty = git_refs_now(repo, &refs, NULL) == 0 && refs->n == 0;
    }
    return write_events(s, push_id, project_id, m, n, size, empty, branch, e);
}

static void announce(struct githttp *g, const struct moved *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (m[i].event_id && g->cfg.pushed)
            g->cfg.pushed(g->cfg.ctx, m[i].event_id);
    }
}

// ---- a push of this process

// Only while the ref is what the client says it is can its arrival at the new value be this push's
// doing: another push may have brought it there since the client looked.
static int still_old(const struct target *t, const struct receive_head *head, const char **reasons,
                     struct err *e)
{
    _autorefs_ struct git_refs *refs = NULL;
    int rc = git_refs_now(t->repo, &refs, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < head->n; i++) {
        const struct receive_command *cmd = &head->commands[i];
        const struct git_ref *now = git_refs_find(refs, cmd->ref);
        if (str_eq(now ? now->sha : STR(GIT_ZERO_SHA), cmd->old_sha))
            continue;
        reasons[i] = "fetch first: this ref has moved meanwhile";
        rc = err_set(e, E_CONFLICT,
                     "%" PRISTR " has moved since you looked. Fetch, then push again.",
                     STRARG(str_head(cmd->ref, 200)));
    }
    return rc;
}

static int begin(struct forge *f, const struct target *t, const struct receive_head *head,
                 const char **reasons, struct push_lock *l, struct err *e)
{
    _autofree_ struct push_ref *refs = NEW_ARRAY(struct push_ref, head->n);
    for (size_t i = 0; i < head->n; i++)
        refs[i] = (struct push_ref){head->commands[i].ref, head->commands[i].old_sha,
                                    head->commands[i].new_sha};
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(f->store, &tx, e));
    TRY(push_begin(&tx, t->project.id, t->who.user_id, refs, head->n, head->options, &l->push_id,
                   e));
    TRY(still_old(t, head, reasons, e));
    // Before the commit: intents without a lock would look abandoned.
    TRY(lock_make(t->repo, l, e));
    int rc = tx_commit(&tx, e);
    if (rc < 0)
        lock_drop(l);
    return rc;
}

static int settle_dead(struct githttp *g, int64_t project_id, int64_t deadline, struct err *e);

static int blame(struct forge *f, const struct target *t, const struct receive_head *head,
                 const char **reasons, struct err *e)
{
    struct arena a;
    arena_init(&a, MIB(64));
    _autotx_ struct tx tx = TX_NONE;
    struct push_intent *open_ones = NULL;
    size_t n = 0;
    int rc = store_read(f->store, &tx, e);
    if (rc == 0)
        rc = push_pending(&tx, &a, t->project.id, &open_ones, &n, e);
    if (rc == 0) {
        rc = err_set(e, E_BUSY,
                     "Another push is updating a ref of this push right now. Fetch, then "
                     "push again.");
        for (size_t i = 0; i < head->n; i++) {
            for (size_t k = 0; k < n && !reasons[i]; k++) {
                if (str_eq(open_ones[k].r.ref, head->commands[i].ref))
                    reasons[i] = "another push is updating this ref";
            }
        }
    }
    arena_done(&a);
    return rc;
}

int push_open(struct githttp *g, const struct target *t, const struct receive_head *head,
              const char **reasons, struct push_lock *ret, struct err *e)
{
    struct forge *f = g->cfg.forge;
    *ret = PUSH_LOCK_NONE;
    int rc = begin(f, t, head, reasons, ret, e);
    if (rc != E_BUSY)
        return rc;
    // Perhaps a push that died without being settled stands in the way.
    rc = settle_dead(g, t->project.id, 0, e);
    if (rc < 0 && rc != E_BUSY)
        return rc;
    rc = begin(f, t, head, reasons, ret, e);
    return rc == E_BUSY ? blame(f, t, head, reasons, e) : rc;
}

int push_close(struct githttp *g, const struct target *t, const struct receive_head *head,
               struct push_lock *lock, struct err *e)
{
    struct arena a;
    arena_init(&a, MIB(64));
    struct moved *m = NEW_ARRAY(struct moved, head->n);
    for (size_t i = 0; i < head->n; i++)
        m[i] = (struct moved){.ref = head->commands[i].ref,
                              .old_sha = head->commands[i].old_sha,
                              .new_sha = head->commands[i].new_sha};
    int rc = settle(g->cfg.forge->store, t->repo, lock->push_id, t->project.id, m, head->n, &a, e);
    if (rc < 0) {
        fd_close(&lock->fd); // the file stays: it marks intents that are to be settled
        settle_later(g);
    } else {
        lock_drop(lock);
        lock->events = NEW_ARRAY(int64_t, head->n);
        for (size_t i = 0; i < head->n; i++) {
            lock->branches += may_run(&m[i]);
            if (m[i].event_id)
                lock->events[lock->nevents++] = m[i].event_id;
        }
    }
    free(m);
    arena_done(&a);
    return rc;
}

void push_announce(struct githttp *g, struct push_lock *lock)
{
    for (size_t i = 0; i < lock->nevents && g->cfg.pushed; i++)
        g->cfg.pushed(g->cfg.ctx, lock->events[i]);
    free(lock->events);
    lock->events = NULL;
    lock->nevents = 0;
}

// ---- pushes that died

// 0: locked, nobody works on it any more. E_BUSY: somebody does. The file may be missing (deleted
// project, restored backup): then there is nothing to wait for.
static int lock_dead(const char *repo, int64_t push_id, int64_t deadline, struct push_lock *l,
                     struct err *e)
{
    l->push_id = push_id;
    lock_path(repo, push_id, l->path);
    l->fd = open(l->path, O_RDWR | O_CLOEXEC);
    if (l->fd < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : err_errno(e, errno, "cannot open the lock of push %lld", (long long)push_id);
    while (flock(l->fd, LOCK_EX | LOCK_NB) < 0) {
        if (clock_ms() >= deadline) {
            fd_close(&l->fd);
            return err_set(e, E_BUSY, "git still works on push %lld", (long long)push_id);
        }
        struct timespec pause = {0, 20000000};
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int settle_one(struct githttp *g, struct push_intent *in, size_t n, int64_t deadline,
                      struct arena *a, struct err *e)
{
    struct forge *f = g->cfg.forge;
    struct project p;
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(f->store, &tx, e));
        TRY(project_get(&tx, a, in->project_id, &p, e));
    }
    const char *repo = arena_dup(a, forge_repo_path(f, a, p.storage));
    struct push_lock lock = PUSH_LOCK_NONE;
    TRY(lock_dead(repo, in->push_id, deadline, &lock, e));
    for (size_t i = 0; i < n; i++)
        git_lock_clear(repo, in[i].r.ref);
    struct moved *m = ARENA_ARRAY(a, struct moved, n);
    for (size_t i = 0; i < n; i++)
        m[i] = (struct moved){
            .ref = in[i].r.ref, .old_sha = in[i].r.old_sha, .new_sha = in[i].r.new_sha};
    int rc = settle(f->store, repo, in->push_id, in->project_id, m, n, a, e);
    if (rc < 0) {
        fd_close(&lock.fd);
        return rc;
    }
    lock_drop(&lock);
    announce(g, m, n);
    return 0;
}

// Settles what it can; the first failure is reported after all were tried.
static int settle_dead(struct githttp *g, int64_t project_id, int64_t deadline, struct err *e)
{
    struct arena a;
    arena_init(&a, MIB(256));
    struct push_intent *in = NULL;
    size_t n = 0;
    int rc;
    {
        _autotx_ struct tx tx = TX_NONE;
        rc = store_read(g->cfg.forge->store, &tx, e);
        if (rc == 0)
            rc = push_pending(&tx, &a, project_id, &in, &n, e);
    }
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && in[end].push_id == in[i].push_id; end++)
            ;
        struct err why = ERR_INIT;
        int one = settle_one(g, &in[i], end - i, deadline, &a, &why);
        if (one < 0 && rc == 0) {
            rc = one;
            if (e)
                *e = why;
        }
    }
    arena_done(&a);
    return rc;
}

// ---- later

// True when something is left that trying again may settle.
static bool try_settle(struct githttp *g)
{
    struct err e = ERR_INIT;
    return settle_dead(g, 0, 0, &e) < 0;
}

static void *settler(void *arg)
{
    struct githttp *g = arg;
    int64_t pause_ms = 250;
    pthread_mutex_lock(&g->lock);
    while (!g->stop) {
        pthread_mutex_unlock(&g->lock);
        bool left = try_settle(g);
        pthread_mutex_lock(&g->lock);
        if (!left)
            break;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += pause_ms / 1000;
        until.tv_nsec += pause_ms % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        if (!g->stop)
            pthread_cond_timedwait(&g->settle_wake, &g->lock, &until);
        pause_ms = MIN(pause_ms * 2, 30000);
    }
    g->settling = false;
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

void settle_later(struct githttp *g)
{
    pthread_mutex_lock(&g->lock);
    if (!g->settling && !g->stop) {
        if (g->settler_made)
            pthread_join(g->settler, NULL); // it has cleared `settling`: about to end or ended
        g->settler_made = pthread_create(&g->settler, NULL, settler, g) == 0;
        g->settling = g->settler_made;
    }
    pthread_mutex_unlock(&g->lock);
}

void settle_stop(struct githttp *g)
{
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_signal(&g->settle_wake);
    bool made = g->settler_made;
    pthread_mutex_unlock(&g->lock);
    if (made)
        pthread_join(g->settler, NULL);
}

int githttp_reconcile(struct githttp *g, int64_t max_wait_ms, struct err *e)
{
    struct err why = ERR_INIT;
    if (settle_dead(g, 0, clock_ms() + max_wait_ms, &why) < 0) {
        log_warn("a push cannot be settled yet; it is tried again", LOGS("reason", why.msg));
        settle_later(g);
    }
    if (!g->cfg.pushed)
        return 0;
    // Events that were written but not handled: the callback marks each, or it comes again at the
    // next start. Without progress there is no point in asking for the same one for ever.
    int64_t last = 0;
    for (;;) {
        struct arena a;
        arena_init(&a, MIB(4));
        struct push_event ev = {0};
        int next;
        {
            _autotx_ struct tx tx = TX_NONE;
            next = store_read(g->cfg.forge->store, &tx, e);
            if (next == 0)
                next = push_event_next(&tx, &a, &ev, NULL);
        }
        arena_done(&a);
        if (next == E_NOTFOUND || (next == 0 && ev.id <= last))
            return 0;
        if (next < 0)
            return next;
        last = ev.id;
        g->cfg.pushed(g->cfg.ctx, ev.id);
    }
}
