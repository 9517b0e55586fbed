// SPDX-License-Identifier: Apache-2.0
// For tests of src/ci: finding and reading the collected real-world configurations, which lie
// beside the source and are not part of it. Tests that find none say so and are skipped.
#pragma once

#include "../../lib/test.h"

#include "base/arena.h"

#include <dirent.h>
#include <stdlib.h>

// A file's whole text, or STR_NONE.
static inline struct str corpus_read(struct arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return STR_NONE;
    char *text = arena_alloc(a, MIB(4), 1);
    size_t n = fread(text, 1, MIB(4) - 1, f);
    fclose(f);
    return str_n(text, n);
}

// Valid until the next call.
static inline const char *corpus_path(const char *below)
{
    static char path[4096];
    const char *shared = getenv("SLIPWAY_SHARED");
    if (shared)
        snprintf(path, sizeof(path), "%s/corpora/ci/%s", shared, below);
    else
        snprintf(path, sizeof(path), "%s/../shared/corpora/ci/%s", TEST_SOURCE_ROOT, below);
    return path;
}
