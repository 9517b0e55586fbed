// SPDX-License-Identifier: Apache-2.0
// The pipeline graph: boxes, edges, escaping.
#include "../../lib/test.h"

#include "web/graph.h"

#include <stdlib.h>

static struct str icon(void *ctx, struct str status)
{
    (void)ctx;
    return str_is(status, "success") ? STR("<path class=\"ok\"/>") : STR("<path class=\"no\"/>");
}

static size_t count(const char *s, const char *what)
{
    size_t n = 0;
    for (; (s = strstr(s, what)); s++)
        n++;
    return n;
}

static void test_boxes_and_edges(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, MIB(1));
    const struct str stages[] = {STR("build"), STR("te<st"), STR("deploy")};
    const size_t first[] = {0}, both[] = {0, 1}, beyond[] = {99};
    struct graph_job jobs[] = {
        {.name = STR("build"),
         .href = STR("/g/p/-/jobs/1"),
         .status = STR("success"),
         .stage = 0,
         .id = 1},
        {.name = STR("\"><script>"),
         .href = STR("/g/p/-/jobs/2"),
         .status = STR("failed"),
         .stage = 1,
         .needs = first,
         .nneeds = 1,
         .allow_failure = true,
         .id = 2},
        {.name = STR("a-name-that-is-much-too-long-for-its-box"),
         .href = STR("/x"),
         .status = STR("created"),
         .stage = 2,
         .needs = both,
         .nneeds = 2,
         .id = 3},
        {.name = STR("odd"),
         .href = STR("/y"),
         .status = STR("created"),
         .stage = 2,
         .needs = beyond,
         .nneeds = 1,
         .id = 4},
    };
    struct buf b = BUF_INIT(KIB(64));
    graph_svg(stages, 3, jobs, 4, icon, NULL, &a, &b);
    assert_int_equal(count(b.p, "class=\"node "), 4);
    assert_int_equal(count(b.p, "class=\"edge"), 3);
    assert_int_equal(count(b.p, "class=\"edge done\""), 2);
    assert_int_equal(count(b.p, "class=\"stage\""), 3);
    assert_null(strstr(b.p, "<script"));
    assert_non_null(strstr(b.p, "te&lt;st"));
    assert_non_null(strstr(b.p, "failed, allowed to fail\""));
    assert_non_null(strstr(b.p, "a-name-that-is-much-t\xe2\x80\xa6</text>"));
    assert_null(strstr(b.p, " style="));
    buf_done(&b);
    arena_done(&a);
}

static void test_no_jobs(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, MIB(1));
    struct buf b = BUF_INIT(KIB(4));
    graph_svg(NULL, 0, NULL, 0, icon, NULL, &a, &b);
    assert_non_null(strstr(b.p, "</svg>"));
    buf_done(&b);
    arena_done(&a);
}

RUN_TESTS(cmocka_unit_test(test_boxes_and_edges), cmocka_unit_test(test_no_jobs))
