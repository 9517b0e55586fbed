// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "runner/vars.h"

static struct str base(struct str key)
{
    return str_is(key, "PATH") ? STR("/bin") : STR_NONE;
}

struct fixture {
    struct arena a;
    struct vars v;
};

static void put(struct fixture *f, const char *key, const char *value)
{
    assert_true(vars_set(&f->v, str_of(key), str_of(value), false, false));
}

static int setup(void **state)
{
    static struct fixture f;
    arena_init(&f.a, MIB(64));
    vars_init(&f.v, &f.a, STR("/files"));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vars_done(&f->v);
    arena_done(&f->a);
    return 0;
}

static void references(void **state)
{
    struct fixture *f = *state;
    put(f, "A", "$B-${C}-$D");
    put(f, "B", "b$C");
    put(f, "C", "c");
    put(f, "DOLLARS", "$$A $ $1 ${ ${} ${a-b} end$");
    put(f, "PATH", "$PATH:/x");
    put(f, "X", "$Y");
    put(f, "Y", "<$X>");
    assert_true(vars_set(&f->v, STR("RAW"), STR("$C"), true, false));
    put(f, "USES_RAW", "$RAW");
    assert_true(vars_set(&f->v, STR("FILE"), STR("$C text"), false, true));
    put(f, "USES_FILE", "at $FILE");
    put(f, "DUP", "one");
    put(f, "DUP", "two");
    vars_expand(&f->v, base);
    assert_str(vars_get(&f->v, "A"), "bc-c-");
    assert_str(vars_get(&f->v, "DOLLARS"), "$A $ $1 ${ ${} ${a-b} end$");
    assert_str(vars_get(&f->v, "PATH"), "/bin:/x");
    assert_str(vars_get(&f->v, "X"), "<>");
    assert_str(vars_get(&f->v, "RAW"), "$C");
    assert_str(vars_get(&f->v, "USES_RAW"), "$C");
    assert_str(vars_get(&f->v, "FILE"), "/files/FILE");
    assert_str(vars_get(&f->v, "USES_FILE"), "at /files/FILE");
    assert_str(vars_get(&f->v, "DUP"), "two");
    assert_str(vars_text(&f->v, STR("out/$C/*")), "out/c/*");
    assert_null(vars_get(&f->v, "NONE").p);
}

static void keys_that_no_environment_takes(void **state)
{
    struct fixture *f = *state;
    assert_false(vars_set(&f->v, STR(""), STR("x"), false, false));
    assert_false(vars_set(&f->v, STR("A=B"), STR("x"), false, false));
    assert_false(vars_set(&f->v, STR("../A"), STR("x"), false, true));
    assert_false(vars_set(&f->v, STR("A"), STR("x\0y"), false, false));
}

// Each doubles the one before: the ceiling on a value holds, and it ends soon.
static void growth_is_bounded(void **state)
{
    struct fixture *f = *state;
    char key[16], value[64];
    put(f, "V0", "0123456789abcdef");
    for (int i = 1; i < 24; i++) {
        snprintf(key, sizeof(key), "V%d", i);
        snprintf(value, sizeof(value), "$V%d$V%d", i - 1, i - 1);
        put(f, key, value);
    }
    vars_expand(&f->v, base);
    assert_true(vars_get(&f->v, "V23").n <= MIB(1));
}

RUN_TESTS(cmocka_unit_test_setup_teardown(references, setup, teardown),
          cmocka_unit_test_setup_teardown(keys_that_no_environment_takes, setup, teardown),
          cmocka_unit_test_setup_teardown(growth_is_bounded, setup, teardown))
