// SPDX-License-Identifier: Apache-2.0
// Waiting calls: no lost wake-ups, no held workers, deadlines, clients that leave, stopping.
#include "peer.h"

#include <pthread.h>
#include <stdatomic.h>

// A counter that clients wait for: GET /?from=N answers once it is above N.
static atomic_int value, runs, timeouts;
static atomic_bool never;

static int waits_for_value(struct http_call *c, void *ctx)
{
    struct str from;
    uint64_t n = 0;
    atomic_fetch_add(&runs, 1);
    if (http_query_get(c, "from", &from) && !str_to_u64(from, &n))
        return HTTP_DONE;
    http_watch(c, "value");
    http_watch(c, "other");
    int now = atomic_load(&value);
    if ((uint64_t)now <= n || atomic_load(&never)) {
        struct str ms;
        uint64_t wait = 60000;
        if (http_query_get(c, "ms", &ms) && !str_to_u64(ms, &wait))
            return HTTP_DONE;
        if (http_timed_out(c)) {
            atomic_fetch_add(&timeouts, 1);
            http_status(c, 204);
            http_send(c, NULL, STR_NONE);
            return HTTP_DONE;
        }
        return http_park(c, clock_ms() + (int64_t)wait);
    }
    char text[32];
    snprintf(text, sizeof text, "%d", now);
    http_send(c, "text/plain", str_of(text));
    return HTTP_DONE;
}

static void reset(void)
{
    atomic_store(&value, 0);
    atomic_store(&runs, 0);
    atomic_store(&timeouts, 0);
    atomic_store(&never, false);
}

static void parked_calls_hold_no_worker(void **state)
{
    enum { N = 400 };
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.workers = 2;
    cfg.loops = 2;
    reset();
    struct http_server *s = serve(waits_for_value, NULL, &cfg);
    static struct peer p[N];
    for (int i = 0; i < N; i++) {
        p[i] = peer_open(s);
        peer_says(&p[i], "GET /?from=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    WAIT_FOR(stats_of(s).parked == N);
    // A wake of what is not fulfilled parks them again; a foreign topic wakes nobody.
    int before = atomic_load(&runs);
    http_server_wake(s, "nothing");
    assert_int_equal(atomic_load(&runs), before);
    http_server_wake(s, "other");
    WAIT_FOR(atomic_load(&runs) == before + N && stats_of(s).parked == N);
    struct peer quick = peer_open(s);
    peer_says(&quick, "GET /?from=0 HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(stats_of(s).parked == N + 1);
    atomic_store(&value, 1);
    http_server_wake(s, "value");
    struct str body;
    assert_int_equal(peer_answer(&quick, &body), 200);
    assert_str(body, "1");
    atomic_store(&value, 2);
    http_server_wake(s, "value");
    for (int i = 0; i < N; i++) {
        assert_int_equal(peer_answer(&p[i], &body), 200);
        assert_str(body, "2");
        peer_close(&p[i]);
    }
    peer_close(&quick);
    assert_int_equal(stats_of(s).parked, 0);
    assert_int_equal(stats_of(s).latency_count, 0);
    http_server_free(s);
}

static void deadlines_end_the_wait(void **state)
{
    reset();
    struct http_server *s = serve(waits_for_value, NULL, NULL);
    struct peer p = peer_open(s);
    for (int i = 0; i < 3; i++) {
        int64_t start = clock_ms();
        peer_says(&p, "GET /?from=1&ms=100 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(str_starts(peer_until(&p, "\r\n\r\n"), STR("HTTP/1.1 204 ")));
        int64_t took = clock_ms() - start;
        assert_true(took >= 99 && took < 10000);
    }
    assert_int_equal(atomic_load(&timeouts), 3);
    peer_close(&p);
    http_server_free(s);
}

static void clients_that_leave_are_noticed(void **state)
{
    reset();
    struct http_server *s = serve(waits_for_value, NULL, NULL);
    struct peer p[20];
    for (int i = 0; i < 20; i++) {
        p[i] = peer_open(s);
        peer_says(&p[i], "GET /?from=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    WAIT_FOR(stats_of(s).parked == 20);
    for (int i = 0; i < 20; i++)
        peer_close(&p[i]);
    WAIT_FOR(stats_of(s).connections == 0);
    assert_int_equal(stats_of(s).parked, 0);
    assert_int_equal(stats_of(s).in_flight, 0);
    assert_int_equal(stats_of(s).aborted, 20);
    http_server_wake(s, "value");
    assert_int_equal(atomic_load(&runs), 20);
    http_server_free(s);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static int parks_after_gate(struct http_call *c, void *ctx)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    http_watch(c, "never");
    return http_park(c, clock_ms() + 60000);
}

static void clients_that_left_before_are_noticed(void **state)
{
    struct http_server *s = serve(parks_after_gate, NULL, NULL);
    pthread_mutex_lock(&gate);
    struct peer p = peer_open(s);
    peer_says(&p, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(stats_of(s).requests == 1);
    peer_close(&p);
    usleep(50000); // long enough for the loop to see it; either way it must end
    pthread_mutex_unlock(&gate);
    WAIT_FOR(stats_of(s).connections == 0);
    assert_int_equal(stats_of(s).aborted, 1);
    http_server_free(s);
}

static void pipelined_requests_wait_their_turn(void **state)
{
    reset();
    struct http_server *s = serve(waits_for_value, NULL, NULL);
    struct peer p = peer_open(s);
    struct str body;
    atomic_store(&value, 5);
    peer_says(&p,
              "GET /?from=5 HTTP/1.1\r\nHost: x\r\n\r\nGET /?from=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(stats_of(s).parked == 1);
    assert_int_equal(atomic_load(&runs), 1);
    atomic_store(&value, 6);
    http_server_wake(s, "value");
    assert_int_equal(peer_answer(&p, &body), 200);
    assert_str(body, "6");
    assert_int_equal(peer_answer(&p, &body), 200);
    assert_str(body, "6");
    peer_close(&p);
    http_server_free(s);
}

static int body_again(struct http_call *c, void *ctx)
{
    struct err e;
    _autobuf_ struct buf body = BUF_INIT(MIB(1));
    assert_int_equal(http_read_all(c, &body, &e), 0);
    http_set(c, "X-Run", STR("1"));
    if (!http_timed_out(c)) {
        http_watch(c, "x");
        return http_park(c, clock_ms() + 20);
    }
    http_send(c, NULL, buf_str(&body));
    return HTTP_DONE;
}

static void bodies_can_be_read_again(void **state)
{
    struct http_server *s = serve(body_again, NULL, NULL);
    struct peer p = peer_open(s);
    struct str body;
    peer_says(&p, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc");
    usleep(10000);
    peer_says(&p, "deGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(&p, &body), 200);
    assert_str(body, "abcde");
    assert_int_equal(peer_answer(&p, &body), 200);
    assert_str(body, "");
    peer_says(&p, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    assert_int_equal(peer_answer(&p, &body), 200);
    assert_str(body, "abc");
    // Also one that waits for 100.
    peer_says(&p,
              "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_str(peer_until(&p, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    peer_says(&p, "abc");
    assert_int_equal(peer_answer(&p, &body), 200);
    assert_str(body, "abc");
    // One too large to keep is refused, not read twice.
    _autobuf_ struct buf large = BUF_INIT(MIB(1));
    buf_adds(&large, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
    for (int i = 0; i < 300000; i++)
        buf_addc(&large, 'x');
    peer_send(&p, buf_str(&large));
    assert_int_equal(peer_answer(&p, &body), 413);
    peer_close(&p);
    http_server_free(s);
}

// A stream that parks between its pieces, its place kept in the cursor.
static int streams_value(struct http_call *c, void *ctx)
{
    struct err e;
    http_watch(c, "value");
    if (http_begin(c, "text/event-stream", &e) < 0)
        return HTTP_DONE;
    for (int now = atomic_load(&value); *http_cursor(c) < (uint64_t)now;) {
        char text[32];
        snprintf(text, sizeof text, "data: %d\n\n", (int)++*http_cursor(c));
        if (http_write(c, str_of(text), &e) < 0)
            return HTTP_DONE;
        if (*http_cursor(c) == 50)
            return HTTP_DONE;
    }
    if (http_stopping(c))
        return HTTP_DONE;
    return http_park(c, clock_ms() + 60000);
}

static void streams_park_between_pieces(void **state)
{
    reset();
    struct http_server *s = serve(streams_value, NULL, NULL);
    struct peer p = peer_open(s);
    peer_says(&p, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_until(&p, "\r\n\r\n");
    for (int i = 1; i <= 50; i++) {
        char want[32];
        atomic_store(&value, i);
        http_server_wake(s, "value");
        snprintf(want, sizeof want, "data: %d\n\n\r\n", i);
        peer_until(&p, want);
    }
    assert_str(peer_until(&p, "0\r\n\r\n"), "0\r\n\r\n");
    // The connection is good for the next one.
    atomic_store(&value, 0);
    peer_says(&p, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_until(&p, "\r\n\r\n");
    WAIT_FOR(stats_of(s).parked == 1);
    // Stopping lets it end as a whole answer.
    http_server_stop(s, 5000);
    assert_str(peer_rest(&p), "0\r\n\r\n");
    peer_close(&p);
    http_server_free(s);
}

// ---- the race

#define CLIENTS 16
#define ROUNDS  150
struct racer {
    pthread_t thread;
    struct http_server *s;
    int seed;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    unsigned dice = (unsigned)r->seed * 2654435761u;
    struct peer p = peer_open(r->s);
    uint64_t seen = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char rq[100];
        struct str body;
        dice = dice * 1103515245 + 12345;
        snprintf(rq, sizeof rq, "GET /?from=%d HTTP/1.1\r\nHost: x\r\n\r\n", (int)seen);
        peer_says(&p, rq);
        if (dice >> 28 == 0) { // leaves while it waits, or just when it is woken
            usleep(dice >> 20 & 255);
            peer_close(&p);
            p = peer_open(r->s);
            continue;
        }
        // Were a wake lost, this would wait for the deadline and fail.
        assert_int_equal(peer_answer(&p, &body), 200);
        uint64_t now;
        assert_true(str_to_u64(body, &now) && now > seen);
        seen = now;
    }
    peer_close(&p);
    return NULL;
}

static void no_wake_is_lost(void **state)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.workers = 4;
    cfg.loops = 2;
    reset();
    struct http_server *s = serve(waits_for_value, NULL, &cfg);
    static struct racer racers[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        racers[i].s = s;
        racers[i].seed = i + 1;
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    // Each step is announced once: whoever was about to park must not miss it. The next step comes
    // only after everybody answered the last, or left.
    int done = 0;
    int64_t until = clock_ms() + 60000;
    while (done < CLIENTS && clock_ms() < until) {
        atomic_fetch_add(&value, 1);
        http_server_wake(s, "value");
        usleep(200);
        done = 0;
        for (int i = 0; i < CLIENTS; i++) {
            if (racers[i].s && pthread_tryjoin_np(racers[i].thread, NULL) == 0)
                racers[i].s = NULL;
            done += !racers[i].s;
        }
    }
    assert_int_equal(done, CLIENTS);
    WAIT_FOR(stats_of(s).connections == 0);
    assert_int_equal(stats_of(s).in_flight, 0);
    assert_int_equal(stats_of(s).parked, 0);
    http_server_free(s);
}

// Stricter: one client, one wake per value, thousands of times, with nothing else to save it.
static void *announce(void *arg)
{
    struct http_server *s = arg;
    for (int i = 1; i <= 3000; i++) {
        // Waits until the client asks for more than i - 1, at whatever stage it is by then.
        while (atomic_load(&runs) < i)
            sched_yield();
        for (volatile int spin = i % 200 * 20; spin > 0; spin--)
            ;
        atomic_store(&value, i);
        http_server_wake(s, "value");
    }
    return NULL;
}

static int counts_first_runs(struct http_call *c, void *ctx)
{
    if (*http_cursor(c) == 0) {
        *http_cursor(c) = 1;
        http_watch(c, "value"); // before the announcer may see that we are here
        atomic_fetch_add(&runs, 1);
    } else {
        http_watch(c, "value");
    }
    if (atomic_load(&value) < atomic_load(&runs))
        return http_park(c, clock_ms() + 60000);
    http_send(c, NULL, http_timed_out(c) ? STR("late") : STR("ok"));
    return HTTP_DONE;
}

static void one_wake_is_enough(void **state)
{
    reset();
    struct http_server *s = serve(counts_first_runs, NULL, NULL);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, announce, s), 0);
    struct peer p = peer_open(s);
    for (int i = 0; i < 3000; i++) {
        struct str body;
        peer_says(&p, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(peer_answer(&p, &body), 200);
        assert_str(body, "ok");
    }
    pthread_join(t, NULL);
    peer_close(&p);
    http_server_free(s);
}

// ---- stopping

static int slow_or_parked(struct http_call *c, void *ctx)
{
    if (str_is(http_path(c), "/wait"))
        return waits_for_value(c, ctx);
    if (str_is(http_path(c), "/stubborn")) {
        http_watch(c, "never");
        return http_park(c, clock_ms() + 60000);
    }
    usleep(str_is(http_path(c), "/slow") ? 150000 : 500);
    http_send(c, "text/plain", STR("done"));
    return HTTP_DONE;
}

static void stops_gracefully(void **state)
{
    reset();
    struct http_server *s = serve(slow_or_parked, NULL, NULL);
    struct peer slow = peer_open(s), parked = peer_open(s), idle = peer_open(s),
                fast = peer_open(s), stubborn = peer_open(s);
    struct str body;
    peer_says(&fast, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(peer_answer(&fast, &body), 200);
    peer_says(&parked, "GET /wait?from=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_says(&stubborn, "GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_says(&slow, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(stats_of(s).parked == 2 && stats_of(s).in_flight == 3);
    int64_t start = clock_ms();
    http_server_stop(s, 10000);
    assert_true(clock_ms() - start < 5000);
    struct str head = peer_until(&slow, "\r\n\r\n");
    assert_true(str_starts(head, STR("HTTP/1.1 200 ")));
    assert_true(str_search(head, STR("Connection: close")) > 0);
    assert_str(peer_rest(&slow), "done");
    head = peer_until(&parked, "\r\n\r\n");
    assert_true(str_starts(head, STR("HTTP/1.1 204 ")));
    assert_int_equal(atomic_load(&timeouts), 1);
    assert_true(str_starts(peer_until(&stubborn, "\r\n\r\n"), STR("HTTP/1.1 503 ")));
    assert_int_equal(peer_rest(&idle).n, 0);
    assert_int_equal(peer_rest(&fast).n, 0);
    struct err e;
    int fd;
    assert_true(fd_connect_tcp("127.0.0.1", http_server_port(s), &fd, &e) < 0);
    peer_close(&slow);
    peer_close(&parked);
    peer_close(&stubborn);
    peer_close(&idle);
    peer_close(&fast);
    http_server_free(s);
}

static atomic_int answered, cut_short;

static void *load(void *arg)
{
    struct http_server *s = arg;
    struct err e;
    int fd;
    while (fd_connect_tcp("127.0.0.1", http_server_port(s), &fd, &e) == 0) {
        struct peer p = {.fd = fd, .in = BUF_INIT(KIB(64))};
        for (;;) {
            peer_says(&p, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            while (str_search(buf_str(&p.in), STR("done")) < 0 && peer_more(&p, PATIENCE_MS))
                ;
            if (str_search(buf_str(&p.in), STR("done")) < 0)
                break;
            atomic_fetch_add(&answered, 1);
            buf_clear(&p.in);
        }
        // Closed between requests is fine; an answer that began must be whole.
        if (p.in.n)
            atomic_fetch_add(&cut_short, 1);
        peer_close(&p);
    }
    return NULL;
}

static void stops_under_load(void **state)
{
    for (int round = 0; round < 5; round++) {
        struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
        cfg.loops = 2;
        reset();
        atomic_store(&answered, 0);
        atomic_store(&cut_short, 0);
        struct http_server *s = serve(slow_or_parked, NULL, &cfg);
        pthread_t t[8];
        for (size_t i = 0; i < ARRAY_SIZE(t); i++)
            assert_int_equal(pthread_create(&t[i], NULL, load, s), 0);
        WAIT_FOR(atomic_load(&answered) > 200);
        int64_t start = clock_ms();
        http_server_stop(s, 10000);
        assert_true(clock_ms() - start < 5000);
        for (size_t i = 0; i < ARRAY_SIZE(t); i++)
            pthread_join(t[i], NULL);
        assert_int_equal(atomic_load(&cut_short), 0);
        assert_int_equal(stats_of(s).connections, 0);
        http_server_free(s);
    }
}

static int reads_forever(struct http_call *c, void *ctx)
{
    struct err e;
    _autobuf_ struct buf body = BUF_INIT(MIB(10));
    int rc = http_read_all(c, &body, &e);
    http_send(c, NULL, rc < 0 ? STR("bad") : STR("ok"));
    return HTTP_DONE;
}

static void cuts_what_does_not_end(void **state)
{
    struct http_server *s = serve(reads_forever, NULL, NULL);
    struct peer p = peer_open(s), q = peer_open(s);
    static char bytes[100000];
    peer_says(&p, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
    peer_send(&p, str_n(bytes, sizeof bytes));
    peer_says(&q, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nabc");
    WAIT_FOR(stats_of(s).in_flight == 2);
    int64_t start = clock_ms();
    http_server_stop(s, 300);
    int64_t took = clock_ms() - start;
    assert_true(took >= 290 && took < 5000);
    assert_int_equal(peer_rest(&p).n, 0);
    assert_int_equal(peer_rest(&q).n, 0);
    peer_close(&p);
    peer_close(&q);
    http_server_free(s);
}

RUN_TESTS(cmocka_unit_test(parked_calls_hold_no_worker), cmocka_unit_test(deadlines_end_the_wait),
          cmocka_unit_test(clients_that_leave_are_noticed),
          cmocka_unit_test(clients_that_left_before_are_noticed),
          cmocka_unit_test(pipelined_requests_wait_their_turn),
          cmocka_unit_test(bodies_can_be_read_again), cmocka_unit_test(streams_park_between_pieces),
          cmocka_unit_test(no_wake_is_lost), cmocka_unit_test(one_wake_is_enough),
          cmocka_unit_test(stops_gracefully), cmocka_unit_test(stops_under_load),
          cmocka_unit_test(cuts_what_does_not_end))
