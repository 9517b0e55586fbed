// SPDX-License-Identifier: Apache-2.0
// What a server does for its own state beside requests.
#pragma once

#include "forge/forge.h"

// Once, before the first request: removes what a crash left (temporary files, repositories that no
// project names). ret_removed counts repositories and may be NULL.
int forge_start(struct forge *f, int64_t *ret_removed, struct err *e) MUST_USE;

#define UPKEEP_EVERY_MS 60000                // how often forge_upkeep() is worth calling
#define PAGES_KEEP_MS   (24LL * 3600 * 1000) // pages that are no longer shown are kept until this old

// Now and then, in any one thread, not within a transaction: ends sessions past their life, forgets
// old pages, and removes the files of rows that are gone (store/trash.h). A failure of one is
// reported after the others were tried; call again later.
int forge_upkeep(struct forge *f, int64_t now, struct err *e) MUST_USE;
