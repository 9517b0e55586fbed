// SPDX-License-Identifier: Apache-2.0
// A slice: bytes somebody else owns, passed by value. Not NUL-terminated unless said so.
#pragma once

#include "base/util.h"

#include <string.h>

struct str {
    const char *p; // may be NULL only when n is 0
    size_t n;      // bytes
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_NONE ((struct str){NULL, 0})
// For printf: printf("%" PRISTR, STRARG(s)). Slices longer than INT_MAX print cut.
#define PRISTR    ".*s"
#define STRARG(s) (int)MIN((s).n, (size_t)INT32_MAX), (s).p ? (s).p : ""

static inline struct str str_of(const char *cstr)
{
    return (struct str){cstr, cstr ? strlen(cstr) : 0};
}
static inline struct str str_n(const char *p, size_t n)
{
    return (struct str){p, n};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_is(struct str a, const char *cstr)
{
    return str_eq(a, str_of(cstr));
}
// The part from `from` to the end; empty when `from` is beyond it.
static inline struct str str_from(struct str s, size_t from)
{
    return from >= s.n ? STR_NONE : (struct str){s.p + from, s.n - from};
}
static inline struct str str_head(struct str s, size_t n)
{
    return (struct str){s.p, MIN(s.n, n)};
}

// ASCII case-insensitive equality (header names, hosts).
bool str_ieq(struct str a, struct str b);
// memcmp order, a shorter prefix first.
int str_cmp(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
// Index of the first `c`, or -1.
ptrdiff_t str_find(struct str s, char c);
ptrdiff_t str_rfind(struct str s, char c);
// Index of the first `needle`, or -1.
ptrdiff_t str_search(struct str s, struct str needle);
// Without leading and trailing spaces, tabs, CR and LF.
struct str str_trim(struct str s);

// Splits at the first `sep`: *ret_head is what stands before it, *rest what stands after it.
// Without a `sep` the head is everything and the rest empty with p == NULL. False, with an empty
// head, when *rest is such a rest already.
// Loop: `for (struct str rest = s, part; str_cut(&rest, ',', &part);)` visits each part once.
bool str_cut(struct str *rest, char sep, struct str *ret_head);

// Decimal digits only: no sign (i64 allows one '-'), no spaces, no overflow, at least one digit.
// Return false and leave *ret alone otherwise.
bool str_to_u64(struct str s, uint64_t *ret) MUST_USE;
bool str_to_i64(struct str s, int64_t *ret) MUST_USE;

// True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
bool str_is_utf8(struct str s);
// True when any byte is below 0x20 or is 0x7f.
bool str_has_control(struct str s);

// Equality in time that depends on the lengths alone (for secrets).
bool str_eq_secret(struct str a, struct str b);

// 64-bit hash of the bytes (FNV-1a with a per-process seed); not stable between processes.
uint64_t str_hash(struct str s);

// A NUL-terminated copy; free with free().
char *str_dup(struct str s) MUST_USE;
