// SPDX-License-Identifier: Apache-2.0
// The engine on a real database in a temporary folder; Git is a text in memory.
#include "../../lib/test.h"
#include "base/clock.h"
#include "base/mem.h"
#include "ci/engine.h"
#include "store/artifacts.h"
#include "store/blob.h"
#include "store/jobs.h"
#include "store/pipelines.h"
#include "store/projects.h"
#include "store/pushes.h"
#include "store/runners.h"
#include "store/users.h"
#include "store/variables.h"

#include <ftw.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_0 "0000000000000000000000000000000000000000"

struct world {
    char folder[64];
    struct arena a;
    struct err e;
    struct store *store;
    struct ci_engine *en;
    int64_t user, project, runner;
    const char *config; // NULL: no file
    const char *message;
    int wakes_runners;
};

#define OK(call)                                                                                   \
    do {                                                                                           \
        int ok_rc_ = (call);                                                                       \
        if (ok_rc_) {                                                                              \
            print_error("%s: %d %s\n", #call, ok_rc_, w->e.msg);                                   \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static int fake_fetch(void *ctx, int64_t project_id, struct str sha, struct str path,
                      struct buf *into, struct err *e)
{
    struct world *w = ctx;
    if (!w->config || !str_is(path, ".gitlab-ci.yml"))
        return err_set(e, E_NOTFOUND, "no such file");
    buf_adds(into, w->config);
    return 0;
}

static int fake_resolve(void *ctx, int64_t project_id, struct str ref, char ret_sha[65],
                        bool *ret_tag, struct err *e)
{
    if (!str_is(ref, "main"))
        return err_set(e, E_NOTFOUND, "no such ref");
    snprintf(ret_sha, 65, "%s", SHA_A);
    *ret_tag = false;
    return 0;
}

static int fake_commit(void *ctx, int64_t project_id, struct str sha, struct arena *a,
                       struct str *ret_message, struct str *ret_author, struct str *ret_time,
                       struct err *e)
{
    struct world *w = ctx;
    *ret_message = str_of(w->message);
    *ret_author = STR("Ada <ada@example.org>");
    *ret_time = STR("2026-01-02T03:04:05Z");
    return 0;
}

static void on_wake(void *ctx, const char *topic)
{
    struct world *w = ctx;
    if (!strcmp(topic, "runners"))
        __atomic_add_fetch(&w->wakes_runners, 1, __ATOMIC_RELAXED);
}

static void fill_store(struct world *w)
{
    _autotx_ struct tx tx = TX_NONE;
    struct user u = {.username = STR("ada"), .name = STR("Ada"), .email = STR("ada@example.org")};
    struct project p;
    struct runner r = {.type = RUNNER_INSTANCE, .description = STR("r"), .run_untagged = true};
    OK(store_write(w->store, &tx, &w->e));
    OK(user_insert(&tx, STR("x"), &u, &w->e));
    project_defaults(&p);
    p.namespace_id = u.namespace_id;
    p.creator_id = u.id;
    p.name = STR("Demo");
    p.path = STR("demo");
    p.default_branch = STR("main");
    p.storage = STR("@hashed/aa/bb/x");
    OK(project_insert(&tx, &w->a, &p, &w->e));
    OK(runner_insert(&tx, STR("12345678901234567890123456789012"), &r, &w->e));
    OK(tx_commit(&tx, &w->e));
    w->user = u.id;
    w->project = p.id;
    w->runner = r.id;
}

static int setup(void **state)
{
    struct world *w = NEW(struct world);
    *state = w;
    arena_init(&w->a, MIB(256));
    w->message = "Change things\n\nFor reasons.\n";
    snprintf(w->folder, sizeof(w->folder), "/tmp/slipway-ci-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    OK(store_open(w->folder, STORE_SYNC_NORMAL, &w->store, &w->e));
    store_on_wake(w->store, on_wake, w);
    struct ci_engine_config cfg = {.store = w->store,
                                   .fetch = fake_fetch,
                                   .resolve = fake_resolve,
                                   .commit = fake_commit,
                                   .git_ctx = w,
                                   .external_url = "http://localhost:8080",
                                   .pages_domain = "pages.localhost:8080",
                                   .stuck_running_s = 600,
                                   .restart_grace_s = -1};
    OK(ci_engine_new(&cfg, &w->en, &w->e));
    fill_store(w);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct world *w = *state;
    ci_engine_free(w->en);
    store_close(w->store);
    arena_done(&w->a);
    nftw(w->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

// ---- small steps ----

static int64_t push(struct world *w, const char *config)
{
    int64_t id;
    w->config = config;
    struct ci_push p = {.project_id = w->project,
                        .user_id = w->user,
                        .ref = STR("refs/heads/main"),
                        .before = STR(SHA_0),
                        .after = STR(SHA_A)};
    OK(ci_engine_push(w->en, &p, &id, &w->e));
    return id;
}

static struct pipeline pipeline_of(struct world *w, int64_t id)
{
    _autotx_ struct tx tx = TX_NONE;
    struct pipeline p;
    OK(store_read(w->store, &tx, &w->e));
    OK(pipeline_get(&tx, &w->a, id, &p, &w->e));
    return p;
}

static struct job job_of(struct world *w, int64_t pipeline_id, const char *name)
{
    _autotx_ struct tx tx = TX_NONE;
    struct job *rows;
    size_t n;
    OK(store_read(w->store, &tx, &w->e));
    OK(job_list_pipeline(&tx, &w->a, pipeline_id, false, &rows, &n, &w->e));
    for (size_t i = 0; i < n; i++)
        if (str_is(rows[i].name, name))
            return rows[i];
    print_error("no job %s\n", name);
    fail();
    return (struct job){0};
}

static void expect_job(struct world *w, int64_t pipeline_id, const char *name, const char *want)
{
    const char *got = ci_status_name(job_of(w, pipeline_id, name).status);
    if (strcmp(got, want)) {
        print_error("job %s is %s, want %s\n", name, got, want);
        fail();
    }
}

static void expect_pipeline(struct world *w, int64_t id, const char *want)
{
    assert_string_equal(ci_status_name(pipeline_of(w, id).status), want);
}

static struct ci_claim claim(struct world *w, const char *want)
{
    struct ci_claim c;
    OK(ci_engine_request(w->en, w->runner, NULL, &w->a, &c, &w->e));
    assert_str(c.name, want);
    return c;
}

static int update(struct world *w, int64_t job, const char *s, const char *reason, int64_t code)
{
    enum ci_status status;
    struct ci_job_update u = {.state = str_of(s),
                              .failure_reason = str_of(reason),
                              .has_exit_code = code >= 0,
                              .exit_code = code};
    return ci_engine_update_job(w->en, job, &u, &status, &w->e);
}

static void succeed(struct world *w, const char *name)
{
    OK(update(w, claim(w, name).job_id, "success", NULL, 0));
}

static void break_down(struct world *w, const char *name, int64_t code)
{
    OK(update(w, claim(w, name).job_id, "failed", "script_failure", code));
}

static void expect_no_job(struct world *w)
{
    struct ci_claim c;
    assert_int_equal(ci_engine_request(w->en, w->runner, NULL, &w->a, &c, &w->e), E_NOTFOUND);
}

static struct str var_of(const struct ci_claim *c, const char *key)
{
    for (size_t i = 0; i < c->nvars; i++)
        if (str_is(c->vars[i].key, key))
            return c->vars[i].value;
    return STR_NONE;
}

// Makes every time in the jobs' rows older, as if so many seconds had passed.
static void pass_time(struct world *w, int seconds)
{
    char path[100], sql[400];
    sqlite3 *db;
    snprintf(path, sizeof(path), "%s/slipway.db", w->folder);
    snprintf(sql, sizeof(sql),
             "UPDATE jobs SET started_at = started_at - %d000 WHERE started_at > 0;"
             "UPDATE jobs SET queued_at = queued_at - %d000 WHERE queued_at > 0;"
             "UPDATE jobs SET acked_at = acked_at - %d000 WHERE acked_at > 0;"
             "UPDATE jobs SET seen_at = seen_at - %d000, updated_at = updated_at - %d000",
             seconds, seconds, seconds, seconds, seconds);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

// ---- the way of a pipeline ----

static void test_push_to_success(void **state)
{
    struct world *w = *state;
    int woken = w->wakes_runners;
    int64_t id = push(w, "build: {stage: build, script: make}\n"
                         "test: {script: [a, b], before_script: [c], after_script: d}\n");
    expect_pipeline(w, id, "pending");
    expect_job(w, id, "build", "pending");
    expect_job(w, id, "test", "created");
    assert_int_equal(w->wakes_runners, woken + 1);
    struct ci_claim c = claim(w, "build");
    assert_true(str_starts(c.token, STR("glcbt-")));
    assert_str(c.script.list[0], "make");
    assert_str(c.sha, SHA_A);
    expect_job(w, id, "build", "running");
    expect_pipeline(w, id, "running");
    expect_no_job(w);
    OK(update(w, c.job_id, "running", NULL, -1));
    OK(update(w, c.job_id, "success", NULL, 0));
    expect_job(w, id, "test", "pending");
    expect_pipeline(w, id, "running");
    assert_int_equal(w->wakes_runners, woken + 2);
    c = claim(w, "test");
    assert_int_equal(c.script.n, 3);
    assert_str(c.script.list[0], "c");
    assert_str(c.after_script.list[0], "d");
    OK(update(w, c.job_id, "success", NULL, 0));
    expect_pipeline(w, id, "success");
    assert_true(pipeline_of(w, id).duration_ms >= 0);
    assert_true(pipeline_of(w, id).finished_at > 0);
}

static void test_needs_start_at_once(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {stage: build, script: x}\n"
                         "slow: {stage: build, script: x}\n"
                         "b: {stage: test, script: x, needs: [a]}\n"
                         "now: {stage: deploy, script: x, needs: []}\n");
    expect_job(w, id, "now", "pending");
    expect_job(w, id, "b", "created");
    succeed(w, "a");
    expect_job(w, id, "slow", "pending");
    expect_job(w, id, "b", "pending");
}

static void test_allowed_failure(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x, allow_failure: true}\n"
                         "b: {script: x, allow_failure: {exit_codes: [42]}}\n"
                         "c: {stage: deploy, script: x}\n");
    break_down(w, "a", 1);
    break_down(w, "b", 42);
    assert_true(job_of(w, id, "b").allow_failure);
    succeed(w, "c");
    expect_pipeline(w, id, "success");
}

static void test_other_exit_code_fails(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "b: {script: x, allow_failure: {exit_codes: 42}}\n"
                         "c: {stage: deploy, script: x}\n"
                         "d: {stage: deploy, script: x, when: on_failure}\n");
    break_down(w, "b", 1);
    expect_job(w, id, "c", "skipped");
    expect_job(w, id, "d", "pending");
    succeed(w, "d");
    expect_pipeline(w, id, "failed");
    assert_int_equal(job_of(w, id, "b").exit_code, 1);
    assert_str(job_of(w, id, "b").failure_reason, "script_failure");
}

static void test_automatic_retry(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x, retry: {max: 2, when: runner_system_failure}}\n"
                         "b: {stage: deploy, script: x}\n");
    int64_t first = claim(w, "a").job_id;
    OK(update(w, first, "failed", "runner_system_failure", -1));
    struct job again = job_of(w, id, "a");
    assert_true(again.id != first);
    assert_int_equal(again.status, CI_PENDING);
    assert_int_equal(again.attempt, 1);
    expect_job(w, id, "b", "created");
    break_down(w, "a", 1); // a reason that is not listed
    expect_pipeline(w, id, "failed");
    expect_no_job(w);
}

static void test_retry_gives_up(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x, retry: 2}\n");
    for (int i = 0; i < 3; i++)
        break_down(w, "a", 1);
    expect_no_job(w);
    expect_pipeline(w, id, "failed");
}

static void test_manual_play(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x, when: manual, allow_failure: false}\n"
                         "b: {stage: deploy, script: x}\n");
    expect_pipeline(w, id, "manual");
    expect_no_job(w);
    int64_t played;
    OK(ci_engine_play_job(w->en, job_of(w, id, "a").id, w->user, NULL, 0, &played, &w->e));
    assert_int_equal(played, job_of(w, id, "a").id);
    struct ci_claim c = claim(w, "a");
    assert_str(var_of(&c, "CI_JOB_MANUAL"), "true");
    OK(update(w, c.job_id, "success", NULL, 0));
    assert_int_equal(
        ci_engine_play_job(w->en, job_of(w, id, "b").id, w->user, NULL, 0, &played, &w->e),
        E_CONFLICT);
    succeed(w, "b");
    expect_pipeline(w, id, "success");
}

static void test_retry_job(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x}\nb: {stage: deploy, script: x}\n");
    break_down(w, "a", 1);
    expect_job(w, id, "b", "skipped");
    expect_pipeline(w, id, "failed");
    int64_t old = job_of(w, id, "a").id, fresh, third;
    OK(ci_engine_retry_job(w->en, old, w->user, &fresh, &w->e));
    assert_int_equal(ci_engine_retry_job(w->en, old, w->user, &third, &w->e), E_CONFLICT);
    expect_job(w, id, "a", "pending");
    expect_job(w, id, "b", "created");
    expect_pipeline(w, id, "running");
    succeed(w, "a");
    succeed(w, "b");
    expect_pipeline(w, id, "success");
}

// An allowed exit code is allowed for the run that had it, not for the next one.
static void test_retry_forgets_exit_code(void **state)
{
    struct world *w = *state;
    int64_t fresh, id = push(w, "a: {script: x, allow_failure: {exit_codes: 42}}\n");
    break_down(w, "a", 42);
    expect_pipeline(w, id, "success");
    OK(ci_engine_retry_job(w->en, job_of(w, id, "a").id, w->user, &fresh, &w->e));
    break_down(w, "a", 1);
    expect_pipeline(w, id, "failed");
}

static void test_retry_pipeline(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x}\nm: {script: x, when: manual}\n"
                         "b: {stage: deploy, script: x}\n");
    int64_t played;
    OK(ci_engine_play_job(w->en, job_of(w, id, "m").id, w->user, NULL, 0, &played, &w->e));
    break_down(w, "a", 1);
    break_down(w, "m", 1);
    expect_pipeline(w, id, "failed");
    OK(ci_engine_retry_pipeline(w->en, id, w->user, &w->e));
    expect_job(w, id, "a", "pending");
    expect_job(w, id, "m", "manual");
    expect_job(w, id, "b", "created");
    succeed(w, "a");
    succeed(w, "b");
    expect_pipeline(w, id, "success");
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x}\nb: {script: x}\nc: {stage: deploy, script: x}\n"
                         "d: {stage: deploy, script: x, when: always}\n");
    int64_t a = claim(w, "a").job_id;
    OK(ci_engine_cancel_pipeline(w->en, id, &w->e));
    expect_job(w, id, "a", "canceling");
    expect_job(w, id, "b", "canceled");
    expect_job(w, id, "c", "canceled");
    expect_job(w, id, "d", "canceled");
    expect_pipeline(w, id, "canceling");
    OK(update(w, a, "failed", "script_failure", 1)); // what a runner reports after stopping
    expect_job(w, id, "a", "canceled");
    expect_pipeline(w, id, "canceled");
    assert_int_equal(ci_engine_cancel_job(w->en, a, &w->e), E_CONFLICT);
    expect_no_job(w);
}

static void test_cancel_one_job(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x}\nb: {stage: deploy, script: x}\n");
    OK(ci_engine_cancel_job(w->en, job_of(w, id, "a").id, &w->e));
    expect_job(w, id, "a", "canceled");
    expect_job(w, id, "b", "skipped");
    expect_pipeline(w, id, "canceled");
}

static void test_finish_once(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x}\n");
    int64_t a = claim(w, "a").job_id;
    OK(update(w, a, "success", NULL, 0));
    OK(update(w, a, "success", NULL, 0)); // the answer was lost, the runner says it again
    assert_int_equal(update(w, a, "failed", "script_failure", 1), E_CONFLICT);
    assert_int_equal(update(w, a, "running", NULL, -1), E_CONFLICT);
    assert_int_equal(update(w, a, "sleeping", NULL, -1), E_INVALID);
    expect_pipeline(w, id, "success");
}

static void test_config_error(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a:\n  scirpt: x\n");
    struct pipeline p = pipeline_of(w, id);
    assert_int_equal(p.status, CI_FAILED);
    assert_str(p.failure_reason, "config_error");
    assert_str(p.yaml_errors,
               ".gitlab-ci.yml:1:1: a: the job has no `script`; expected `script:` with at least "
               "one command\n"
               ".gitlab-ci.yml:2:3: a: `scirpt` is not a keyword of a job; did you mean `script`?");
    expect_no_job(w);
}

static void test_no_pipeline(void **state)
{
    struct world *w = *state;
    assert_int_equal(push(w, NULL), 0);
    assert_int_equal(push(w, "a: {script: x, only: [tags]}\n"), 0);
    assert_int_equal(push(w, "workflow: {rules: [{when: never}]}\na: {script: x}\n"), 0);
    w->config = "a: {script: x}\n";
    int64_t id = 9;
    struct ci_push gone = {.project_id = w->project,
                           .ref = STR("refs/heads/main"),
                           .before = STR(SHA_A),
                           .after = STR(SHA_0)};
    OK(ci_engine_push(w->en, &gone, &id, &w->e));
    assert_int_equal(id, 0);
    gone.after = STR(SHA_A);
    gone.ref = STR("refs/notes/x");
    OK(ci_engine_push(w->en, &gone, &id, &w->e));
    assert_int_equal(id, 0);
}

static void test_skip_ci(void **state)
{
    struct world *w = *state;
    w->message = "Fix a typo [Skip CI]";
    int64_t id = push(w, "a: {script: x}\n");
    expect_pipeline(w, id, "skipped");
    expect_no_job(w);
    // asked for by hand it runs
    int64_t by_hand;
    OK(ci_engine_create(w->en, w->project, w->user, STR("main"), STR("web"), NULL, 0, &by_hand,
                        &w->e));
    expect_pipeline(w, by_hand, "pending");
}

static void test_create_by_hand(void **state)
{
    struct world *w = *state;
    int64_t id;
    struct ci_var vars[] = {{.key = STR("WHO"), .value = STR("given")}};
    w->config =
        "variables: {WHO: file, HELLO: 'hi $WHO'}\n"
        "a: {script: x, rules: [{if: '$CI_PIPELINE_SOURCE == \"api\" && $WHO == \"given\"'}]}\n";
    OK(ci_engine_create(w->en, w->project, w->user, STR("main"), STR("api"), vars, 1, &id, &w->e));
    struct ci_claim c = claim(w, "a");
    assert_str(var_of(&c, "WHO"), "given");
    assert_str(var_of(&c, "HELLO"), "hi given");
    assert_int_equal(
        ci_engine_create(w->en, w->project, w->user, STR("main"), STR("api"), NULL, 0, &id, &w->e),
        E_INVALID);
    assert_non_null(strstr(w->e.msg, "the rules of every job leave it out"));
    assert_int_equal(
        ci_engine_create(w->en, w->project, w->user, STR("nope"), STR("api"), NULL, 0, &id, &w->e),
        E_INVALID);
    w->config = NULL;
    assert_int_equal(
        ci_engine_create(w->en, w->project, w->user, STR("main"), STR("api"), NULL, 0, &id, &w->e),
        E_INVALID);
    assert_non_null(strstr(w->e.msg, ".gitlab-ci.yml"));
}

static void test_variables_of_a_job(void **state)
{
    struct world *w = *state;
    {
        _autotx_ struct tx tx = TX_NONE;
        struct variable v = {.project_id = w->project,
                             .key = STR("SECRET"),
                             .value = STR("s3cret-value"),
                             .masked = true,
                             .environment_scope = STR("*")},
                        p = {.project_id = w->project,
                             .key = STR("PROTECTED"),
                             .value = STR("x"),
                             .is_protected = true,
                             .environment_scope = STR("*")};
        OK(store_write(w->store, &tx, &w->e));
        OK(variable_insert(&tx, &v, &w->e));
        OK(variable_insert(&tx, &p, &w->e));
        OK(tx_commit(&tx, &w->e));
    }
    int64_t id = push(w, "variables: {A: global, SECRET: file, RAW: {value: '$A', expand: false}}\n"
                         "my job: {script: x, variables: {A: job}, image: ruby}\n");
    struct ci_claim c = claim(w, "my job");
    assert_str(var_of(&c, "A"), "job");
    assert_str(var_of(&c, "RAW"), "$A");
    assert_str(var_of(&c, "SECRET"), "s3cret-value");
    assert_null(var_of(&c, "PROTECTED").p);
    assert_str(var_of(&c, "CI_COMMIT_SHA"), SHA_A);
    assert_str(var_of(&c, "CI_COMMIT_BRANCH"), "main");
    assert_str(var_of(&c, "CI_COMMIT_TITLE"), "Change things");
    assert_str(var_of(&c, "CI_COMMIT_DESCRIPTION"), "For reasons.");
    assert_str(var_of(&c, "CI_PROJECT_PATH"), "ada/demo");
    assert_str(var_of(&c, "CI_PAGES_URL"), "http://ada.pages.localhost:8080/demo");
    assert_str(var_of(&c, "CI_JOB_NAME_SLUG"), "my-job");
    assert_str(var_of(&c, "GITLAB_USER_LOGIN"), "ada");
    assert_str(var_of(&c, "CI_SERVER_PORT"), "8080");
    assert_null(var_of(&c, "CI_COMMIT_TAG").p);
    char want[200];
    snprintf(want, sizeof(want), "http://gitlab-ci-token:%s@localhost:8080/ada/demo.git",
             c.token.p);
    assert_str(c.repo_url, want);
    snprintf(want, sizeof(want), "%lld", (long long)id);
    assert_str(var_of(&c, "CI_PIPELINE_ID"), want);
    for (size_t i = 0; i < c.nvars; i++)
        if (str_is(c.vars[i].key, "SECRET") || str_is(c.vars[i].key, "CI_JOB_TOKEN"))
            assert_true(c.vars[i].masked);
    assert_int_equal(c.notes.n, 1);
    assert_non_null(strstr(c.notes.list[0].p, "ruby"));
    assert_int_equal(c.timeout_s, 3600);
}

static void add_archive(struct world *w, int64_t job)
{
    _autotx_ struct tx tx = TX_NONE;
    struct artifact f = {.job_id = job,
                         .project_id = w->project,
                         .type = STR("archive"),
                         .format = STR("zip"),
                         .file_name = STR("artifacts.zip"),
                         .size = 7};
    f.path = artifact_new_path(&w->a, w->project, job, f.type, f.format);
    OK(store_write(w->store, &tx, &w->e));
    OK(artifact_insert(&tx, &f, &w->e));
    OK(tx_commit(&tx, &w->e));
}

static void test_dependencies(void **state)
{
    struct world *w = *state;
    push(w, "a: {stage: build, script: x, artifacts: {paths: [p], expire_in: 1 week}}\n"
            "b: {stage: build, script: x, artifacts: {paths: [p]}}\n"
            "all: {script: x}\n"
            "some: {script: x, needs: [b, {job: a, artifacts: false}]}\n"
            "none: {script: x, dependencies: []}\n");
    struct ci_claim c = claim(w, "a");
    assert_true(c.artifacts.set);
    assert_str(c.artifacts.paths.list[0], "p");
    assert_str(c.artifacts.expire_in, "1 week");
    add_archive(w, c.job_id);
    OK(update(w, c.job_id, "success", NULL, 0));
    c = claim(w, "b");
    add_archive(w, c.job_id);
    OK(update(w, c.job_id, "success", NULL, 0));
    c = claim(w, "all");
    assert_int_equal(c.ndeps, 2);
    assert_str(c.deps[0].name, "a");
    assert_int_equal(c.deps[0].size, 7);
    assert_true(str_eq(c.deps[0].token, c.token));
    c = claim(w, "some");
    assert_int_equal(c.ndeps, 1);
    assert_str(c.deps[0].name, "b");
    assert_int_equal(claim(w, "none").ndeps, 0);
}

static void test_newer_push_ends_older(void **state)
{
    struct world *w = *state;
    static const char *const CONFIG = "a: {script: x, interruptible: true}\nb: {script: x}\n";
    int64_t first = push(w, CONFIG);
    claim(w, "a");
    int64_t second = push(w, CONFIG);
    expect_job(w, first, "a", "canceling");
    expect_job(w, first, "b", "canceled");
    // once a job runs that may not be interrupted, the rest stays
    assert_str(claim(w, "a").name, "a");
    claim(w, "b");
    int64_t third = push(w, CONFIG);
    expect_job(w, second, "b", "running");
    expect_job(w, third, "a", "pending");
}

static void test_sweep_silent_runner(void **state)
{
    struct world *w = *state;
    int64_t id =
        push(w, "a: {script: x}\nb: {script: x}\nc: {stage: deploy, script: x, when: always}\n");
    int64_t a = claim(w, "a").job_id, b = claim(w, "b").job_id;
    OK(update(w, a, "running", NULL, -1));
    pass_time(w, 1200); // a was heard of, b never
    OK(ci_engine_sweep(w->en, NULL, &w->e));
    expect_job(w, id, "a", "failed");
    assert_str(job_of(w, id, "a").failure_reason, "stuck_or_timeout_failure");
    expect_job(w, id, "b", "pending");
    assert_int_equal(update(w, a, "success", NULL, 0), E_CONFLICT);
    assert_int_equal(update(w, b, "success", NULL, 0), E_CONFLICT);
    succeed(w, "b");
    succeed(w, "c");
    expect_pipeline(w, id, "failed");
}

// A runner that dies between the claim and its first word costs its job seconds, not a minute.
static void test_unheard_claims_go_back(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x}\n");
    struct ci_claim first = claim(w, "a");
    pass_time(w, 10);
    OK(ci_engine_sweep(w->en, NULL, &w->e));
    expect_job(w, id, "a", "running");
    pass_time(w, 6);
    OK(ci_engine_sweep(w->en, NULL, &w->e));
    expect_job(w, id, "a", "pending");

    struct ci_claim second = claim(w, "a");
    assert_int_equal(first.job_id, second.job_id);
    OK(ci_engine_unclaim(w->en, second.job_id, second.pipeline_id, &w->e)); // its answer failed
    expect_job(w, id, "a", "pending");
    struct ci_claim third = claim(w, "a");
    OK(update(w, third.job_id, "running", NULL, -1));
    assert_int_equal(ci_engine_unclaim(w->en, third.job_id, third.pipeline_id, &w->e), E_CONFLICT);
    expect_job(w, id, "a", "running");
}

static void test_sweep_timeout(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x, timeout: 5 min}\n");
    int64_t a = claim(w, "a").job_id;
    OK(update(w, a, "running", NULL, -1));
    pass_time(w, 200);
    OK(ci_engine_sweep(w->en, NULL, &w->e));
    expect_job(w, id, "a", "running");
    pass_time(w, 200);
    OK(ci_engine_sweep(w->en, NULL, &w->e));
    expect_job(w, id, "a", "failed");
    assert_str(job_of(w, id, "a").failure_reason, "job_execution_timeout");
    expect_pipeline(w, id, "failed");
}

static void test_sweep_nobody_takes(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x, tags: [none-has-this]}\nb: {script: x}\n");
    expect_job(w, id, "a", "pending");
    succeed(w, "b");
    expect_no_job(w);
    pass_time(w, 90000);
    OK(ci_engine_sweep(w->en, NULL, &w->e));
    expect_job(w, id, "a", "failed");
    expect_pipeline(w, id, "failed");
}

static void test_sweep_canceling(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x}\n");
    OK(update(w, claim(w, "a").job_id, "running", NULL, -1));
    OK(ci_engine_cancel_pipeline(w->en, id, &w->e));
    OK(ci_engine_sweep(w->en, NULL, &w->e));
    expect_job(w, id, "a", "canceling");
    pass_time(w, 400);
    OK(ci_engine_sweep(w->en, NULL, &w->e));
    expect_job(w, id, "a", "canceled");
    expect_pipeline(w, id, "canceled");
}

static void test_on_job_failure_all(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "workflow: {auto_cancel: {on_job_failure: all}}\n"
                         "a: {script: x}\nb: {script: x}\nc: {script: x, allow_failure: true}\n");
    int64_t b = claim(w, "a").job_id;
    int64_t c = claim(w, "b").job_id;
    int64_t d = claim(w, "c").job_id;
    OK(update(w, d, "failed", "script_failure", 1));
    expect_job(w, id, "a", "running");
    OK(update(w, b, "failed", "script_failure", 1));
    expect_job(w, id, "b", "canceling");
    OK(update(w, c, "canceled", NULL, -1));
    expect_pipeline(w, id, "failed");
}

static void test_coverage(void **state)
{
    struct world *w = *state;
    int64_t id = push(w, "a: {script: x, coverage: '/Lines: (\\d+)%/'}\n"), size;
    int64_t a = claim(w, "a").job_id;
    OK(trace_append(w->store, w->project, a, 0, STR("Lines: 10%\nLines: 72%\nbye\n"), KIB(64),
                    &size, &w->e));
    OK(update(w, a, "success", NULL, 0));
    assert_int_equal((int)job_of(w, id, "a").coverage, 72);
    assert_int_equal((int)pipeline_of(w, id).coverage, 72);
}

// After a start runners get a moment to find the server again before they count as silent.
static void test_sweep_waits_after_start(void **state)
{
    struct world *w = *state;
    struct ci_engine *fresh;
    struct ci_engine_config cfg = {.store = w->store,
                                   .fetch = fake_fetch,
                                   .resolve = fake_resolve,
                                   .commit = fake_commit,
                                   .git_ctx = w};
    int64_t id = push(w, "a: {script: x}\n");
    OK(update(w, claim(w, "a").job_id, "running", NULL, -1));
    pass_time(w, 1200);
    OK(ci_engine_new(&cfg, &fresh, &w->e));
    OK(ci_engine_sweep(fresh, NULL, &w->e));
    ci_engine_free(fresh);
    expect_job(w, id, "a", "running");
}

// ---- at the same time ----

struct racer {
    struct world *w;
    int got;
};

static void *take_all(void *arg)
{
    struct racer *r = arg;
    for (;;) {
        _autoarena_ struct arena a;
        arena_init(&a, MIB(64));
        struct ci_claim c;
        struct err e;
        int rc = ci_engine_request(r->w->en, r->w->runner, NULL, &a, &c, &e);
        if (rc == E_NOTFOUND)
            return NULL;
        if (rc == 0)
            r->got++;
    }
}

static void test_concurrent_claims(void **state)
{
    struct world *w = *state;
    struct buf config = BUF_INIT(KIB(64));
    for (int i = 0; i < 40; i++)
        buf_addf(&config, "job%d: {script: x}\n", i);
    int64_t id = push(w, config.p);
    struct racer r[4];
    pthread_t t[4];
    for (int i = 0; i < 4; i++) {
        r[i] = (struct racer){w, 0};
        assert_int_equal(pthread_create(&t[i], NULL, take_all, &r[i]), 0);
    }
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        sum += r[i].got;
    }
    assert_int_equal(sum, 40);
    expect_job(w, id, "job39", "running");
    buf_done(&config);
}

struct finisher {
    struct world *w;
    int64_t job;
    const char *state;
    int rc;
};

static void *finish(void *arg)
{
    struct finisher *f = arg;
    enum ci_status status;
    struct err e;
    struct ci_job_update u = {.state = str_of(f->state)};
    f->rc = ci_engine_update_job(f->w->en, f->job, &u, &status, &e);
    return NULL;
}

static void test_two_ends_of_one_job(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 10; round++) {
        int64_t id = push(w, "a: {script: x}\n");
        int64_t job = claim(w, "a").job_id;
        struct finisher f[2] = {{w, job, "success", 1}, {w, job, "failed", 1}};
        pthread_t t[2];
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&t[i], NULL, finish, &f[i]), 0);
        for (int i = 0; i < 2; i++)
            pthread_join(t[i], NULL);
        assert_true((f[0].rc == 0) != (f[1].rc == 0));
        expect_pipeline(w, id, f[0].rc == 0 ? "success" : "failed");
    }
}

static void test_large_pipeline(void **state)
{
    struct world *w = *state;
    struct buf config = BUF_INIT(KIB(256));
    for (int i = 0; i < 500; i++)
        buf_addf(&config, "job%d: {stage: %s, script: [a, b], variables: {A: b}%s}\n", i,
                 i % 2 ? "test" : "build", i % 2 ? ", needs: [job0]" : "");
    int64_t from = clock_us(), id = push(w, config.p), made = clock_us();
    OK(update(w, claim(w, "job0").job_id, "success", NULL, 0));
    int64_t moved = clock_us();
    print_message("500 jobs: made in %.1f ms, one claimed and finished in %.1f ms\n",
                  (double)(made - from) / 1000, (double)(moved - made) / 1000);
    expect_job(w, id, "job1", "pending");
    expect_job(w, id, "job499", "pending");
    buf_done(&config);
}

// ---- push events ----

static void test_event_makes_one_pipeline(void **state)
{
    struct world *w = *state;
    w->config = "a: {script: x, rules: [{if: '$X == \"1=2\"'}]}\n";
    {
        _autotx_ struct tx tx = TX_NONE;
        struct push_ref ref = {STR("refs/heads/main"), STR(SHA_0), STR(SHA_A)};
        int64_t push_id, event_id;
        OK(store_write(w->store, &tx, &w->e));
        OK(push_begin(&tx, w->project, w->user, &ref, 1, STR("ci.variable=X=1=2\n"), &push_id,
                      &w->e));
        OK(push_finish(&tx, push_id, ref.ref, true, ref.new_sha, 1, STR("t"), &event_id, &w->e));
        OK(tx_commit(&tx, &w->e));
    }
    size_t n;
    OK(ci_engine_take_pushes(w->en, 10, &n, &w->e));
    assert_int_equal(n, 1);
    OK(ci_engine_take_pushes(w->en, 10, &n, &w->e));
    assert_int_equal(n, 0);
    succeed(w, "a");
    expect_no_job(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
RUN_TESTS(TEST(test_push_to_success), TEST(test_needs_start_at_once), TEST(test_allowed_failure),
          TEST(test_other_exit_code_fails), TEST(test_automatic_retry), TEST(test_retry_gives_up),
          TEST(test_manual_play), TEST(test_retry_job), TEST(test_retry_pipeline),
          TEST(test_retry_forgets_exit_code), TEST(test_cancel), TEST(test_cancel_one_job),
          TEST(test_finish_once), TEST(test_config_error), TEST(test_no_pipeline),
          TEST(test_skip_ci), TEST(test_create_by_hand), TEST(test_variables_of_a_job),
          TEST(test_dependencies), TEST(test_newer_push_ends_older), TEST(test_sweep_silent_runner),
          TEST(test_unheard_claims_go_back), TEST(test_sweep_timeout),
          TEST(test_sweep_nobody_takes), TEST(test_sweep_canceling), TEST(test_on_job_failure_all),
          TEST(test_coverage), TEST(test_sweep_waits_after_start), TEST(test_concurrent_claims),
          TEST(test_two_ends_of_one_job), TEST(test_large_pipeline),
          TEST(test_event_makes_one_pipeline))
