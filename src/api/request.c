// SPDX-License-Identifier: Apache-2.0
// What every handler needs: parameters by name, the read snapshot, and answers in GitLab's forms
// (JSON, error bodies, pagination headers). One request belongs to one worker thread.
#include "api/request.h"

#include "base/clock.h"
#include "codec/url.h"

#include <inttypes.h>

bool req_has(const struct api_req *r, const char *name)
{
    const struct param_value *v = req_param(r, name);
    return v->set && !v->null;
}

struct str req_str(const struct api_req *r, const char *name, struct str none)
{
    return req_has(r, name) ? req_param(r, name)->s : none;
}

int64_t req_int(const struct api_req *r, const char *name, int64_t none)
{
    return req_has(r, name) ? req_param(r, name)->i : none;
}

bool req_bool(const struct api_req *r, const char *name, bool none)
{
    return req_has(r, name) ? req_param(r, name)->i != 0 : none;
}

int64_t req_id(const struct api_req *r, size_t i)
{
    uint64_t id;
    return str_to_u64(r->path[i], &id) && id <= INT64_MAX ? (int64_t)id : 0;
}

void req_end_read(struct api_req *r)
{
    tx_done(&r->tx);
}

int req_read(struct api_req *r, struct err *e)
{
    tx_done(&r->tx);
    return store_read(r->api->cfg.store, &r->tx, e);
}

struct jout *reply_begin(struct api_req *r)
{
    buf_clear(&r->out);
    jout_begin(&r->j, &r->out);
    return &r->j;
}

int reply_status(struct api_req *r, int status)
{
    if (!buf_ok(&r->out)) {
        http_status(r->http, 500);
        http_send(r->http, "application/json",
                  STR("{\"message\":\"500 the answer is larger than 32 MiB: ask for a smaller "
                      "page\"}"));
        return HTTP_DONE;
    }
    http_status(r->http, status);
    http_send(r->http, "application/json", buf_str(&r->out));
    return HTTP_DONE;
}

int reply_end(struct api_req *r)
{
    return reply_status(r, r->route->status ? r->route->status
                                            : (r->route->method == API_POST ? 201 : 200));
}

int reply_empty(struct api_req *r, int status)
{
    http_status(r->http, status);
    http_send(r->http, NULL, STR_NONE);
    return HTTP_DONE;
}

PRINTF(4, 0)
static int reply_text(struct api_req *r, int status, const char *key, const char *fmt, va_list ap)
{
    char text[700];
    vsnprintf(text, sizeof(text), fmt, ap);
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_kcstr(j, key, text);
    jout_end_object(j);
    return reply_status(r, status);
}

int reply_message(struct api_req *r, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = reply_text(r, status, "message", fmt, ap);
    va_end(ap);
    return rc;
}

int reply_error(struct api_req *r, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = reply_text(r, status, "error", fmt, ap);
    va_end(ap);
    return rc;
}

int reply_404(struct api_req *r, const char *what)
{
    return what ? reply_message(r, 404, "404 %s Not Found", what)
                : reply_message(r, 404, "404 Not Found");
}

int reply_forbidden(struct api_req *r, const char *why_or_null)
{
    return why_or_null ? reply_message(r, 403, "403 Forbidden - %s", why_or_null)
                       : reply_message(r, 403, "403 Forbidden");
}

int reply_err(struct api_req *r, const char *what)
{
    switch (r->e.code) {
    case E_NOTFOUND:
        return reply_404(r, what);
    case E_DENIED:
        return reply_forbidden(r, r->e.msg[0] ? r->e.msg : NULL);
    case E_INVALID:
        return reply_message(r, 400, "%s", r->e.msg);
    default: {
        int status = err_http_status(r->e.code);
        return reply_message(r, status, "%s", r->e.msg);
    }
    }
}

static void link_add(struct buf *b, struct api_req *r, int64_t page, const char *rel)
{
    if (b->n)
        buf_adds(b, ", ");
    buf_addf(b, "<%s%" PRISTR "?", r->api->cfg.external_url, STRARG(http_path(r->http)));
    struct str query = http_query(r->http), k, v;
    for (struct str rest = query; rest.p && url_query_next(&rest, &k, &v);) {
        if (str_is(k, "page") || str_is(k, "per_page") || str_is(k, "private_token") ||
            str_is(k, "access_token") || str_is(k, "job_token"))
            continue;
        buf_add(b, k);
        buf_addc(b, '=');
        buf_add(b, v);
        buf_addc(b, '&');
    }
    buf_addf(b, "page=%" PRId64 "&per_page=%u>; rel=\"%s\"", page, r->page.per_page, rel);
}

static void page_headers(struct api_req *r, int64_t pages, bool more)
{
    int64_t page = r->page.page;
    http_setf(r->http, "X-Page", "%" PRId64, page);
    http_setf(r->http, "X-Per-Page", "%u", r->page.per_page);
    if (more)
        http_setf(r->http, "X-Next-Page", "%" PRId64, page + 1);
    else
        http_set(r->http, "X-Next-Page", STR(""));
    if (page > 1)
        http_setf(r->http, "X-Prev-Page", "%" PRId64, page - 1);
    else
        http_set(r->http, "X-Prev-Page", STR(""));
    _autobuf_ struct buf link = BUF_INIT(KIB(32));
    if (page > 1)
        link_add(&link, r, page - 1, "prev");
    if (more)
        link_add(&link, r, page + 1, "next");
    link_add(&link, r, 1, "first");
    if (pages > 0)
        link_add(&link, r, pages, "last");
    if (buf_ok(&link))
        http_set(r->http, "Link", buf_str(&link));
}

void reply_page(struct api_req *r)
{
    int64_t pages = (r->page.total + r->page.per_page - 1) / r->page.per_page;
    http_setf(r->http, "X-Total", "%" PRId64, r->page.total);
    http_setf(r->http, "X-Total-Pages", "%" PRId64, pages);
    page_headers(r, MAX(pages, 1), (int64_t)r->page.page < pages);
}

void reply_page_open(struct api_req *r, bool more)
{
    page_headers(r, 0, more);
}

struct str req_url(struct api_req *r, const char *fmt, ...)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(16));
    buf_adds(&b, r->api->cfg.external_url);
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    return arena_str(r->a, buf_str(&b));
}

struct str req_project_url(struct api_req *r)
{
    return req_url(r, "/%" PRISTR, STRARG(r->project.full_path));
}

const char *req_repo_path(struct api_req *r)
{
    return forge_repo_path(r->api->cfg.forge, r->a, r->project.storage).p;
}
