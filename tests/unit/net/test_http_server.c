// SPDX-License-Identifier: Apache-2.0
// The server over real sockets: framing, bodies, streams, limits, pipelining.
#include "peer.h"

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

RUN_TESTS(cmocka_unit_test(answers))
