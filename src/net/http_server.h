// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 server: a few epoll loop threads own the connections, handlers are straight blocking
// functions in a bounded worker pool. Idle and waiting (parked) clients hold no worker, nor do slow
// ones, except while a handler reads a body beyond its first 64 KiB or writes a stream.
//
//   struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
//   cfg.handler = my_handler;
//   http_server_new(&cfg, &s, e); http_server_listen_unix(s, path, 0600, e); http_server_start(s,
//   e);
//   ... http_server_stop(s, 10000); http_server_free(s);
//
// A handler finds the request in the call, answers with one http_send, or http_begin +
// http_write..., or http_send_file, and returns HTTP_DONE. A handler that must wait takes a watch,
// looks at the state, and parks:
//
//   http_watch(c, "job:12");             // first the watch, so that no wake can be missed
//   if (nothing new)
//       return http_park(c, clock_ms() + 25000);
//
// After a wake or the deadline the handler runs again from the top, in any worker.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct http_server;
struct http_call; // one request and its answer; for the handler's thread, until the handler returns

enum http_result { HTTP_DONE, HTTP_PARK };
typedef int (*http_handler)(struct http_call *c, void *ctx); // enum http_result

// What a finished call looked like, for access logs. Valid during the hook only.
struct http_access {
    struct str method, target, host, remote;
    const char *request_id;
    int status;            // 0: the client was gone before an answer began
    uint64_t bytes_in;     // of the request body
    uint64_t bytes_out;    // of the answer, with its head
    int64_t duration_us;   // from the complete head to the last byte handed to the kernel
    bool aborted;          // the client went away, or was cut, before the answer was complete
    struct str user_agent; // empty when absent
};

struct http_server_config {
    http_handler handler;
    void *ctx;              // for handler and hooks
    unsigned loops;         // loop threads
    unsigned workers;       // worker threads
    size_t queue_max;       // calls waiting for a worker; above: 503 with Retry-After
    size_t connections_max; // above: accepted and answered 503

    uint32_t target_max; // bytes of a request line: 414
    uint32_t head_max;   // bytes of a request head: 431
    int64_t body_max;    // bytes of a request body unless http_body_limit says otherwise: 413
    size_t arena_max;    // bytes of http_arena
    int64_t head_ms;     // from the first byte of a request to its complete head: 408
    int64_t idle_ms;     // keep-alive connection without a request
    int64_t body_rate;   // bytes per second that a request body must reach after body_grace_ms: 408
    int64_t body_grace_ms;
    int64_t write_stall_ms; // a client that takes no byte for so long is cut
    size_t drain_max;       // unread request body that is read and thrown away to keep a connection

    // Builds the body of an answer that the server itself gives (400, 404, 408, 413, 414, 431, 500,
    // 503 ...). NULL, or false: {"message":"400 Bad Request: ..."}. Any loop or worker thread.
    bool (*restyle)(void *ctx, int status, const char *message, struct buf *body,
                    const char **ret_content_type);
    // After each call; any loop or worker thread; must not block.
    void (*access)(void *ctx, const struct http_access *a);
};
extern const struct http_server_config HTTP_SERVER_DEFAULTS;

int http_server_new(const struct http_server_config *cfg, struct http_server **ret,
                    struct err *e) MUST_USE;
// Before http_server_start; several are fine. TCP: numeric address; port 0: see http_server_port.
int http_server_listen_tcp(struct http_server *s, const char *host, uint16_t port,
                           struct err *e) MUST_USE;
int http_server_listen_unix(struct http_server *s, const char *path, unsigned mode,
                            struct err *e) MUST_USE;
// Takes over a listening socket (inherited); on failure it stays the caller's.
int http_server_listen_fd(struct http_server *s, int fd, struct err *e) MUST_USE;
uint16_t http_server_port(const struct http_server *s); // of the first TCP listener; 0: none
int http_server_start(struct http_server *s, struct err *e) MUST_USE;
// Graceful: what waits in the backlog is accepted and listeners close, parked calls run once more
// as timed out, calls in flight finish, answers say `Connection: close`. Connections still open
// after deadline_ms (a duration) are cut. Returns when every thread has ended. Not from a handler.
void http_server_stop(struct http_server *s, int64_t deadline_ms);
// Stops at once when still running.
void http_server_free(struct http_server *s);

// Any thread, also from a handler: reruns every call that watches the topic.
void http_server_wake(struct http_server *s, const char *topic);

struct http_server_stats {
    uint64_t requests;    // complete heads
    uint64_t by_class[6]; // answers by status / 100
    uint64_t bytes_in, bytes_out;
    uint64_t accepted; // connections
    uint64_t refused;  // 503 for want of room
    uint64_t bad;      // requests refused by the server itself (400, 408, 413, 414, 431 ...)
    uint64_t aborted;  // clients gone before their answer was complete
    size_t connections, in_flight, parked, queued;
    uint64_t latency_count; // answered calls that never parked
    uint64_t latency_us_sum;
    uint64_t latency_le[8]; // cumulative: 1, 5, 10, 50, 100, 500, 1000, 5000 ms
};
extern const int http_server_latency_bounds_ms[8];
void http_server_stats(const struct http_server *s, struct http_server_stats *ret);

// ---- the request. Slices live until the handler returns.

struct str http_method(const struct http_call *c);
bool http_method_is(const struct http_call *c, const char *method);
// As sent, still encoded, without the query; passed url_path_check ("*" for OPTIONS *).
struct str http_path(const struct http_call *c);
struct str http_query(const struct http_call *c); // p == NULL when absent
struct str http_target(const struct http_call *c);
struct str http_host(const struct http_call *c);
// The first field of that name; p == NULL when absent.
struct str http_header(const struct http_call *c, const char *name);
// Visits fields in order: for (size_t i = 0; http_header_at(c, i, &name, &value); i++)
bool http_header_at(const struct http_call *c, size_t i, struct str *ret_name,
                    struct str *ret_value);
// A cookie's value; false when absent.
bool http_cookie(const struct http_call *c, const char *name, struct str *ret);
// The first such parameter, decoded into the arena.
bool http_query_get(struct http_call *c, const char *name, struct str *ret);
// For what lives as long as this run of the handler; reset at every rerun.
struct arena *http_arena(struct http_call *c);
// X-Request-Id when it is sane, else made here; also sent with the answer. NUL-terminated.
const char *http_request_id(const struct http_call *c);
// Numeric address of the peer, or "unix".
struct str http_remote(const struct http_call *c);
struct http_server *http_call_server(struct http_call *c);

// -1: chunked (unknown). 0: no body.
int64_t http_content_length(const struct http_call *c);
// Replaces body_max for this call; before reading. -1: no limit.
void http_body_limit(struct http_call *c, int64_t max);
// Reads up to n (at least 1) bytes, blocking; *ret_n == 0 is the end. E_IO: the client went away,
// cut the body or was too slow; E_LIMIT: over the limit (answer 413); E_INVALID: broken chunks.
// After an error the answer carries `Connection: close`; for slow clients and broken chunks the
// server replaces it by its own 408 or 400.
int http_read_body(struct http_call *c, void *to, size_t n, size_t *ret_n, struct err *e) MUST_USE;
// The whole body, up to the limit and the buffer's ceiling: E_LIMIT. Bodies up to 64 KiB can be
// read again after a park.
int http_read_all(struct http_call *c, struct buf *into, struct err *e) MUST_USE;

// ---- the answer

void http_status(struct http_call *c, int status); // 200 unless said
// Replaces / adds a field; name and value are copied. Clean ones only (no controls: such a field is
// left out). Framing fields (Content-Length, Transfer-Encoding, Connection, Date) are the server's;
// http_length sets the length of a stream.
void http_set(struct http_call *c, const char *name, struct str value);
void http_add(struct http_call *c, const char *name, struct str value);
void http_setf(struct http_call *c, const char *name, const char *fmt, ...) PRINTF(3, 4);

// The whole answer. Never blocks: what the socket does not take at once is kept and sent by the
// loop. content_type NULL: none is set (204, 304, or it was set before).
void http_send(struct http_call *c, const char *content_type, struct str body);
// A file range (the fd is duplicated, the caller keeps its own); status 200 or 206 is the caller's.
// Never blocks the worker on the client. E_IO when fd cannot be duplicated (nothing was sent).
int http_send_file(struct http_call *c, const char *content_type, int fd, int64_t offset,
                   int64_t length, struct err *e) MUST_USE;
// An answer by the server's own style: {"message": "..."}.
void http_fail(struct http_call *c, int status, const char *fmt, ...) PRINTF(3, 4);

// Streaming: http_begin sends the head (chunked; close-delimited for HTTP/1.0; plain after
// http_length), http_write blocks while the client is slow, at most write_stall_ms without
// progress. E_IO: the client is gone: stop. The stream ends when the handler returns HTTP_DONE; to
// end it as broken (the client must notice) call http_abort.
void http_length(struct http_call *c, uint64_t n);
int http_begin(struct http_call *c, const char *content_type, struct err *e) MUST_USE;
int http_write(struct http_call *c, struct str piece, struct err *e) MUST_USE;
void http_abort(struct http_call *c);
bool http_begun(const struct http_call *c); // head already sent (a rerun of a stream)

// ---- waiting

// At most 8 watches; a ninth is a bug. The topic is copied (at most 63 bytes).
void http_watch(struct http_call *c, const char *topic);
// `return http_park(c, deadline);` deadline: clock_ms() value. Before the first byte of the answer,
// or after http_begin. A client that closes its side while it waits, also half of it, counts as
// gone. A call that read more than 64 KiB of body cannot wait: it is answered 413.
int http_park(struct http_call *c, int64_t deadline) MUST_USE;
// This rerun comes from the deadline (or from the server's stop), not from a wake.
bool http_timed_out(const struct http_call *c);
// The server is stopping: end streams soon.
bool http_stopping(const struct http_call *c);
// A number that survives reruns; 0 at first.
uint64_t *http_cursor(struct http_call *c);
