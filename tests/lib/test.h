// SPDX-License-Identifier: Apache-2.0
// cmocka with the headers it needs and a few assertions in Slipway's own types.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

#include <stdio.h>

#define assert_str(slice, cstr)                                                                    \
    do {                                                                                           \
        struct str got_ = (slice), want_ = str_of(cstr);                                           \
        if (!str_eq(got_, want_)) {                                                                \
            print_error("got \"%" PRISTR "\", want \"%s\"\n", STRARG(got_), (cstr));               \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

#define RUN_TESTS(...)                                                                             \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest tests_[] = {__VA_ARGS__};                                          \
        return cmocka_run_group_tests(tests_, NULL, NULL);                                         \
    }
