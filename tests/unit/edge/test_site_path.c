// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "edge/site_path.h"

static void paths_are_decoded_and_folded(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *want;
        bool slash;
    } CASES[] = {
        {"/", "", true},
        {"//", "", true},
        {"/a", "a", false},
        {"/a/", "a", true},
        {"//a///b//", "a/b", true},
        {"/a%20b/%C3%A9.html", "a b/\xC3\xA9.html", false},
        {"/...", "...", false},
        {"/.well-known/x", ".well-known/x", false},
        {"/a%2Eb", "a.b", false},
        {"/a+b", "a+b", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct site_path p;
        assert_int_equal(site_path_parse(str_of(CASES[i].raw), &p, NULL), 0);
        assert_string_equal(p.p, CASES[i].want);
        assert_int_equal(p.n, strlen(CASES[i].want));
        assert_int_equal(p.slash, CASES[i].slash);
    }
}

static void ways_out_are_refused(void **state)
{
    (void)state;
    static const char *BAD[] = {
        "",     "a",      "/..",    "/../x",  "/a/..", "/a/../b", "/%2e%2e/x", "/.%2e/x",
        "/./x", "/a/.",   "/%2f",   "/a%2Fb", "/%00",  "/a%0a",   "/%",        "/%4",
        "/%zz", "/a\x01", "/a\x7f", "/%7f",   "*",     "/%2",     "/a/%2e",    "/%1F",
    };
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
        struct site_path p;
        if (site_path_parse(str_of(BAD[i]), &p, NULL) != E_INVALID)
            fail_msg("accepted \"%s\"", BAD[i]);
    }
    struct site_path p;
    char *large = malloc(SITE_PATH_MAX + 1);
    memset(large, 'a', SITE_PATH_MAX + 1);
    large[0] = '/';
    assert_int_equal(site_path_parse(str_n(large, SITE_PATH_MAX + 1), &p, NULL), E_LIMIT);
    assert_int_equal(site_path_parse(str_n(large, SITE_PATH_MAX), &p, NULL), 0);
    free(large);
}

static void locations_stay_on_this_host(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *want;
    } CASES[] = {
        {"/a", "/a/"},
        {"//evil.example", "/evil.example/"},
        {"/\\evil", "/%5Cevil/"},
        {"/a b%0", NULL},
        {"/%C3%A9/x", "/%C3%A9/x/"},
        {"/", "/"},
        {"/a%3Fb%23", "/a%3Fb%23/"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct site_path p;
        char out[200];
        if (!CASES[i].want) {
            assert_int_equal(site_path_parse(str_of(CASES[i].raw), &p, NULL), E_INVALID);
            continue;
        }
        assert_int_equal(site_path_parse(str_of(CASES[i].raw), &p, NULL), 0);
        site_path_location(&p, out, sizeof(out));
        assert_string_equal(out, CASES[i].want);
    }
}

RUN_TESTS(cmocka_unit_test(paths_are_decoded_and_folded), cmocka_unit_test(ways_out_are_refused),
          cmocka_unit_test(locations_stay_on_this_host))
