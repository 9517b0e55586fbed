// SPDX-License-Identifier: Apache-2.0
// The client's connection: one enum, one step(). Readiness only sets flags and calls
// edge_conn_step, which goes as far as it can; timers and the upstream do the same. A closed
// connection is freed at the end of the loop's turn.
#include "edge/worker.h"

#include "base/clock.h"
#include "base/mem.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void conn_free(struct loop_task *task)
{
    struct conn *c = CONTAINER_OF(task, struct conn, freeing);
    struct worker *w = c->w;
    if (c->queued) // the list of another turn still names it
        for (struct conn **p = &w->again; *p; p = &(*p)->again)
            if (*p == c) {
                *p = c->again;
                break;
            }
    free(c);
}

static void on_ready(struct loop_io *io, uint32_t events)
{
    struct conn *c = CONTAINER_OF(io, struct conn, io);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->can_read = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        c->can_write = true;
    if (events & (EPOLLHUP | EPOLLERR)) {
        edge_conn_close(c, false);
        return;
    }
    if (events & EPOLLRDHUP)
        c->half_closed = true;
    edge_conn_step(c);
}

void conn_deadline(struct conn *c, enum conn_wait why, int64_t ms)
{
    c->wait = (uint8_t)why;
    c->deadline = loop_now(c->w->loop) + ms;
    // A timer that is armed earlier looks again when it fires: most deadlines only ever move away.
    if (!loop_timer_armed(&c->timer) || c->timer.at > c->deadline)
        loop_timer_set(c->w->loop, &c->timer, c->deadline);
}

static void on_deadline(struct loop_timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    if (loop_now(c->w->loop) < c->deadline) {
        loop_timer_set(c->w->loop, &c->timer, c->deadline);
        return;
    }
    switch ((enum conn_wait)c->wait) {
    case WAIT_IDLE:
    case WAIT_LINGER:
        edge_conn_close(c, false);
        return;
    case WAIT_HEAD:
        STAT_ADD(c->w->stats.timeouts, 1);
        STAT_ADD(c->w->stats.bad_requests, 1);
        c->x = exchange_new(c->w, c);
        answer_error(c, 408, "the request's head took too long", false, true);
        edge_conn_step(c);
        return;
    case WAIT_WRITE:
        STAT_ADD(c->w->stats.timeouts, 1);
        STAT_ADD(c->w->stats.cut, 1);
        edge_conn_close(c, true);
        return;
    case WAIT_GONE:
        proxy_abandon(c);
        return;
    case WAIT_BODY:
    case WAIT_CONNECT:
    case WAIT_HOLD:
    case WAIT_ANSWER:
    case WAIT_TUNNEL:
        proxy_timeout(c);
        return;
    }
}

static void peer_name(int fd, char out[48])
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a);
    const char *got = NULL;
    if (getpeername(fd, (struct sockaddr *)&a, &n) == 0 && a.ss_family == AF_INET)
        got = inet_ntop(AF_INET, &((struct sockaddr_in *)&a)->sin_addr, out, 48);
    else if (a.ss_family == AF_INET6)
        got = inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&a)->sin6_addr, out, 48);
    if (!got)
        snprintf(out, 48, "unix");
}

struct conn *conn_open(struct worker *w, int fd, bool admin, struct err *e)
{
    struct conn *c = NEW(struct conn);
    int one = 1;
    c->w = w;
    c->admin = admin;
    c->io.fd = fd;
    c->io.on_ready = on_ready;
    c->timer.on_fire = on_deadline;
    c->freeing.run = conn_free;
    c->can_write = true;
    c->state = CONN_HEAD;
    peer_name(fd, c->peer);
    if (!admin)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    http1_request_init(&c->parser, &HTTP1_LIMITS_DEFAULT);
    if (loop_io_set(w->loop, &c->io, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, e)) {
        fd_close(&c->io.fd);
        free(c);
        return NULL;
    }
    c->next = w->conns;
    if (c->next)
        c->next->prev = c;
    w->conns = c;
    w->nconns++;
    (void)__atomic_add_fetch(&w->edge->connections, 1, __ATOMIC_RELAXED);
    STAT_ADD(w->stats.accepted, 1);
    STAT_ADD(w->stats.connections, 1);
    conn_deadline(c, WAIT_IDLE, w->cfg->idle_ms);
    return c;
}

static void drop_exchange(struct conn *c)
{
    struct exchange *x = c->x;
    struct worker *w = c->w;
    if (!x)
        return;
    if (x->held)
        upstream_unhold(x);
    if (x->u)
        upstream_close(x->u);
    if (x->status)
        STAT_ADD(w->stats.answers[MIN(x->status / 100, 5)], 1);
    else
        STAT_ADD(w->stats.answers[0], 1);
    STAT_ADD(w->stats.bytes_in, x->body_in);
    STAT_ADD(w->stats.bytes_out, x->sent);
    stats_duration(&w->stats, clock_us() - x->began_us);
    c->x = NULL;
    exchange_free(w, x);
}

void edge_conn_close(struct conn *c, bool reset)
{
    struct worker *w = c->w;
    if (c->state == CONN_CLOSED)
        return;
    if (c->x && !c->x->done)
        STAT_ADD(w->stats.aborted, 1);
    drop_exchange(c);
    inbuf_release(w, &c->in);
    loop_timer_cancel(w->loop, &c->timer);
    loop_io_del(w->loop, &c->io);
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    fd_close(&c->io.fd);
    c->state = CONN_CLOSED;
    if (c->prev)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    w->nconns--;
    (void)__atomic_sub_fetch(&w->edge->connections, 1, __ATOMIC_RELAXED);
    STAT_SUB(w->stats.connections, 1);
    loop_defer(w->loop, &c->freeing);
}

// Sends the end of stream and reads on for a moment: closing while the client still sends would
// reset the connection and could cost it the answer.
static void begin_linger(struct conn *c)
{
    if (c->half_closed || (!c->can_read && c->in.start == c->in.end && http1_idle(&c->parser))) {
        edge_conn_close(c, false);
        return;
    }
    (void)shutdown(c->io.fd, SHUT_WR);
    inbuf_release(c->w, &c->in);
    c->state = CONN_LINGER;
    conn_deadline(c, WAIT_LINGER, c->w->cfg->linger_ms);
}

void conn_end_exchange(struct conn *c)
{
    struct exchange *x = c->x;
    bool keep = x->request_done && x->keep_alive && !x->close;
    x->done = true;
    drop_exchange(c);
    if (!keep) {
        begin_linger(c);
        return;
    }
    c->state = CONN_HEAD;
    if (c->in.start == c->in.end)
        inbuf_release(c->w, &c->in);
    conn_deadline(c, WAIT_IDLE, c->w->cfg->idle_ms);
}

// ---- from a complete head to its destination

static bool is_get(const struct http1_head *h)
{
    return str_is(h->method, "GET") || str_is(h->method, "HEAD");
}

static void begin_admin(struct conn *c)
{
    struct http1_head *h = &c->w->head;
    STAT_ADD(c->w->stats.requests_own, 1);
    if (!is_get(h))
        answer_error(c, 405, "only GET and HEAD are answered here", true, true);
    else if (str_is(h->path, "/metrics"))
        answer_metrics(c);
    else if (str_is(h->path, "/-/health") || str_is(h->path, "/-/readiness") ||
             str_is(h->path, "/-/liveness"))
        answer_health(c);
    else
        answer_error(c, 404, "here are /metrics, /-/health, /-/readiness and /-/liveness", true,
                     false);
}

static void begin_exchange(struct conn *c)
{
    struct worker *w = c->w;
    struct http1_head *h = &w->head;
    struct exchange *x = c->x = exchange_new(w, c);
    struct host host;
    struct str label;
    struct err e;
    x->get_head = str_is(h->method, "HEAD");
    x->minor = (uint8_t)h->minor;
    x->keep_alive = h->keep_alive && !w->draining;
    x->head_len = c->in.start;
    x->replayable = true;
    if (c->admin) {
        begin_admin(c);
        return;
    }
    if (str_is(h->method, "CONNECT")) {
        answer_error(c, 405, "this is not a forward proxy: CONNECT is refused", true, true);
        return;
    }
    if (h->host.n == 0) // only HTTP/1.0 may leave it out
        h->host = STR("localhost");
    if (host_parse(h->host, &host, &e)) {
        STAT_ADD(w->stats.bad_requests, 1);
        answer_error(c, 400, e.msg, true, true);
        return;
    }
    const struct route *r = route_find(w->edge->routes, w->edge->nroutes, &host, &label);
    if (r && r->kind == ROUTE_PAGES) {
        STAT_ADD(w->stats.requests_pages, 1);
        answer_page(c, label, str_n(host.name, host.n));
        return;
    }
    if (str_is(h->path, "/-/edge/health") && is_get(h)) {
        STAT_ADD(w->stats.requests_own, 1);
        answer_health(c);
        return;
    }
    STAT_ADD(w->stats.requests_upstream, 1);
    proxy_begin(c);
}

static void refuse(struct conn *c)
{
    STAT_ADD(c->w->stats.bad_requests, 1);
    c->x = exchange_new(c->w, c);
    answer_error(c, c->parser.status, c->parser.error, false, true);
}

// The codec wants a message from one contiguous place, and a head that is kept for a replay begins
// at the front of the block.
static void move_to_front(struct inbuf *in)
{
    if (in->start == 0 || !in->p)
        return;
    memmove(in->p, in->p + in->start, in->end - in->start);
    in->end -= in->start;
    in->start = 0;
}

static enum step step_head(struct conn *c)
{
    struct worker *w = c->w;
    if (http1_idle(&c->parser))
        move_to_front(&c->in);
    while (c->in.start < c->in.end) {
        struct http1_event ev = http1_next(&c->parser, &w->head, inbuf_unread(&c->in));
        c->in.start += (uint32_t)ev.used;
        if (ev.type == HTTP1_HEAD) {
            begin_exchange(c);
            return STEP_AGAIN;
        }
        if (ev.type == HTTP1_ERROR) {
            refuse(c);
            return STEP_AGAIN;
        }
        if (ev.used == 0)
            break;
        move_to_front(&c->in);
    }
    bool partial = c->in.start < c->in.end;
    if (!c->can_read) {
        inbuf_trim(w, &c->in);
        if (partial && c->wait != WAIT_HEAD)
            conn_deadline(c, WAIT_HEAD, w->cfg->head_ms);
        return STEP_WAIT;
    }
    int n = inbuf_read(w, &c->in, c->io.fd, &c->can_read, c->half_closed);
    if (n == 0 || n == E_IO) {
        edge_conn_close(c, false);
        return STEP_WAIT;
    }
    BUG_ON(n == E_LIMIT); // a head over its limit is an error before the block is full
    if (n == E_AGAIN)
        inbuf_trim(w, &c->in);
    return STEP_AGAIN;
}

// The upstream is not there yet; all that can happen is that the client leaves.
static enum step step_waiting(struct conn *c)
{
    if (c->half_closed && c->wait != WAIT_GONE && c->in.start == c->in.end)
        conn_deadline(c, WAIT_GONE, c->w->cfg->half_close_ms);
    return STEP_WAIT;
}

static enum step step_linger(struct conn *c)
{
    if (!c->can_read)
        return STEP_WAIT;
    c->in.start = c->in.end = 0;
    int n = inbuf_read(c->w, &c->in, c->io.fd, &c->can_read, c->half_closed);
    inbuf_release(c->w, &c->in);
    if (n == 0 || n == E_IO)
        edge_conn_close(c, false);
    return n > 0 ? STEP_AGAIN : STEP_WAIT;
}

void edge_conn_step(struct conn *c)
{
    for (int i = 0; i < STEP_BUDGET; i++) {
        enum step s = STEP_WAIT;
        switch ((enum conn_state)c->state) {
        case CONN_HEAD:
            s = step_head(c);
            break;
        case CONN_HELD:
        case CONN_CONNECT:
            s = step_waiting(c);
            break;
        case CONN_PROXY:
            s = proxy_step(c);
            break;
        case CONN_ANSWER:
            s = answer_step(c);
            break;
        case CONN_TUNNEL:
            s = tunnel_step(c);
            break;
        case CONN_LINGER:
            s = step_linger(c);
            break;
        case CONN_CLOSED:
            return;
        }
        if (s == STEP_WAIT)
            return;
    }
    worker_again(c->w, c);
}
