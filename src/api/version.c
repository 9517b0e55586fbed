// SPDX-License-Identifier: Apache-2.0
// What the instance is: version and metadata, and the OpenAPI document of itself. Needs no store.
#include "api/request.h"
#include "api/tables.h"

// Clients compare this number with what they need; it is GitLab's of the features offered here.
#define GITLAB_LIKE "17.0.0"

static int version_get(struct api_req *r)
{
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_kcstr(j, "version", GITLAB_LIKE);
    jout_kcstr(j, "revision", "slipway-" SLIPWAY_VERSION);
    jout_kbool(j, "enterprise", false);
    jout_key(j, "kas");
    jout_object(j);
    jout_kbool(j, "enabled", false);
    jout_knull(j, "externalUrl");
    jout_knull(j, "version");
    jout_end_object(j);
    jout_end_object(j);
    return reply_end(r);
}

static int openapi_get(struct api_req *r)
{
    http_set(r->http, "Cache-Control", STR("no-cache"));
    http_send(r->http, "application/json", buf_str(&r->api->openapi));
    return HTTP_DONE;
}

// Some clients ask for the root first, to see whether there is an API at all.
static int root_get(struct api_req *r)
{
    return reply_error(r, 404, "404 Not Found");
}

static const struct route routes[] = {
    ROUTE(GET, "/version", version_get, READ_USER, USER, .reply = "version",
          .doc = "Show the version of the API."),
    ROUTE(GET, "/metadata", version_get, READ_USER, USER, .reply = "version",
          .doc = "Show what this instance is."),
    ROUTE(GET, "/openapi.json", openapi_get, NONE, ANYONE,
          .doc = "This document: every route, parameter and reply."),
    ROUTE(GET, "/", root_get, NONE, ANYONE, .doc = "Nothing: tells that an API is here."),
};
const struct route_table version_table = ROUTE_TABLE("Version", routes);
