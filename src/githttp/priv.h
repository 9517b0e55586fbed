// SPDX-License-Identifier: Apache-2.0
// Inside src/githttp only: the face's state, what a request is about, the request body and the git
// child.
#pragma once

#include "forge/access.h"
#include "forge/auth.h"
#include "forge/throttle.h"
#include "git/proc.h"
#include "githttp/githttp.h"
#include "os/spawn.h"

#include <pthread.h>
#include <stdatomic.h>
#include <zlib.h>

struct auth_cache;

struct githttp {
    struct githttp_config cfg;
    atomic_uint packs; // git processes running
    struct auth_cache *auth;
    struct throttle by_account, by_address; // wrong passwords: per account and address; per address
    pthread_mutex_t lock;                   // of the texts below
    char *upload_v2;                        // capability advertisement of protocol v2, learned once
    size_t upload_v2_n;
    char *receive_caps; // what git-receive-pack can do, learned once

    // The thread that settles pushes which could not be settled at once; runs only while there are
    // any.
    pthread_t settler;
    pthread_cond_t settle_wake;
    bool settling, settler_made, stop;
};

// What a request is about, after the caller was let in.
struct target {
    struct actor who;
    struct project project;
    int level;
    const char *repo;     // path on disk
    const char *protocol; // value for GIT_PROTOCOL, or NULL
    int version;          // 0, 1, 2
};

// Plain text, as git shows it behind "remote:".
void answer_text(struct http_call *c, int status, const char *fmt, ...) PRINTF(3, 4);
void answer_err(struct http_call *c, const struct err *e);
void no_cache(struct http_call *c);

// ---- auth.c

struct auth_cache *auth_cache_new(void) MUST_USE;
void auth_cache_free(struct auth_cache *ac);
// auth_basic, but a password that was right within the last minute is not hashed slowly again while
// the account's password is the same.
// After too many wrong ones it is not looked at: E_LIMIT, and *ret_wait_ms tells for how long.
// address: who asks. Tokens cannot be guessed and are not counted.
int auth_cached(struct githttp *g, struct arena *a, struct str address, struct str user,
                struct str password, struct actor *ret, int64_t *ret_wait_ms,
                struct err *e) MUST_USE;
// Reads Authorization and finds the project. True: *ret is filled. False: the answer was given.
bool let_in(struct githttp *g, struct http_call *c, struct str project_path, bool push,
            struct target *ret);

// ---- body.c: the request body, unzipped when it says so

struct body {
    struct http_call *c;
    bool gzip, ended;
    z_stream z;
    int64_t max, total; // bytes after unzipping
    unsigned char *in;
};
// E_INVALID: an encoding nobody asked for (415).
int body_init(struct body *b, struct http_call *c, int64_t max, struct err *e) MUST_USE;
void body_done(struct body *b);
#define _autobody_ _cleanup_(body_done)
// Up to n bytes; *ret_n == 0 is the end. E_LIMIT over max; E_INVALID broken gzip; E_IO cut.
int body_read(struct body *b, void *to, size_t n, size_t *ret_n, struct err *e) MUST_USE;
int body_all(struct body *b, struct buf *into, struct err *e) MUST_USE;
// Reads and throws away, so that a client which cannot listen while it sends gets its answer.
void body_drain(struct body *b, int64_t max_bytes, int64_t max_ms);

// ---- child.c: one git process

struct gitproc {
    struct child child;
    int in, out, errfd; // stdin and stdout of the child, its error text; -1: closed
    int64_t idle_ms, deadline;
};
#define GITPROC_NONE ((struct gitproc){CHILD_NONE, -1, -1, -1, 0, 0})
// argv: after the program's name. lock_fd (or -1) becomes descriptor 3 of the child.
int gitproc_start(struct gitproc *p, struct githttp *g, const char *const *argv,
                  const char *const *env, int lock_fd, struct err *e) MUST_USE;
// Writes all of it while gathering output into `out` (full: the rest is thrown away). E_IO: the
// child no longer reads; E_AGAIN: no progress for idle_ms or total time over.
int gitproc_feed(struct gitproc *p, struct str piece, struct buf *out, struct err *e) MUST_USE;
void gitproc_close_input(struct gitproc *p);
// Up to n bytes of output; *ret_n == 0 is the end.
int gitproc_read(struct gitproc *p, void *to, size_t n, size_t *ret_n, struct err *e) MUST_USE;
// Ends it when it does not end by itself; its exit code.
int gitproc_wait(struct gitproc *p, int64_t max_ms);
// The first line of its error text.
void gitproc_error(struct gitproc *p, struct buf *to);
void gitproc_done(struct gitproc *p);
#define _autogit_ _cleanup_(gitproc_done)

// A place among max_packs. False: park on GIT_SLOT_TOPIC.
bool slot_take(struct githttp *g);
void slot_give(struct githttp *g, struct http_call *c);
#define GIT_SLOT_TOPIC "git-slot"
struct slot {
    struct githttp *g;
    struct http_call *c;
};
void slot_done(struct slot *s);
#define _autoslot_ _cleanup_(slot_done)
// Takes a place or says how the handler returns: HTTP_PARK, or HTTP_DONE after a 503.
bool slot_or_park(struct githttp *g, struct http_call *c, struct slot *s, int *ret_result);

// ---- push.c

// Starts settling in the background; any thread.
void settle_later(struct githttp *g);
void settle_stop(struct githttp *g);

// ---- the services

int upload_info(struct githttp *g, struct http_call *c, const struct target *t);
int upload_post(struct githttp *g, struct http_call *c, const struct target *t);
int receive_info(struct githttp *g, struct http_call *c, const struct target *t);
int receive_post(struct githttp *g, struct http_call *c, const struct target *t);

// Writes pieces of an answer, beginning it with the first.
struct answer {
    struct http_call *c;
    const char *content_type;
    bool begun;
};
int answer_piece(void *answer, struct str piece, struct err *e);
