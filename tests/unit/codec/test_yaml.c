// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"
#include "base/jout.h"
#include "codec/yaml.h"

static struct yaml_node *parse(struct arena *a, const char *text)
{
    struct yaml_doc doc;
    struct err e;
    if (yaml_parse(a, str_of(text), 3, NULL, &doc, &e)) {
        print_error("%s: %u:%u %s\n", text, doc.error.line, doc.error.col, e.msg);
        fail();
    }
    assert_int_equal(doc.nroots, 1);
    return doc.roots[0];
}

static void test_trees(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *json;
    } CASES[] = {
        {"a: 1\nb: [x, 'y', \"z\"]\n", "{\"a\":1,\"b\":[\"x\",\"y\",\"z\"]}"},
        {"a:\n  - b: c\n    d: e\n  - f\n", "{\"a\":[{\"b\":\"c\",\"d\":\"e\"},\"f\"]}"},
        {"a: |\n  x\n   y\nb: >-\n  one\n  two\n", "{\"a\":\"x\\n y\\n\",\"b\":\"one two\"}"},
        {"x: &x {k: v}\ny: *x\n", "{\"x\":{\"k\":\"v\"},\"y\":{\"k\":\"v\"}}"},
        {"x: &x {k: 1, l: 2}\ny: {<<: *x, k: 3}\n",
         "{\"x\":{\"k\":1,\"l\":2},\"y\":{\"k\":3,\"l\":2}}"},
        // a merge key counts where it stands
        {"x: &x {k: 1}\ny: {k: 3, <<: *x}\n", "{\"x\":{\"k\":1},\"y\":{\"k\":1}}"},
        {"y: {<<: [{k: 1}, {k: 2, l: 2}]}\n", "{\"y\":{\"k\":1,\"l\":2}}"},
        {"a: 1\na: 2\n", "{\"a\":2}"},
        {"[~, null, '', '~', yes, off, True, 12, -3, +4, 0x1F, 0b11, 0777, 1_000, 1:30, 1.5, a b]",
         "[null,null,\"\",\"~\",true,false,true,12,-3,4,31,3,511,1000,90,\"1.5\",\"a b\"]"},
        {"[089, 1_, 12:99, 9999999999999999999999, 1e5, .5, 1., -, '5', !!str 5]",
         "[\"089\",\"1_\",\"12:99\",\"9999999999999999999999\",\"1e5\",\".5\",\"1.\",\"-\",\"5\","
         "\"5\"]"},
        {"# only\n--- # one\na: b\n", "{\"a\":\"b\"}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        _autoarena_ struct arena a;
        _autobuf_ struct buf b = BUF_INIT(KIB(64));
        struct jout j;
        arena_init(&a, MIB(4));
        jout_begin(&j, &b);
        yaml_to_json(parse(&a, CASES[i].yaml), &j);
        if (!str_is(buf_str(&b), CASES[i].json)) {
            print_error("%s\ngot  %s\nwant %s\n", CASES[i].yaml, b.p, CASES[i].json);
            fail();
        }
    }
}

static void test_positions(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    arena_init(&a, MIB(4));
    struct yaml_node *n =
        parse(&a, "a: 1\n\nbb:\n  - x\n  - {c: \"\xc3\xa9\", d: !reference [y, z]}\n");
    assert_int_equal(n->pos.file, 3);
    assert_int_equal(n->pairs[1].key->pos.line, 3);
    const struct yaml_node *m = yaml_get(n, "bb")->items[1];
    assert_int_equal(m->pos.line, 5);
    assert_int_equal(m->pos.col, 5);
    const struct yaml_node *r = yaml_get(m, "d");
    assert_int_equal(r->pos.col, 17); // characters, not bytes
    assert_str(r->tag, "!reference");
    assert_false(yaml_get(m, "c")->plain);
    assert_null(yaml_get(m, "nope"));
    assert_null(yaml_get(NULL, "x"));
}

static void test_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line, col;
        const char *msg;
    } CASES[] = {
        {"a: [1, 2\nb: 3\n", 2, 2, "not valid YAML"},
        {"a: 'x\n", 2, 1, "not valid YAML"},
        {"a: b: c\n", 1, 5, "not valid YAML"},
        {"a:\n\t- b\n", 2, 1, "not valid YAML"},
        {"ok: 1\nx: \xff\n", 2, 4, "byte 0xff"},
        {"ok: 1\nx: \x01\n", 2, 4, "control characters"},
        {"a: *b\n", 1, 4, "has no anchor"},
        {"a: &x {b: *x}\n", 1, 11, "inside its own anchor"},
        {"? [a]\n: b\n", 1, 3, "a key must be a single value, this is a list"},
        {"<<: 5\n", 1, 5, "the merge key `<<` takes a map or a list of maps, this is an integer"},
        {"--- 1\n--- 2\n--- 3\n--- 4\n--- 5\n", 5, 5, "more than 4 documents"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        _autoarena_ struct arena a;
        struct yaml_doc doc;
        struct err e = ERR_INIT;
        arena_init(&a, MIB(4));
        int rc = yaml_parse(&a, str_of(CASES[i].text), 0, NULL, &doc, &e);
        if (rc >= 0 || doc.error.line != CASES[i].line || doc.error.col != CASES[i].col ||
            !strstr(e.msg, CASES[i].msg)) {
            print_error("%s: %d %u:%u %s\n", CASES[i].text, rc, doc.error.line, doc.error.col,
                        e.msg);
            fail();
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        struct yaml_limits limits;
        const char *text;
        bool fits;
    } CASES[] = {
        {{8, 9, 9, 9}, "a: 1\n", true},
        {{4, 9, 9, 9}, "a: 1\n", false},
        {{99, 2, 9, 9}, "[[]]", true},
        {{99, 2, 9, 9}, "[[[]]]", false},
        {{99, 9, 4, 99}, "[1, 2, 3]", true},
        {{99, 9, 4, 99}, "[1, 2, 3, 4]", false},
        {{99, 9, 99, 10}, "[&a [1, 2], *a, *a]", true},
        {{99, 9, 99, 10}, "[&a [1, 2], *a, *a, *a]", false},
        {{99, 9, 99, 10}, "[&a [1, 2], &b [*a, *a], *b]", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        _autoarena_ struct arena a;
        struct yaml_doc doc;
        struct err e = ERR_INIT;
        arena_init(&a, MIB(4));
        int rc = yaml_parse(&a, str_of(CASES[i].text), 0, &CASES[i].limits, &doc, &e);
        if (rc != (CASES[i].fits ? 0 : E_LIMIT)) {
            print_error("%s: %d %s\n", CASES[i].text, rc, e.msg);
            fail();
        }
    }
}

// Memory is checked before it is taken: a small arena is an error, not the end of the process.
static void test_small_arena(void **state)
{
    (void)state;
    char text[20000];
    memset(text, 'x', sizeof(text));
    for (size_t room = 50; room < 20000; room = room * 3 / 2) {
        _autoarena_ struct arena a;
        struct yaml_doc doc;
        struct err e = ERR_INIT;
        arena_init(&a, room);
        assert_int_equal(yaml_parse(&a, str_n(text, sizeof(text)), 0, NULL, &doc, &e), E_LIMIT);
    }
}

static void test_merge(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    _autobuf_ struct buf b = BUF_INIT(KIB(4));
    struct jout j;
    arena_init(&a, MIB(4));
    struct yaml_node *base = parse(&a, "a: 1\nm: {x: 1, y: [1, 2]}\n");
    struct yaml_node *over = parse(&a, "m: {y: [3], z: 4}\nb: 2\n");
    struct yaml_node *both = yaml_merge(&a, base, over);
    jout_begin(&j, &b);
    yaml_to_json(both, &j);
    assert_str(buf_str(&b), "{\"a\":1,\"m\":{\"x\":1,\"y\":[3],\"z\":4},\"b\":2}");
    assert_int_equal(yaml_get(base, "m")->n, 2);
    assert_ptr_equal(yaml_merge(&a, NULL, over), over);
    assert_ptr_equal(yaml_merge(&a, base, NULL), base);
}

RUN_TESTS(cmocka_unit_test(test_trees), cmocka_unit_test(test_positions),
          cmocka_unit_test(test_wrong), cmocka_unit_test(test_limits),
          cmocka_unit_test(test_small_arena), cmocka_unit_test(test_merge))
