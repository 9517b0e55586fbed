// SPDX-License-Identifier: Apache-2.0
// Writes the heads that go on to the upstream and back to the client. Framing fields are never
// copied: they are written from what the parser understood, so that two readers cannot disagree.
#include "edge/forward.h"

static void write_fields(struct buf *to, const struct http1_head *h, bool request)
{
    for (size_t i = 0; i < h->nfields; i++) {
        const struct http1_field *f = &h->fields[i];
        if (f->hop || f->id == HTTP1_F_CONTENT_LENGTH || f->id == HTTP1_F_TRANSFER_ENCODING)
            continue;
        if (request && (f->id == HTTP1_F_HOST || f->id == HTTP1_F_X_FORWARDED ||
                        f->id == HTTP1_F_X_REQUEST_ID || f->id == HTTP1_F_PROXY_CONNECTION ||
                        f->id == HTTP1_F_TE))
            continue;
        buf_add(to, f->name);
        buf_add(to, STR(": "));
        buf_add(to, f->value);
        buf_add(to, STR("\r\n"));
    }
}

static void add_field(struct buf *to, struct str name, struct str value)
{
    buf_add(to, name);
    buf_add(to, STR(": "));
    buf_add(to, value);
    buf_add(to, STR("\r\n"));
}

static void add_length(struct buf *to, uint64_t n)
{
    buf_add(to, STR("Content-Length: "));
    buf_addu(to, n);
    buf_add(to, STR("\r\n"));
}

void forward_request_head(struct buf *to, const struct http1_head *h,
                          const struct forward_request *f)
{
    buf_add(to, h->method);
    buf_addc(to, ' ');
    buf_add(to, h->path);
    if (h->query.p) {
        buf_addc(to, '?');
        buf_add(to, h->query);
    }
    buf_add(to, STR(" HTTP/1.1\r\n"));
    add_field(to, STR("Host"), f->host);
    write_fields(to, h, true);
    add_field(to, STR("X-Forwarded-For"), f->client);
    add_field(to, STR("X-Forwarded-Proto"), f->proto);
    add_field(to, STR("X-Forwarded-Host"), f->host);
    add_field(to, STR("X-Request-Id"), f->request_id);
    if (f->upgrade) {
        add_field(to, STR("Connection"), STR("Upgrade"));
        add_field(to, STR("Upgrade"), h->upgrade);
    }
    if (h->body == HTTP1_BODY_CHUNKED)
        add_field(to, STR("Transfer-Encoding"), STR("chunked"));
    else if (h->body == HTTP1_BODY_LENGTH)
        add_length(to, h->length);
    else if (str_is(h->method, "POST") || str_is(h->method, "PUT") || str_is(h->method, "PATCH"))
        add_length(to, 0);
    buf_add(to, STR("\r\n"));
}

// An answer without a body still tells what the length would have been (HEAD, 304).
static void write_described_length(struct buf *to, const struct http1_head *h)
{
    for (size_t i = 0; i < h->nfields; i++)
        if (h->fields[i].id == HTTP1_F_CONTENT_LENGTH) {
            add_field(to, STR("Content-Length"), h->fields[i].value);
            return;
        }
}

void forward_response_head(struct buf *to, const struct http1_head *h,
                           const struct forward_response *f)
{
    buf_add(to, STR("HTTP/1.1 "));
    buf_addu(to, (uint64_t)h->status);
    buf_addc(to, ' ');
    buf_add(to, h->reason);
    buf_add(to, STR("\r\n"));
    write_fields(to, h, false);
    if (h->status < 200) {
        if (f->tunnel) {
            add_field(to, STR("Connection"), STR("Upgrade"));
            add_field(to, STR("Upgrade"), h->upgrade);
        }
        buf_add(to, STR("\r\n"));
        return;
    }
    if (f->chunked)
        add_field(to, STR("Transfer-Encoding"), STR("chunked"));
    else if (h->body == HTTP1_BODY_LENGTH)
        add_length(to, h->length);
    else if (f->to_head || h->status == 304)
        write_described_length(to, h);
    else if (h->body == HTTP1_BODY_NONE && h->status != 204)
        add_length(to, 0);
    if (!f->keep_alive)
        add_field(to, STR("Connection"), STR("close"));
    else if (f->client_minor == 0)
        add_field(to, STR("Connection"), STR("keep-alive"));
    buf_add(to, STR("\r\n"));
}

bool forward_trailer(struct str name)
{
    static const char *NEVER[] = {
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cache-control",
        "host",
        "keep-alive",
        "location",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "www-authenticate",
    };
    for (size_t i = 0; i < ARRAY_SIZE(NEVER); i++)
        if (str_ieq(name, str_of(NEVER[i])))
            return false;
    return true;
}

bool forward_idempotent(struct str method)
{
    static const char *METHODS[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"};
    for (size_t i = 0; i < ARRAY_SIZE(METHODS); i++)
        if (str_is(method, METHODS[i]))
            return true;
    return false;
}

bool forward_may_retry(const struct failure *f)
{
    if (!f->replayable || f->attempts >= FORWARD_ATTEMPTS_MAX)
        return false;
    if (!f->connected)
        return true;
    return f->budget && (f->unreceived || f->idempotent);
}
