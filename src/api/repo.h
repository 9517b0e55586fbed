// SPDX-License-Identifier: Apache-2.0
// What the repository routes share.
#pragma once

#include "api/request.h"
#include "git/diff.h"
#include "git/read.h"

// What the text of a difference may take of a request's arena, hostile commits included.
extern const struct git_diff_limits REPO_DIFF_LIMITS;

// Opens r->project's repository when the caller may read code, and ends the read snapshot. -1:
// answered.
int repo_open(struct api_req *r, struct git_repo **ret) MUST_USE;
// A branch, tag or commit; empty: the default branch.
int repo_resolve(struct api_req *r, struct git_repo *repo, struct str rev,
                 const char **ret_sha) MUST_USE;
// Files from..to of a difference, as a JSON array.
void repo_write_diffs(struct api_req *r, struct jout *j, const struct git_diff *d, size_t from,
                      size_t to);
