// SPDX-License-Identifier: Apache-2.0
// What the pipeline and the job routes share.
#pragma once

#include "api/request.h"

struct ci_var;

// Answers with a page of jobs of the project, or of a pipeline (not 0); reads `scope` and, for a
// pipeline, `include_retried`.
int jobs_reply_list(struct api_req *r, int64_t pipeline_id);
// Variables given when something is started, from a JSON parameter: a list of {key, value} or an
// object.
int pipeline_read_variables(struct api_req *r, const char *name, struct ci_var **ret,
                            size_t *ret_n) MUST_USE;
