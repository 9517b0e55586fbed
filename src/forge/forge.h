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
    // Makes or removes the bare repository at repos/<storage>.git, durably. NULL: none is made
    // (tests). `path` is absolute.
    int (*repo_create)(void *ctx, const char *path, const char *default_branch, struct err *e);
    void *repo_ctx;
    bool password_fast; // tests only: the cheapest Argon2id limits
};

// "<folder>/repos/<storage>.git"
struct str forge_repo_path(const struct forge *f, struct arena *a, struct str storage);
