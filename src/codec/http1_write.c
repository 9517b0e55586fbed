// SPDX-License-Identifier: Apache-2.0
// Writing HTTP/1.1 heads and chunks. A name or value that could break the framing is never written:
// the buffer is marked full instead, which every sender checks. Pure; the caller owns the buffer.
#include "codec/http1.h"

#include <string.h>

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http1_reason(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

void http1_write_request(struct buf *b, struct str method, struct str target)
{
    if (!http1_is_token(method) || target.n == 0 || !http1_is_value(target) ||
        memchr(target.p, ' ', target.n) || memchr(target.p, '\t', target.n)) {
        b->full = true;
        return;
    }
    buf_add(b, method);
    buf_addc(b, ' ');
    buf_add(b, target);
    buf_add(b, STR(" HTTP/1.1\r\n"));
}

void http1_write_status(struct buf *b, int status)
{
    if (status == 200) {
        buf_add(b, STR("HTTP/1.1 200 OK\r\n"));
        return;
    }
    buf_addf(b, "HTTP/1.1 %03d %s\r\n", status, http1_reason(status));
}

void http1_write_field(struct buf *b, struct str name, struct str value)
{
    if (!http1_is_token(name) || !http1_is_value(value)) {
        b->full = true;
        return;
    }
    buf_add(b, name);
    buf_add(b, STR(": "));
    buf_add(b, value);
    buf_add(b, STR("\r\n"));
}

void http1_write_field_u64(struct buf *b, struct str name, uint64_t v)
{
    buf_add(b, name);
    buf_add(b, STR(": "));
    buf_addu(b, v);
    buf_add(b, STR("\r\n"));
}

void http1_write_end(struct buf *b)
{
    buf_add(b, STR("\r\n"));
}

size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_MAX], size_t n)
{
    int len = snprintf(out, HTTP1_CHUNK_HEAD_MAX, "%zx\r\n", n);
    return (size_t)len;
}
