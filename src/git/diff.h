// SPDX-License-Identifier: Apache-2.0
// Differences between commits: which files changed, and how, line by line, within limits that keep
// a hostile commit cheap.
#pragma once

#include "git/read.h"

enum git_change { GIT_ADDED, GIT_DELETED, GIT_MODIFIED, GIT_RENAMED, GIT_COPIED, GIT_TYPE_CHANGED };

struct git_diff_line {
    char origin;        // ' ', '+', '-', or '\\' for "No newline at end of file"
    int old_no, new_no; // 1-based, 0 when the line is not on that side
    struct str text;    // without the line feed
};
struct git_diff_hunk {
    int old_start, old_lines, new_start, new_lines;
    struct str header; // what follows the second @@
    struct git_diff_line *lines;
    size_t nlines;
};
struct git_diff_file {
    enum git_change change;
    const char *old_path, *new_path;
    unsigned old_mode, new_mode; // 0: not on that side
    const char *old_sha, *new_sha;
    bool binary;
    bool too_large; // hunks left out: over a limit (counts are then 0 or partial)
    int added, deleted;
    struct git_diff_hunk *hunks;
    size_t nhunks;
};
struct git_diff {
    struct git_diff_file *files;
    size_t n;
    size_t total_files; // changed files in all; more than n when cut by max_files
    int added, deleted; // in the files that were read
    bool truncated;     // some file or hunk was left out
};
struct git_diff_limits {   // 0: the default
    size_t max_files;      // 1,000
    size_t max_lines;      // 50,000 in all
    size_t max_file_lines; // 5,000
    size_t max_line_bytes; // 2,000: the rest of a longer line is cut
    size_t max_file_bytes; // 2 MiB: a larger file shows no hunks
    int context;           // 3; -1: none
    bool names_only;       // no hunks, no counts: quick
};
// Commit against its first parent (or against nothing). Renames are found.
int git_diff_commit(struct git_repo *r, struct str sha, const struct git_diff_limits *limits,
                    struct arena *a, struct git_diff *ret, struct err *e) MUST_USE;
// `from` may be STR_NONE or the zero sha: everything in `to` is added.
int git_diff_between(struct git_repo *r, struct str from, struct str to,
                     const struct git_diff_limits *limits, struct arena *a, struct git_diff *ret,
                     struct err *e) MUST_USE;
// The patch text of one file, as git prints it below its "diff --git" head ("@@ ..."): what
// GitLab's API calls `diff`.
struct str git_diff_text(const struct git_diff_file *f, struct arena *a) MUST_USE;

// Paths that differ between two commits, at most `max` (for rules:changes); both sides of a rename.
// *ret_all is false when there were more.
int git_changed_paths(struct git_repo *r, struct str from, struct str to, size_t max,
                      struct arena *a, struct str **ret_paths, size_t *ret_n, bool *ret_all,
                      struct err *e) MUST_USE;
