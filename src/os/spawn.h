// SPDX-License-Identifier: Apache-2.0
// Child processes through posix_spawn and pidfds: safe in processes with threads, which never fork.
// The child starts with default signal handling, nothing blocked, and only the descriptors named
// here. Any thread; one `struct child` belongs to one thread at a time. The process must not ignore
// SIGCHLD or reap children behind this module's back.
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

struct spawn_fd {
    int from; // a descriptor of ours
    int to;   // its number in the child; 0, 1, 2 not named get /dev/null
};

struct spawn_options {
    const char *const *argv; // NULL-terminated; argv[0] is looked up in PATH when it has no '/'
    const char *program;     // NULL: argv[0]
    const char *const *env;  // NULL-terminated "NAME=value"; NULL: inherit ours
    const char *cwd;         // NULL: ours
    const struct spawn_fd *fds;
    size_t nfds;
    bool new_session; // setsid
    bool new_group;   // own process group (implied by a session); child_kill_group works then
};

struct child {
    pid_t pid;  // 0: none
    int pidfd;  // readable when it has ended (usable in a loop); -1: none
    int status; // waitpid's, after it was reaped
    bool reaped;
    bool group; // leads a process group of its own
};
#define CHILD_NONE ((struct child){.pidfd = -1})

// E_NOTFOUND: no such program; E_DENIED; E_LIMIT; E_IO.
int spawn(const struct spawn_options *o, struct child *ret, struct err *e) MUST_USE;

// Reaps the child. deadline: clock_ms() value, -1 waits for ever. E_AGAIN at the deadline.
int child_wait(struct child *c, int64_t deadline, struct err *e) MUST_USE;
// Exit status 0..255, or 128 + signal as a shell says it. After child_wait.
int child_exit_code(const struct child *c);
// Signals the child through its pidfd: never a stranger that got its number. E_NOTFOUND when ended.
int child_kill(const struct child *c, int signo, struct err *e);
// The same for its process group (new_session or new_group). Only before it is reaped.
int child_kill_group(const struct child *c, int signo, struct err *e);
// Kills (the group when there is one), reaps and closes whatever is left; harmless when nothing is.
void child_done(struct child *c);
#define _autochild_ _cleanup_(child_done)

// Runs a program to its end: feeds `input`, gathers its output and error text up to the buffers'
// ceilings (NULL: /dev/null; `err_out` may be `out`). E_AGAIN when the deadline passed (killed
// then), E_LIMIT when it wrote more than a ceiling (killed then), else 0 with the exit code in
// *ret_code.
int spawn_run(const struct spawn_options *o, struct str input, struct buf *out, struct buf *err_out,
              int64_t deadline, int *ret_code, struct err *e) MUST_USE;

// The path of the running program, for re-executing ourselves.
const char *spawn_self(void);
