// SPDX-License-Identifier: Apache-2.0
// Counters: each worker writes its own, anybody reads them.
#pragma once

#include "base/buf.h"

#define STATS_BUCKETS 10
extern const int STATS_BOUNDS_MS[STATS_BUCKETS];

// Everything is a uint64_t, so that the sum over workers is a loop.
struct stats {
    uint64_t accepted;             // client connections
    uint64_t connections;          // open now
    uint64_t requests_upstream;    // complete heads by where they went
    uint64_t requests_pages;       //
    uint64_t requests_own;         // health, metrics
    uint64_t bad_requests;         // refused by the edge: framing, host, limits
    uint64_t answers[6];           // by status / 100; [0]: none was given
    uint64_t aborted;              // client went away first
    uint64_t cut;                  // answer broken off by the upstream or a limit
    uint64_t timeouts;             // any named limit of time
    uint64_t retries_unsent;       // retried: no byte had been received
    uint64_t retries_idempotent;   // retried: the method allows it
    uint64_t retries_denied;       // not retried: not provably safe, or no budget
    uint64_t held;                 // requests that waited for an upstream
    uint64_t held_now;             //
    uint64_t hold_expired;         // of these, answered 503
    uint64_t upstream_connects;    // connections made
    uint64_t upstream_connections; // open now
    uint64_t upstream_reused;      // requests on a pooled connection
    uint64_t upstream_failures;    // connect failures
    uint64_t upstream_surplus;     // connections closed because of bytes nobody asked for
    uint64_t tunnels;              // upgraded connections
    uint64_t bytes_in, bytes_out;  // client side, request bodies and whole answers
    uint64_t duration_count, duration_us;
    uint64_t duration_le[STATS_BUCKETS]; // not cumulative
};

// By the owning worker only.
#define STAT_ADD(field, by) __atomic_store_n(&(field), (field) + (uint64_t)(by), __ATOMIC_RELAXED)
#define STAT_SUB(field, by) __atomic_store_n(&(field), (field) - (uint64_t)(by), __ATOMIC_RELAXED)

void stats_duration(struct stats *s, int64_t us);
// Adds what `s` counts to `sum`; any thread.
void stats_sum(struct stats *sum, const struct stats *s);
// Prometheus text format 0.0.4.
void stats_write(const struct stats *s, bool draining, struct buf *to);
