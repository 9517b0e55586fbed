// SPDX-License-Identifier: Apache-2.0
// The table of failed attempts: a small set-associative cache keyed by a seeded hash. It forgets
// with time and with the process; nothing in it is worth keeping. Shared by all workers, one lock.
#include "forge/throttle.h"

#include <stdint.h>

void throttle_init(struct throttle *t, uint32_t max, int64_t window_ms)
{
    *t = (struct throttle){.max = max, .window_ms = window_ms};
    pthread_mutex_init(&t->lock, NULL);
}

void throttle_done(struct throttle *t)
{
    pthread_mutex_destroy(&t->lock);
}

static struct throttle_slot *find(struct throttle *t, uint64_t key, int64_t now)
{
    struct throttle_slot *set = &t->slots[key % (THROTTLE_SLOTS / THROTTLE_WAYS) * THROTTLE_WAYS];
    for (size_t i = 0; i < THROTTLE_WAYS; i++)
        if (set[i].key == key && set[i].until > now)
            return &set[i];
    return NULL;
}

int64_t throttle_wait(struct throttle *t, struct str name, int64_t now)
{
    pthread_mutex_lock(&t->lock);
    const struct throttle_slot *s = find(t, str_hash(name), now);
    int64_t wait = s && s->count >= t->max ? s->until - now : 0;
    pthread_mutex_unlock(&t->lock);
    return wait;
}

void throttle_fail(struct throttle *t, struct str name, int64_t now)
{
    uint64_t key = str_hash(name);
    pthread_mutex_lock(&t->lock);
    struct throttle_slot *s = find(t, key, now);
    if (!s) {
        struct throttle_slot *set =
            &t->slots[key % (THROTTLE_SLOTS / THROTTLE_WAYS) * THROTTLE_WAYS];
        s = set;
        for (size_t i = 1; i < THROTTLE_WAYS; i++)
            if (set[i].until < s->until)
                s = &set[i];
        *s = (struct throttle_slot){key, now + t->window_ms, 0};
    }
    s->count++;
    pthread_mutex_unlock(&t->lock);
}

void throttle_clear(struct throttle *t, struct str name)
{
    uint64_t key = str_hash(name);
    struct throttle_slot *set = &t->slots[key % (THROTTLE_SLOTS / THROTTLE_WAYS) * THROTTLE_WAYS];
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < THROTTLE_WAYS; i++)
        if (set[i].key == key)
            set[i].until = 0;
    pthread_mutex_unlock(&t->lock);
}
