// SPDX-License-Identifier: Apache-2.0
// Git over HTTP (gitprotocol-http(5), smart protocol 0, 1 and 2): /<full/path>.git/info/refs,
// git-upload-pack and git-receive-pack. Asks forge who the caller is and what they may do before a
// byte of a pack is taken, and turns ref updates into push events exactly once.
#pragma once

#include "base/err.h"
#include "net/http_server.h"

struct forge;
struct githttp;

struct githttp_config {
    struct forge *forge;     // with its store
    const char *git_program; // NULL: "git"
    int64_t max_push_bytes;  // of one pack; 0: 2 GiB
    int64_t max_repo_bytes;  // 0: 10 GiB
    int64_t idle_ms;         // a request without progress ends; 0: 60,000
    int64_t total_ms;        // longest request; 0: 3,600,000
    unsigned max_packs;      // git processes at once; above: requests wait. 0: 8
    // Called in the worker thread after a push event (store/pushes.h) was committed, and by
    // githttp_reconcile for events that nobody handled yet. It may come twice for one event:
    // push_event_handled is the guard.
    void (*pushed)(void *ctx, int64_t push_event_id);
    void *ctx;
};

// `cfg` is copied; what it points to must outlive the face.
int githttp_new(const struct githttp_config *cfg, struct githttp **ret, struct err *e) MUST_USE;
void githttp_free(struct githttp *g);

// True for paths this face answers (any path with ".git/" before info/refs, git-upload-pack,
// git-receive-pack, HEAD or objects/).
bool githttp_matches(struct str path);
// The handler; `ctx` is the struct githttp.
int githttp_handle(struct http_call *c, void *ctx);

// Settles what a crash left: pushes whose git ended but whose event was not written, and events
// that were not handled. Call once at start, before requests are taken. An orphaned git that still
// works is waited for `max_wait_ms` at most (all together); what could not be settled by then is
// logged and settled in the background as soon as it can be. An error means that the store failed.
int githttp_reconcile(struct githttp *g, int64_t max_wait_ms, struct err *e) MUST_USE;
