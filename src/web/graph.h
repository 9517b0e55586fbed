// SPDX-License-Identifier: Apache-2.0
// A pipeline as a picture: stages are columns, jobs are boxes that link to their page, and each
// `needs` is a curve. Colours come from the stylesheet by class; states are told by shape and text,
// too.
#pragma once

#include "base/arena.h"
#include "base/buf.h"

struct graph_job {
    struct str name;
    struct str href;     // path of the job's page
    struct str status;   // GitLab's word: "running", ...
    size_t stage;        // index into the stages
    const size_t *needs; // indexes of jobs
    size_t nneeds;
    bool allow_failure;
    int64_t id;
};

// Writes one <svg>. `icon` gives the inner markup of a state's 16x16 icon.
void graph_svg(const struct str *stages, size_t nstages, const struct graph_job *jobs, size_t njobs,
               struct str (*icon)(void *ctx, struct str status), void *ctx, struct arena *a,
               struct buf *out);
