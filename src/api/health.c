// SPDX-License-Identifier: Apache-2.0
// Tells machines whether the server lives, whether it may be sent traffic, and its figures. Health
// and liveness touch nothing but this process; readiness asks the database. Any worker thread.
#include "api/health.h"

#include <inttypes.h>

bool health_matches(struct str path)
{
    return str_is(path, "/-/health") || str_is(path, "/-/liveness") ||
           str_is(path, "/-/readiness") || str_is(path, "/metrics");
}

static int readiness(struct http_call *c, const struct api *api)
{
    struct err e = ERR_INIT, why = ERR_INIT;
    struct tx tx = TX_NONE;
    bool db = store_read(api->cfg.store, &tx, &e) == 0;
    tx_done(&tx);
    bool ready = db && !http_stopping(c);
    if (ready && api->cfg.ready)
        ready = api->cfg.ready(api->cfg.ready_ctx, &why);
    _autobuf_ struct buf b = BUF_INIT(KIB(4));
    struct jout j;
    jout_begin(&j, &b);
    jout_object(&j);
    jout_kcstr(&j, "status", ready ? "ok" : "failed");
    jout_key(&j, "db_check");
    jout_array(&j);
    jout_object(&j);
    jout_kcstr(&j, "status", db ? "ok" : "failed");
    if (!db)
        jout_kcstr(&j, "message", e.msg);
    jout_end_object(&j);
    jout_end_array(&j);
    if (http_stopping(c))
        jout_kcstr(&j, "message", "the server is stopping");
    else if (why.msg[0])
        jout_kcstr(&j, "message", why.msg);
    jout_end_object(&j);
    http_status(c, ready ? 200 : 503);
    http_send(c, "application/json", buf_str(&b));
    return HTTP_DONE;
}

static void metric(struct buf *b, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name,
             value);
}

static int metrics(struct http_call *c, const struct api *api)
{
    struct http_server_stats s;
    http_server_stats(http_call_server(c), &s);
    _autobuf_ struct buf b = BUF_INIT(MIB(1));
    metric(&b, "slipway_http_requests_total", "counter", "Requests with a complete head.",
           s.requests);
    buf_adds(&b, "# HELP slipway_http_responses_total Answers by class of status.\n"
                 "# TYPE slipway_http_responses_total counter\n");
    for (int i = 1; i < 6; i++)
        buf_addf(&b, "slipway_http_responses_total{class=\"%dxx\"} %" PRIu64 "\n", i,
                 s.by_class[i]);
    metric(&b, "slipway_http_received_bytes_total", "counter", "Bytes received.", s.bytes_in);
    metric(&b, "slipway_http_sent_bytes_total", "counter", "Bytes sent.", s.bytes_out);
    metric(&b, "slipway_http_connections_accepted_total", "counter", "Connections accepted.",
           s.accepted);
    metric(&b, "slipway_http_refused_total", "counter", "Refused for want of room.", s.refused);
    metric(&b, "slipway_http_bad_requests_total", "counter", "Refused by the HTTP layer.", s.bad);
    metric(&b, "slipway_http_aborted_total", "counter", "Clients gone before their answer.",
           s.aborted);
    metric(&b, "slipway_http_connections", "gauge", "Open connections.", s.connections);
    metric(&b, "slipway_http_in_flight", "gauge", "Calls in a worker.", s.in_flight);
    metric(&b, "slipway_http_parked", "gauge", "Calls that wait for something.", s.parked);
    metric(&b, "slipway_http_queued", "gauge", "Calls that wait for a worker.", s.queued);
    buf_adds(&b, "# HELP slipway_http_request_duration_seconds Time to answer.\n"
                 "# TYPE slipway_http_request_duration_seconds histogram\n");
    for (int i = 0; i < 8; i++)
        buf_addf(&b, "slipway_http_request_duration_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
                 http_server_latency_bounds_ms[i] / 1000.0, s.latency_le[i]);
    buf_addf(&b,
             "slipway_http_request_duration_seconds_bucket{le=\"+Inf\"} %" PRIu64
             "\nslipway_http_request_duration_seconds_sum %.6f\n"
             "slipway_http_request_duration_seconds_count %" PRIu64 "\n",
             s.latency_count, (double)s.latency_us_sum / 1e6, s.latency_count);
    if (api->cfg.metrics)
        api->cfg.metrics(api->cfg.metrics_ctx, &b);
    http_send(c, "text/plain; version=0.0.4; charset=utf-8", buf_str(&b));
    return HTTP_DONE;
}

int health_handle(struct http_call *c, const struct api *api)
{
    struct str path = http_path(c);
    if (!http_method_is(c, "GET") && !http_method_is(c, "HEAD")) {
        http_set(c, "Allow", STR("GET, HEAD"));
        http_fail(c, 405, "405 Method Not Allowed: %s", "only GET and HEAD");
        return HTTP_DONE;
    }
    if (str_is(path, "/metrics"))
        return metrics(c, api);
    if (str_is(path, "/-/readiness"))
        return readiness(c, api);
    if (str_is(path, "/-/liveness"))
        http_send(c, "application/json", STR("{\"status\":\"ok\"}"));
    else
        http_send(c, "text/plain; charset=utf-8", STR("Slipway OK\n"));
    return HTTP_DONE;
}
