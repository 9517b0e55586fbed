// SPDX-License-Identifier: Apache-2.0
// Textual forms of bytes: hex, base64 and random tokens.
#pragma once

#include "base/buf.h"

void text_hex(struct buf *b, struct str bytes); // lower case
int text_hex_digit(char c);                     // its value, or -1
// False when not an even number of hex digits.
bool text_unhex(struct buf *b, struct str hex) MUST_USE;
// RFC 4648 section 4, padded; _url: section 5, unpadded.
void text_base64(struct buf *b, struct str bytes);
void text_base64url(struct buf *b, struct str bytes);
// Reads both alphabets, with or without padding; no white space.
bool text_unbase64(struct buf *b, struct str s) MUST_USE;
// Fills `out` with n-1 random characters of [A-Za-z0-9_-]... (6 bits each) and a NUL.
void text_random(char *out, size_t n);
// Escapes & < > " ' for HTML text and attribute values.
void text_html(struct buf *b, struct str s);
// A URL-safe slug as GitLab's CI_*_SLUG: lower case, others become '-', 63 bytes at most, no
// leading or trailing '-'.
void text_slug(struct buf *b, struct str s);
