// SPDX-License-Identifier: Apache-2.0
#include "api/router.h"

#include "../../lib/test.h"

static int never(struct api_req *r)
{
    (void)r;
    return 0;
}

static const struct route routes[] = {
    ROUTE(GET, "/projects", never, READ_API, ANYONE, .doc = "list"),
    ROUTE(POST, "/projects", never, API, USER, .doc = "make"),
    ROUTE(GET, "/projects/:id", never, READ_API, GUEST, .doc = "show"),
    ROUTE(DELETE, "/projects/:id", never, API, OWNER, .doc = "delete"),
    ROUTE(GET, "/projects/:id/jobs/:job_id", never, READ_API, GUEST, .doc = "job"),
    ROUTE(GET, "/projects/:id/jobs/:job_id/artifacts/*path", never, READ_API, GUEST, .doc = "file"),
    ROUTE(GET, "/projects/:id/jobs/artifacts/:ref/download", never, READ_API, GUEST, .doc = "ref"),
    ROUTE(GET, "/projects/:id/pipelines/latest", never, READ_API, GUEST, .doc = "latest"),
    ROUTE(GET, "/projects/:id/pipelines/:pipeline_id", never, READ_API, GUEST, .doc = "pipeline"),
    ROUTE(GET, "/", never, NONE, ANYONE, .doc = "root"),
};
static const struct route_table table = ROUTE_TABLE("t", routes);

static struct api_router *router(void)
{
    const struct route_table *tables[] = {&table};
    return api_router_new(tables, 1);
}

static struct api_match match(struct api_router *r, const char *method, const char *path)
{
    struct api_match m;
    api_router_match(r, api_method_of(str_of(method)), str_of(path), &m);
    return m;
}

static void finds_routes_and_parameters(void **state)
{
    struct api_router *r = router();
    struct api_match m = match(r, "GET", "/api/v4/projects/group%2Fsub%2Fproject");
    assert_non_null(m.route);
    assert_string_equal(m.route->doc, "show");
    assert_int_equal(m.nraw, 1);
    assert_str(m.raw[0], "group%2Fsub%2Fproject");
    m = match(r, "GET", "/api/v4/projects/7/jobs/12/artifacts/public/css/a.css");
    assert_string_equal(m.route->doc, "file");
    assert_str(m.raw[0], "7");
    assert_str(m.raw[1], "12");
    assert_str(m.raw[2], "public/css/a.css");
    assert_string_equal(match(r, "GET", "/api/v4/").route->doc, "root");
    api_router_free(r);
}

static void literals_win_and_backtrack(void **state)
{
    struct api_router *r = router();
    assert_string_equal(match(r, "GET", "/api/v4/projects/1/pipelines/latest").route->doc,
                        "latest");
    assert_string_equal(match(r, "GET", "/api/v4/projects/1/pipelines/9").route->doc, "pipeline");
    assert_string_equal(
        match(r, "GET", "/api/v4/projects/1/jobs/artifacts/main/download").route->doc, "ref");
    // "artifacts" as the job's id: the literal branch fails, the parameter takes it.
    struct api_match m = match(r, "GET", "/api/v4/projects/1/jobs/artifacts");
    assert_string_equal(m.route->doc, "job");
    assert_str(m.raw[1], "artifacts");
    m = match(r, "GET", "/api/v4/projects/1/jobs/artifacts/artifacts/x/y");
    assert_string_equal(m.route->doc, "file");
    assert_str(m.raw[2], "x/y");
    api_router_free(r);
}

static void tells_unknown_paths_from_wrong_methods(void **state)
{
    struct api_router *r = router();
    struct api_match m = match(r, "PUT", "/api/v4/projects/1");
    assert_null(m.route);
    assert_true(m.path_known);
    assert_string_equal(m.allow, "GET, HEAD, DELETE");
    m = match(r, "BREW", "/api/v4/projects");
    assert_true(m.path_known);
    assert_string_equal(m.allow, "GET, HEAD, POST");
    static const char *const nowhere[] = {"/api/v4/nothing",
                                          "/api/v4/projects/",
                                          "/api/v4/projects//jobs/1",
                                          "/api/v4/projects/1/",
                                          "/api/v3/projects",
                                          "/api/v4",
                                          "",
                                          "x",
                                          "/api/v4/projects/1/jobs/1/artifacts/"};
    for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
        m = match(r, "GET", nowhere[i]);
        assert_null(m.route);
        assert_false(m.path_known);
    }
    assert_string_equal(match(r, "HEAD", "/api/v4/projects").route->doc, "list");
    api_router_free(r);
}

static void decodes_parameters_and_refuses_bad_ones(void **state)
{
    _autoarena_ struct arena a;
    arena_init(&a, KIB(64));
    struct str s;
    assert_int_equal(api_path_decode(&a, STR("group%2Fproject"), &s), API_DECODE_OK);
    assert_str(s, "group/project");
    assert_int_equal(api_path_decode(&a, STR("a+b%20c"), &s), API_DECODE_OK);
    assert_str(s, "a+b c");
    static const char *const bad[] = {"a%00b", "a%0Ab",  "a%",  "a%2",
                                      "a%zz",  "%ff%fe", "%7f", "a\x01"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(api_path_decode(&a, str_of(bad[i]), &s), API_DECODE_BAD);
    static const char *const dots[] = {"..", "%2e%2e", "a%2F..%2Fb", "../x", ".", "x%2F."};
    for (size_t i = 0; i < ARRAY_SIZE(dots); i++)
        assert_int_equal(api_path_decode(&a, str_of(dots[i]), &s), API_DECODE_DOTS);
    assert_int_equal(api_path_decode(&a, STR("..."), &s), API_DECODE_OK);
    assert_int_equal(api_path_decode(&a, STR("v1..2"), &s), API_DECODE_OK);
}

RUN_TESTS(cmocka_unit_test(finds_routes_and_parameters),
          cmocka_unit_test(literals_win_and_backtrack),
          cmocka_unit_test(tells_unknown_paths_from_wrong_methods),
          cmocka_unit_test(decodes_parameters_and_refuses_bad_ones))
