// SPDX-License-Identifier: Apache-2.0
// A blocking HTTP client (libcurl) for worker and job threads. One struct http_client per thread at
// a time; it keeps connections alive between requests. No redirect is followed, no proxy variable
// and no .netrc is read, only http and https are spoken.
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct http_client;

// Never NULL.
struct http_client *http_client_new(void) MUST_USE;
void http_client_free(struct http_client *cl);
static inline void http_client_freep(struct http_client **cl)
{
    http_client_free(*cl);
}
#define _autoclient_ _cleanup_(http_client_freep)

struct http_client_field {
    struct str name, value;
};

struct http_client_request {
    const char *method;    // NULL: GET
    const char *url;       // absolute
    const char *unix_path; // connect there; the URL's host is only named
    const struct http_client_field *fields;
    size_t nfields;

    // The body: one of memory (body), file (body_fd >= 0 with body_offset and body_length) or
    // callback (read_body with body_length, -1: chunked). body_fd is looked at when has_body_fd.
    struct str body;
    bool has_body; // sends Content-Length: 0 for an empty body
    bool has_body_fd;
    int body_fd;
    int64_t body_offset, body_length;
    // Up to n bytes; *ret_n == 0 is the end. A negative E_* ends the request.
    int (*read_body)(void *ctx, char *to, size_t n, size_t *ret_n);
    // Once the answer's head is there, before any body. Negative E_* ends the request.
    int (*on_head)(void *ctx, int status);
    // The answer's body piece by piece instead of into the response; negative E_* ends the request.
    int (*on_body)(void *ctx, struct str piece);
    void *ctx;

    int64_t connect_ms; // 0: 10 s
    int64_t timeout_ms; // whole request; 0: none
    int64_t stall_ms;   // without a byte in either direction; 0: 60 s
    // Looked at about once a second and at every piece: true ends the request with E_AGAIN.
    bool (*cancelled)(void *ctx);
};

struct http_client_response {
    int status;
    struct buf head; // "Name: value\r\n" lines of the final head
    struct buf body; // when no on_body was given
};
// body_max: ceiling of the body.
void http_client_response_init(struct http_client_response *r, size_t body_max);
void http_client_response_done(struct http_client_response *r);
#define _autoresponse_ _cleanup_(http_client_response_done)

// 0: there is an answer, whatever its status. E_IO: connecting or transfer failed; E_BUSY: refused
// or no such socket (the peer is not up); E_AGAIN: timed out or cancelled; E_LIMIT: the body passed
// its ceiling; E_INVALID: bad URL. Codes of callbacks come through. The response is cleared first.
int http_client_do(struct http_client *cl, const struct http_client_request *rq,
                   struct http_client_response *ret, struct err *e) MUST_USE;
// A field of the answer; p == NULL when absent.
struct str http_client_header(const struct http_client_response *r, const char *name);
