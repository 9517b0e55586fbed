// SPDX-License-Identifier: Apache-2.0
// Reading repositories: names to commits, branches, tags, history, trees and files. Every result
// lies in the caller's arena; text is what the repository holds (bytes, not always UTF-8).
// Revisions are names, never git's revision language. Every function has a bound on its work.
#pragma once

#include "git/repo.h"

enum git_ref_kind { GIT_KIND_COMMIT, GIT_KIND_BRANCH, GIT_KIND_TAG, GIT_KIND_OTHER };

// Finds the commit that `rev` means: "" or "HEAD" (default branch), 40 hex digits, a full ref name
// ("refs/..."), a branch, a tag (peeled), an abbreviated sha (4 digits or more), in this order.
// `ret_kind` may be NULL. E_NOTFOUND: nothing of that name, or it is not a commit; E_INVALID: an
// abbreviation that fits several objects.
int git_resolve(struct git_repo *r, struct str rev, struct arena *a, const char **ret_sha,
                enum git_ref_kind *ret_kind, struct err *e) MUST_USE;

struct git_person {
    struct str name, email;
    int64_t time_ms; // since 1970, UTC
    int offset_min;  // the author's zone, minutes east of UTC
};
// "2026-01-02T03:04:05.000+01:00": the time in the person's own zone, as GitLab's API writes it.
const char *git_person_time(const struct git_person *p, struct arena *a) MUST_USE;

#define GIT_SHORT_SHA 8 // digits, as GitLab's short_id
struct git_commit {
    const char *sha, *tree;
    struct git_person author, committer;
    struct str message; // its first 64 KiB
    struct str title;   // first paragraph on one line
    struct str body;    // the rest, without the blank line between
    const char **parents;
    size_t nparents;
};
int git_commit_get(struct git_repo *r, struct str sha, struct arena *a, struct git_commit *ret,
                   struct err *e) MUST_USE;

struct git_ref_item {
    const char *name;       // short: "main", "v1"
    const char *ref;        // full: "refs/heads/main"
    const char *sha;        // of the commit
    const char *tag_sha;    // annotated tags: the tag object, else NULL
    struct str tag_message; // annotated tags
    struct git_person tagger;
    struct git_commit commit; // only with `with_commits`, sha "" when the ref is not a commit
};
struct git_ref_query {
    bool tags;         // else branches
    struct str search; // substring, or "^prefix", or "suffix$"; STR_NONE: all
    enum { GIT_BY_NAME, GIT_BY_UPDATED_DESC, GIT_BY_UPDATED_ASC, GIT_BY_NAME_DESC } order;
    size_t offset, limit; // limit 0: 20
    bool with_commits;
};
struct git_ref_list {
    struct git_ref_item *items;
    size_t n;
    size_t total; // matching refs in the repository
};
int git_refs_list(struct git_repo *r, const struct git_ref_query *q, struct arena *a,
                  struct git_ref_list *ret, struct err *e) MUST_USE;
// One branch or tag by its short name. E_NOTFOUND.
int git_ref_get(struct git_repo *r, bool tag, struct str name, struct arena *a,
                struct git_ref_item *ret, struct err *e) MUST_USE;

struct git_log_query {
    struct str sha;       // start, from git_resolve
    struct str not_sha;   // leave out what is reachable from here; STR_NONE: nothing
    struct str path;      // file or folder; "": all commits
    size_t offset, limit; // limit 0: 20
};
struct git_log {
    struct git_commit *items;
    size_t n;
    bool more; // commits follow
};
// Newest first, in the order of `git log`.
int git_log(struct git_repo *r, const struct git_log_query *q, struct arena *a, struct git_log *ret,
            struct err *e) MUST_USE;
// Counts commits reachable from `sha`, stops at `max`.
int git_commit_count(struct git_repo *r, struct str sha, size_t max, size_t *ret,
                     struct err *e) MUST_USE;
// The same without what is reachable from `not_sha` (STR_NONE: nothing left out).
int git_commit_count_since(struct git_repo *r, struct str sha, struct str not_sha, size_t max,
                           size_t *ret, struct err *e) MUST_USE;
// True in *ret when `ancestor` is reachable from `sha` (or equal).
int git_is_ancestor(struct git_repo *r, struct str ancestor, struct str sha, bool *ret,
                    struct err *e) MUST_USE;
// E_NOTFOUND: unrelated histories.
int git_common_ancestor(struct git_repo *r, struct str sha_a, struct str sha_b, struct arena *a,
                        const char **ret_sha, struct err *e) MUST_USE;

enum git_entry_kind { GIT_ENTRY_TREE, GIT_ENTRY_BLOB, GIT_ENTRY_LINK, GIT_ENTRY_SUBMODULE };
struct git_entry {
    const char *name; // last part
    const char *path; // from the repository's root
    const char *sha;
    enum git_entry_kind kind;
    unsigned mode;                 // 0100644 and so on, octal as git has it
    const struct git_commit *last; // filled by git_tree_last_commits, else NULL
};
struct git_tree_query {
    struct str sha;  // commit
    struct str path; // folder; "": root
    bool recursive;
    size_t offset, limit; // limit 0: 20; at most 10,000 come back
};
struct git_tree_list {
    struct git_entry *items; // folders first, then by name (GitLab's order); recursive: git's order
    size_t n;
    size_t total; // entries in all (recursive: counted up to 100,000)
};
// E_NOTFOUND: no such folder.
int git_tree_list(struct git_repo *r, const struct git_tree_query *q, struct arena *a,
                  struct git_tree_list *ret, struct err *e) MUST_USE;
// For each entry the newest commit that touched it, walking at most `max_commits` commits and
// `max_ms` milliseconds from `sha`; entries not met by then keep NULL.
int git_tree_last_commits(struct git_repo *r, struct str sha, struct str folder,
                          struct git_entry *items, size_t n, size_t max_commits, int64_t max_ms,
                          struct arena *a, struct err *e) MUST_USE;

struct git_blob {
    const char *sha;
    struct str data;  // in the arena; cut at the ceiling
    int64_t size;     // whole size in bytes
    bool truncated;   // data is not everything
    bool binary;      // a NUL among the first 8,000 bytes, git's own test
    unsigned mode;    // 0 when read by sha
    const char *path; // "" when read by sha
};
// `max` bytes at most are read into the arena (0: none, only size and sha).
int git_blob_by_sha(struct git_repo *r, struct str sha, size_t max, struct arena *a,
                    struct git_blob *ret, struct err *e) MUST_USE;
// The file at `path` in commit `sha`. E_NOTFOUND: no such file; E_INVALID: it is a folder or a
// submodule, or the path is not one ("..", empty parts, NUL).
int git_read_blob(struct git_repo *r, struct str sha, struct str path, size_t max, struct arena *a,
                  struct git_blob *ret, struct err *e) MUST_USE;
