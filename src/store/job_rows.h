// SPDX-License-Identifier: Apache-2.0
// Inside src/store only: what jobs.c and queue.c share.
#pragma once

#include "store/jobs.h"
#include "store/rows.h"

#define JOB_COLUMNS                                                                                \
    "SELECT j.id, j.pipeline_id, j.project_id, j.spec_id, j.name, j.stage, j.stage_idx,"           \
    " j.position, j.status, j.when_, j.allow_failure, j.dag, j.interruptible, j.retried,"          \
    " j.retry_of, j.attempt, j.retry_max, j.retry_when, j.trigger_, j.ref, j.tag,"                 \
    " j.protected_ref, j.sha, j.tag_list, j.timeout_s, j.start_at, j.resource_group,"              \
    " j.environment, j.user_id, j.runner_id, j.system_id, j.failure_reason, j.exit_code,"          \
    " j.coverage, j.coverage_regex, j.trace_size, j.trace_checksum, j.created_at, j.updated_at,"   \
    " j.queued_at, j.started_at, j.finished_at, j.erased_at, j.acked_at, j.seen_at FROM jobs j "

void job_fill(struct rows *r, struct arena *a, struct job *j);
void job_wake(struct tx *tx, int64_t id, int64_t pipeline_id, enum ci_status status);
// "a,b,c": sorted, each once.
void tag_list(struct buf *to, const struct str *tags, size_t n);
