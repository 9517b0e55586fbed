// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "codec/url.h"

static void refuses_unsafe_paths(void **state)
{
    static const char *const bad[] = {
        "",       "a",         "/..",    "/../x",   "/a/..",       "/a/../b",  "/.",
        "/a/./b", "/%2e%2e/x", "/%2E.",  "/a%2f..", "/a%2F..%2Fb", "/%2e",     "/a%00",
        "/a%0a",  "/a%7f",     "/a\x01", "/a%",     "/a%4",        "/a%zz",    "/a\\b",
        "/a%5cb", "/%ff",      "/%c3",   "/%c0%af", "/%ed%a0%80",  "/%c3/%a9", "/..%2f",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct err e = ERR_INIT;
        if (url_path_check(str_of(bad[i]), &e) == 0)
            fail_msg("accepted %s", bad[i]);
        assert_true(e.msg[0]);
    }
    static const char *const good[] = {
        "/",      "/a",      "/a/",           "/a/b.c", "/...", "/..a", "/a..",     "/.git",
        "/a%2Fb", "/%c3%a9", "/%f0%9f%9a%a2", "/a%20b", "/a+b", "/-/x", "/a/.../b", "/%25",
    };
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        if (url_path_check(str_of(good[i]), &e) < 0)
            fail_msg("refused %s: %s", good[i], e.msg);
    _autobuf_ struct buf deep = BUF_INIT(KIB(1));
    for (int i = 0; i < URL_MAX_SEGMENTS; i++)
        buf_adds(&deep, "/a");
    assert_int_equal(url_path_check(buf_str(&deep), &e), 0);
    buf_adds(&deep, "/a");
    assert_int_equal(url_path_check(buf_str(&deep), &e), E_LIMIT);
}

static void splits_before_decoding(void **state)
{
    _autoarena_ struct arena a;
    arena_init(&a, KIB(64));
    struct err e;
    struct url_path p;
    assert_int_equal(url_path_split(STR("/api/v4/projects/group%2Fsub%2Fproject/"), &a, &p, &e), 0);
    assert_int_equal(p.n, 4);
    assert_str(p.seg[3], "group/sub/project");
    assert_true(p.trailing_slash);
    assert_int_equal(url_path_split(STR("/"), &a, &p, &e), 0);
    assert_int_equal(p.n, 0);
    assert_false(p.trailing_slash);
    assert_int_equal(url_path_split(STR("/a//b"), &a, &p, &e), E_INVALID);
    assert_int_equal(url_path_split(STR("//"), &a, &p, &e), E_INVALID);
    assert_int_equal(url_path_split(STR("/a+b/%2B"), &a, &p, &e), 0);
    assert_str(p.seg[0], "a+b");
    assert_str(p.seg[1], "+");
}

static void reads_queries(void **state)
{
    _autoarena_ struct arena a;
    arena_init(&a, KIB(64));
    struct str v;
    struct str q = STR("&per_page=20&search=a+b%26c&flag&scope%5B%5D=x&empty=&per_page=30&bad=%zz");
    assert_true(url_query_get(q, STR("per_page"), &a, &v));
    assert_str(v, "20");
    assert_true(url_query_get(q, STR("search"), &a, &v));
    assert_str(v, "a b&c");
    assert_true(url_query_get(q, STR("flag"), &a, &v));
    assert_true(v.p && v.n == 0);
    assert_true(url_query_get(q, STR("scope[]"), &a, &v));
    assert_str(v, "x");
    assert_true(url_query_get(q, STR("empty"), &a, &v));
    assert_int_equal(v.n, 0);
    assert_false(url_query_get(q, STR("per"), &a, &v));
    assert_false(url_query_get(q, STR("bad"), &a, &v));
    assert_false(url_query_get(STR_NONE, STR("x"), &a, &v));
    size_t n = 0;
    for (struct str rest = q, k, val; url_query_next(&rest, &k, &val);)
        n++;
    assert_int_equal(n, 7);
}

static void builds(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(1));
    buf_adds(&b, "/x");
    url_query_add(&b, STR("a b"), STR("c&d"));
    url_query_add(&b, STR("e"), STR("\xc3\xa9"));
    assert_str(buf_str(&b), "/x?a%20b=c%26d&e=%C3%A9");
    buf_clear(&b);
    url_encode_path(&b, STR("a/b c"));
    url_encode(&b, STR("/"));
    assert_str(buf_str(&b), "a/b%20c%2F");
    struct err e;
    buf_clear(&b);
    assert_int_equal(url_decode(&b, STR("a%20b+c"), true, &e), 0);
    assert_str(buf_str(&b), "a b c");
    assert_int_equal(url_decode(&b, STR("x%0"), true, &e), E_INVALID);
    assert_int_equal(url_decode(&b, STR("x%00"), true, &e), E_INVALID);
    assert_str(buf_str(&b), "a b c");
}

static void parses_urls(void **state)
{
    struct url u;
    struct err e;
    assert_int_equal(url_parse(STR("https://u:p%40@example.org:8443/a/b?c=d#frag"), &u, &e), 0);
    assert_str(u.scheme, "https");
    assert_str(u.user, "u");
    assert_str(u.password, "p%40");
    assert_str(u.host, "example.org");
    assert_int_equal(u.port, 8443);
    assert_str(u.path, "/a/b");
    assert_str(u.query, "c=d");
    assert_int_equal(url_parse(STR("http://[::1]"), &u, &e), 0);
    assert_str(u.host, "::1");
    assert_int_equal(u.port, 80);
    assert_false(u.port_given);
    assert_str(u.path, "/");
    assert_null(u.query.p);
    static const char *const bad[] = {
        "",           "http://",      "ftp://x/",      "http://x:99999/",
        "http://x:a", "http:///path", "//x/",          "http://x/ a",
        "http://x:/", "http://[::1/", "http://x/%",    "javascript:x",
        "http://[]/", "http://x\\y/", "http://[::1]x/"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (url_parse(str_of(bad[i]), &u, &e) == 0)
            fail_msg("accepted %s", bad[i]);
}

RUN_TESTS(cmocka_unit_test(refuses_unsafe_paths), cmocka_unit_test(splits_before_decoding),
          cmocka_unit_test(reads_queries), cmocka_unit_test(builds), cmocka_unit_test(parses_urls))
