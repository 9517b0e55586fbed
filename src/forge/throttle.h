// SPDX-License-Identifier: Apache-2.0
// Counts failures per name within a window, to slow down guessing. A fixed table: an attacker
// cannot make it grow; when it is full the entry nearest to its end makes room. Any thread.
#pragma once

#include "base/str.h"

#include <pthread.h>

enum { THROTTLE_SLOTS = 4096, THROTTLE_WAYS = 8 };

struct throttle_slot {
    uint64_t key;
    int64_t until; // clock_ms() when the count is forgotten
    uint32_t count;
};

struct throttle {
    pthread_mutex_t lock;
    uint32_t max;      // failures allowed
    int64_t window_ms; // since the first of them
    struct throttle_slot slots[THROTTLE_SLOTS];
};

void throttle_init(struct throttle *t, uint32_t max, int64_t window_ms);
void throttle_done(struct throttle *t);
// Milliseconds to wait before `name` may try again; 0: now.
int64_t throttle_wait(struct throttle *t, struct str name, int64_t now);
void throttle_fail(struct throttle *t, struct str name, int64_t now);
void throttle_clear(struct throttle *t, struct str name);
