// SPDX-License-Identifier: Apache-2.0
// A hash map from byte strings to pointers, iterated in order of insertion. Keys are copied; values
// belong to the caller. One thread at a time.
#pragma once

#include "base/str.h"

struct map_item {
    struct str key; // owned by the map, NUL-terminated
    void *value;
};

struct map {
    struct map_item *items; // insertion order, removed ones have key.p == NULL
    uint32_t *slots;        // index + 1 into items, 0 = free; `nslots` is a power of two
    size_t nitems, cap, nslots, live;
};

#define MAP_INIT ((struct map){0})

void map_done(struct map *m);
// Sets the value; returns the one that stood there before, or NULL.
void *map_set(struct map *m, struct str key, void *value);
// The value, or NULL.
void *map_get(const struct map *m, struct str key);
bool map_has(const struct map *m, struct str key);
// Removes the key; returns its value, or NULL.
void *map_del(struct map *m, struct str key);
static inline size_t map_size(const struct map *m)
{
    return m->live;
}

// Visits each item in insertion order: map_each (item, &map) { ... }
#define map_each(item, m)                                                                          \
    for (struct map_item *item = (m)->items, *item##_end = item ? item + (m)->nitems : item;       \
         item != item##_end; item++)                                                               \
        if (item->key.p)
