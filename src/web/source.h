// SPDX-License-Identifier: Apache-2.0
// Source text and differences as HTML. Everything is escaped here; bytes that are not UTF-8 become
// U+FFFD.
#pragma once

#include "base/buf.h"
#include "git/diff.h"

// Numbered lines with anchors #L1, #L2, ...
void source_html(struct str text, struct buf *out);
// The hunks of one file as a table; anchors are "#<anchor>L<n>" (old) and "#<anchor>R<n>" (new).
void source_diff_html(const struct git_diff_file *f, const char *anchor, struct buf *out);
// Escapes, and makes what is not UTF-8 or not printable visible as U+FFFD.
void source_escape(struct str s, struct buf *out);
