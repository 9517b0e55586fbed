// SPDX-License-Identifier: Apache-2.0
// One buffer with the whole masked log, an offset up to which the server has it, and a thread that
// moves the offset. The thread also carries keep-alives and hears from the server whether the job
// is still wanted. The buffer is shared under one lock; HTTP happens outside it.
#include "runner/trace.h"

#include "base/clock.h"
#include "base/mem.h"
#include "runner/mask.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

enum {
    PATCH_MAX = 1 << 20,
    GAP_LEAST_MS = 10,
    INTERVAL_DEFAULT_MS = 3000,
    KEEPALIVE_MOST_MS = 5000, // also how late a cancel of a silent job is heard
    FINISH_TRIES = 10,
};

struct trace {
    struct proto_conf conf;
    int64_t id;
    char *token;
    struct mask *mask;
    size_t limit;
    int wake_fd;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct buf log; // masked
    bool cut;       // the limit was reached
    bool closing;   // the thread is to end
    enum trace_order order;
    atomic_bool stop; // interrupts a call in progress

    // The sending thread's until it was joined, then trace_finish's.
    struct proto *proto;
    size_t sent;
    bool started; // the server took state=running
    int64_t gap_ms, interval_ms, last_send_ms;
    unsigned failures;
};

static void set_order(struct trace *t, enum trace_order order)
{
    pthread_mutex_lock(&t->lock);
    bool news = order > t->order;
    if (news)
        t->order = order;
    pthread_mutex_unlock(&t->lock);
    uint64_t one = 1;
    if (news && t->wake_fd >= 0 && write(t->wake_fd, &one, sizeof(one)) < 0)
        return; // the counter is full: the reader has not looked yet and will
}

// Reads what every answer may carry.
static void heed(struct trace *t, const struct proto_answer *r)
{
    if (r->interval_s >= 0)
        t->interval_ms = r->interval_s ? r->interval_s * 1000 : INTERVAL_DEFAULT_MS;
    if (!strcmp(r->job_status, "canceling"))
        set_order(t, TRACE_CANCEL);
    else if (!strcmp(r->job_status, "canceled") || !strcmp(r->job_status, "failed"))
        set_order(t, TRACE_ABORT);
    if (r->status == 403 || r->status == 404)
        set_order(t, TRACE_ABORT);
}

static uint32_t checksum(const char *p, size_t n)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const unsigned char *)p, n);
}

// Sends one piece from `sent` on; bytes are copied so that the log may grow meanwhile.
// Returns 0 when the server answered sensibly (sent may have moved back), else a failure.
static int send_piece(struct trace *t, struct err *e)
{
    pthread_mutex_lock(&t->lock);
    struct buf piece = BUF_INIT(PATCH_MAX);
    buf_add(&piece, str_head(str_from(buf_str(&t->log), t->sent), PATCH_MAX));
    size_t total = t->log.n;
    pthread_mutex_unlock(&t->lock);
    if (!piece.n)
        return 0;
    struct proto_answer r = PROTO_ANSWER_INIT;
    int rc = proto_trace_patch(t->proto, t->id, t->token, t->sent, buf_str(&piece), &r, e);
    size_t n = piece.n;
    buf_done(&piece);
    if (rc == 0) {
        heed(t, &r);
        if (r.status == 202)
            t->sent += n;
        else if (r.status == 416 && r.range_end >= 0 && (uint64_t)r.range_end <= total)
            t->sent = (size_t)r.range_end; // the server's size: resume there
        else if (r.status == 403 || r.status == 404)
            rc = err_set(e, E_DENIED, "the server no longer takes this job's log (%ld)", r.status);
        else
            rc = err_set(e, E_IO, "the server answered %ld to a piece of the log", r.status);
    }
    proto_answer_done(&r);
    t->last_send_ms = clock_ms();
    return rc;
}

static int send_state(struct trace *t, const char *state, int exit_code, const char *reason,
                      struct proto_answer *r, struct err *e)
{
    pthread_mutex_lock(&t->lock);
    struct proto_update u = {state, checksum(t->log.p, t->log.n), t->log.n, exit_code, reason};
    pthread_mutex_unlock(&t->lock);
    int rc = proto_job_update(t->proto, t->id, t->token, &u, r, e);
    if (rc == 0)
        heed(t, r);
    t->last_send_ms = clock_ms();
    return rc;
}

// The first call of a job and its keep-alive.
static int send_running(struct trace *t, struct err *e)
{
    struct proto_answer r = PROTO_ANSWER_INIT;
    int rc = send_state(t, "running", -1, NULL, &r, e);
    if (rc == 0 && r.status == 409) {
        set_order(t, TRACE_ABORT);
        rc = err_set(e, E_CONFLICT, "another runner has this job");
    } else if (rc == 0 && r.status != 200 && r.status != 202)
        rc = err_set(e, E_IO, "the server answered %ld to the job's state", r.status);
    proto_answer_done(&r);
    t->started = t->started || rc == 0;
    return rc;
}

static void wait_until(struct trace *t, int64_t deadline_ms)
{
    struct timespec at = {deadline_ms / 1000, (deadline_ms % 1000) * 1000000};
    pthread_cond_timedwait(&t->changed, &t->lock, &at);
}

static int64_t keepalive_ms(const struct trace *t)
{
    return MAX(1000, MIN(t->interval_ms, KEEPALIVE_MOST_MS));
}

// Output that keeps coming is sent in ever larger steps; after a pause the next line goes at once.
static void adapt_gap(struct trace *t, int64_t idle_ms)
{
    if (idle_ms >= t->gap_ms)
        t->gap_ms = GAP_LEAST_MS;
    else
        t->gap_ms = MIN(t->gap_ms + t->gap_ms / 2, MIN(t->interval_ms, 1000));
}

static void *send_loop(void *ctx)
{
    struct trace *t = ctx;
    struct err e = ERR_INIT;
    int64_t due = 0;
    pthread_mutex_lock(&t->lock);
    while (!t->closing && t->order != TRACE_ABORT) {
        int64_t now = clock_ms(), alive = t->last_send_ms + keepalive_ms(t);
        bool more = t->started && t->sent < t->log.n;
        if (!t->started)
            alive = due;
        if (more && now < due) {
            wait_until(t, due);
            continue;
        }
        if (!more && now < alive) {
            wait_until(t, alive);
            continue;
        }
        pthread_mutex_unlock(&t->lock);
        int rc;
        if (more) {
            adapt_gap(t, now - MAX(due, t->last_send_ms));
            rc = send_piece(t, &e);
        } else {
            rc = send_running(t, &e);
        }
        t->failures = rc < 0 ? MIN(t->failures + 1, 6u) : 0;
        if (t->failures) {
            due = clock_ms() + (125LL << t->failures);
            t->last_send_ms = due - keepalive_ms(t);
        } else if (more)
            due = clock_ms() + t->gap_ms;
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

struct trace *trace_new(const struct trace_opts *o)
{
    struct trace *t = NEW(struct trace);
    t->conf = *o->conf;
    t->id = o->job_id;
    t->token = str_dup(str_of(o->job_token));
    t->mask = o->mask;
    t->limit = o->limit;
    t->wake_fd = o->wake_fd;
    t->interval_ms = INTERVAL_DEFAULT_MS;
    t->gap_ms = GAP_LEAST_MS;
    // Room for the note that the limit was reached.
    buf_init(&t->log, o->limit + KIB(16));
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &attr);
    pthread_condattr_destroy(&attr);
    t->proto = proto_new(&t->conf);
    proto_set_stop(t->proto, &t->stop);
    BUG_ON(pthread_create(&t->thread, NULL, send_loop, t) != 0);
    return t;
}

static void append_locked(struct trace *t, struct str masked)
{
    if (t->cut)
        return;
    size_t room = t->limit - MIN(t->limit, t->log.n);
    buf_add(&t->log, str_head(masked, room));
    if (masked.n > room) {
        t->cut = true;
        buf_addf(
            &t->log,
            "\n\x1b[33;1mThe job's log is longer than %zu bytes: the rest is dropped.\x1b[0;m\n",
            t->limit);
    }
    pthread_cond_signal(&t->changed);
}

void trace_write(struct trace *t, struct str bytes)
{
    struct buf out = BUF_INIT(MIB(128));
    pthread_mutex_lock(&t->lock);
    mask_feed(t->mask, bytes, &out);
    append_locked(t, buf_str(&out));
    pthread_mutex_unlock(&t->lock);
    buf_done(&out);
}

void trace_flush(struct trace *t)
{
    struct buf out = BUF_INIT(MIB(128));
    pthread_mutex_lock(&t->lock);
    mask_end(t->mask, &out);
    append_locked(t, buf_str(&out));
    pthread_mutex_unlock(&t->lock);
    buf_done(&out);
}

void trace_say(struct trace *t, const char *fmt, ...)
{
    struct buf line = BUF_INIT(KIB(64));
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&line, fmt, ap);
    va_end(ap);
    buf_addc(&line, '\n');
    trace_write(t, buf_str(&line));
    buf_done(&line);
}

enum trace_order trace_order(struct trace *t)
{
    pthread_mutex_lock(&t->lock);
    enum trace_order order = t->order;
    pthread_mutex_unlock(&t->lock);
    return order;
}

static void join(struct trace *t)
{
    pthread_mutex_lock(&t->lock);
    bool joined = t->closing;
    t->closing = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    if (!joined)
        pthread_join(t->thread, NULL);
}

static void pause_ms(int64_t ms, const atomic_bool *give_up)
{
    for (int64_t end = clock_ms() + ms; clock_ms() < end && !(give_up && atomic_load(give_up));)
        usleep(20000);
}

// One try: the rest of the log, then the verdict. 0 done, E_AGAIN try soon again.
static int finish_once(struct trace *t, const char *state, int exit_code, const char *reason,
                       int64_t *ret_wait_ms, struct err *e)
{
    if (!t->started && send_running(t, e) < 0)
        return e->code;
    for (int pieces = 0; t->sent < t->log.n; pieces++) {
        size_t before = t->sent;
        int rc = send_piece(t, e);
        if (rc < 0)
            return rc;
        if (t->sent <= before && pieces > 64)
            return err_set(e, E_IO, "the server keeps asking for the same part of the log");
    }
    struct proto_answer r = PROTO_ANSWER_INIT;
    int rc = send_state(t, state, exit_code, reason, &r, e);
    if (rc == 0 && r.status == 200)
        rc = 0;
    else if (rc == 0 && r.status == 202) {
        rc = err_set(e, E_AGAIN, "the server has not yet stored the log");
        *ret_wait_ms = MIN(t->interval_ms, 1000);
    } else if (rc == 0 && r.status == 412) {
        t->sent = 0;
        rc = err_set(e, E_AGAIN, "the server wants the whole log again");
    } else if (rc == 0 && (r.status == 403 || r.status == 404 || r.status == 409))
        rc = err_set(e, E_DENIED, "the server no longer takes this job's result (%ld)", r.status);
    else if (rc == 0)
        rc = err_set(e, E_IO, "the server answered %ld to the job's result", r.status);
    if (r.retry_after_s > 0)
        *ret_wait_ms = r.retry_after_s * 1000;
    proto_answer_done(&r);
    return rc;
}

int trace_finish(struct trace *t, const char *state, int exit_code, const char *failure_reason,
                 const atomic_bool *give_up, struct err *e)
{
    trace_flush(t);
    join(t);
    // `t->stop` stays for the thread; from here on only the caller may give up.
    proto_set_stop(t->proto, give_up);
    int64_t wait = 500;
    int rc = 0;
    for (int tries = 0; tries < FINISH_TRIES * 6; tries++) {
        int64_t this_wait = wait;
        rc = finish_once(t, state, exit_code, failure_reason, &this_wait, e);
        if (rc == 0 || rc == E_DENIED || (give_up && atomic_load(give_up)))
            return rc;
        if (rc != E_AGAIN || tries > FINISH_TRIES)
            wait = MIN(wait + wait / 2, 60000);
        pause_ms(rc == E_AGAIN ? MIN(this_wait, wait) : this_wait, give_up);
    }
    return rc;
}

void trace_free(struct trace *t)
{
    if (!t)
        return;
    atomic_store(&t->stop, true);
    join(t);
    proto_free(t->proto);
    mask_free(t->mask);
    buf_done(&t->log);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    free(t->token);
    free(t);
}
