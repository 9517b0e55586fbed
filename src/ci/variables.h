// SPDX-License-Identifier: Apache-2.0
// The predefined CI_* variables, from plain facts. Pure.
#pragma once

#include "ci/plan.h"

struct ci_facts {
    // project
    int64_t project_id, namespace_id;
    struct str project_name, project_path, namespace_path, visibility, default_branch, description;
    struct str config_path; // empty: .gitlab-ci.yml
    // server
    struct str external_url, pages_domain, version;
    // pipeline
    int64_t pipeline_id, pipeline_iid; // 0 before it exists
    int64_t created_at;                // wall ms
    struct str source, sha, before_sha, ref;
    bool tag, ref_protected;
    struct str commit_message, commit_author, commit_time, tag_message, pipeline_name;
    // user
    int64_t user_id;
    struct str user_login, user_name, user_email;
    // job
    int64_t job_id; // 0: no job variables
    struct str job_name, job_stage, job_token, job_image;
    int64_t job_timeout_s, job_started_at;
    bool job_manual;
    // runner
    int64_t runner_id;
    struct str runner_description, runner_tags, runner_short_token; // tags: JSON list
};

// Those that exist before the pipeline (for workflow and job rules).
struct ci_var *ci_predefined_pipeline(struct arena *a, const struct ci_facts *f, size_t *ret_n);
// Those and the job's own.
struct ci_var *ci_predefined_job(struct arena *a, const struct ci_facts *f, size_t *ret_n);
