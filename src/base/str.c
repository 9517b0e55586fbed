// SPDX-License-Identifier: Apache-2.0
// Slices: comparing, searching, cutting and reading numbers. Pure functions, any thread.
#include "base/str.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <sys/random.h>

static inline unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n);
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order)
        return order;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
    return hit ? hit - s.p : -1;
}

ptrdiff_t str_rfind(struct str s, char c)
{
    const char *hit = s.n ? memrchr(s.p, c, s.n) : NULL;
    return hit ? hit - s.p : -1;
}

ptrdiff_t str_search(struct str s, struct str needle)
{
    if (needle.n == 0)
        return 0;
    const char *hit = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return hit ? hit - s.p : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && is_space(s.p[0]))
        s = str_n(s.p + 1, s.n - 1);
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_cut(struct str *rest, char sep, struct str *ret_head)
{
    if (!rest->p) {
        *ret_head = STR_NONE;
        return false;
    }
    ptrdiff_t at = str_find(*rest, sep);
    if (at < 0) {
        *ret_head = *rest;
        *rest = STR_NONE;
        return true;
    }
    *ret_head = str_n(rest->p, (size_t)at);
    *rest = str_n(rest->p + at + 1, rest->n - (size_t)at - 1);
    return true;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)digit, &v))
            return false;
    }
    *ret = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *ret)
{
    bool negative = s.n && s.p[0] == '-';
    uint64_t v;
    if (!str_to_u64(negative ? str_from(s, 1) : s, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        unsigned char c = p[i];
        size_t more;
        uint32_t v, least;
        if (c < 0x80) {
            i++;
            continue;
        }
        if (c >= 0xc2 && c <= 0xdf)
            more = 1, v = c & 0x1f, least = 0x80;
        else if (c >= 0xe0 && c <= 0xef)
            more = 2, v = c & 0x0f, least = 0x800;
        else if (c >= 0xf0 && c <= 0xf4)
            more = 3, v = c & 0x07, least = 0x10000;
        else
            return false;
        if (s.n - i <= more)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
            v = v << 6 | (p[i + k] & 0x3f);
        }
        if (v < least || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
            return false;
        i += more + 1;
    }
    return true;
}

bool str_has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

bool str_eq_secret(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    unsigned char diff = 0;
    for (size_t i = 0; i < a.n; i++)
        diff |= (unsigned char)(a.p[i] ^ b.p[i]);
    return diff == 0;
}

static uint64_t hash_seed(void)
{
    static _Atomic uint64_t seed;
    uint64_t s = atomic_load_explicit(&seed, memory_order_relaxed);
    if (s)
        return s;
    uint64_t fresh = 0;
    if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
        fresh = (uint64_t)(uintptr_t)&seed;
    fresh |= 1;
    uint64_t none = 0;
    return atomic_compare_exchange_strong(&seed, &none, fresh) ? fresh : none;
}

uint64_t str_hash(struct str s)
{
    uint64_t h = 14695981039346656037u ^ hash_seed();
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h ^ h >> 32;
}

char *str_dup(struct str s)
{
    return mem_dup(s.p, s.n);
}
