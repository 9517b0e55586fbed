// SPDX-License-Identifier: Apache-2.0
// The REST face: GitLab's API v4 and its runner protocol, plus the health endpoints. One struct api
// serves all worker threads and does not change after api_new.
#pragma once

#include "api/route.h"
#include "base/buf.h"
#include "net/http_server.h"

struct ci_engine;
struct forge;
struct store;
struct api;

struct api_ctx {
    struct store *store;
    struct forge *forge;
    struct ci_engine *engine;
    const char *state_dir;      // absolute
    const char *external_url;   // "http://localhost:8080", no trailing slash
    const char *pages_domain;   // "pages.localhost:8080"
    const char *session_cookie; // of the user interface; NULL: as src/web names it
    const char *instance_uuid;  // NULL: ""
    int64_t artifact_max;       // bytes of one upload; 0: 100 MiB
    int64_t trace_max;          // bytes of one trace; 0: 100 MiB
    int64_t poll_ms;            // how long a runner's request for a job is held; 0: 50,000
    // After a branch or tag was changed here, with its push event committed; as
    // githttp_config.pushed. May be NULL.
    void (*pushed)(void *ctx, int64_t push_event_id);
    void *pushed_ctx;
    // Extra readiness: false (and a sentence in `why`) while the server should get no traffic. May
    // be NULL.
    bool (*ready)(void *ctx, struct err *why);
    void *ready_ctx;
    // The text of /metrics after the api's own figures; may be NULL.
    void (*metrics)(void *ctx, struct buf *to);
    void *metrics_ctx;
};

// Sets the links of published pages right (a crash may have come between row and link). `c` is
// copied, what it points to must outlive the api.
int api_new(const struct api_ctx *c, struct api **ret, struct err *e) MUST_USE;
void api_free(struct api *api);

// True for the paths this face answers: /api/..., /-/health, /-/readiness, /-/liveness, /metrics.
bool api_matches(struct str path);
// The handler; `api` is a struct api.
int api_handle(struct http_call *c, void *api);

// The server's wake callback (store_on_wake, ci_engine_config.notify) reaches parked runners
// through http_server_wake with the same topics; nothing of the api's own is needed.

// Every route, for the help page: for (size_t t = 0; (table = api_routes(t)); t++)
const struct route_table *api_routes(size_t t);
// The OpenAPI 3 document.
void api_openapi(const char *external_url, struct buf *to);

// The effective configuration of the process-wide limits, for tests and the help page.
int64_t api_artifact_max(const struct api *api);
