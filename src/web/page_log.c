// SPDX-License-Identifier: Apache-2.0
// A job's log: as part of a page, and as server-sent events that go on where the page ended. A
// stream's whole state is one number (offset, colours, job state), so it survives parking and
// reconnecting without memory here.
#include "web/page_ci.h"

#include "base/clock.h"
#include "store/blob.h"
#include "store/jobs.h"
#include "web/ansi.h"

#include <errno.h>
#include <unistd.h>

enum {
    SHOW_MAX = 2 << 20, // bytes of a log that a page shows
    CHUNK = 128 << 10,
    PING_MS = 20000,
};

// offset: 44 bits, colours: 16, state + 1: 4
struct cursor {
    uint64_t offset;
    uint16_t sgr;
    unsigned state; // 0: none was sent yet
};

static uint64_t pack(struct cursor k)
{
    return k.offset << 20 | (uint64_t)k.sgr << 4 | k.state;
}

static struct cursor unpack(uint64_t n)
{
    return (struct cursor){n >> 20, (uint16_t)(n >> 4), (unsigned)(n & 15)};
}

static int read_at(int fd, struct buf *to, int64_t offset, size_t n, struct err *e)
{
    char *p = buf_reserve(to, n);
    if (!p)
        return err_set(e, E_LIMIT, "the log's part is too large");
    ssize_t got;
    do
        got = pread(fd, p, n, offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_errno(e, errno, "reading a log");
    buf_commit(to, (size_t)got);
    return 0;
}

// E_NOTFOUND counts as an empty log: the job has not written yet.
static int open_log(struct view *v, int64_t job_id, int *ret_fd, int64_t *ret_size)
{
    *ret_fd = -1;
    *ret_size = 0;
    int r = blob_open(v->w->ctx.store, trace_path(v->a, v->project.id, job_id), ret_fd, ret_size,
                      &v->e);
    return r == E_NOTFOUND ? 0 : r;
}

// Counts the lines before `end` and finds the first line that begins at or after `from`.
static int skip_to(int fd, int64_t from, int64_t *ret_at, uint64_t *ret_lines, struct err *e)
{
    struct buf b = BUF_INIT(CHUNK);
    int64_t at = 0;
    int r = 0;
    *ret_lines = 0;
    while (!r) {
        buf_clear(&b);
        r = read_at(fd, &b, at, CHUNK, e);
        if (r || !b.n)
            break;
        for (size_t i = 0; i < b.n; i++) {
            if (b.p[i] != '\n')
                continue;
            ++*ret_lines;
            if (at + (int64_t)i + 1 >= from) {
                *ret_at = at + (int64_t)i + 1;
                buf_done(&b);
                return 0;
            }
        }
        at += (int64_t)b.n;
    }
    *ret_at = from;
    buf_done(&b);
    return r;
}

int ci_fill_log(struct view *v, int64_t job_id, bool finished)
{
    int fd;
    int64_t size, at = 0;
    TRY(open_log(v, job_id, &fd, &size));
    struct ansi a;
    ansi_init(&a, ANSI_NESTED);
    struct buf raw = BUF_INIT(SHOW_MAX + 1), html = BUF_INIT(MIB(20));
    int r = 0;
    if (size > SHOW_MAX)
        r = skip_to(fd, size - SHOW_MAX, &at, &a.line, &v->e);
    if (!r && fd >= 0)
        r = read_at(fd, &raw, at, (size_t)MIN(size - at, (int64_t)SHOW_MAX), &v->e);
    if (fd >= 0)
        close(fd);
    if (!r) {
        size_t used = ansi_feed(&a, buf_str(&raw), finished, &html);
        struct cursor k = {(uint64_t)at + used, ansi_save(&a), 0};
        val_int(v->root, "log_skipped", at);
        val_int(v->root, "log_size", size);
        val_strf(v->root, "log_cursor", "%llu", (unsigned long long)pack(k));
        val_int(v->root, "log_lines", (int64_t)a.line);
        struct buf open = BUF_INIT(KIB(4));
        for (size_t i = 0; i < a.nsections; i++)
            buf_addf(&open, "%s%s", i ? " " : "", a.sections[i].name);
        val_str(v->root, "log_open", arena_str(v->a, buf_str(&open)));
        buf_done(&open);
        ansi_finish(&a, &html);
        val_html(v->root, "log", arena_str(v->a, buf_str(&html)));
    }
    buf_done(&raw);
    buf_done(&html);
    return r;
}

// ---- the stream

static void add_event(struct buf *out, uint64_t id, const char *name, struct str data)
{
    buf_addf(out, "id: %llu\nevent: %s\n", (unsigned long long)id, name);
    struct str rest = data, line;
    while (rest.n && str_cut(&rest, '\n', &line)) {
        buf_adds(out, "data: ");
        buf_add(out, line);
        buf_addc(out, '\n');
    }
    buf_addc(out, '\n');
}

static struct cursor where(struct view *v)
{
    uint64_t n = *http_cursor(v->c);
    if (!http_begun(v->c)) {
        struct str last = http_header(v->c, "Last-Event-ID");
        if (!last.n || !str_to_u64(last, &n))
            if (!str_to_u64(view_query(v, "from"), &n))
                n = 0;
    }
    return unpack(n);
}

// Appends what the log has after the cursor, as far as one chunk goes; *ret_more when there may be
// more at once.
static int add_log(struct view *v, int64_t job_id, bool finished, struct cursor *k, struct buf *out,
                   bool *ret_more)
{
    int fd;
    int64_t size;
    TRY(open_log(v, job_id, &fd, &size));
    *ret_more = false;
    if (fd < 0)
        return 0;
    if ((int64_t)k->offset > size) {
        // The trace was started anew: so does the page.
        *k = (struct cursor){0, 0, k->state};
        add_event(out, pack(*k), "reset", STR("-"));
    }
    struct buf raw = BUF_INIT(CHUNK), html = BUF_INIT(MIB(4));
    int r = read_at(fd, &raw, (int64_t)k->offset, CHUNK, &v->e);
    close(fd);
    if (!r && raw.n) {
        bool last = k->offset + raw.n >= (uint64_t)size;
        struct ansi a;
        ansi_init(&a, ANSI_FLAT);
        ansi_restore(&a, k->sgr);
        size_t used = ansi_feed(&a, buf_str(&raw), finished && last, &html);
        k->offset += used;
        k->sgr = ansi_save(&a);
        *ret_more = used && !last;
        if (html.n)
            add_event(out, pack(*k), "log", buf_str(&html));
    }
    buf_done(&raw);
    buf_done(&html);
    return r;
}

static int job_state(struct view *v, int64_t id, enum ci_status *ret)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct job j;
    TRY(job_get(&tx, v->a, id, &j, &v->e));
    *ret = j.status;
    return 0;
}

static int begin(struct view *v)
{
    if (http_begun(v->c))
        return 0;
    http_set(v->c, "Cache-Control", STR("no-store"));
    http_set(v->c, "X-Accel-Buffering", STR("no"));
    return http_begin(v->c, "text/event-stream", &v->e);
}

int ci_job_stream(struct view *v)
{
    struct ci_target t;
    TRY(ci_target_job(v, 0, &t));
    char topic[48];
    snprintf(topic, sizeof(topic), "job:%lld", (long long)t.id);
    http_watch(v->c, topic);
    struct cursor k = where(v);
    TRY(begin(v));
    enum ci_status state;
    for (bool more = true; more;) {
        // The state first: a job that has ended writes no more, so what is read next is all.
        TRY(job_state(v, t.id, &state));
        bool finished = ci_status_in(state, CI_SET_FINISHED);
        struct buf out = BUF_INIT(MIB(6));
        int r = add_log(v, t.id, finished, &k, &out, &more);
        if (!r && !more && k.state != (unsigned)state + 1) {
            k.state = (unsigned)state + 1;
            add_event(&out, pack(k), finished ? "end" : "state", str_of(ci_status_name(state)));
        }
        if (!r && !out.n && http_timed_out(v->c))
            buf_adds(&out, ": still here\n\n");
        if (!r && out.n)
            r = http_write(v->c, buf_str(&out), &v->e);
        buf_done(&out);
        if (r)
            return r;
        if (!more && (finished || http_stopping(v->c)))
            return 0;
    }
    *http_cursor(v->c) = pack(k);
    return http_park(v->c, clock_ms() + PING_MS) == HTTP_PARK ? VIEW_PARK : 0;
}

// ---- as a file

int ci_raw_log(struct view *v, int64_t job_id)
{
    int fd;
    int64_t size;
    TRY(open_log(v, job_id, &fd, &size));
    view_sandbox(v);
    http_set(v->c, "Cache-Control", STR("no-store"));
    int r = 0;
    if (fd < 0)
        http_send(v->c, "text/plain; charset=utf-8", STR(""));
    else
        r = http_send_file(v->c, "text/plain; charset=utf-8", fd, 0, size, &v->e);
    if (fd >= 0)
        close(fd);
    return r;
}
