// SPDX-License-Identifier: Apache-2.0
// The life of a call in a worker: run the handler, park or finish, give the connection back; and
// the request as the handler sees it, with its body. The worker that runs a call owns its
// connection, so nothing here needs a lock. Answers are in http_answer.c, waiting in http_topic.c.
#include "net/http_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/url.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

struct http_call *call_new(struct conn *c)
{
    struct http_call *call = NEW(struct http_call);
    call->conn = c;
    call->server = c->lt->server;
    call->job.run = call_run;
    arena_init(&call->arena, call->server->cfg.arena_max);
    return call;
}

void call_free(struct http_call *call)
{
    if (!call)
        return;
    arena_done(&call->arena);
    free(call->spill);
    free(call);
}

static bool sane_id(struct str s)
{
    if (s.n == 0 || s.n > 64)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.';
        if (!ok)
            return false;
    }
    return true;
}

static void set_request_id(struct http_call *c)
{
    struct http_server *s = c->server;
    for (size_t i = 0; i < c->head.nfields; i++) {
        if (c->head.fields[i].id != HTTP1_F_X_REQUEST_ID || !sane_id(c->head.fields[i].value))
            continue;
        memcpy(c->request_id, c->head.fields[i].value.p, c->head.fields[i].value.n);
        c->request_id[c->head.fields[i].value.n] = '\0';
        return;
    }
    uint64_t id = atomic_fetch_add_explicit(&s->id_next, 1, memory_order_relaxed);
    size_t n = strlen(s->id_prefix);
    memcpy(c->request_id, s->id_prefix, n);
    for (int shift = 36; shift >= 0; shift -= 4)
        c->request_id[n++] = "0123456789abcdef"[id >> shift & 15];
    c->request_id[n] = '\0';
}

void call_begin(struct http_call *c)
{
    arena_reset(&c->arena);
    free(c->spill);
    c->spill = NULL;
    c->head_n = c->body_at = c->body_end = c->raw_at = 0;
    c->spill_at = c->spill_n = 0;
    c->body_seen = 0;
    c->body_waited_ms = 0;
    c->body_limit = c->server->cfg.body_max;
    c->body_done = c->streamed = c->continued = false;
    c->piece = STR_NONE;
    c->begun = c->ended = c->chunked = c->has_length = c->no_body = c->aborted = c->close = false;
    c->fault = 0;
    c->length = c->streamed_out = c->bytes_out = 0;
    c->timed_out = c->stopped_once = c->ever_parked = false;
    c->cursor = 0;
    c->started_us = clock_us();
    set_request_id(c);
    call_clear_answer(c);
}

// What stays of one run when the handler runs again.
static void begin_run(struct http_call *c)
{
    topics_clear(c);
    arena_reset(&c->arena);
    if (!c->begun)
        call_clear_answer(c);
    c->nfields = 0; // they lay in the arena; a stream has sent them
    c->body_at = c->head_n;
}

static void give_back(struct conn *c, bool silent)
{
    uint32_t own = OWN_WORKER;
    if (silent && atomic_compare_exchange_strong(&c->own, &own, OWN_LOOP))
        return;
    loop_post(c->lt->loop, &c->back_msg);
}

static void finish(struct http_call *call)
{
    struct conn *c = call->conn;
    topics_clear(call);
    call_finish_answer(call);
    if (!c->broken && (c->out_at < c->out.n || c->file_left)) {
        c->phase = PHASE_SENDING;
        c->sent = 0;
        c->since = clock_ms();
        give_back(c, false);
        return;
    }
    give_back(c, conn_answered(c));
}

// True when somebody else goes on with the call.
static bool park(struct http_call *c)
{
    c->ever_parked = true;
    if (c->streamed) {
        // The body is gone: the handler could not begin again.
        c->fault = 413;
        c->close = true;
        c->aborted |= c->begun;
        finish(c);
        return true;
    }
    if (atomic_load(&c->server->stopping)) {
        // One more run to say goodbye; a handler that insists is cut short.
        c->timed_out = true;
        if (!c->stopped_once) {
            c->stopped_once = true;
            return false;
        }
        if (c->begun)
            c->aborted = !c->chunked;
        else
            c->fault = 503;
        finish(c);
        return true;
    }
    bool gone;
    if (topics_park(c, &gone))
        return true;
    if (gone) {
        c->conn->broken = true;
        finish(c);
        return true;
    }
    c->timed_out = false; // woken between the watch and the park
    return false;
}

void call_run(struct pool_job *job)
{
    struct http_call *c = CONTAINER_OF(job, struct http_call, job);
    const struct http_server_config *cfg = &c->server->cfg;
    for (;;) {
        begin_run(c);
        int rc = cfg->handler(c, cfg->ctx);
        if (rc != HTTP_PARK || c->ended || c->conn->broken) {
            finish(c);
            return;
        }
        if (park(c))
            return;
    }
}

// ---- the request

struct str http_method(const struct http_call *c)
{
    return c->head.method;
}

bool http_method_is(const struct http_call *c, const char *method)
{
    return str_is(c->head.method, method);
}

struct str http_path(const struct http_call *c)
{
    return c->head.path;
}

struct str http_query(const struct http_call *c)
{
    return c->head.query;
}

struct str http_target(const struct http_call *c)
{
    return c->head.target;
}

struct str http_host(const struct http_call *c)
{
    return c->head.host;
}

struct str http_header(const struct http_call *c, const char *name)
{
    return http1_get(&c->head, str_of(name));
}

bool http_header_at(const struct http_call *c, size_t i, struct str *ret_name,
                    struct str *ret_value)
{
    if (i >= c->head.nfields)
        return false;
    *ret_name = c->head.fields[i].name;
    *ret_value = c->head.fields[i].value;
    return true;
}

bool http_cookie(const struct http_call *c, const char *name, struct str *ret)
{
    struct str wanted = str_of(name);
    for (size_t i = 0; i < c->head.nfields; i++) {
        if (c->head.fields[i].id != HTTP1_F_COOKIE)
            continue;
        for (struct str rest = c->head.fields[i].value, pair; str_cut(&rest, ';', &pair);) {
            struct str key;
            pair = str_trim(pair);
            str_cut(&pair, '=', &key);
            if (!pair.p || !str_eq(key, wanted))
                continue;
            if (pair.n >= 2 && pair.p[0] == '"' && pair.p[pair.n - 1] == '"')
                pair = str_n(pair.p + 1, pair.n - 2);
            *ret = pair;
            return true;
        }
    }
    return false;
}

bool http_query_get(struct http_call *c, const char *name, struct str *ret)
{
    return url_query_get(c->head.query, str_of(name), &c->arena, ret);
}

struct arena *http_arena(struct http_call *c)
{
    return &c->arena;
}

const char *http_request_id(const struct http_call *c)
{
    return c->request_id;
}

struct str http_remote(const struct http_call *c)
{
    return str_of(c->conn->remote);
}

struct http_server *http_call_server(struct http_call *c)
{
    return c->server;
}

bool http_timed_out(const struct http_call *c)
{
    return c->timed_out;
}

bool http_gone(const struct http_call *c)
{
    struct pollfd p = {.fd = c->conn->io.fd, .events = POLLRDHUP};
    if (c->conn->broken)
        return true;
    int both = POLLHUP | POLLERR | POLLNVAL;
    return poll(&p, 1, 0) > 0 && p.revents & (c->ever_parked ? both | POLLRDHUP : both);
}

bool http_failed(const struct http_call *c)
{
    return c->conn->broken;
}

bool http_stopping(const struct http_call *c)
{
    return atomic_load(&c->server->stopping);
}

uint64_t *http_cursor(struct http_call *c)
{
    return &c->cursor;
}

int http_park(struct http_call *c, int64_t deadline)
{
    c->park_deadline = deadline;
    return HTTP_PARK;
}

// ---- the body

int64_t http_content_length(const struct http_call *c)
{
    switch (c->head.body) {
    case HTTP1_BODY_LENGTH:
        return (int64_t)c->head.length;
    case HTTP1_BODY_CHUNKED:
        return -1;
    default:
        return 0;
    }
}

void http_body_limit(struct http_call *c, int64_t max)
{
    c->body_limit = max;
}

static int over_limit(struct http_call *c, struct err *e)
{
    c->close |= !c->body_done;
    return err_set(e, E_LIMIT, "the request body is larger than %lld bytes",
                   (long long)c->body_limit);
}

static int client_gone(struct http_call *c, struct err *e)
{
    c->conn->broken = true;
    return err_set(e, E_IO, "the client closed the connection within the request body");
}

static int too_slow(struct http_call *c, struct err *e)
{
    c->fault = 408;
    c->close = true;
    return err_set(e, E_IO, "the request body arrives too slowly");
}

// Waits for bytes; the time spent here is what the client is judged by.
static int wait_body(struct http_call *c, struct err *e)
{
    const struct http_server_config *cfg = &c->server->cfg;
    int64_t earned = (int64_t)(c->body_seen * 1000 / (uint64_t)MAX(cfg->body_rate, 1));
    int64_t left = cfg->body_grace_ms + earned - c->body_waited_ms;
    int64_t start = clock_ms();
    struct pollfd p = {.fd = c->conn->io.fd, .events = POLLIN};
    int n = left > 0 ? poll(&p, 1, (int)MIN(left, INT32_MAX)) : 0;
    c->body_waited_ms += clock_ms() - start;
    if (n == 0)
        return too_slow(c, e);
    return 0;
}

static int receive(struct http_call *c, char *to, size_t room, size_t *ret_n, struct err *e)
{
    if (c->head.expect_continue && !c->continued) {
        c->continued = true;
        buf_adds(&c->conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
        (void)call_flush(c->conn, SIZE_MAX);
    }
    for (;;) {
        ssize_t n = recv(c->conn->io.fd, to, room, MSG_DONTWAIT);
        if (n > 0) {
            *ret_n = (size_t)n;
            return 0;
        }
        if (n == 0)
            return client_gone(c, e);
        if (errno == EAGAIN) {
            int rc = wait_body(c, e);
            if (rc < 0)
                return rc;
        } else if (errno != EINTR) {
            return client_gone(c, e);
        }
    }
}

// More raw bytes behind those that are there.
static int refill(struct http_call *c, struct err *e)
{
    struct conn *conn = c->conn;
    if (!c->spill) {
        c->spill = mem_zalloc(SPILL_SIZE, 1);
        c->spill_n = conn->in_n - c->raw_at;
        BUG_ON(c->spill_n > SPILL_SIZE);
        memcpy(c->spill, conn->in + c->raw_at, c->spill_n);
    } else if (c->spill_at) {
        c->spill_n -= c->spill_at;
        memmove(c->spill, c->spill + c->spill_at, c->spill_n);
    }
    c->spill_at = 0;
    size_t got;
    int rc = receive(c, c->spill + c->spill_n, SPILL_SIZE - c->spill_n, &got, e);
    if (rc == 0)
        c->spill_n += got;
    return rc;
}

static struct str raw_bytes(const struct http_call *c)
{
    if (c->spill)
        return str_n(c->spill + c->spill_at, c->spill_n - c->spill_at);
    return str_n(c->conn->in + c->raw_at, c->conn->in_n - c->raw_at);
}

// The next decoded piece into c->piece, or the end.
static int next_piece(struct http_call *c, struct err *e)
{
    struct http1_parser *p = &c->conn->parser;
    while (c->piece.n == 0 && !c->body_done) {
        struct http1_event ev = http1_next(p, &c->head, raw_bytes(c));
        if (c->spill)
            c->spill_at += ev.used;
        else
            c->raw_at += ev.used;
        int rc = 0;
        if (ev.type == HTTP1_DATA) {
            c->piece = ev.data;
            c->body_seen += ev.data.n;
        } else if (ev.type == HTTP1_END) {
            c->body_done = true;
        } else if (ev.type == HTTP1_MORE) {
            rc = refill(c, e);
        } else if (ev.type != HTTP1_TRAILER) {
            c->fault = 400;
            c->close = true;
            rc = err_set(e, E_INVALID, "bad request body: %s", p->error ? p->error : "framing");
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_streamed(struct http_call *c, char *to, size_t n, size_t *ret_n, struct err *e)
{
    struct http1_parser *p = &c->conn->parser;
    c->streamed = true;
    // Plain length and nothing buffered: from the socket into the caller's memory.
    if (c->head.body == HTTP1_BODY_LENGTH && c->piece.n == 0 && raw_bytes(c).n == 0 &&
        !c->body_done && p->left > 0) {
        size_t got = 0;
        int rc = receive(c, to, (size_t)MIN((uint64_t)n, p->left), &got, e);
        if (rc < 0)
            return rc;
        struct http1_event ev = http1_next(p, &c->head, str_n(to, got));
        BUG_ON(ev.type != HTTP1_DATA || ev.used != got);
        c->body_seen += got;
        if (p->left == 0)
            c->body_done = http1_next(p, &c->head, STR_NONE).type == HTTP1_END;
        *ret_n = got;
        return 0;
    }
    int rc = next_piece(c, e);
    if (rc < 0)
        return rc;
    *ret_n = MIN(n, c->piece.n);
    if (*ret_n)
        memcpy(to, c->piece.p, *ret_n);
    c->piece = str_from(c->piece, *ret_n);
    return 0;
}

int http_read_body(struct http_call *c, void *to, size_t n, size_t *ret_n, struct err *e)
{
    *ret_n = 0;
    if (n == 0)
        return 0;
    bool limited = c->body_limit >= 0;
    if (limited && c->head.body == HTTP1_BODY_LENGTH && c->head.length > (uint64_t)c->body_limit)
        return over_limit(c, e);
    if (limited && c->body_seen > (uint64_t)c->body_limit)
        return over_limit(c, e);
    if (c->body_at < c->body_end) {
        *ret_n = MIN(n, c->body_end - c->body_at);
        memcpy(to, c->conn->in + c->body_at, *ret_n);
        c->body_at += *ret_n;
        return 0;
    }
    if (c->body_done && c->piece.n == 0)
        return 0;
    if (c->fault || c->conn->broken)
        return err_set(e, E_IO, "the request body was cut");
    int rc = read_streamed(c, to, n, ret_n, e);
    if (rc == 0 && limited && c->body_seen > (uint64_t)c->body_limit)
        return over_limit(c, e);
    return rc;
}

int http_read_all(struct http_call *c, struct buf *into, struct err *e)
{
    int64_t announced = http_content_length(c);
    if (announced > 0 && (uint64_t)announced > into->max - into->n) {
        c->close |= !c->body_done;
        return err_set(e, E_LIMIT, "the request body is larger than %zu bytes", into->max);
    }
    char spare[1] = {0};
    for (;;) {
        size_t room = MIN(KIB(16), into->max - into->n), got;
        char *to = room ? buf_reserve(into, room) : spare;
        int rc = http_read_body(c, to, room ? room : 1, &got, e);
        if (rc < 0 || got == 0)
            return rc;
        if (room == 0) {
            c->close |= !c->body_done;
            return err_set(e, E_LIMIT, "the request body is larger than %zu bytes", into->max);
        }
        buf_commit(into, got);
    }
}
