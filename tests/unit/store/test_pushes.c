// SPDX-License-Identifier: Apache-2.0
// Each ref update becomes one push event, wherever the server stops between the steps.
#include "fixture.h"

#include "store/pushes.h"

#define OLD "1111111111111111111111111111111111111111"
#define NEW "2222222222222222222222222222222222222222"

static int64_t project, user;

static int with_project(void **state)
{
    setup(state);
    user = make_user("ada");
    project = make_project(user_ns(user), "p", VIS_PRIVATE);
    return 0;
}
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, with_project, teardown)

static int begin(const char *ref, int64_t *ret)
{
    _autotx_ struct tx tx = TX_NONE;
    struct push_ref r = {str_of(ref), STR(OLD), STR(NEW)};
    OK(store_write(F.store, &tx, &F.e));
    int rc = push_begin(&tx, project, user, &r, 1, STR("ci.skip"), ret, &F.e);
    if (rc == 0)
        OK(tx_commit(&tx, &F.e));
    return rc;
}

static int finish(int64_t push, const char *ref, bool moved, bool commit, int64_t *ret_event)
{
    _autotx_ struct tx tx = TX_NONE;
    OK(store_write(F.store, &tx, &F.e));
    int rc = push_finish(&tx, push, str_of(ref), moved, STR(NEW), 2, STR("title"), ret_event, &F.e);
    if (rc == 0 && commit)
        OK(tx_commit(&tx, &F.e));
    return rc;
}

static int64_t events(void)
{
    _autotx_ struct tx tx = TX_NONE;
    struct push_event *list;
    struct page page = {0};
    size_t n;
    OK(store_read(F.store, &tx, &F.e));
    OK(push_event_list(&tx, &F.a, project, 0, &page, &list, &n, &F.e));
    return page.total;
}

static size_t pending(void)
{
    _autotx_ struct tx tx = TX_NONE;
    struct push_intent *list;
    size_t n;
    OK(store_read(F.store, &tx, &F.e));
    OK(push_pending(&tx, &F.a, 0, &list, &n, &F.e));
    return n;
}

// As after a crash: everything that was not committed is gone.
static void reopen(void)
{
    store_close(F.store);
    OK(store_open(F.folder, STORE_SYNC_NORMAL, &F.store, &F.e));
}

static void a_push_becomes_one_event(void **state)
{
    int64_t push, event;
    OK(begin("refs/heads/main", &push));
    OK(finish(push, "refs/heads/main", true, true, &event));
    assert_true(event > 0);
    ERR(E_NOTFOUND, finish(push, "refs/heads/main", true, true, &event));
    assert_int_equal(events(), 1);
    assert_int_equal(pending(), 0);
    _autotx_ struct tx tx = TX_NONE;
    struct push_event ev;
    OK(store_read(F.store, &tx, &F.e));
    OK(push_event_get(&tx, &F.a, event, &ev, &F.e));
    assert_str(ev.r.ref, "refs/heads/main");
    assert_str(ev.r.old_sha, OLD);
    assert_str(ev.r.new_sha, NEW);
    assert_str(ev.options, "ci.skip");
    assert_int_equal(ev.user_id, user);
    assert_int_equal(ev.commit_count, 2);
}

static void a_refused_push_becomes_none(void **state)
{
    int64_t push, event;
    OK(begin("refs/heads/main", &push));
    OK(finish(push, "refs/heads/main", false, true, &event));
    assert_int_equal(event, 0);
    assert_int_equal(events(), 0);
    OK(begin("refs/heads/main", &push)); // and the ref is free again
}

static void one_push_of_a_ref_at_a_time(void **state)
{
    int64_t push, second;
    OK(begin("refs/heads/main", &push));
    ERR(E_BUSY, begin("refs/heads/main", &second));
    OK(begin("refs/heads/other", &second));
    assert_int_equal(pending(), 2);

    // Of a push of two refs, one of them busy, nothing is kept, whatever the caller does.
    _autotx_ struct tx tx = TX_NONE;
    struct push_ref both[] = {{STR("refs/heads/new"), STR(OLD), STR(NEW)},
                              {STR("refs/heads/main"), STR(OLD), STR(NEW)}};
    OK(store_write(F.store, &tx, &F.e));
    ERR(E_BUSY, push_begin(&tx, project, user, both, 2, STR_NONE, &push, &F.e));
    assert_true(tx_commit(&tx, &F.e) < 0);
    assert_int_equal(pending(), 2);
}

static void a_crash_at_each_step_is_mended(void **state)
{
    int64_t push, event;
    // Died before git moved the ref: whoever starts finds the intent and drops it.
    OK(begin("refs/heads/a", &push));
    reopen();
    assert_int_equal(pending(), 1);
    OK(finish(push, "refs/heads/a", false, true, &event));
    assert_int_equal(events(), 0);

    // Died after git moved it, before the event.
    OK(begin("refs/heads/b", &push));
    reopen();
    OK(finish(push, "refs/heads/b", true, true, &event));
    assert_int_equal(events(), 1);

    // Died inside the finishing transaction: neither half of it is there.
    OK(begin("refs/heads/c", &push));
    OK(finish(push, "refs/heads/c", true, false, &event));
    reopen();
    assert_int_equal(pending(), 1);
    assert_int_equal(events(), 1);
    OK(finish(push, "refs/heads/c", true, true, &event));

    // Died after it: mending again finds nothing to do.
    reopen();
    assert_int_equal(pending(), 0);
    ERR(E_NOTFOUND, finish(push, "refs/heads/c", true, true, &event));
    assert_int_equal(events(), 2);
}

static void each_event_makes_one_pipeline(void **state)
{
    int64_t push, event;
    struct push_event ev;
    OK(begin("refs/heads/main", &push));
    OK(finish(push, "refs/heads/main", true, true, &event));
    _autotx_ struct tx tx = TX_NONE;
    OK(store_write(F.store, &tx, &F.e));
    OK(push_event_next(&tx, &F.a, &ev, &F.e));
    assert_int_equal(ev.id, event);
    struct pipeline p = {.project_id = project, .push_event_id = event, .ref = STR("main")};
    OK(pipeline_insert(&tx, &p, &F.e));
    struct pipeline again = {.project_id = project, .push_event_id = event, .ref = STR("main")};
    ERR(E_CONFLICT, pipeline_insert(&tx, &again, &F.e));
    OK(push_event_handled(&tx, event, 5, &F.e));
    ERR(E_CONFLICT, push_event_handled(&tx, event, 6, &F.e));
    ERR(E_NOTFOUND, push_event_next(&tx, &F.a, &ev, &F.e));
}

static void long_options_are_refused(void **state)
{
    _autotx_ struct tx tx = TX_NONE;
    struct push_ref r = {STR("refs/heads/x"), STR(OLD), STR(NEW)};
    int64_t push;
    char *text = arena_alloc(&F.a, 1, PUSH_OPTIONS_MAX + 1);
    memset(text, 'x', PUSH_OPTIONS_MAX + 1);
    OK(store_write(F.store, &tx, &F.e));
    ERR(E_LIMIT,
        push_begin(&tx, project, user, &r, 1, str_n(text, PUSH_OPTIONS_MAX + 1), &push, &F.e));
    OK(push_begin(&tx, project, user, &r, 1, str_n(text, PUSH_OPTIONS_MAX), &push, &F.e));
}

RUN_TESTS(CASE(a_push_becomes_one_event), CASE(a_refused_push_becomes_none),
          CASE(one_push_of_a_ref_at_a_time), CASE(a_crash_at_each_step_is_mended),
          CASE(each_event_makes_one_pipeline), CASE(long_options_are_refused))
