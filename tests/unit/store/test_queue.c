// SPDX-License-Identifier: Apache-2.0
// The queue: which runner may take which job, and that each job is taken once however many ask.
#include "fixture.h"

#include "store/members.h"

#include <pthread.h>

static int64_t project, pipeline;

static int with_project(void **state)
{
    setup(state);
    project = make_project(user_ns(make_user("ada")), "p", VIS_PRIVATE);
    pipeline = make_pipeline(project, "main", CI_RUNNING);
    return 0;
}
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, with_project, teardown)

static int claim(int64_t runner, const char *token, struct job *ret)
{
    _autotx_ struct tx tx = TX_NONE;
    unsigned char hash[SHA256_SIZE];
    struct job_claim c = {.runner_id = runner,
                          .system_id = STR("s"),
                          .now = 1000000,
                          .token_sha256 = sha256(str_of(token), hash)};
    OK(store_write(F.store, &tx, &F.e));
    int rc = job_claim(&tx, &F.a, &c, ret, &F.e);
    if (rc == 0)
        OK(tx_commit(&tx, &F.e));
    return rc;
}

static void oldest_first_and_once(void **state)
{
    int64_t a = make_job(project, pipeline, "a", CI_PENDING, NULL);
    int64_t b = make_job(project, pipeline, "b", CI_PENDING, NULL);
    make_job(project, pipeline, "c", CI_CREATED, NULL);
    int64_t r = make_runner("r", NULL, true);
    struct job j;
    OK(claim(r, "t1", &j));
    assert_int_equal(j.id, a);
    assert_true(j.status == CI_RUNNING && j.runner_id == r && j.started_at == 1000000);
    OK(claim(r, "t2", &j));
    assert_int_equal(j.id, b);
    ERR(E_NOTFOUND, claim(r, "t3", &j));
}

static void only_what_fits(void **state)
{
    struct job j;
    int64_t tagged = make_job(project, pipeline, "tagged", CI_PENDING, "linux");
    int64_t other = make_runner("other", "mac", false), fit = make_runner("fit", "linux", false);
    ERR(E_NOTFOUND, claim(other, "t1", &j));
    int64_t plain = make_job(project, pipeline, "plain", CI_PENDING, NULL);
    ERR(E_NOTFOUND, claim(other, "t1", &j));
    OK(claim(fit, "t2", &j));
    assert_int_equal(j.id, tagged);
    ERR(E_NOTFOUND, claim(fit, "t3", &j)); // does not run untagged
    {
        _autotx_ struct tx tx = TX_NONE;
        struct runner r;
        OK(store_write(F.store, &tx, &F.e));
        OK(runner_get(&tx, &F.a, fit, &r, &F.e));
        r.run_untagged = true;
        r.paused = true;
        OK(runner_update(&tx, &r, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    ERR(E_NOTFOUND, claim(fit, "t3", &j)); // paused
    {
        _autotx_ struct tx tx = TX_NONE;
        struct runner r;
        OK(store_write(F.store, &tx, &F.e));
        OK(runner_get(&tx, &F.a, fit, &r, &F.e));
        r.paused = false;
        r.ref_protected = true;
        OK(runner_update(&tx, &r, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    ERR(E_NOTFOUND, claim(fit, "t3", &j)); // job of an unprotected ref
    int64_t r3 = make_runner("any", NULL, true);
    {
        _autotx_ struct tx tx = TX_NONE;
        struct project p;
        OK(store_write(F.store, &tx, &F.e));
        OK(project_get(&tx, &F.a, project, &p, &F.e));
        p.shared_runners = false;
        OK(project_update(&tx, &p, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    ERR(E_NOTFOUND, claim(r3, "t3", &j)); // no runners of the instance wanted
    unsigned char hash[SHA256_SIZE];
    struct runner own = {.type = RUNNER_PROJECT, .project_id = project, .run_untagged = true};
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_write(F.store, &tx, &F.e));
        OK(runner_insert(&tx, sha256(STR("own"), hash), &own, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    OK(claim(own.id, "t3", &j));
    assert_int_equal(j.id, plain);
}

static void group_runners_reach_down(void **state)
{
    int64_t top = make_group("top", 0), low = make_group("low", top), else_ = make_group("e", 0);
    int64_t p = make_project(low, "q", VIS_PRIVATE);
    int64_t id = make_job(p, make_pipeline(p, "main", CI_RUNNING), "a", CI_PENDING, NULL);
    unsigned char hash[SHA256_SIZE];
    struct runner mine = {.type = RUNNER_GROUP, .group_id = top, .run_untagged = true};
    struct runner foreign = {.type = RUNNER_GROUP, .group_id = else_, .run_untagged = true};
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_write(F.store, &tx, &F.e));
        OK(runner_insert(&tx, sha256(STR("m"), hash), &mine, &F.e));
        OK(runner_insert(&tx, sha256(STR("f"), hash), &foreign, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    struct job j;
    ERR(E_NOTFOUND, claim(foreign.id, "t", &j));
    OK(claim(mine.id, "t", &j));
    assert_int_equal(j.id, id);
}

static void job_tokens_end_with_the_job(void **state)
{
    unsigned char hash[SHA256_SIZE];
    int64_t r = make_runner("r", NULL, true);
    make_job(project, pipeline, "a", CI_PENDING, NULL);
    struct job j, got;
    OK(claim(r, "secret", &j));
    _autotx_ struct tx tx = TX_NONE;
    OK(store_write(F.store, &tx, &F.e));
    OK(job_by_token(&tx, &F.a, sha256(STR("secret"), hash), &got, &F.e));
    assert_int_equal(got.id, j.id);
    OK(job_finish(&tx, j.id, CI_SET_ON_RUNNER, CI_SUCCESS, STR(""), 0, 5, &F.e));
    ERR(E_NOTFOUND, job_by_token(&tx, &F.a, sha256(STR("secret"), hash), &got, &F.e));
}

static void unheard_claims_go_back(void **state)
{
    unsigned char hash[SHA256_SIZE];
    int64_t r = make_runner("r", NULL, true);
    make_job(project, pipeline, "a", CI_PENDING, NULL);
    struct job j, *silent, got;
    size_t n;
    OK(claim(r, "first", &j));
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_write(F.store, &tx, &F.e));
        OK(job_silent(&tx, &F.a, 0, 1000000, &silent, &n, &F.e));
        assert_int_equal(n, 0);
        OK(job_silent(&tx, &F.a, 0, 1000001, &silent, &n, &F.e));
        assert_int_equal(n, 1);
        OK(job_unclaim(&tx, j.id, 1000002, &F.e));
        ERR(E_NOTFOUND, job_by_token(&tx, &F.a, sha256(STR("first"), hash), &got, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    OK(claim(r, "second", &j));
    _autotx_ struct tx tx = TX_NONE;
    OK(store_write(F.store, &tx, &F.e));
    assert_true(job_seen_due(&j, 1000001));
    OK(job_seen(&tx, j.id, 1000001, &F.e));
    OK(job_get(&tx, &F.a, j.id, &got, &F.e));
    assert_int_equal(got.acked_at, 1000001);
    assert_false(job_seen_due(&got, 1000002));
    assert_true(job_seen_due(&got, 1020000));
    ERR(E_CONFLICT, job_unclaim(&tx, j.id, 1000002, &F.e));
    OK(job_overdue(&tx, &F.a, 0, 1000000 + 3600 * 1000, &silent, &n, &F.e));
    assert_int_equal(n, 0);
    OK(job_overdue(&tx, &F.a, 0, 1000001 + 3600 * 1000, &silent, &n, &F.e));
    assert_int_equal(n, 1);
}

static void delayed_jobs_come_due(void **state)
{
    int64_t a = make_job(project, pipeline, "a", CI_CREATED, NULL), *ids, next;
    int64_t b = make_job(project, pipeline, "b", CI_CREATED, NULL);
    size_t n;
    _autotx_ struct tx tx = TX_NONE;
    OK(store_write(F.store, &tx, &F.e));
    OK(job_move(&tx, a, CI_BIT(CI_CREATED), CI_SCHEDULED, 500, 1, &F.e));
    OK(job_move(&tx, b, CI_BIT(CI_CREATED), CI_SCHEDULED, 900, 1, &F.e));
    OK(job_due(&tx, &F.a, 499, &ids, &n, &next, &F.e));
    assert_true(n == 0 && next == 500);
    OK(job_due(&tx, &F.a, 500, &ids, &n, &next, &F.e));
    assert_true(n == 1 && ids[0] == a && next == 900);
}

// ---- many threads ----

#define JOBS    200
#define THREADS 6

static struct {
    pthread_mutex_t lock;
    int taken[JOBS + 1];
    int64_t first;
    int64_t runners[THREADS];
    int errors;
} race = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *taker(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int k = 0;; k++) {
        struct arena a;
        struct err e = ERR_INIT;
        struct job j;
        char token[32];
        unsigned char hash[SHA256_SIZE];
        arena_init(&a, MIB(1));
        snprintf(token, sizeof(token), "%d-%d", me, k);
        struct job_claim c = {
            .runner_id = race.runners[me], .now = 1, .token_sha256 = sha256(str_of(token), hash)};
        struct tx tx = TX_NONE;
        int rc = store_write(F.store, &tx, &e);
        if (rc == 0)
            rc = job_claim(&tx, &a, &c, &j, &e);
        if (rc == 0)
            rc = tx_commit(&tx, &e);
        tx_done(&tx);
        pthread_mutex_lock(&race.lock);
        if (rc == 0)
            race.taken[j.id - race.first]++;
        else if (rc != E_NOTFOUND)
            race.errors++;
        pthread_mutex_unlock(&race.lock);
        arena_done(&a);
        if (rc < 0)
            return NULL;
    }
}

static void each_job_is_taken_once(void **state)
{
    pthread_t t[THREADS];
    for (int i = 0; i < JOBS; i++) {
        int64_t id = make_job(project, pipeline, "j", CI_PENDING, NULL);
        if (i == 0)
            race.first = id;
    }
    for (int i = 0; i < THREADS; i++)
        race.runners[i] = make_runner(arena_printf(&F.a, "r%d", i), NULL, true);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, taker, (void *)(intptr_t)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(race.errors, 0);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(race.taken[i], 1);
}

RUN_TESTS(CASE(oldest_first_and_once), CASE(only_what_fits), CASE(group_runners_reach_down),
          CASE(job_tokens_end_with_the_job), CASE(unheard_claims_go_back),
          CASE(delayed_jobs_come_due), CASE(each_job_is_taken_once))
