// SPDX-License-Identifier: Apache-2.0
// The expressions of `rules:if`: GitLab's operators, precedence and oddities (`&&` and `||` return
// an operand; an undefined variable is null, which differs from empty; the whole is true when its
// result is not empty). Patterns are matched by PCRE2 with limits, so time is bounded. Pure.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct ci_expr; // parsed; lives in the arena it was parsed into

#define CI_EXPR_MAX_TOKENS 100

// Parses. On a syntax error returns E_INVALID; `*ret_at` is the byte offset in `text` and `e->msg`
// says what was expected.
int ci_expr_parse(struct arena *a, struct str text, struct ci_expr **ret, size_t *ret_at,
                  struct err *e) MUST_USE;

// The value of a variable: true and its text when it is defined.
typedef bool (*ci_expr_lookup)(void *ctx, struct str name, struct str *ret_value);

// The result of the whole. A pattern that is invalid or passes the match limits makes its
// comparison false; then *ret_why (may be NULL) points to a text in `a`.
bool ci_expr_true(const struct ci_expr *x, struct arena *a, ci_expr_lookup lookup, void *ctx,
                  const char **ret_why);

// For `/regex/flags` as used by only/except and coverage: whether `text` has that shape, and a
// bounded match. Invalid patterns: E_INVALID.
bool ci_pattern_is(struct str text);
int ci_pattern_check(struct str pattern, struct err *e) MUST_USE;
bool ci_pattern_match(struct str pattern, struct str subject);
// Like both at once: 1 match, 0 none, E_INVALID.
int ci_pattern_try(struct str pattern, struct str subject, struct err *e) MUST_USE;
// Coverage as GitLab takes it: going back from the end of `log`, the first line where the pattern
// matches (its first group, else all of it) something with a number in it. Negative: none.
double ci_pattern_coverage(struct str pattern, struct str log);
