// SPDX-License-Identifier: Apache-2.0
// A raw client for server tests: bytes in, bytes out, with deadlines; and a server to talk to.
#pragma once

#include "../../lib/test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "net/http_server.h"
#include "os/fd.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 20000

struct peer {
    int fd;
    struct buf in;         // received, not yet consumed
    struct buf last, body; // what peer_until and peer_answer returned
};

static inline struct http_server *serve(http_handler handler, void *ctx,
                                        const struct http_server_config *with)
{
    struct http_server_config cfg = with ? *with : HTTP_SERVER_DEFAULTS;
    cfg.handler = handler;
    cfg.ctx = ctx;
    struct http_server *s;
    struct err e = ERR_INIT;
    if (http_server_new(&cfg, &s, &e) < 0 || http_server_listen_tcp(s, "127.0.0.1", 0, &e) < 0 ||
        http_server_start(s, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

static inline struct peer peer_open(const struct http_server *s)
{
    struct peer p = {
        .fd = -1, .in = BUF_INIT(MIB(64)), .last = BUF_INIT(MIB(64)), .body = BUF_INIT(MIB(64))};
    struct err e = ERR_INIT;
    if (fd_connect_tcp("127.0.0.1", http_server_port(s), &p.fd, &e) < 0)
        fail_msg("%s", e.msg);
    return p;
}

static inline void peer_close(struct peer *p)
{
    fd_close(&p->fd);
    buf_done(&p->in);
    buf_done(&p->last);
    buf_done(&p->body);
}

static inline void peer_send(struct peer *p, struct str s)
{
    while (s.n) {
        ssize_t n = send(p->fd, s.p, s.n, MSG_NOSIGNAL);
        if (n < 0)
            return; // the server cut it: what it said is still to be read
        s = str_from(s, (size_t)n);
    }
}

static inline void peer_says(struct peer *p, const char *text)
{
    peer_send(p, str_of(text));
}

// False at the end of the stream.
static inline bool peer_more(struct peer *p, int patience_ms)
{
    struct pollfd pf = {.fd = p->fd, .events = POLLIN};
    int n;
    do {
        n = poll(&pf, 1, patience_ms);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        fail_msg("no answer within %d ms; so far: %s", patience_ms, p->in.p);
    char *to = buf_reserve(&p->in, KIB(64));
    assert_non_null(to);
    ssize_t got = recv(p->fd, to, KIB(64), 0);
    if (got <= 0)
        return false;
    buf_commit(&p->in, (size_t)got);
    return true;
}

// Waits until `text` arrived; consumes up to and with it and returns what was consumed (valid until
// the next call on this peer).
static inline struct str peer_until(struct peer *p, const char *text)
{
    ptrdiff_t at;
    while ((at = str_search(buf_str(&p->in), str_of(text))) < 0)
        if (!peer_more(p, PATIENCE_MS))
            fail_msg("closed before \"%s\"; got: %s", text, p->in.p);
    size_t n = (size_t)at + strlen(text);
    buf_clear(&p->last);
    buf_add(&p->last, str_head(buf_str(&p->in), n));
    buf_shift(&p->in, n);
    return buf_str(&p->last);
}

// Reads to the end of the stream; the rest is in p->in.
static inline struct str peer_rest(struct peer *p)
{
    while (peer_more(p, PATIENCE_MS))
        ;
    return buf_str(&p->in);
}

// One answer with Content-Length: returns its status, the body goes to *ret_body (until next call).
static inline int peer_answer(struct peer *p, struct str *ret_body)
{
    struct str head = peer_until(p, "\r\n\r\n");
    int status = 0;
    for (size_t i = 9; i < 12 && i < head.n; i++)
        status = status * 10 + (head.p[i] - '0');
    ptrdiff_t at = str_search(head, STR("Content-Length: "));
    uint64_t n = 0;
    if (at >= 0) {
        struct str rest = str_from(head, (size_t)at + 16), digits;
        str_cut(&rest, '\r', &digits);
        assert_true(str_to_u64(digits, &n));
    }
    while (p->in.n < n)
        if (!peer_more(p, PATIENCE_MS))
            fail_msg("the body was cut at %zu of %llu", p->in.n, (unsigned long long)n);
    buf_clear(&p->body);
    buf_add(&p->body, str_head(buf_str(&p->in), n));
    buf_shift(&p->in, n);
    if (ret_body)
        *ret_body = buf_str(&p->body);
    return status;
}

// Waits for a condition with a deadline: WAIT_FOR(stats.parked == 3)
#define WAIT_FOR(cond)                                                                             \
    do {                                                                                           \
        int64_t until_ = clock_ms() + PATIENCE_MS;                                                 \
        while (!(cond)) {                                                                          \
            if (clock_ms() > until_)                                                               \
                fail_msg("never true: %s", #cond);                                                 \
            usleep(1000);                                                                          \
        }                                                                                          \
    } while (0)

static inline struct http_server_stats stats_of(const struct http_server *s)
{
    struct http_server_stats st;
    http_server_stats(s, &st);
    return st;
}
