// SPDX-License-Identifier: Apache-2.0
// Small files of published sites, kept in memory. An entry is good as long as the symlink it came
// through still says the same: publications never change, so one readlink proves it, and a new
// publication is seen by the next request. One worker's; not shared.
#pragma once

#include "base/map.h"
#include "edge/site.h"

#define SITE_CACHE_FILE   KIB(16) // larger files are not kept
#define SITE_CACHE_BYTES  MIB(4)  // in all, per worker; passing it forgets everything
#define SITE_CACHE_KEY    1024
#define SITE_CACHE_AGE_MS 1000 // a site at the root of its host may be covered by a newer project

struct site_cache {
    struct map entries; // key -> struct site_entry
    size_t bytes;
};

struct site_entry {
    struct site_file file; // fd is -1
    struct site_place place;
    int64_t loaded_ms;
    char body[]; // file.size bytes
};

// Writes the key of a request; 0 when it is too long to be kept.
size_t site_cache_key(char out[SITE_CACHE_KEY], struct str ns, struct str path, struct str accept);
// The entry, checked against the disk, or NULL. Valid until the next put.
const struct site_entry *site_cache_get(struct site_cache *c, const struct site_root *r,
                                        struct str key, int64_t now_ms);
void site_cache_put(struct site_cache *c, struct str key, const struct site_file *f,
                    const struct site_place *place, const char *body, int64_t now_ms);
void site_cache_done(struct site_cache *c);
