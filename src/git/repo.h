// SPDX-License-Identifier: Apache-2.0
// Bare repositories on disk: where they are, making, opening, deleting them, and the environment in
// which the git program may touch them. Every process that uses src/git calls git_start() once
// before its first thread; everything else here may be called from any thread.
#pragma once

#include "base/arena.h"
#include "base/err.h"

// Prepares libgit2 (no system, global or XDG configuration is ever read, no transport is used).
// Calling it again does nothing.
void git_start(void);

#define GIT_SHA_HEX      40
#define GIT_ZERO_SHA     "0000000000000000000000000000000000000000"
#define GIT_REF_NAME_MAX 1024 // bytes

// Makes an empty bare repository whose HEAD names `default_branch` and writes its configuration.
// Durable when it returns 0 (files and folders are synced). Running it on a repository that is
// complete, half made by a crash, or in use changes nothing but what is missing; objects and refs
// are never touched. E_INVALID for an impossible branch name.
int git_repo_create(const char *path, struct str default_branch, struct err *e) MUST_USE;

// Renames the repository aside, then deletes it; an interrupted deletion is finished by the next
// git_repo_delete of the same path. Deleting what is not there succeeds.
int git_repo_delete(const char *path, struct err *e) MUST_USE;

// Bytes of objects on disk (packs and loose objects), for quotas. Costs one stat per file.
int git_repo_size(const char *path, int64_t *ret_bytes, struct err *e) MUST_USE;

// An open repository for reading. Cheap enough to open for each request (see bench); belongs to one
// thread at a time. Results are in the caller's arena and outlive the handle.
struct git_repo;
// E_NOTFOUND when there is no repository at `path`.
int git_repo_open(const char *path, struct git_repo **ret, struct err *e) MUST_USE;
void git_repo_close(struct git_repo *r); // NULL is allowed
static inline void git_repo_closep(struct git_repo **r)
{
    git_repo_close(*r);
}
#define _autorepo_ _cleanup_(git_repo_closep)
const char *git_repo_path(const struct git_repo *r);

// The branch HEAD names ("main"), whether or not it exists yet.
int git_repo_head(struct git_repo *r, struct arena *a, const char **ret_branch,
                  struct err *e) MUST_USE;
// Points HEAD at refs/heads/<branch>, which need not exist.
int git_repo_set_head(struct git_repo *r, struct str branch, struct err *e) MUST_USE;

// Points `ref` ("refs/pipelines/12") at an object that exists, whatever it pointed to before;
// durable. E_INVALID: bad name; E_NOTFOUND: no such object; E_BUSY: another update holds the lock.
int git_ref_set(struct git_repo *r, struct str ref, struct str sha, struct err *e) MUST_USE;
// Removes the ref; removing what is not there succeeds. E_CONFLICT when `only_if_sha` (may be
// STR_NONE) is not what the ref holds.
int git_ref_delete(struct git_repo *r, struct str ref, struct str only_if_sha,
                   struct err *e) MUST_USE;

// The rules of git-check-ref-format(1) for a full name ("refs/heads/x"): at least two parts, no
// "..", no part that starts with '.' or ends with ".lock", no control, space or any of ~^:?*[\ .
bool git_ref_name_ok(struct str ref);
// A branch or tag name as people give it: git_ref_name_ok of "refs/heads/<name>", no leading '-'.
bool git_branch_name_ok(struct str name);
// 40 lower-case hex digits.
bool git_sha_ok(struct str sha);
