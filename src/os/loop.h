// SPDX-License-Identifier: Apache-2.0
// The epoll loop: one per thread, shares nothing. Objects are embedded in their owner (CONTAINER_OF
// leads back). Rules that callers may rely on:
//  - No callback runs from within a call that registers, changes or removes anything.
//  - loop_io_del and loop_timer_cancel take effect at once: no callback for it comes afterwards,
//    also when its event was already fetched.
//  - Free an owner only from a loop_defer task: the end of the turn, when no event of this turn can
//    still name it.
// All functions are for the loop's own thread, except loop_post and loop_stop.
#pragma once

#include "base/err.h"

#include <sys/epoll.h>

struct loop;

// A watched descriptor. Zero it before the first use; the fd stays the owner's.
struct loop_io {
    void (*on_ready)(struct loop_io *io, uint32_t events); // EPOLLIN | EPOLLOUT | EPOLLRDHUP ...
    int fd;
    uint32_t events; // what is asked for now; 0 = not registered
};

// A one-shot timer. Zero it before the first use.
struct loop_timer {
    void (*on_fire)(struct loop_timer *t);
    int64_t at;   // clock_ms() value
    uint32_t pos; // place in the heap + 1; 0 = not armed
};

// Work for the end of this turn, in order of deferral; a task deferred by a task runs in the same
// end-of-turn pass. Deferring one that already waits does nothing.
struct loop_task {
    void (*run)(struct loop_task *task);
    struct loop_task *next;
    bool waiting;
};

// A message from any thread. It must stay alive and may not be posted again until `run` begins.
struct loop_msg {
    void (*run)(struct loop_msg *msg); // on the loop's thread
    struct loop_msg *next;
};

// E_LIMIT when the process is out of descriptors.
int loop_new(struct loop **ret, struct err *e) MUST_USE;
// Not while it runs. Registered objects are forgotten; messages still queued are not run.
void loop_free(struct loop *l);
static inline void loop_freep(struct loop **l)
{
    loop_free(*l);
}
#define _autoloop_ _cleanup_(loop_freep)

// Turns until loop_stop; a stop before the run ends it after one turn.
void loop_run(struct loop *l);
// One turn: waits at most max_wait_ms (-1: until something happens), then dispatches.
void loop_turn(struct loop *l, int64_t max_wait_ms);
// Any thread: ends loop_run after the current turn.
void loop_stop(struct loop *l);
// The time at the start of this turn, clock_ms(): coarse, without a system call.
int64_t loop_now(const struct loop *l);

// Registers io->fd for `events` (EPOLLIN, EPOLLOUT, EPOLLRDHUP, and EPOLLET or EPOLLEXCLUSIVE;
// EPOLLERR and EPOLLHUP are always reported), or changes what is asked for; asking for what is
// already asked costs nothing. events == 0 removes it. Level-triggered without EPOLLET.
int loop_io_set(struct loop *l, struct loop_io *io, uint32_t events, struct err *e) MUST_USE;
// Call before closing the fd. Harmless when not registered.
void loop_io_del(struct loop *l, struct loop_io *io);

// Arms or moves the timer. One that is due fires in the next turn, never from within this call.
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_ms);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);
static inline bool loop_timer_armed(const struct loop_timer *t)
{
    return t->pos != 0;
}

void loop_defer(struct loop *l, struct loop_task *task);

// Any thread, never blocks. Messages of one thread run in the order of their posting. The eventfd
// is written only when the loop may be asleep.
void loop_post(struct loop *l, struct loop_msg *msg);
