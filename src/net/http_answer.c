// SPDX-License-Identifier: Apache-2.0
// Answers: heads, whole bodies, files, streams, and the server's own error answers. Whoever owns
// the connection calls these: the worker that runs the handler, or the loop for answers of its own.
// What the socket does not take at once stays in conn->out (or as a file range) for the loop.
#include "net/http_internal.h"

#include "base/clock.h"
#include "base/jout.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

const int http_server_latency_bounds_ms[8] = {1, 5, 10, 50, 100, 500, 1000, 5000};

void call_clear_answer(struct http_call *c)
{
    c->status = 200;
    c->nfields = 0;
    c->has_length = false;
}

void http_status(struct http_call *c, int status)
{
    c->status = status;
}

static bool is_framing(struct str name)
{
    static const char *const ours[] = {"Content-Length", "Transfer-Encoding", "Connection", "Date",
                                       "Keep-Alive"};
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (str_ieq(name, str_of(ours[i])))
            return true;
    return false;
}

void http_add(struct http_call *c, const char *name, struct str value)
{
    struct str n = str_of(name);
    if (is_framing(n) || !http1_is_token(n) || !http1_is_value(value))
        return;
    BUG_ON(c->nfields == FIELDS_MAX);
    c->fields[c->nfields++] =
        (struct answer_field){arena_str(&c->arena, n), arena_str(&c->arena, value)};
}

void http_set(struct http_call *c, const char *name, struct str value)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->nfields; i++)
        if (!str_ieq(c->fields[i].name, str_of(name)))
            c->fields[kept++] = c->fields[i];
    c->nfields = kept;
    http_add(c, name, value);
}

void http_setf(struct http_call *c, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    http_set(c, name, str_n(text, n < 0 ? 0 : MIN((size_t)n, sizeof text - 1)));
}

void http_length(struct http_call *c, uint64_t n)
{
    c->has_length = true;
    c->length = n;
}

bool http_begun(const struct http_call *c)
{
    return c->begun;
}

// ---- the head

// The part of the request's body that nobody read is too large, or of unknown size, to be passed
// over: the connection ends with this answer.
static bool body_in_the_way(const struct http_call *c)
{
    if (c->body_done || c->head.body == HTTP1_BODY_NONE)
        return false;
    if (c->head.body == HTTP1_BODY_CHUNKED || (c->head.expect_continue && !c->continued))
        return true;
    return c->conn->parser.left > c->server->cfg.drain_max;
}

static void add_date(struct buf *b)
{
    static _Thread_local int64_t second;
    static _Thread_local char text[CLOCK_RFC3339_SIZE];
    int64_t now = clock_wall_ms() / 1000;
    if (now != second) {
        clock_http_date(now * 1000, text);
        second = now;
    }
    buf_add(b, STR("Date: "));
    buf_adds(b, text);
    buf_add(b, STR("\r\n"));
}

void call_write_head(struct http_call *c, struct buf *b)
{
    bool bodiless = c->status == 204 || c->status == 304 || c->status / 100 == 1;
    c->no_body = bodiless || str_is(c->head.method, "HEAD");
    c->chunked = !bodiless && !c->has_length && c->head.minor == 1;
    c->close |= !c->head.keep_alive || body_in_the_way(c) || atomic_load(&c->server->stopping);
    c->close |= !bodiless && !c->has_length && !c->chunked;
    c->conn->close_after = c->close;
    c->begun = true;

    http1_write_status(b, c->status);
    add_date(b);
    for (size_t i = 0; i < c->nfields; i++) {
        buf_add(b, c->fields[i].name);
        buf_add(b, STR(": "));
        buf_add(b, c->fields[i].value);
        buf_add(b, STR("\r\n"));
    }
    if (c->has_length && !bodiless)
        http1_write_field_u64(b, STR("Content-Length"), c->length);
    if (c->chunked)
        buf_add(b, STR("Transfer-Encoding: chunked\r\n"));
    buf_add(b, STR("X-Request-Id: "));
    buf_adds(b, c->request_id);
    if (c->close)
        buf_add(b, STR("\r\nConnection: close\r\n\r\n"));
    else if (c->head.minor == 0)
        buf_add(b, STR("\r\nConnection: keep-alive\r\n\r\n"));
    else
        buf_add(b, STR("\r\n\r\n"));
}

// ---- sending

static ssize_t send_parts(struct conn *c, struct iovec *iov, size_t n, int flags)
{
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t sent;
    do {
        sent = sendmsg(c->io.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
    } while (sent < 0 && errno == EINTR);
    if (sent > 0 && c->call)
        c->call->bytes_out += (uint64_t)sent;
    return sent;
}

static bool would_block(void)
{
    return errno == EAGAIN;
}

static int broke(struct conn *c)
{
    c->broken = true;
    return E_IO;
}

static int flush_file(struct conn *c, size_t most)
{
    uint64_t budget = most;
    while (c->file_left > 0) {
        size_t want = (size_t)MIN((uint64_t)c->file_left, MIN(budget, (uint64_t)MIB(1)));
        if (want == 0)
            return E_AGAIN;
        off_t at = c->file_at;
        ssize_t n = sendfile(c->io.fd, c->file_fd, &at, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return would_block() ? E_AGAIN : broke(c);
        if (n == 0)
            return broke(c); // the file became shorter than what was announced
        c->file_at += n;
        c->file_left -= n;
        c->sent += (uint64_t)n;
        c->call->bytes_out += (uint64_t)n;
        budget -= (uint64_t)n;
    }
    if (c->file_fd >= 0) {
        close(c->file_fd);
        c->file_fd = -1;
    }
    return 0;
}

int call_flush(struct conn *c, size_t most)
{
    size_t sent = 0;
    while (c->out_at < c->out.n) {
        struct iovec iov = {c->out.p + c->out_at, MIN(c->out.n - c->out_at, most - sent)};
        if (iov.iov_len == 0)
            return E_AGAIN;
        ssize_t n = send_parts(c, &iov, 1, c->file_left ? MSG_MORE : 0);
        if (n < 0)
            return would_block() ? E_AGAIN : broke(c);
        c->out_at += (size_t)n;
        c->sent += (uint64_t)n;
        sent += (size_t)n;
    }
    c->out_at = 0;
    buf_clear(&c->out);
    return flush_file(c, most - sent);
}

// Head in conn->out, then the body: at once as far as possible, the rest into conn->out.
static void send_with(struct conn *c, struct str body)
{
    size_t head = c->out.n - c->out_at;
    struct iovec iov[2] = {{c->out.p + c->out_at, head}, {(void *)(uintptr_t)body.p, body.n}};
    ssize_t n = send_parts(c, iov, body.n ? 2 : 1, 0);
    if (n < 0 && !would_block()) {
        broke(c);
        return;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (sent < head) {
        c->out_at += sent;
        buf_add(&c->out, body);
        return;
    }
    c->out_at = 0;
    buf_clear(&c->out);
    buf_add(&c->out, str_from(body, sent - head));
}

// The status and fields of the server's own answer take the place of the handler's.
static bool faulted(struct http_call *c)
{
    if (!c->fault)
        return false;
    int status = c->fault;
    c->fault = 0;
    COUNT(c->server, bad, 1);
    call_own_answer(c, status,
                    status == 408   ? "the request body arrives too slowly"
                    : status == 400 ? "the request body is not framed as announced"
                    : status == 413 ? "the request body is too large to wait with"
                                    : "the server is stopping",
                    false);
    if (call_flush(c->conn, SIZE_MAX) == E_IO)
        c->conn->broken = true;
    return true;
}

void http_send(struct http_call *c, const char *content_type, struct str body)
{
    if (c->begun || c->ended || c->conn->broken || faulted(c))
        return;
    if (content_type)
        http_set(c, "Content-Type", str_of(content_type));
    http_length(c, body.n);
    call_write_head(c, &c->conn->out);
    c->ended = true;
    send_with(c->conn, c->no_body ? STR_NONE : body);
}

int http_send_file(struct http_call *c, const char *content_type, int fd, int64_t offset,
                   int64_t length, struct err *e)
{
    struct conn *conn = c->conn;
    if (c->begun || c->ended || conn->broken || faulted(c))
        return 0;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0)
        return err_errno(e, errno, "cannot send the file");
    if (content_type)
        http_set(c, "Content-Type", str_of(content_type));
    http_length(c, (uint64_t)length);
    call_write_head(c, &conn->out);
    c->ended = true;
    conn->file_fd = own;
    conn->file_at = offset;
    conn->file_left = c->no_body ? 0 : length;
    (void)call_flush(conn, SEND_TURN);
    return 0;
}

void call_own_answer(struct http_call *c, int status, const char *message, bool keep)
{
    const struct http_server_config *cfg = &c->server->cfg;
    _autobuf_ struct buf body = BUF_INIT(KIB(64));
    const char *type = "application/json";
    if (!cfg->restyle || !cfg->restyle(cfg->ctx, status, message, &body, &type)) {
        type = "application/json";
        buf_clear(&body);
        char text[600];
        snprintf(text, sizeof text, "%d %s: %s", status, http1_reason(status), message);
        struct jout j;
        jout_begin(&j, &body);
        jout_object(&j);
        jout_kcstr(&j, "message", text);
        jout_end_object(&j);
    }
    call_clear_answer(c);
    http_status(c, status);
    http_set(c, "Content-Type", str_of(type));
    if (status == 503)
        http_set(c, "Retry-After", STR("1"));
    c->close |= !keep;
    http_length(c, body.n);
    call_write_head(c, &c->conn->out);
    if (!c->no_body)
        buf_add(&c->conn->out, buf_str(&body));
    c->ended = true;
}

void http_fail(struct http_call *c, int status, const char *fmt, ...)
{
    if (c->begun || c->ended || c->conn->broken || faulted(c))
        return;
    char text[500];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    call_own_answer(c, status, text, true);
    (void)call_flush(c->conn, SIZE_MAX);
}

// ---- streams

// Sends all parts, waiting for the client within limits.
static int send_blocking(struct http_call *c, struct iovec *iov, size_t n, struct err *e)
{
    const struct http_server_config *cfg = &c->server->cfg;
    struct conn *conn = c->conn;
    int64_t start = 0, last = 0;
    uint64_t sent_here = 0;
    while (n > 0 && !conn->broken) {
        ssize_t sent = send_parts(conn, iov, n, 0);
        if (sent < 0 && !would_block()) {
            broke(conn);
            break;
        }
        if (sent < 0) {
            int64_t now = clock_ms();
            start = start ? start : now;
            last = last ? last : now;
            int64_t earned = (int64_t)(sent_here * 1000 / (uint64_t)MAX(cfg->body_rate, 1));
            int64_t until = MIN(last, start + earned) + cfg->write_stall_ms;
            struct pollfd p = {.fd = conn->io.fd, .events = POLLOUT};
            if (until <= now || poll(&p, 1, (int)MIN(until - now, INT32_MAX)) == 0)
                broke(conn);
            continue;
        }
        sent_here += (uint64_t)sent;
        last = start ? clock_ms() : 0;
        size_t left = (size_t)sent;
        while (n > 0 && left >= iov->iov_len) {
            left -= iov->iov_len;
            iov++;
            n--;
        }
        if (n > 0) {
            iov->iov_base = (char *)iov->iov_base + left;
            iov->iov_len -= left;
        }
    }
    return conn->broken ? err_set(e, E_IO, "the client is gone") : 0;
}

static int send_out(struct http_call *c, struct err *e)
{
    struct conn *conn = c->conn;
    struct iovec iov = {conn->out.p + conn->out_at, conn->out.n - conn->out_at};
    int rc = send_blocking(c, &iov, 1, e);
    conn->out_at = 0;
    buf_clear(&conn->out);
    return rc;
}

int http_begin(struct http_call *c, const char *content_type, struct err *e)
{
    if (c->begun && !c->ended)
        return c->conn->broken ? err_set(e, E_IO, "the client is gone") : 0;
    if (c->ended || c->conn->broken || faulted(c))
        return err_set(e, E_IO, "the answer has ended");
    if (content_type)
        http_set(c, "Content-Type", str_of(content_type));
    call_write_head(c, &c->conn->out);
    return send_out(c, e);
}

int http_write(struct http_call *c, struct str piece, struct err *e)
{
    if (!c->begun || c->ended || c->conn->broken)
        return err_set(e, E_IO, "the client is gone");
    if (piece.n == 0 || c->no_body)
        return 0;
    if (c->has_length && piece.n > c->length - c->streamed_out) {
        http_abort(c);
        return err_set(e, E_LIMIT, "more was written than the announced %llu bytes",
                       (unsigned long long)c->length);
    }
    c->streamed_out += piece.n;
    char size[HTTP1_CHUNK_HEAD_MAX];
    char crlf[2] = "\r\n";
    struct iovec iov[3] = {{size, c->chunked ? http1_chunk_head(size, piece.n) : 0},
                           {(void *)(uintptr_t)piece.p, piece.n},
                           {crlf, c->chunked ? 2 : 0}};
    return send_blocking(c, iov, 3, e);
}

void http_abort(struct http_call *c)
{
    // A reset, so that a close-delimited answer is not taken for complete.
    struct linger now = {.l_onoff = 1};
    (void)setsockopt(c->conn->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    c->aborted = true;
    c->ended = true;
    c->conn->broken = true;
}

void call_finish_answer(struct http_call *c)
{
    struct conn *conn = c->conn;
    if (conn->broken || c->ended)
        return;
    if (!c->begun) {
        if (!faulted(c)) {
            call_own_answer(c, 500, "the handler gave no answer", true);
            (void)call_flush(conn, SIZE_MAX);
        }
        return;
    }
    if (!c->no_body && c->has_length && c->streamed_out < c->length) {
        http_abort(c);
        return;
    }
    if (c->chunked && !c->no_body)
        buf_add(&conn->out, HTTP1_LAST_CHUNK);
    c->ended = true;
    (void)call_flush(conn, SIZE_MAX);
}

// ---- accounts

void call_account(struct http_call *c, bool aborted)
{
    struct http_server *s = c->server;
    int64_t us = clock_us() - c->started_us;
    aborted |= c->conn->broken;
    int status = c->begun ? c->status : 0;
    UNCOUNT(s, in_flight, 1);
    COUNT(s, by_class[status >= 100 && status < 600 ? status / 100 : 0], 1);
    COUNT(s, bytes_in, c->body_seen);
    COUNT(s, bytes_out, c->bytes_out);
    if (aborted)
        COUNT(s, aborted, 1);
    if (!c->ever_parked && status) {
        COUNT(s, latency_count, 1);
        COUNT(s, latency_us_sum, (uint64_t)us);
        for (size_t i = 0; i < ARRAY_SIZE(http_server_latency_bounds_ms); i++)
            if (us <= 1000 * (int64_t)http_server_latency_bounds_ms[i])
                COUNT(s, latency_le[i], 1);
    }
    if (!s->cfg.access)
        return;
    struct str agent = http1_get(&c->head, STR("user-agent"));
    struct http_access a = {.method = c->head.method,
                            .target = c->head.target,
                            .host = c->head.host,
                            .remote = str_of(c->conn->remote),
                            .request_id = c->request_id,
                            .status = status,
                            .bytes_in = c->body_seen,
                            .bytes_out = c->bytes_out,
                            .duration_us = us,
                            .aborted = aborted,
                            .user_agent = agent};
    s->cfg.access(s->cfg.ctx, &a);
}
