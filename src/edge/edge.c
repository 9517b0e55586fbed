// SPDX-License-Identifier: Apache-2.0
// The role as a whole: reads the addresses, opens the sockets, starts the worker threads and stops
// them in order. The listening sockets are shared by all workers and closed by the last one that
// stops accepting, after it emptied their backlog.
#include "edge/edge.h"

#include "base/clock.h"
#include "base/mem.h"
#include "edge/worker.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define SECOND 1000
const struct edge_config EDGE_DEFAULTS = {
    .domain = "pages.localhost",
    .connections_max = 20000,
    .upstream_max = 4096,
    .upstream_idle = 64,
    .hold_max = 1024,
    .hold_ms = 5 * SECOND,
    .head_ms = 10 * SECOND,
    .idle_ms = 75 * SECOND,
    .body_ms = 20 * SECOND,
    .body_min = 1024,
    .write_ms = 60 * SECOND,
    .connect_ms = 2 * SECOND,
    .answer_ms = 300 * SECOND,
    .tunnel_ms = 3600 * SECOND,
    .upstream_idle_ms = 20 * SECOND,
    .half_close_ms = 200,
    .linger_ms = 2 * SECOND,
    .drain_grace_ms = 500,
};

void edge_notice(struct edge *ed, bool bad, const char *what, const char *detail)
{
    if (ed->cfg.notice)
        ed->cfg.notice(ed->cfg.ctx, bad, what, detail);
}

// "127.0.0.1:8080", "[::1]:8080" -> numeric address and port.
static int split_address(const char *text, char host[64], uint16_t *ret_port, struct err *e)
{
    struct host h;
    uint64_t port;
    if (host_parse(str_of(text), &h, NULL) || !h.port.p || !str_to_u64(h.port, &port) ||
        h.n >= 64 || port > 65535)
        return err_set(e, E_INVALID, "'%s' is not ADDRESS:PORT, such as 127.0.0.1:8080", text);
    struct str name = {h.name, h.n};
    if (name.p[0] == '[')
        name = str_n(name.p + 1, name.n - 2);
    snprintf(host, 64, "%" PRISTR, STRARG(name));
    if (!strcmp(host, "localhost"))
        snprintf(host, 64, "127.0.0.1");
    *ret_port = (uint16_t)port;
    return 0;
}

static int upstream_unix(struct edge *ed, const char *path, struct err *e)
{
    struct sockaddr_un *a = (struct sockaddr_un *)&ed->upstream_addr;
    if (strlen(path) >= sizeof(a->sun_path))
        return err_set(e, E_INVALID, "the upstream's socket path is longer than %zu bytes: %s",
                       sizeof(a->sun_path) - 1, path);
    a->sun_family = AF_UNIX;
    memcpy(a->sun_path, path, strlen(path) + 1);
    ed->upstream_len = sizeof(*a);
    return 0;
}

static int parse_upstream(struct edge *ed, const char *text, struct err *e)
{
    char host[64] = "";
    uint16_t port = 0;
    if (!text)
        return err_set(e, E_INVALID, "an upstream is needed: unix:PATH or ADDRESS:PORT");
    if (!strncmp(text, "unix:", 5))
        return upstream_unix(ed, text + 5, e);
    if (text[0] == '/' || text[0] == '.')
        return upstream_unix(ed, text, e);
    int r = split_address(text, host, &port, e);
    if (r)
        return r;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ed->upstream_addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ed->upstream_addr;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        ed->upstream_len = sizeof(*v4);
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        ed->upstream_len = sizeof(*v6);
    } else {
        return err_set(e, E_INVALID, "the upstream's address '%s' is not numeric", host);
    }
    return 0;
}

static int open_listeners(struct edge *ed, struct err *e)
{
    for (size_t i = 0; i < ed->cfg.nlisten; i++) {
        char host[64] = "";
        uint16_t port = 0;
        int r = split_address(ed->cfg.listen[i], host, &port, e);
        if (!r)
            r = fd_listen_tcp(host, port, &ed->listeners[i], e);
        if (!r)
            r = fd_tcp_port(ed->listeners[i], &ed->ports[i], e);
        if (r)
            return r;
    }
    return ed->cfg.admin ? fd_listen_unix(ed->cfg.admin, 0600, &ed->listeners[EDGE_LISTEN_MAX], e)
                         : 0;
}

static unsigned default_workers(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (unsigned)MIN(n, 4);
}

static int set_up(struct edge *ed, struct err *e)
{
    int r = parse_upstream(ed, ed->cfg.upstream, e);
    if (!r && ed->cfg.pages)
        r = site_root_open(&ed->pages, ed->cfg.pages, e);
    if (!r && (ed->cfg.nlisten == 0 || ed->cfg.nlisten > EDGE_LISTEN_MAX))
        r = err_set(e, E_INVALID, "1 to %d addresses to listen on are needed", EDGE_LISTEN_MAX);
    if (!r)
        r = open_listeners(ed, e);
    if (r)
        return r;
    if (ed->cfg.domain && ed->cfg.domain[0]) {
        if (strlen(ed->cfg.domain) > HOST_MAX - 2)
            return err_set(e, E_INVALID, "the pages domain is too long");
        snprintf(ed->pattern, sizeof(ed->pattern), "*.%s", ed->cfg.domain);
        ed->routes[ed->nroutes++] = (struct route){str_of(ed->pattern), ROUTE_PAGES, 0};
    }
    ed->routes[ed->nroutes++] = (struct route){STR("*"), ROUTE_UPSTREAM, 0};
    unsigned n = ed->cfg.workers ? MIN(ed->cfg.workers, 64U) : default_workers();
    ed->workers = NEW_ARRAY(struct worker, n);
    for (; ed->nworkers < n; ed->nworkers++) {
        r = worker_init(&ed->workers[ed->nworkers], ed, e);
        if (r) {
            worker_done(&ed->workers[ed->nworkers]);
            return r;
        }
    }
    ed->accepting = n;
    return 0;
}

int edge_new(const struct edge_config *cfg, struct edge **ret, struct err *e)
{
    struct edge *ed = NEW(struct edge);
    ed->cfg = *cfg;
    ed->pages.fd = -1;
    for (size_t i = 0; i <= EDGE_LISTEN_MAX; i++)
        ed->listeners[i] = -1;
    int r = set_up(ed, e);
    if (r) {
        edge_free(ed);
        return r;
    }
    *ret = ed;
    return 0;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    worker_run(w);
    return NULL;
}

int edge_start(struct edge *ed, struct err *e)
{
    sigset_t all, old;
    ed->started = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = 0;
    for (unsigned i = 0; i < ed->nworkers && !error; i++) {
        error = pthread_create(&ed->workers[i].thread, NULL, run, &ed->workers[i]);
        ed->workers[i].running = !error;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error ? err_errno(e, error, "starting a worker thread") : 0;
}

uint16_t edge_port(const struct edge *ed, size_t i)
{
    return i < ed->cfg.nlisten ? ed->ports[i] : 0;
}

static void close_listeners(struct edge *ed)
{
    for (size_t i = 0; i <= EDGE_LISTEN_MAX; i++) {
        if (i == EDGE_LISTEN_MAX && ed->listeners[i] >= 0)
            (void)unlink(ed->cfg.admin);
        fd_close(&ed->listeners[i]);
    }
}

void edge_accepting_ended(struct edge *ed)
{
    if (__atomic_sub_fetch(&ed->accepting, 1, __ATOMIC_ACQ_REL) == 0)
        close_listeners(ed);
}

void edge_stop(struct edge *ed, int64_t drain_ms)
{
    __atomic_store_n(&ed->drain_until, clock_ms() + drain_ms, __ATOMIC_RELAXED);
    __atomic_store_n(&ed->draining, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < ed->nworkers; i++)
        if (ed->workers[i].running)
            loop_post(ed->workers[i].loop, &ed->workers[i].drain_msg);
    for (unsigned i = 0; i < ed->nworkers; i++)
        if (ed->workers[i].running) {
            pthread_join(ed->workers[i].thread, NULL);
            ed->workers[i].running = false;
        }
}

void edge_cut(struct edge *ed)
{
    for (unsigned i = 0; i < ed->nworkers; i++)
        loop_post(ed->workers[i].loop, &ed->workers[i].cut_msg);
}

void edge_free(struct edge *ed)
{
    if (!ed)
        return;
    edge_stop(ed, 0);
    for (unsigned i = 0; i < ed->nworkers; i++)
        worker_done(&ed->workers[i]);
    close_listeners(ed);
    site_root_close(&ed->pages);
    free(ed->workers);
    free(ed);
}
