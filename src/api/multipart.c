// SPDX-License-Identifier: Apache-2.0
// Splits a multipart/form-data body while it arrives. One window of memory, whatever the upload's
// size; the caller pulls pieces. Belongs to the handler that reads the body.
#include "api/multipart.h"

#include <string.h>

static struct str header_param(struct arena *a, struct str value, const char *name)
{
    struct str rest = value, part;
    if (!str_cut(&rest, ';', &part))
        return STR_NONE;
    while (rest.p) {
        rest = str_trim(rest);
        ptrdiff_t eq = str_find(rest, '=');
        if (eq < 0)
            return STR_NONE;
        struct str key = str_trim(str_head(rest, (size_t)eq));
        rest = str_from(rest, (size_t)eq + 1);
        struct str val = STR_NONE;
        if (rest.n && rest.p[0] == '"') {
            char *out = arena_alloc(a, rest.n + 1, 1);
            size_t n = 0, i = 1;
            for (; i < rest.n && rest.p[i] != '"'; i++) {
                if (rest.p[i] == '\\' && i + 1 < rest.n &&
                    (rest.p[i + 1] == '"' || rest.p[i + 1] == '\\'))
                    i++;
                out[n++] = rest.p[i];
            }
            val = str_n(out, n);
            rest = str_from(rest, i + 1);
            str_cut(&rest, ';', &part);
        } else {
            if (str_cut(&rest, ';', &val))
                val = arena_str(a, str_trim(val));
        }
        if (str_ieq(key, str_of(name)))
            return val.p ? val : STR("");
    }
    return STR_NONE;
}

int multipart_init(struct multipart *m, struct arena *a, struct str content_type,
                   multipart_source source, void *ctx, struct err *e)
{
    struct str rest = content_type, type;
    if (!str_cut(&rest, ';', &type) || !str_ieq(str_trim(type), STR("multipart/form-data")))
        return err_set(e, E_INVALID, "the body must be multipart/form-data with a part `file`");
    struct str boundary = header_param(a, content_type, "boundary");
    if (boundary.n < 1 || boundary.n > 200 || str_has_control(boundary))
        return err_set(e, E_INVALID, "multipart/form-data without a usable boundary");
    *m = (struct multipart){.source = source, .ctx = ctx};
    m->delimiter = arena_strf(a, "\r\n--%" PRISTR, STRARG(boundary));
    m->window = arena_alloc(a, MULTIPART_WINDOW, 1);
    // The first delimiter stands at the very beginning, without a line end before it.
    memcpy(m->window, "\r\n", 2);
    m->n = 2;
    m->in_part = true; // the preamble is skipped like a part
    return 0;
}

static int fill(struct multipart *m, struct err *e)
{
    if (m->at) {
        memmove(m->window, m->window + m->at, m->n - m->at);
        m->n -= m->at;
        m->at = 0;
    }
    if (m->eof || m->n == MULTIPART_WINDOW)
        return 0;
    size_t got = 0;
    int rc = m->source(m->ctx, m->window + m->n, MULTIPART_WINDOW - m->n, &got, e);
    if (rc < 0)
        return rc;
    m->eof = got == 0;
    m->n += got;
    return 0;
}

static struct str window_rest(const struct multipart *m)
{
    return str_n(m->window + m->at, m->n - m->at);
}

static int cut_off(struct err *e)
{
    return err_set(e, E_INVALID, "the multipart body ends in the middle of a part");
}

int multipart_read(struct multipart *m, struct str *ret, struct err *e)
{
    *ret = STR_NONE;
    while (m->in_part) {
        struct str rest = window_rest(m);
        ptrdiff_t found = str_search(rest, m->delimiter);
        if (found >= 0) {
            *ret = str_head(rest, (size_t)found);
            m->at += (size_t)found;
            if (found == 0) {
                m->at += m->delimiter.n;
                m->in_part = false;
                *ret = STR_NONE;
            }
            return 0;
        }
        // A delimiter may begin in the last bytes.
        if (rest.n >= m->delimiter.n) {
            *ret = str_head(rest, rest.n - m->delimiter.n + 1);
            m->at += ret->n;
            return 0;
        }
        if (m->eof)
            return cut_off(e);
        int rc = fill(m, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_head(struct multipart *m, struct arena *a, struct str *ret, struct err *e)
{
    for (;;) {
        struct str rest = window_rest(m);
        ptrdiff_t end = str_search(rest, STR("\r\n\r\n"));
        if (end >= 0 && (size_t)end <= MULTIPART_HEAD_MAX) {
            *ret = arena_str(a, str_head(rest, (size_t)end));
            m->at += (size_t)end + 4;
            return 0;
        }
        if (end >= 0 || rest.n > MULTIPART_HEAD_MAX)
            return err_set(e, E_INVALID, "a part of the multipart body has a head over 8 KiB");
        if (m->eof)
            return cut_off(e);
        int rc = fill(m, e);
        if (rc < 0)
            return rc;
    }
}

int multipart_next(struct multipart *m, struct arena *a, struct multipart_part *ret, bool *ret_more,
                   struct err *e)
{
    struct str piece, head;
    int rc;
    *ret = (struct multipart_part){0};
    *ret_more = false;
    if (m->ended)
        return 0;
    do {
        rc = multipart_read(m, &piece, e);
        if (rc < 0)
            return rc;
    } while (m->in_part);
    // After the delimiter: "--" at the end of all, or a line end.
    while (window_rest(m).n < 2 && !m->eof)
        if ((rc = fill(m, e)) < 0)
            return rc;
    struct str rest = window_rest(m);
    if (str_starts(rest, STR("--"))) {
        m->ended = true;
        return 0;
    }
    if (!str_starts(rest, STR("\r\n")))
        return rest.n < 2 ? cut_off(e)
                          : err_set(e, E_INVALID, "the multipart body is malformed at a boundary");
    if (++m->parts > MULTIPART_PARTS_MAX)
        return err_set(e, E_INVALID, "the multipart body has more than %d parts",
                       MULTIPART_PARTS_MAX);
    // The line end stays: a head without any field is "\r\n\r\n".
    rc = read_head(m, a, &head, e);
    if (rc < 0)
        return rc;
    for (struct str lines = head, line; str_cut(&lines, '\n', &line);) {
        struct str value = line, name;
        line = str_trim(line);
        if (!line.n || !str_cut(&value, ':', &name) || !value.p)
            continue;
        name = str_trim(name);
        value = str_trim(value);
        if (str_ieq(name, STR("Content-Type")))
            ret->type = value;
        if (!str_ieq(name, STR("Content-Disposition")))
            continue;
        ret->name = header_param(a, value, "name");
        ret->file_name = header_param(a, value, "filename");
    }
    if (!ret->name.p)
        return err_set(e, E_INVALID, "a part of the multipart body has no name");
    m->in_part = true;
    *ret_more = true;
    return 0;
}
