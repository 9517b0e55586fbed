// SPDX-License-Identifier: Apache-2.0
// The vocabulary of route tables. A route is one line of a static table in the file of its face:
// method, path, handler, token scope, role, parameters, reply and one line of documentation.
// Everything else comes from the table: the router, the authorization, reading and checking
// parameters, 405 and Allow, the OpenAPI document and the API help page.
//
// To add a route: write a handler `static int thing_get(struct api_req *r)` in the face's file, add
// a ROUTE line to the table at its end, declare its parameters there, and name its reply in
// schema.c.
#pragma once

#include "base/str.h"

struct api_req;

enum api_method { API_GET, API_POST, API_PUT, API_PATCH, API_DELETE, API_METHODS };

// Which token scopes open a route. A session (the user interface's own calls) opens all of them.
enum api_need {
    NEED_NONE,          // needs no credential (some other secret, or nothing)
    NEED_READ_USER,     // read_user, read_api, api
    NEED_READ_API,      // read_api, api
    NEED_READ_REPO,     // read_repository, read_api, api
    NEED_CREATE_RUNNER, // create_runner, api
    NEED_API,           // api
    NEED_SELF,          // any valid token: what it may always do with itself
};

// Who may call a route. On paths below /projects/:id and /groups/:id the access levels speak of
// that project or group, which the dispatcher has loaded before the handler runs.
enum api_role {
    ROLE_ANYONE,        // also nobody
    ROLE_USER,          // somebody signed in
    ROLE_GUEST = 10,    // GitLab's access levels. For reading, a public project gives everybody
    ROLE_REPORTER = 20, // Reporter, an internal one everybody who is signed in.
    ROLE_DEVELOPER = 30,
    ROLE_MAINTAINER = 40,
    ROLE_OWNER = 50,
    ROLE_ADMIN = 100,
};

enum api_type {
    TYPE_STR,
    TYPE_INT,
    TYPE_BOOL,
    TYPE_TIME, // RFC 3339 or a date
    TYPE_STRS, // array of strings: JSON array, name[]=, or comma-separated text
    TYPE_JSON, // any JSON value of a JSON body (or text holding JSON)
    TYPE_FILE, // a multipart file part, read by the handler itself
};

struct param {
    const char *name; // NULL ends the list
    enum api_type type;
    const char *doc;
    bool required;
    bool empty_ok;      // a required string may be empty
    const char *values; // allowed ones, "a|b|c"; NULL: any
    size_t max;         // bytes of a string; 0: PARAM_STR_MAX
};
#define PARAM_STR_MAX KIB(64)
#define PARAMS_MAX    40 // of one route

#define PARAMS(...)                                                                                \
    .params = (const struct param[])                                                               \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
// OPT(name, type, doc, further fields...):
// OPT("visibility", STR, "Who may see it.", .values = "private|public")
#define OPT(name_, type_, ...)                                                                     \
    {                                                                                              \
        .name = name_, .type = TYPE_##type_, .doc = __VA_ARGS__                                    \
    }
#define REQ(name_, type_, ...)                                                                     \
    {                                                                                              \
        .name = name_, .type = TYPE_##type_, .required = true, .doc = __VA_ARGS__                  \
    }

struct route {
    enum api_method method;
    // Segments: literal, ":name" (one raw segment; %2F inside it is part of the value) or, last,
    // "*name" (the rest of the path, slashes and all).
    const char *pattern;
    int (*handle)(struct api_req *r); // returns HTTP_DONE or HTTP_PARK
    enum api_need scope;
    enum api_role role;

    const char *doc;            // one line
    const char *reply;          // a schema's name, "name[]" for a list of it; NULL: see reply_doc
    const char *reply_type;     // media type of a reply that is not JSON; NULL: application/json
    int status;                 // of success; 0 means 200, for POST 201
    const struct param *params; // ends with an empty one; NULL: none
    bool paged;                 // takes page and per_page, answers X-Total and the rest
    bool job_token;             // a job's token is accepted, too
    bool raw_body;              // the handler reads the body itself
    size_t body_max;            // bytes; 0: API_BODY_MAX
};
#define API_BODY_MAX KIB(512)

// ROUTE(method, path, handler, scope, role, .doc = ... and further fields)
#define ROUTE(method_, pattern_, handle_, scope_, role_, ...)                                      \
    {                                                                                              \
        .method = API_##method_, .pattern = "/api/v4" pattern_, .handle = handle_,                 \
        .scope = NEED_##scope_, .role = ROLE_##role_, __VA_ARGS__                                  \
    }

struct route_table {
    const char *title; // the chapter's name on the help page and the tag in OpenAPI
    const struct route *routes;
    size_t n;
};
#define ROUTE_TABLE(title_, array)                                                                 \
    {                                                                                              \
        .title = title_, .routes = array, .n = ARRAY_SIZE(array)                                   \
    }

const char *api_method_name(enum api_method m);
// -1: not a method of this API. HEAD counts as GET.
int api_method_of(struct str name);
const char *api_need_name(enum api_need s); // as documented, e.g. "read_api"
const char *api_role_name(enum api_role r); // e.g. "Developer"
