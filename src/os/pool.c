// SPDX-License-Identifier: Apache-2.0
// The bounded worker pool: one queue, one lock, a fixed number of threads. Whoever made the pool
// owns it; jobs are owned by their submitters. Handlers of net/http_server.h run here.
#include "os/pool.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct pool_job *first, **end;
    size_t queued, queue_max, running;
    unsigned idle, nthreads;
    bool closing;
    pthread_t threads[];
};

static void *worker(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->first && !p->closing) {
            p->idle++;
            pthread_cond_wait(&p->work, &p->lock);
            p->idle--;
        }
        struct pool_job *job = p->first;
        if (!job)
            break;
        p->first = job->next;
        if (!p->first)
            p->end = &p->first;
        p->queued--;
        p->running++;
        pthread_mutex_unlock(&p->lock);
        job->run(job);
        pthread_mutex_lock(&p->lock);
        p->running--;
        // The last one out lets the others see that a closing pool has nothing left.
        if (p->closing && !p->running)
            pthread_cond_broadcast(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int pool_new(const char *name, unsigned threads, size_t queue_max, struct pool **ret, struct err *e)
{
    struct pool *p = mem_zalloc(1, sizeof(struct pool) + threads * sizeof(pthread_t));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->end = &p->first;
    p->queue_max = queue_max;

    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    while (p->nthreads < threads && rc == 0) {
        rc = pthread_create(&p->threads[p->nthreads], NULL, worker, p);
        if (rc == 0)
            pthread_setname_np(p->threads[p->nthreads++], name);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        pool_free(p);
        return err_errno(e, rc, "cannot start %u worker threads", threads);
    }
    *ret = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->nthreads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static int push(struct pool *p, struct pool_job *job, bool bounded)
{
    job->next = NULL;
    pthread_mutex_lock(&p->lock);
    if (bounded && p->queued >= p->queue_max) {
        pthread_mutex_unlock(&p->lock);
        return E_BUSY;
    }
    *p->end = job;
    p->end = &job->next;
    p->queued++;
    bool wake = p->idle > 0;
    pthread_mutex_unlock(&p->lock);
    if (wake)
        pthread_cond_signal(&p->work);
    return 0;
}

int pool_submit(struct pool *p, struct pool_job *job)
{
    return push(p, job, true);
}

void pool_resubmit(struct pool *p, struct pool_job *job)
{
    (void)push(p, job, false);
}

size_t pool_queued(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->queued;
    pthread_mutex_unlock(&p->lock);
    return n;
}

size_t pool_running(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->running;
    pthread_mutex_unlock(&p->lock);
    return n;
}
