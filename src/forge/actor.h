// SPDX-License-Identifier: Apache-2.0
// Who asks. Made by forge/auth.h; plain data for the length of a request.
#pragma once

#include "store/tokens.h"

struct actor {
    enum actor_kind {
        ACTOR_ANONYMOUS,
        ACTOR_USER, // by session, token or password
        ACTOR_JOB,  // a running job's token: acts for its user, in its own project only
    } kind;
    int64_t user_id; // also of a job: whose push or click made it; 0 when anonymous
    struct str username, name, email; // in the arena of the auth call
    bool admin;                       // false for a job, whoever its user is
    unsigned scopes;                  // SCOPE_* bits; SCOPE_ALL for session and password
    int64_t token_id;                 // a personal access token, else 0
    int64_t session_id;               // a browser session, else 0
    struct str csrf;                  // of the session
    int64_t job_id, job_project_id, job_pipeline_id;
    bool touch_due; // auth_touch() would write
};
#define ACTOR_NOBODY ((struct actor){.kind = ACTOR_ANONYMOUS})

// True when the actor's scopes allow what `need` names: `api` includes everything, read_api and
// write_repository include their read parts. The anonymous actor is asked by visibility alone:
// true.
bool actor_has_scope(const struct actor *who, enum token_scope need);
