// SPDX-License-Identifier: Apache-2.0
// The pages that people see: everything the server answers that is not the API, Git or health.
// Server-rendered; scripts only add what is live.
//
// To add a page: a template in assets/templates, a handler in the page_*.c of its area, one line in
// that file's route table.
#pragma once

#include "base/err.h"

struct store;
struct forge;
struct ci_engine;
struct http_server;
struct http_call;
struct web;

struct web_ctx {
    struct store *store;
    struct forge *forge;
    struct ci_engine *engine;
    const char *state_dir;
    const char *external_url; // "http://localhost:8080", no trailing slash
    const char *pages_url;    // "http://pages.localhost:8080", no trailing slash; NULL: no pages
    // Lists the API for /help, one call per route until false; NULL: no list.
    bool (*api_route)(size_t i, const char **ret_method, const char **ret_path,
                      const char **ret_doc);
    // Told of every request that failed for a reason of ours (5xx): the page shows only the number.
    // Any worker thread; NULL: nobody is told.
    void (*report)(void *report_ctx, const char *request_id, const char *message);
    void *report_ctx;
};

// Parses the templates. The strings of `ctx` are copied; the objects stay the caller's and must
// outlive the web. E_INVALID names the template and line at fault.
int web_init(const struct web_ctx *ctx, struct web **ret, struct err *e) MUST_USE;
void web_done(struct web *w);

// An http_handler; `web` is the struct web. Any worker thread.
int web_handle(struct http_call *c, void *web);
