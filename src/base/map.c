// SPDX-License-Identifier: Apache-2.0
// Open addressing over an array of items, as compact dictionaries do it: the table holds indices,
// so growing moves no item and iteration follows insertion.
#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>

void map_done(struct map *m)
{
    map_each (item, m)
        free((char *)item->key.p);
    free(m->items);
    free(m->slots);
    *m = MAP_INIT;
}

// The slot that holds `key`, or the free one where it would go.
static size_t slot_of(const struct map *m, struct str key)
{
    size_t mask = m->nslots - 1, at = str_hash(key) & mask;
    while (m->slots[at]) {
        const struct map_item *item = &m->items[m->slots[at] - 1];
        if (item->key.p && str_eq(item->key, key))
            break;
        at = (at + 1) & mask;
    }
    return at;
}

static void rebuild(struct map *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->nitems; i++)
        if (m->items[i].key.p)
            m->items[kept++] = m->items[i];
    m->nitems = kept;
    m->cap = MAX(kept * 2, (size_t)8);
    m->items = mem_grow(m->items, m->cap, sizeof(*m->items));
    m->nslots = 16;
    while (m->nslots < m->cap * 2)
        m->nslots *= 2;
    free(m->slots);
    m->slots = NEW_ARRAY(uint32_t, m->nslots);
    for (size_t i = 0; i < kept; i++)
        m->slots[slot_of(m, m->items[i].key)] = (uint32_t)i + 1;
}

void *map_set(struct map *m, struct str key, void *value)
{
    if (m->nitems == m->cap)
        rebuild(m);
    size_t at = slot_of(m, key);
    if (m->slots[at]) {
        struct map_item *item = &m->items[m->slots[at] - 1];
        void *old = item->value;
        item->value = value;
        return old;
    }
    m->items[m->nitems] = (struct map_item){str_n(str_dup(key), key.n), value};
    m->slots[at] = (uint32_t)++m->nitems;
    m->live++;
    return NULL;
}

static struct map_item *find(const struct map *m, struct str key)
{
    if (!m->live)
        return NULL;
    size_t at = slot_of(m, key);
    return m->slots[at] ? &m->items[m->slots[at] - 1] : NULL;
}

void *map_get(const struct map *m, struct str key)
{
    struct map_item *item = find(m, key);
    return item ? item->value : NULL;
}

bool map_has(const struct map *m, struct str key)
{
    return find(m, key) != NULL;
}

void *map_del(struct map *m, struct str key)
{
    struct map_item *item = find(m, key);
    if (!item)
        return NULL;
    void *old = item->value;
    free((char *)item->key.p);
    // The slot keeps pointing at the dead item, so probing continues across it; rebuild drops both.
    *item = (struct map_item){STR_NONE, NULL};
    m->live--;
    return old;
}
