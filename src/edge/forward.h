// SPDX-License-Identifier: Apache-2.0
// The heads that a proxy sends on: hop-by-hop fields and the client's forwarding fields cut,
// framing written anew from what the parser understood. Pure: heads in, bytes out.
#pragma once

#include "codec/http1.h"

struct forward_request {
    struct str client;     // numeric address
    struct str proto;      // "http", "https"
    struct str request_id; //
    struct str host;       // what the client named; also the Host sent on
    bool upgrade;          // pass Connection: Upgrade on
};

// Appends the whole head with its empty line. buf_ok(to) fails when it does not fit.
void forward_request_head(struct buf *to, const struct http1_head *h,
                          const struct forward_request *f);

struct forward_response {
    bool to_head;     // it answers a HEAD request
    int client_minor; // HTTP/1.x of the client
    bool keep_alive;  // towards the client, after this answer
    bool chunked;     // the body goes out in chunks
    bool tunnel;      // 101: pass Upgrade on
};

void forward_response_head(struct buf *to, const struct http1_head *h,
                           const struct forward_response *f);

// True when a trailer field of an answer may be passed on.
bool forward_trailer(struct str name);

// True for methods that may be repeated (RFC 9110 9.2.2).
bool forward_idempotent(struct str method);

// What is known when an exchange with an upstream failed before its answer began.
struct failure {
    bool idempotent; // the method, or the client gave an Idempotency-Key
    bool connected;  // false: no connection came about
    bool unreceived; // it is proven that the upstream has not the whole head
    bool replayable; // every byte of the request so far is still at hand
    bool budget;     // the retry budget allows one more
    int attempts;    // made so far, this one included
};
#define FORWARD_ATTEMPTS_MAX 4
// The table of "safe retry": true when the request may be sent again on a fresh connection.
bool forward_may_retry(const struct failure *f);
