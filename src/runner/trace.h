// SPDX-License-Identifier: Apache-2.0
// A job's log on its way to the server. Whoever runs the job writes; a thread of the trace masks
// nothing itself (writes are masked at once) and sends: the first bytes immediately, then in pieces
// that grow the longer output streams without a pause. The whole log is kept until the end, so that
// a server that lost part of it can have it again.
#pragma once

#include "runner/protocol.h"

struct mask;
struct trace;

enum trace_order {
    TRACE_GO,     // run on
    TRACE_CANCEL, // the server asks to stop gracefully: after_script still runs
    TRACE_ABORT,  // the server no longer wants this job: stop at once
};

struct trace_opts {
    const struct proto_conf *conf;
    int64_t job_id;
    const char *job_token; // copied
    struct mask *mask;     // becomes the trace's
    size_t limit;          // bytes of log; what comes after is dropped with one note
    int wake_fd;           // an eventfd written to when trace_order() changes; -1: none
};

// Starts the sending thread, whose first call is the PUT that tells the server "running".
struct trace *trace_new(const struct trace_opts *o) MUST_USE;

// Any thread. trace_say writes a line of the runner's own ("%s\n", masked as well).
void trace_write(struct trace *t, struct str bytes);
void trace_say(struct trace *t, const char *fmt, ...) PRINTF(2, 3);
// The stream of a command ended: what the masker held back becomes certain.
void trace_flush(struct trace *t);

enum trace_order trace_order(struct trace *t);

// Sends what is left and the verdict; repeats until the server has taken both (ten tries, 1 s and
// growing) unless *give_up becomes true. Frees nothing.
int trace_finish(struct trace *t, const char *state, int exit_code, const char *failure_reason,
                 const atomic_bool *give_up, struct err *e) MUST_USE;
void trace_free(struct trace *t);
