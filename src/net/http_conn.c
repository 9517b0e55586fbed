// SPDX-License-Identifier: Apache-2.0
// A server connection as its loop sees it: one phase, one conn_step(). It reads heads and the first
// part of bodies, hands complete requests to the worker pool, and sends what workers leave behind.
// The ownership rules are in http_internal.h; everything here runs on the connection's loop thread,
// except conn_reserve and conn_answered, which run for whoever owns it.
#include "net/http_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/url.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_FIRST KIB(4)

enum got { GOT_BYTES, GOT_NOTHING, GOT_END };

static void on_ready(struct loop_io *io, uint32_t events);
static void on_arrive(struct loop_msg *msg);
static void on_back(struct loop_msg *msg);
static void on_park(struct loop_msg *msg);
static void on_deadline(struct loop_timer *t);
static void on_free(struct loop_task *task);

struct conn *conn_new(struct loop_thread *lt, int fd, bool tcp)
{
    struct conn *c = NEW(struct conn);
    c->lt = lt;
    c->tcp = tcp;
    c->io.fd = fd;
    c->io.on_ready = on_ready;
    c->arrive_msg.run = on_arrive;
    c->back_msg.run = on_back;
    c->park_msg.run = on_park;
    c->park_timer.on_fire = on_deadline;
    c->free_task.run = on_free;
    c->file_fd = -1;
    buf_init(&c->out, SIZE_MAX / 2);
    http1_request_init(&c->parser, &lt->server->limits);
    return c;
}

void conn_start(struct conn *c)
{
    struct loop_thread *lt = c->lt;
    c->next = lt->conns;
    if (c->next)
        c->next->prev = c;
    lt->conns = c;
    c->since = loop_now(lt->loop);
    c->deadline = c->since + lt->server->cfg.idle_ms;
    struct err e;
    if (loop_io_set(lt->loop, &c->io, EPOLLIN | EPOLLRDHUP | EPOLLET, &e) < 0) {
        conn_close(c);
        return;
    }
    if (!loop_timer_armed(&lt->tick))
        loop_timer_set(lt->loop, &lt->tick, c->since + lt->tick_ms);
}

static void trim(struct conn *c)
{
    call_free(c->call);
    c->call = NULL;
    free(c->in);
    c->in = NULL;
    c->in_cap = c->in_n = 0;
    buf_done(&c->out);
}

static void on_free(struct loop_task *task)
{
    struct conn *c = CONTAINER_OF(task, struct conn, free_task);
    // A message that is still under way names this connection: its arrival frees it.
    if (c->self_posted || atomic_load(&c->park_posted)) {
        c->freeing = true;
        return;
    }
    free(c);
}

void conn_close(struct conn *c)
{
    struct loop_thread *lt = c->lt;
    if (c->phase == PHASE_CLOSED)
        return;
    if (c->charged) {
        call_account(c->call, true);
        c->charged = false;
    }
    c->phase = PHASE_CLOSED;
    loop_io_del(lt->loop, &c->io);
    loop_timer_cancel(lt->loop, &c->park_timer);
    close(c->io.fd);
    if (c->file_fd >= 0)
        close(c->file_fd);
    if (c->prev)
        c->prev->next = c->next;
    else if (lt->conns == c)
        lt->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    trim(c);
    UNCOUNT(lt->server, connections, 1);
    atomic_fetch_sub(&lt->nconns, 1);
    loop_defer(lt->loop, &c->free_task);
}

// ---- reading

void conn_reserve(struct conn *c, size_t room)
{
    if (c->in_cap - c->in_n >= room)
        return;
    size_t cap = MAX(c->in_n + room, MAX(2 * c->in_cap, (size_t)IN_FIRST));
    const char *old = c->in;
    char *fresh = mem_zalloc(cap, 1);
    if (c->in_n)
        memcpy(fresh, c->in, c->in_n);
    if (c->call && c->phase != PHASE_HEAD)
        http1_head_moved(&c->call->head, old, fresh);
    free(c->in);
    c->in = fresh;
    c->in_cap = cap;
}

static enum got read_more(struct conn *c)
{
    if (!c->readable)
        return GOT_NOTHING;
    size_t room = c->in_cap - c->in_n;
    ssize_t n;
    do {
        n = recv(c->io.fd, c->in + c->in_n, room, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN)) {
        c->readable = false;
        return GOT_NOTHING;
    }
    if (n <= 0)
        return GOT_END;
    c->in_n += (size_t)n;
    // A short read has emptied the socket; what comes later makes a new event. Only the end of the
    // stream makes none of its own when it was reported together with these bytes.
    if ((size_t)n < room && !(atomic_load(&c->own) & SAW_EOF))
        c->readable = false;
    return GOT_BYTES;
}

static void drop(struct conn *c, size_t n)
{
    if (n == 0)
        return;
    c->in_n -= n;
    memmove(c->in, c->in + n, c->in_n);
}

// ---- answers of the loop itself

static void refuse(struct conn *c, int status, const char *message, bool keep)
{
    struct http_call *call = c->call;
    COUNT(c->lt->server, bad, 1);
    call_own_answer(call, status, message, keep);
    c->phase = PHASE_SENDING;
    c->sent = 0;
    c->since = loop_now(c->lt->loop);
    c->deadline = INT64_MAX;
}

// True when the call is with the pool: from then on the connection must not be touched here.
static bool dispatch(struct conn *c)
{
    struct http_call *call = c->call;
    struct http_server *s = c->lt->server;
    c->phase = PHASE_CALL;
    c->deadline = INT64_MAX;
    // Only this thread sets bits, so no event is lost by a plain store.
    uint32_t eof = atomic_load(&c->own) & SAW_EOF;
    atomic_store(&c->own, OWN_WORKER | eof);
    if (pool_submit(s->pool, &call->job) == 0)
        return true;
    atomic_store(&c->own, OWN_LOOP | eof);
    COUNT(s, refused, 1);
    refuse(c, 503, "the server is busy, please try again", call->body_done);
    return false;
}

// A head is there. False when the request was refused.
static bool begin(struct conn *c)
{
    struct http_call *call = c->call;
    struct err e;
    c->since = loop_now(c->lt->loop);
    COUNT(c->lt->server, requests, 1);
    COUNT(c->lt->server, in_flight, 1);
    c->charged = true;
    if (call->head.path.n == 0) {
        refuse(c, 501, "CONNECT is not supported", false);
        return false;
    }
    if (call->head.path.p[0] == '/' && url_path_check(call->head.path, &e) < 0) {
        refuse(c, 400, e.msg, call->head.body == HTTP1_BODY_NONE);
        return false;
    }
    return true;
}

static bool step_head(struct conn *c)
{
    struct http_call *call = c->call;
    if (c->in_n) {
        if (!call)
            call = c->call = call_new(c);
        struct http1_event ev = http1_next(&c->parser, &call->head, str_n(c->in, c->in_n));
        if (ev.type == HTTP1_ERROR) {
            call_begin(call);
            memset(&call->head, 0, offsetof(struct http1_head, fields));
            c->charged = true;
            COUNT(c->lt->server, in_flight, 1);
            refuse(c, c->parser.status, c->parser.error, false);
            return true;
        }
        if (ev.type == HTTP1_HEAD) {
            call_begin(call);
            // An empty line before the request is part of `used`: the slices point behind it.
            call->head_n = call->body_at = call->body_end = call->raw_at = ev.used;
            c->phase = PHASE_BODY;
            (void)begin(c);
            return true;
        }
        drop(c, ev.used);
    }
    bool fresh = c->in_n == 0;
    if (!c->readable)
        return false;
    conn_reserve(c, c->in_n < c->in_cap ? 1 : IN_FIRST);
    enum got got = read_more(c);
    if (got == GOT_END)
        conn_close(c);
    else if (got == GOT_BYTES && fresh)
        c->deadline = loop_now(c->lt->loop) + c->lt->server->cfg.head_ms;
    return got != GOT_NOTHING;
}

// Parses what is there of the body, packing the decoded bytes behind the head.
// 1: dispatch, 0: needs more, -1: refused.
static int gather(struct conn *c)
{
    struct http_call *call = c->call;
    for (;;) {
        struct str raw = str_n(c->in + call->raw_at, c->in_n - call->raw_at);
        struct http1_event ev = http1_next(&c->parser, &call->head, raw);
        call->raw_at += ev.used;
        switch (ev.type) {
        case HTTP1_DATA:
            if (c->in + call->body_end != ev.data.p)
                memmove(c->in + call->body_end, ev.data.p, ev.data.n);
            call->body_end += ev.data.n;
            call->body_seen += ev.data.n;
            continue;
        case HTTP1_TRAILER:
            continue;
        case HTTP1_END:
            call->body_done = true;
            return 1;
        case HTTP1_MORE:
            return call->body_end - call->head_n >= GATHER_MAX;
        case HTTP1_HEAD:
        case HTTP1_ERROR:
            refuse(c, c->parser.status ? c->parser.status : 400, c->parser.error, false);
            return -1;
        }
    }
}

static bool step_body(struct conn *c)
{
    struct http_call *call = c->call;
    int rc = gather(c);
    if (rc < 0)
        return true;
    if (rc > 0)
        return !dispatch(c);
    // Who waits for 100 before a small body gets it here; for a large one the handler may say no
    // first, and its first read sends the 100.
    if (call->head.expect_continue && !call->continued && call->body_seen == 0) {
        if (call->head.body != HTTP1_BODY_LENGTH || call->head.length > GATHER_MAX)
            return !dispatch(c);
        call->continued = true;
        buf_adds(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        (void)call_flush(c, SIZE_MAX);
    }
    size_t gap = call->raw_at - call->body_end;
    if (gap) {
        memmove(c->in + call->body_end, c->in + call->raw_at, c->in_n - call->raw_at);
        call->raw_at -= gap;
        c->in_n -= gap;
    }
    if (c->in_n == c->in_cap) {
        uint64_t expected = call->head.body == HTTP1_BODY_LENGTH ? c->parser.left : KIB(16);
        conn_reserve(c, (size_t)MIN(expected, (uint64_t)KIB(64)) + 1);
    }
    c->deadline = INT64_MAX; // conn_sweep judges the rate
    enum got got = read_more(c);
    if (got == GOT_END)
        conn_close(c);
    return got == GOT_BYTES;
}

// ---- sending

static bool step_sending(struct conn *c)
{
    struct http_server *s = c->lt->server;
    uint64_t before = c->sent;
    int rc = c->broken ? E_IO : call_flush(c, SEND_TURN);
    if (rc == E_IO) {
        conn_close(c);
        return false;
    }
    if (c->sent != before || c->deadline == INT64_MAX)
        c->deadline = loop_now(c->lt->loop) + s->cfg.write_stall_ms;
    struct err e;
    if (rc == E_AGAIN && c->sent - before >= SEND_TURN) {
        // The others' turn.
        if (!c->self_posted)
            loop_post(c->lt->loop, &c->back_msg);
        c->self_posted = true;
        return false;
    }
    uint32_t want = EPOLLIN | EPOLLRDHUP | EPOLLET | (rc == E_AGAIN ? EPOLLOUT : 0);
    if (loop_io_set(c->lt->loop, &c->io, want, &e) < 0) {
        conn_close(c);
        return false;
    }
    if (rc == E_AGAIN)
        return false;
    conn_answered(c);
    return true;
}

// Everything of an answer is with the kernel.
bool conn_answered(struct conn *c)
{
    struct http_call *call = c->call;
    struct http_server *s = c->lt->server;
    call_account(call, call->aborted);
    c->charged = false;
    c->out_at = 0;
    buf_clear(&c->out);
    c->since = clock_ms();
    if (c->broken || call->aborted) {
        c->broken = true;
        c->phase = PHASE_LINGER;
        return false;
    }
    if (c->close_after) {
        c->phase = PHASE_LINGER;
        c->deadline = c->since + LINGER_MS;
        c->drained = 0;
        return false;
    }
    // What the client sent behind this request goes to the front.
    if (call->spill) {
        size_t left = call->spill_n - call->spill_at;
        c->in_n = 0;
        if (left) {
            conn_reserve(c, left);
            memcpy(c->in, call->spill + call->spill_at, left);
            c->in_n = left;
        }
    } else {
        drop(c, call->raw_at);
    }
    if (!call->body_done) {
        c->phase = PHASE_DRAIN;
        c->deadline = c->since + LINGER_MS;
        c->drained = 0;
        return false;
    }
    c->phase = PHASE_HEAD;
    c->deadline = c->since + (c->in_n ? s->cfg.head_ms : s->cfg.idle_ms);
    return c->in_n == 0 && !c->readable && !atomic_load(&s->stopping);
}

static bool step_drain(struct conn *c)
{
    struct http_server *s = c->lt->server;
    size_t at = 0;
    for (;;) {
        struct http1_event ev =
            http1_next(&c->parser, &c->call->head, str_n(c->in + at, c->in_n - at));
        at += ev.used;
        c->drained += ev.used;
        if (ev.type == HTTP1_DATA || ev.type == HTTP1_TRAILER)
            continue;
        drop(c, at);
        if (ev.type == HTTP1_END) {
            c->phase = PHASE_HEAD;
            c->deadline = loop_now(c->lt->loop) + (c->in_n ? s->cfg.head_ms : s->cfg.idle_ms);
            return true;
        }
        if (ev.type == HTTP1_ERROR || c->drained > s->cfg.drain_max + KIB(64)) {
            conn_close(c);
            return false;
        }
        break;
    }
    conn_reserve(c, c->in_n < c->in_cap ? 1 : IN_FIRST);
    enum got got = read_more(c);
    if (got == GOT_END)
        conn_close(c);
    return got == GOT_BYTES;
}

static bool step_linger(struct conn *c)
{
    if (c->broken) {
        conn_close(c);
        return false;
    }
    // Nothing unread and nothing announced: closing cannot make the kernel reset the connection.
    if (c->drained == 0) {
        if (c->call->body_done && !c->readable && c->in_n <= c->call->raw_at) {
            conn_close(c);
            return false;
        }
        shutdown(c->io.fd, SHUT_WR);
        c->drained = 1;
        c->readable = true;
    }
    c->in_n = 0;
    conn_reserve(c, IN_FIRST);
    enum got got = read_more(c);
    if (got == GOT_BYTES)
        c->drained += c->in_n;
    c->in_n = 0;
    if (got == GOT_END || c->drained > LINGER_BYTES)
        conn_close(c);
    return got == GOT_BYTES;
}

void conn_step(struct conn *c)
{
    bool again = true;
    while (again) {
        switch (c->phase) {
        case PHASE_HEAD:
            again = step_head(c);
            break;
        case PHASE_BODY:
            again = step_body(c);
            break;
        case PHASE_SENDING:
            again = step_sending(c);
            break;
        case PHASE_DRAIN:
            again = step_drain(c);
            break;
        case PHASE_LINGER:
            again = step_linger(c);
            break;
        case PHASE_CALL:
        case PHASE_CLOSED:
            again = false;
            break;
        }
    }
}

// ---- events

static void own_by_loop(struct conn *c, uint32_t bits)
{
    atomic_store(&c->own, OWN_LOOP | (bits & SAW_EOF));
    if (bits & (SAW_EVENT | SAW_EOF))
        c->readable = true;
}

// The loop takes a parked call. False: somebody woke it before.
static bool unpark(struct conn *c, uint32_t to)
{
    uint32_t own = atomic_load(&c->own);
    while ((own & OWN_MASK) == OWN_PARKED) {
        if (atomic_compare_exchange_weak(&c->own, &own, to | (own & ~(uint32_t)OWN_MASK))) {
            UNCOUNT(c->lt->server, parked, 1);
            return true;
        }
    }
    return false;
}

static void gone_while_parked(struct conn *c)
{
    if (!unpark(c, OWN_LOOP))
        return;
    topics_clear(c->call);
    c->broken = true;
    conn_close(c);
}

static void on_ready(struct loop_io *io, uint32_t events)
{
    struct conn *c = CONTAINER_OF(io, struct conn, io);
    uint32_t bits = SAW_EVENT;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        bits |= SAW_EOF;
    uint32_t own = atomic_fetch_or(&c->own, bits) | bits;
    switch (own & OWN_MASK) {
    case OWN_LOOP:
        own_by_loop(c, own);
        conn_step(c);
        break;
    case OWN_PARKED:
        if (own & SAW_EOF)
            gone_while_parked(c);
        break;
    default:
        break;
    }
}

static void on_arrive(struct loop_msg *msg)
{
    conn_start(CONTAINER_OF(msg, struct conn, arrive_msg));
}

static void on_back(struct loop_msg *msg)
{
    struct conn *c = CONTAINER_OF(msg, struct conn, back_msg);
    c->self_posted = false;
    if (c->freeing) {
        loop_defer(c->lt->loop, &c->free_task);
        return;
    }
    if (c->phase == PHASE_CLOSED)
        return;
    own_by_loop(c, atomic_load(&c->own));
    conn_step(c);
}

static void on_park(struct loop_msg *msg)
{
    struct conn *c = CONTAINER_OF(msg, struct conn, park_msg);
    atomic_store(&c->park_posted, false);
    if (c->freeing) {
        loop_defer(c->lt->loop, &c->free_task);
        return;
    }
    if ((atomic_load(&c->own) & OWN_MASK) == OWN_LOOP)
        return;
    loop_timer_set(c->lt->loop, &c->park_timer, atomic_load(&c->park_until));
}

static void rerun(struct conn *c)
{
    if (!unpark(c, OWN_WORKER))
        return;
    c->call->timed_out = true;
    pool_resubmit(c->lt->server->pool, &c->call->job);
}

static void on_deadline(struct loop_timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, park_timer);
    int64_t until = atomic_load(&c->park_until);
    if (until > loop_now(c->lt->loop))
        loop_timer_set(c->lt->loop, t, until);
    else
        rerun(c);
}

// ---- limits in time

static void sweep_head(struct conn *c, int64_t now)
{
    if (c->in_n == 0 && c->call && now - c->since > IDLE_TRIM_MS) {
        trim(c);
        c->lt->trimmed++;
    }
    if (now < c->deadline)
        return;
    if (c->in_n == 0) {
        conn_close(c);
        return;
    }
    if (!c->call)
        c->call = call_new(c);
    call_begin(c->call);
    memset(&c->call->head, 0, offsetof(struct http1_head, fields));
    c->charged = true;
    COUNT(c->lt->server, in_flight, 1);
    refuse(c, 408, "the request did not arrive in time", false);
    conn_step(c);
}

static void sweep_body(struct conn *c, int64_t now)
{
    const struct http_server_config *cfg = &c->lt->server->cfg;
    int64_t late = now - c->since - cfg->body_grace_ms;
    if (late <= 0 || (int64_t)c->call->body_seen * 1000 >= late * cfg->body_rate)
        return;
    refuse(c, 408, "the request body arrives too slowly", false);
    conn_step(c);
}

static void sweep_sending(struct conn *c, int64_t now)
{
    const struct http_server_config *cfg = &c->lt->server->cfg;
    int64_t late = now - c->since - cfg->write_stall_ms;
    if (now >= c->deadline || (late > 0 && (int64_t)c->sent * 1000 < late * cfg->body_rate))
        conn_close(c);
}

void conn_sweep(struct conn *c, int64_t now)
{
    if ((atomic_load(&c->own) & OWN_MASK) != OWN_LOOP)
        return;
    bool stopped = c->lt->stop_at && now >= c->lt->stop_at;
    switch (c->phase) {
    case PHASE_HEAD:
        if (stopped && c->in_n == 0)
            conn_close(c);
        else
            sweep_head(c, now);
        break;
    case PHASE_BODY:
        sweep_body(c, now);
        break;
    case PHASE_SENDING:
        sweep_sending(c, now);
        break;
    case PHASE_DRAIN:
    case PHASE_LINGER:
        if (now >= c->deadline)
            conn_close(c);
        break;
    case PHASE_CALL:
    case PHASE_CLOSED:
        break;
    }
}

void conn_stop(struct conn *c)
{
    if ((atomic_load(&c->own) & OWN_MASK) == OWN_PARKED)
        rerun(c);
}

void conn_force(struct conn *c)
{
    // Whoever waits on this socket finds it broken at once.
    shutdown(c->io.fd, SHUT_RDWR);
    conn_stop(c);
    if ((atomic_load(&c->own) & OWN_MASK) == OWN_LOOP)
        conn_close(c);
}
