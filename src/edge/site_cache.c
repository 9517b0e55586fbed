// SPDX-License-Identifier: Apache-2.0
// Keeps small pages in memory so that serving one costs a readlink instead of a dozen system calls.
// Owned by one worker. When full it simply starts anew: the working set of a team's pages is small,
// and no list has to be kept in order.
#include "edge/site_cache.h"

#include "base/mem.h"

#include <stdlib.h>
#include <unistd.h>

size_t site_cache_key(char out[SITE_CACHE_KEY], struct str ns, struct str path, struct str accept)
{
    const struct str parts[] = {ns, path, accept};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i].n >= SITE_CACHE_KEY - n)
            return 0;
        if (parts[i].n)
            memcpy(out + n, parts[i].p, parts[i].n);
        n += parts[i].n;
        out[n++] = '\n'; // no part can have one
    }
    return n;
}

static void forget(struct site_cache *c, struct str key)
{
    struct site_entry *e = map_del(&c->entries, key);
    if (!e)
        return;
    c->bytes -= sizeof(*e) + (size_t)e->file.size + key.n;
    free(e);
}

void site_cache_done(struct site_cache *c)
{
    map_each (item, &c->entries)
        free(item->value);
    map_done(&c->entries);
    *c = (struct site_cache){0};
}

const struct site_entry *site_cache_get(struct site_cache *c, const struct site_root *r,
                                        struct str key, int64_t now_ms)
{
    char now[SITE_LINK_MAX];
    struct site_entry *e = map_get(&c->entries, key);
    if (!e)
        return NULL;
    ssize_t n = readlinkat(r->fd, e->place.path, now, sizeof(now));
    if (n > 0 && (size_t)n == strlen(e->place.link) && !memcmp(now, e->place.link, (size_t)n) &&
        (!e->place.at_root || now_ms - e->loaded_ms < SITE_CACHE_AGE_MS))
        return e;
    forget(c, key);
    return NULL;
}

void site_cache_put(struct site_cache *c, struct str key, const struct site_file *f,
                    const struct site_place *place, const char *body, int64_t now_ms)
{
    size_t size = (size_t)f->size;
    BUG_ON(size > SITE_CACHE_FILE);
    forget(c, key);
    if (c->bytes + sizeof(struct site_entry) + size + key.n > SITE_CACHE_BYTES)
        site_cache_done(c);
    struct site_entry *e = mem_zalloc(1, sizeof(*e) + size);
    e->file = *f;
    e->file.fd = -1;
    e->place = *place;
    e->loaded_ms = now_ms;
    if (size)
        memcpy(e->body, body, size);
    map_set(&c->entries, key, e);
    c->bytes += sizeof(*e) + size + key.n;
}
