// SPDX-License-Identifier: Apache-2.0
// The server over real sockets: framing, bodies, streams, limits, pipelining.
#include "peer.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

static int echo(struct http_call *c, void *ctx)
{
    struct err e = ERR_INIT;
    if (str_is(http_path(c), "/hello")) {
        http_send(c, "text/plain", STR("hello\n"));
        return HTTP_DONE;
    }
    if (str_is(http_path(c), "/stream")) {
        if (http_begin(c, "text/plain", &e) < 0)
            return HTTP_DONE;
        for (int i = 0; i < 3; i++)
            if (http_write(c, STR("piece"), &e) < 0)
                return HTTP_DONE;
        return HTTP_DONE;
    }
    if (str_is(http_path(c), "/unread")) {
        http_status(c, 403);
        http_send(c, "text/plain", STR("no\n"));
        return HTTP_DONE;
    }
    if (str_is(http_path(c), "/silent"))
        return HTTP_DONE;
    _autobuf_ struct buf body = BUF_INIT(MIB(32));
    int rc = http_read_all(c, &body, &e);
    if (rc < 0)
        http_fail(c, err_http_status(rc), "%s", e.msg);
    else
        http_send(c, "application/octet-stream", buf_str(&body));
    return HTTP_DONE;
}

static void answers(void **state)
{
    struct http_server *s = serve(echo, NULL, NULL);
    struct peer p = peer_open(s);
    struct str body;
    peer_says(&p, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: abc-1\r\n\r\n");
    struct str head = peer_until(&p, "\r\n\r\n");
    assert_true(str_starts(head, STR("HTTP/1.1 200 OK\r\nDate: ")));
    assert_true(str_search(head, STR("X-Request-Id: abc-1\r\n")) > 0);
    assert_true(str_search(head, STR("Content-Length: 6\r\n")) > 0);
    assert_true(str_search(head, STR("Content-Type: text/plain\r\n")) > 0);
    assert_true(str_search(head, STR("Connection")) < 0);
    assert_str(str_head(buf_str(&p.in), 6), "hello\n");
    buf_shift(&p.in, 6);

    peer_says(&p, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(str_search(peer_until(&p, "\r\n\r\n"), STR("Content-Length: 6\r\n")) > 0);

    peer_says(&p, "GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(&p, &body), 500);
    assert_true(str_starts(body, STR("{\"message\":\"500 Internal Server Error")));

    peer_says(&p, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(str_search(peer_until(&p, "\r\n\r\n"), STR("Transfer-Encoding: chunked")) > 0);
    assert_str(peer_until(&p, "0\r\n\r\n"), "5\r\npiece\r\n5\r\npiece\r\n5\r\npiece\r\n0\r\n\r\n");

    peer_says(&p, "GET /stream HTTP/1.0\r\n\r\n");
    assert_true(str_search(peer_until(&p, "\r\n\r\n"), STR("Connection: close")) > 0);
    assert_str(peer_rest(&p), "piecepiecepiece");
    peer_close(&p);
    http_server_free(s);
}

// Every refusal: the status, a JSON message, and the end of the connection.
static void refuses(void **state)
{
    static const struct {
        const char *text;
        int status;
    } bad[] = {
        {"GET /../x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400},
        {"GET /%2e%2e/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400},
        {"GET /a%00b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400},
        {"GET /a%0ab HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\nHost: x\n\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
         400},
        {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
        {"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 501},
        {"\x16\x03\x01", 400},
    };
    struct http_server *s = serve(echo, NULL, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct peer p = peer_open(s);
        struct str body;
        peer_says(&p, bad[i].text);
        int status = peer_answer(&p, &body);
        if (status != bad[i].status)
            fail_msg("%d instead of %d for: %s", status, bad[i].status, bad[i].text);
        assert_true(str_starts(body, STR("{\"message\":\"")));
        assert_int_equal(peer_rest(&p).n, 0);
        peer_close(&p);
    }
    struct peer p = peer_open(s);
    _autobuf_ struct buf big = BUF_INIT(KIB(64));
    buf_adds(&big, "GET /");
    for (int i = 0; i < 1000; i++)
        buf_adds(&big, "0123456789");
    peer_send(&p, buf_str(&big));
    assert_int_equal(peer_answer(&p, NULL), 414);
    peer_close(&p);
    p = peer_open(s);
    buf_clear(&big);
    buf_adds(&big, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 90; i++)
        buf_addf(&big, "A: %0400d\r\n", i);
    peer_send(&p, buf_str(&big));
    assert_int_equal(peer_answer(&p, NULL), 431);
    peer_close(&p);
    // An unsafe path alone does not cost the connection.
    p = peer_open(s);
    peer_says(&p, "GET /../x HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(&p, NULL), 400);
    assert_int_equal(peer_answer(&p, NULL), 200);
    peer_close(&p);
    WAIT_FOR(stats_of(s).connections == 0);
    assert_int_equal(stats_of(s).bad, ARRAY_SIZE(bad) + 3);
    assert_int_equal(stats_of(s).in_flight, 0);
    http_server_free(s);
}

static void pipelines_in_order(void **state)
{
    struct http_server *s = serve(echo, NULL, NULL);
    struct peer p = peer_open(s);
    _autobuf_ struct buf all = BUF_INIT(MIB(1));
    for (int i = 0; i < 200; i++)
        buf_addf(&all,
                 i % 3 == 0   ? "GET /hello HTTP/1.1\r\nHost: x\r\nA: %d\r\n\r\n"
                 : i % 3 == 1 ? "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n%04d"
                              : "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "4\r\n%04d\r\n0\r\n\r\n",
                 i);
    // In pieces of changing size, so that requests are cut everywhere.
    struct str rest = buf_str(&all);
    for (size_t n = 1; rest.n; n = n * 7 % 101 + 1) {
        peer_send(&p, str_head(rest, n));
        rest = str_from(rest, n);
    }
    for (int i = 0; i < 200; i++) {
        struct str body;
        char want[16];
        snprintf(want, sizeof want, "%04d", i);
        assert_int_equal(peer_answer(&p, &body), 200);
        assert_str(body, i % 3 == 0 ? "hello\n" : want);
    }
    peer_close(&p);
    http_server_free(s);
}

static void ten_thousand_on_one_connection(void **state)
{
    struct http_server *s = serve(echo, NULL, NULL);
    struct peer p = peer_open(s);
    for (int i = 0; i < 10000; i++) {
        peer_says(&p, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(peer_answer(&p, NULL), 200);
    }
    peer_close(&p);
    WAIT_FOR(stats_of(s).connections == 0);
    struct http_server_stats st = stats_of(s);
    assert_int_equal(st.requests, 10000);
    assert_int_equal(st.by_class[2], 10000);
    assert_int_equal(st.accepted, 1);
    assert_int_equal(st.in_flight, 0);
    assert_int_equal(st.latency_count, 10000);
    http_server_free(s);
}

static void fill(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addc(b, (char)('a' + (i * 31 + i / 251) % 26));
}

static void carries_large_bodies(void **state)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.body_max = 20 << 20;
    struct http_server *s = serve(echo, NULL, &cfg);
    static const size_t sizes[] = {1, 65535, 65536, 65537, 200000, 8 << 20};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct peer p = peer_open(s);
        _autobuf_ struct buf body = BUF_INIT(MIB(16)), head = BUF_INIT(KIB(1));
        struct str back;
        fill(&body, sizes[i]);
        buf_addf(&head, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
        peer_send(&p, buf_str(&head));
        peer_send(&p, buf_str(&body));
        assert_int_equal(peer_answer(&p, &back), 200);
        assert_true(str_eq(back, buf_str(&body)));

        // The same in chunks of many sizes, with extensions and a trailer, and a request behind it.
        peer_says(&p, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        _autobuf_ struct buf chunks = BUF_INIT(MIB(32));
        struct str rest = buf_str(&body);
        for (size_t n = 1; rest.n; n = n * 13 % 70001 + 1) {
            struct str part = str_head(rest, n);
            buf_addf(&chunks, "%zX;x=\"y\"\r\n", part.n);
            buf_add(&chunks, part);
            buf_adds(&chunks, "\r\n");
            rest = str_from(rest, n);
        }
        buf_adds(&chunks, "0\r\nX-Sum: 1\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        peer_send(&p, buf_str(&chunks));
        assert_int_equal(peer_answer(&p, &back), 200);
        assert_true(str_eq(back, buf_str(&body)));
        assert_int_equal(peer_answer(&p, &back), 200);
        assert_str(back, "hello\n");
        peer_close(&p);
    }
    http_server_free(s);
}

static void limits_bodies(void **state)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.body_max = 100000;
    cfg.drain_max = 1000;
    struct http_server *s = serve(echo, NULL, &cfg);
    _autobuf_ struct buf body = BUF_INIT(MIB(4));
    fill(&body, 100001);
    struct peer p = peer_open(s);
    peer_says(&p, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n");
    peer_send(&p, buf_str(&body));
    struct str head = peer_until(&p, "\r\n\r\n");
    assert_true(str_starts(head, STR("HTTP/1.1 413 ")));
    assert_true(str_search(head, STR("Connection: close")) > 0);
    peer_rest(&p);
    peer_close(&p);
    // Chunked: noticed when it is passed; the answer arrives although the client goes on sending.
    p = peer_open(s);
    peer_says(&p, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        peer_says(&p, "2710\r\n");
        peer_send(&p, str_head(buf_str(&body), 10000));
        peer_says(&p, "\r\n");
    }
    assert_int_equal(peer_answer(&p, NULL), 413);
    peer_close(&p);
    // One that nobody reads: small ones are passed over, large ones end the connection.
    p = peer_open(s);
    peer_says(
        &p,
        "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcdeGET /hello HTTP/1.1\r\n"
        "Host: x\r\n\r\n");
    assert_int_equal(peer_answer(&p, NULL), 403);
    assert_int_equal(peer_answer(&p, NULL), 200);
    peer_says(&p, "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    peer_send(&p, str_head(buf_str(&body), 70000));
    head = peer_until(&p, "\r\n\r\n");
    assert_true(str_starts(head, STR("HTTP/1.1 403 ")));
    assert_true(str_search(head, STR("Connection: close")) > 0);
    peer_close(&p);
    WAIT_FOR(stats_of(s).connections == 0);
    http_server_free(s);
}

static void waits_with_100(void **state)
{
    struct http_server *s = serve(echo, NULL, NULL);
    struct peer p = peer_open(s);
    struct str body;
    peer_says(&p,
              "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_str(peer_until(&p, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    peer_says(&p, "abc");
    assert_int_equal(peer_answer(&p, &body), 200);
    assert_str(body, "abc");
    // A large one, refused before it: no 100, and the connection ends, for the body may or may not
    // come.
    peer_says(&p, "POST /unread HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
                  "300000\r\n\r\n");
    struct str head = peer_until(&p, "\r\n\r\n");
    assert_true(str_starts(head, STR("HTTP/1.1 403 ")));
    assert_true(str_search(head, STR("Connection: close")) > 0);
    peer_close(&p);
    http_server_free(s);
}

static void cuts_slow_clients(void **state)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.head_ms = 200;
    cfg.idle_ms = 400;
    cfg.body_grace_ms = 200;
    cfg.body_rate = 1000;
    struct http_server *s = serve(echo, NULL, &cfg);
    // Idle: closed without a word.
    struct peer idle = peer_open(s);
    // A head that does not end; a body that gathers too slowly; one that streams too slowly.
    struct peer head = peer_open(s), body = peer_open(s), large = peer_open(s);
    _autobuf_ struct buf bytes = BUF_INIT(MIB(1));
    fill(&bytes, 70000);
    peer_says(&head, "GET / HTTP/1.1\r\nHo");
    peer_says(&body, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab");
    peer_says(&large, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n");
    peer_send(&large, buf_str(&bytes));
    assert_int_equal(peer_answer(&head, NULL), 408);
    assert_int_equal(peer_answer(&body, NULL), 408);
    // 70,000 bytes at 1,000 a second have earned 70 seconds: this one is still welcome.
    struct pollfd pf = {.fd = large.fd, .events = POLLIN};
    assert_int_equal(poll(&pf, 1, 300), 0);
    assert_int_equal(peer_rest(&idle).n, 0);
    peer_close(&idle);
    peer_close(&head);
    peer_close(&body);
    peer_close(&large);
    WAIT_FOR(stats_of(s).connections == 0);
    http_server_free(s);

    cfg.body_rate = 10 << 20;
    s = serve(echo, NULL, &cfg);
    large = peer_open(s);
    peer_says(&large, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n");
    peer_send(&large, buf_str(&bytes));
    assert_int_equal(peer_answer(&large, NULL), 408);
    assert_int_equal(peer_rest(&large).n, 0);
    peer_close(&large);
    WAIT_FOR(stats_of(s).connections == 0);
    http_server_free(s);
}

static void one_byte_a_second_is_cut(void **state)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.head_ms = 300;
    struct http_server *s = serve(echo, NULL, &cfg);
    struct peer p = peer_open(s);
    const char *text = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    int64_t start = clock_ms();
    struct pollfd pf = {.fd = p.fd, .events = POLLIN};
    size_t i = 0;
    while (poll(&pf, 1, 50) == 0) {
        peer_send(&p, str_n(text + i++, 1));
        assert_true(clock_ms() - start < PATIENCE_MS && text[i]);
    }
    assert_int_equal(peer_answer(&p, NULL), 408);
    peer_close(&p);
    http_server_free(s);
}

static atomic_int cut_reads;

static int reads_until_cut(struct http_call *c, void *ctx)
{
    struct err e;
    _autobuf_ struct buf body = BUF_INIT(MIB(32));
    int rc = http_read_all(c, &body, &e);
    if (rc == E_IO)
        atomic_fetch_add(&cut_reads, 1);
    http_send(c, NULL, STR("x"));
    return HTTP_DONE;
}

static void survives_clients_that_leave(void **state)
{
    struct http_server *s = serve(reads_until_cut, NULL, NULL);
    _autobuf_ struct buf bytes = BUF_INIT(MIB(1));
    fill(&bytes, 100000);
    atomic_store(&cut_reads, 0);
    for (int i = 0; i < 20; i++) {
        struct peer p = peer_open(s);
        peer_says(&p, i % 2 ? "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n"
                            : "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n");
        peer_send(&p, str_head(buf_str(&bytes), i % 2 ? 100000 : 100));
        peer_close(&p);
    }
    WAIT_FOR(stats_of(s).connections == 0 && stats_of(s).accepted == 20);
    struct http_server_stats st = stats_of(s);
    assert_int_equal(st.in_flight, 0);
    assert_int_equal(st.aborted, 20);
    assert_int_equal(atomic_load(&cut_reads), 10);
    http_server_free(s);
}

// ---- large answers

#define LARGE MIB(24)
static struct buf large_body;
static int large_fd = -1;

static int sends_large(struct http_call *c, void *ctx)
{
    struct err e = ERR_INIT;
    struct str path = http_path(c);
    if (str_is(path, "/memory"))
        http_send(c, "text/plain", buf_str(&large_body));
    if (str_is(path, "/file"))
        assert_int_equal(http_send_file(c, "text/plain", large_fd, 5, (int64_t)LARGE - 5, &e), 0);
    if (str_is(path, "/stream") || str_is(path, "/length")) {
        if (str_is(path, "/length"))
            http_length(c, LARGE);
        int rc = http_begin(c, "text/plain", &e);
        struct str rest = buf_str(&large_body);
        for (size_t n = 1; rest.n && rc == 0; n = n * 31 % 300007 + 1) {
            rc = http_write(c, str_head(rest, n), &e);
            rest = str_from(rest, n);
        }
        if (rc == E_IO)
            atomic_fetch_add((atomic_int *)ctx, 1);
    }
    if (str_is(path, "/short")) {
        http_length(c, 100);
        if (http_begin(c, NULL, &e) == 0 && http_write(c, STR("x"), &e) < 0)
            fail();
    }
    return HTTP_DONE;
}

static int make_large(void **state)
{
    large_body = BUF_INIT(LARGE);
    fill(&large_body, LARGE);
    char name[] = "/tmp/slipway-large-XXXXXX";
    large_fd = mkstemp(name);
    unlink(name);
    struct err e;
    return large_fd < 0 ? -1 : fd_write_all(large_fd, buf_str(&large_body), &e);
}

static int drop_large(void **state)
{
    buf_done(&large_body);
    fd_close(&large_fd);
    return 0;
}

static void sends_large_answers_to_slow_readers(void **state)
{
    atomic_int cut = 0;
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.workers = 2;
    struct http_server *s = serve(sends_large, &cut, &cfg);
    static const char *const plain[] = {"/memory", "/file", "/length"};
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
        struct peer p = peer_open(s);
        _autobuf_ struct buf rq = BUF_INIT(KIB(1));
        struct str body;
        buf_addf(&rq, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", plain[i]);
        peer_send(&p, buf_str(&rq));
        peer_send(&p, buf_str(&rq)); // pipelined behind it
        for (int k = 0; k < 2; k++) {
            usleep(20000); // the socket fills up
            assert_int_equal(peer_answer(&p, &body), 200);
            assert_true(str_eq(body, str_from(buf_str(&large_body), i == 1 ? 5 : 0)));
        }
        peer_close(&p);
    }
    struct peer p = peer_open(s);
    peer_says(&p, "GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    peer_until(&p, "\r\n\r\n");
    struct str rest = peer_rest(&p);
    size_t at = 0;
    while (rest.n) {
        size_t n = 0;
        for (; rest.n && rest.p[0] != '\r'; rest = str_from(rest, 1))
            n = n * 16 + (size_t)(rest.p[0] <= '9' ? rest.p[0] - '0' : rest.p[0] - 'a' + 10);
        rest = str_from(rest, 2);
        assert_true(at + n <= LARGE && memcmp(rest.p, large_body.p + at, n) == 0);
        at += n;
        rest = str_from(rest, n + 2);
    }
    assert_int_equal(at, LARGE);
    peer_close(&p);

    // Answers that the loop sends hold no worker: more of them than workers, then a quick one.
    struct peer slow[6];
    for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
        slow[i] = peer_open(s);
        peer_says(&slow[i], i % 2 ? "GET /memory HTTP/1.1\r\nHost: x\r\n\r\n"
                                  : "GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    WAIT_FOR(stats_of(s).requests >= 6 + 7);
    p = peer_open(s);
    peer_says(&p, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(&p, NULL), 500);
    peer_close(&p);
    for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
        peer_close(&slow[i]);
    WAIT_FOR(stats_of(s).connections == 0);

    // A stream that ends before its length is not passed off as whole.
    p = peer_open(s);
    peer_says(&p, "GET /short HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(str_search(peer_until(&p, "\r\n\r\n"), STR("Content-Length: 100")) > 0);
    assert_true(peer_rest(&p).n <= 1);
    peer_close(&p);
    WAIT_FOR(stats_of(s).connections == 0);
    assert_int_equal(stats_of(s).in_flight, 0);
    http_server_free(s);
}

static void cuts_readers_that_stall(void **state)
{
    atomic_int cut = 0;
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.write_stall_ms = 200;
    struct http_server *s = serve(sends_large, &cut, &cfg);
    static const char *const paths[] = {"/memory", "/file", "/stream"};
    struct peer p[3];
    for (int i = 0; i < 3; i++) {
        char rq[100];
        p[i] = peer_open(s);
        snprintf(rq, sizeof rq, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
        peer_says(&p[i], rq);
    }
    WAIT_FOR(stats_of(s).accepted == 3 && stats_of(s).connections == 0);
    assert_int_equal(stats_of(s).aborted, 3);
    assert_int_equal(atomic_load(&cut), 1);
    for (int i = 0; i < 3; i++) {
        assert_true(peer_rest(&p[i]).n < LARGE);
        peer_close(&p[i]);
    }
    http_server_free(s);
}

// ---- room

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static int waits_at_gate(struct http_call *c, void *ctx)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    http_send(c, NULL, STR("ok"));
    return HTTP_DONE;
}

static void says_503_when_full(void **state)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.workers = 1;
    cfg.queue_max = 2;
    cfg.connections_max = 5;
    struct http_server *s = serve(waits_at_gate, NULL, &cfg);
    struct peer p[6];
    pthread_mutex_lock(&gate);
    for (int i = 0; i < 4; i++) {
        p[i] = peer_open(s);
        peer_says(&p[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        // One runs, two wait.
        if (i == 0)
            WAIT_FOR(stats_of(s).requests == 1 && stats_of(s).queued == 0);
        else if (i < 3)
            WAIT_FOR(stats_of(s).queued == (size_t)i);
    }
    struct str head = peer_until(&p[3], "\r\n\r\n");
    assert_true(str_starts(head, STR("HTTP/1.1 503 ")));
    assert_true(str_search(head, STR("Retry-After: 1")) > 0);
    assert_true(str_search(head, STR("Connection: close")) < 0);
    p[4] = peer_open(s);
    WAIT_FOR(stats_of(s).connections == 5);
    p[5] = peer_open(s);
    assert_true(str_starts(peer_rest(&p[5]), STR("HTTP/1.1 503 ")));
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < 3; i++)
        assert_int_equal(peer_answer(&p[i], NULL), 200);
    for (int i = 0; i < 6; i++)
        peer_close(&p[i]);
    assert_int_equal(stats_of(s).refused, 2);
    http_server_free(s);
}

static void survives_running_out_of_descriptors(void **state)
{
    struct http_server *s = serve(echo, NULL, NULL);
    struct rlimit before, tight;
    struct peer first = peer_open(s);
    peer_says(&first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(&first, NULL), 200);
    // Room for one more descriptor in this process: the client's end gets it, the server's does
    // not.
    int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)next + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    struct peer p = peer_open(s);
    peer_says(&p, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    // Meanwhile the others are served.
    for (int i = 0; i < 50; i++) {
        peer_says(&first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(peer_answer(&first, NULL), 200);
    }
    struct pollfd pf = {.fd = p.fd, .events = POLLIN};
    assert_int_equal(poll(&pf, 1, 50), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(peer_answer(&p, NULL), 200);
    peer_close(&p);
    peer_close(&first);
    http_server_free(s);
}

// A client that shuts its writing side after the request still gets the answer.
static void answers_half_closed_clients(void **state)
{
    struct http_server *s = serve(echo, NULL, NULL);
    for (int i = 0; i < 50; i++) {
        struct peer p = peer_open(s);
        peer_says(&p,
                  i % 2 ? "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" : "GET /hello HTTP/1.0\r\n\r\n");
        shutdown(p.fd, SHUT_WR);
        assert_true(str_ends(peer_rest(&p), STR("\r\n\r\nhello\n")));
        peer_close(&p);
    }
    WAIT_FOR(stats_of(s).connections == 0);
    http_server_free(s);
}

static void idle_connections_can_speak_again(void **state)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    struct http_server *s = serve(echo, NULL, &cfg);
    struct peer p = peer_open(s);
    for (int i = 0; i < 2; i++) {
        peer_says(&p, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
        assert_int_equal(peer_answer(&p, NULL), 200);
        usleep(1700000); // its buffers were given back meanwhile
    }
    peer_says(&p, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(&p, NULL), 200);
    peer_close(&p);
    http_server_free(s);
}

struct seen {
    pthread_mutex_t lock;
    int n, status;
    char line[300];
};

static void note_access(void *ctx, const struct http_access *a)
{
    struct seen *seen = ctx;
    pthread_mutex_lock(&seen->lock);
    seen->n++;
    seen->status = a->status;
    snprintf(seen->line, sizeof seen->line,
             "%" PRISTR " %" PRISTR " %" PRISTR " %s in=%llu aborted=%d agent=%" PRISTR,
             STRARG(a->method), STRARG(a->target), STRARG(a->remote), a->request_id,
             (unsigned long long)a->bytes_in, a->aborted, STRARG(a->user_agent));
    pthread_mutex_unlock(&seen->lock);
}

static bool restyle(void *ctx, int status, const char *message, struct buf *body,
                    const char **ret_content_type)
{
    buf_addf(body, "<h1>%d</h1>", status);
    *ret_content_type = "text/html";
    return status != 403;
}

static int styled(struct http_call *c, void *ctx)
{
    if (str_is(http_path(c), "/403"))
        http_fail(c, 403, "a \"quoted\" reason");
    else if (str_is(http_path(c), "/404"))
        http_fail(c, 404, "nothing here");
    else
        return echo(c, NULL);
    return HTTP_DONE;
}

static int seen_count(struct seen *seen)
{
    pthread_mutex_lock(&seen->lock);
    int n = seen->n;
    pthread_mutex_unlock(&seen->lock);
    return n;
}

static void tells_and_styles(void **state)
{
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.access = note_access;
    cfg.restyle = restyle;
    struct http_server *s = serve(styled, &seen, &cfg);
    struct peer p = peer_open(s);
    struct str body;
    peer_says(&p, "POST /x?y HTTP/1.1\r\nHost: x\r\nX-Request-Id: id-7\r\nUser-Agent: me/1\r\n"
                  "Content-Length: 3\r\n\r\nabc");
    assert_int_equal(peer_answer(&p, &body), 200);
    WAIT_FOR(seen_count(&seen) == 1);
    assert_string_equal(seen.line, "POST /x?y 127.0.0.1 id-7 in=3 aborted=0 agent=me/1");
    assert_int_equal(seen.status, 200);
    peer_says(&p, "GET /404 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(str_search(peer_until(&p, "\r\n\r\n"), STR("Content-Type: text/html")) > 0);
    assert_str(peer_until(&p, "</h1>"), "<h1>404</h1>");
    peer_says(&p, "GET /403 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(&p, &body), 403);
    assert_str(body, "{\"message\":\"403 Forbidden: a \\\"quoted\\\" reason\"}");
    peer_says(&p, "bad\r\n\r\n");
    peer_until(&p, "<h1>400</h1>");
    WAIT_FOR(seen_count(&seen) == 4);
    peer_close(&p);
    http_server_free(s);
    assert_int_equal(seen.n, 4);
}

static int shows_request(struct http_call *c, void *ctx)
{
    struct str v, name, value;
    _autobuf_ struct buf b = BUF_INIT(KIB(4));
    buf_add(&b, http_remote(c));
    buf_addc(&b, ' ');
    buf_add(&b, http_host(c));
    if (http_query_get(c, "a", &v))
        buf_addf(&b, " a=%" PRISTR, STRARG(v));
    if (http_cookie(c, "sid", &v))
        buf_addf(&b, " sid=%" PRISTR, STRARG(v));
    for (size_t i = 0; http_header_at(c, i, &name, &value); i++)
        buf_addf(&b, " %" PRISTR, STRARG(name));
    http_add(c, "Set-Cookie", STR("x=1"));
    http_add(c, "Set-Cookie", STR("y=2"));
    http_set(c, "X-Bad", STR("a\r\nX-Injected: 1"));
    http_set(c, "Content-Length", STR("1"));
    http_set(c, "X-One", STR("first"));
    http_set(c, "x-one", STR("second"));
    http_send(c, "text/plain", buf_str(&b));
    return HTTP_DONE;
}

static void listens_on_unix_sockets(void **state)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    struct http_server *s;
    struct err e = ERR_INIT;
    char path[64];
    snprintf(path, sizeof path, "/tmp/slipway-http-%d.sock", (int)getpid());
    cfg.handler = shows_request;
    cfg.loops = 3;
    assert_int_equal(http_server_new(&cfg, &s, &e), 0);
    assert_int_equal(http_server_listen_unix(s, path, 0600, &e), 0);
    assert_int_equal(http_server_start(s, &e), 0);
    for (int i = 0; i < 30; i++) {
        struct peer p = {.in = BUF_INIT(KIB(64)), .last = BUF_INIT(KIB(64))};
        struct str body;
        assert_int_equal(fd_connect_unix(path, &p.fd, &e), 0);
        peer_says(&p, "GET /?a=b%20c HTTP/1.1\r\nHost: h:1\r\nCookie: a=b; sid=\"q\"\r\n\r\n");
        struct str head = peer_until(&p, "\r\n\r\n");
        assert_true(str_search(head, STR("Set-Cookie: x=1\r\nSet-Cookie: y=2\r\n")) > 0);
        assert_true(str_search(head, STR("Injected")) < 0);
        assert_true(str_search(head, STR("Content-Length: 1\r\n")) < 0);
        assert_true(str_search(head, STR("first")) < 0);
        body = STR("unix h:1 a=b c sid=q Host Cookie");
        while (p.in.n < body.n)
            assert_true(peer_more(&p, PATIENCE_MS));
        assert_true(str_eq(buf_str(&p.in), body));
        peer_close(&p);
    }
    http_server_stop(s, 1000);
    http_server_free(s);
    assert_int_equal(access(path, F_OK), -1);
}

// ---- the backlog at the stop

static sem_t loop_held, let_loop_go;

static void hold_loop(void *ctx, const struct http_access *a)
{
    if (a->status != 400)
        return;
    sem_post(&loop_held);
    sem_wait(&let_loop_go);
}

static void *stop_it(void *arg)
{
    http_server_stop(arg, 10000);
    return NULL;
}

// Connections that nobody has accepted yet when the server is told to stop get their answers.
static void answers_the_backlog_when_stopping(void **state)
{
    enum { WAITING = 100 }; // more than one batch of accepts
    static struct peer waiting[WAITING];
    for (int tcp = 0; tcp < 2; tcp++) {
        struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
        struct http_server *s;
        struct err e = ERR_INIT;
        pthread_t stopper;
        char path[64];
        snprintf(path, sizeof path, "/tmp/slipway-backlog-%d.sock", (int)getpid());
        sem_init(&loop_held, 0, 0);
        sem_init(&let_loop_go, 0, 0);
        cfg.handler = echo;
        cfg.access = hold_loop;
        assert_int_equal(http_server_new(&cfg, &s, &e), 0);
        assert_int_equal(tcp ? http_server_listen_tcp(s, "127.0.0.1", 0, &e)
                             : http_server_listen_unix(s, path, 0600, &e),
                         0);
        assert_int_equal(http_server_start(s, &e), 0);
        for (int i = -1; i < WAITING; i++) {
            struct peer p = {.in = BUF_INIT(MIB(1)), .last = BUF_INIT(KIB(64))};
            assert_int_equal(tcp ? fd_connect_tcp("127.0.0.1", http_server_port(s), &p.fd, &e)
                                 : fd_connect_unix(path, &p.fd, &e),
                             0);
            if (i < 0) {
                peer_says(&p, "GET /../x HTTP/1.1\r\nHost: x\r\n\r\n");
                sem_wait(&loop_held);
                peer_close(&p);
                continue;
            }
            peer_says(&p, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
            waiting[i] = p;
        }
        pthread_create(&stopper, NULL, stop_it, s);
        usleep(20000); // the stop is under way; sooner or later makes no difference to the outcome
        sem_post(&let_loop_go);
        for (int i = 0; i < WAITING; i++) {
            struct str head = peer_until(&waiting[i], "\r\n\r\n");
            assert_true(str_starts(head, STR("HTTP/1.1 200 OK\r\n")));
            assert_str(peer_rest(&waiting[i]), "hello\n");
            peer_close(&waiting[i]);
        }
        pthread_join(stopper, NULL);
        http_server_free(s);
        sem_destroy(&loop_held);
        sem_destroy(&let_loop_go);
    }
}

RUN_TESTS(
    cmocka_unit_test(answers), cmocka_unit_test(refuses), cmocka_unit_test(pipelines_in_order),
    cmocka_unit_test(ten_thousand_on_one_connection), cmocka_unit_test(carries_large_bodies),
    cmocka_unit_test(limits_bodies), cmocka_unit_test(waits_with_100),
    cmocka_unit_test(cuts_slow_clients), cmocka_unit_test(one_byte_a_second_is_cut),
    cmocka_unit_test(survives_clients_that_leave),
    cmocka_unit_test_setup_teardown(sends_large_answers_to_slow_readers, make_large, drop_large),
    cmocka_unit_test_setup_teardown(cuts_readers_that_stall, make_large, drop_large),
    cmocka_unit_test(says_503_when_full), cmocka_unit_test(survives_running_out_of_descriptors),
    cmocka_unit_test(answers_half_closed_clients),
    cmocka_unit_test(idle_connections_can_speak_again), cmocka_unit_test(tells_and_styles),
    cmocka_unit_test(listens_on_unix_sockets), cmocka_unit_test(answers_the_backlog_when_stopping))
