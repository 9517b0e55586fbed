// SPDX-License-Identifier: Apache-2.0
// Connections to the upstream: a pool of idle ones, newest first, and a queue of requests that wait
// while nobody listens there, so that a restart of the server is a pause and not an error. An idle
// connection on which anything arrives is closed: nobody asked for it.
#include "edge/worker.h"

#include "base/clock.h"
#include "base/mem.h"
#include "os/fd.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define PROBE_FIRST_MS 2
#define PROBE_MOST_MS  10 // a refused connect costs microseconds; waiting requests cost more
#define SWEEP_MS       5000
#define BUDGET_MAX     (5 * 256) // fifths of a retry: each request earns one, so 20 % may be retried

static void upconn_free(struct loop_task *task)
{
    free(CONTAINER_OF(task, struct upconn, freeing));
}

static void unlink_idle(struct upconn *u)
{
    struct upstream *up = &u->w->up;
    if (u->prev)
        u->prev->next = u->next;
    else
        up->idle = u->next;
    if (u->next)
        u->next->prev = u->prev;
    else
        up->oldest = u->prev;
    u->prev = u->next = NULL;
    up->nidle--;
}

void upstream_close(struct upconn *u)
{
    struct worker *w = u->w;
    if (u->gone)
        return;
    u->gone = true;
    if (u->x)
        u->x->u = NULL;
    else
        unlink_idle(u);
    u->x = NULL;
    inbuf_release(w, &u->in);
    loop_io_del(w->loop, &u->io);
    fd_close(&u->io.fd);
    w->up.total--;
    STAT_SUB(w->stats.upstream_connections, 1);
    loop_defer(w->loop, &u->freeing);
}

static void on_ready(struct loop_io *io, uint32_t events)
{
    struct upconn *u = CONTAINER_OF(io, struct upconn, io);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        u->can_read = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        u->can_write = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        u->half_closed = true;
    if (!u->x) {
        if (!u->can_read)
            return;
        if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
            STAT_ADD(u->w->stats.upstream_surplus, 1);
        upstream_close(u);
        return;
    }
    struct conn *c = u->x->c;
    if (u->connecting) {
        int error = 0;
        socklen_t n = sizeof(error);
        if (!(events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
            return;
        u->connecting = false;
        if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &n) || error) {
            upstream_close(u);
            upstream_is_down(c->w, strerror(error));
            proxy_no_upstream(c);
        } else {
            upstream_is_up(c->w);
            proxy_connected(c);
        }
    }
    edge_conn_step(c);
}

struct upconn *upstream_take(struct worker *w)
{
    struct upconn *u = w->up.idle;
    if (!u)
        return NULL;
    unlink_idle(u);
    STAT_ADD(w->stats.upstream_reused, 1);
    return u;
}

void upstream_put(struct upconn *u)
{
    struct worker *w = u->w;
    struct upstream *up = &w->up;
    u->x->u = NULL;
    u->x = NULL;
    inbuf_release(w, &u->in);
    u->prev = NULL;
    u->next = up->idle;
    if (u->next)
        u->next->prev = u;
    else
        up->oldest = u;
    up->idle = u;
    up->nidle++;
    u->idle_since = loop_now(w->loop);
    if (u->can_read || u->half_closed ||
        w->draining) // the peer already closed, or sent what nobody asked for
        upstream_close(u);
    else if (up->nidle > w->cfg->upstream_idle)
        upstream_close(up->oldest);
    else if (!loop_timer_armed(&up->sweep))
        loop_timer_set(w->loop, &up->sweep, u->idle_since + SWEEP_MS);
}

static void on_sweep(struct loop_timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, up.sweep);
    int64_t now = loop_now(w->loop);
    while (w->up.oldest && now - w->up.oldest->idle_since >= w->cfg->upstream_idle_ms)
        upstream_close(w->up.oldest);
    if (w->up.oldest)
        loop_timer_set(w->loop, t, now + SWEEP_MS);
}

int upstream_connect(struct worker *w, struct upconn **ret)
{
    const struct sockaddr *addr = (const struct sockaddr *)&w->up.addr;
    if (w->up.total >= w->cfg->upstream_max)
        return E_LIMIT;
    _autofd_ int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return E_LIMIT;
    if (addr->sa_family != AF_UNIX) {
        int one = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    bool connecting = false;
    if (connect(fd, addr, w->up.addr_len)) {
        int error = errno;
        if (error == EAGAIN) // a unix socket whose backlog is full
            return E_BUSY;
        if (error != EINPROGRESS) {
            upstream_is_down(w, strerror(error));
            return E_IO;
        }
        connecting = true;
    }
    struct upconn *u = NEW(struct upconn);
    *u = (struct upconn){.w = w, .connecting = connecting, .can_write = !connecting};
    u->io.fd = fd_take(&fd);
    u->io.on_ready = on_ready;
    u->freeing.run = upconn_free;
    http1_response_init(&u->parser, &HTTP1_LIMITS_DEFAULT);
    if (loop_io_set(w->loop, &u->io, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, NULL)) {
        fd_close(&u->io.fd);
        free(u);
        return E_LIMIT;
    }
    w->up.total++;
    STAT_ADD(w->stats.upstream_connects, 1);
    STAT_ADD(w->stats.upstream_connections, 1);
    if (!connecting)
        upstream_is_up(w);
    *ret = u;
    return 0;
}

// TCP counts the bytes that the peer's kernel acknowledged, and the SYN as one: what was not
// acknowledged was never delivered. A unix socket has no such count, but reports ECONNRESET when,
// and only when, the peer closed with bytes unread: for a request that is nothing but a head, the
// head then was not whole.
bool upstream_unreceived(const struct upconn *u, bool has_body, int error)
{
    if (u->w->up.addr.ss_family == AF_UNIX)
        return error == ECONNRESET && !has_body;
    struct tcp_info info;
    socklen_t n = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (getsockopt(u->io.fd, IPPROTO_TCP, TCP_INFO, &info, &n) ||
        n < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
        return false;
    return info.tcpi_bytes_acked <= u->sent_before + 1;
}

// ---- waiting for an upstream that is not there

void upstream_hold(struct exchange *x)
{
    struct upstream *up = &x->c->w->up;
    x->held = true;
    x->hold_next = NULL;
    x->hold_prev = up->held_last;
    if (up->held_last)
        up->held_last->hold_next = x;
    else
        up->held = x;
    up->held_last = x;
    up->nheld++;
    STAT_ADD(x->c->w->stats.held_now, 1);
    if (!loop_timer_armed(&up->probe))
        loop_timer_set(x->c->w->loop, &up->probe, clock_ms() + up->probe_ms);
}

void upstream_unhold(struct exchange *x)
{
    struct upstream *up = &x->c->w->up;
    if (x->hold_prev)
        x->hold_prev->hold_next = x->hold_next;
    else
        up->held = x->hold_next;
    if (x->hold_next)
        x->hold_next->hold_prev = x->hold_prev;
    else
        up->held_last = x->hold_prev;
    x->hold_next = x->hold_prev = NULL;
    x->held = false;
    up->nheld--;
    STAT_SUB(x->c->w->stats.held_now, 1);
}

// Lets held requests try, oldest first, until one has to go on waiting.
static void on_probe(struct loop_timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, up.probe);
    for (size_t n = w->up.nheld; n && w->up.held; n--) {
        struct conn *c = w->up.held->c;
        upstream_unhold(c->x);
        proxy_acquire(c);
        if (c->state == CONN_HELD)
            break;
        edge_conn_step(c);
        if (w->up.down)
            break; // a connection is on its way and will tell
    }
    w->up.probe_ms = MIN(w->up.probe_ms * 2, PROBE_MOST_MS);
    if (w->up.held && !loop_timer_armed(t))
        loop_timer_set(w->loop, t, clock_ms() + w->up.probe_ms);
}

void upstream_is_down(struct worker *w, const char *why)
{
    STAT_ADD(w->stats.upstream_failures, 1);
    if (w->up.down)
        return;
    w->up.down = true;
    w->up.probe_ms = PROBE_FIRST_MS;
    while (w->up.idle) // its siblings are dead too
        upstream_close(w->up.idle);
    edge_notice(w->edge, true, "upstream down", why);
}

void upstream_is_up(struct worker *w)
{
    if (!w->up.down)
        return;
    w->up.down = false;
    w->up.probe_ms = PROBE_FIRST_MS;
    edge_notice(w->edge, false, "upstream up", "");
    if (w->up.held) // the others follow in the next turn
        loop_timer_set(w->loop, &w->up.probe, loop_now(w->loop));
}

bool upstream_retry_budget(struct worker *w)
{
    if (w->up.tokens < 5)
        return false;
    w->up.tokens -= 5;
    return true;
}

void upstream_init(struct worker *w)
{
    w->up.addr = w->edge->upstream_addr;
    w->up.addr_len = w->edge->upstream_len;
    w->up.probe_ms = PROBE_FIRST_MS;
    w->up.probe.on_fire = on_probe;
    w->up.sweep.on_fire = on_sweep;
    w->up.tokens = BUDGET_MAX;
}

void upstream_done(struct worker *w)
{
    while (w->up.idle)
        upstream_close(w->up.idle);
}
