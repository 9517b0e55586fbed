// SPDX-License-Identifier: Apache-2.0
// Conditional requests and ranges for a stored representation: RFC 9110 sections 13 and 14, in the
// order of 13.2.2. Pure.
#pragma once

#include "base/str.h"

// The request's headers; p == NULL where one is absent.
struct conditions {
    bool head; // HEAD: ranges do not apply
    struct str if_match, if_none_match, if_modified_since, if_unmodified_since;
    struct str range, if_range;
};

// What is about to be sent.
struct representation {
    struct str etag;  // with its quotes; strong
    int64_t mtime_ms; // wall time; compared in whole seconds
    int64_t size;     // bytes
};

struct verdict {
    int status;            // 200, 206, 304, 412 or 416
    int64_t first, length; // the bytes to send, for 200 and 206
};

// Several ranges in one request are answered with the whole, which 14.2 allows; a Range header that
// is not understood is ignored.
struct verdict conditional_decide(const struct conditions *c, const struct representation *r);

// True when the entity-tag list `list` ("*" or tags) holds `etag`; `weak`: W/ is ignored.
bool etag_listed(struct str list, struct str etag, bool weak);

// The quality an Accept-Encoding header gives `coding`, in thousandths; 0 = refused or not named.
int accept_encoding_quality(struct str header, struct str coding);
