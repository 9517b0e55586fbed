// SPDX-License-Identifier: Apache-2.0
// One job from its first line to its verdict: sources, artifacts in, script, after_script,
// artifacts out. build_run() is the whole life of a job's thread.
#pragma once

#include "runner/job.h"
#include "runner/protocol.h"
#include "runner/sandbox.h"

// What all jobs of this runner share; made once, then only read.
struct runner_conf {
    struct proto_conf proto;
    const char *name;
    const char *builds;    // absolute
    const char *clone_url; // replaces scheme and host of repository addresses, or NULL
    const struct sandbox_host *host;
    uid_t uid_base;                         // slot n runs as uid_base + n when we are root
    uint64_t job_disk, job_tmp, job_memory; // bytes; memory 0: no limit
    unsigned job_pids;
    size_t log_limit;
    uint64_t artifact_max;
    int64_t kill_grace_ms;
};

struct build {
    const struct runner_conf *conf;
    unsigned slot;
    struct arena arena; // holds the job; the build frees it
    struct job job;
    const char *refusal; // when set, the job is only told this and fails
    int wake_fd;         // eventfd: look at `stop` and the trace's order
    atomic_bool stop;    // the runner ends: end the job now
    atomic_bool give_up; // ... and do not try any longer to reach the server
    atomic_bool done;
    int done_fd; // eventfd written when done
};

// Runs the job. Never fails: what goes wrong is told in the job's log or, when the server cannot be
// reached any more, in `ret_note` (one line for the runner's own log, "" when there is none).
void build_run(struct build *b, char *ret_note, size_t note_size);
