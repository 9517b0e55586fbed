// SPDX-License-Identifier: Apache-2.0
// The trace against a server made of canned behaviour on a loopback socket: ranges, resumes, ends.
#include "../../lib/test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "runner/mask.h"
#include "runner/trace.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

// One connection at a time, one request after the other; enough for one trace.
struct server {
    int listener, port;
    pthread_t thread;
    pthread_mutex_t lock;
    struct buf log;
    int lose_at; // after this many patches half of the log is lost, -1 never
    int garble;  // answers 412 to so many final PUTs
    int late;    // answers 202 to so many final PUTs
    int fail;    // answers 500 to so many requests
    int patches, puts, bad_ranges, bad_sums;
    const char *job_status;
    char state[32];
};

static struct str header(struct str head, const char *name)
{
    struct str rest = head, line, key;
    while (str_cut(&rest, '\n', &line))
        if (str_cut(&line, ':', &key) && str_ieq(key, str_of(name)))
            return str_trim(line);
    return STR_NONE;
}

static int on_patch(struct server *s, struct str head, struct str body, struct buf *more)
{
    struct str range = header(head, "Content-Range"), from;
    uint64_t a = 0, b = 0;
    str_cut(&range, '-', &from);
    if (!str_to_u64(from, &a) || !str_to_u64(range, &b) || b - a + 1 != body.n) {
        s->bad_ranges++;
        return 400;
    }
    if (s->patches++ == s->lose_at)
        buf_cut(&s->log, s->log.n / 2);
    if (a != s->log.n) {
        buf_addf(more, "Range: 0-%zu\r\n", s->log.n);
        return 416;
    }
    buf_add(&s->log, body);
    buf_addf(more, "Range: 0-%zu\r\n", s->log.n);
    return 202;
}

static int on_put(struct server *s, struct str body)
{
    s->puts++;
    if (str_search(body, STR("\"state\":\"running\"")) >= 0)
        return 200;
    if (s->garble > 0) {
        s->garble--;
        buf_clear(&s->log);
        return 412;
    }
    if (s->late > 0) {
        s->late--;
        return 202;
    }
    char want[80];
    snprintf(want, sizeof(want), "\"checksum\":\"crc32:%08lx\"",
             crc32(0, (const unsigned char *)s->log.p, (unsigned)s->log.n));
    if (str_search(body, str_of(want)) < 0)
        s->bad_sums++;
    snprintf(s->state, sizeof(s->state), "%s",
             str_search(body, STR("\"state\":\"success\"")) >= 0 ? "success" : "failed");
    return 200;
}

static bool one_request(struct server *s, int fd, struct buf *in)
{
    char part[65536];
    ptrdiff_t end;
    uint64_t len = 0;
    for (;;) {
        end = str_search(buf_str(in), STR("\r\n\r\n"));
        struct str n = header(str_head(buf_str(in), (size_t)MAX(end, 0)), "Content-Length");
        if (end >= 0 && (!n.p || !str_to_u64(n, &len)))
            len = 0;
        if (end >= 0 && in->n >= (size_t)end + 4 + len)
            break;
        ssize_t got = read(fd, part, sizeof(part));
        if (got <= 0)
            return false;
        buf_add(in, str_n(part, (size_t)got));
    }
    struct str head = str_head(buf_str(in), (size_t)end), body = str_n(in->p + end + 4, len);
    struct buf more = BUF_INIT(1000);
    pthread_mutex_lock(&s->lock);
    int status = s->fail > 0                      ? (s->fail--, 500)
                 : str_starts(head, STR("PATCH")) ? on_patch(s, head, body, &more)
                                                  : on_put(s, body);
    buf_addf(&more, "Job-Status: %s\r\nX-GitLab-Trace-Update-Interval: 1\r\n", s->job_status);
    pthread_mutex_unlock(&s->lock);
    int n = snprintf(part, sizeof(part), "HTTP/1.1 %d X\r\n%sContent-Length: 0\r\n\r\n", status,
                     more.p);
    buf_done(&more);
    buf_shift(in, (size_t)end + 4 + len);
    return write(fd, part, (size_t)n) == n;
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0;) {
        struct buf in = BUF_INIT(MIB(4));
        while (one_request(s, fd, &in))
            continue;
        buf_done(&in);
        close(fd);
    }
    return NULL;
}

static int setup(void **state)
{
    static struct server s;
    s = (struct server){.lose_at = -1, .job_status = "running", .log = BUF_INIT(MIB(8))};
    pthread_mutex_init(&s.lock, NULL);
    s.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    assert_int_equal(bind(s.listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(s.listener, 5), 0);
    getsockname(s.listener, (struct sockaddr *)&at, &n);
    s.port = ntohs(at.sin_port);
    pthread_create(&s.thread, NULL, serve, &s);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct server *s = *state;
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    buf_done(&s->log);
    return 0;
}

static char url[64];

static struct trace *open_trace(struct server *s, size_t limit)
{
    static struct proto_conf conf;
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", s->port);
    conf = (struct proto_conf){.url = url, .token = "t", .system_id = "s", .name = "n"};
    struct mask *m = mask_new();
    mask_secret(m, STR("hidden"));
    return trace_new(&(struct trace_opts){
        .conf = &conf, .job_id = 1, .job_token = "jt", .mask = m, .limit = limit, .wake_fd = -1});
}

static bool server_has(struct server *s, const char *text, int64_t ms)
{
    bool has = false;
    for (int64_t end = clock_ms() + ms; !has && clock_ms() < end; usleep(2000)) {
        pthread_mutex_lock(&s->lock);
        has = str_search(buf_str(&s->log), str_of(text)) >= 0;
        pthread_mutex_unlock(&s->lock);
    }
    return has;
}

static void fill(struct trace *t, struct buf *want)
{
    for (int i = 0; i < 3000; i++) {
        char line[64];
        int n = snprintf(line, sizeof(line), "line %d of many\n", i);
        trace_write(t, str_n(line, (size_t)n));
        buf_add(want, str_n(line, (size_t)n));
        if (i % 500 == 0)
            usleep(60000);
    }
}

static void finish(struct server *s, struct trace *t, const struct buf *want)
{
    struct err e = ERR_INIT;
    assert_int_equal(trace_finish(t, "success", 0, NULL, NULL, &e), 0);
    assert_string_equal(s->state, "success");
    assert_int_equal(s->bad_ranges + s->bad_sums, 0);
    assert_str(buf_str(&s->log), want->p);
    trace_free(t);
}

static void the_first_line_goes_at_once(void **state)
{
    struct server *s = *state;
    struct trace *t = open_trace(s, MIB(1));
    _autobuf_ struct buf want = BUF_INIT(MIB(1));
    trace_say(t, "first %s", "hidden");
    buf_adds(&want, "first [MASKED]\n");
    assert_true(server_has(s, "first [MASKED]\n", 1000));
    finish(s, t, &want);
}

static void pieces_arrive_whole(void **state)
{
    struct server *s = *state;
    struct trace *t = open_trace(s, MIB(1));
    _autobuf_ struct buf want = BUF_INIT(MIB(1));
    fill(t, &want);
    finish(s, t, &want);
    assert_true(s->patches < 100); // coalesced, not one per line
}

static void a_server_that_loses_half_gets_it_again(void **state)
{
    struct server *s = *state;
    s->lose_at = 2;
    struct trace *t = open_trace(s, MIB(1));
    _autobuf_ struct buf want = BUF_INIT(MIB(1));
    fill(t, &want);
    finish(s, t, &want);
}

static void verdicts_are_repeated(void **state)
{
    struct server *s = *state;
    s->garble = 1;
    s->late = 2;
    s->fail = 2;
    struct trace *t = open_trace(s, MIB(1));
    _autobuf_ struct buf want = BUF_INIT(MIB(1));
    fill(t, &want);
    finish(s, t, &want);
}

static void the_limit_is_told_once(void **state)
{
    struct server *s = *state;
    struct trace *t = open_trace(s, 10);
    trace_write(t, STR("0123456789abc"));
    trace_write(t, STR("more"));
    struct err e = ERR_INIT;
    assert_int_equal(trace_finish(t, "success", 0, NULL, NULL, &e), 0);
    assert_true(str_starts(buf_str(&s->log), STR("0123456789\n")));
    assert_non_null(strstr(s->log.p, "longer than 10 bytes"));
    assert_null(strstr(s->log.p, "more"));
    trace_free(t);
}

static void orders_are_heard(void **state)
{
    struct server *s = *state;
    struct trace *t = open_trace(s, MIB(1));
    trace_say(t, "x");
    assert_true(server_has(s, "x\n", 2000));
    assert_int_equal(trace_order(t), TRACE_GO);
    pthread_mutex_lock(&s->lock);
    s->job_status = "canceling";
    pthread_mutex_unlock(&s->lock);
    for (int64_t end = clock_ms() + 5000; trace_order(t) == TRACE_GO && clock_ms() < end;)
        usleep(5000);
    assert_int_equal(trace_order(t), TRACE_CANCEL);
    trace_free(t);
}

static int once(void **state)
{
    (void)state;
    proto_global_init();
    return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {CASE(the_first_line_goes_at_once),
                                       CASE(pieces_arrive_whole),
                                       CASE(a_server_that_loses_half_gets_it_again),
                                       CASE(verdicts_are_repeated),
                                       CASE(the_limit_is_told_once),
                                       CASE(orders_are_heard)};
    return cmocka_run_group_tests(tests, once, NULL);
}
