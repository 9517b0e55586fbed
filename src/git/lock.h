// SPDX-License-Identifier: Apache-2.0
// Git's lock files (`<name>.lock`, made with O_EXCL) when their owner was killed: git itself never
// removes such a file, and every later update of that ref would fail for ever.
#pragma once

#include "base/err.h"
#include "base/str.h"

// How long an update waits for another's lock, and how old a lock must be to count as left behind.
#define GIT_LOCK_WAIT_MS  3000
#define GIT_LOCK_STALE_MS 1000

// Makes the lock file, waiting for its owner. One that is older than this process and than
// GIT_LOCK_STALE_MS is taken over: git holds a ref's lock for milliseconds. E_BUSY after the wait;
// E_NOTFOUND when its folder does not exist.
int git_lock_take(const char *lock_path, int *ret_fd, struct err *e) MUST_USE;

// Removes the locks of `ref` (full name), of packed-refs and of HEAD. Only when nothing can be
// updating that ref: its push is known to have died.
void git_lock_clear(const char *repo, struct str ref);
