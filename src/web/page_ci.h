// SPDX-License-Identifier: Apache-2.0
// Shared by the pages that show pipelines and the forms that act on them.
#pragma once

#include "web/view.h"

struct ci_target {
    int64_t id, pipeline_id;
    struct str ref;
    bool tag;
};
// The pipeline or job of a route's ":id", if it is of this project; E_NOTFOUND otherwise.
int ci_target_pipeline(struct view *v, size_t part, struct ci_target *ret) MUST_USE;
int ci_target_job(struct view *v, size_t part, struct ci_target *ret) MUST_USE;
// E_DENIED unless the viewer sees pipelines at all.
int ci_may_see(struct view *v) MUST_USE;
// Whether the viewer may run, cancel or retry on that branch or tag.
int ci_may_run(struct view *v, struct str ref, bool tag, bool *ret) MUST_USE;

// ?stream of a job: its log as server-sent events.
int ci_job_stream(struct view *v);
// The log as a page shows it: the last LOG_SHOW_MAX bytes. Sets log (markup), log_skipped,
// log_size, log_cursor (where a stream goes on), log_open (names of sections left open).
int ci_fill_log(struct view *v, int64_t job_id, bool finished) MUST_USE;

// The whole log as text.
int ci_raw_log(struct view *v, int64_t job_id);

int page_pipeline_create(struct view *v);
int page_pipeline_cancel(struct view *v);
int page_pipeline_retry(struct view *v);
int page_job_cancel(struct view *v);
int page_job_retry(struct view *v);
int page_job_play(struct view *v);
int page_artifacts_download(struct view *v);
int page_artifacts_browse(struct view *v);
int page_artifacts_file(struct view *v);
