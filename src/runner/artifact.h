// SPDX-License-Identifier: Apache-2.0
// Packs a job's files for the server and unpacks what earlier jobs made. Both run inside a job's
// sandbox with the build folder as working folder: file names and archives are a job's work and are
// not trusted. What is told to people goes to `notes`, one line each.
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum artifact_format { ARTIFACT_ZIP, ARTIFACT_GZIP, ARTIFACT_RAW };

struct artifact_pack {
    enum artifact_format format;
    const char *const *paths; // patterns, relative or below `root`; NULL-terminated
    const char *const *exclude;
    const char *root;      // the build folder's own name, to be taken off absolute patterns
    const char *untracked; // NUL-separated names from Git, or NULL
    size_t untracked_n;
};

// Writes the archive to out_fd. *ret_files is how many entries it has; nothing is written when
// none.
int artifact_pack(const struct artifact_pack *p, int out_fd, size_t *ret_files, struct buf *notes,
                  struct err *e) MUST_USE;

struct artifact_limits {
    uint64_t bytes; // of all files together, unpacked
    uint64_t entries;
};
// Unpacks the zip in in_fd (seekable) below the open folder `root_fd`. Entries with absolute names,
// "..", names through symbolic links, links that lead outside, and devices are refused: E_INVALID
// naming the entry; what was unpacked before stays.
int artifact_unpack(int in_fd, int root_fd, const struct artifact_limits *limits, size_t *ret_files,
                    struct err *e) MUST_USE;

// True when a symbolic link at `entry` (a relative path) to `target` stays below the root.
bool artifact_link_stays(struct str entry, struct str target);
