// SPDX-License-Identifier: Apache-2.0
// The signal loop of a PID 1. All signals that can be waited for are blocked from before the first
// fork, so none is lost between two looks; sigwaitinfo then hands them out one at a time. Owned by
// the only thread of slipway-init.
#include "init/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

static void say(const char *a, const char *b, const char *c)
{
    // Three writes would interleave with others' output; one short line does not.
    char line[512];
    size_t n = 0;
    const char *parts[] = {"slipway-init: ", a, ": ", b, ": ", c, "\n"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        for (const char *p = parts[i]; *p && n < sizeof(line) - 1; p++)
            line[n++] = *p;
    if (n == sizeof(line) - 1)
        line[n - 1] = '\n';
    if (write(2, line, n) < 0)
        return;
}

static void child(const struct reap *r, const sigset_t *mask)
{
    setpgid(0, 0);
    if (isatty(0)) {
        // In the background already: without this the hand-over would stop us.
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (r->exec_fd >= 0)
        syscall(SYS_execveat, r->exec_fd, "", r->argv, r->envp, AT_EMPTY_PATH);
    else
        execvpe(r->argv[0], r->argv, r->envp);
    int why = errno;
    say("cannot run", r->argv[0], strerror(why));
    _exit(why == ENOENT || why == ENOTDIR ? 127 : 126);
}

static bool is_stop(int sig)
{
    return sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP;
}

int reap_run(const struct reap *r)
{
    static const int OWN_FAULTS[] = {SIGFPE,  SIGILL, SIGSEGV, SIGBUS, SIGABRT,
                                     SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof(OWN_FAULTS) / sizeof(OWN_FAULTS[0]); i++)
        sigdelset(&all, OWN_FAULTS[i]);
    sigprocmask(SIG_SETMASK, &all, &before);
    if (getpid() != 1)
        prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);

    pid_t main_pid = fork();
    if (main_pid < 0) {
        say("cannot start", r->argv[0], strerror(errno));
        return 126;
    }
    if (main_pid == 0)
        child(r, &before);

    bool stopping = false;
    int status = -1;
    for (;;) {
        siginfo_t info;
        int sig = sigwaitinfo(&all, &info);
        if (sig < 0)
            continue;
        if (sig != SIGCHLD) {
            stopping = stopping || is_stop(sig);
            if (r->everyone)
                kill(-1, sig);
            else if (status < 0)
                kill(main_pid, sig);
            continue;
        }
        // Signals coalesce: one SIGCHLD may stand for thousands of ends.
        for (;;) {
            int st;
            pid_t pid = waitpid(-1, &st, WNOHANG);
            if (pid == main_pid)
                status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
            if (pid > 0)
                continue;
            if (status >= 0 && (pid < 0 || !(r->everyone && stopping)))
                return status;
            break;
        }
    }
}
