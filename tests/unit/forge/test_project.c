// SPDX-License-Identifier: Apache-2.0
// Making and removing projects and groups, managing members, and what a crash leaves.
#include "fixture.h"

#include "forge/upkeep.h"
#include "store/pages.h"
#include "store/sessions.h"
#include "store/trash.h"

#include <errno.h>
#include <sys/stat.h>

static int repo_calls, repo_result;
static char repo_path[512];

static int fake_repo(const char *path, struct str branch, struct err *e)
{
    repo_calls++;
    assert_str(branch, "main");
    snprintf(repo_path, sizeof(repo_path), "%s", path);
    for (char *p = repo_path + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            (void)!mkdir(repo_path, 0700);
            *p = '/';
        }
    assert_int_equal(mkdir(repo_path, 0700), 0);
    return repo_result < 0 ? err_set(e, repo_result, "the disk is full") : 0;
}

static int with_repos(void **state)
{
    forge_setup(state);
    G.repo_create = fake_repo;
    repo_calls = repo_result = 0;
    return 0;
}
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, with_repos, teardown)

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void a_project_with_its_repository(void **state)
{
    struct user ada = account("ada", false);
    struct actor a = actor_of(ada);
    struct project p, again;
    struct project_new n = {.name = STR("My Site!"), .visibility = -1};
    OK(project_create(&G, &F.a, &a, &n, &p, &F.e));
    assert_str(p.full_path, "ada/my-site");
    assert_str(p.name, "My Site!");
    assert_int_equal(p.visibility, VIS_PRIVATE);
    assert_true(str_starts(p.storage, STR("@hashed/")));
    assert_int_equal(p.storage.n, 8 + 3 + 3 + 64);
    assert_str(forge_repo_path(&G, &F.a, p.storage), repo_path);
    assert_true(exists(repo_path));
    struct protection rule;
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_read(F.store, &tx, &F.e));
        OK(protection_get(&tx, &F.a, p.id, false, STR("main"), &rule, &F.e));
        assert_true(rule.push_level == ACCESS_MAINTAINER && !rule.allow_force_push);
    }
    // Taken: no second repository is made, nor left.
    ERR(E_CONFLICT, project_create(&G, &F.a, &a, &n, &again, &F.e));
    assert_int_equal(repo_calls, 1);

    struct actor stranger = actor_of(account("bob", false));
    ERR(E_NOTFOUND, project_remove(&G, &F.a, &stranger, p.id, &F.e));
    OK(project_remove(&G, &F.a, &a, p.id, &F.e));
    ERR(E_NOTFOUND, project_remove(&G, &F.a, &a, p.id, &F.e));
    assert_true(exists(repo_path));
    assert_true(trash_empty(F.store, 100, &F.e) > 0);
    assert_false(exists(repo_path));
    OK(project_create(&G, &F.a, &a, &n, &p, &F.e)); // the path is free again
}

static void a_failed_repository_leaves_nothing(void **state)
{
    struct actor a = actor_of(account("ada", false));
    struct project p;
    struct project_new n = {.path = STR("x"), .visibility = -1};
    repo_result = E_LIMIT;
    ERR(E_LIMIT, project_create(&G, &F.a, &a, &n, &p, &F.e));
    assert_false(exists(repo_path));
    _autotx_ struct tx tx = TX_NONE;
    OK(store_read(F.store, &tx, &F.e));
    ERR(E_NOTFOUND, project_by_path(&tx, &F.a, STR("ada/x"), &p, &F.e));
}

static void stray_repositories_are_swept(void **state)
{
    struct actor a = actor_of(account("ada", false));
    struct project p;
    struct project_new n = {.path = STR("x"), .visibility = -1};
    OK(project_create(&G, &F.a, &a, &n, &p, &F.e));
    char kept[512];
    snprintf(kept, sizeof(kept), "%s", repo_path);
    // As if the server had died after making it.
    OK(fake_repo(arena_printf(&F.a, "%s/repos/@hashed/aa/bb/aabb.git", F.folder), STR("main"),
                 &F.e));
    assert_int_equal(project_sweep_repos(&G, &F.e), 1);
    assert_false(exists(repo_path));
    assert_true(exists(kept));
    assert_int_equal(project_sweep_repos(&G, &F.e), 0);
}

static void upkeep_forgets_what_is_over(void **state)
{
    struct user ada = account("ada", false);
    struct actor a = actor_of(ada), in;
    struct project p;
    struct project_new n = {.path = STR("x"), .visibility = -1};
    char cookie[TOKEN_TEXT_SIZE];
    int64_t now = clock_wall_ms();
    OK(project_create(&G, &F.a, &a, &n, &p, &F.e));
    OK(auth_session_begin(&G, &F.a, &a, STR(""), STR(""), cookie, &in, &F.e));
    struct pages_deployment old = {.project_id = p.id, .dir = STR("pages/old")};
    struct pages_deployment new = {.project_id = p.id, .dir = STR("pages/new")};
    char dir[2][128];
    for (int i = 0; i < 2; i++) {
        snprintf(dir[i], sizeof(dir[i]), "%s/pages/%s", F.folder, i ? "new" : "old");
        assert_int_equal(mkdir(dir[i], 0700), 0);
    }
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_write(F.store, &tx, &F.e));
        OK(pages_insert(&tx, &old, &F.e));
        OK(pages_insert(&tx, &new, &F.e));
        OK(pages_activate(&tx, old.id, &F.e));
        OK(pages_activate(&tx, new.id, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    OK(forge_upkeep(&G, now, &F.e));
    assert_true(exists(dir[0])); // somebody may still be reading it
    struct session *list;
    size_t left;
    OK(forge_upkeep(&G, now + PAGES_KEEP_MS + SESSION_LIFE_MS + 60000, &F.e));
    assert_false(exists(dir[0]));
    assert_true(exists(dir[1]));
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_read(F.store, &tx, &F.e));
        OK(session_list(&tx, &F.a, ada.id, &list, &left, &F.e));
        assert_int_equal(left, 0);
    }
    int64_t removed;
    OK(fake_repo(arena_printf(&F.a, "%s/repos/@hashed/aa/bb/aabb.git", F.folder), STR("main"),
                 &F.e));
    OK(forge_start(&G, &removed, &F.e));
    assert_int_equal(removed, 1);
}

static void where_a_project_may_go(void **state)
{
    struct actor ada = actor_of(account("ada", false)), bob = actor_of(account("bob", false));
    struct actor nobody = ACTOR_NOBODY;
    struct ns g;
    struct project p;
    struct group_new gn = {.path = STR("acme"), .name = STR("Acme"), .visibility = -1};
    OK(group_create(&G, &F.a, &ada, &gn, &g, &F.e));
    struct project_new n = {.path = STR("x"), .visibility = -1, .namespace_id = g.id};
    ERR(E_DENIED, project_create(&G, &F.a, &nobody, &n, &p, &F.e));
    ERR(E_NOTFOUND, project_create(&G, &F.a, &bob, &n, &p, &F.e));
    OK(member_change(&G, &F.a, &ada, 0, g.id, bob.user_id, ACCESS_DEVELOPER, 0, &F.e));
    ERR(E_DENIED, project_create(&G, &F.a, &bob, &n, &p, &F.e));
    OK(member_change(&G, &F.a, &ada, 0, g.id, bob.user_id, ACCESS_MAINTAINER, 0, &F.e));
    OK(project_create(&G, &F.a, &bob, &n, &p, &F.e));
    assert_str(p.full_path, "acme/x");
    n.path = STR("open");
    n.visibility = VIS_PUBLIC;
    ERR(E_INVALID, project_create(&G, &F.a, &ada, &n, &p, &F.e)); // in a private group
    static const char *const bad[] = {"-", "a b", "a/b", "x.git", "tree", "..", "."};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct project_new w = {.path = str_of(bad[i]), .visibility = -1};
        ERR(E_INVALID, project_create(&G, &F.a, &ada, &w, &p, &F.e));
    }
    struct group_new top = {.path = STR("api"), .name = STR("x"), .visibility = -1};
    ERR(E_INVALID, group_create(&G, &F.a, &ada, &top, &g, &F.e));
    ERR(E_DENIED, group_remove(&G, &F.a, &bob, g.id, &F.e));
    ERR(E_CONFLICT, group_remove(&G, &F.a, &ada, g.id, &F.e));
}

static void changing_a_project(void **state)
{
    struct actor ada = actor_of(account("ada", false)), bob = actor_of(account("bob", false));
    struct project p, was;
    struct project_new n = {.path = STR("x"), .visibility = -1};
    OK(project_create(&G, &F.a, &ada, &n, &p, &F.e));
    OK(member_change(&G, &F.a, &ada, p.id, 0, bob.user_id, ACCESS_MAINTAINER, 0, &F.e));
    was = p;
    p.description = STR("new");
    OK(project_change(&G, &F.a, &bob, &p, &F.e));
    p.visibility = VIS_PUBLIC;
    ERR(E_DENIED, project_change(&G, &F.a, &bob, &p, &F.e));
    OK(project_change(&G, &F.a, &ada, &p, &F.e));
    p.repository_quota = 5;
    ERR(E_DENIED, project_change(&G, &F.a, &ada, &p, &F.e));
    p = was;
    p.path = STR("y");
    OK(project_change(&G, &F.a, &ada, &p, &F.e));
    p.path = STR("a b");
    ERR(E_INVALID, project_change(&G, &F.a, &ada, &p, &F.e));
    p = was;
    p.build_timeout_s = 5;
    ERR(E_INVALID, project_change(&G, &F.a, &ada, &p, &F.e));
    _autotx_ struct tx tx = TX_NONE;
    OK(store_read(F.store, &tx, &F.e));
    OK(project_by_path(&tx, &F.a, STR("ada/y"), &p, &F.e));
}

static void members_give_no_more_than_they_have(void **state)
{
    struct actor ada = actor_of(account("ada", false)), bob = actor_of(account("bob", false));
    struct user cyd = account("cyd", false);
    struct actor c = actor_of(cyd);
    struct ns g;
    struct project p;
    struct group_new gn = {.path = STR("acme"), .name = STR("Acme"), .visibility = -1};
    OK(group_create(&G, &F.a, &ada, &gn, &g, &F.e));
    struct project_new n = {.path = STR("x"), .visibility = -1, .namespace_id = g.id};
    OK(project_create(&G, &F.a, &ada, &n, &p, &F.e));
    OK(member_change(&G, &F.a, &ada, p.id, 0, bob.user_id, ACCESS_MAINTAINER, 0, &F.e));
    OK(member_change(&G, &F.a, &bob, p.id, 0, cyd.id, ACCESS_MAINTAINER, 0, &F.e));
    ERR(E_DENIED, member_change(&G, &F.a, &bob, p.id, 0, cyd.id, ACCESS_OWNER, 0, &F.e));
    ERR(E_INVALID, member_change(&G, &F.a, &ada, p.id, 0, cyd.id, 35, 0, &F.e));
    ERR(E_INVALID, member_change(&G, &F.a, &ada, p.id, 0, cyd.id, 60, 0, &F.e));
    OK(member_change(&G, &F.a, &ada, p.id, 0, cyd.id, ACCESS_OWNER, 0, &F.e));
    ERR(E_DENIED, member_change(&G, &F.a, &bob, p.id, 0, cyd.id, ACCESS_GUEST, 0, &F.e));
    ERR(E_DENIED, member_drop(&G, &F.a, &bob, p.id, 0, cyd.id, &F.e));
    OK(member_drop(&G, &F.a, &c, p.id, 0, cyd.id, &F.e)); // anybody may leave
    ERR(E_NOTFOUND, member_change(&G, &F.a, &c, p.id, 0, cyd.id, ACCESS_GUEST, 0, &F.e));

    ERR(E_DENIED, member_drop(&G, &F.a, &ada, 0, g.id, ada.user_id, &F.e)); // the last owner
    ERR(E_DENIED, member_change(&G, &F.a, &ada, 0, g.id, ada.user_id, ACCESS_GUEST, 0, &F.e));
    OK(member_change(&G, &F.a, &ada, 0, g.id, cyd.id, ACCESS_OWNER, 0, &F.e));
    OK(member_drop(&G, &F.a, &ada, 0, g.id, ada.user_id, &F.e));
}

RUN_TESTS(CASE(a_project_with_its_repository), CASE(a_failed_repository_leaves_nothing),
          CASE(stray_repositories_are_swept), CASE(upkeep_forgets_what_is_over),
          CASE(where_a_project_may_go), CASE(changing_a_project),
          CASE(members_give_no_more_than_they_have))
