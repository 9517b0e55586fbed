// SPDX-License-Identifier: Apache-2.0
// Inside src/api: one request on its way through a handler, and how handlers answer. A request
// belongs to its worker thread; everything in it lives in the call's arena and ends with the
// handler.
#pragma once

#include "api/api.h"
#include "api/param.h"
#include "api/router.h"
#include "base/jout.h"
#include "forge/access.h"
#include "forge/auth.h"
#include "forge/forge.h"

#define API_REPLY_MAX MIB(32)

struct api {
    struct api_ctx cfg;
    struct api_router *router;
    struct buf openapi; // the document, made once
};

struct api_req {
    const struct api *api;
    struct http_call *http;
    struct arena *a;
    const struct route *route;
    struct str path[API_PATH_PARAMS]; // decoded, in the pattern's order
    struct actor who;
    struct params params;
    struct tx tx; // a read snapshot, open while the handler runs unless req_end_read closed it
    int64_t now;  // wall ms

    struct project project; // below /projects/:id
    struct ns group;        // below /groups/:id
    int level;              // there; includes what visibility gives to readers

    struct page page;
    struct buf out;
    struct jout j;
    struct err e;
};

// ---- parameters ----

static inline const struct param_value *req_param(const struct api_req *r, const char *name)
{
    return params_get(&r->params, name);
}
bool req_has(const struct api_req *r, const char *name); // given, and not null
struct str req_str(const struct api_req *r, const char *name, struct str none);
int64_t req_int(const struct api_req *r, const char *name, int64_t none);
bool req_bool(const struct api_req *r, const char *name, bool none);
// Path parameter `i` as an id; 0 when it is not a positive number.
int64_t req_id(const struct api_req *r, size_t i);

// ---- the snapshot ----

// Ends the read: before a write of one's own, before parking, before long transfers.
void req_end_read(struct api_req *r);
// A fresh snapshot (after a write).
int req_read(struct api_req *r, struct err *e) MUST_USE;

// ---- answers; each returns HTTP_DONE, so that handlers say `return reply_...` ----

// Begins the JSON of the answer.
struct jout *reply_begin(struct api_req *r);
int reply_end(struct api_req *r); // with the route's status
int reply_status(struct api_req *r, int status);
int reply_empty(struct api_req *r, int status);
int reply_message(struct api_req *r, int status, const char *fmt, ...)
    PRINTF(3, 4);                                                                  // {"message":..}
int reply_error(struct api_req *r, int status, const char *fmt, ...) PRINTF(3, 4); // {"error":..}
int reply_404(struct api_req *r, const char *what); // "404 Project Not Found"
int reply_forbidden(struct api_req *r, const char *why_or_null);
// What r->e says, by its code; E_NOTFOUND is "404 <what> Not Found".
int reply_err(struct api_req *r, const char *what);
// Sets X-Total, Link and the rest from r->page.
void reply_page(struct api_req *r);
// For lists without a known total.
void reply_page_open(struct api_req *r, bool more);

// For handlers: `REQ_TRY(r, call, "Job")` answers the error and returns.
#define REQ_TRY(r, call, what)                                                                     \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            return reply_err((r), (what));                                                         \
    } while (0)

// ---- places ----

struct str req_project_url(struct api_req *r); // "http://host/group/project"
struct str req_url(struct api_req *r, const char *fmt, ...) PRINTF(2, 3); // external URL + text
const char *req_repo_path(struct api_req *r);                             // of r->project, on disk

// ---- who ----

static inline bool req_signed_in(const struct api_req *r)
{
    return r->who.kind != ACTOR_ANONYMOUS;
}
