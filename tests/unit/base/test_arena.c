// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/arena.h"

static void allocations_are_zeroed_aligned_and_apart(void **state)
{
    _autoarena_ struct arena a;
    arena_init(&a, MIB(1));
    for (int round = 0; round < 3; round++) {
        char *last = NULL;
        for (size_t n = 1; n < 6000; n += 37) {
            char *p = arena_alloc(&a, n, 1);
            assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xee, n);
            assert_ptr_not_equal(p, last);
            last = p;
        }
        arena_reset(&a);
        assert_int_equal(a.total, 0);
    }
}

static void formats(void **state)
{
    _autoarena_ struct arena a;
    arena_init(&a, KIB(16));
    assert_string_equal(arena_printf(&a, "%s-%d", "x", 5), "x-5");
    assert_str(arena_strf(&a, "%05d", 42), "00042");
    assert_str(arena_str(&a, STR("copy")), "copy");
    assert_true(arena_fits(&a, 100));
    assert_false(arena_fits(&a, KIB(16)));
}

RUN_TESTS(cmocka_unit_test(allocations_are_zeroed_aligned_and_apart), cmocka_unit_test(formats))
