// SPDX-License-Identifier: Apache-2.0
// The front door: listeners, routing by host, published pages from disk, everything else to the
// upstream server over pooled connections. Worker threads share nothing but the listening sockets.
#pragma once

#include "base/err.h"
#include "base/str.h"

struct edge;

#define EDGE_LISTEN_MAX 8

// All durations in milliseconds, all sizes in bytes. Start from EDGE_DEFAULTS.
struct edge_config {
    const char *listen[EDGE_LISTEN_MAX]; // "127.0.0.1:8080", "[::1]:8080"; port 0: kernel's choice
    size_t nlisten;
    const char *admin;    // unix socket for /metrics and /-/health; NULL: none
    const char *upstream; // "unix:/path", "/path" or "address:port"
    const char *pages;    // the pages folder (edge/site.h); NULL: no pages
    const char *domain;   // pages stand at <namespace>.<domain>: "pages.localhost"
    unsigned workers;     // threads; 0: one per core, at most 4

    size_t connections_max;   // client connections in all; more wait in the kernel's backlog
    size_t upstream_max;      // connections to the upstream per worker; above: held
    size_t upstream_idle;     // idle ones kept per worker
    size_t hold_max;          // requests per worker that wait for an upstream; above: 503
    int64_t hold_ms;          // how long such a request waits: 503
    int64_t head_ms;          // first byte of a request to its complete head: 408
    int64_t idle_ms;          // keep-alive connection without a request: closed
    int64_t body_ms;          // window in which a request body must bring body_min bytes: 408
    uint64_t body_min;        //
    int64_t write_ms;         // a client that takes no byte for so long is cut
    int64_t connect_ms;       // one attempt to connect to the upstream
    int64_t answer_ms;        // silence of the upstream, before or within an answer: 504 or cut
    int64_t tunnel_ms;        // silence of both sides of an upgraded connection
    int64_t upstream_idle_ms; // pooled upstream connections are closed after this
    int64_t half_close_ms;  // a client that closed its side still gets an answer that begins within
    int64_t linger_ms;      // reading on after the last answer, so that the client sees it whole
    int64_t drain_grace_ms; // while draining: listeners and idle connections stay open this long

    // What an operator should know ("upstream down", detail); any worker thread; may be NULL.
    void (*notice)(void *ctx, bool bad, const char *what, const char *detail);
    void *ctx;
};
extern const struct edge_config EDGE_DEFAULTS;

// Opens the listeners; the configuration is copied, its strings must stay.
int edge_new(const struct edge_config *cfg, struct edge **ret, struct err *e) MUST_USE;
// Starts the threads.
int edge_start(struct edge *ed, struct err *e) MUST_USE;
// The port of listener `i`.
uint16_t edge_port(const struct edge *ed, size_t i);
// Graceful: answers carry `Connection: close`; listeners close after the grace time, what was
// accepted is served; connections still busy after `drain_ms` are cut. Returns when all is over.
void edge_stop(struct edge *ed, int64_t drain_ms);
// Any thread, also from a signal-handling thread during edge_stop: cuts what is left at once.
void edge_cut(struct edge *ed);
void edge_free(struct edge *ed);
