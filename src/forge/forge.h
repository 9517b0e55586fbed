// SPDX-License-Identifier: Apache-2.0
// The rules over the store: who one is, what one may see and do, what a name may look like. No HTTP
// here; faces turn E_* into status codes. One `struct forge` is shared by all threads and does not
// change after it was filled.
//
// Visibility rule of every call that takes an actor: what the actor may not see is E_NOTFOUND; what
// the actor sees but may not do is E_DENIED.
#pragma once

#include "store/store.h"

struct forge {
    struct store *store;
    // Makes the bare repository at the absolute `path`, durably: git_repo_create(). NULL: none is
    // made (tests).
    int (*repo_create)(const char *path, struct str default_branch, struct err *e);
    bool password_fast; // tests only: the cheapest Argon2id limits
};

// "<folder>/repos/<storage>.git"
struct str forge_repo_path(const struct forge *f, struct arena *a, struct str storage);
