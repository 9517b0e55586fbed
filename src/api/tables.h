// SPDX-License-Identifier: Apache-2.0
// The route tables of all faces; api.c lists them.
#pragma once

#include "api/route.h"

extern const struct route_table version_table, user_table, token_table, group_table, project_table,
    member_table, repo_table, branch_table, commit_table, protection_table, variable_table,
    pipeline_table, job_table, artifact_table, runner_table, runner_job_table, pages_table,
    lint_table;
