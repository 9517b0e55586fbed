// SPDX-License-Identifier: Apache-2.0
// Sums the workers' counters and writes them as Prometheus reads them.
#include "edge/stats.h"

const int STATS_BOUNDS_MS[STATS_BUCKETS] = {1, 2, 5, 10, 25, 50, 100, 500, 1000, 5000};

void stats_duration(struct stats *s, int64_t us)
{
    STAT_ADD(s->duration_count, 1);
    STAT_ADD(s->duration_us, us);
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        if (us <= (int64_t)STATS_BOUNDS_MS[i] * 1000) {
            STAT_ADD(s->duration_le[i], 1);
            return;
        }
}

void stats_sum(struct stats *sum, const struct stats *s)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)s;
    for (size_t i = 0; i < sizeof(*s) / sizeof(uint64_t); i++)
        to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static void metric(struct buf *to, const char *name, const char *labels, const char *type,
                   const char *help, uint64_t v)
{
    if (help)
        buf_addf(to, "# HELP slipway_edge_%s %s\n# TYPE slipway_edge_%s %s\n", name, help, name,
                 type);
    buf_addf(to, "slipway_edge_%s%s %llu\n", name, labels, (unsigned long long)v);
}

static void write_durations(const struct stats *s, struct buf *to)
{
    uint64_t sum = 0;
    buf_adds(to, "# HELP slipway_edge_request_duration_seconds Complete head to last byte sent.\n"
                 "# TYPE slipway_edge_request_duration_seconds histogram\n");
    for (size_t i = 0; i < STATS_BUCKETS; i++) {
        sum += s->duration_le[i];
        buf_addf(to, "slipway_edge_request_duration_seconds_bucket{le=\"%g\"} %llu\n",
                 STATS_BOUNDS_MS[i] / 1000.0, (unsigned long long)sum);
    }
    buf_addf(to,
             "slipway_edge_request_duration_seconds_bucket{le=\"+Inf\"} %llu\n"
             "slipway_edge_request_duration_seconds_sum %.6f\n"
             "slipway_edge_request_duration_seconds_count %llu\n",
             (unsigned long long)s->duration_count, (double)s->duration_us / 1e6,
             (unsigned long long)s->duration_count);
}

void stats_write(const struct stats *s, bool draining, struct buf *to)
{
    metric(to, "connections_total", "", "counter", "Client connections accepted.", s->accepted);
    metric(to, "connections", "", "gauge", "Client connections open.", s->connections);
    metric(to, "requests_total", "{to=\"upstream\"}", "counter", "Requests by where they went.",
           s->requests_upstream);
    metric(to, "requests_total", "{to=\"pages\"}", NULL, NULL, s->requests_pages);
    metric(to, "requests_total", "{to=\"edge\"}", NULL, NULL, s->requests_own);
    metric(to, "bad_requests_total", "", "counter", "Requests refused by the edge itself.",
           s->bad_requests);
    static const char *CLASSES[] = {"{code=\"none\"}", "{code=\"1xx\"}", "{code=\"2xx\"}",
                                    "{code=\"3xx\"}",  "{code=\"4xx\"}", "{code=\"5xx\"}"};
    for (size_t i = 0; i < ARRAY_SIZE(CLASSES); i++)
        metric(to, "answers_total", CLASSES[i], "counter",
               i ? NULL : "Answers by the first digit of their status.", s->answers[i]);
    metric(to, "aborted_total", "", "counter", "Clients that went away before their answer.",
           s->aborted);
    metric(to, "cut_total", "", "counter", "Answers broken off by the upstream or a limit.",
           s->cut);
    metric(to, "timeouts_total", "", "counter", "Limits of time reached.", s->timeouts);
    metric(to, "retries_total", "{reason=\"unreceived\"}", "counter",
           "Requests sent again, by why that was safe.", s->retries_unsent);
    metric(to, "retries_total", "{reason=\"idempotent\"}", NULL, NULL, s->retries_idempotent);
    metric(to, "retries_denied_total", "", "counter", "Failures that could not be retried safely.",
           s->retries_denied);
    metric(to, "held_total", "", "counter", "Requests that waited for the upstream.", s->held);
    metric(to, "held", "", "gauge", "Requests waiting for the upstream.", s->held_now);
    metric(to, "hold_expired_total", "", "counter", "Requests that waited in vain.",
           s->hold_expired);
    metric(to, "upstream_connects_total", "", "counter", "Connections made to the upstream.",
           s->upstream_connects);
    metric(to, "upstream_connections", "", "gauge", "Connections open to the upstream.",
           s->upstream_connections);
    metric(to, "upstream_reused_total", "", "counter", "Requests on a pooled connection.",
           s->upstream_reused);
    metric(to, "upstream_failures_total", "", "counter", "Failed attempts to connect.",
           s->upstream_failures);
    metric(to, "upstream_surplus_total", "", "counter",
           "Upstream connections closed for bytes nobody asked for.", s->upstream_surplus);
    metric(to, "tunnels_total", "", "counter", "Upgraded connections.", s->tunnels);
    metric(to, "received_bytes_total", "", "counter", "Request body bytes.", s->bytes_in);
    metric(to, "sent_bytes_total", "", "counter", "Bytes sent to clients.", s->bytes_out);
    metric(to, "draining", "", "gauge", "1 while the edge drains.", draining);
    write_durations(s, to);
}
