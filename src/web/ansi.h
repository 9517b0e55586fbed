// SPDX-License-Identifier: Apache-2.0
// Job logs to HTML: ANSI colours (SGR) become spans with classes, every other escape sequence is
// dropped, a carriage return overwrites its line, and GitLab's section marks become folds. What
// a job prints can therefore never become markup, move the cursor or reach the terminal.
//
// The state between two lines fits into 64 bits, so a stream can be resumed from a number alone.
#pragma once

#include "base/buf.h"

enum {
    ANSI_LINE_MAX = 16384, // longer lines are broken
    ANSI_SECTIONS_MAX = 32,
};

enum ansi_shape {
    ANSI_NESTED, // <details> for sections, numbered lines: a whole page
    ANSI_FLAT,   // sections as marks (data-open, data-close), for a script that nests them
};

struct ansi_section {
    char name[64];
    int64_t started;    // unix seconds
    size_t duration_at; // where in the output its duration goes
};

struct ansi {
    enum ansi_shape shape;
    uint8_t fg, bg; // 0: default, 1..16: palette
    uint8_t flags;
    uint64_t line; // number of the last line written
    size_t nsections;
    struct ansi_section sections[ANSI_SECTIONS_MAX];
};

void ansi_init(struct ansi *a, enum ansi_shape shape);
// Renders the complete lines of `bytes` and returns how many bytes they took. With `end` the rest
// counts as a line, too. `out` must only be appended to between calls (ANSI_NESTED).
size_t ansi_feed(struct ansi *a, struct str bytes, bool end, struct buf *out);
// Closes the sections that are open. To go on in a stream, name a->sections to the script before.
void ansi_finish(struct ansi *a, struct buf *out);

// Colours and attributes in 16 bits, and back.
uint16_t ansi_save(const struct ansi *a);
void ansi_restore(struct ansi *a, uint16_t saved);
