// SPDX-License-Identifier: Apache-2.0
// The epoll loop: descriptors, timers in a binary heap, messages from other threads, work deferred
// to the end of a turn. One thread owns a loop and everything registered in it; only the message
// stack and the stop flag are shared. net/ and edge/ build their connections on it.
#include "os/loop.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 256

struct loop {
    int epfd, evfd;
    int64_t now;
    bool firing; // timers are being fired
    struct loop_timer **heap;
    size_t ntimers, timers_cap;
    struct loop_task *tasks, **tasks_end;
    struct epoll_event batch[BATCH];
    int nbatch, at; // events fetched in this turn; the one being dispatched

    _Atomic(struct loop_msg *) posted; // newest first
    atomic_bool asleep;                // the next poster must write the eventfd
    atomic_bool stop;
};

int loop_new(struct loop **ret, struct err *e)
{
    struct loop *l = NEW(struct loop);
    l->tasks_end = &l->tasks;
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    l->evfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (l->epfd < 0 || l->evfd < 0 || epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->evfd, &ev) < 0) {
        int rc = err_errno(e, errno, "cannot make an event loop");
        loop_free(l);
        return rc;
    }
    l->now = clock_ms();
    *ret = l;
    return 0;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    if (l->epfd >= 0)
        close(l->epfd);
    if (l->evfd >= 0)
        close(l->evfd);
    free(l->heap);
    free(l);
}

int64_t loop_now(const struct loop *l)
{
    return l->now;
}

static void wake(struct loop *l)
{
    if (!atomic_exchange(&l->asleep, false))
        return;
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(l->evfd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    wake(l);
}

void loop_post(struct loop *l, struct loop_msg *msg)
{
    struct loop_msg *head = atomic_load_explicit(&l->posted, memory_order_relaxed);
    do {
        msg->next = head;
    } while (!atomic_compare_exchange_weak(&l->posted, &head, msg));
    wake(l);
}

int loop_io_set(struct loop *l, struct loop_io *io, uint32_t events, struct err *e)
{
    if (events == io->events)
        return 0;
    if (!events) {
        loop_io_del(l, io);
        return 0;
    }
    struct epoll_event ev = {.events = events, .data.ptr = io};
    int op = io->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(l->epfd, op, io->fd, &ev) < 0)
        return err_errno(e, errno, "cannot watch descriptor %d", io->fd);
    io->events = events;
    return 0;
}

void loop_io_del(struct loop *l, struct loop_io *io)
{
    if (!io->events)
        return;
    io->events = 0;
    epoll_ctl(l->epfd, EPOLL_CTL_DEL, io->fd, NULL);
    // Its event may have been fetched already; a new registration of the same object must not get
    // it.
    for (int i = l->at + 1; i < l->nbatch; i++)
        if (l->batch[i].data.ptr == io)
            l->batch[i].data.ptr = &l->nbatch;
}

static void heap_put(struct loop *l, size_t i, struct loop_timer *t)
{
    l->heap[i] = t;
    t->pos = (uint32_t)i + 1;
}

static void heap_up(struct loop *l, size_t i, struct loop_timer *t)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (l->heap[parent]->at <= t->at)
            break;
        heap_put(l, i, l->heap[parent]);
        i = parent;
    }
    heap_put(l, i, t);
}

static void heap_down(struct loop *l, size_t i, struct loop_timer *t)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= l->ntimers)
            break;
        if (child + 1 < l->ntimers && l->heap[child + 1]->at < l->heap[child]->at)
            child++;
        if (l->heap[child]->at >= t->at)
            break;
        heap_put(l, i, l->heap[child]);
        i = child;
    }
    heap_put(l, i, t);
}

static void heap_place(struct loop *l, size_t i, struct loop_timer *t)
{
    if (i > 0 && l->heap[(i - 1) / 2]->at > t->at)
        heap_up(l, i, t);
    else
        heap_down(l, i, t);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_ms)
{
    // A timer that keeps arming itself for "now" would otherwise hold the turn for ever.
    if (l->firing && at_ms <= l->now)
        at_ms = l->now + 1;
    t->at = at_ms;
    if (t->pos) {
        heap_place(l, t->pos - 1, t);
        return;
    }
    if (l->ntimers == l->timers_cap) {
        l->timers_cap = l->timers_cap ? 2 * l->timers_cap : 16;
        l->heap = mem_grow(l->heap, l->timers_cap, sizeof(struct loop_timer *));
    }
    heap_up(l, l->ntimers++, t);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
    if (!t->pos)
        return;
    size_t i = t->pos - 1;
    struct loop_timer *last = l->heap[--l->ntimers];
    t->pos = 0;
    if (last != t)
        heap_place(l, i, last);
}

void loop_defer(struct loop *l, struct loop_task *task)
{
    if (task->waiting)
        return;
    task->waiting = true;
    task->next = NULL;
    *l->tasks_end = task;
    l->tasks_end = &task->next;
}

static void run_messages(struct loop *l)
{
    struct loop_msg *newest = atomic_exchange(&l->posted, NULL), *oldest = NULL;
    while (newest) {
        struct loop_msg *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct loop_msg *msg = oldest;
        oldest = msg->next;
        msg->run(msg);
    }
}

static void run_timers(struct loop *l)
{
    l->firing = true;
    while (l->ntimers && l->heap[0]->at <= l->now) {
        struct loop_timer *t = l->heap[0];
        loop_timer_cancel(l, t);
        t->on_fire(t);
    }
    l->firing = false;
}

static void run_tasks(struct loop *l)
{
    while (l->tasks) {
        struct loop_task *task = l->tasks;
        l->tasks = task->next;
        if (!l->tasks)
            l->tasks_end = &l->tasks;
        task->waiting = false;
        task->run(task);
    }
}

static int wait_ms(const struct loop *l, int64_t max_wait_ms)
{
    int64_t wait = max_wait_ms < 0 ? INT32_MAX : MIN(max_wait_ms, INT32_MAX);
    if (l->ntimers) {
        int64_t until = l->heap[0]->at - clock_ms();
        wait = MIN(wait, MAX(until, 0));
    }
    return max_wait_ms < 0 && wait == INT32_MAX ? -1 : (int)wait;
}

void loop_turn(struct loop *l, int64_t max_wait_ms)
{
    int wait = wait_ms(l, max_wait_ms);
    // Posters look at `asleep` after they have pushed: whoever is second sees the other.
    atomic_store(&l->asleep, true);
    if (atomic_load(&l->posted) || atomic_load(&l->stop))
        wait = 0;
    int n = epoll_wait(l->epfd, l->batch, BATCH, wait);
    atomic_store(&l->asleep, false);
    l->now = clock_ms();
    l->nbatch = MAX(n, 0);
    for (l->at = 0; l->at < l->nbatch; l->at++) {
        struct epoll_event *ev = &l->batch[l->at];
        // NULL is the eventfd, edge-triggered and so never read; &nbatch marks one that was
        // deleted.
        if (!ev->data.ptr || ev->data.ptr == &l->nbatch)
            continue;
        struct loop_io *io = ev->data.ptr;
        io->on_ready(io, ev->events);
    }
    l->nbatch = 0;
    run_messages(l);
    run_timers(l);
    run_tasks(l);
}

void loop_run(struct loop *l)
{
    do {
        loop_turn(l, -1);
    } while (!atomic_load(&l->stop));
    atomic_store(&l->stop, false);
}
