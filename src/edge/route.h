// SPDX-License-Identifier: Apache-2.0
// Which way a request goes: a table of host patterns, read only after start. Pure; any thread.
#pragma once

#include "base/err.h"
#include "base/str.h"

enum route_kind {
    ROUTE_UPSTREAM, // to `upstream`
    ROUTE_PAGES,    // a published site: the label under the wildcard is the namespace
};

struct route {
    struct str host; // lower case: "example.org", "*.example.org" (one label), or "*" (any)
    enum route_kind kind;
    int upstream; // index of the upstream, for ROUTE_UPSTREAM
};

#define HOST_MAX 255 // bytes of a host name without its port

// A Host header or the authority of an absolute request target, checked and taken apart.
struct host {
    char name[HOST_MAX + 1]; // lower case, without port, without the final dot; IPv6 with brackets
    size_t n;
    struct str port; // digits, into the input; p == NULL when absent
};

// Splits "name[:port]" (RFC 3986 3.2.2 reg-name, IPv4 or bracketed IPv6). E_INVALID for anything
// else: user information, spaces, two ports, a port over 65535, an empty name.
int host_parse(struct str text, struct host *ret, struct err *e) MUST_USE;

// The first route whose pattern fits, or NULL. For a wildcard, *ret_label is what stands for the
// star (into `h`); otherwise it is empty.
const struct route *route_find(const struct route *routes, size_t n, const struct host *h,
                               struct str *ret_label);
