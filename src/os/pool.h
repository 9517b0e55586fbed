// SPDX-License-Identifier: Apache-2.0
// A bounded pool of worker threads for blocking work. Jobs are embedded in their owner and run in
// order of submission. All functions: any thread.
#pragma once

#include "base/err.h"

struct pool;

// Must stay alive until `run` begins; `run` may free or resubmit it.
struct pool_job {
    void (*run)(struct pool_job *job);
    struct pool_job *next;
};

// `threads` workers are started at once, all signals blocked in them. `name` (at most 15 bytes)
// shows in ps and gdb.
int pool_new(const char *name, unsigned threads, size_t queue_max, struct pool **ret,
             struct err *e) MUST_USE;
// Waits until queued and running jobs are done, then ends the threads.
void pool_free(struct pool *p);

// E_BUSY when queue_max jobs are waiting.
int pool_submit(struct pool *p, struct pool_job *job) MUST_USE;
// Ignores the bound: for work that was admitted earlier (a parked call that goes on).
void pool_resubmit(struct pool *p, struct pool_job *job);

size_t pool_queued(struct pool *p);
size_t pool_running(struct pool *p);
