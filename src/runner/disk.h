// SPDX-License-Identifier: Apache-2.0
// Build folders: making them for their user, measuring and removing them, while somebody untrusted
// may be changing what is inside.
#pragma once

#include "base/err.h"

#include <sys/types.h>

// Makes a folder that belongs to `uid` (when we are root) with `mode`; one that belongs to somebody
// else is removed first.
int disk_folder(const char *path, uid_t uid, mode_t mode, struct err *e) MUST_USE;
// Removes a folder and everything below.
int disk_remove(const char *path, struct err *e) MUST_USE;

// Watches one folder's size cheaply: counts only when the file system lost so much space that the
// limit may have been passed, and now and then.
struct disk_watch {
    const char *path;
    uint64_t limit; // bytes; 0: only the floor is watched
    uint64_t used;  // at the last count
    uint64_t free_then;
    int64_t next_ms;
    bool counted;
};
void disk_watch_init(struct disk_watch *w, const char *path, uint64_t limit);
// 0, or E_LIMIT with what to tell the job's owner. Call it a few times a second.
int disk_watch_look(struct disk_watch *w, struct err *e) MUST_USE;
// Bytes in blocks below `path`, stopping once beyond `stop_at`. Counts nested mounts' contents no.
uint64_t disk_usage(const char *path, uint64_t stop_at);
