// SPDX-License-Identifier: Apache-2.0
// Child processes: posix_spawn with a pidfd, so that processes with threads never fork and a signal
// never reaches a stranger. The caller owns its struct child; nothing is shared between calls.
// runner/, git/ and the supervisor in cmd/ start everything through here.
#include "os/spawn.h"

#include "base/clock.h"
#include "base/mem.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define SPAWN_FDS_MAX 32
// Descriptors to pass are first copied above this, so that no dup2 overwrites a later source.
#define SPAWN_FD_BASE 200

struct placed {
    int high[SPAWN_FDS_MAX];
    size_t n;
};

static void placed_done(struct placed *p)
{
    for (size_t i = 0; i < p->n; i++)
        fd_close(&p->high[i]);
}

static int check(int rc, const char *what, struct err *e)
{
    return rc ? err_errno(e, rc, "cannot prepare a child process: %s", what) : 0;
}

static int place_fds(const struct spawn_options *o, posix_spawn_file_actions_t *fa,
                     struct placed *placed, struct err *e)
{
    bool used[SPAWN_FD_BASE] = {false};
    int last = 2, rc = 0;
    for (size_t i = 0; i < o->nfds && rc == 0; i++) {
        int to = o->fds[i].to;
        BUG_ON(to < 0 || to >= SPAWN_FD_BASE || i >= SPAWN_FDS_MAX);
        int high = fcntl(o->fds[i].from, F_DUPFD_CLOEXEC, SPAWN_FD_BASE);
        if (high < 0)
            return err_errno(e, errno, "cannot pass descriptor %d on", o->fds[i].from);
        placed->high[placed->n++] = high;
        used[to] = true;
        last = MAX(last, to);
        rc = check(posix_spawn_file_actions_adddup2(fa, high, to), "dup2", e);
    }
    for (int fd = 0; fd <= last && rc == 0; fd++) {
        if (used[fd])
            continue;
        if (fd <= 2)
            rc = check(posix_spawn_file_actions_addopen(fa, fd, "/dev/null", O_RDWR, 0), "open", e);
        else
            rc = check(posix_spawn_file_actions_addclose(fa, fd), "close", e);
    }
    if (rc == 0)
        rc = check(posix_spawn_file_actions_addclosefrom_np(fa, last + 1), "closefrom", e);
    if (rc == 0 && o->cwd)
        rc = check(posix_spawn_file_actions_addchdir_np(fa, o->cwd), "chdir", e);
    return rc;
}

static int set_attributes(const struct spawn_options *o, posix_spawnattr_t *at, struct err *e)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    if (o->new_session)
        flags |= POSIX_SPAWN_SETSID;
    else if (o->new_group)
        flags |= POSIX_SPAWN_SETPGROUP;
    int rc = check(posix_spawnattr_setsigdefault(at, &all), "signals", e);
    if (rc == 0)
        rc = check(posix_spawnattr_setsigmask(at, &none), "signals", e);
    if (rc == 0)
        rc = check(posix_spawnattr_setpgroup(at, 0), "group", e);
    if (rc == 0)
        rc = check(posix_spawnattr_setflags(at, flags), "flags", e);
    return rc;
}

int spawn(const struct spawn_options *o, struct child *ret, struct err *e)
{
    *ret = CHILD_NONE;
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    int rc = check(posix_spawn_file_actions_init(&fa), "memory", e);
    if (rc < 0)
        return rc;
    rc = check(posix_spawnattr_init(&at), "memory", e);
    if (rc < 0) {
        posix_spawn_file_actions_destroy(&fa);
        return rc;
    }
    _cleanup_(placed_done) struct placed placed = {.n = 0};
    rc = place_fds(o, &fa, &placed, e);
    if (rc == 0)
        rc = set_attributes(o, &at, e);
    const char *program = o->program ? o->program : o->argv[0];
    pid_t pid = 0;
    if (rc == 0) {
        // posix_spawn takes its arrays as char *const *, but leaves them alone.
        char *const *argv = (char *const *)(uintptr_t)o->argv;
        char *const *env = o->env ? (char *const *)(uintptr_t)o->env : environ;
        int sys = posix_spawnp(&pid, program, &fa, &at, argv, env);
        if (sys)
            rc = err_errno(e, sys, "cannot start %s", program);
    }
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    if (rc < 0)
        return rc;

    struct child c = {.pid = pid, .group = o->new_session || o->new_group};
    c.pidfd = pidfd_open(pid, 0);
    if (c.pidfd < 0) {
        rc = err_errno(e, errno, "cannot watch the child process %s", program);
        child_done(&c);
        return rc;
    }
    *ret = c;
    return 0;
}

static int poll_until(struct pollfd *fds, nfds_t n, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - clock_ms();
        int wait = deadline < 0 ? -1 : (int)MAX(MIN(left, INT32_MAX), 0);
        int rc = poll(fds, n, wait);
        if (rc >= 0 || errno != EINTR)
            return rc;
    }
}

int child_wait(struct child *c, int64_t deadline, struct err *e)
{
    if (c->reaped)
        return 0;
    BUG_ON(c->pid <= 0);
    if (deadline >= 0) {
        struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
        int n = poll_until(&p, 1, deadline);
        if (n < 0)
            return err_errno(e, errno, "cannot wait for process %d", (int)c->pid);
        if (n == 0)
            return err_set(e, E_AGAIN, "process %d still runs", (int)c->pid);
    }
    pid_t got;
    do {
        got = waitpid(c->pid, &c->status, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_errno(e, errno, "cannot wait for process %d", (int)c->pid);
    c->reaped = true;
    fd_close(&c->pidfd);
    return 0;
}

int child_exit_code(const struct child *c)
{
    return WIFEXITED(c->status) ? WEXITSTATUS(c->status) : 128 + WTERMSIG(c->status);
}

int child_kill(const struct child *c, int signo, struct err *e)
{
    if (c->pid <= 0 || c->reaped)
        return err_set(e, E_NOTFOUND, "the process has ended");
    if (pidfd_send_signal(c->pidfd, signo, NULL, 0) < 0)
        return err_errno(e, errno == ESRCH ? ENOENT : errno, "cannot signal process %d",
                         (int)c->pid);
    return 0;
}

int child_kill_group(const struct child *c, int signo, struct err *e)
{
    if (c->pid <= 0 || c->reaped)
        return err_set(e, E_NOTFOUND, "the process has ended");
    BUG_ON(!c->group);
    if (kill(-c->pid, signo) < 0)
        return err_errno(e, errno == ESRCH ? ENOENT : errno, "cannot signal process group %d",
                         (int)c->pid);
    return 0;
}

void child_done(struct child *c)
{
    if (c->pid > 0 && !c->reaped) {
        // Not reaped: the number still is this child's.
        if (c->group)
            kill(-c->pid, SIGKILL);
        kill(c->pid, SIGKILL);
        struct err ignored;
        int rc = child_wait(c, -1, &ignored);
        (void)rc;
    }
    fd_close(&c->pidfd);
    *c = CHILD_NONE;
}

// ---- spawn_run

struct run {
    int in, out, err; // our ends, non-blocking; -1 when closed
    struct str input;
    struct buf *to_out, *to_err;
};

static void run_done(struct run *r)
{
    fd_close(&r->in);
    fd_close(&r->out);
    fd_close(&r->err);
}

static void feed(struct run *r)
{
    if (r->in < 0)
        return;
    if (r->input.n > 0) {
        ssize_t n = write(r->in, r->input.p, r->input.n);
        if (n >= 0)
            r->input = str_from(r->input, (size_t)n);
        else if (errno == EAGAIN || errno == EINTR)
            return;
        else
            r->input = STR_NONE; // it does not want the rest; its exit code tells
    }
    if (r->input.n == 0)
        fd_close(&r->in);
}

// E_AGAIN: nothing there now; 0: end of the output; otherwise how many bytes came.
static int gather(int *fd, struct buf *to, struct err *e)
{
    if (*fd < 0)
        return 0;
    char spare[1] = {0};
    size_t room = MIN(KIB(16), to->max - to->n);
    char *p = room ? buf_reserve(to, room) : spare;
    ssize_t n = read(*fd, p, room ? room : 1);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? E_AGAIN
                                                 : err_errno(e, errno, "cannot read the output");
    if (n == 0) {
        fd_close(fd);
        return 0;
    }
    if (room == 0)
        return err_set(e, E_LIMIT, "the program wrote more than %zu bytes", to->max);
    buf_commit(to, (size_t)n);
    return (int)n;
}

static int drain(int *fd, struct buf *to, struct err *e)
{
    int rc;
    do {
        rc = gather(fd, to, e);
    } while (rc > 0);
    return rc == E_AGAIN ? 0 : rc;
}

static int converse(struct run *r, struct child *c, int64_t deadline, struct err *e)
{
    for (;;) {
        struct pollfd p[4] = {{.fd = c->pidfd, .events = POLLIN},
                              {.fd = r->in, .events = POLLOUT},
                              {.fd = r->out, .events = POLLIN},
                              {.fd = r->err, .events = POLLIN}};
        int n = poll_until(p, 4, deadline);
        if (n < 0)
            return err_errno(e, errno, "cannot wait for a program");
        if (n == 0)
            return err_set(e, E_AGAIN, "the program did not end in time");
        if (p[1].revents)
            feed(r);
        int rc = p[2].revents ? gather(&r->out, r->to_out, e) : 0;
        if (rc >= 0 || rc == E_AGAIN)
            rc = p[3].revents ? gather(&r->err, r->to_err, e) : 0;
        if (rc < 0 && rc != E_AGAIN)
            return rc;
        if (!p[0].revents)
            continue;
        // Ended: what it wrote is in the pipes. Its own children may hold them open, so do not wait
        // for their ends.
        rc = drain(&r->out, r->to_out, e);
        return rc < 0 ? rc : drain(&r->err, r->to_err, e);
    }
}

static int our_end(int fd, struct err *e)
{
    return fd_set_nonblock(fd, true, e);
}

int spawn_run(const struct spawn_options *o, struct str input, struct buf *out, struct buf *err_out,
              int64_t deadline, int *ret_code, struct err *e)
{
    struct spawn_options with = *o;
    struct spawn_fd fds[SPAWN_FDS_MAX] = {{0}};
    BUG_ON(o->nfds + 3 > SPAWN_FDS_MAX);
    for (size_t i = 0; i < o->nfds; i++)
        fds[i] = o->fds[i];
    with.fds = fds;

    _cleanup_(run_done) struct run r = {-1, -1, -1, input, out, err_out};
    _autofd_ int in = -1, to_out = -1, to_err = -1;
    int rc = 0;
    if (input.n > 0) {
        rc = fd_pipe(&in, &r.in, e);
        rc = rc < 0 ? rc : our_end(r.in, e);
        fds[with.nfds++] = (struct spawn_fd){in, 0};
    }
    if (rc == 0 && out) {
        rc = fd_pipe(&r.out, &to_out, e);
        rc = rc < 0 ? rc : our_end(r.out, e);
        fds[with.nfds++] = (struct spawn_fd){to_out, 1};
    }
    if (rc == 0 && err_out && err_out == out) {
        fds[with.nfds++] = (struct spawn_fd){to_out, 2};
    } else if (rc == 0 && err_out) {
        rc = fd_pipe(&r.err, &to_err, e);
        rc = rc < 0 ? rc : our_end(r.err, e);
        fds[with.nfds++] = (struct spawn_fd){to_err, 2};
    }
    if (rc < 0)
        return rc;

    _autochild_ struct child c = CHILD_NONE;
    rc = spawn(&with, &c, e);
    if (rc < 0)
        return rc;
    fd_close(&in);
    fd_close(&to_out);
    fd_close(&to_err);

    // A program that does not read its input must not end us.
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    rc = converse(&r, &c, deadline, e);
    if (!sigismember(&pending, SIGPIPE)) {
        struct timespec now = {0, 0};
        while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0)
        return rc;
    rc = child_wait(&c, -1, e);
    if (rc == 0)
        *ret_code = child_exit_code(&c);
    return rc;
}

const char *spawn_self(void)
{
    return "/proc/self/exe";
}
