// SPDX-License-Identifier: Apache-2.0
// URLs: percent-coding, paths that are safe to route, queries, absolute URLs. Pure functions over
// slices; results that had to be decoded live in the caller's arena or buffer. Everything that
// takes a path from a request goes through url_path_check.
#include "codec/url.h"

#include "base/text.h"

#include <string.h>

// The byte at *i, decoded, and *i moved past it; -1 for a bad escape.
static int next_byte(struct str s, size_t *i, bool plus)
{
    char c = s.p[(*i)++];
    if (plus && c == '+')
        return ' ';
    if (c != '%')
        return (uint8_t)c;
    if (s.n - *i < 2)
        return -1;
    int hi = text_hex_digit(s.p[*i]), lo = text_hex_digit(s.p[*i + 1]);
    *i += 2;
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

static int check_coding(struct str s, struct err *e)
{
    for (size_t i = 0; i < s.n;) {
        int c = next_byte(s, &i, false);
        if (c < 0)
            return err_set(e, E_INVALID, "a URL has '%%' without two hex digits");
        if (c == 0)
            return err_set(e, E_INVALID, "a URL has a NUL");
    }
    return 0;
}

// Decodes checked text; returns the length.
static size_t decode_to(char *to, struct str s, bool plus)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n;)
        to[n++] = (char)next_byte(s, &i, plus);
    return n;
}

int url_decode(struct buf *to, struct str s, bool plus, struct err *e)
{
    int rc = check_coding(s, e);
    if (rc < 0 || s.n == 0)
        return rc;
    char *p = buf_reserve(to, s.n);
    if (!p)
        return err_set(e, E_LIMIT, "a URL part is longer than %zu bytes", to->max);
    buf_commit(to, decode_to(p, s, plus));
    return 0;
}

int url_decode_arena(struct arena *a, struct str s, bool plus, struct str *ret, struct err *e)
{
    int rc = check_coding(s, e);
    if (rc < 0)
        return rc;
    if (!arena_fits(a, s.n + 64))
        return err_set(e, E_LIMIT, "a URL part of %zu bytes is too long", s.n);
    if (str_find(s, '%') < 0 && !(plus && str_find(s, '+') >= 0)) {
        *ret = s.p ? s : str_n("", 0);
        return 0;
    }
    char *p = arena_alloc(a, s.n + 1, 1);
    *ret = str_n(p, decode_to(p, s, plus));
    return 0;
}

static void encode(struct buf *to, struct str s, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '.' || c == '_' || c == '~' || (keep_slash && c == '/');
        if (plain)
            buf_addc(to, (char)c);
        else
            buf_add(to, str_n((char[]){'%', hex[c >> 4], hex[c & 15]}, 3));
    }
}

void url_encode(struct buf *to, struct str s)
{
    encode(to, s, false);
}

void url_encode_path(struct buf *to, struct str s)
{
    encode(to, s, true);
}

// UTF-8 byte by byte (RFC 3629): what the next continuation byte must lie between.
struct utf8 {
    int left;
    uint8_t low, high;
};

static bool utf8_step(struct utf8 *u, uint8_t c)
{
    if (u->left > 0) {
        if (c < u->low || c > u->high)
            return false;
        u->left--;
        u->low = 0x80;
        u->high = 0xbf;
        return true;
    }
    *u = (struct utf8){0, 0x80, 0xbf};
    if (c < 0x80)
        return true;
    if (c < 0xc2 || c > 0xf4)
        return false;
    u->left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (c == 0xe0)
        u->low = 0xa0;
    if (c == 0xed)
        u->high = 0x9f;
    if (c == 0xf0)
        u->low = 0x90;
    if (c == 0xf4)
        u->high = 0x8f;
    return true;
}

int url_path_check(struct str raw, struct err *e)
{
    if (raw.n == 0 || raw.p[0] != '/')
        return err_set(e, E_INVALID, "a path must begin with '/'");
    struct utf8 u = {0};
    size_t segments = 0, len = 0, dots = 0; // of the part since the last slash, encoded or not
    for (size_t i = 0; i < raw.n;) {
        bool plain_slash = raw.p[i] == '/';
        int c = next_byte(raw, &i, false);
        if (c < 0)
            return err_set(e, E_INVALID, "the path has '%%' without two hex digits");
        if (c < 0x20 || c == 0x7f || c == '\\')
            return err_set(e, E_INVALID, "the path has a NUL, control character or backslash");
        if (!utf8_step(&u, (uint8_t)c))
            return err_set(e, E_INVALID, "the path is not UTF-8");
        if (c == '/') {
            if (len == dots && (dots == 1 || dots == 2))
                return err_set(e, E_INVALID, "the path has a '.' or '..' segment");
            len = dots = 0;
            segments += plain_slash;
            continue;
        }
        len++;
        dots += c == '.';
    }
    if (len == dots && (dots == 1 || dots == 2))
        return err_set(e, E_INVALID, "the path has a '.' or '..' segment");
    if (u.left)
        return err_set(e, E_INVALID, "the path is not UTF-8");
    if (segments > URL_MAX_SEGMENTS)
        return err_set(e, E_LIMIT, "the path has more than %d segments", URL_MAX_SEGMENTS);
    return 0;
}

int url_path_split(struct str raw, struct arena *a, struct url_path *ret, struct err *e)
{
    ret->n = 0;
    ret->trailing_slash = false;
    int rc = url_path_check(raw, e);
    if (rc < 0)
        return rc;
    for (struct str rest = str_from(raw, 1), part; str_cut(&rest, '/', &part);) {
        if (part.n == 0) {
            if (rest.p || ret->n == 0)
                return err_set(e, E_INVALID, "the path has an empty segment");
            ret->trailing_slash = true;
            return 0;
        }
        rc = url_decode_arena(a, part, false, &ret->seg[ret->n], e);
        if (rc < 0)
            return rc;
        ret->n++;
    }
    return 0;
}

bool url_query_next(struct str *rest, struct str *ret_key, struct str *ret_value)
{
    struct str pair;
    do {
        if (!str_cut(rest, '&', &pair))
            return false;
    } while (pair.n == 0);
    str_cut(&pair, '=', ret_key);
    *ret_value = pair.p ? pair : str_n("", 0);
    return true;
}

// Compares an encoded key with a plain name.
static bool key_is(struct str key, struct str name)
{
    size_t n = 0;
    for (size_t i = 0; i < key.n; n++) {
        int c = next_byte(key, &i, true);
        if (n >= name.n || c != (uint8_t)name.p[n])
            return false;
    }
    return n == name.n;
}

bool url_query_get(struct str query, struct str name, struct arena *a, struct str *ret)
{
    for (struct str rest = query, k, v; url_query_next(&rest, &k, &v);)
        if (key_is(k, name))
            return url_decode_arena(a, v, true, ret, NULL) == 0;
    return false;
}

void url_query_add(struct buf *to, struct str key, struct str value)
{
    buf_addc(to, str_find(buf_str(to), '?') < 0 ? '?' : '&');
    url_encode(to, key);
    buf_addc(to, '=');
    url_encode(to, value);
}

bool url_host_split(struct str authority, struct str *ret_host, uint16_t *ret_port)
{
    struct str host = authority, port = STR_NONE;
    if (host.n && host.p[0] == '[') {
        ptrdiff_t end = str_find(host, ']');
        if (end < 2)
            return false;
        port = str_from(host, (size_t)end + 1);
        if (port.n && (port.p[0] != ':' || port.n == 1))
            return false;
        port = str_from(port, 1);
        host = str_n(authority.p + 1, (size_t)end - 1);
    } else {
        ptrdiff_t colon = str_find(host, ':');
        if (colon >= 0) {
            port = str_from(authority, (size_t)colon + 1);
            host = str_head(authority, (size_t)colon);
            if (port.n == 0)
                return false;
        }
    }
    uint64_t number = 0;
    if (host.n == 0 || (port.n && (!str_to_u64(port, &number) || number > 65535)))
        return false;
    *ret_host = host;
    *ret_port = (uint16_t)number;
    return true;
}

int url_parse(struct str s, struct url *ret, struct err *e)
{
    struct url u = {0};
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] <= ' ' || (uint8_t)s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '<' ||
            s.p[i] == '>' || s.p[i] == '\\')
            return err_set(e, E_INVALID, "a URL has a character that must be percent-encoded");
    if (str_ieq(str_head(s, 7), STR("http://")))
        u.scheme = str_head(s, 4);
    else if (str_ieq(str_head(s, 8), STR("https://")))
        u.scheme = str_head(s, 5);
    else
        return err_set(e, E_INVALID, "a URL must begin with http:// or https://");
    struct str rest = str_n(s.p + u.scheme.n + 3, s.n - u.scheme.n - 3);
    ptrdiff_t fragment = str_find(rest, '#');
    if (fragment >= 0)
        rest.n = (size_t)fragment;

    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    struct str authority = str_head(rest, n);
    rest = str_from(rest, n);
    ptrdiff_t at = str_rfind(authority, '@');
    if (at >= 0) {
        struct str login = str_head(authority, (size_t)at);
        authority = str_from(authority, (size_t)at + 1);
        str_cut(&login, ':', &u.user);
        u.password = login;
    }
    if (!url_host_split(authority, &u.host, &u.port))
        return err_set(e, E_INVALID, "a URL needs a host and, when given, a port up to 65535");
    u.port_given = u.port != 0;
    if (!u.port_given)
        u.port = u.scheme.n == 5 ? 443 : 80;
    struct str path = STR_NONE;
    str_cut(&rest, '?', &path);
    u.path = path.n ? path : STR("/");
    u.query = rest;
    int rc = check_coding(u.path, e);
    if (rc < 0)
        return rc;
    *ret = u;
    return 0;
}
