// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *fresh(void)
{
    struct loop *l;
    struct err e;
    assert_int_equal(loop_new(&l, &e), 0);
    return l;
}

struct pair {
    struct loop_io io;
    struct loop_task free_task;
    struct loop *l;
    struct pair *victim;
    int calls, other;
};

static void on_pair(struct loop_io *io, uint32_t events)
{
    struct pair *p = CONTAINER_OF(io, struct pair, io);
    p->calls++;
    if (p->victim)
        loop_io_del(p->l, &p->victim->io);
}

static void watches_and_forgets(void **state)
{
    _autoloop_ struct loop *l = fresh();
    struct pair a = {.l = l, .io.on_ready = on_pair}, b = {.l = l, .io.on_ready = on_pair};
    int sa[2], sb[2];
    struct err e;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sa), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sb), 0);
    a.io.fd = sa[0];
    b.io.fd = sb[0];
    a.victim = &b;
    b.victim = &a;
    assert_int_equal(loop_io_set(l, &a.io, EPOLLIN, &e), 0);
    assert_int_equal(loop_io_set(l, &b.io, EPOLLIN, &e), 0);
    loop_turn(l, 0);
    assert_int_equal(a.calls + b.calls, 0);
    assert_int_equal(write(sa[1], "x", 1), 1);
    assert_int_equal(write(sb[1], "x", 1), 1);
    // Both are ready in one turn; whoever comes first removes the other, whose event must not
    // arrive.
    loop_turn(l, 1000);
    assert_int_equal(a.calls + b.calls, 1);
    loop_turn(l, 0);
    assert_int_equal(a.calls + b.calls, 2); // level-triggered: the first again
    for (int i = 0; i < 2; i++) {
        close(sa[i]);
        close(sb[i]);
    }
}

#define NTIMERS 500
static struct loop_timer timers[NTIMERS];
static int fired, last_at;
static bool in_order;

static void on_timer(struct loop_timer *t)
{
    fired++;
    in_order &= t->at >= last_at;
    last_at = (int)t->at;
}

static void timers_fire_in_order(void **state)
{
    _autoloop_ struct loop *l = fresh();
    fired = last_at = 0;
    in_order = true;
    int64_t base = loop_now(l);
    for (int i = 0; i < NTIMERS; i++) {
        timers[i] = (struct loop_timer){.on_fire = on_timer};
        loop_timer_set(l, &timers[i], base - 1000000 + (i * 7919) % 1000);
    }
    // Moved, cancelled, moved to the future.
    for (int i = 0; i < NTIMERS; i += 5)
        loop_timer_set(l, &timers[i], base - 1000000 + (i * 31) % 1000);
    for (int i = 1; i < NTIMERS; i += 5)
        loop_timer_cancel(l, &timers[i]);
    for (int i = 2; i < NTIMERS; i += 5)
        loop_timer_set(l, &timers[i], base + 1000000);
    last_at = INT32_MIN;
    loop_turn(l, 0);
    assert_int_equal(fired, NTIMERS * 3 / 5);
    assert_true(in_order);
    assert_true(loop_timer_armed(&timers[2]));
    assert_false(loop_timer_armed(&timers[1]));
    loop_timer_cancel(l, &timers[1]);
}

static struct loop *again_on;

static void on_again(struct loop_timer *t)
{
    fired++;
    loop_timer_set(again_on, t, 0);
}

static void a_timer_cannot_hold_the_turn(void **state)
{
    _autoloop_ struct loop *l = fresh();
    struct loop_timer t = {.on_fire = on_again};
    again_on = l;
    fired = 0;
    loop_timer_set(l, &t, 0);
    assert_int_equal(fired, 0); // never from within the call
    loop_turn(l, 0);
    assert_int_equal(fired, 1);
    loop_turn(l, 100);
    assert_int_equal(fired, 2);
}

static void waits_for_timers(void **state)
{
    _autoloop_ struct loop *l = fresh();
    struct loop_timer t = {.on_fire = on_timer};
    int64_t start = clock_ms();
    fired = 0;
    loop_timer_set(l, &t, start + 30);
    while (!fired)
        loop_turn(l, -1);
    assert_true(clock_ms() - start >= 30);
}

static int order[4], norder;
static struct loop *defer_on;

struct step {
    struct loop_task task;
    int id;
    struct step *then;
};

static void on_step(struct loop_task *task)
{
    struct step *s = CONTAINER_OF(task, struct step, task);
    order[norder++] = s->id;
    if (s->then)
        loop_defer(defer_on, &s->then->task);
}

static void deferred_work_ends_the_turn(void **state)
{
    _autoloop_ struct loop *l = fresh();
    struct step c = {.task.run = on_step, .id = 3};
    struct step a = {.task.run = on_step, .id = 1, .then = &c};
    struct step b = {.task.run = on_step, .id = 2};
    defer_on = l;
    norder = 0;
    loop_defer(l, &a.task);
    loop_defer(l, &b.task);
    loop_defer(l, &a.task);
    assert_int_equal(norder, 0);
    loop_turn(l, 0);
    assert_int_equal(norder, 3);
    assert_true(order[0] == 1 && order[1] == 2 && order[2] == 3);
}

#define SENDERS  4
#define PER_EACH 5000
struct note {
    struct loop_msg msg;
    int sender, number;
};
static int next_from[SENDERS], received;
static struct loop *posted_to;

static void on_note(struct loop_msg *msg)
{
    struct note *n = CONTAINER_OF(msg, struct note, msg);
    assert_int_equal(next_from[n->sender], n->number);
    next_from[n->sender]++;
    free(n);
    if (++received == SENDERS * PER_EACH)
        loop_stop(posted_to);
}

static void *sender(void *arg)
{
    for (int i = 0; i < PER_EACH; i++) {
        struct note *n = NEW(struct note);
        n->msg.run = on_note;
        n->sender = (int)(intptr_t)arg;
        n->number = i;
        loop_post(posted_to, &n->msg);
        if (i % 64 == 0)
            usleep(100); // lets the loop fall asleep in between
    }
    return NULL;
}

static void messages_arrive_all_and_in_order(void **state)
{
    _autoloop_ struct loop *l = fresh();
    posted_to = l;
    received = 0;
    memset(next_from, 0, sizeof next_from);
    pthread_t t[SENDERS];
    for (intptr_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, sender, (void *)i), 0);
    loop_run(l);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(received, SENDERS * PER_EACH);
}

static void *stopper(void *arg)
{
    usleep(20000);
    loop_stop(arg);
    return NULL;
}

static void stops_from_another_thread(void **state)
{
    _autoloop_ struct loop *l = fresh();
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, stopper, l), 0);
    loop_run(l);
    pthread_join(t, NULL);
    loop_stop(l);
    loop_run(l); // a stop before the run ends it
}

RUN_TESTS(cmocka_unit_test(watches_and_forgets), cmocka_unit_test(timers_fire_in_order),
          cmocka_unit_test(a_timer_cannot_hold_the_turn), cmocka_unit_test(waits_for_timers),
          cmocka_unit_test(deferred_work_ends_the_turn),
          cmocka_unit_test(messages_arrive_all_and_in_order),
          cmocka_unit_test(stops_from_another_thread))
