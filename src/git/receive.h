// SPDX-License-Identifier: Apache-2.0
// The head of a git-receive-pack request (gitprotocol-pack(5), "Reference Update Request"): which
// refs the client wants moved, its capabilities and push options. Read before a byte of the pack is
// taken, so that a refused push costs nothing.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define RECEIVE_MAX_COMMANDS 50000
#define RECEIVE_MAX_HEAD     MIB(16) // bytes of all commands and options
#define RECEIVE_MAX_OPTIONS  100

struct receive_command {
    struct str ref;              // full name, git_ref_name_ok, begins with "refs/"
    struct str old_sha, new_sha; // 40 digits; zeros: created, deleted
};

// Feed it with receive_parse until that returns 0. All slices are in the arena.
struct receive_head {
    struct receive_command *commands;
    size_t n;
    bool report_status, report_status_v2, sideband, atomic, push_options, quiet;
    struct str agent;
    struct str options; // push options, one per line
    bool has_pack;      // some command is not a deletion: a pack follows

    // the parser's own
    struct arena *arena;
    size_t cap, bytes, noptions;
    enum { RECEIVE_COMMANDS, RECEIVE_OPTIONS, RECEIVE_DONE } state;
    struct buf options_buf;
};

// `a` must outlive the head and allow some RECEIVE_MAX_HEAD * 3 bytes.
void receive_head_init(struct receive_head *h, struct arena *a);
void receive_head_done(struct receive_head *h);
#define _autoreceive_ _cleanup_(receive_head_done)

// Takes what it can from the front of `in`; *ret_used bytes of it. 0: the head is complete, what
// follows is the pack; E_AGAIN: more input is needed; E_INVALID: not a push, or one of a kind that
// is not spoken (signed pushes, SHA-256); E_LIMIT: more refs or options than allowed.
int receive_parse(struct receive_head *h, struct str in, size_t *ret_used, struct err *e) MUST_USE;

// The answer to a push of which nothing was done: every command is refused, reasons[i] for those
// that are to blame, NULL for those that only came along. `message` is shown to the person as
// "remote: ..." (lines). The capabilities decide the form.
void receive_refuse(const struct receive_head *h, const char *const *reasons, struct str message,
                    struct buf *to);
