// SPDX-License-Identifier: Apache-2.0
// Replaces secrets in a stream of bytes by "[MASKED]", also where a secret is split between writes.
// Only bytes that may be the beginning of a secret are held back, so output is never late for
// another reason. One thread at a time.
#pragma once

#include "base/buf.h"

struct mask;

// Secrets are kept until mask_free; empty ones are ignored. Of several that match at one place the
// longest wins. A prefix masks the word that follows it: "glpat-abc" becomes "glpat-[MASKED]".
struct mask *mask_new(void) MUST_USE;
void mask_free(struct mask *m);
void mask_secret(struct mask *m, struct str secret);
void mask_prefix(struct mask *m, struct str prefix);

// Appends to `out` what is certain after `in`.
void mask_feed(struct mask *m, struct str in, struct buf *out);
// Appends what was held back: the stream has ended.
void mask_end(struct mask *m, struct buf *out);
