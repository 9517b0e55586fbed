// SPDX-License-Identifier: Apache-2.0
// What the edge itself says: errors as text, HTML or JSON by what the client accepts, health and
// metrics, and the pages of published sites. Small answers go out in one write together with their
// head; larger files by sendfile.
#include "edge/worker.h"

#include "base/clock.h"
#include "base/jout.h"
#include "base/text.h"
#include "edge/conditional.h"
#include "edge/forward.h"
#include "os/fd.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define INLINE_FILE KIB(32) // files up to this are read and sent with their head
#define SEND_PIECE  KIB(512)

static void field(struct buf *to, const char *name, struct str value)
{
    buf_adds(to, name);
    buf_add(to, STR(": "));
    buf_add(to, value);
    buf_add(to, STR("\r\n"));
}

// Written once a second.
static const char *date_now(struct worker *w)
{
    int64_t now = clock_wall_ms();
    if (now / 1000 != w->date_second) {
        w->date_second = now / 1000;
        clock_http_date(now, w->date);
    }
    return w->date;
}

// The status line and what every answer of the edge carries; `close` also says whether the
// connection ends.
static void begin_head(struct conn *c, int status)
{
    struct buf *b = &c->w->scratch;
    struct exchange *x = c->x;
    x->status = status;
    x->begun = true;
    buf_clear(b);
    http1_write_status(b, status);
    field(b, "Date", str_of(date_now(c->w)));
    field(b, "X-Request-Id", str_of(x->request_id));
    if (!x->keep_alive || x->close)
        field(b, "Connection", STR("close"));
    else if (x->minor == 0)
        field(b, "Connection", STR("keep-alive"));
}

// Ends the head, puts `body` behind it and sends what goes at once.
static void finish(struct conn *c, struct str body)
{
    struct exchange *x = c->x;
    struct buf *b = &c->w->scratch;
    buf_add(b, STR("\r\n"));
    if (!x->get_head)
        buf_add(b, body);
    BUG_ON(!buf_ok(b));
    outq_clear(&x->to_client);
    outq_add_scratch(&x->to_client, buf_str(b));
    c->state = CONN_ANSWER;
    // An error shows again in answer_step.
    (void)!outq_flush(&x->to_client, c->io.fd, &c->can_write, x->file_left > 0, &x->sent);
}

// The request has no body to skip: takes its end from the parser, so that the connection can go on.
static void take_request_end(struct conn *c)
{
    struct exchange *x = c->x;
    struct http1_head none;
    if (x->request_done || !x->keep_alive || x->close)
        return;
    struct http1_event ev = http1_next(&c->parser, &none, inbuf_unread(&c->in));
    c->in.start += (uint32_t)ev.used;
    x->request_done = ev.type == HTTP1_END;
    if (!x->request_done)
        x->close = true;
}

static bool accepts(const struct http1_head *h, const char *type)
{
    struct str accept = http1_get(h, STR("Accept"));
    return accept.p && str_search(accept, str_of(type)) >= 0;
}

static void html_error(struct buf *to, int status, const char *what, const char *id)
{
    buf_addf(to,
             "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
             "<meta name=\"viewport\" content=\"width=device-width\">"
             "<meta name=\"color-scheme\" content=\"light dark\">"
             "<title>%d %s</title></head>\n<body>\n<h1>%d %s</h1>\n<p>",
             status, http1_reason(status), status, http1_reason(status));
    text_html(to, str_of(what));
    buf_addf(to, "</p>\n<p><small>Request %s</small></p>\n</body></html>\n", id);
}

void answer_error(struct conn *c, int status, const char *what, bool known, bool close)
{
    struct exchange *x = c->x;
    const struct http1_head *h = &c->w->head;
    struct buf body = BUF_INIT(KIB(4));
    const char *type = "text/plain; charset=utf-8";
    if (close)
        x->close = true;
    take_request_end(c);
    if (known && (accepts(h, "application/json") || str_starts(h->path, STR("/api/")))) {
        struct jout j;
        type = "application/json";
        jout_begin(&j, &body);
        jout_object(&j);
        _autobuf_ struct buf text = BUF_INIT(KIB(1));
        buf_addf(&text, "%d %s: %s", status, http1_reason(status), what);
        jout_kstr(&j, "message", buf_str(&text));
        jout_kcstr(&j, "request_id", x->request_id);
        jout_end_object(&j);
    } else if (known && accepts(h, "text/html")) {
        type = "text/html; charset=utf-8";
        html_error(&body, status, what, x->request_id);
    } else {
        buf_addf(&body, "%d %s: %s\n", status, http1_reason(status), what);
    }
    begin_head(c, status);
    struct buf *b = &c->w->scratch;
    field(b, "Content-Type", str_of(type));
    field(b, "Cache-Control", STR("no-store"));
    field(b, "X-Content-Type-Options", STR("nosniff"));
    if (status == 503)
        field(b, "Retry-After", STR("1"));
    if (status == 405)
        field(b, "Allow", STR("GET, HEAD"));
    http1_write_field_u64(b, STR("Content-Length"), body.n);
    finish(c, buf_str(&body));
    buf_done(&body);
}

void edge_answer_text(struct conn *c, int status, const char *type, struct str body)
{
    take_request_end(c);
    begin_head(c, status);
    struct buf *b = &c->w->scratch;
    field(b, "Content-Type", str_of(type));
    field(b, "Cache-Control", STR("no-store"));
    http1_write_field_u64(b, STR("Content-Length"), body.n);
    finish(c, body);
}

void answer_health(struct conn *c)
{
    bool draining = __atomic_load_n(&c->w->edge->draining, __ATOMIC_RELAXED);
    edge_answer_text(c, draining ? 503 : 200, "application/json",
                     draining ? STR("{\"status\":\"draining\"}\n") : STR("{\"status\":\"ok\"}\n"));
}

void answer_metrics(struct conn *c)
{
    struct edge *ed = c->w->edge;
    struct stats sum = {0};
    _autobuf_ struct buf b = BUF_INIT(KIB(32));
    for (unsigned i = 0; i < ed->nworkers; i++)
        stats_sum(&sum, &ed->workers[i].stats);
    stats_write(&sum, __atomic_load_n(&ed->draining, __ATOMIC_RELAXED), &b);
    edge_answer_text(c, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&b));
}

// ---- pages

// Published sites change whole and at any moment: caches keep them but ask each time, so that a
// page and its style sheet are never of two publications for longer than one reload.
static void page_fields(struct buf *b, const struct site_file *f)
{
    char date[CLOCK_RFC3339_SIZE];
    field(b, "ETag", str_of(f->etag));
    field(b, "Last-Modified", str_of(clock_http_date(f->mtime_ms, date)));
    field(b, "Cache-Control", STR("no-cache"));
    if (f->varies)
        field(b, "Vary", STR("Accept-Encoding"));
}

// `body`: the whole file in memory, or p == NULL: it is f->fd, which is taken over for large ones.
static void send_page(struct conn *c, int status, struct site_file *f, struct str body,
                      const struct verdict *v)
{
    struct exchange *x = c->x;
    struct buf *b = &c->w->scratch;
    char piece[INLINE_FILE];
    begin_head(c, status);
    field(b, "Content-Type", str_of(f->type));
    field(b, "X-Content-Type-Options", STR("nosniff"));
    if (f->encoding)
        field(b, "Content-Encoding", str_of(f->encoding));
    if (status != 404) {
        page_fields(b, f);
        field(b, "Accept-Ranges", STR("bytes"));
    }
    if (status == 206)
        buf_addf(b, "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)v->first,
                 (long long)(v->first + v->length - 1), (long long)f->size);
    http1_write_field_u64(b, STR("Content-Length"), (uint64_t)v->length);
    if (x->get_head) {
        body = STR_NONE;
    } else if (body.p) {
        body = str_n(body.p + v->first, (size_t)v->length);
    } else if (v->length <= (int64_t)sizeof(piece)) {
        ssize_t n = pread(f->fd, piece, (size_t)v->length, v->first);
        body = str_n(piece, n > 0 ? (size_t)n : 0);
        if (n != v->length)
            x->close = true; // the file shrank: the missing bytes tell the client
    } else {
        x->file = fd_take(&f->fd);
        x->file_at = v->first;
        x->file_left = v->length;
    }
    finish(c, body);
}

static void send_bare(struct conn *c, int status, const struct site_file *f)
{
    struct buf *b = &c->w->scratch;
    begin_head(c, status);
    page_fields(b, f);
    if (status == 416)
        buf_addf(b, "Content-Range: bytes */%lld\r\n", (long long)f->size);
    if (status != 304)
        http1_write_field_u64(b, STR("Content-Length"), 0);
    finish(c, STR_NONE);
}

static void send_file(struct conn *c, struct site_file *f, struct str body)
{
    const struct http1_head *h = &c->w->head;
    const struct conditions cond = {
        .head = c->x->get_head,
        .if_match = http1_get(h, STR("If-Match")),
        .if_none_match = http1_get(h, STR("If-None-Match")),
        .if_modified_since = http1_get(h, STR("If-Modified-Since")),
        .if_unmodified_since = http1_get(h, STR("If-Unmodified-Since")),
        .range = http1_get(h, STR("Range")),
        .if_range = http1_get(h, STR("If-Range")),
    };
    const struct representation r = {str_of(f->etag), f->mtime_ms, f->size};
    struct verdict v = conditional_decide(&cond, &r);
    if (v.status == 200 || v.status == 206)
        send_page(c, v.status, f, body, &v);
    else
        send_bare(c, v.status, f);
}

// Reads a small file whole, keeps it for the next request, and sends it.
static void send_and_keep(struct conn *c, struct site_file *f, const struct site_place *place,
                          struct str key)
{
    char body[SITE_CACHE_FILE];
    struct worker *w = c->w;
    if (key.n == 0 || place->path[0] == '\0' || f->size > (int64_t)sizeof(body) ||
        pread(f->fd, body, (size_t)f->size, 0) != f->size) {
        send_file(c, f, STR_NONE);
        return;
    }
    site_cache_put(&w->pages, key, f, place, body, loop_now(w->loop));
    send_file(c, f, str_n(body, (size_t)f->size));
}

static void send_redirect(struct conn *c, const char *location)
{
    struct buf *b = &c->w->scratch;
    struct str query = c->w->head.query;
    begin_head(c, 302);
    buf_adds(b, "Location: ");
    buf_adds(b, location);
    if (query.p) {
        buf_addc(b, '?');
        buf_add(b, query);
    }
    buf_adds(b, "\r\nCache-Control: no-cache\r\nContent-Length: 0\r\n");
    finish(c, STR_NONE);
}

static void find_page(struct conn *c, struct str ns, struct str host, struct str key)
{
    struct worker *w = c->w;
    const struct http1_head *h = &w->head;
    struct site_path path;
    struct site_file f;
    struct site_place place;
    enum site_found found;
    char location[SITE_LOCATION_MAX];
    struct err e;
    int r = site_path_parse(h->path, &path, &e);
    if (r) {
        STAT_ADD(w->stats.bad_requests, 1);
        answer_error(c, r == E_LIMIT ? 414 : 400, e.msg, true, false);
        return;
    }
    r = site_find(&w->edge->pages, ns, host, &path, http1_get(h, STR("Accept-Encoding")), &found,
                  &f, &place, location, &e);
    if (r) {
        answer_error(c, r == E_LIMIT ? 503 : 500, e.msg, true, false);
        return;
    }
    if (found == SITE_REDIRECT) {
        send_redirect(c, location);
    } else if (found == SITE_FILE) {
        send_and_keep(c, &f, &place, key);
    } else if (f.fd >= 0) {
        const struct verdict whole = {404, 0, f.size};
        send_page(c, 404, &f, STR_NONE, &whole);
    } else {
        answer_error(c, 404, "there is no such page", true, false);
    }
    fd_close(&f.fd);
}

void answer_page(struct conn *c, struct str ns, struct str host)
{
    struct worker *w = c->w;
    const struct http1_head *h = &w->head;
    char text[SITE_CACHE_KEY];
    take_request_end(c);
    if (!str_is(h->method, "GET") && !str_is(h->method, "HEAD")) {
        answer_error(c, 405, "published pages are only read: GET and HEAD", true, false);
        return;
    }
    if (w->edge->pages.fd < 0) {
        answer_error(c, 404, "no pages are published here", true, false);
        return;
    }
    struct str key = {text,
                      site_cache_key(text, ns, h->path, http1_get(h, STR("Accept-Encoding")))};
    const struct site_entry *kept =
        key.n ? site_cache_get(&w->pages, &w->edge->pages, key, loop_now(w->loop)) : NULL;
    if (kept) {
        struct site_file f = kept->file;
        send_file(c, &f, str_n(kept->body, (size_t)f.size));
        return;
    }
    find_page(c, ns, host, key);
}

enum step answer_step(struct conn *c)
{
    struct exchange *x = c->x;
    int r = outq_flush(&x->to_client, c->io.fd, &c->can_write, x->file_left > 0, &x->sent);
    if (r == E_IO) {
        edge_conn_close(c, false);
        return STEP_WAIT;
    }
    if (r == 0 && x->file_left > 0) {
        off_t at = x->file_at;
        ssize_t n =
            sendfile(c->io.fd, x->file, &at, (size_t)MIN(x->file_left, (int64_t)SEND_PIECE));
        if (n > 0) {
            x->file_at += n;
            x->file_left -= n;
            x->sent += (uint64_t)n;
            return STEP_AGAIN;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) { // the file shrank, or nobody reads
            STAT_ADD(c->w->stats.cut, 1);
            edge_conn_close(c, true);
            return STEP_WAIT;
        }
        c->can_write = errno == EINTR;
        r = E_AGAIN;
    }
    if (r == E_AGAIN) {
        conn_deadline(c, WAIT_WRITE, c->w->cfg->write_ms);
        return STEP_WAIT;
    }
    conn_end_exchange(c);
    return STEP_AGAIN;
}
