// SPDX-License-Identifier: Apache-2.0
// Ref listings answered from memory instead of by a git process: ls-refs of protocol v2, and the
// list that precedes a push. gitprotocol-v2(5), gitprotocol-pack(5).
#pragma once

#include "base/buf.h"
#include "git/refs.h"

#define LSREFS_MAX_PREFIXES 65536

// True when the request's first packet is "command=ls-refs".
bool lsrefs_is(struct str request);
// Answers a complete request. `emit` gets the answer in pieces of about 64 KiB; its negative result
// ends the listing and is returned. E_INVALID: broken request (say 400).
int lsrefs_answer(const struct git_refs *refs, struct str request,
                  int (*emit)(void *ctx, struct str piece, struct err *e), void *ctx,
                  struct err *e) MUST_USE;

// The advertisement of git-receive-pack with its "# service" head: every ref but hidden ones, with
// `caps` ("report-status delete-refs ...") behind the first.
int receive_advertise(const struct git_refs *refs, struct str caps,
                      int (*emit)(void *ctx, struct str piece, struct err *e), void *ctx,
                      struct err *e) MUST_USE;
// Refs of ours that clients neither push nor see in a push's listing: refs/pipelines/,
// refs/merge-requests/.
bool git_ref_is_internal(struct str ref);
