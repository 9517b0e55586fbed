// SPDX-License-Identifier: Apache-2.0
// How fast the store reads and commits; prints figures, asserts nothing about them.
#include "fixture.h"

#include "store/settings.h"

static double per_second(int64_t n, int64_t from_us)
{
    return (double)n * 1e6 / (double)MAX(clock_us() - from_us, 1);
}

static void reads(void **state)
{
    int64_t ns = user_ns(make_user("ada"));
    int64_t ids[1000];
    for (int i = 0; i < 1000; i++)
        ids[i] = make_project(ns, arena_printf(&F.a, "p%d", i), VIS_PRIVATE);
    struct arena a;
    arena_init(&a, MIB(1));
    for (int round = 0; round < 2; round++) {
        int64_t from = clock_us(), n = 100000;
        for (int64_t i = 0; i < n; i++) {
            struct tx tx = TX_NONE;
            struct project p;
            OK(store_read(F.store, &tx, &F.e));
            OK(project_get(&tx, &a, ids[i % 1000], &p, &F.e));
            tx_done(&tx);
            arena_reset(&a);
        }
        if (round)
            print_message("project by id, one transaction each: %.0f/s\n", per_second(n, from));
    }
    int64_t from = clock_us();
    for (int i = 0; i < 2000; i++) {
        struct tx tx = TX_NONE;
        struct project_filter f = PROJECT_FILTER_ALL;
        struct project *list;
        struct page page = {0};
        size_t n;
        f.viewer_id = 1;
        OK(store_read(F.store, &tx, &F.e));
        OK(project_list(&tx, &a, &f, &page, &list, &n, &F.e));
        tx_done(&tx);
        arena_reset(&a);
    }
    print_message("page of 20 of 1000 visible projects, with total: %.0f/s\n",
                  per_second(2000, from));
    arena_done(&a);
}

static void claims(void **state)
{
    int64_t p = make_project(user_ns(make_user("ada")), "p", VIS_PRIVATE);
    int64_t pipe = make_pipeline(p, "main", CI_RUNNING);
    int64_t from = clock_us();
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_write(F.store, &tx, &F.e));
        for (int i = 0; i < 2000; i++) {
            struct job_need need = {STR("build"), true, false};
            struct str tag = STR("linux");
            struct job j = {.project_id = p,
                            .pipeline_id = pipe,
                            .name = STR("j"),
                            .stage = STR("test"),
                            .status = CI_PENDING,
                            .spec = STR("{}"),
                            .needs = &need,
                            .nneeds = 1,
                            .tags = &tag,
                            .ntags = 1};
            OK(job_insert(&tx, &j, i, &F.e));
        }
        OK(tx_commit(&tx, &F.e));
    }
    print_message("2000 jobs with a need and a tag inserted in %.1f ms\n",
                  (double)(clock_us() - from) / 1e3);
    int64_t r = make_runner("r", "linux", true);
    from = clock_us();
    for (int i = 0; i < 2000; i++) {
        _autotx_ struct tx tx = TX_NONE;
        unsigned char hash[SHA256_SIZE];
        char text[16];
        struct job j;
        snprintf(text, sizeof(text), "%d", i);
        struct job_claim c = {.runner_id = r, .token_sha256 = sha256(str_of(text), hash)};
        OK(store_write(F.store, &tx, &F.e));
        OK(job_claim(&tx, &F.a, &c, &j, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    print_message("claims from a queue of 2000: %.0f/s\n", per_second(2000, from));
}

static void commits(void **state)
{
    for (int full = 0; full < 2; full++) {
        store_close(F.store);
        OK(store_open(F.folder, full ? 0 : STORE_SYNC_NORMAL, &F.store, &F.e));
        int64_t from = clock_us(), n = full ? 200 : 5000;
        for (int64_t i = 0; i < n; i++) {
            _autotx_ struct tx tx = TX_NONE;
            OK(store_write(F.store, &tx, &F.e));
            OK(setting_set(&tx, "k", i % 2 ? STR("a") : STR("b"), &F.e));
            OK(tx_commit(&tx, &F.e));
        }
        print_message("commits, synchronous=%s: %.0f/s\n", full ? "FULL" : "NORMAL",
                      per_second(n, from));
    }
    int64_t from = clock_us();
    for (int i = 0; i < 50; i++) {
        store_close(F.store);
        OK(store_open(F.folder, 0, &F.store, &F.e));
    }
    print_message("open and close: %.2f ms\n", (double)(clock_us() - from) / 50e3);
    int64_t at = clock_us(), size = 0;
    for (int i = 0; i < 5000; i++)
        OK(trace_append(F.store, 1, 1, size, STR("a line of a trace, as they come\n"), 0, &size,
                        &F.e));
    print_message("trace appends: %.0f/s\n", per_second(5000, at));
}

RUN_TESTS(TEST(reads), TEST(claims), TEST(commits))
