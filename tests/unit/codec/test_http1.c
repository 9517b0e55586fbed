// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "http1_lib.h"

#define REQ     "GET / HTTP/1.1\r\nHost: x\r\n"
#define POST    "POST / HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static void run_request(struct transcript *t, struct str in, size_t cut)
{
    struct http1_parser p;
    http1_request_init(&p, &HTTP1_LIMITS_DEFAULT);
    transcribe(t, &p, in, cut, NULL);
}

static void run_response(struct transcript *t, struct str in, size_t cut, const char *method)
{
    struct http1_parser p;
    http1_response_init(&p, &HTTP1_LIMITS_DEFAULT);
    transcribe(t, &p, in, cut, method);
}

// What must be refused, with the status a server gives.
static const struct refused {
    const char *what, *text;
    int status;
    size_t n; // when the text has a NUL
} refused[] = {
    {"length and coding", POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"coding and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
    {"two equal lengths", POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400},
    {"two lengths", POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
    {"length list", POST "Content-Length: 3, 3\r\n\r\n", 400},
    {"length with plus", POST "Content-Length: +3\r\n\r\n", 400},
    {"length with minus", POST "Content-Length: -3\r\n\r\n", 400},
    {"hex length", POST "Content-Length: 0x3\r\n\r\n", 400},
    {"length with underscore", POST "Content-Length: 1_0\r\n\r\n", 400},
    {"empty length", POST "Content-Length:\r\n\r\n", 400},
    {"length with a space in it", POST "Content-Length: 1 2\r\n\r\n", 400},
    {"huge length", POST "Content-Length: 99999999999999999999\r\n\r\n", 400},
    {"length past int64", POST "Content-Length: 9223372036854775808\r\n\r\n", 400},
    {"gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {"chunked twice", POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 501},
    {"two codings", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"identity", POST "Transfer-Encoding: identity\r\n\r\n", 501},
    {"xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n", 501},
    {"quoted chunked", POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 501},
    {"chunked with vertical tab", POST "Transfer-Encoding: \vchunked\r\n\r\n", 400},
    {"chunked with parameter", POST "Transfer-Encoding: chunked;x\r\n\r\n", 501},
    {"empty coding", POST "Transfer-Encoding:\r\n\r\n", 501},
    {"coding in 1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"bare LF after request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", 400},
    {"bare LF after field", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400},
    {"bare LF at the end", "GET / HTTP/1.1\r\nHost: x\r\n\n", 400},
    {"bare CR in value", REQ "A: b\rC: d\r\n\r\n", 400},
    {"CR CR LF", REQ "A: b\r\r\n\r\n", 400},
    {"bare CR in request line", "GET /\r HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"space before colon", POST "Content-Length : 3\r\n\r\nabc", 400},
    {"tab before colon", POST "Transfer-Encoding\t: chunked\r\n\r\n", 400},
    {"folded line", REQ "A: b\r\n c\r\n\r\n", 400},
    {"tab folded line", REQ "A: b\r\n\tc\r\n\r\n", 400},
    {"folded first line", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400},
    {"no colon", REQ "Nothing\r\n\r\n", 400},
    {"empty name", REQ ": x\r\n\r\n", 400},
    {"bad name", REQ "A(b): c\r\n\r\n", 400},
    {"name not ASCII", REQ "\xc3\xa9: c\r\n\r\n", 400},
    {"NUL in value", REQ "A: b\0c\r\n\r\n", 400, sizeof(REQ "A: b\0c\r\n\r\n") - 1},
    {"NUL in name", REQ "A\0: c\r\n\r\n", 400, sizeof(REQ "A\0: c\r\n\r\n") - 1},
    {"NUL in target", "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400,
     sizeof("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n") - 1},
    {"DEL in value", REQ "A: \x7f\r\n\r\n", 400},
    {"no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", 400},
    {"two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400},
    {"Host with path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400},
    {"Host with user", "GET / HTTP/1.1\r\nHost: a@x\r\n\r\n", 400},
    {"Host with bad port", "GET / HTTP/1.1\r\nHost: x:70000\r\n\r\n", 400},
    {"Host with empty port", "GET / HTTP/1.1\r\nHost: x:\r\n\r\n", 400},
    {"Host list", "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", 400},
    {"Host unlike target", "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"no version", "GET /\r\n\r\n", 400},
    {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
    {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505},
    {"http/1.1", "GET / http/1.1\r\nHost: x\r\n\r\n", 400},
    {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400},
    {"HTTP/+1.1", "GET / HTTP/+1.1\r\nHost: x\r\n\r\n", 400},
    {"two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"trailing space", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
    {"tab in request line", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"space in target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"target not ASCII", "GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"relative target", "GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"star without OPTIONS", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"absolute without path", "GET http://x?a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"other scheme", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"CONNECT with path", "CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"bad method", "G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"leading space", " GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"leading LF", "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"TLS hello", "\x16\x03\x01\x02", 400},
    {"other Expect", POST "Expect: something\r\n\r\n", 417},
    {"bad Connection", REQ "Connection: a b\r\n\r\n", 400},
    {"chunk without size", CHUNKED "\r\n", 400},
    {"chunk with 0x", CHUNKED "0x3\r\nabc\r\n", 400},
    {"chunk with plus", CHUNKED "+3\r\nabc\r\n", 400},
    {"chunk with minus", CHUNKED "-3\r\nabc\r\n", 400},
    {"chunk with underscore", CHUNKED "1_0\r\nabc\r\n", 400},
    {"chunk with leading space", CHUNKED " 3\r\nabc\r\n", 400},
    {"chunk with trailing space", CHUNKED "3 \r\nabc\r\n", 400},
    {"chunk size too large", CHUNKED "fffffffffffffffff\r\n", 400},
    {"chunk size past int64", CHUNKED "ffffffffffffffff\r\n", 400},
    {"chunk line ends with LF", CHUNKED "3\nabc\r\n", 400},
    {"LF in chunk extension", CHUNKED "3;a\nb\r\nabc\r\n", 400},
    {"CR in chunk extension", CHUNKED "3;a\rb\r\nabc\r\n", 400},
    {"NUL in chunk extension", CHUNKED "3;\0\r\nabc\r\n", 400,
     sizeof(CHUNKED "3;\0\r\nabc\r\n") - 1},
    {"chunk longer than its size", CHUNKED "3\r\nabcd\r\n", 400},
    {"chunk shorter than its size", CHUNKED "3\r\nab\r\n0\r\n\r\n", 400},
    {"chunk data ends with LF", CHUNKED "3\r\nabc\n0\r\n\r\n", 400},
    {"last chunk ends with LF", CHUNKED "0\n\r\n", 400},
    {"trailers end with LF", CHUNKED "0\r\n\n", 400},
    {"trailer with length", CHUNKED "0\r\nContent-Length: 3\r\n\r\n", 400},
    {"trailer with coding", CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"trailer with Host", CHUNKED "0\r\nHost: y\r\n\r\n", 400},
    {"folded trailer", CHUNKED "0\r\nA: b\r\n c\r\n\r\n", 400},
    {"trailer without colon", CHUNKED "0\r\nA\r\n\r\n", 400},
};

static void refuses_what_is_ambiguous(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        const struct refused *r = &refused[i];
        struct str in = str_n(r->text, r->n ? r->n : strlen(r->text));
        struct transcript t;
        run_request(&t, in, 0);
        char want[16];
        snprintf(want, sizeof want, "ERROR %d ", r->status);
        if (str_search(buf_str(&t.text), str_of(want)) < 0)
            fail_msg("%s: not refused with %d:\n%s", r->what, r->status, t.text.p);
        // A refused request is never complete, nor is a second one found behind it.
        if (t.messages)
            fail_msg("%s: %zu messages before the refusal", r->what, t.messages);
        buf_done(&t.text);
    }
}

static const char *const fine[] = {
    REQ "\r\n",
    "\r\n" REQ "\r\n",
    REQ "\r\n" REQ "Connection: close\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
    "GET http://x:80/a?b=c HTTP/1.1\r\nHost: x:80\r\n\r\n",
    "GET http://x HTTP/1.1\r\nHost: X\r\n\r\n",
    "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
    "GET /a%2Fb?q=[1]|{2} HTTP/1.1\r\nHost: [::1]:8080\r\nA:\r\nB: \t c d \t\r\n\r\n",
    POST "Content-Length: 3\r\n\r\nabc" REQ "\r\n",
    POST "Content-Length: 0\r\n\r\n" REQ "\r\n",
    POST "Content-Length: 000003\r\n\r\nabc",
    "DELETE /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" REQ
    "\r\n",
    CHUNKED "3\r\nabc\r\n0A;name=\"value\";x\r\n0123456789\r\n000\r\nA: b\r\nC: d\r\n\r\n" REQ
            "\r\n",
    POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
    REQ "Connection: Upgrade, X-Hop\r\nUpgrade: websocket\r\nX-Hop: 1\r\nX-Keep: 2\r\n\r\n",
    POST "Content-Length: 10\r\n\r\ncut",
    CHUNKED "5\r\nab",
};

static const char *const responses[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not "
    "Found\r\n"
    "Content-Length: 1\r\n\r\nx",
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\nHTTP/1.1 200 OK\r\n"
     "Content-Length: 0\r\n\r\n"),
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw bytes",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
    "HTTP/1.1 2x0 OK\r\n\r\n",
    "HTTP/1.1 200OK\r\n\r\n",
    "HTTP/3.0 200 OK\r\n\r\n",
    "garbage",
};

static void same(const char *text, struct transcript *whole, struct transcript *split, size_t cut)
{
    if (!str_eq(buf_str(&whole->text), buf_str(&split->text)))
        fail_msg("split every %zu bytes differs for:\n%s\nwhole:\n%s\nsplit:\n%s", cut, text,
                 whole->text.p, split->text.p);
    buf_done(&split->text);
}

static void splits_change_nothing(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(fine) + ARRAY_SIZE(refused); i++) {
        bool good = i < ARRAY_SIZE(fine);
        const struct refused *r = good ? NULL : &refused[i - ARRAY_SIZE(fine)];
        const char *text = good ? fine[i] : r->text;
        struct str in = str_n(text, r && r->n ? r->n : strlen(text));
        struct transcript whole, split;
        run_request(&whole, in, 0);
        for (size_t cut = 1; cut < in.n; cut++) {
            run_request(&split, in, cut);
            same(text, &whole, &split, cut);
        }
        if (good && str_search(buf_str(&whole.text), STR("ERROR")) >= 0)
            fail_msg("refused: %s\n%s", text, whole.text.p);
        buf_done(&whole.text);
    }
    static const char *const methods[] = {"GET", "HEAD", "CONNECT"};
    for (size_t i = 0; i < ARRAY_SIZE(responses) * ARRAY_SIZE(methods); i++) {
        const char *text = responses[i / 3];
        struct transcript whole, split;
        run_response(&whole, str_of(text), 0, methods[i % 3]);
        for (size_t cut = 1; cut < strlen(text); cut++) {
            run_response(&split, str_of(text), cut, methods[i % 3]);
            same(text, &whole, &split, cut);
        }
        buf_done(&whole.text);
    }
}

static void limits_are_the_same_at_every_split(void **state)
{
    const struct http1_limits small = {.line = 20, .head = 60, .trailers = 20, .chunk_line = 8};
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET /0123456789012345678901234567890123456789 HTTP/1.1\r\nHost: x\r\n\r\n", 414},
        {"GET /aaaaaaaa HTTP/1.1", 414},
        {"GET / HTTP/1.1\r\nHost: x\r\nA: 01234567890123456789012345678901234567890\r\n\r\n", 431},
        {"GET / HTTP/1.1\r\nHost: x\r\nA: 01234567890123456789012345678901234567890", 431},
        {"P / HTTP/1.1\r\nHost:\r\nTransfer-Encoding:chunked\r\n\r\n1;aaaaaaaaaa\r\nx\r\n", 400},
        {"P / HTTP/1.1\r\nHost:\r\nTransfer-Encoding:chunked\r\n\r\n0\r\nA: 5\r\nB: "
         "0123456789012\r\n\r\n",
         431},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct http1_parser p;
        struct transcript whole, split;
        http1_request_init(&p, &small);
        transcribe(&whole, &p, str_of(cases[i].text), 0, NULL);
        assert_int_equal(p.status, cases[i].status);
        for (size_t cut = 1; cut < strlen(cases[i].text); cut++) {
            http1_request_init(&p, &small);
            transcribe(&split, &p, str_of(cases[i].text), cut, NULL);
            same(cases[i].text, &whole, &split, cut);
        }
        buf_done(&whole.text);
    }
    // 101 fields are too many.
    _autobuf_ struct buf many = BUF_INIT(KIB(8));
    buf_adds(&many, REQ);
    for (int i = 0; i < 100; i++)
        buf_adds(&many, "A: b\r\n");
    buf_adds(&many, "\r\n");
    struct transcript t;
    run_request(&t, buf_str(&many), 0);
    assert_true(str_starts(buf_str(&t.text), STR("ERROR 431")));
    buf_done(&t.text);
}

static struct http1_head *parse(const char *text)
{
    static struct http1_head head;
    struct http1_parser p;
    http1_request_init(&p, &HTTP1_LIMITS_DEFAULT);
    struct http1_event ev = http1_next(&p, &head, str_of(text));
    assert_int_equal(ev.type, HTTP1_HEAD);
    return &head;
}

static void tells_what_a_server_needs(void **state)
{
    struct http1_head *h =
        parse("GET http://Example:8080/a%2Fb?x=1&y HTTP/1.1\r\nHost: example:8080\r\n"
              "Connection: close, X-Thing\r\nX-Thing: 1\r\nAccept:  */*  \r\n\r\n");
    assert_str(h->method, "GET");
    assert_str(h->path, "/a%2Fb");
    assert_str(h->query, "x=1&y");
    assert_str(h->host, "Example:8080");
    assert_false(h->keep_alive);
    assert_str(http1_get(h, STR("ACCEPT")), "*/*");
    assert_null(http1_get(h, STR("Accep")).p);
    assert_false(h->fields[0].hop); // Host
    assert_true(h->fields[1].hop);  // Connection
    assert_true(h->fields[2].hop);  // named by it
    assert_false(h->fields[3].hop);

    h = parse("GET /? HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(h->keep_alive && h->minor == 0);
    assert_true(h->query.p && h->query.n == 0);
    assert_null(h->host.p);
    h = parse("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 7\r\n\r\n");
    assert_true(h->expect_continue && h->keep_alive);
    assert_int_equal(h->length, 7);
    assert_null(h->query.p);
    h = parse("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n");
    assert_null(h->upgrade.p); // Connection does not name it
}

static void tunnels_begin_after_101(void **state)
{
    struct http1_parser p;
    struct http1_head head;
    http1_response_init(&p, &HTTP1_LIMITS_DEFAULT);
    struct str in = STR("HTTP/1.1 101 X\r\nUpgrade: y\r\n\r\nraw");
    struct http1_event ev = http1_next(&p, &head, in);
    assert_int_equal(ev.type, HTTP1_HEAD);
    in = str_from(in, ev.used);
    ev = http1_next(&p, &head, in);
    assert_true(ev.type == HTTP1_END && ev.used == 0);
    ev = http1_next(&p, &head, in);
    assert_true(ev.type == HTTP1_MORE && ev.used == 0);
}

static void writes_heads(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(1));
    http1_write_status(&b, 404);
    http1_write_field(&b, STR("A"), STR("b"));
    http1_write_field_u64(&b, STR("Content-Length"), 12);
    http1_write_end(&b);
    assert_str(buf_str(&b), "HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Length: 12\r\n\r\n");
    assert_true(buf_ok(&b));
    http1_write_field(&b, STR("A"), STR("b\r\nSet-Cookie: x"));
    assert_false(buf_ok(&b));
    assert_int_equal(str_search(buf_str(&b), STR("Set-Cookie")), -1);
    buf_clear(&b);
    http1_write_field(&b, STR("A: x\r\nB"), STR("c"));
    assert_false(buf_ok(&b));
    buf_clear(&b);
    http1_write_request(&b, STR("GET"), STR("/a b"));
    assert_false(buf_ok(&b));
    buf_clear(&b);
    http1_write_request(&b, STR("GET"), STR("/a"));
    assert_str(buf_str(&b), "GET /a HTTP/1.1\r\n");
    char size[HTTP1_CHUNK_HEAD_MAX];
    assert_int_equal(http1_chunk_head(size, 0x1f4), 5);
    assert_memory_equal(size, "1f4\r\n", 5);
}

static void heads_can_move(void **state)
{
    struct http1_parser p;
    struct http1_head head;
    char *old = str_dup(STR("GET http://x HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"));
    http1_request_init(&p, &HTTP1_LIMITS_DEFAULT);
    assert_int_equal(http1_next(&p, &head, str_of(old)).type, HTTP1_HEAD);
    char *fresh = str_dup(str_of(old));
    http1_head_moved(&head, old, fresh);
    free(old);
    assert_str(head.method, "GET");
    assert_str(head.path, "/");
    assert_str(http1_get(&head, STR("a")), "b");
    free(fresh);
}

RUN_TESTS(cmocka_unit_test(refuses_what_is_ambiguous), cmocka_unit_test(splits_change_nothing),
          cmocka_unit_test(limits_are_the_same_at_every_split),
          cmocka_unit_test(tells_what_a_server_needs), cmocka_unit_test(tunnels_begin_after_101),
          cmocka_unit_test(writes_heads), cmocka_unit_test(heads_can_move))
