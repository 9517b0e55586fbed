// SPDX-License-Identifier: Apache-2.0
// The runner's half of GitLab's runner protocol: one function per call, over HTTP by TCP or a unix
// socket. A `struct api` keeps one connection alive and belongs to one thread at a time. Functions
// return 0 when the server answered at all (look at `status`), E_IO when it did not, E_AGAIN when
// `stop` was set meanwhile.
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdatomic.h>

struct api_conf {
    const char *url;       // http://host:port, without /api/v4
    const char *socket;    // unix socket to speak through, or NULL
    const char *token;     // the runner's
    const char *system_id; // this runner manager among those with the same token
    const char *name;
    const char *ca_file; // or NULL for the system's
};

struct api;

struct api_answer {
    long status;         // HTTP
    char job_status[32]; // Job-Status, "" when absent
    int64_t range_end;   // the number after the dash in Range, -1 when absent
    int64_t interval_s;  // X-GitLab-Trace-Update-Interval, -1 when absent
    int64_t retry_after_s;
    char last_update[128]; // X-GitLab-Last-Update
    struct buf body;       // at most 8 MiB; api_answer_done frees it
};

#define API_ANSWER_INIT                                                                            \
    ((struct api_answer){.range_end = -1, .interval_s = -1, .body = BUF_INIT(MIB(8))})

void api_global_init(void); // once, before any thread
struct api *api_new(const struct api_conf *conf) MUST_USE;
void api_free(struct api *a);
// The call in progress ends soon (within about a second) after *stop became true. May be NULL.
void api_set_stop(struct api *a, const atomic_bool *stop);
void api_answer_done(struct api_answer *r);

int api_verify(struct api *a, struct api_answer *ret, struct err *e) MUST_USE;
// With a registration token: creates a runner; the answer's body holds its token.
int api_register(struct api *a, const char *registration_token, const char *description,
                 const char *tags, bool run_untagged, struct api_answer *ret,
                 struct err *e) MUST_USE;

// The long poll, in two halves so that the caller can wait for other things meanwhile: start gives
// an easy handle for curl's multi interface, finish reads the answer after it is done (`code` is
// the transfer's CURLcode).
void *api_request_start(struct api *a, const char *last_update, struct api_answer *ret);
int api_request_finish(struct api *a, int code, struct api_answer *ret, struct err *e) MUST_USE;

struct api_update {
    const char *state;          // running, success, failed
    uint32_t crc32;             // of the trace so far
    uint64_t bytes;             // its length
    int exit_code;              // -1: none
    const char *failure_reason; // or NULL
};
int api_job_update(struct api *a, int64_t id, const char *job_token, const struct api_update *u,
                   struct api_answer *ret, struct err *e) MUST_USE;
// Sends trace bytes that begin at `offset`.
int api_trace_patch(struct api *a, int64_t id, const char *job_token, uint64_t offset,
                    struct str bytes, struct api_answer *ret, struct err *e) MUST_USE;
// Uploads what `fd` holds, from its beginning, as the file of a multipart form.
int api_artifact_upload(struct api *a, int64_t id, const char *job_token, int fd,
                        const char *filename, const char *format, const char *type,
                        const char *expire_in, struct api_answer *ret, struct err *e) MUST_USE;
// Downloads a job's archive into `fd` (emptied first); more than `max` bytes is E_LIMIT.
int api_artifact_download(struct api *a, int64_t id, const char *job_token, int fd, uint64_t max,
                          struct api_answer *ret, struct err *e) MUST_USE;
