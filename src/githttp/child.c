// SPDX-License-Identifier: Apache-2.0
// One git process: its pipes, its time limits, its end. The worker thread that serves the request
// owns it; when the client goes away, the child and all it started are killed.
#include "githttp/priv.h"

#include "base/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIPE_BYTES = 262144, ARGS_MAX = 12 };

int gitproc_start(struct gitproc *p, struct githttp *g, const char *const *argv,
                  const char *const *env, int lock_fd, struct err *e)
{
    *p = GITPROC_NONE;
    _autofd_ int in_r = -1;
    _autofd_ int out_w = -1;
    int rc = fd_pipe(&in_r, &p->in, e);
    if (rc == 0)
        rc = fd_pipe(&p->out, &out_w, e);
    if (rc < 0)
        return rc;
    // Larger pipes, fewer switches; a refusal by the system's limit does no harm.
    (void)fcntl(p->in, F_SETPIPE_SZ, PIPE_BYTES);
    (void)fcntl(p->out, F_SETPIPE_SZ, PIPE_BYTES);
    p->errfd = memfd_create("git-stderr", MFD_CLOEXEC);
    const char *full[ARGS_MAX] = {g->cfg.git_program};
    for (size_t i = 0; argv[i]; i++) {
        BUG_ON(i + 2 >= ARGS_MAX);
        full[i + 1] = argv[i];
    }
    struct spawn_fd fds[4] = {{in_r, 0}, {out_w, 1}, {p->errfd, 2}, {lock_fd, 3}};
    struct spawn_options o = {.argv = full,
                              .env = env,
                              .cwd = "/",
                              .fds = fds,
                              .nfds = lock_fd >= 0 ? 4 : 3,
                              .new_group = true};
    rc = spawn(&o, &p->child, e);
    if (rc < 0)
        return rc;
    rc = fd_set_nonblock(p->in, true, e);
    if (rc == 0)
        rc = fd_set_nonblock(p->out, true, e);
    p->idle_ms = g->cfg.idle_ms;
    p->deadline = clock_ms() + g->cfg.total_ms;
    return rc;
}

// Waits for any of the two; returns poll's events or E_AGAIN.
static int wait_ready(struct gitproc *p, bool writing, short *ret_in, short *ret_out, struct err *e)
{
    int64_t left = p->deadline - clock_ms();
    if (left <= 0)
        return err_set(e, E_AGAIN, "git took longer than the time a request may take");
    struct pollfd fds[2] = {{writing ? p->in : -1, POLLOUT, 0}, {p->out, POLLIN, 0}};
    int n = poll(fds, 2, (int)MIN(left, p->idle_ms));
    if (n < 0 && errno != EINTR)
        return err_errno(e, errno, "poll");
    if (n == 0)
        return err_set(e, E_AGAIN, "git made no progress for %lld s", (long long)p->idle_ms / 1000);
    *ret_in = fds[0].revents;
    *ret_out = fds[1].revents;
    return 0;
}

static int gather(struct gitproc *p, struct buf *out, struct err *e)
{
    char waste[4096];
    size_t room = MIN((size_t)KIB(64), out->max - out->n);
    char *to = room ? buf_reserve(out, room) : NULL;
    ssize_t n = read(p->out, to ? to : waste, to ? room : sizeof(waste));
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : err_errno(e, errno, "cannot read from git");
    if (n == 0)
        fd_close(&p->out);
    else if (to)
        buf_commit(out, (size_t)n);
    return 0;
}

int gitproc_feed(struct gitproc *p, struct str piece, struct buf *out, struct err *e)
{
    while (piece.n) {
        if (p->in < 0)
            return err_set(e, E_IO, "git ended before it had read everything");
        ssize_t n = write(p->in, piece.p, piece.n);
        if (n >= 0) {
            piece = str_from(piece, (size_t)n);
            continue;
        }
        if (errno == EPIPE) {
            fd_close(&p->in);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return err_errno(e, errno, "cannot write to git");
        short in = 0, got = 0;
        int rc = wait_ready(p, true, &in, &got, e);
        if (rc == 0 && got)
            rc = gather(p, out, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void gitproc_close_input(struct gitproc *p)
{
    fd_close(&p->in);
}

int gitproc_read(struct gitproc *p, void *to, size_t n, size_t *ret_n, struct err *e)
{
    *ret_n = 0;
    while (p->out >= 0) {
        ssize_t got = read(p->out, to, n);
        if (got > 0) {
            *ret_n = (size_t)got;
            return 0;
        }
        if (got == 0) {
            fd_close(&p->out);
            return 0;
        }
        if (errno != EAGAIN && errno != EINTR)
            return err_errno(e, errno, "cannot read from git");
        short in, out;
        int rc = wait_ready(p, false, &in, &out, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int gitproc_wait(struct gitproc *p, int64_t max_ms)
{
    fd_close(&p->in);
    if (child_wait(&p->child, clock_ms() + max_ms, NULL) < 0) {
        (void)child_kill_group(&p->child, SIGKILL, NULL);
        if (child_wait(&p->child, -1, NULL) < 0)
            return 255;
    }
    return child_exit_code(&p->child);
}

void gitproc_error(struct gitproc *p, struct buf *to)
{
    char text[400];
    ssize_t n = p->errfd < 0 ? 0 : pread(p->errfd, text, sizeof(text), 0);
    struct str rest = n > 0 ? str_n(text, (size_t)n) : STR_NONE, line;
    if (str_cut(&rest, '\n', &line))
        buf_add(to, str_trim(line));
}

void gitproc_done(struct gitproc *p)
{
    fd_close(&p->in);
    fd_close(&p->out);
    fd_close(&p->errfd);
    child_done(&p->child);
}

// ---- places

bool slot_take(struct githttp *g)
{
    unsigned now = atomic_load(&g->packs);
    while (now < g->cfg.max_packs) {
        if (atomic_compare_exchange_weak(&g->packs, &now, now + 1))
            return true;
    }
    return false;
}

void slot_give(struct githttp *g, struct http_call *c)
{
    atomic_fetch_sub(&g->packs, 1);
    http_server_wake(http_call_server(c), GIT_SLOT_TOPIC);
}

void slot_done(struct slot *s)
{
    if (s->g)
        slot_give(s->g, s->c);
}

bool slot_or_park(struct githttp *g, struct http_call *c, struct slot *s, int *ret_result)
{
    // The cursor keeps the deadline across reruns: a crowd must not make one wait for ever.
    uint64_t *deadline = http_cursor(c);
    if (*deadline == 0)
        *deadline = (uint64_t)clock_ms() + 60000;
    http_watch(c, GIT_SLOT_TOPIC);
    if (slot_take(g)) {
        *s = (struct slot){g, c};
        return true;
    }
    if (http_timed_out(c) || clock_ms() >= (int64_t)*deadline) {
        http_set(c, "Retry-After", STR("10"));
        answer_text(c, 503, "The server is busy with other Git requests. Try again in a moment.\n");
        *ret_result = HTTP_DONE;
    } else {
        *ret_result = http_park(c, (int64_t)*deadline);
    }
    return false;
}
