// SPDX-License-Identifier: Apache-2.0
// The work of a PID 1: start one command, pass signals on, reap every orphan, end with the
// command's status. One thread, no allocation. Used by slipway-init itself and, after the sandbox
// was set up, by the first process inside it.
#pragma once

#include <stdbool.h>

struct reap {
    char **argv; // what to run; argv[0] is looked up in PATH unless it contains a slash
    char **envp;
    int exec_fd; // >= 0: run this descriptor's program instead of looking up argv[0]
    // A whole PID namespace is ours: signals go to every process in it, and after a stop signal the
    // end waits for all of them (the one who sent it decides how long).
    bool everyone;
};

// Does not return before the command has ended. Returns its exit status, 128 + signal, 126 when it
// could not be run and 127 when it was not found.
int reap_run(const struct reap *r);
