// SPDX-License-Identifier: Apache-2.0
// Inside src/githttp: from a push's intents to its events, exactly once (the store's half is
// store/pushes.h). A lock file in the repository is held by the server and by every git process of
// the push: as long as it is locked, somebody may still move the refs.
#pragma once

#include "git/receive.h"
#include "githttp/priv.h"

// Branches and tags of one push that get a pipeline, as in GitLab: the first ones, in the order of
// the push. Nobody who mirrors a repository wants a pipeline for each of a thousand branches.
enum { PUSH_PIPELINES_MAX = 4 };

struct push_lock {
    int fd; // flocked; inherited by git; -1: none
    int64_t push_id;
    char path[4096];
    int64_t *events; // after push_close: rows of what moved
    size_t nevents;
    size_t branches; // branches and tags that were created or moved: each would make a pipeline
};
#define PUSH_LOCK_NONE ((struct push_lock){.fd = -1})

// Commits the intents of all commands and locks. E_BUSY: another push moves one of the refs;
// E_CONFLICT: a ref is not where the client believes it to be. Entries in `reasons` are set.
// Intents that a dead push left are settled first.
int push_open(struct githttp *g, const struct target *t, const struct receive_head *head,
              const char **reasons, struct push_lock *ret, struct err *e) MUST_USE;
// After git has ended: looks at each ref, turns what moved into events and removes the lock.
// Events beyond PUSH_PIPELINES_MAX are marked as handled in the same transaction. On
// failure the intents stay and are settled in the background.
int push_close(struct githttp *g, const struct target *t, const struct receive_head *head,
               struct push_lock *lock, struct err *e) MUST_USE;
// Calls cfg.pushed for each event of push_close that is not handled yet, once.
void push_announce(struct githttp *g, struct push_lock *lock);
