// SPDX-License-Identifier: Apache-2.0
// Markdown (GitHub's flavour: tables, strikethrough, autolinks, task lists) to HTML that is safe to
// show: raw HTML is not passed on, only http, https, mailto and relative links remain, images from
// elsewhere become links (the page would not load them).
#pragma once

#include "base/buf.h"
#include "base/err.h"

// Where relative links of the document lead; each is a path that ends with '/'.
struct markdown_base {
    struct str link;  // "/group/project/-/blob/main/docs/"
    struct str image; // "/group/project/-/raw/main/docs/"
};

// Once, before the first use, from one thread.
void markdown_init(void);
int markdown_html(struct str source, const struct markdown_base *base, struct buf *out,
                  struct err *e) MUST_USE;
