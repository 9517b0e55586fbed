// SPDX-License-Identifier: Apache-2.0
// The blocking HTTP client: a thin, strict layer over one libcurl handle. The thread that uses a
// client owns it; nothing is shared between clients but libcurl's own initialisation. The runner,
// the commands and the tests speak HTTP through it; the edge has its own upstream client.
#include "net/http_client.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/http1.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define STALL_MS   60000
#define HEAD_MAX   KIB(64)

struct http_client {
    CURL *curl;
    const struct http_client_request *rq;
    struct http_client_response *rs;
    size_t body_at;   // of a body in memory
    int64_t file_at;  // of a body in a file
    int64_t moved_at; // when a byte last went either way
    int64_t stall_ms;
    curl_off_t moved; // bytes both ways
    int code;         // what a callback failed with
    bool headed;      // on_head was called
    char why[200];
    char curl_error[CURL_ERROR_SIZE];
};

static void init_once(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http_client *http_client_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
    struct http_client *cl = NEW(struct http_client);
    cl->curl = curl_easy_init();
    BUG_ON(!cl->curl);
    return cl;
}

void http_client_free(struct http_client *cl)
{
    if (!cl)
        return;
    curl_easy_cleanup(cl->curl);
    free(cl);
}

void http_client_response_init(struct http_client_response *r, size_t body_max)
{
    r->status = 0;
    buf_init(&r->head, HEAD_MAX);
    buf_init(&r->body, body_max);
}

void http_client_response_done(struct http_client_response *r)
{
    buf_done(&r->head);
    buf_done(&r->body);
}

struct str http_client_header(const struct http_client_response *r, const char *name)
{
    struct str wanted = str_of(name);
    for (struct str rest = buf_str(&r->head), line; str_cut(&rest, '\n', &line);) {
        struct str key;
        str_cut(&line, ':', &key);
        if (line.p && str_ieq(key, wanted))
            return str_trim(line);
    }
    return STR_NONE;
}

// ---- callbacks

static size_t fail(struct http_client *cl, int code, const char *why)
{
    cl->code = code;
    snprintf(cl->why, sizeof cl->why, "%s", why);
    return 0;
}

static size_t on_header_line(char *p, size_t size, size_t n, void *arg)
{
    struct http_client *cl = arg;
    struct str line = str_n(p, size * n);
    if (str_starts(line, STR("HTTP/"))) {
        // Only the last head counts: 100 Continue comes before it.
        buf_clear(&cl->rs->head);
        return line.n;
    }
    if (str_trim(line).n)
        buf_add(&cl->rs->head, line);
    if (!buf_ok(&cl->rs->head))
        return fail(cl, E_LIMIT, "the answer's head is too large");
    return line.n;
}

static bool tell_head(struct http_client *cl)
{
    if (cl->headed)
        return true;
    cl->headed = true;
    long status = 0;
    curl_easy_getinfo(cl->curl, CURLINFO_RESPONSE_CODE, &status);
    cl->rs->status = (int)status;
    int rc = cl->rq->on_head ? cl->rq->on_head(cl->rq->ctx, (int)status) : 0;
    if (rc < 0)
        fail(cl, rc, "ended by its caller");
    return rc >= 0;
}

static size_t on_body_piece(char *p, size_t size, size_t n, void *arg)
{
    struct http_client *cl = arg;
    struct str piece = str_n(p, size * n);
    if (!tell_head(cl))
        return 0;
    if (cl->rq->on_body) {
        int rc = cl->rq->on_body(cl->rq->ctx, piece);
        return rc < 0 ? fail(cl, rc, "ended by its caller") : piece.n;
    }
    buf_add(&cl->rs->body, piece);
    if (!buf_ok(&cl->rs->body))
        return fail(cl, E_LIMIT, "the answer's body is larger than its limit");
    return piece.n;
}

static size_t abort_read(struct http_client *cl, int code, const char *why)
{
    fail(cl, code, why);
    return CURL_READFUNC_ABORT;
}

static size_t give_file(struct http_client *cl, char *to, size_t room)
{
    int64_t left = cl->rq->body_offset + cl->rq->body_length - cl->file_at;
    size_t want = left < (int64_t)room ? (size_t)left : room;
    if (want == 0)
        return 0;
    ssize_t got;
    do {
        got = pread(cl->rq->body_fd, to, want, cl->file_at);
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return abort_read(cl, E_IO, "the file to send cannot be read to its announced end");
    cl->file_at += got;
    return (size_t)got;
}

static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
    struct http_client *cl = arg;
    const struct http_client_request *rq = cl->rq;
    size_t room = size * n;
    if (rq->has_body_fd)
        return give_file(cl, to, room);
    if (rq->read_body) {
        size_t got = 0;
        int rc = rq->read_body(rq->ctx, to, room, &got);
        return rc < 0 ? abort_read(cl, rc, "ended by its caller") : got;
    }
    struct str left = str_head(str_from(rq->body, cl->body_at), room);
    if (left.n)
        memcpy(to, left.p, left.n);
    cl->body_at += left.n;
    return left.n;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_client *cl = arg;
    if (origin != SEEK_SET || cl->rq->read_body)
        return CURL_SEEKFUNC_CANTSEEK;
    cl->body_at = (size_t)offset;
    cl->file_at = cl->rq->body_offset + offset;
    return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t dtotal, curl_off_t down, curl_off_t utotal,
                       curl_off_t up)
{
    struct http_client *cl = arg;
    if (cl->rq->cancelled && cl->rq->cancelled(cl->rq->ctx)) {
        fail(cl, E_AGAIN, "cancelled");
        return 1;
    }
    int64_t now = clock_ms();
    if (down + up != cl->moved) {
        cl->moved = down + up;
        cl->moved_at = now;
    } else if (now - cl->moved_at > cl->stall_ms) {
        fail(cl, E_AGAIN, "no byte moved for too long");
        return 1;
    }
    return 0;
}

// ---- a request

static bool set_body(struct http_client *cl)
{
    const struct http_client_request *rq = cl->rq;
    bool any = rq->has_body || rq->body.n || rq->has_body_fd || rq->read_body;
    if (!any)
        return false;
    int64_t length = rq->has_body_fd || rq->read_body ? rq->body_length : (int64_t)rq->body.n;
    curl_easy_setopt(cl->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(cl->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)length);
    curl_easy_setopt(cl->curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(cl->curl, CURLOPT_READDATA, cl);
    curl_easy_setopt(cl->curl, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(cl->curl, CURLOPT_SEEKDATA, cl);
    cl->file_at = rq->body_offset;
    return true;
}

static struct curl_slist *field_list(const struct http_client_request *rq, struct err *e)
{
    // An empty "Expect:" keeps libcurl from waiting for 100 before small bodies.
    struct curl_slist *list = NULL;
    bool expects = false;
    for (size_t i = 0; i < rq->nfields; i++) {
        const struct http_client_field *f = &rq->fields[i];
        if (!http1_is_token(f->name) || !http1_is_value(f->value)) {
            err_set(e, E_INVALID, "a request field has a character that may not be sent");
            curl_slist_free_all(list);
            return NULL;
        }
        expects |= str_ieq(f->name, STR("Expect"));
        _autobuf_ struct buf line = BUF_INIT(f->name.n + f->value.n + 3);
        buf_add(&line, f->name);
        buf_adds(&line, f->value.n ? ": " : ";");
        buf_add(&line, f->value);
        list = curl_slist_append(list, line.p);
    }
    if (!expects)
        list = curl_slist_append(list, "Expect:");
    BUG_ON(!list);
    return list;
}

static void set_options(struct http_client *cl, bool body, struct curl_slist *fields)
{
    const struct http_client_request *rq = cl->rq;
    CURL *h = cl->curl;
    const char *method = rq->method ? rq->method : "GET";
    curl_easy_setopt(h, CURLOPT_URL, rq->url);
    if (str_is(str_of(method), "HEAD"))
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    else if (body || !str_is(str_of(method), "GET"))
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, rq->unix_path);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "slipway/" SLIPWAY_VERSION);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(rq->connect_ms ? rq->connect_ms : CONNECT_MS));
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)rq->timeout_ms);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header_line);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, cl);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body_piece);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, cl);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, cl);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, cl->curl_error);
}

static int translate(struct http_client *cl, CURLcode rc, struct err *e)
{
    const char *url = cl->rq->url;
    long sys = 0;
    if (cl->code)
        return err_set(e, cl->code, "%s: %s", url, cl->why);
    curl_easy_getinfo(cl->curl, CURLINFO_OS_ERRNO, &sys);
    const char *why = cl->curl_error[0] ? cl->curl_error : curl_easy_strerror(rc);
    switch (rc) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return err_set(e, E_INVALID, "bad URL \"%s\": %s", url, why);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, E_AGAIN, "%s: %s", url, why);
    case CURLE_COULDNT_CONNECT:
        return err_set(e, sys == ECONNREFUSED || sys == ENOENT ? E_BUSY : E_IO, "%s: %s", url, why);
    default:
        return err_set(e, E_IO, "%s: %s", url, why);
    }
}

int http_client_do(struct http_client *cl, const struct http_client_request *rq,
                   struct http_client_response *ret, struct err *e)
{
    ret->status = 0;
    buf_clear(&ret->head);
    buf_clear(&ret->body);
    struct curl_slist *fields = field_list(rq, e);
    if (!fields)
        return E_INVALID;
    // Options are forgotten, the open connections are kept.
    curl_easy_reset(cl->curl);
    cl->rq = rq;
    cl->rs = ret;
    cl->body_at = 0;
    cl->moved = 0;
    cl->moved_at = clock_ms();
    cl->stall_ms = rq->stall_ms ? rq->stall_ms : STALL_MS;
    cl->code = 0;
    cl->headed = false;
    cl->curl_error[0] = '\0';
    set_options(cl, set_body(cl), fields);

    CURLcode rc = curl_easy_perform(cl->curl);
    if (rc == CURLE_OK && !tell_head(cl))
        rc = CURLE_ABORTED_BY_CALLBACK;
    curl_slist_free_all(fields);
    return rc == CURLE_OK ? 0 : translate(cl, rc, e);
}
