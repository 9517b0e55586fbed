// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages (RFC 9112), both directions: bytes in, events out; no I/O, no allocation. The
// framing is strict: whatever two parsers might read differently is refused, never repaired.
//
// Use: keep a struct http1_parser per connection and direction and a contiguous input buffer.
//   for (;;) {
//       struct http1_event ev = http1_next(&p, &head, unread_bytes);
//       drop ev.used bytes from the front of the unread bytes (slices in ev and head point into
//       them and stay valid as long as the bytes stay where they are)
//       switch (ev.type) ...
//   }
// A head and a trailer line must be whole in the buffer; HTTP1_MORE with used == 0 asks to append.
// Buffers of http1_buffer_min(limits) bytes always suffice.
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define HTTP1_MAX_FIELDS 100

// Named limits; all in bytes. HTTP1_LIMITS_DEFAULT suits both directions.
struct http1_limits {
    uint32_t line;       // request or status line without CRLF; longer: 414
    uint32_t head;       // the whole head; longer: 431
    uint32_t trailers;   // the whole trailer section; longer: 431
    uint32_t chunk_line; // one chunk-size line with extensions
};
extern const struct http1_limits HTTP1_LIMITS_DEFAULT; // 8 KiB, 32 KiB, 8 KiB, 256 B
size_t http1_buffer_min(const struct http1_limits *l);

// Fields that the codec itself reads or that a proxy must look at.
enum http1_field_id {
    HTTP1_F_OTHER,
    HTTP1_F_HOST,
    HTTP1_F_CONNECTION,
    HTTP1_F_CONTENT_LENGTH,
    HTTP1_F_TRANSFER_ENCODING,
    HTTP1_F_EXPECT,
    HTTP1_F_UPGRADE,
    HTTP1_F_KEEP_ALIVE,
    HTTP1_F_PROXY_CONNECTION,
    HTTP1_F_TE,
    HTTP1_F_TRAILER,
    HTTP1_F_DATE,
    HTTP1_F_SERVER,
    HTTP1_F_COOKIE,
    HTTP1_F_AUTHORIZATION,
    HTTP1_F_X_REQUEST_ID,
    HTTP1_F_X_FORWARDED, // any X-Forwarded-*, Forwarded, X-Real-IP
};

struct http1_field {
    struct str name, value; // value without surrounding white space; no control characters but tab
    uint8_t id;             // enum http1_field_id
    bool hop;               // hop-by-hop: framing, Connection and what Connection names; a proxy
                            // does not forward it
};

enum http1_body {
    HTTP1_BODY_NONE,
    HTTP1_BODY_LENGTH,
    HTTP1_BODY_CHUNKED,
    HTTP1_BODY_UNTIL_CLOSE, // responses only
};

struct http1_head {
    // request
    struct str method; // case kept
    struct str target; // as sent
    struct str path; // origin- or absolute-form: the path part, begins with '/'; "*" for OPTIONS *;
                     // empty for CONNECT
    struct str query; // after '?', p == NULL when there is none
    struct str host;  // Host (or the authority of an absolute-form target), checked; may be empty
    // response
    int status;
    struct str reason;
    // both
    int minor;            // HTTP/1.0 or HTTP/1.1
    enum http1_body body; // how the body is framed
    uint64_t length;      // HTTP1_BODY_LENGTH
    bool keep_alive;      // the connection may be used again after this message
    bool expect_continue; // request: wants 100 before it sends the body
    struct str upgrade;   // Upgrade, when Connection names it; p == NULL otherwise
    size_t nfields;
    struct http1_field fields[HTTP1_MAX_FIELDS];
};

enum http1_type {
    HTTP1_MORE,    // feed more bytes behind the unread ones
    HTTP1_HEAD,    // `head` was filled. 1xx responses other than 101 are followed by another head
    HTTP1_DATA,    // ev.data: the next piece of the body
    HTTP1_TRAILER, // ev.data: name, ev.value: value
    HTTP1_END,     // the message is complete. The next call begins the next message, except after
                   // 101, a CONNECT tunnel or an until-close body: then bytes are not ours
    HTTP1_ERROR,   // p->error, p->status; the connection cannot be used further. Sticky
};

struct http1_event {
    enum http1_type type;
    size_t used;
    struct str data, value;
};

struct http1_parser {
    struct http1_limits limits;
    const char *error; // what is wrong, one line, static text; NULL while all is well
    int status;        // what a server answers: 400, 408, 414, 431, 501, 505
    uint64_t left;     // of the body or chunk
    uint32_t scanned;  // of an incomplete head: bytes already searched
    uint32_t line_at;  // of an incomplete head: where its last line starts
    uint32_t trailer_bytes;
    uint8_t state;
    bool request;
    bool no_body; // response: the request was HEAD
    bool connect; // response: the request was CONNECT
    bool skipped; // request: an empty line before the request line was passed over
    bool ended;   // a tunnel: HTTP1_END was given
};

void http1_request_init(struct http1_parser *p, const struct http1_limits *limits);
void http1_response_init(struct http1_parser *p, const struct http1_limits *limits);
// Before each response: which method it answers.
void http1_response_to(struct http1_parser *p, struct str method);

struct http1_event http1_next(struct http1_parser *p, struct http1_head *head, struct str unread);
// The peer closed its side: HTTP1_END for an until-close body, HTTP1_MORE between messages,
// HTTP1_ERROR for a message that was cut.
struct http1_event http1_eof(struct http1_parser *p);
// True between messages (nothing of the next one was parsed).
bool http1_idle(const struct http1_parser *p);

// After the buffer that held the head was moved: shifts every slice.
void http1_head_moved(struct http1_head *head, const char *old_base, const char *new_base);
// The first field of that name (ASCII case-insensitive), p == NULL when absent.
struct str http1_get(const struct http1_head *head, struct str name);
// True when the comma-separated list has the token (case-insensitive).
bool http1_list_has(struct str list, struct str token);
bool http1_is_token(struct str s);
// True for what may stand in a field value: no CR, LF, NUL or other controls (tab is fine).
bool http1_is_value(struct str s);
bool http1_is_host(struct str s); // host[:port], reg-name, IPv4 or [IPv6]

// Writers. Names and values must be clean (http1_is_token, http1_is_value): anything else is
// dropped and marks the buffer full, so that it cannot be sent.
void http1_write_request(struct buf *b, struct str method, struct str target);
void http1_write_status(struct buf *b, int status); // "HTTP/1.1 200 OK\r\n"
void http1_write_field(struct buf *b, struct str name, struct str value);
void http1_write_field_u64(struct buf *b, struct str name, uint64_t v);
void http1_write_end(struct buf *b); // the empty line
#define HTTP1_CHUNK_HEAD_MAX 20
// "1f4\r\n"; returns its length. The data is followed by "\r\n".
size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_MAX], size_t n);
#define HTTP1_LAST_CHUNK STR("0\r\n\r\n")
// "Not Found"; "Unknown" for what RFC 9110 does not name.
const char *http1_reason(int status);
