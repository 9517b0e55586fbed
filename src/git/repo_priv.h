// SPDX-License-Identifier: Apache-2.0
// Inside src/git only: the handle, and libgit2's words translated into ours. Some of libgit2's
// types bear names that are ours too (struct git_commit); here they are renamed to lg_* while its
// headers are read. Types leave no trace in the linked program, so nothing can clash there.
#pragma once

#define git_commit    lg_commit
#define git_blob      lg_blob
#define git_diff      lg_diff
#define git_diff_file lg_diff_file
#define git_diff_hunk lg_diff_hunk
#define git_diff_line lg_diff_line
#include <git2.h>
#undef git_commit
#undef git_blob
#undef git_diff
#undef git_diff_file
#undef git_diff_hunk
#undef git_diff_line

#include "git/read.h"

struct git_repo {
    git_repository *lg; // its configuration comes from the repository alone
    char *path;
};

// Puts libgit2's last error behind the text: E_NOTFOUND, E_INVALID (ambiguous, malformed) or E_IO.
int git_fail(int lg_rc, struct err *e, const char *fmt, ...) PRINTF(3, 4) MUST_USE;

// For _cleanup_.
#define LG_FREE(name, type, fn)                                                                    \
    static inline UNUSED void name(type **p)                                                       \
    {                                                                                              \
        fn(*p);                                                                                    \
    }
LG_FREE(lg_commit_freep, lg_commit, git_commit_free)
LG_FREE(lg_tree_freep, git_tree, git_tree_free)
LG_FREE(lg_object_freep, git_object, git_object_free)
LG_FREE(lg_blob_freep, lg_blob, git_blob_free)
LG_FREE(lg_entry_freep, git_tree_entry, git_tree_entry_free)
LG_FREE(lg_odb_freep, git_odb, git_odb_free)
LG_FREE(lg_revwalk_freep, git_revwalk, git_revwalk_free)
LG_FREE(lg_diff_freep, lg_diff, git_diff_free)
LG_FREE(lg_patch_freep, git_patch, git_patch_free)
#undef LG_FREE
#define _lgfree_(what) _cleanup_(lg_##what##_freep)

// 40 hex digits to an id; E_INVALID with the text.
int git_oid_of(struct str sha, git_oid *ret, struct err *e) MUST_USE;
const char *git_oid_text(const git_oid *oid, struct arena *a) MUST_USE;
// The commit `sha`; E_NOTFOUND when there is none. Free with git_commit_free.
int git_commit_open(struct git_repo *r, struct str sha, lg_commit **ret, struct err *e) MUST_USE;
void git_commit_fill(lg_commit *c, struct arena *a, struct git_commit *ret);
void git_person_fill(const git_signature *s, struct arena *a, struct git_person *ret);
// The tree of folder `path` ("" is the root) in a commit. E_NOTFOUND, E_INVALID.
int git_tree_open(struct git_repo *r, struct str sha, struct str path, git_tree **ret,
                  struct err *e) MUST_USE;
// A path inside a repository: no empty, "." or ".." part, no NUL, no leading slash.
int git_path_check(struct str path, struct err *e) MUST_USE;
