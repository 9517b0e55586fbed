// SPDX-License-Identifier: Apache-2.0
// The runner's half of GitLab's runner protocol: one function per call, over HTTP by TCP or a unix
// socket. A `struct proto` keeps one connection alive and belongs to one thread at a time.
// Functions return 0 when the server answered at all (look at `status`), E_IO when it did not,
// E_AGAIN when `stop` was set meanwhile.
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdatomic.h>

struct proto_conf {
    const char *url;       // http://host:port, without /api/v4
    const char *socket;    // unix socket to speak through, or NULL
    const char *token;     // the runner's
    const char *system_id; // this runner manager among those with the same token
    const char *name;
    const char *ca_file; // or NULL for the system's
};

struct proto;

struct proto_answer {
    long status;         // HTTP
    char job_status[32]; // Job-Status, "" when absent
    int64_t range_end;   // the number after the dash in Range, -1 when absent
    int64_t interval_s;  // X-GitLab-Trace-Update-Interval, -1 when absent
    int64_t retry_after_s;
    char last_update[128]; // X-GitLab-Last-Update
    struct buf body;       // at most 8 MiB; proto_answer_done frees it
};

#define PROTO_ANSWER_INIT                                                                          \
    ((struct proto_answer){.range_end = -1, .interval_s = -1, .body = BUF_INIT(MIB(8))})

void proto_global_init(void); // once, before any thread
struct proto *proto_new(const struct proto_conf *conf) MUST_USE;
void proto_free(struct proto *a);
// The call in progress ends soon (within about a second) after *stop became true. May be NULL.
void proto_set_stop(struct proto *a, const atomic_bool *stop);
void proto_answer_done(struct proto_answer *r);

int proto_verify(struct proto *a, struct proto_answer *ret, struct err *e) MUST_USE;
// With a registration token: creates a runner; the answer's body holds its token.
int proto_register(struct proto *a, const char *registration_token, const char *description,
                   const char *tags, bool run_untagged, struct proto_answer *ret,
                   struct err *e) MUST_USE;

// The long poll, in two halves so that the caller can wait for other things meanwhile: start gives
// an easy handle for curl's multi interface, finish reads the answer after it is done (`code` is
// the transfer's CURLcode).
void *proto_request_start(struct proto *a, const char *last_update, struct proto_answer *ret);
int proto_request_finish(struct proto *a, int code, struct proto_answer *ret,
                         struct err *e) MUST_USE;

struct proto_update {
    const char *state;          // running, success, failed
    uint32_t crc32;             // of the trace so far
    uint64_t bytes;             // its length
    int exit_code;              // -1: none
    const char *failure_reason; // or NULL
    bool trace_unknown;         // nothing is said of the trace: crc32 and bytes do not count
};
int proto_job_update(struct proto *a, int64_t id, const char *job_token,
                     const struct proto_update *u, struct proto_answer *ret,
                     struct err *e) MUST_USE;
// Sends trace bytes that begin at `offset`.
int proto_trace_patch(struct proto *a, int64_t id, const char *job_token, uint64_t offset,
                      struct str bytes, struct proto_answer *ret, struct err *e) MUST_USE;
// Uploads what `fd` holds, from its beginning, as the file of a multipart form.
int proto_artifact_upload(struct proto *a, int64_t id, const char *job_token, int fd,
                          const char *filename, const char *format, const char *type,
                          const char *expire_in, struct proto_answer *ret, struct err *e) MUST_USE;
// Downloads a job's archive into `fd` (emptied first); more than `max` bytes is E_LIMIT.
int proto_artifact_download(struct proto *a, int64_t id, const char *job_token, int fd,
                            uint64_t max, struct proto_answer *ret, struct err *e) MUST_USE;
