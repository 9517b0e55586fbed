// SPDX-License-Identifier: Apache-2.0
// Reads zip archives that strangers made: the list of files, and one file out of them. Only the
// central directory is believed, every offset is checked, nothing is written to disk.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct zip_entry {
    struct str name; // as in the archive; never absolute, never with "." or ".." parts
    int64_t size;    // unpacked, as the archive claims
};

// Regular files, sorted by name; at most `max`, entries with unsafe names are left out. E_INVALID:
// not a zip archive, or one that contradicts itself.
int zip_list(int fd, int64_t size, size_t max, struct arena *a, struct zip_entry **ret,
             size_t *ret_n, struct err *e) MUST_USE;
// Appends the unpacked file. E_NOTFOUND; E_LIMIT: more than `to` may hold.
int zip_extract(int fd, int64_t size, struct str name, struct buf *to, struct err *e) MUST_USE;
