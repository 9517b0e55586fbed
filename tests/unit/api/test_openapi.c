// SPDX-License-Identifier: Apache-2.0
#include "api/api.h"
#include "api/param.h"
#include "api/schema.h"

#include "../../lib/test.h"

static struct api_json document(struct arena *a)
{
    struct api_json doc;
    struct err e = ERR_INIT;
    _autobuf_ struct buf b = BUF_INIT(MIB(8));
    api_openapi("http://localhost:8080", &b);
    assert_true(buf_ok(&b));
    if (api_json_parse(a, arena_str(a, buf_str(&b)), &doc, &e) < 0)
        fail_msg("%s", e.msg);
    return doc;
}

static void is_complete(void **state)
{
    _autoarena_ struct arena a;
    arena_init(&a, MIB(32));
    struct api_json doc = document(&a);
    assert_str(api_json_str(&doc, "openapi", STR_NONE), "3.0.3");
    const struct api_json *paths = api_json_get(&doc, "paths");
    size_t operations = 0, routes = 0;
    for (const struct api_json *p = paths->item; p < paths->end; p++) {
        assert_int_equal(p->key.p[0], '/');
        assert_true(str_find(p->key, ':') < 0 && str_find(p->key, '*') < 0);
        operations += (size_t)(p->end - p->item);
    }
    const struct route_table *t;
    for (size_t i = 0; (t = api_routes(i)); i++)
        routes += t->n;
    assert_int_equal(operations, routes);
    const struct api_json *get = api_json_get(api_json_get(paths, "/projects/{id}"), "get");
    assert_non_null(get);
    assert_str(api_json_str(get, "x-role", STR_NONE), "Guest");
    assert_non_null(api_json_get(get, "responses"));
}

// Every route says what it is, every reply it names exists, path parameters are where they belong.
static void tables_are_sound(void **state)
{
    const struct route_table *t;
    for (size_t i = 0; (t = api_routes(i)); i++) {
        for (size_t k = 0; k < t->n; k++) {
            const struct route *r = &t->routes[k];
            assert_non_null(r->handle);
            assert_non_null(r->doc);
            size_t n = strlen(r->doc);
            assert_true(n > 5 && r->doc[n - 1] == '.');
            if (r->reply && !str_starts(str_of(r->reply), STR("any")))
                assert_non_null(schema_find(str_of(r->reply)));
            size_t params = 0;
            for (const struct param *p = r->params; p && p->name; p++, params++)
                assert_true(p->doc && p->doc[0]);
            assert_true(params <= PARAMS_MAX);
            // Whatever changes something needs a scope, or a secret of its own.
            if (r->method != API_GET && r->scope == NEED_NONE)
                assert_true(r->role == ROLE_ANYONE);
            if (r->method != API_GET && r->scope != NEED_NONE)
                assert_true(r->role != ROLE_ANYONE);
            if (r->method != API_GET && r->scope != NEED_NONE)
                assert_true(r->scope == NEED_API || r->scope == NEED_SELF ||
                            r->scope == NEED_CREATE_RUNNER);
        }
    }
}

RUN_TESTS(cmocka_unit_test(is_complete), cmocka_unit_test(tables_are_sound))
