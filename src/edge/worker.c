// SPDX-License-Identifier: Apache-2.0
// One worker thread: accepts from the shared listeners, lends buffers to connections that have
// something to read, gives busy connections their turns one after the other, and drains. Everything
// is owned by this thread; the other workers are never talked to.
#include "edge/worker.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "os/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_BATCH    16
#define ACCEPT_PAUSE_MS 100 // out of descriptors: wait for some to be closed
#define DRAIN_TURN_MS   50
#define DRAIN_QUIET_MS  250 // an idle connection that spoke so recently may just be sending again

// ---- buffers

void inbuf_release(struct worker *w, struct inbuf *in)
{
    if (!in->p)
        return;
    if (w->nfree_blocks < BLOCKS_KEPT) {
        memcpy(in->p, &w->free_blocks, sizeof(w->free_blocks));
        w->free_blocks = in->p;
        w->nfree_blocks++;
    } else {
        free(in->p);
    }
    *in = (struct inbuf){0};
}

void inbuf_trim(struct worker *w, struct inbuf *in)
{
    if (in->start == in->end)
        inbuf_release(w, in);
}

static char *block_take(struct worker *w)
{
    if (!w->free_blocks)
        return mem_grow(NULL, BLOCK_SIZE, 1);
    char *p = w->free_blocks;
    memcpy(&w->free_blocks, p, sizeof(w->free_blocks));
    w->nfree_blocks--;
    return p;
}

int inbuf_read(struct worker *w, struct inbuf *in, int fd, bool *can_read, bool half_closed)
{
    if (!in->p)
        in->p = block_take(w);
    size_t room = BLOCK_SIZE - in->end;
    if (room == 0)
        return E_LIMIT;
    ssize_t n;
    do {
        n = recv(fd, in->p + in->end, room, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        *can_read = false;
        return errno == EAGAIN ? E_AGAIN : E_IO;
    }
    // Less than asked for means drained: the next byte brings a new event. An end of stream that
    // was already reported would not.
    if ((size_t)n < room && !half_closed)
        *can_read = false;
    in->end += (uint32_t)n;
    return (int)n;
}

struct exchange *exchange_new(struct worker *w, struct conn *c)
{
    struct exchange *x = w->free_exchanges;
    if (x)
        w->free_exchanges = x->hold_next;
    else
        x = NEW(struct exchange);
    *x = (struct exchange){.c = c, .file = -1, .began_us = clock_us()};
    outq_init(&x->to_client);
    outq_init(&x->to_up);
    // Unique, not secret: a random prefix per worker and a count.
    static const char DIGITS[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char *p = x->request_id;
    memcpy(p, w->id_prefix, sizeof(w->id_prefix) - 1);
    p += sizeof(w->id_prefix) - 1;
    for (uint64_t id = ++w->next_id; p < x->request_id + REQUEST_ID_MAX - 1; id /= 36) {
        *p++ = DIGITS[id % 36];
        if (id < 36)
            break;
    }
    *p = '\0';
    return x;
}

void exchange_free(struct worker *w, struct exchange *x)
{
    outq_clear(&x->to_client);
    outq_clear(&x->to_up);
    fd_close(&x->file);
    x->hold_next = w->free_exchanges;
    w->free_exchanges = x;
}

// ---- turns

void worker_again(struct worker *w, struct conn *c)
{
    if (c->queued)
        return;
    c->queued = true;
    c->again = w->again;
    w->again = c;
    if (!loop_timer_armed(&w->again_timer))
        loop_timer_set(w->loop, &w->again_timer, loop_now(w->loop));
}

static void on_again(struct loop_timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, again_timer);
    struct conn *list = w->again;
    w->again = NULL;
    while (list) {
        struct conn *c = list;
        list = c->again;
        c->queued = false;
        edge_conn_step(c);
    }
}

// ---- accepting

static void on_pause_over(struct loop_timer *t)
{
    struct acceptor *a = CONTAINER_OF(t, struct acceptor, pause);
    struct err e;
    if (a->w->accepting && loop_io_set(a->w->loop, &a->io, EPOLLIN | EPOLLEXCLUSIVE, &e))
        edge_notice(a->w->edge, true, "listening again failed", e.msg);
}

static void pause_accepting(struct acceptor *a, const char *why)
{
    struct worker *w = a->w;
    if (why)
        edge_notice(w->edge, true, "accepting paused", why);
    loop_io_del(w->loop, &a->io);
    loop_timer_set(w->loop, &a->pause, clock_ms() + ACCEPT_PAUSE_MS);
}

// Takes up to `max` connections; false when the backlog is empty.
static bool accept_some(struct acceptor *a, int max)
{
    struct worker *w = a->w;
    for (int i = 0; i < max; i++) {
        size_t open = __atomic_load_n(&w->edge->connections, __ATOMIC_RELAXED);
        if (!a->admin && open >= w->cfg->connections_max) {
            pause_accepting(a, NULL);
            return false;
        }
        int fd = accept4(a->io.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            pause_accepting(a, "no descriptor or memory left");
            return false;
        }
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0)
            return false;
        struct err e;
        if (!conn_open(w, fd, a->admin, &e))
            edge_notice(w->edge, true, "connection refused", e.msg);
    }
    return true;
}

static void on_acceptable(struct loop_io *io, uint32_t events)
{
    (void)events;
    (void)accept_some(CONTAINER_OF(io, struct acceptor, io), ACCEPT_BATCH);
}

static void stop_accepting(struct worker *w)
{
    w->accepting = false;
    for (size_t i = 0; i < w->nacceptors; i++) {
        loop_timer_cancel(w->loop, &w->acceptors[i].pause);
        loop_io_del(w->loop, &w->acceptors[i].io);
        // What the kernel already accepted for us is served.
        while (accept_some(&w->acceptors[i], ACCEPT_BATCH))
            ;
        loop_timer_cancel(w->loop, &w->acceptors[i].pause);
    }
    edge_accepting_ended(w->edge);
}

// ---- draining

static bool conn_is_quiet(const struct conn *c, int64_t now)
{
    if (c->state == CONN_LINGER)
        return true;
    // wait == WAIT_IDLE: the deadline tells when it became idle
    return c->state == CONN_HEAD && c->wait == WAIT_IDLE &&
           now - (c->deadline - c->w->cfg->idle_ms) >= DRAIN_QUIET_MS;
}

static void on_drain_turn(struct loop_timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, drain_timer);
    int64_t now = clock_ms();
    if (w->accepting && (now >= w->drain_until || w->nconns == 0)) {
        stop_accepting(w); // the grace time is over; from now on the real deadline counts
        w->drain_until = __atomic_load_n(&w->edge->drain_until, __ATOMIC_RELAXED);
    }
    bool over = !w->accepting && now >= w->drain_until;
    for (struct conn *c = w->conns, *next; c; c = next) {
        next = c->next;
        if (over)
            edge_conn_close(c, c->x != NULL);
        else if (!w->accepting && conn_is_quiet(c, now))
            edge_conn_close(c, false);
        else if (c->x && c->x->stream)
            edge_conn_step(c); // ends an event stream between two events
    }
    if (!w->accepting && w->nconns == 0)
        loop_stop(w->loop);
    else
        loop_timer_set(w->loop, &w->drain_timer, now + DRAIN_TURN_MS);
}

static void on_drain(struct loop_msg *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, drain_msg);
    w->draining = true;
    w->drain_until = MIN(__atomic_load_n(&w->edge->drain_until, __ATOMIC_RELAXED),
                         clock_ms() + w->cfg->drain_grace_ms);
    on_drain_turn(&w->drain_timer);
}

static void on_cut(struct loop_msg *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, cut_msg);
    w->draining = true;
    w->drain_until = 0;
    __atomic_store_n(&w->edge->drain_until, 0, __ATOMIC_RELAXED);
    on_drain_turn(&w->drain_timer);
}

// ---- life

int worker_init(struct worker *w, struct edge *ed, struct err *e)
{
    *w = (struct worker){.edge = ed, .cfg = &ed->cfg, .accepting = true};
    int r = loop_new(&w->loop, e);
    if (r)
        return r;
    buf_init(&w->scratch, BLOCK_SIZE + KIB(32));
    text_random(w->id_prefix, sizeof(w->id_prefix));
    w->again_timer.on_fire = on_again;
    w->drain_timer.on_fire = on_drain_turn;
    w->drain_msg.run = on_drain;
    w->cut_msg.run = on_cut;
    upstream_init(w);
    for (size_t i = 0; i <= EDGE_LISTEN_MAX; i++) {
        if (ed->listeners[i] < 0)
            continue;
        struct acceptor *a = &w->acceptors[w->nacceptors++];
        *a = (struct acceptor){.w = w, .admin = i == EDGE_LISTEN_MAX};
        a->io.fd = ed->listeners[i];
        a->io.on_ready = on_acceptable;
        a->pause.on_fire = on_pause_over;
        // Exclusive: a new connection wakes one worker, not all.
        r = loop_io_set(w->loop, &a->io, EPOLLIN | EPOLLEXCLUSIVE, e);
        if (r)
            return r;
    }
    return 0;
}

void worker_run(struct worker *w)
{
    loop_run(w->loop);
}

void worker_done(struct worker *w)
{
    while (w->conns)
        edge_conn_close(w->conns, false);
    upstream_done(w);
    if (w->loop)
        loop_turn(w->loop, 0); // frees what waits for the end of a turn
    while (w->free_exchanges) {
        struct exchange *x = w->free_exchanges;
        w->free_exchanges = x->hold_next;
        free(x);
    }
    while (w->free_blocks)
        free(block_take(w));
    site_cache_done(&w->pages);
    buf_done(&w->scratch);
    loop_free(w->loop);
}
