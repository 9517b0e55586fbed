// SPDX-License-Identifier: Apache-2.0
// The insides of one worker thread: its loop, connections, buffers, upstream pool. Private to
// src/edge. Everything here belongs to the worker's thread and is touched by no other, except what
// is marked atomic.
//
//   edge.c      threads, listeners' sockets, stop          worker.c    accept, buffers, timers,
//   drain conn.c      the client's connection and its step()     proxy.c     an exchange with the
//   upstream upstream.c  connections to the upstream, holding       answer.c    what the edge
//   itself answers
#pragma once

#include "base/clock.h"
#include "codec/http1.h"
#include "edge/edge.h"
#include "edge/outq.h"
#include "edge/route.h"
#include "edge/site.h"
#include "edge/site_cache.h"
#include "edge/stats.h"
#include "os/loop.h"

#include <pthread.h>
#include <sys/socket.h>

#define BLOCK_SIZE     KIB(64) // one input buffer; also what of a request can be replayed
#define BLOCKS_KEPT    64      // free ones kept per worker
#define STEP_BUDGET    16      // reads of one connection per turn, so that others get theirs
#define REQUEST_ID_MAX 24

struct worker;
struct conn;
struct upconn;

// Unread bytes of a connection. `p` is NULL while there are none: idle connections hold no block.
struct inbuf {
    char *p;
    uint32_t start, end;
};

enum conn_state {
    CONN_HEAD,    // between requests, or reading a head
    CONN_HELD,    // waits for the upstream to come back
    CONN_CONNECT, // an upstream connection is on its way
    CONN_PROXY,   // exchanging with the upstream
    CONN_ANSWER,  // the edge's own answer (page, error) goes out
    CONN_TUNNEL,  // upgraded: bytes both ways
    CONN_LINGER,  // all is sent; reading on until the client closes
    CONN_CLOSED,  // waits for the end of the turn
};

enum conn_wait { // what the deadline means
    WAIT_IDLE,
    WAIT_HEAD,
    WAIT_BODY,
    WAIT_WRITE,
    WAIT_CONNECT,
    WAIT_HOLD,
    WAIT_ANSWER,
    WAIT_GONE,
    WAIT_TUNNEL,
    WAIT_LINGER,
};

struct conn {
    struct loop_io io;
    struct loop_timer timer; // fires at the latest at `deadline`; moved lazily
    int64_t deadline;
    struct loop_task freeing;
    struct worker *w;
    struct conn *prev, *next; // all of the worker's
    struct conn *again;       // the worker's list of connections that want another turn
    struct exchange *x;       // from a complete head to the end of its answer
    struct inbuf in;
    struct http1_parser parser;
    uint8_t state; // enum conn_state
    uint8_t wait;  // enum conn_wait
    bool queued, can_read, can_write, half_closed, admin;
    char peer[48]; // numeric address
};

struct exchange {
    struct conn *c;
    struct upconn *u;
    struct exchange *hold_next, *hold_prev;
    int64_t began_us;
    int64_t hold_until;
    char request_id[REQUEST_ID_MAX];
    uint32_t head_len; // the request's head is in.p[0..head_len) while `replayable`
    uint8_t attempts;
    int status; // sent to the client; 0: none yet
    // request
    bool get_head, idempotent, chunked_in, keep_alive, upgrade, replayable, held;
    uint8_t minor;
    bool request_done; // parsed to its end
    bool up_deaf;      // the upstream does not take the request any more
    uint64_t body_in, body_mark;
    uint64_t up_sent; // bytes given to the kernel on this connection for this request
    // answer
    bool begun, done, chunked_out, close, up_keep_alive, stream, tunnel, trailers, until_close;
    bool client_fin, up_fin; // tunnel: half-closes passed on
    uint64_t sent;
    struct outq to_client, to_up;
    int file; // page: what follows the queue; -1: none
    int64_t file_at, file_left;
};

struct upconn {
    struct loop_io io;
    struct loop_task freeing;
    struct worker *w;
    struct exchange *x;         // NULL: idle
    struct upconn *prev, *next; // idle list
    struct inbuf in;
    struct http1_parser parser;
    bool can_read, can_write, half_closed, connecting, gone;
    uint64_t sent_before; // bytes sent on it before the current request
    uint64_t served;      // requests
    int64_t idle_since;
};

struct upstream {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    struct upconn *idle; // most recently used first
    struct upconn *oldest;
    size_t nidle, total;
    struct exchange *held, *held_last;
    size_t nheld;
    bool down;
    int64_t probe_ms;
    struct loop_timer probe, sweep;
    unsigned tokens; // retry budget, in fifths of a retry
};

struct acceptor {
    struct loop_io io;
    struct loop_timer pause;
    struct worker *w;
    bool admin, tcp;
};

struct worker {
    struct edge *edge;
    const struct edge_config *cfg;
    struct loop *loop;
    pthread_t thread;
    bool running; // the thread exists
    struct acceptor acceptors[EDGE_LISTEN_MAX + 1];
    size_t nacceptors;
    bool accepting;
    struct conn *conns;
    size_t nconns;
    struct conn *again;
    struct loop_timer again_timer;
    void *free_blocks;
    size_t nfree_blocks;
    struct exchange *free_exchanges;
    struct buf scratch;     // heads and small answers, valid within one step
    struct http1_head head; // the last parsed head, valid within one step
    struct upstream up;
    struct site_cache pages;
    int64_t date_second; // of `date`, the Date header's text
    char date[CLOCK_RFC3339_SIZE];
    struct stats stats; // written here, read by any thread
    uint64_t next_id;
    char id_prefix[12];
    bool draining, drain_closed; // listeners are closed
    int64_t drain_until;
    struct loop_timer drain_timer;
    struct loop_msg drain_msg, cut_msg;
};

// ---- edge.c
struct edge {
    struct edge_config cfg;
    int listeners[EDGE_LISTEN_MAX + 1]; // the last one is the admin socket, or -1
    uint16_t ports[EDGE_LISTEN_MAX];
    struct sockaddr_storage upstream_addr;
    socklen_t upstream_len;
    struct site_root pages;
    struct route routes[2];
    size_t nroutes;
    char pattern[HOST_MAX + 3];
    struct worker *workers;
    unsigned nworkers;
    bool draining;       // atomic
    unsigned accepting;  // atomic: workers that still accept
    size_t connections;  // atomic
    int64_t drain_until; // set before the drain messages
    bool started;
};
void edge_notice(struct edge *ed, bool bad, const char *what, const char *detail);
// The last worker that stops accepting closes the sockets.
void edge_accepting_ended(struct edge *ed);

// ---- worker.c
int worker_init(struct worker *w, struct edge *ed, struct err *e) MUST_USE;
void worker_done(struct worker *w);
void worker_run(struct worker *w);
// Steps the connection in the next turn.
void worker_again(struct worker *w, struct conn *c);
struct exchange *exchange_new(struct worker *w, struct conn *c);
void exchange_free(struct worker *w, struct exchange *x);
void inbuf_release(struct worker *w, struct inbuf *in);
// Gives the block back when nothing is unread.
void inbuf_trim(struct worker *w, struct inbuf *in);
// Reads once behind `end`. >0 bytes, 0 end of stream, E_AGAIN, E_IO; E_LIMIT: no room.
int inbuf_read(struct worker *w, struct inbuf *in, int fd, bool *can_read, bool half_closed);
static inline struct str inbuf_unread(const struct inbuf *in)
{
    return (struct str){in->p + in->start, in->end - in->start};
}

// ---- conn.c
struct conn *conn_open(struct worker *w, int fd, bool admin, struct err *e) MUST_USE;
void edge_conn_step(struct conn *c);
// At once, without another word; the exchange is abandoned. `reset`: the client sees it as broken.
void edge_conn_close(struct conn *c, bool reset);
void conn_deadline(struct conn *c, enum conn_wait why, int64_t ms);
// The answer is out, or there will be none: counts it, frees the exchange, goes on or closes.
void conn_end_exchange(struct conn *c);

enum step { STEP_WAIT, STEP_AGAIN };

// ---- proxy.c
// A complete head (in w->head) goes to the upstream.
void proxy_begin(struct conn *c);
// Tries for a connection; the head is parsed again from the buffer.
void proxy_acquire(struct conn *c);
void proxy_connected(struct conn *c);
// No connection came about: waits with others, or answers.
void proxy_no_upstream(struct conn *c);
enum step proxy_step(struct conn *c);
enum step tunnel_step(struct conn *c);
// A limit of time was reached.
void proxy_timeout(struct conn *c);
// The client went away while the upstream works.
void proxy_abandon(struct conn *c);
// Parses the kept head again into w->head; false when it is not at hand any more.
bool proxy_reparse(struct conn *c);

// ---- upstream.c
void upstream_init(struct worker *w);
void upstream_done(struct worker *w);
// A pooled connection, or NULL.
struct upconn *upstream_take(struct worker *w);
// A new connection, perhaps still `connecting`. E_IO: refused; E_LIMIT: too many; E_BUSY: backlog.
int upstream_connect(struct worker *w, struct upconn **ret) MUST_USE;
// Back into the pool.
void upstream_put(struct upconn *u);
void upstream_close(struct upconn *u);
// True when the kernel says that the upstream received no byte of the current request.
bool upstream_unreceived(const struct upconn *u, bool has_body, int error);
void upstream_hold(struct exchange *x);
void upstream_unhold(struct exchange *x);
void upstream_is_down(struct worker *w, const char *why);
void upstream_is_up(struct worker *w);
bool upstream_retry_budget(struct worker *w);

// ---- answer.c
// An answer of the edge's own. `close`: the connection ends after it. w->head must be the request's
// or `known` false. The state becomes CONN_ANSWER.
void answer_error(struct conn *c, int status, const char *what, bool known, bool close);
void edge_answer_text(struct conn *c, int status, const char *type, struct str body);
void answer_health(struct conn *c);
void answer_metrics(struct conn *c);
// A page; w->head is the request.
void answer_page(struct conn *c, struct str ns, struct str host);
enum step answer_step(struct conn *c);
