// SPDX-License-Identifier: Apache-2.0
// Errors: functions return 0 or a negative E_*; the detail goes into a `struct err` on the caller's
// stack, which owns nothing and needs no freeing. Libraries set errors, they never log or exit.
#pragma once

#include "base/util.h"

enum {
    E_INVALID = -1,  // the input is wrong; the same input will be wrong again
    E_NOTFOUND = -2, // what was named does not exist (or may not be seen)
    E_DENIED = -3,   // it exists, and this caller may not
    E_CONFLICT = -4, // the state changed or already is so
    E_LIMIT = -5,    // a named limit was reached
    E_BUSY = -6,     // not now; trying again later makes sense
    E_AGAIN = -7,    // needs more input or readiness; not a failure
    E_IO = -8,       // the system or a peer failed
};

struct err {
    int code;      // E_*, or 0
    char msg[500]; // one line, says what, where and what to do; no trailing newline
};

#define ERR_INIT ((struct err){0, ""})

// Set the error (NULL `e` is allowed and keeps only the code) and return `code`.
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF(3, 4);
// Like err_set with ": strerror(errnum)" appended; the code follows from errnum
// (ENOENT: NOTFOUND, EACCES/EPERM: DENIED, EEXIST: CONFLICT, ENOSPC/EDQUOT/EMFILE: LIMIT, else IO).
int err_errno(struct err *e, int errnum, const char *fmt, ...) PRINTF(3, 4);
// Puts "context: " before the message that is there, keeps the code and returns it.
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);

// The one table: name ("E_INVALID"), HTTP status (RFC 9110) and exit status of a code.
const char *err_name(int code);
int err_http_status(int code);
int err_exit_status(int code);
