// SPDX-License-Identifier: Apache-2.0
// A job as the server hands it out (the 201 answer to POST /api/v4/jobs/request), read once into an
// arena and then only looked at. Slices and pointers live as long as that arena.
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct job_var {
    struct str key, value;
    bool file, masked, raw, is_public;
};

struct job_step {
    struct str name;
    struct str *script;
    size_t nscript;
    struct str when;
    int64_t timeout_s;
    bool allow_failure;
};

struct job_artifact {
    struct str name, when, type, format, expire_in;
    struct str *paths, *exclude;
    size_t npaths, nexclude;
    bool untracked;
};

struct job_dependency {
    int64_t id;
    struct str token, name, filename;
    int64_t size;
};

struct job {
    int64_t id;
    struct str token;
    bool allow_git_fetch;

    struct str name, stage, project_name, project_path;
    int64_t project_id, pipeline_id;

    struct str repo_url, ref, sha, before_sha, ref_type;
    struct str *refspecs;
    size_t nrefspecs;
    int64_t depth;

    int64_t timeout_s; // of the whole job

    struct job_var *vars;
    size_t nvars;
    struct job_step *steps;
    size_t nsteps;
    struct job_artifact *artifacts;
    size_t nartifacts;
    struct job_dependency *deps;
    size_t ndeps;

    bool has_image, has_services, has_cache, has_run;
    bool trace_sections;
    struct str *mask_prefixes, *failure_reasons;
    size_t nmask_prefixes, nfailure_reasons;
};

// Reads the payload. Fields this runner has no use for are skipped; wrong types and missing
// essentials (id, token, steps) are E_INVALID naming the field.
int job_parse(struct str json, struct arena *a, struct job *ret, struct err *e) MUST_USE;

// The last variable of that name, or NULL: later ones win.
const struct job_var *job_var(const struct job *j, const char *key);

// True when the server lists this failure reason, which makes it safe to send.
bool job_knows_reason(const struct job *j, const char *reason);
