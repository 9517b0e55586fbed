// SPDX-License-Identifier: Apache-2.0
// The HTTP server as a whole: configuration, listeners, loop threads, accepting, stopping,
// counters. Whoever calls http_server_new owns it; each loop thread owns its connections
// (http_conn.c). Any loop accepts and hands the connection to the loop that has the fewest.
#include "net/http_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCEPT_BATCH 32
#define ACCEPT_LAST  65536 // at most, when listeners close: the longest backlog a kernel keeps
#define ACCEPT_RETRY 100   // ms, after running out of descriptors
#define STOP_IDLE_MS 100   // requests that cross with the stop are still answered
#define STOP_TICK_MS 10
#define TICK_MIN     10
#define TICK_MAX     500

const struct http_server_config HTTP_SERVER_DEFAULTS = {
    .loops = 1,
    .workers = 32,
    .queue_max = 1024,
    .connections_max = 10000,
    .target_max = 8192,
    .head_max = 32768,
    .body_max = 10 << 20,
    .arena_max = 64 << 20,
    .head_ms = 10000,
    .idle_ms = 75000,
    .body_rate = 1024,
    .body_grace_ms = 10000,
    .write_stall_ms = 30000,
    .drain_max = 256 << 10,
};

int http_server_new(const struct http_server_config *cfg, struct http_server **ret, struct err *e)
{
    if (!cfg->handler || !cfg->loops || !cfg->workers)
        return err_set(e, E_INVALID, "an HTTP server needs a handler, a loop and a worker");
    struct http_server *s = NEW(struct http_server);
    s->cfg = *cfg;
    s->limits = HTTP1_LIMITS_DEFAULT;
    s->limits.line = cfg->target_max;
    s->limits.head = cfg->head_max;
    pthread_mutex_init(&s->topics, NULL);
    pthread_mutex_init(&s->ending, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->end, &monotonic);
    pthread_condattr_destroy(&monotonic);
    text_random(s->id_prefix, sizeof s->id_prefix);
    for (char *p = s->id_prefix; *p; p++)
        if (*p == '_' || *p == '-')
            *p = 'x';
    s->loops = NEW_ARRAY(struct loop_thread, cfg->loops);
    *ret = s;
    return 0;
}

int http_server_listen_fd(struct http_server *s, int fd, struct err *e)
{
    if (s->nlisten == LISTENERS_MAX)
        return err_set(e, E_LIMIT, "more than %d listeners", LISTENERS_MAX);
    int rc = fd_set_nonblock(fd, true, e);
    if (rc == 0)
        rc = fd_set_cloexec(fd, true, e);
    if (rc < 0)
        return rc;
    uint16_t port = 0;
    bool tcp = fd_tcp_port(fd, &port, NULL) == 0;
    if (tcp && !s->port)
        s->port = port;
    s->listen[s->nlisten].tcp = tcp;
    s->listen[s->nlisten].unix_path = NULL;
    s->listen[s->nlisten++].fd = fd;
    return 0;
}

int http_server_listen_tcp(struct http_server *s, const char *host, uint16_t port, struct err *e)
{
    _autofd_ int fd = -1;
    int rc = fd_listen_tcp(host, port, &fd, e);
    if (rc == 0)
        rc = http_server_listen_fd(s, fd, e);
    if (rc == 0)
        (void)fd_take(&fd);
    return rc;
}

int http_server_listen_unix(struct http_server *s, const char *path, unsigned mode, struct err *e)
{
    _autofd_ int fd = -1;
    int rc = fd_listen_unix(path, (mode_t)mode, &fd, e);
    if (rc == 0)
        rc = http_server_listen_fd(s, fd, e);
    if (rc < 0)
        return rc;
    struct stat st;
    if (stat(path, &st) == 0)
        s->listen[s->nlisten - 1].inode = st.st_ino;
    s->listen[s->nlisten - 1].unix_path = str_dup(str_of(path));
    (void)fd_take(&fd);
    return 0;
}

// A successor may listen under the same name already: its socket stays.
static void unlink_own_socket(struct http_server *s, size_t i)
{
    struct stat st;
    const char *path = s->listen[i].unix_path;
    if (path && lstat(path, &st) == 0 && st.st_ino == s->listen[i].inode)
        unlink(path);
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}

// ---- accepting

static struct loop_thread *least_loaded(struct http_server *s, struct loop_thread *self)
{
    struct loop_thread *best = self;
    size_t least = atomic_load(&self->nconns);
    for (unsigned i = 0; i < s->nloops; i++) {
        size_t n = atomic_load(&s->loops[i].nconns);
        if (n < least) {
            least = n;
            best = &s->loops[i];
        }
    }
    return best;
}

static void set_remote(struct conn *c, const struct sockaddr_storage *sa)
{
    if (sa->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, c->remote,
                  sizeof c->remote);
    else if (sa->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, c->remote,
                  sizeof c->remote);
    else
        memcpy(c->remote, "unix", sizeof "unix");
}

static void turn_away(struct http_server *s, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                                 "Retry-After: 1\r\nConnection: close\r\n\r\n";
    COUNT(s, refused, 1);
    (void)!send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void take(struct listener *li, int fd, const struct sockaddr_storage *sa)
{
    struct loop_thread *self = li->lt;
    struct http_server *s = self->server;
    COUNT(s, accepted, 1);
    if (atomic_load(&s->n.connections) >= s->cfg.connections_max) {
        turn_away(s, fd);
        return;
    }
    if (li->tcp) {
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    // Counted before the look at `stopping`: a loop that saw no connection left and ended did so
    // before this one was given to it, and then `stopping` is set.
    struct loop_thread *lt = least_loaded(s, self);
    atomic_fetch_add(&lt->nconns, 1);
    if (lt != self && atomic_load(&s->stopping)) {
        atomic_fetch_sub(&lt->nconns, 1);
        lt = self;
        atomic_fetch_add(&lt->nconns, 1);
    }
    COUNT(s, connections, 1);
    struct conn *c = conn_new(lt, fd, li->tcp);
    set_remote(c, sa);
    if (lt == self)
        conn_start(c);
    else
        loop_post(lt->loop, &c->arrive_msg);
}

static bool no_descriptor(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// Takes up to `most` connections; returns 0, or the errno that ended it earlier.
static int accept_some(struct listener *li, int most)
{
    for (int i = 0; i < most; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t len = sizeof sa;
        int fd = accept4(li->io.fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            take(li, fd, &sa);
        else if (errno == EAGAIN || errno == EINVAL || no_descriptor(errno)) // EINVAL: shut down
            return errno;
    }
    return 0;
}

static void on_accept(struct loop_io *io, uint32_t events)
{
    struct listener *li = CONTAINER_OF(io, struct listener, io);
    if (no_descriptor(accept_some(li, ACCEPT_BATCH))) {
        // The listener would report itself ready without end.
        loop_io_del(li->lt->loop, io);
        loop_timer_set(li->lt->loop, &li->retry, loop_now(li->lt->loop) + ACCEPT_RETRY);
    }
}

// Who waits in the backlog has been told that the connection stands: closing the listener would
// reset it. It is taken and served like the others that are there at the stop.
static void close_listener(struct http_server *s, struct loop_thread *lt, size_t i)
{
    // A unix socket can refuse newcomers and keep its backlog; not one that others share.
    if (s->listen[i].unix_path)
        (void)shutdown(s->listen[i].fd, SHUT_RD);
    (void)accept_some(&lt->listeners[i], ACCEPT_LAST);
    fd_close(&s->listen[i].fd);
}

static void on_accept_again(struct loop_timer *t)
{
    struct listener *li = CONTAINER_OF(t, struct listener, retry);
    struct loop *l = li->lt->loop;
    if (loop_io_set(l, &li->io, EPOLLIN | EPOLLEXCLUSIVE, NULL) < 0)
        loop_timer_set(l, t, loop_now(l) + ACCEPT_RETRY);
}

// ---- loop threads

static void on_tick(struct loop_timer *t)
{
    struct loop_thread *lt = CONTAINER_OF(t, struct loop_thread, tick);
    int64_t now = loop_now(lt->loop);
    for (struct conn *c = lt->conns, *next; c; c = next) {
        next = c->next;
        conn_sweep(c, now);
    }
    if (lt->trimmed >= TRIM_BATCH) {
        lt->trimmed = 0;
        malloc_trim(0);
    }
    if (lt->conns)
        loop_timer_set(lt->loop, t, now + (lt->stop_at ? STOP_TICK_MS : lt->tick_ms));
}

static void on_stop(struct loop_msg *msg)
{
    struct loop_thread *lt = CONTAINER_OF(msg, struct loop_thread, stop_msg);
    struct http_server *s = lt->server;
    for (size_t i = 0; i < s->nlisten; i++) {
        loop_io_del(lt->loop, &lt->listeners[i].io);
        loop_timer_cancel(lt->loop, &lt->listeners[i].retry);
    }
    // The last loop that lets go of the listeners closes them.
    if (atomic_fetch_sub(&s->listening, 1) == 1)
        for (size_t i = 0; i < s->nlisten; i++)
            close_listener(s, lt, i);
    lt->stop_at = loop_now(lt->loop) + STOP_IDLE_MS;
    for (struct conn *c = lt->conns; c; c = c->next)
        conn_stop(c);
    loop_timer_set(lt->loop, &lt->tick, loop_now(lt->loop) + STOP_TICK_MS);
}

static void on_force(struct loop_msg *msg)
{
    struct loop_thread *lt = CONTAINER_OF(msg, struct loop_thread, force_msg);
    for (struct conn *c = lt->conns, *next; c; c = next) {
        next = c->next;
        conn_force(c);
    }
}

static void *loop_main(void *arg)
{
    struct loop_thread *lt = arg;
    while (!lt->stop_at || atomic_load(&lt->nconns) > 0)
        loop_turn(lt->loop, -1);
    // Messages of connections that ended last.
    loop_turn(lt->loop, 0);
    loop_turn(lt->loop, 0);
    pthread_mutex_lock(&lt->server->ending);
    lt->ended = true;
    pthread_cond_broadcast(&lt->server->end);
    pthread_mutex_unlock(&lt->server->ending);
    return NULL;
}

static int64_t tick_for(const struct http_server_config *cfg)
{
    int64_t least =
        MIN(MIN(cfg->head_ms, cfg->idle_ms), MIN(cfg->body_grace_ms, cfg->write_stall_ms));
    return MAX(MIN(least / 4, TICK_MAX), TICK_MIN);
}

static int prepare_loop(struct http_server *s, struct loop_thread *lt, struct err *e)
{
    lt->server = s;
    lt->tick.on_fire = on_tick;
    lt->tick_ms = tick_for(&s->cfg);
    lt->stop_msg.run = on_stop;
    lt->force_msg.run = on_force;
    int rc = loop_new(&lt->loop, e);
    for (size_t i = 0; i < s->nlisten && rc == 0; i++) {
        struct listener *li = &lt->listeners[i];
        li->lt = lt;
        li->tcp = s->listen[i].tcp;
        li->io.fd = s->listen[i].fd;
        li->io.on_ready = on_accept;
        li->retry.on_fire = on_accept_again;
        rc = loop_io_set(lt->loop, &li->io, EPOLLIN | EPOLLEXCLUSIVE, e);
    }
    return rc;
}

static int start_thread(struct loop_thread *lt, struct err *e)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&lt->thread, NULL, loop_main, lt);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return err_errno(e, rc, "cannot start an HTTP loop thread");
    pthread_setname_np(lt->thread, "http-loop");
    lt->started = true;
    return 0;
}

int http_server_start(struct http_server *s, struct err *e)
{
    int rc = pool_new("http-worker", s->cfg.workers, s->cfg.queue_max, &s->pool, e);
    for (unsigned i = 0; i < s->cfg.loops && rc == 0; i++)
        rc = prepare_loop(s, &s->loops[i], e);
    s->nloops = s->cfg.loops;
    atomic_store(&s->listening, s->nloops);
    s->started = rc == 0;
    for (unsigned i = 0; i < s->nloops && rc == 0; i++)
        rc = start_thread(&s->loops[i], e);
    return rc;
}

static bool ended_by(struct loop_thread *lt, int64_t until)
{
    struct http_server *s = lt->server;
    struct timespec ts = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    int rc = 0;
    pthread_mutex_lock(&s->ending);
    while (!lt->ended && rc == 0)
        rc = pthread_cond_timedwait(&s->end, &s->ending, &ts);
    bool ended = lt->ended;
    pthread_mutex_unlock(&s->ending);
    return ended;
}

void http_server_stop(struct http_server *s, int64_t deadline_ms)
{
    if (!s->started)
        return;
    s->started = false;
    atomic_store(&s->stopping, true);
    for (unsigned i = 0; i < s->nloops; i++)
        if (s->loops[i].started)
            loop_post(s->loops[i].loop, &s->loops[i].stop_msg);
    int64_t until = clock_ms() + deadline_ms;
    for (unsigned i = 0; i < s->nloops; i++) {
        struct loop_thread *lt = &s->loops[i];
        if (!lt->started)
            continue;
        if (!ended_by(lt, until))
            loop_post(lt->loop, &lt->force_msg);
        pthread_join(lt->thread, NULL);
        lt->started = false;
    }
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    http_server_stop(s, 0);
    pool_free(s->pool);
    for (unsigned i = 0; i < s->nloops; i++)
        loop_free(s->loops[i].loop);
    for (size_t i = 0; i < s->nlisten; i++) {
        fd_close(&s->listen[i].fd);
        unlink_own_socket(s, i);
        free(s->listen[i].unix_path);
    }
    pthread_mutex_destroy(&s->topics);
    pthread_mutex_destroy(&s->ending);
    pthread_cond_destroy(&s->end);
    free(s->loops);
    free(s);
}

void http_server_stats(const struct http_server *server, struct http_server_stats *ret)
{
    // Counters are read one by one: each is exact, their sum may be a moment apart.
    struct http_server *s = (struct http_server *)(uintptr_t)server;
    struct counters *n = &s->n;
    *ret = (struct http_server_stats){
        .requests = atomic_load(&n->requests),
        .bytes_in = atomic_load(&n->bytes_in),
        .bytes_out = atomic_load(&n->bytes_out),
        .accepted = atomic_load(&n->accepted),
        .refused = atomic_load(&n->refused),
        .bad = atomic_load(&n->bad),
        .aborted = atomic_load(&n->aborted),
        .connections = atomic_load(&n->connections),
        .in_flight = atomic_load(&n->in_flight),
        .parked = atomic_load(&n->parked),
        .queued = s->pool ? pool_queued(s->pool) : 0,
        .latency_count = atomic_load(&n->latency_count),
        .latency_us_sum = atomic_load(&n->latency_us_sum),
    };
    for (size_t i = 0; i < ARRAY_SIZE(ret->by_class); i++)
        ret->by_class[i] = atomic_load(&n->by_class[i]);
    for (size_t i = 0; i < ARRAY_SIZE(ret->latency_le); i++)
        ret->latency_le[i] = atomic_load(&n->latency_le[i]);
}
