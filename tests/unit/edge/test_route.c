// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "edge/route.h"

static const struct route ROUTES[] = {
    {STR("exact.example"), ROUTE_UPSTREAM, 3},
    {STR("*.pages.localhost"), ROUTE_PAGES, 0},
    {STR("*"), ROUTE_UPSTREAM, 0},
};

static const struct route *find(const char *text, struct host *h, struct str *label)
{
    assert_int_equal(host_parse(str_of(text), h, NULL), 0);
    return route_find(ROUTES, ARRAY_SIZE(ROUTES), h, label);
}

static void hosts_choose_their_route(void **state)
{
    (void)state;
    struct host h;
    struct str label;
    assert_ptr_equal(find("Exact.Example:99", &h, &label), &ROUTES[0]);
    assert_str(h.port, "99");
    assert_ptr_equal(find("Team.Pages.Localhost:8080", &h, &label), &ROUTES[1]);
    assert_str(label, "team");
    assert_string_equal(h.name, "team.pages.localhost");
    assert_ptr_equal(find("team.pages.localhost.", &h, &label), &ROUTES[1]);
    // one label only, and never none
    assert_ptr_equal(find("a.b.pages.localhost", &h, &label), &ROUTES[2]);
    assert_ptr_equal(find("pages.localhost", &h, &label), &ROUTES[2]);
    assert_ptr_equal(find("xpages.localhost", &h, &label), &ROUTES[2]);
    assert_ptr_equal(find("127.0.0.1:8080", &h, &label), &ROUTES[2]);
    assert_ptr_equal(find("[::1]:8080", &h, &label), &ROUTES[2]);
    assert_string_equal(h.name, "[::1]");
    assert_str(h.port, "8080");
}

static void malformed_hosts_are_refused(void **state)
{
    (void)state;
    static const char *BAD[] = {"",     "a b",    "a/b", "user@host", "a:b",  "a:1:2",   "a:99999",
                                "[::1", "[::1]x", "[]",  ":80",       "a..b", ".a",      "a,b",
                                "a\tb", "a:-1",   "h?x", "[g::1]",    ".",    "a:123456"};
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
        struct host h;
        if (host_parse(str_of(BAD[i]), &h, NULL) != E_INVALID)
            fail_msg("accepted \"%s\"", BAD[i]);
    }
    struct host h;
    assert_int_equal(host_parse(STR("a\0b"), &h, NULL), E_INVALID);
    char *large = malloc(300);
    memset(large, 'a', 300);
    assert_int_equal(host_parse(str_n(large, 256), &h, NULL), E_INVALID);
    assert_int_equal(host_parse(str_n(large, 255), &h, NULL), 0);
    free(large);
}

RUN_TESTS(cmocka_unit_test(hosts_choose_their_route), cmocka_unit_test(malformed_hosts_are_refused))
