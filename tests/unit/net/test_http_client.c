// SPDX-License-Identifier: Apache-2.0
// The client against our own server, and against peers that behave badly.
#include "peer.h"

#include "net/http_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static int handle(struct http_call *c, void *ctx)
{
    struct err e;
    struct str path = http_path(c);
    if (str_is(path, "/redirect")) {
        http_status(c, 302);
        http_set(c, "Location", STR("/hello"));
        http_send(c, NULL, STR_NONE);
    } else if (str_is(path, "/refused")) {
        http_fail(c, 403, "not you");
    } else if (str_is(path, "/park")) {
        http_watch(c, "never");
        if (!http_timed_out(c))
            return http_park(c, clock_ms() + 60000);
    } else if (str_is(path, "/trickle")) {
        if (http_begin(c, "text/plain", &e) == 0 && http_write(c, STR("one"), &e) == 0) {
            usleep(50000);
            (void)!http_write(c, STR("two"), &e);
        }
    } else if (str_is(path, "/cut")) {
        http_length(c, 100);
        if (http_begin(c, NULL, &e) == 0)
            (void)!http_write(c, STR("x"), &e);
    } else {
        _autobuf_ struct buf body = BUF_INIT(MIB(16));
        if (http_read_all(c, &body, &e) < 0)
            return HTTP_DONE;
        http_setf(c, "X-Method", "%" PRISTR, STRARG(http_method(c)));
        http_setf(c, "X-Length", "%lld", (long long)http_content_length(c));
        struct str v = http_header(c, "X-Custom");
        http_set(c, "X-Custom", v.p ? v : STR("none"));
        http_send(c, "application/octet-stream", buf_str(&body));
    }
    return HTTP_DONE;
}

static char url_text[200];

static const char *url(const struct http_server *s, const char *path)
{
    snprintf(url_text, sizeof url_text, "http://127.0.0.1:%u%s", http_server_port(s), path);
    return url_text;
}

static void speaks_with_a_server(void **state)
{
    struct http_server *s = serve(handle, NULL, NULL);
    _autoclient_ struct http_client *cl = http_client_new();
    _autoresponse_ struct http_client_response rs;
    struct err e = ERR_INIT;
    http_client_response_init(&rs, MIB(16));
    struct http_client_request rq = {.url = url(s, "/hello")};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_int_equal(rs.status, 200);
    assert_str(http_client_header(&rs, "x-method"), "GET");
    assert_str(http_client_header(&rs, "X-Custom"), "none");
    assert_null(http_client_header(&rs, "X-None").p);

    struct http_client_field fields[] = {{STR("X-Custom"), STR("a b")}};
    rq = (struct http_client_request){.method = "POST",
                                      .url = url(s, "/echo?x=1"),
                                      .fields = fields,
                                      .nfields = 1,
                                      .body = STR("some body")};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_str(buf_str(&rs.body), "some body");
    assert_str(http_client_header(&rs, "X-Custom"), "a b");
    assert_str(http_client_header(&rs, "X-Length"), "9");

    static const char *const methods[] = {"PUT", "PATCH", "DELETE", "POST"};
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        rq = (struct http_client_request){
            .method = methods[i], .url = url(s, "/"), .has_body = true};
        assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
        assert_str(http_client_header(&rs, "X-Method"), methods[i]);
        assert_int_equal(rs.body.n, 0);
    }
    rq = (struct http_client_request){.method = "DELETE", .url = url(s, "/")};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_str(http_client_header(&rs, "X-Method"), "DELETE");
    rq = (struct http_client_request){.method = "HEAD", .url = url(s, "/trickle")};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_int_equal(rs.body.n, 0);
    rq = (struct http_client_request){.url = url(s, "/trickle")};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_str(buf_str(&rs.body), "onetwo");
    rq = (struct http_client_request){.url = url(s, "/redirect")};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_int_equal(rs.status, 302);
    assert_str(http_client_header(&rs, "Location"), "/hello");
    rq = (struct http_client_request){.url = url(s, "/refused")};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_int_equal(rs.status, 403);
    assert_str(buf_str(&rs.body), "{\"message\":\"403 Forbidden: not you\"}");
    // The path goes out as it is.
    rq = (struct http_client_request){.url = url(s, "/a/../b")};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_int_equal(rs.status, 400);
    assert_int_equal(stats_of(s).accepted, 1); // one connection for all of it
    http_server_free(s);
}

struct source {
    size_t left;
    int fail_at;
};

static int read_source(void *ctx, char *to, size_t n, size_t *ret_n)
{
    struct source *src = ctx;
    if (src->fail_at && src->left <= (size_t)src->fail_at)
        return E_CONFLICT;
    *ret_n = MIN(n, src->left);
    memset(to, 'z', *ret_n);
    src->left -= *ret_n;
    return 0;
}

static void sends_files_and_streams(void **state)
{
    struct http_server *s = serve(handle, NULL, NULL);
    _autoclient_ struct http_client *cl = http_client_new();
    _autoresponse_ struct http_client_response rs;
    struct err e = ERR_INIT;
    http_client_response_init(&rs, MIB(16));
    char name[] = "/tmp/slipway-client-XXXXXX";
    _autofd_ int fd = mkstemp(name);
    unlink(name);
    _autobuf_ struct buf content = BUF_INIT(MIB(4));
    for (int i = 0; i < 300000; i++)
        buf_addf(&content, "%06d\n", i);
    assert_int_equal(fd_write_all(fd, buf_str(&content), &e), 0);
    struct http_client_request rq = {.method = "POST",
                                     .url = url(s, "/"),
                                     .has_body_fd = true,
                                     .body_fd = fd,
                                     .body_offset = 7,
                                     .body_length = (int64_t)content.n - 14};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_true(str_eq(buf_str(&rs.body), str_n(content.p + 7, content.n - 14)));
    rq.body_length = (int64_t)content.n; // beyond the end of the file
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_IO);

    struct source src = {.left = 5000000};
    rq = (struct http_client_request){.method = "POST",
                                      .url = url(s, "/"),
                                      .read_body = read_source,
                                      .body_length = -1,
                                      .ctx = &src};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_int_equal(rs.body.n, 5000000);
    assert_str(http_client_header(&rs, "X-Length"), "-1");
    src = (struct source){.left = 5000000, .fail_at = 1000000};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_CONFLICT);
    src = (struct source){.left = 1000};
    rq.body_length = 1000;
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
    assert_str(http_client_header(&rs, "X-Length"), "1000");
    http_server_free(s);
}

static int take_some(void *ctx, struct str piece)
{
    size_t *got = ctx;
    *got += piece.n;
    return *got > 100000 ? E_DENIED : 0;
}

static int only_200(void *ctx, int status)
{
    return status == 200 ? 0 : E_NOTFOUND;
}

static bool cancel_now(void *ctx)
{
    return atomic_load((atomic_bool *)ctx);
}

static void *cancel_soon(void *arg)
{
    usleep(100000);
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

static void fails_clearly(void **state)
{
    struct http_server *s = serve(handle, NULL, NULL);
    _autoclient_ struct http_client *cl = http_client_new();
    _autoresponse_ struct http_client_response rs;
    struct err e = ERR_INIT;
    http_client_response_init(&rs, 1000);
    static char big[200000];
    struct http_client_request rq = {
        .method = "POST", .url = url(s, "/"), .body = str_n(big, 1001)};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_LIMIT);
    rq.body = str_n(big, 1000);
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);

    size_t got = 0;
    rq.body = str_n(big, sizeof big);
    rq.on_body = take_some;
    rq.ctx = &got;
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_DENIED);
    assert_int_equal(rs.status, 200);

    rq = (struct http_client_request){.url = url(s, "/refused"), .on_head = only_200};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_NOTFOUND);
    assert_int_equal(rs.status, 403);
    rq = (struct http_client_request){.url = url(s, "/cut")};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_IO);
    rq = (struct http_client_request){.url = url(s, "/park"), .timeout_ms = 100};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_AGAIN);
    assert_non_null(strstr(e.msg, "/park"));

    atomic_bool cancelled = false;
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, cancel_soon, &cancelled), 0);
    int64_t start = clock_ms();
    rq = (struct http_client_request){
        .url = url(s, "/park"), .cancelled = cancel_now, .ctx = &cancelled};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_AGAIN);
    assert_true(clock_ms() - start < 5000);
    pthread_join(t, NULL);

    struct http_client_field fields[] = {{STR("X-A"), STR("b\r\nX-B: c")}};
    rq = (struct http_client_request){.url = url(s, "/"), .fields = fields, .nfields = 1};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_INVALID);
    static const char *const bad[] = {"ftp://127.0.0.1/", "file:///etc/passwd", "nonsense://", ""};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        rq = (struct http_client_request){.url = bad[i]};
        assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_INVALID);
    }
    char dead[200];
    snprintf(dead, sizeof dead, "%s", url(s, "/"));
    http_server_free(s);
    rq = (struct http_client_request){.url = dead};
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_BUSY);
    rq.unix_path = "/tmp/slipway-no-such.sock";
    assert_int_equal(http_client_do(cl, &rq, &rs, &e), E_BUSY);
}

static void speaks_over_unix_sockets(void **state)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    struct http_server *s;
    struct err e = ERR_INIT;
    char path[64];
    snprintf(path, sizeof path, "/tmp/slipway-client-%d.sock", (int)getpid());
    cfg.handler = handle;
    assert_int_equal(http_server_new(&cfg, &s, &e), 0);
    assert_int_equal(http_server_listen_unix(s, path, 0600, &e), 0);
    assert_int_equal(http_server_start(s, &e), 0);
    _autoclient_ struct http_client *cl = http_client_new();
    _autoresponse_ struct http_client_response rs;
    http_client_response_init(&rs, KIB(64));
    for (int i = 0; i < 100; i++) {
        struct http_client_request rq = {.method = "POST",
                                         .url = "http://slipway/hello",
                                         .unix_path = path,
                                         .body = STR("over unix")};
        assert_int_equal(http_client_do(cl, &rq, &rs, &e), 0);
        assert_str(buf_str(&rs.body), "over unix");
    }
    assert_int_equal(stats_of(s).accepted, 1);
    http_server_free(s);
}

RUN_TESTS(cmocka_unit_test(speaks_with_a_server), cmocka_unit_test(sends_files_and_streams),
          cmocka_unit_test(fails_clearly), cmocka_unit_test(speaks_over_unix_sockets))
