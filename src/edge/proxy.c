// SPDX-License-Identifier: Apache-2.0
// One exchange: the request is parsed and sent on as it arrives, the answer comes back the same
// way, both at once, each side only as fast as the other takes it. Nothing is spooled; what of the
// request still lies in the input buffer can be sent again when that is provably safe
// (forward_may_retry).
#include "edge/worker.h"

#include "base/clock.h"
#include "edge/forward.h"

#include <errno.h>
#include <sys/socket.h>

// Where one direction of an exchange stands.
enum pump {
    PUMP_WAIT,   // for readiness
    PUMP_DONE,   // to the message's end, and sent
    PUMP_BUSY,   // had its share of this turn
    PUMP_FAILED, // see the function
};

// ---- towards the upstream

// The upstream takes no more; its answer, if any, may still be there to read.
static void go_deaf(struct exchange *x)
{
    outq_clear(&x->to_up);
    x->up_deaf = true;
    x->u->can_read = true;
}

static void send_head(struct conn *c)
{
    struct worker *w = c->w;
    struct exchange *x = c->x;
    struct http1_head *h = &w->head;
    struct forward_request f = {
        .client = str_of(c->peer),
        .proto = STR("http"),
        .request_id = str_of(x->request_id),
        .host = h->host,
        .upgrade = x->upgrade,
    };
    buf_clear(&w->scratch);
    forward_request_head(&w->scratch, h, &f);
    x->attempts++;
    x->up_sent = 0;
    x->up_deaf = false;
    x->u->served++;
    http1_response_to(&x->u->parser, h->method);
    outq_clear(&x->to_up);
    if (buf_ok(&w->scratch))
        outq_add_scratch(&x->to_up, buf_str(&w->scratch));
    c->state = CONN_PROXY;
    conn_deadline(c, WAIT_ANSWER, w->cfg->answer_ms);
    if (!buf_ok(&w->scratch)) {
        upstream_close(x->u);
        answer_error(c, 431, "the request's head does not fit when sent on", true, true);
    }
    // The scratch buffer is only lent: what the socket does not take now is copied by the flush.
    else if (outq_flush(&x->to_up, x->u->io.fd, &x->u->can_write, false, &x->up_sent) == E_IO)
        go_deaf(x);
}

bool proxy_reparse(struct conn *c)
{
    struct exchange *x = c->x;
    struct http1_event ev;
    if (!x->replayable)
        return false;
    http1_request_init(&c->parser, &HTTP1_LIMITS_DEFAULT);
    c->in.start = 0;
    do {
        ev = http1_next(&c->parser, &c->w->head, inbuf_unread(&c->in));
        c->in.start += (uint32_t)ev.used;
    } while (ev.type == HTTP1_MORE && ev.used);
    BUG_ON(ev.type != HTTP1_HEAD || c->in.start != x->head_len);
    x->request_done = false;
    x->body_in = x->body_mark = 0;
    if (c->w->head.host.n == 0)
        c->w->head.host = STR("localhost");
    return true;
}

static void attach(struct conn *c, struct upconn *u)
{
    u->x = c->x;
    c->x->u = u;
}

// A connection is there, or on its way, or the client waits. w->head is the request.
static void acquire(struct conn *c)
{
    struct worker *w = c->w;
    struct upconn *u = upstream_take(w);
    if (u) {
        attach(c, u);
        send_head(c);
        return;
    }
    int r = upstream_connect(w, &u);
    if (r) {
        proxy_no_upstream(c);
        return;
    }
    attach(c, u);
    if (u->connecting) {
        c->state = CONN_CONNECT;
        conn_deadline(c, WAIT_CONNECT, w->cfg->connect_ms);
        return;
    }
    send_head(c);
}

void proxy_acquire(struct conn *c)
{
    if (proxy_reparse(c))
        acquire(c);
    else
        answer_error(c, 502, "the request could not be repeated", false, true);
}

void proxy_connected(struct conn *c)
{
    BUG_ON(!proxy_reparse(c)); // nothing was sent, so everything is kept
    send_head(c);
}

void proxy_no_upstream(struct conn *c)
{
    struct worker *w = c->w;
    struct exchange *x = c->x;
    int64_t now = loop_now(w->loop);
    if (!x->hold_until) {
        x->hold_until = now + w->cfg->hold_ms;
        STAT_ADD(w->stats.held, 1);
    }
    if (now >= x->hold_until || w->up.nheld >= w->cfg->hold_max) {
        STAT_ADD(w->stats.hold_expired, 1);
        answer_error(c, 503, "the service behind this edge does not answer; try again shortly",
                     proxy_reparse(c), true);
        return;
    }
    c->state = CONN_HELD;
    conn_deadline(c, WAIT_HOLD, x->hold_until - now);
    upstream_hold(x);
}

void proxy_begin(struct conn *c)
{
    struct worker *w = c->w;
    struct http1_head *h = &w->head;
    struct exchange *x = c->x;
    x->idempotent = forward_idempotent(h->method) || http1_get(h, STR("Idempotency-Key")).p != NULL;
    x->chunked_in = h->body == HTTP1_BODY_CHUNKED;
    // Not h2c: what follows it would pass by every rule of this edge.
    x->upgrade = h->upgrade.p && !http1_list_has(h->upgrade, STR("h2c"));
    w->up.tokens = MIN(w->up.tokens + 1, 5U * 256);
    if (w->up.down && w->up.held) // somebody already knocks: queue up behind
        proxy_no_upstream(c);
    else
        acquire(c);
}

static bool queue_body(struct conn *c, struct err *e)
{
    struct exchange *x = c->x;
    struct http1_head trailer_head; // no head can come from within a body
    while (outq_room(&x->to_up) && !x->request_done) {
        struct http1_event ev = http1_next(&c->parser, &trailer_head, inbuf_unread(&c->in));
        c->in.start += (uint32_t)ev.used;
        if (ev.type == HTTP1_DATA) {
            x->body_in += ev.data.n;
            if (x->chunked_in)
                outq_add_chunk(&x->to_up, ev.data);
            else
                outq_add(&x->to_up, ev.data);
        } else if (ev.type == HTTP1_END) {
            x->request_done = true;
            if (x->chunked_in)
                outq_add(&x->to_up, HTTP1_LAST_CHUNK);
        } else if (ev.type == HTTP1_ERROR) {
            (void)err_set(e, E_INVALID, "%s", c->parser.error);
            return false;
        } else if (ev.type == HTTP1_MORE && ev.used == 0) {
            break;
        } // trailers of requests are dropped (RFC 9110 6.5.1)
    }
    return true;
}

// Room for more of the body; gives up the replay when the buffer is full.
static void make_room(struct conn *c)
{
    struct inbuf *in = &c->in;
    struct exchange *x = c->x;
    if (in->end < BLOCK_SIZE && (x->replayable || in->start < in->end))
        return;
    x->replayable = false;
    if (in->start == in->end) {
        in->start = in->end = 0;
        return;
    }
    memmove(in->p, in->p + in->start, in->end - in->start);
    in->end -= in->start;
    in->start = 0;
}

// PUMP_FAILED: the client broke off (e->code E_IO) or sent a malformed body (E_INVALID).
static enum pump pump_request(struct conn *c, struct err *e)
{
    struct exchange *x = c->x;
    for (int i = 0; i < STEP_BUDGET; i++) {
        if (x->up_deaf || !x->u)
            return PUMP_WAIT;
        int r = outq_flush(&x->to_up, x->u->io.fd, &x->u->can_write, false, &x->up_sent);
        if (r == E_AGAIN)
            return PUMP_WAIT;
        if (r) {
            go_deaf(x);
            return PUMP_WAIT;
        }
        if (x->request_done)
            return PUMP_DONE;
        if (!queue_body(c, e))
            return PUMP_FAILED;
        if (!outq_empty(&x->to_up) || x->request_done)
            continue;
        if (!c->can_read)
            return PUMP_WAIT;
        make_room(c);
        int n = inbuf_read(c->w, &c->in, c->io.fd, &c->can_read, c->half_closed);
        if (n == 0 || n == E_IO) {
            (void)err_set(e, E_IO, "the client broke off within the request");
            return PUMP_FAILED;
        }
        BUG_ON(n == E_LIMIT);
    }
    return PUMP_BUSY;
}

// ---- towards the client

static void queue_final_head(struct conn *c)
{
    struct worker *w = c->w;
    struct exchange *x = c->x;
    struct http1_head *h = &w->head;
    x->begun = true;
    x->status = h->status;
    x->up_keep_alive = h->keep_alive;
    x->tunnel = h->status == 101;
    x->until_close = h->body == HTTP1_BODY_UNTIL_CLOSE && !x->tunnel;
    bool framed = h->body != HTTP1_BODY_CHUNKED && h->body != HTTP1_BODY_UNTIL_CLOSE;
    x->chunked_out = !framed && x->minor > 0;
    // HTTP/1.0 knows no chunks: there the end of the connection is the end of the body. A request
    // that the upstream answers before it has taken it whole ends the connection too.
    if (w->draining || (!framed && x->minor == 0) || x->up_deaf)
        x->close = true;
    x->stream =
        x->chunked_out && str_starts(http1_get(h, STR("Content-Type")), STR("text/event-stream"));
    struct forward_response f = {
        .to_head = x->get_head,
        .client_minor = x->minor,
        .keep_alive = x->keep_alive && !x->close,
        .chunked = x->chunked_out,
        .tunnel = x->tunnel,
    };
    buf_clear(&w->scratch);
    forward_response_head(&w->scratch, h, &f);
    outq_add_scratch(&x->to_client, buf_str(&w->scratch));
}

// False when the upstream's head cannot be passed on.
static bool queue_head(struct conn *c)
{
    struct worker *w = c->w;
    struct exchange *x = c->x;
    struct http1_head *h = &w->head;
    if (h->status == 101 && !x->upgrade)
        return false;
    if (h->status >= 200 || h->status == 101) {
        queue_final_head(c);
        return buf_ok(&w->scratch);
    }
    if (x->minor == 0)
        return true; // HTTP/1.0 knows no interim answers
    struct forward_response f = {.client_minor = 1};
    buf_clear(&w->scratch);
    forward_response_head(&w->scratch, h, &f);
    outq_add_scratch(&x->to_client, buf_str(&w->scratch));
    return buf_ok(&w->scratch);
}

static void queue_trailer(struct exchange *x, struct str name, struct str value)
{
    if (!x->chunked_out || !forward_trailer(name))
        return;
    if (!x->trailers)
        outq_add(&x->to_client, STR("0\r\n"));
    x->trailers = true;
    // Name, colon and value stand in one piece, on one line.
    outq_add(&x->to_client, str_n(name.p, (size_t)(value.p + value.n - name.p)));
    outq_add(&x->to_client, STR("\r\n"));
}

static void queue_end(struct exchange *x)
{
    x->done = true;
    if (x->chunked_out)
        outq_add(&x->to_client, x->trailers ? STR("\r\n") : HTTP1_LAST_CHUNK);
}

// Parses what the upstream sent. False: it is broken.
static bool queue_answer(struct conn *c, struct http1_event ev)
{
    struct exchange *x = c->x;
    struct upconn *u = x->u;
    for (;;) {
        u->in.start += (uint32_t)ev.used;
        switch (ev.type) {
        case HTTP1_HEAD:
            if (!queue_head(c))
                return false;
            if (x->to_client.scratch >= 0 && !x->begun)
                return true; // an interim answer uses the scratch buffer: send it first
            break;
        case HTTP1_DATA:
            if (x->chunked_out)
                outq_add_chunk(&x->to_client, ev.data);
            else
                outq_add(&x->to_client, ev.data);
            break;
        case HTTP1_TRAILER:
            queue_trailer(x, ev.data, ev.value);
            break;
        case HTTP1_END:
            queue_end(x);
            return true;
        case HTTP1_MORE:
            if (ev.used == 0)
                return true;
            break;
        case HTTP1_ERROR:
            return false;
        }
        if (!outq_room(&x->to_client))
            return true;
        ev = http1_next(&u->parser, &c->w->head, inbuf_unread(&u->in));
    }
}

static void make_answer_room(struct inbuf *in)
{
    if (in->start == in->end) {
        in->start = in->end = 0;
        return;
    }
    if (in->start == 0)
        return;
    memmove(in->p, in->p + in->start, in->end - in->start);
    in->end -= in->start;
    in->start = 0;
}

// PUMP_FAILED: e->code E_IO: the client is gone; E_BUSY: the upstream broke off, before x->begun or
// after; E_INVALID: what it sends is no HTTP. *ret_errno is the system's word for E_BUSY.
static enum pump pump_answer(struct conn *c, struct err *e, int *ret_errno)
{
    struct exchange *x = c->x;
    struct upconn *u = x->u;
    *ret_errno = 0;
    for (int i = 0; i < STEP_BUDGET; i++) {
        int r = outq_flush(&x->to_client, c->io.fd, &c->can_write, false, &x->sent);
        if (r == E_AGAIN)
            return PUMP_WAIT;
        if (r) {
            (void)err_set(e, E_IO, "the client is gone");
            return PUMP_FAILED;
        }
        if (x->done)
            return PUMP_DONE;
        if (u->in.start < u->in.end) {
            struct http1_event ev = http1_next(&u->parser, &c->w->head, inbuf_unread(&u->in));
            if (!queue_answer(c, ev)) {
                (void)err_set(e, E_INVALID, "%s", u->parser.error ? u->parser.error : "bad head");
                return PUMP_FAILED;
            }
            if (!outq_empty(&x->to_client) || x->done)
                continue;
        }
        if (!u->can_read) {
            inbuf_trim(c->w, &u->in);
            return PUMP_WAIT;
        }
        make_answer_room(&u->in);
        int n = inbuf_read(c->w, &u->in, u->io.fd, &u->can_read, u->half_closed);
        if (n == E_LIMIT) {
            (void)err_set(e, E_INVALID, "the upstream's head is too large");
            return PUMP_FAILED;
        }
        if (n == E_AGAIN)
            continue;
        if (n == 0 && x->until_close) {
            (void)queue_answer(c, http1_eof(&u->parser));
            x->up_keep_alive = false;
            continue;
        }
        if (n == 0 || n == E_IO) {
            *ret_errno = n == 0 ? 0 : errno;
            (void)err_set(e, E_BUSY, "the upstream closed the connection");
            return PUMP_FAILED;
        }
    }
    // A head in the scratch buffer must not outlive this step; an error comes again with the next.
    (void)!outq_flush(&x->to_client, c->io.fd, &c->can_write, false, &x->sent);
    return PUMP_BUSY;
}

// ---- what to do when it fails, and when it ends

static void answer_failed(struct conn *c, const struct err *e, int error)
{
    struct worker *w = c->w;
    struct exchange *x = c->x;
    if (x->begun) { // the client must notice that this is not the end
        STAT_ADD(w->stats.cut, 1);
        edge_conn_close(c, true);
        return;
    }
    struct failure f = {
        .idempotent = x->idempotent,
        .connected = true,
        .unreceived =
            e->code == E_BUSY &&
            (x->up_sent == 0 || upstream_unreceived(x->u, x->body_in > 0 || x->chunked_in, error)),
        .replayable = x->replayable && !x->tunnel,
        .attempts = x->attempts,
    };
    // What is not HTTP was an answer nevertheless.
    bool again = e->code == E_BUSY;
    f.budget = again && upstream_retry_budget(w);
    again = again && forward_may_retry(&f);
    upstream_close(x->u);
    if (!again) {
        STAT_ADD(w->stats.retries_denied, 1);
        answer_error(c, 502,
                     e->code == E_INVALID ? "the service behind this edge gave a broken answer"
                                          : "the service behind this edge broke off",
                     proxy_reparse(c), true);
        return;
    }
    if (f.unreceived)
        STAT_ADD(w->stats.retries_unsent, 1);
    else
        STAT_ADD(w->stats.retries_idempotent, 1);
    // On a fresh connection: what killed one pooled connection killed its siblings.
    while (w->up.idle)
        upstream_close(w->up.idle);
    proxy_acquire(c);
}

static void request_failed(struct conn *c, const struct err *e)
{
    struct exchange *x = c->x;
    if (e->code == E_IO || x->begun) {
        edge_conn_close(c, x->begun);
        return;
    }
    upstream_close(x->u);
    STAT_ADD(c->w->stats.bad_requests, 1);
    answer_error(c, c->parser.status ? c->parser.status : 400, e->msg, false, true);
}

static void answer_complete(struct conn *c)
{
    struct exchange *x = c->x;
    struct upconn *u = x->u;
    u->sent_before += x->up_sent;
    bool surplus = u->in.start < u->in.end;
    if (surplus)
        STAT_ADD(c->w->stats.upstream_surplus, 1);
    if (x->up_keep_alive && x->request_done && !x->up_deaf && outq_empty(&x->to_up) && !surplus)
        upstream_put(u);
    else
        upstream_close(u);
    conn_end_exchange(c);
}

// An event stream ends at a drain between two events; its client connects again by itself.
static bool end_stream(struct conn *c)
{
    struct exchange *x = c->x;
    if (!c->w->draining || !x->stream || x->done || !outq_empty(&x->to_client) ||
        c->x->u->in.start < c->x->u->in.end)
        return false;
    x->up_keep_alive = false;
    x->close = true;
    queue_end(x);
    return true;
}

static void set_deadline(struct conn *c)
{
    struct exchange *x = c->x;
    const struct edge_config *cfg = c->w->cfg;
    if (!outq_empty(&x->to_client)) {
        conn_deadline(c, WAIT_WRITE, cfg->write_ms);
    } else if (!x->request_done && !x->begun && outq_empty(&x->to_up) && !x->up_deaf) {
        if (c->wait != WAIT_BODY) {
            x->body_mark = x->body_in;
            conn_deadline(c, WAIT_BODY, cfg->body_ms);
        }
    } else if (c->half_closed && !x->begun && x->request_done) {
        if (c->wait != WAIT_GONE)
            conn_deadline(c, WAIT_GONE, cfg->half_close_ms);
    } else {
        conn_deadline(c, WAIT_ANSWER, cfg->answer_ms);
    }
}

enum step proxy_step(struct conn *c)
{
    struct exchange *x = c->x;
    struct err e = ERR_INIT;
    int error;
    enum pump up = pump_request(c, &e);
    if (up == PUMP_FAILED) {
        request_failed(c, &e);
        return STEP_AGAIN;
    }
    (void)end_stream(c);
    enum pump down = pump_answer(c, &e, &error);
    if (down == PUMP_FAILED) {
        if (e.code == E_IO)
            edge_conn_close(c, false);
        else
            answer_failed(c, &e, error);
        return STEP_AGAIN;
    }
    if (down == PUMP_DONE && x->tunnel) {
        c->state = CONN_TUNNEL;
        STAT_ADD(c->w->stats.tunnels, 1);
        // The kept head is not the tunnel's.
        x->replayable = false;
        conn_deadline(c, WAIT_TUNNEL, c->w->cfg->tunnel_ms);
        return STEP_AGAIN;
    }
    if (down == PUMP_DONE) {
        answer_complete(c);
        return STEP_AGAIN;
    }
    if (up == PUMP_BUSY || down == PUMP_BUSY) {
        worker_again(c->w, c);
        return STEP_WAIT;
    }
    if (x->begun && x->request_done) { // the request will not be needed again
        x->replayable = false;
        inbuf_trim(c->w, &c->in);
    }
    set_deadline(c);
    return STEP_WAIT;
}

void proxy_timeout(struct conn *c)
{
    struct worker *w = c->w;
    struct exchange *x = c->x;
    STAT_ADD(w->stats.timeouts, 1);
    switch ((enum conn_wait)c->wait) {
    case WAIT_BODY:
        if (x->body_in - x->body_mark >= w->cfg->body_min) {
            x->body_mark = x->body_in;
            conn_deadline(c, WAIT_BODY, w->cfg->body_ms);
            return;
        }
        if (x->u)
            upstream_close(x->u);
        answer_error(c, 408, "the request's body came too slowly", proxy_reparse(c), true);
        break;
    case WAIT_CONNECT:
        if (x->u)
            upstream_close(x->u);
        upstream_is_down(w, "connecting took too long");
        proxy_no_upstream(c);
        break;
    case WAIT_HOLD:
        upstream_unhold(x);
        proxy_no_upstream(c); // its time is over: answers
        break;
    default: // WAIT_ANSWER, WAIT_TUNNEL
        if (x->begun) {
            STAT_ADD(w->stats.cut, 1);
            edge_conn_close(c, true);
            return;
        }
        if (x->u)
            upstream_close(x->u);
        answer_error(c, 504, "the service behind this edge took too long to answer",
                     proxy_reparse(c), true);
        break;
    }
    edge_conn_step(c);
}

void proxy_abandon(struct conn *c)
{
    edge_conn_close(c, false);
}

// ---- upgraded connections

struct side {
    struct inbuf *in;
    int from, to;
    bool *can_read, *can_write, *fin;
    struct outq *out;
    uint64_t *count;
};

// PUMP_DONE: this direction has ended; PUMP_FAILED: the connection broke.
static enum pump pump_raw(struct worker *w, const struct side *s)
{
    for (int i = 0; i < STEP_BUDGET; i++) {
        int r = outq_flush(s->out, s->to, s->can_write, false, s->count);
        if (r)
            return r == E_AGAIN ? PUMP_WAIT : PUMP_FAILED;
        if (*s->fin)
            return PUMP_DONE;
        if (s->in->start < s->in->end) {
            outq_add(s->out, inbuf_unread(s->in));
            s->in->start = s->in->end;
            continue;
        }
        if (s->in->p)
            s->in->start = s->in->end = 0;
        if (!*s->can_read) {
            inbuf_release(w, s->in);
            return PUMP_WAIT;
        }
        int n = inbuf_read(w, s->in, s->from, s->can_read, true);
        if (n == E_IO)
            return PUMP_FAILED;
        if (n == 0) {
            *s->can_read = false;
            *s->fin = true;
            (void)shutdown(s->to, SHUT_WR);
        }
    }
    return PUMP_BUSY;
}

enum step tunnel_step(struct conn *c)
{
    struct exchange *x = c->x;
    struct upconn *u = x->u;
    struct side up = {&c->in,        c->io.fd,       u->io.fd,  &c->can_read,
                      &u->can_write, &x->client_fin, &x->to_up, &x->body_in};
    struct side down = {&u->in,        u->io.fd,   c->io.fd,      &u->can_read,
                        &c->can_write, &x->up_fin, &x->to_client, &x->sent};
    enum pump a = pump_raw(c->w, &up), b = pump_raw(c->w, &down);
    if (a == PUMP_FAILED || b == PUMP_FAILED || (a == PUMP_DONE && b == PUMP_DONE)) {
        edge_conn_close(c, false);
        return STEP_WAIT;
    }
    if (a == PUMP_BUSY || b == PUMP_BUSY)
        worker_again(c->w, c);
    conn_deadline(c, WAIT_TUNNEL, c->w->cfg->tunnel_ms);
    return STEP_WAIT;
}
