// SPDX-License-Identifier: Apache-2.0
// Turns what a client wrote into a relative path without any way upwards. A path that only an
// attack contains (dot segments that clients resolve themselves, encoded slashes, control
// characters) is refused instead of repaired. Pure; fuzzed by fuzz_pages_path.
#include "edge/site_path.h"

#include "base/text.h"

static int check_segment(const char *p, size_t n, struct err *e)
{
    if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
        return err_set(e, E_INVALID, "the path has a segment '.' or '..'");
    return 0;
}

int site_path_parse(struct str raw, struct site_path *ret, struct err *e)
{
    ret->n = 0;
    ret->slash = true;
    if (raw.n == 0 || raw.p[0] != '/')
        return err_set(e, E_INVALID, "the path must start with '/'");
    if (raw.n > SITE_PATH_MAX)
        return err_set(e, E_LIMIT, "the path is longer than %d bytes", SITE_PATH_MAX);
    size_t segment = 0; // where the current segment starts in ret->p
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '/') {
            if (check_segment(ret->p + segment, ret->n - segment, e))
                return E_INVALID;
            if (ret->n > segment)
                ret->p[ret->n++] = '/';
            segment = ret->n;
            continue;
        }
        if (c == '%') {
            int hi = i + 2 < raw.n ? text_hex_digit(raw.p[i + 1]) : -1;
            int lo = i + 2 < raw.n ? text_hex_digit(raw.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return err_set(e, E_INVALID, "the path has a broken %%-escape");
            c = (char)(hi * 16 + lo);
            i += 2;
            if (c == '/')
                return err_set(e, E_INVALID, "the path has an encoded '/'");
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return err_set(e, E_INVALID, "the path has a control character");
        ret->p[ret->n++] = c;
    }
    if (check_segment(ret->p + segment, ret->n - segment, e))
        return E_INVALID;
    ret->slash = ret->n == segment;
    if (ret->slash && ret->n)
        ret->n--;
    ret->p[ret->n] = '\0';
    return 0;
}

static bool unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

size_t site_path_location(const struct site_path *p, char *out, size_t size)
{
    static const char HEX[] = "0123456789ABCDEF";
    size_t n = 0;
    BUG_ON(size < 3 * p->n + 3);
    out[n++] = '/';
    for (size_t i = 0; i < p->n; i++) {
        unsigned char c = (unsigned char)p->p[i];
        if (c == '/' || unreserved(c)) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = HEX[c >> 4];
        out[n++] = HEX[c & 15];
    }
    if (p->n)
        out[n++] = '/';
    out[n] = '\0';
    return n;
}
