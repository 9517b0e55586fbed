// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/map.h"

static char values[5000];

static struct str key_of(char *text, size_t size, int i)
{
    return str_n(text, (size_t)snprintf(text, size, "key-%d", i));
}

static void keeps_what_was_set_in_order(void **state)
{
    struct map m = MAP_INIT;
    char text[32];
    for (int i = 0; i < 5000; i++)
        assert_null(map_set(&m, key_of(text, sizeof(text), i), &values[i]));
    for (int i = 0; i < 5000; i += 2)
        assert_ptr_equal(map_del(&m, key_of(text, sizeof(text), i)), &values[i]);
    assert_int_equal(map_size(&m), 2500);
    for (int i = 0; i < 5000; i++)
        assert_ptr_equal(map_get(&m, key_of(text, sizeof(text), i)), i % 2 ? &values[i] : NULL);
    int next = 1;
    map_each (item, &m) {
        assert_ptr_equal(item->value, &values[next]);
        next += 2;
    }
    assert_int_equal(next, 5001);
    map_done(&m);
}

static void replaces_and_survives_churn(void **state)
{
    struct map m = MAP_INIT;
    char text[32];
    assert_null(map_del(&m, STR("none")));
    assert_null(map_set(&m, STR("a"), &values[1]));
    assert_ptr_equal(map_set(&m, STR("a"), &values[2]), &values[1]);
    for (int i = 0; i < 20000; i++) {
        map_set(&m, key_of(text, sizeof(text), i), &values[i % 100]);
        assert_ptr_equal(map_del(&m, key_of(text, sizeof(text), i)), &values[i % 100]);
    }
    assert_int_equal(map_size(&m), 1);
    assert_true(m.cap < 64);
    assert_ptr_equal(map_get(&m, STR("a")), &values[2]);
    map_done(&m);
}

RUN_TESTS(cmocka_unit_test(keeps_what_was_set_in_order),
          cmocka_unit_test(replaces_and_survives_churn))
