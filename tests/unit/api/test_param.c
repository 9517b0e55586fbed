// SPDX-License-Identifier: Apache-2.0
#include "api/param.h"
#include "base/buf.h"

#include "../../lib/test.h"

static const struct route route = ROUTE(
    POST, "/t", NULL, API, USER,
    PARAMS(REQ("name", STR, "", .max = 10), OPT("visibility", STR, "", .values = "private|public"),
           OPT("count", INT, ""), OPT("flag", BOOL, ""), OPT("when", TIME, ""),
           OPT("scopes", STRS, ""), OPT("info", JSON, ""), OPT("note", STR, "")));

struct fixture {
    struct arena a;
    struct params p;
    struct err e;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    arena_init(&f->a, MIB(16));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_done(&f->a);
    free(f);
    return 0;
}

#define JSON_TYPE STR("application/json; charset=utf-8")
#define FORM_TYPE STR("application/x-www-form-urlencoded")

static int read_with(struct fixture *f, struct str query, struct str type, struct str body)
{
    f->e = ERR_INIT;
    return params_read(&f->p, route.params, &f->a, query, type, body, &f->e);
}

static void reads_json(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        read_with(f, STR_NONE, JSON_TYPE,
                  STR("{\"name\":\"x\",\"count\":\"7\",\"flag\":true,\"scopes\":[\"a\",\"b,c\"],"
                      "\"when\":\"2026-01-02\",\"info\":{\"a\":{\"b\":1}},\"unknown\":[],"
                      "\"note\":null}")),
        0);
    assert_str(params_get(&f->p, "name")->s, "x");
    assert_int_equal(params_get(&f->p, "count")->i, 7);
    assert_int_equal(params_get(&f->p, "flag")->i, 1);
    assert_int_equal(params_get(&f->p, "scopes")->nlist, 2);
    assert_str(params_get(&f->p, "scopes")->list[1], "b,c");
    assert_int_equal(params_get(&f->p, "when")->i, 1767312000000);
    const struct api_json *info = params_get(&f->p, "info")->json;
    assert_int_equal(api_json_int(api_json_get(info, "a"), "b", 0), 1);
    assert_true(params_get(&f->p, "note")->null);
    assert_false(params_get(&f->p, "visibility")->set);
}

static void reads_forms_and_queries(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_with(f, STR("name=q&count=1&scopes[]=a&scopes%5B%5D=b"), FORM_TYPE,
                               STR("name=a+b%21&flag=on")),
                     0);
    assert_str(params_get(&f->p, "name")->s, "a b!"); // the body wins
    assert_int_equal(params_get(&f->p, "count")->i, 1);
    assert_int_equal(params_get(&f->p, "flag")->i, 1);
    assert_int_equal(params_get(&f->p, "scopes")->nlist, 2);
    assert_int_equal(read_with(f, STR("name=q&scopes=a,%20b,,c"), STR_NONE, STR_NONE), 0);
    assert_int_equal(params_get(&f->p, "scopes")->nlist, 3);
    assert_str(params_get(&f->p, "scopes")->list[1], "b");
    assert_int_equal(read_with(f, STR("name=q&count=&flag="), STR_NONE, STR_NONE), 0);
    assert_false(params_get(&f->p, "count")->set);
}

static void complains_in_gitlabs_words(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *query, *message;
    } cases[] = {
        {"", "name is missing"},
        {"name=", "name is empty"},
        {"name=12345678901", "name is too long"},
        {"name=x&visibility=secret", "visibility does not have a valid value"},
        {"name=x&count=1.5", "count is invalid"},
        {"name=x&flag=maybe", "flag is invalid"},
        {"name=x&when=tomorrow", "when is invalid"},
        {"name=x&count=99999999999999999999", "count is invalid"},
        {"name=%ff", "name is invalid"},
        {"count=x", "count is invalid, name is missing"},
        {"name=x&info={", "info is invalid"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(read_with(f, str_of(cases[i].query), STR_NONE, STR_NONE), E_INVALID);
        assert_string_equal(f->e.msg, cases[i].message);
    }
    assert_int_equal(read_with(f, STR("name=%0"), STR_NONE, STR_NONE), E_INVALID);
    assert_int_equal(read_with(f, STR("name=a%00b"), STR_NONE, STR_NONE), E_INVALID);
}

static void refuses_hostile_json(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "{",
        "[]",
        "\"x\"",
        "{\"name\":\"x\",}",
        "{\"name\":\"a\",\"name\":\"b\"}",
        "{\"name\":\"a\\u0000b\"}",
        "{\"name\":\"\xff\"}",
        "{\"name\":{}}",
        "{\"name\":[1]}",
        "{\"name\":\"x\",\"count\":1.5}",
        "{\"name\":\"x\",\"count\":1e400}",
        "{\"name\":\"x\",\"scopes\":[{}]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(read_with(f, STR_NONE, JSON_TYPE, str_of(bad[i])), E_INVALID);
    char deep[400];
    memset(deep, '[', sizeof(deep));
    assert_int_equal(read_with(f, STR_NONE, JSON_TYPE, str_n(deep, sizeof(deep))), E_INVALID);
    assert_non_null(strstr(f->e.msg, "nested"));
    _autobuf_ struct buf many = BUF_INIT(MIB(1));
    buf_adds(&many, "{\"name\":\"x\",\"info\":[0");
    for (int i = 0; i < API_JSON_VALUES; i++)
        buf_adds(&many, ",0");
    buf_adds(&many, "]}");
    assert_int_equal(read_with(f, STR_NONE, JSON_TYPE, buf_str(&many)), E_INVALID);
    assert_non_null(strstr(f->e.msg, "values"));
    _autobuf_ struct buf pairs = BUF_INIT(MIB(1));
    buf_adds(&pairs, "name=x");
    for (int i = 0; i < 900; i++)
        buf_adds(&pairs, "&scopes[]=a,b,c,d,e,f,g,h");
    assert_int_equal(read_with(f, buf_str(&pairs), STR_NONE, STR_NONE), E_INVALID);
    assert_true(f->a.total < MIB(8));
}

RUN_TESTS(cmocka_unit_test_setup_teardown(reads_json, setup, teardown),
          cmocka_unit_test_setup_teardown(reads_forms_and_queries, setup, teardown),
          cmocka_unit_test_setup_teardown(complains_in_gitlabs_words, setup, teardown),
          cmocka_unit_test_setup_teardown(refuses_hostile_json, setup, teardown))
