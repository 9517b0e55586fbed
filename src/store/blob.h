// SPDX-License-Identifier: Apache-2.0
// Files in the state folder. A path is relative to it, '/' separated, without "", "." or ".."
// parts, control bytes or links on the way: anything else is E_INVALID. Threads may share all of
// this, and no call needs a transaction.
//
// A blob appears whole or not at all: written under a temporary name, fsync, rename, fsync of the
// folder. Traces instead grow in place.
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct store;

struct blob_writer {
    int folder; // descriptor of the target's folder
    int fd;     // -1: none
    int64_t size;
    char temp[64], name[256];
    bool failed;
};
#define BLOB_WRITER_NONE ((struct blob_writer){-1, -1, 0, "", "", false})
#define _autoblob_       _cleanup_(blob_abort)

// Makes folders (0700) as needed; the file is 0600. E_LIMIT: disk full.
int blob_create(struct store *s, struct str path, struct blob_writer *ret, struct err *e) MUST_USE;
int blob_write(struct blob_writer *w, struct str bytes, struct err *e) MUST_USE;
// Makes it durable under its name, replacing what is there. On an error nothing appeared.
int blob_commit(struct blob_writer *w, struct err *e) MUST_USE;
// Drops what was written; nothing after a commit.
void blob_abort(struct blob_writer *w);
// A read-only descriptor, close-on-exec, and the size.
int blob_open(struct store *s, struct str path, int *ret_fd, int64_t *ret_size,
              struct err *e) MUST_USE;
// A file or a whole folder; no error when it is not there.
int blob_remove(struct store *s, struct str path, struct err *e) MUST_USE;
// Removes temporary files that a crash left under artifacts/, traces/, pages/ and secrets/. Only at
// start, before anything writes.
int blob_sweep(struct store *s, struct err *e) MUST_USE;

// "traces/<project>/<job>.log"
struct str trace_path(struct arena *a, int64_t project_id, int64_t job_id);
// Appends when `offset` is the size now, else E_CONFLICT (416); *ret_size is the size afterwards in
// both cases. Appends of one trace are taken one after the other. What was accepted survives
// kill -9; trace_sync() makes it survive a power cut too. E_LIMIT: over `max` bytes, or disk full;
// nothing of these bytes was kept.
int trace_append(struct store *s, int64_t project_id, int64_t job_id, int64_t offset,
                 struct str bytes, int64_t max, int64_t *ret_size, struct err *e) MUST_USE;
// 0 when there is none yet.
int trace_size(struct store *s, int64_t project_id, int64_t job_id, int64_t *ret,
               struct err *e) MUST_USE;
// CRC-32 (IEEE) of the whole trace, as the runner's "crc32:%08x".
int trace_crc32(struct store *s, int64_t project_id, int64_t job_id, uint32_t *ret,
                int64_t *ret_size, struct err *e) MUST_USE;
int trace_sync(struct store *s, int64_t project_id, int64_t job_id, struct err *e) MUST_USE;
// Back to nothing (a runner that must send everything again).
int trace_reset(struct store *s, int64_t project_id, int64_t job_id, struct err *e) MUST_USE;
