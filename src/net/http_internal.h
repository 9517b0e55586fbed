// SPDX-License-Identifier: Apache-2.0
// What the files of the HTTP server share; nobody else includes it.
//
// A connection has exactly one owner at any time, told by `own`: its loop thread, a worker (running
// or queued), or nobody but the topics (parked). Only the owner touches the plain fields. Ownership
// moves by one atomic step, or by a message to the loop:
//   LOOP   -> WORKER  dispatch (loop)
//   WORKER -> LOOP    end of a call; silently when nothing happened meanwhile, else by back_msg
//   WORKER -> PARKED  park (worker, under the topics' lock)
//   PARKED -> WORKER  wake (any thread, under the topics' lock) or deadline (loop)
//   PARKED -> LOOP    the client went away (loop)
// Events that the loop sees while it is not the owner only set bits in `own`.
#pragma once

#include "codec/http1.h"
#include "net/http_server.h"
#include "os/loop.h"
#include "os/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum {
    OWN_LOOP,
    OWN_WORKER,
    OWN_PARKED,
    OWN_MASK = 3,
    SAW_EVENT = 4, // the socket had news while somebody else owned the connection
    SAW_EOF = 8,   // the peer closed its side, or the connection broke
};

#define GATHER_MAX   KIB(64) // of a request body before its handler is called
#define SPILL_SIZE   KIB(64) // raw bytes of a streamed body
#define WATCH_MAX    8
#define TOPIC_MAX    64
#define TOPIC_SLOTS  1024
#define FIELDS_MAX   48 // of an answer
#define LINGER_MS    2000
#define LINGER_BYTES MIB(4)
#define SEND_TURN    MIB(2) // bytes that one connection may send in one loop turn
#define IDLE_TRIM_MS 1000   // an idle connection gives its buffers back
#define TRIM_BATCH   200    // so many of them are worth asking the allocator to do the same

enum conn_phase {
    PHASE_HEAD,    // between requests, or within a head
    PHASE_BODY,    // gathering the first part of a body
    PHASE_CALL,    // a worker, the queue or the topics have it
    PHASE_SENDING, // the rest of an answer
    PHASE_DRAIN,   // throwing an unread body away, then the next request
    PHASE_LINGER,  // answered and shut; reading until the peer closes, so that no reset
                   // overtakes the answer
    PHASE_CLOSED,
};

struct watch {
    struct watch *next, **link; // in its slot
    struct http_call *call;
    uint64_t hash;
    char topic[TOPIC_MAX];
};

struct answer_field {
    struct str name, value; // in the arena
};

struct conn;
struct http_call {
    struct pool_job job;
    struct conn *conn;
    struct http_server *server;
    struct arena arena;

    // request. conn->in holds [head][decoded body so far][gap][raw bytes]
    struct http1_head head;
    size_t head_n, body_at, body_end, raw_at;
    uint64_t body_seen; // decoded bytes parsed
    int64_t body_limit;
    int64_t body_waited_ms; // time spent waiting for body bytes in a worker
    bool body_done;         // parsed to its end
    bool streamed;          // read beyond what was gathered: cannot be read again
    bool continued;         // 100 was sent
    struct str piece;       // decoded, not yet given to the handler; in `in` or `spill`
    char *spill;
    size_t spill_at, spill_n;

    // answer
    int status;
    struct answer_field fields[FIELDS_MAX];
    size_t nfields;
    bool begun, ended, chunked, has_length, no_body, aborted;
    bool close; // Connection: close was or will be said
    int fault;  // the server's own answer takes the place of the handler's (400, 408)
    uint64_t length, streamed_out;
    uint64_t bytes_out;

    // waiting
    struct watch watches[WATCH_MAX];
    unsigned nwatches;
    bool woken; // under the topics' lock
    bool timed_out, stopped_once, ever_parked;
    int64_t park_deadline;
    uint64_t cursor;

    int64_t started_us;
    char request_id[68];
};

struct loop_thread;
struct conn {
    struct loop_io io;
    struct loop_thread *lt;
    struct conn *prev, *next; // the loop thread's list
    struct loop_task free_task;
    struct loop_msg arrive_msg, back_msg, park_msg;
    struct loop_timer park_timer;
    _Atomic uint32_t own;
    _Atomic int64_t park_until;
    atomic_bool park_posted;
    bool self_posted, freeing;

    enum conn_phase phase;
    bool readable; // there may be bytes in the socket
    bool broken;   // nothing can be sent any more
    bool close_after;
    bool charged; // a call is counted as in flight
    int64_t since, deadline;
    uint64_t drained;
    struct http1_parser parser;
    char *in;
    size_t in_n, in_cap;
    struct http_call *call;
    struct buf out;
    size_t out_at;
    uint64_t sent; // of what the loop is sending
    int file_fd;
    int64_t file_at, file_left;
    char remote[48];
    bool tcp;
};

#define LISTENERS_MAX 8
struct listener {
    struct loop_io io;
    struct loop_thread *lt;
    struct loop_timer retry; // after running out of descriptors
    bool tcp;
};

struct loop_thread {
    struct http_server *server;
    struct loop *loop;
    pthread_t thread;
    bool started;
    bool ended; // under the server's `ending`
    struct listener listeners[LISTENERS_MAX];
    struct conn *conns;
    atomic_size_t nconns;
    struct loop_timer tick;
    int64_t tick_ms;
    size_t trimmed; // connections that gave their buffers back since the allocator did
    struct loop_msg stop_msg, force_msg;
    int64_t stop_at; // 0: not stopping
};

struct counters {
    atomic_uint_fast64_t requests, by_class[6], bytes_in, bytes_out, accepted, refused, bad,
        aborted, latency_count, latency_us_sum, latency_le[8];
    atomic_size_t connections, in_flight, parked;
};

struct http_server {
    struct http_server_config cfg;
    struct http1_limits limits;
    struct pool *pool;
    struct loop_thread *loops;
    unsigned nloops;
    struct {
        int fd;
        bool tcp;
        char *unix_path;
        ino_t inode;
    } listen[LISTENERS_MAX];
    size_t nlisten;
    uint16_t port;
    bool started;
    atomic_bool stopping;
    atomic_uint listening; // loops that still watch the listeners
    pthread_mutex_t ending;
    pthread_cond_t end; // a loop thread ended
    struct counters n;
    char id_prefix[12];
    atomic_uint_fast64_t id_next;

    pthread_mutex_t topics;
    struct watch *slots[TOPIC_SLOTS];
};

#define COUNT(server, what, by)                                                                    \
    atomic_fetch_add_explicit(&(server)->n.what, (by), memory_order_relaxed)
#define UNCOUNT(server, what, by)                                                                  \
    atomic_fetch_sub_explicit(&(server)->n.what, (by), memory_order_relaxed)

// http_conn.c: the loop's side
struct conn *conn_new(struct loop_thread *lt, int fd, bool tcp);
void conn_start(struct conn *c); // on its own loop
void conn_close(struct conn *c); // loop, owner
void conn_step(struct conn *c);  // loop, owner
void conn_sweep(struct conn *c, int64_t now);
void conn_stop(struct conn *c);  // loop, any owner: the server stops
void conn_force(struct conn *c); // loop, any owner: cut it
// Makes room for `room` more bytes behind in_n, moving the head's slices along.
void conn_reserve(struct conn *c, size_t room);
// Owner: a call's answer was handed to the kernel whole; decides what the connection does next.
// True when it can go back to the loop silently.
bool conn_answered(struct conn *c);

// http_call.c, http_answer.c: the call
struct http_call *call_new(struct conn *c);
void call_free(struct http_call *call);
void call_begin(struct http_call *call); // its head was parsed: resets everything else
void call_run(struct pool_job *job);
void call_account(struct http_call *call, bool aborted);
void call_clear_answer(struct http_call *call);
void call_write_head(struct http_call *call, struct buf *out);
// Builds the server's own answer into conn->out. Keep: the connection goes on.
void call_own_answer(struct http_call *call, int status, const char *message, bool keep);
// Sends what can be sent without waiting; E_AGAIN when something is left, E_IO when broken.
int call_flush(struct conn *c, size_t most);
// Ends the answer (worker, owner).
void call_finish_answer(struct http_call *call);

// http_topic.c
void topics_clear(struct http_call *call);
// True when it is parked now: the caller must not touch it any more. False: woken already, or the
// client is gone (*ret_gone).
bool topics_park(struct http_call *call, bool *ret_gone);
