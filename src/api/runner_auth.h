// SPDX-License-Identifier: Apache-2.0
// Runners and their jobs show tokens of their own, in a header or the body; the secret's SHA-256
// finds the row.
#pragma once

#include "api/request.h"
#include "store/jobs.h"
#include "store/runners.h"

struct secret_hash {
    unsigned char sha256[32];
};
struct str secret_hash(struct str secret, struct secret_hash *into);

// From header RUNNER-TOKEN or parameter `token`. False: 403 was answered.
bool runner_authenticate(struct api_req *r, struct runner *ret);
// The job of path parameter 0 by header JOB-TOKEN, or the token parameter. Only while it is on a
// runner. False: 403 or 404 was answered, with Job-Status when the token was right but the job is
// over.
bool job_authenticate(struct api_req *r, struct job *ret);
// What gitlab-runner reads from every answer about a job.
void job_status_headers(struct api_req *r, enum ci_status status);
