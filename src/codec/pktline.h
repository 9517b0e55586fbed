// SPDX-License-Identifier: Apache-2.0
// Git's pkt-line framing (gitprotocol-common(5)): four hex digits of length, itself included, then
// bytes. Bytes in, packets out; no I/O. A whole input parses like the same input split anywhere.
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define PKT_MAX      65520 // bytes on the wire, the length's four digits included
#define PKT_MAX_DATA 65516

enum pkt_type {
    PKT_DATA,
    PKT_FLUSH,        // 0000
    PKT_DELIM,        // 0001, protocol v2
    PKT_RESPONSE_END, // 0002, protocol v2
};

struct pkt {
    enum pkt_type type;
    struct str data; // points into the input; a trailing line feed is kept
};

// Takes one packet from the front of `in`: *ret_used bytes of it. E_AGAIN: needs more input
// (nothing used); E_INVALID: the length is no hex, 3, or above PKT_MAX.
int pkt_parse(struct str in, struct pkt *ret, size_t *ret_used, struct err *e) MUST_USE;

// The data without one trailing line feed.
static inline struct str pkt_line(struct pkt p)
{
    return p.data.n && p.data.p[p.data.n - 1] == '\n' ? str_head(p.data, p.data.n - 1) : p.data;
}

// Append a packet. Data beyond PKT_MAX_DATA is a bug.
void pkt_add(struct buf *b, struct str data);
void pkt_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
// For packets made piece by piece: note b->n as `start`, append four bytes of anything, then the
// data, then close. Longer than PKT_MAX is a bug.
void pkt_close(struct buf *b, size_t start);
void pkt_flush(struct buf *b);
void pkt_delim(struct buf *b);
// Side-band-64k: `data` cut into packets of channel 1 (data), 2 (progress) or 3 (fatal error).
void pkt_sideband(struct buf *b, int channel, struct str data);
