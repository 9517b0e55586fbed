// SPDX-License-Identifier: Apache-2.0
// Hex, base64, HTML escaping, slugs and random tokens. Pure but for the kernel's random bytes.
#include "base/text.h"

#include <stdlib.h>
#include <sys/random.h>

void text_hex(struct buf *b, struct str bytes)
{
    static const char HEX[] = "0123456789abcdef";
    char *to = buf_reserve(b, bytes.n * 2);
    if (!to)
        return;
    for (size_t i = 0; i < bytes.n; i++) {
        to[2 * i] = HEX[(unsigned char)bytes.p[i] >> 4];
        to[2 * i + 1] = HEX[(unsigned char)bytes.p[i] & 15];
    }
    buf_commit(b, bytes.n * 2);
}

int text_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool text_unhex(struct buf *b, struct str hex)
{
    if (hex.n % 2)
        return false;
    for (size_t i = 0; i < hex.n; i += 2) {
        int hi = text_hex_digit(hex.p[i]), lo = text_hex_digit(hex.p[i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        buf_addc(b, (char)(hi << 4 | lo));
    }
    return buf_ok(b);
}

static const char B64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char B64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void base64(struct buf *b, struct str s, const char *alphabet, bool pad)
{
    char *to = buf_reserve(b, (s.n + 2) / 3 * 4);
    if (!to)
        return;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i += 3) {
        size_t have = MIN(s.n - i, (size_t)3);
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < have ? (unsigned char)s.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            if (k <= have)
                to[n++] = alphabet[v >> (18 - 6 * k) & 63];
            else if (pad)
                to[n++] = '=';
    }
    buf_commit(b, n);
}

void text_base64(struct buf *b, struct str bytes)
{
    base64(b, bytes, B64, true);
}

void text_base64url(struct buf *b, struct str bytes)
{
    base64(b, bytes, B64URL, false);
}

static int unbase64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

bool text_unbase64(struct buf *b, struct str s)
{
    size_t pad = 0;
    while (s.n && s.p[s.n - 1] == '=' && pad < 2)
        s.n--, pad++;
    if (s.n % 4 == 1 || (pad && (s.n + pad) % 4))
        return false;
    uint32_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        int six = unbase64(s.p[i]);
        if (six < 0)
            return false;
        v = v << 6 | (uint32_t)six;
        if (i % 4)
            buf_addc(b, (char)(v >> (6 - 2 * (i % 4))));
    }
    return buf_ok(b);
}

void text_random(char *out, size_t n)
{
    size_t at = 0;
    while (at + 1 < n) {
        unsigned char bytes[64];
        if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
            abort();
        for (size_t i = 0; i < sizeof(bytes) && at + 1 < n; i++)
            out[at++] = B64URL[bytes[i] & 63];
    }
    out[at] = 0;
}

void text_html(struct buf *b, struct str s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *entity;
        switch (s.p[i]) {
        case '&':
            entity = "&amp;";
            break;
        case '<':
            entity = "&lt;";
            break;
        case '>':
            entity = "&gt;";
            break;
        case '"':
            entity = "&quot;";
            break;
        case '\'':
            entity = "&#39;";
            break;
        default:
            continue;
        }
        buf_add(b, str_n(s.p + from, i - from));
        buf_adds(b, entity);
        from = i + 1;
    }
    buf_add(b, str_from(s, from));
}

void text_slug(struct buf *b, struct str s)
{
    char slug[63];
    size_t n = 0;
    for (size_t i = 0; i < s.n && n < sizeof(slug); i++) {
        char c = s.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        bool keep = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!keep && n == 0)
            continue;
        slug[n++] = keep ? c : '-';
    }
    while (n && slug[n - 1] == '-')
        n--;
    buf_add(b, str_n(slug, n));
}
