// SPDX-License-Identifier: Apache-2.0
// Any bytes as an expression: parsed and evaluated, or an error that points into the text.
#include "ci/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool lookup(void *ctx, struct str name, struct str *ret)
{
    *ret = name.n > 1 ? name : STR("");
    return name.n < 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > 2000)
        return 0;
    _autoarena_ struct arena a;
    struct ci_expr *x;
    size_t at = 0;
    struct err e = ERR_INIT;
    arena_init(&a, MIB(1));
    if (ci_expr_parse(&a, str_n((const char *)data, n), &x, &at, &e)) {
        BUG_ON(at > n || !e.msg[0]);
        return 0;
    }
    const char *why;
    (void)ci_expr_true(x, &a, lookup, NULL, &why);
    return 0;
}
