// SPDX-License-Identifier: Apache-2.0
// The journal of taken jobs: one small file each. A job that the server no longer knows as running
// refuses the report, which settles it just as well.
#include "runner/journal.h"

#include "base/log.h"
#include "base/mem.h"
#include "os/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static const char *path_of(const char *builds, int64_t job_id, char out[4200])
{
    snprintf(out, 4200, "%s/.jobs/%" PRId64, builds, job_id);
    return out;
}

int journal_add(const char *builds, int64_t job_id, struct str token, struct err *e)
{
    char path[4200];
    return file_replace(path_of(builds, job_id, path), token, 0600, e);
}

void journal_remove(const char *builds, int64_t job_id)
{
    char path[4200];
    unlink(path_of(builds, job_id, path));
}

static const char LAST_WORDS[] =
    "\n\x1b[31;1mERROR: Job failed (system failure): the runner was killed "
    "while the job ran\x1b[0;m\n";

// True when the server has answered for good.
static bool report(struct proto *proto, int64_t id, const char *token)
{
    struct err e = ERR_INIT;
    // An offset that is wrong on purpose: the refusal says how long the trace is.
    struct proto_answer a = PROTO_ANSWER_INIT;
    int rc = proto_trace_patch(proto, id, token, (uint64_t)1 << 40, STR("\n"), &a, &e);
    int64_t size = rc == 0 && a.status == 416 ? a.range_end : -1;
    proto_answer_done(&a);
    if (size >= 0) {
        a = PROTO_ANSWER_INIT;
        rc = proto_trace_patch(proto, id, token, (uint64_t)size, STR(LAST_WORDS), &a, &e);
        proto_answer_done(&a);
    }
    if (rc < 0)
        return false;
    struct proto_update u = {.state = "failed",
                             .trace_unknown = true,
                             .exit_code = -1,
                             .failure_reason = "runner_system_failure"};
    a = PROTO_ANSWER_INIT;
    rc = proto_job_update(proto, id, token, &u, &a, &e);
    long status = a.status;
    proto_answer_done(&a);
    // 403, 404, 409: it is no longer this runner's, which is as good.
    if (rc < 0 || (status >= 300 && status != 403 && status != 404 && status != 409))
        return false;
    log_warn("a job of this runner's last life was reported as failed", LOGI("job", id),
             LOGI("answer", status));
    return true;
}

void journal_settle(const char *builds, struct proto *proto, unsigned *ret_left)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/.jobs", builds);
    *ret_left = 0;
    DIR *d = opendir(path);
    if (!d)
        return;
    for (struct dirent *it; (it = readdir(d));) {
        uint64_t id;
        if (!str_to_u64(str_of(it->d_name), &id)) {
            if (it->d_name[0] != '.')
                unlinkat(dirfd(d), it->d_name, 0);
            continue;
        }
        struct buf token = BUF_INIT(1000);
        if (file_read_at(dirfd(d), it->d_name, &token, NULL) == 0 && token.n &&
            !report(proto, (int64_t)id, token.p))
            ++*ret_left;
        else
            journal_remove(builds, (int64_t)id);
        mem_wipe(token.p, token.n);
        buf_done(&token);
    }
    closedir(d);
}
