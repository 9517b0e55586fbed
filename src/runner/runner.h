// SPDX-License-Identifier: Apache-2.0
// The runner role: asks the server for jobs and gives each a thread. runner_run() is the whole
// process's life; it returns when a stop signal came and the jobs have ended.
#pragma once

#include "runner/build.h"

struct runner_opts {
    struct runner_conf conf; // conf.host stays the caller's
    unsigned concurrent;
    int64_t drain_ms; // after SIGTERM: how long running jobs may go on
    int max_jobs;     // stop after so many jobs, 0: never (for trials)
};

// Logs by base/log.h. Returns 0, or an error when the server refuses this runner.
int runner_run(const struct runner_opts *o, struct err *e) MUST_USE;

// Prepares the folder for builds (made when missing, locked for this process) and the identity kept
// in it. `ret_system_id` needs 32 bytes. The lock lasts until the process ends.
int runner_prepare_builds(const char *builds, char *ret_system_id, struct err *e) MUST_USE;
