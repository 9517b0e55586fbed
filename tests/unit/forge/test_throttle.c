// SPDX-License-Identifier: Apache-2.0
// The brake on guessing.
#include "../../lib/test.h"

#include "forge/throttle.h"

#include <stdlib.h>

static void test_window(void **state)
{
    (void)state;
    struct throttle *t = malloc(sizeof(*t));
    throttle_init(t, 3, 1000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(throttle_wait(t, STR("ada"), 100), 0);
        throttle_fail(t, STR("ada"), 100);
    }
    assert_int_equal(throttle_wait(t, STR("ada"), 600), 500);
    assert_int_equal(throttle_wait(t, STR("bob"), 600), 0);
    assert_int_equal(throttle_wait(t, STR("ada"), 1100), 0);
    throttle_fail(t, STR("ada"), 1100);
    throttle_clear(t, STR("ada"));
    for (int i = 0; i < 2; i++)
        throttle_fail(t, STR("ada"), 1200);
    assert_int_equal(throttle_wait(t, STR("ada"), 1200), 0);
    throttle_done(t);
    free(t);
}

// However many names are tried, the table stays as it is and a name that is tried often stays slow.
static void test_many_names(void **state)
{
    (void)state;
    struct throttle *t = malloc(sizeof(*t));
    throttle_init(t, 3, 1000000);
    for (int i = 0; i < 100000; i++) {
        char name[32];
        int n = snprintf(name, sizeof(name), "user%d", i);
        throttle_fail(t, str_n(name, (size_t)n), i);
    }
    for (int i = 0; i < 3; i++)
        throttle_fail(t, STR("ada"), 100001);
    assert_true(throttle_wait(t, STR("ada"), 100002) > 0);
    throttle_done(t);
    free(t);
}

RUN_TESTS(cmocka_unit_test(test_window), cmocka_unit_test(test_many_names))
