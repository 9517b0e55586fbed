// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "edge/forward.h"

static struct http1_head head;

static void parse(bool request, const char *text, const char *method)
{
    struct http1_parser p;
    if (request) {
        http1_request_init(&p, &HTTP1_LIMITS_DEFAULT);
    } else {
        http1_response_init(&p, &HTTP1_LIMITS_DEFAULT);
        http1_response_to(&p, str_of(method));
    }
    struct http1_event ev = http1_next(&p, &head, str_of(text));
    if (ev.type != HTTP1_HEAD)
        fail_msg("not a head: %s", p.error ? p.error : "unfinished");
}

static void check_request(const char *in, const char *want)
{
    static const struct forward_request F = {STR("10.0.0.1"), STR("http"), STR("id-1"), STR("h"),
                                             false};
    struct forward_request f = F;
    _autobuf_ struct buf b = BUF_INIT(KIB(64));
    parse(true, in, NULL);
    f.upgrade = head.upgrade.p != NULL;
    forward_request_head(&b, &head, &f);
    assert_string_equal(b.p, want);
}

#define OURS                                                                                       \
    "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"              \
    "X-Request-Id: id-1\r\n"

static void requests_are_written_anew(void **state)
{
    (void)state;
    check_request("GET /a?b HTTP/1.1\r\nHost: h\r\nA:  b \r\n\r\n",
                  "GET /a?b HTTP/1.1\r\nHost: h\r\nA: b\r\n" OURS "\r\n");
    check_request("GET /a? HTTP/1.0\r\nHost: h\r\n\r\n",
                  "GET /a? HTTP/1.1\r\nHost: h\r\n" OURS "\r\n");
    check_request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 007\r\n\r\n",
                  "POST / HTTP/1.1\r\nHost: h\r\n" OURS "Content-Length: 7\r\n\r\n");
    check_request("POST / HTTP/1.1\r\nHost: h\r\n\r\n",
                  "POST / HTTP/1.1\r\nHost: h\r\n" OURS "Content-Length: 0\r\n\r\n");
    check_request("DELETE / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n",
                  "DELETE / HTTP/1.1\r\nHost: h\r\n" OURS "Transfer-Encoding: chunked\r\n\r\n");
    check_request(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-A, Cookie\r\nX-A: 1\r\nCookie: c\r\n"
        "X-B: 2\r\nKeep-Alive: 1\r\nTE: trailers\r\nForwarded: a\r\nX-Forwarded-Port: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-B: 2\r\n" OURS "\r\n");
    check_request("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Key: k\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\n" OURS
                  "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    check_request("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
                  "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n" OURS
                  "Content-Length: 1\r\n\r\n");
}

static void check_answer(const char *in, const char *method, struct forward_response f,
                         const char *want)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(64));
    parse(false, in, method);
    forward_response_head(&b, &head, &f);
    assert_string_equal(b.p, want);
}

static void answers_are_written_anew(void **state)
{
    (void)state;
    const struct forward_response keep = {.client_minor = 1, .keep_alive = true};
    check_answer(
        "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nA: b\r\nConnection: x-c\r\nX-C: 1\r\n\r\n",
        "GET", keep, "HTTP/1.1 200 Fine\r\nA: b\r\nContent-Length: 5\r\n\r\n");
    check_answer("HTTP/1.0 200 OK\r\n\r\n", "GET",
                 (struct forward_response){.client_minor = 1, .keep_alive = true, .chunked = true},
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    check_answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD",
                 (struct forward_response){.to_head = true, .client_minor = 1, .keep_alive = true},
                 "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    check_answer("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", "GET", keep,
                 "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n");
    check_answer("HTTP/1.1 204 No Content\r\n\r\n", "GET", keep, "HTTP/1.1 204 No Content\r\n\r\n");
    check_answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET",
                 (struct forward_response){.client_minor = 1},
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    check_answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", "GET",
                 (struct forward_response){.client_minor = 0, .keep_alive = true},
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
    check_answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "GET",
                 (struct forward_response){.client_minor = 1},
                 "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

static void safe_retry_table(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct failure f;
        bool want;
    } ROWS[] = {
        {"connect failed", {.replayable = true, .attempts = 1}, true},
        {"connect failed, POST", {.idempotent = false, .replayable = true, .attempts = 1}, true},
        {"no byte received, POST",
         {.connected = true, .unreceived = true, .replayable = true, .budget = true, .attempts = 1},
         true},
        {"delivered, GET",
         {.connected = true, .idempotent = true, .replayable = true, .budget = true, .attempts = 1},
         true},
        {"delivered, POST",
         {.connected = true, .replayable = true, .budget = true, .attempts = 1},
         false},
        {"body is gone, GET",
         {.connected = true, .idempotent = true, .budget = true, .attempts = 1},
         false},
        {"body is gone, not received",
         {.connected = true, .unreceived = true, .budget = true, .attempts = 1},
         false},
        {"no budget",
         {.connected = true, .idempotent = true, .replayable = true, .attempts = 1},
         false},
        {"too often",
         {.connected = true,
          .idempotent = true,
          .replayable = true,
          .budget = true,
          .attempts = FORWARD_ATTEMPTS_MAX},
         false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++)
        if (forward_may_retry(&ROWS[i].f) != ROWS[i].want)
            fail_msg("%s", ROWS[i].what);
    assert_true(forward_idempotent(STR("GET")) && forward_idempotent(STR("DELETE")));
    assert_false(forward_idempotent(STR("POST")) || forward_idempotent(STR("PATCH")) ||
                 forward_idempotent(STR("get")));
}

static void trailers(void **state)
{
    (void)state;
    assert_true(forward_trailer(STR("grpc-status")));
    assert_false(forward_trailer(STR("Transfer-Encoding")));
    assert_false(forward_trailer(STR("Set-Cookie")));
}

RUN_TESTS(cmocka_unit_test(requests_are_written_anew), cmocka_unit_test(answers_are_written_anew),
          cmocka_unit_test(safe_retry_table), cmocka_unit_test(trailers))
