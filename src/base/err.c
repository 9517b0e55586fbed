// SPDX-License-Identifier: Apache-2.0
// The error object and the one table from codes to names, HTTP statuses and exit statuses.
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int http, exit;
} TABLE[] = {
    [0] = {"OK", 200, 0},
    [-E_INVALID] = {"E_INVALID", 400, 2},
    [-E_NOTFOUND] = {"E_NOTFOUND", 404, 3},
    [-E_DENIED] = {"E_DENIED", 403, 4},
    [-E_CONFLICT] = {"E_CONFLICT", 409, 5},
    [-E_LIMIT] = {"E_LIMIT", 413, 6},
    [-E_BUSY] = {"E_BUSY", 503, 7},
    [-E_AGAIN] = {"E_AGAIN", 503, 7},
    [-E_IO] = {"E_IO", 500, 1},
};

static size_t row(int code)
{
    size_t i = code <= 0 ? (size_t)-code : (size_t)-E_IO;
    return i < ARRAY_SIZE(TABLE) ? i : (size_t)-E_IO;
}

const char *err_name(int code)
{
    return TABLE[row(code)].name;
}

int err_http_status(int code)
{
    return TABLE[row(code)].http;
}

int err_exit_status(int code)
{
    return TABLE[row(code)].exit;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    if (!e)
        return code;
    va_list ap;
    va_start(ap, fmt);
    e->code = code;
    vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    va_end(ap);
    return code;
}

static int code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ESRCH:
        return E_NOTFOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return E_DENIED;
    case EEXIST:
    case ENOTEMPTY:
        return E_CONFLICT;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EFBIG:
        return E_LIMIT;
    case EAGAIN:
        return E_AGAIN;
    case EBUSY:
    case ETXTBSY:
        return E_BUSY;
    default:
        return E_IO;
    }
}

int err_errno(struct err *e, int errnum, const char *fmt, ...)
{
    int code = code_of_errno(errnum);
    if (!e)
        return code;
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    char text[128];
    return err_set(e, code, "%s: %s", what, strerror_r(errnum, text, sizeof(text)));
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    if (!e)
        return E_IO;
    char context[200], old[sizeof(e->msg)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof(context), fmt, ap);
    va_end(ap);
    memcpy(old, e->msg, sizeof(old));
    snprintf(e->msg, sizeof(e->msg), "%s: %.*s", context, (int)(sizeof(old) - sizeof(context) - 3),
             old);
    return e->code;
}
