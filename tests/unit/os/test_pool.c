// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "os/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static atomic_int done, blocked_signals;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void count(struct pool_job *job)
{
    atomic_fetch_add(&done, 1);
}

static void wait_at_gate(struct pool_job *job)
{
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    atomic_fetch_add(&blocked_signals, sigismember(&now, SIGTERM));
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    atomic_fetch_add(&done, 1);
}

static void runs_everything_before_it_ends(void **state)
{
    enum { N = 10000 };
    static struct pool_job jobs[N];
    struct pool *p;
    struct err e;
    atomic_store(&done, 0);
    assert_int_equal(pool_new("test", 3, N, &p, &e), 0);
    for (int i = 0; i < N; i++) {
        jobs[i].run = count;
        assert_int_equal(pool_submit(p, &jobs[i]), 0);
    }
    pool_free(p);
    assert_int_equal(atomic_load(&done), N);
}

static void refuses_when_full(void **state)
{
    struct pool_job jobs[6] = {0};
    struct pool *p;
    struct err e;
    atomic_store(&done, 0);
    atomic_store(&blocked_signals, 0);
    for (int i = 0; i < 6; i++)
        jobs[i].run = wait_at_gate;
    pthread_mutex_lock(&gate);
    assert_int_equal(pool_new("test", 2, 2, &p, &e), 0);
    assert_int_equal(pool_submit(p, &jobs[0]), 0);
    assert_int_equal(pool_submit(p, &jobs[1]), 0);
    while (pool_running(p) < 2)
        sched_yield();
    assert_int_equal(pool_submit(p, &jobs[2]), 0);
    assert_int_equal(pool_submit(p, &jobs[3]), 0);
    assert_int_equal(pool_submit(p, &jobs[4]), E_BUSY);
    pool_resubmit(p, &jobs[5]);
    assert_int_equal(pool_queued(p), 3);
    pthread_mutex_unlock(&gate);
    pool_free(p);
    assert_int_equal(atomic_load(&done), 5);
    assert_int_equal(atomic_load(&blocked_signals), 5);
}

RUN_TESTS(cmocka_unit_test(runs_everything_before_it_ends), cmocka_unit_test(refuses_when_full))
