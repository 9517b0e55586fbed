// SPDX-License-Identifier: Apache-2.0
// Rows to JSON, in GitLab's shapes (declared in schema.c, field by field the same). Each writes one
// value at the writer's place.
#pragma once

#include "api/request.h"
#include "git/read.h"
#include "store/artifacts.h"
#include "store/jobs.h"
#include "store/pipelines.h"
#include "store/runners.h"
#include "store/users.h"

// "2026-01-31" of a time, or null for 0.
void shape_kdate(struct jout *j, const char *key, int64_t wall_ms);
// Text, or null when empty.
void shape_kopt(struct jout *j, const char *key, struct str s);
// Milliseconds as seconds with a fraction, or null when negative.
void shape_kseconds(struct jout *j, const char *key, int64_t ms);

void shape_user_basic(struct api_req *r, struct jout *j, const struct user *u);
// By id; null when 0 or gone.
void shape_user_ref(struct api_req *r, struct jout *j, int64_t user_id);
enum shape_view { SHAPE_PUBLIC, SHAPE_SELF, SHAPE_ADMIN };
void shape_user(struct api_req *r, struct jout *j, const struct user *u, enum shape_view view);

void shape_namespace(struct api_req *r, struct jout *j, const struct ns *n);
void shape_group(struct api_req *r, struct jout *j, const struct ns *n);
void shape_project(struct api_req *r, struct jout *j, const struct project *p);
// `level` is the caller's; negative: leave `permissions` out.
void shape_project_level(struct api_req *r, struct jout *j, const struct project *p, int level);

// Of r->project.
void shape_pipeline_basic(struct api_req *r, struct jout *j, const struct pipeline *p);
void shape_pipeline(struct api_req *r, struct jout *j, const struct pipeline *p);

// What jobs of one list share; zero it first, then end with shape_jobs_done.
struct shape_jobs {
    struct git_repo *repo;
    bool repo_tried;
    struct git_commit commit;
    bool commit_ok;
    struct str sha;
    struct pipeline pipeline;
    int64_t user_id;
    struct user user;
};
void shape_jobs_done(struct shape_jobs *s);
void shape_job(struct api_req *r, struct jout *j, const struct job *job, struct shape_jobs *s);

void shape_commit(struct api_req *r, struct jout *j, const struct git_commit *c);
// The same fields, left open for more.
void shape_commit_open(struct api_req *r, struct jout *j, const struct git_commit *c);

void shape_runner(struct api_req *r, struct jout *j, const struct runner *one);
// Without the surrounding object.
void shape_runner_fields(struct api_req *r, struct jout *j, const struct runner *one);
