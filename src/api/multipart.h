// SPDX-License-Identifier: Apache-2.0
// multipart/form-data (RFC 7578) as a stream: part after part, piece after piece, in constant
// memory.
#pragma once

#include "base/arena.h"
#include "base/err.h"

#define MULTIPART_HEAD_MAX  KIB(8)
#define MULTIPART_PARTS_MAX 64
#define MULTIPART_WINDOW    KIB(64)

// Reads up to n bytes; *ret_n == 0 at the end.
typedef int (*multipart_source)(void *ctx, void *to, size_t n, size_t *ret_n, struct err *e);

struct multipart {
    multipart_source source;
    void *ctx;
    struct str delimiter; // "\r\n--boundary"
    char *window;         // MULTIPART_WINDOW bytes
    size_t n, at;         // filled, consumed
    bool eof, in_part, ended;
    int parts;
};

struct multipart_part {
    struct str name;      // of the field
    struct str file_name; // p == NULL when it is not a file
    struct str type;      // Content-Type, or p == NULL
};

// `content_type` is the request's; E_INVALID when it is not multipart/form-data with a boundary.
int multipart_init(struct multipart *m, struct arena *a, struct str content_type,
                   multipart_source source, void *ctx, struct err *e) MUST_USE;
// Skips what is left of the current part. *ret_more false: that was the last one. E_INVALID:
// malformed or cut.
int multipart_next(struct multipart *m, struct arena *a, struct multipart_part *ret, bool *ret_more,
                   struct err *e) MUST_USE;
// The next bytes of the current part, valid until the next call; empty at its end.
int multipart_read(struct multipart *m, struct str *ret, struct err *e) MUST_USE;
