// SPDX-License-Identifier: Apache-2.0
// The processing model: which job may start, given the states of the others. Pure functions over
// arrays; the engine stores what they return. Reproduces GitLab's own collection of cases.
#pragma once

#include "ci/job_status.h"

// One job of a pipeline (never a retried predecessor: only the latest of each name).
struct ci_pjob {
    enum ci_status status;
    enum ci_when when;
    bool allow_failure;
    int stage;             // index; smaller runs earlier
    bool dag;              // has `needs` (also an empty list)
    const uint32_t *needs; // indexes into the same array; needs that are absent are left out
    size_t nneeds;
    bool changed; // set by the functions here when they change `status`
};

// The status of a set of (status, allow_failure): of a stage, a pipeline, or of a job's needs
// (`dag`). An empty set is success.
struct ci_composite {
    uint32_t seen; // bit per status and for the two collapsed ones
    bool any_warned;
};
void ci_composite_add(struct ci_composite *c, enum ci_status s, bool allow_failure);
enum ci_status ci_composite_status(const struct ci_composite *c, bool dag);
// True when a job of the set failed and was allowed to.
bool ci_composite_warned(const struct ci_composite *c);

// Moves every `created` job whose time has come to pending, manual, scheduled or skipped, until
// nothing changes any more. Returns how many changed. Jobs must be sorted by stage.
size_t ci_process(struct ci_pjob *jobs, size_t n);

// A skipped job waits again when what it depends on starts over: called after job `i` was played or
// retried (its own status is the caller's). Resets skipped dependents to created; then call
// ci_process. Returns how many changed.
size_t ci_process_reset_after(struct ci_pjob *jobs, size_t n, size_t i);

// The pipeline's status from all jobs, given the one stored now: a computed `created` keeps the
// stored one, a finished pipeline that computes `pending` is running.
enum ci_status ci_pipeline_status(const struct ci_pjob *jobs, size_t n, enum ci_status stored);
// Of the jobs of one stage. `stored` is what was shown for it before (CI_CREATED at first): a
// computed `created` keeps it.
enum ci_status ci_stage_status(const struct ci_pjob *jobs, size_t n, int stage,
                               enum ci_status stored);
