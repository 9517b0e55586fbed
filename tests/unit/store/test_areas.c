// SPDX-License-Identifier: Apache-2.0
// Each area gives back what it was given, keeps names unique, and pages as GitLab does.
#include "fixture.h"

#include "store/artifacts.h"
#include "store/events.h"
#include "store/members.h"
#include "store/namespaces.h"
#include "store/pages.h"
#include "store/protections.h"
#include "store/sessions.h"
#include "store/settings.h"
#include "store/tokens.h"
#include "store/trash.h"
#include "store/variables.h"

#include <fcntl.h>

#define WRITE                                                                                      \
    _autotx_ struct tx tx = TX_NONE;                                                               \
    OK(store_write(F.store, &tx, &F.e))
#define READ                                                                                       \
    _autotx_ struct tx tx = TX_NONE;                                                               \
    OK(store_read(F.store, &tx, &F.e))

static void users(void **state)
{
    int64_t id = make_user("Ada");
    {
        WRITE;
        struct user u = {.username = STR("ADA"), .name = STR("x"), .email = STR("other@x.org")};
        ERR(E_CONFLICT, user_insert(&tx, STR("h"), &u, &F.e));
        u.username = STR("bob");
        u.email = STR("ada@EXAMPLE.org");
        ERR(E_CONFLICT, user_insert(&tx, STR("h"), &u, &F.e));
    }
    {
        WRITE;
        struct user u;
        OK(user_by_username(&tx, &F.a, STR("aDa"), &u, &F.e));
        assert_int_equal(u.id, id);
        assert_str(u.username, "Ada");
        assert_true(u.namespace_id > 0);
        OK(user_by_login(&tx, &F.a, STR("ada@example.org"), &u, &F.e));
        assert_int_equal(u.id, id);
        ERR(E_NOTFOUND, user_by_login(&tx, &F.a, STR("nobody"), &u, &F.e));
        struct str hash;
        OK(user_password_hash(&tx, &F.a, id, &hash, &F.e));
        assert_str(hash, "x");
        OK(user_set_password_hash(&tx, id, STR("new"), &F.e));
        OK(user_password_hash(&tx, &F.a, id, &hash, &F.e));
        assert_str(hash, "new");
        u.name = STR("Ada L.");
        u.state = USER_BLOCKED;
        u.admin = true;
        OK(user_update(&tx, &u, &F.e));
        OK(user_get(&tx, &F.a, id, &u, &F.e));
        assert_str(u.name, "Ada L.");
        assert_true(u.admin && u.state == USER_BLOCKED);
        OK(tx_commit(&tx, &F.e));
    }
    for (int i = 0; i < 25; i++)
        make_user(arena_printf(&F.a, "user%02d", i));
    READ;
    struct user *list;
    size_t n;
    struct page page = {.page = 2, .per_page = 10};
    OK(user_list(&tx, &F.a, &(struct user_filter){.search = STR("USER")}, &page, &list, &n, &F.e));
    assert_int_equal(n, 10);
    assert_int_equal(page.total, 25);
    assert_str(list[0].username, "user14");
    page = (struct page){.page = 3, .per_page = 10};
    OK(user_list(&tx, &F.a, &(struct user_filter){.search = STR("user")}, &page, &list, &n, &F.e));
    assert_int_equal(n, 5);
    assert_int_equal(page.total, 25);
    page = (struct page){.page = 9, .per_page = 10};
    OK(user_list(&tx, &F.a, &(struct user_filter){.search = STR("user")}, &page, &list, &n, &F.e));
    assert_int_equal(n, 0);
    assert_int_equal(page.total, 25);
    page = (struct page){.per_page = 100000};
    // A wildcard in the search is a character like any other.
    OK(user_list(&tx, &F.a, &(struct user_filter){.search = STR("user%")}, &page, &list, &n, &F.e));
    assert_int_equal(n, 0);
    assert_int_equal(page.per_page, STORE_PER_PAGE_MAX);
    page = (struct page){0};
    OK(user_list(&tx, &F.a, &(struct user_filter){.blocked = true}, &page, &list, &n, &F.e));
    assert_int_equal(n, 1);
}

static void tokens_and_sessions(void **state)
{
    int64_t id = make_user("ada");
    unsigned char hash[SHA256_SIZE];
    WRITE;
    struct token t = {.user_id = id, .name = STR("ci"), .scopes = SCOPE_API, .expires_at = 50};
    OK(token_insert(&tx, sha256(STR("one"), hash), &t, &F.e));
    struct token t2 = {.user_id = id, .name = STR("ci2"), .scopes = SCOPE_READ_API};
    OK(token_insert(&tx, sha256(STR("two"), hash), &t2, &F.e));
    struct token got;
    OK(token_by_hash(&tx, &F.a, sha256(STR("one"), hash), &got, &F.e));
    assert_int_equal(got.id, t.id);
    assert_str(got.name, "ci");
    assert_int_equal(got.expires_at, 50);
    ERR(E_NOTFOUND, token_by_hash(&tx, &F.a, sha256(STR("three"), hash), &got, &F.e));
    struct token *list;
    size_t n;
    struct page page = {0};
    struct token_filter f = {.user_id = id, .state = TOKENS_ACTIVE};
    OK(token_list(&tx, &F.a, &f, 60, &page, &list, &n, &F.e));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].id, t2.id);
    f.state = TOKENS_INACTIVE;
    OK(token_list(&tx, &F.a, &f, 60, &page, &list, &n, &F.e));
    assert_int_equal(n, 1);
    OK(token_list(&tx, &F.a, &f, 40, &page, &list, &n, &F.e));
    assert_int_equal(n, 0);
    OK(token_revoke(&tx, t2.id, &F.e));
    OK(token_get(&tx, &F.a, t2.id, &got, &F.e));
    assert_true(got.revoked);
    unsigned bit;
    assert_true(token_scope_parse(STR("write_repository"), &bit) && bit == SCOPE_WRITE_REPOSITORY);
    assert_false(token_scope_parse(STR("everything"), &bit));

    struct session s = {.user_id = id, .csrf = STR("c"), .expires_at = 100};
    OK(session_insert(&tx, sha256(STR("cookie"), hash), &s, &F.e));
    struct session gs;
    OK(session_by_hash(&tx, &F.a, sha256(STR("cookie"), hash), &gs, &F.e));
    assert_str(gs.csrf, "c");
    OK(session_touch(&tx, s.id, 70, 200, &F.e));
    assert_int_equal(session_sweep(&tx, 150, &F.e), 0);
    assert_int_equal(session_sweep(&tx, 200, &F.e), 1);
    ERR(E_NOTFOUND, session_delete(&tx, s.id, &F.e));
}

static void namespaces_and_projects(void **state)
{
    int64_t ada = make_user("ada"), bob = make_user("bob");
    int64_t top = make_group("Acme", 0), sub = make_group("tools", top);
    int64_t mine = make_project(user_ns(ada), "Site", VIS_PRIVATE);
    int64_t open = make_project(sub, "open", VIS_PUBLIC);
    int64_t inside = make_project(sub, "inside", VIS_INTERNAL);
    WRITE;
    struct ns n;
    OK(ns_by_path(&tx, &F.a, STR("acme/TOOLS"), &n, &F.e));
    assert_int_equal(n.id, sub);
    assert_str(n.full_path, "Acme/tools");
    assert_str(n.full_name, "Acme / tools");
    struct project p;
    OK(project_by_path(&tx, &F.a, STR("ACME/tools/open"), &p, &F.e));
    assert_int_equal(p.id, open);
    assert_str(p.full_path, "Acme/tools/open");
    assert_str(p.full_name, "Acme / tools / open");
    assert_str(p.ns_full_path, "Acme/tools");
    assert_true(p.ns_group && p.ci_enabled && p.build_timeout_s == 3600);
    ERR(E_NOTFOUND, project_by_path(&tx, &F.a, STR("acme/tools"), &p, &F.e));

    // One space of names for groups, users and projects.
    struct ns clash = {.group = true, .path = STR("ADA"), .name = STR("x")};
    ERR(E_CONFLICT, ns_insert(&tx, &F.a, &clash, &F.e));
    struct ns clash2 = {.group = true, .parent_id = sub, .path = STR("OPEN"), .name = STR("x")};
    ERR(E_CONFLICT, ns_insert(&tx, &F.a, &clash2, &F.e));
    ERR(E_CONFLICT, ns_delete(&tx, sub, &F.e));

    OK(project_get(&tx, &F.a, mine, &p, &F.e));
    p.description = STR("about");
    p.archived = true;
    p.repository_quota = 12;
    OK(project_update(&tx, &p, &F.e));
    OK(project_set_path(&tx, &F.a, mine, STR("home"), &F.e));
    OK(project_pushed(&tx, mine, 77, false, STR("trunk"), 9, &F.e));
    OK(project_by_path(&tx, &F.a, STR("ada/home"), &p, &F.e));
    assert_str(p.description, "about");
    assert_true(p.archived && !p.empty_repo && p.repository_size == 77 && p.repository_quota == 12);
    assert_str(p.default_branch, "main");
    ERR(E_NOTFOUND, project_by_path(&tx, &F.a, STR("ada/site"), &p, &F.e));

    int64_t iid;
    OK(project_next_iid(&tx, mine, &iid, &F.e));
    assert_int_equal(iid, 1);
    OK(project_next_iid(&tx, mine, &iid, &F.e));
    assert_int_equal(iid, 2);
    ERR(E_NOTFOUND, project_next_iid(&tx, 999, &iid, &F.e));

    // Who sees what.
    struct member m = {.user_id = bob, .namespace_id = top, .access_level = ACCESS_DEVELOPER};
    OK(member_set(&tx, &m, &F.e));
    const struct {
        int64_t viewer;
        bool all, membership;
        int min;
        size_t n;
    } cases[] = {
        {0, false, false, 0, 1},    {ada, false, false, 0, 3}, {bob, false, false, 0, 2},
        {ada, false, true, 0, 1},   {bob, false, true, 0, 2},  {bob, false, true, 40, 0},
        {bob, false, false, 30, 2}, {ada, true, false, 0, 3},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct project_filter f = PROJECT_FILTER_ALL;
        struct project *list;
        struct page page = {0};
        size_t got;
        f.viewer_id = cases[i].viewer;
        f.viewer_all = cases[i].all;
        f.membership = cases[i].membership;
        f.min_access = cases[i].min;
        OK(project_list(&tx, &F.a, &f, &page, &list, &got, &F.e));
        if (got != cases[i].n)
            fail_msg("case %zu: %zu projects, want %zu", i, got, cases[i].n);
        assert_int_equal(page.total, got);
    }
    struct project_filter f = PROJECT_FILTER_ALL;
    struct project *list;
    struct page page = {.per_page = 1};
    size_t got;
    f.viewer_all = true;
    f.order = PROJECTS_BY_NAME;
    f.ascending = true;
    OK(project_list(&tx, &F.a, &f, &page, &list, &got, &F.e));
    assert_int_equal(page.total, 3);
    assert_int_equal(list[0].id, inside);
    f.namespace_id = top;
    OK(project_list(&tx, &F.a, &f, &page, &list, &got, &F.e));
    assert_int_equal(page.total, 0);
    f.include_subgroups = true;
    page.per_page = 5;
    OK(project_list(&tx, &F.a, &f, &page, &list, &got, &F.e));
    assert_int_equal(page.total, 2);

    struct ns *groups;
    struct ns_filter nf = {.viewer_id = bob, .groups_only = true};
    OK(ns_list(&tx, &F.a, &nf, &page, &groups, &got, &F.e));
    assert_int_equal(got, 2);
    nf.viewer_id = ada;
    OK(ns_list(&tx, &F.a, &nf, &page, &groups, &got, &F.e));
    assert_int_equal(got, 0);
}

static void members_inherit(void **state)
{
    int64_t ada = make_user("ada"), bob = make_user("bob");
    int64_t top = make_group("a", 0), mid = make_group("b", top), low = make_group("c", mid);
    int64_t p = make_project(low, "p", VIS_PRIVATE);
    WRITE;
    int level;
    OK(member_project_level(&tx, p, ada, 10, &level, &F.e));
    assert_int_equal(level, 0);
    struct member m = {.user_id = ada, .namespace_id = top, .access_level = ACCESS_REPORTER};
    OK(member_set(&tx, &m, &F.e));
    m = (struct member){
        .user_id = ada, .project_id = p, .access_level = ACCESS_DEVELOPER, .expires_at = 100};
    OK(member_set(&tx, &m, &F.e));
    m = (struct member){.user_id = bob, .namespace_id = mid, .access_level = ACCESS_MAINTAINER};
    OK(member_set(&tx, &m, &F.e));
    OK(member_project_level(&tx, p, ada, 10, &level, &F.e));
    assert_int_equal(level, ACCESS_DEVELOPER);
    OK(member_project_level(&tx, p, ada, 100, &level, &F.e));
    assert_int_equal(level, ACCESS_REPORTER);
    OK(member_ns_level(&tx, low, bob, 10, &level, &F.e));
    assert_int_equal(level, ACCESS_MAINTAINER);
    OK(member_ns_level(&tx, top, bob, 10, &level, &F.e));
    assert_int_equal(level, 0);

    struct member *list;
    size_t n;
    struct page page = {0};
    OK(member_list(&tx, &F.a, p, 0, true, STR_NONE, 10, &page, &list, &n, &F.e));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].user_id, bob);
    assert_int_equal(list[0].namespace_id, mid);
    assert_int_equal(list[1].access_level, ACCESS_DEVELOPER);
    OK(member_list(&tx, &F.a, p, 0, false, STR_NONE, 10, &page, &list, &n, &F.e));
    assert_int_equal(n, 1);
    m.access_level = ACCESS_OWNER;
    OK(member_set(&tx, &m, &F.e));
    OK(member_get(&tx, &F.a, 0, mid, bob, &m, &F.e));
    assert_int_equal(m.access_level, ACCESS_OWNER);
    OK(member_remove(&tx, 0, mid, bob, &F.e));
    ERR(E_NOTFOUND, member_remove(&tx, 0, mid, bob, &F.e));
    m = (struct member){.user_id = 4711, .project_id = p, .access_level = 10};
    ERR(E_NOTFOUND, member_set(&tx, &m, &F.e));
}

static void variables_are_sealed(void **state)
{
    int64_t ada = make_user("ada"), top = make_group("a", 0), p = make_project(top, "p", 0);
    (void)ada;
    WRITE;
    struct variable v = {.project_id = p, .key = STR("KEY"), .value = STR("project secret")};
    OK(variable_insert(&tx, &v, &F.e));
    ERR(E_CONFLICT, variable_insert(&tx, &v, &F.e));
    struct variable s = {.project_id = p,
                         .key = STR("KEY"),
                         .value = STR("staging"),
                         .environment_scope = STR("staging")};
    OK(variable_insert(&tx, &s, &F.e));
    struct variable g = {
        .namespace_id = top, .key = STR("KEY"), .value = STR("group"), .masked = true};
    OK(variable_insert(&tx, &g, &F.e));
    struct variable i = {.key = STR("KEY"), .value = STR("instance")};
    OK(variable_insert(&tx, &i, &F.e));

    struct variable got;
    ERR(E_CONFLICT, variable_get(&tx, &F.a, p, 0, STR("KEY"), STR_NONE, &got, &F.e));
    OK(variable_get(&tx, &F.a, p, 0, STR("KEY"), STR("staging"), &got, &F.e));
    assert_str(got.value, "staging");
    got.value = STR("changed");
    got.is_protected = true;
    OK(variable_update(&tx, &got, &F.e));
    struct variable *list;
    size_t n;
    OK(variable_inherited(&tx, &F.a, p, &list, &n, &F.e));
    assert_int_equal(n, 4);
    assert_str(list[0].value, "instance");
    assert_str(list[1].value, "group");
    assert_true(list[1].masked);
    assert_str(list[2].value, "project secret");
    assert_str(list[3].value, "changed");
    struct page page = {0};
    OK(variable_list(&tx, &F.a, p, 0, &page, &list, &n, &F.e));
    assert_int_equal(page.total, 2);
    OK(variable_delete(&tx, v.id, &F.e));
    OK(tx_commit(&tx, &F.e));

    // The plain text is nowhere in the files.
    OK(store_backup(F.store, arena_printf(&F.a, "%s/copy.db", F.folder), &F.e));
    int fd = open(arena_printf(&F.a, "%s/copy.db", F.folder), O_RDONLY);
    assert_true(fd >= 0);
    char *bytes = arena_alloc(&F.a, 1, MIB(4));
    ssize_t len = read(fd, bytes, MIB(4));
    close(fd);
    assert_true(len > 0);
    assert_null(memmem(bytes, (size_t)len, "instance\0", 9));
    assert_null(memmem(bytes, (size_t)len, "changed", 7));
}

static void pipelines_and_jobs(void **state)
{
    int64_t ada = make_user("ada"), p = make_project(user_ns(ada), "p", VIS_PRIVATE);
    int64_t one = make_pipeline(p, "main", CI_CREATED), two = make_pipeline(p, "dev", CI_PENDING);
    int64_t build = make_job(p, one, "build", CI_PENDING, "linux");
    WRITE;
    struct pipeline g;
    OK(pipeline_by_iid(&tx, &F.a, p, 2, &g, &F.e));
    assert_int_equal(g.id, two);
    OK(pipeline_set_status(&tx, one, CI_BIT(CI_CREATED), CI_RUNNING, g.created_at + 5, &F.e));
    ERR(E_CONFLICT, pipeline_set_status(&tx, one, CI_BIT(CI_CREATED), CI_SUCCESS, 1, &F.e));
    OK(pipeline_get(&tx, &F.a, one, &g, &F.e));
    assert_true(g.status == CI_RUNNING && g.started_at > 0 && g.finished_at == 0);
    OK(pipeline_set_status(&tx, one, CI_SET_ALIVE, CI_FAILED, g.started_at + 7, &F.e));
    OK(pipeline_get(&tx, &F.a, one, &g, &F.e));
    assert_int_equal(g.finished_at, g.started_at + 7);
    struct pipeline_filter f = {.project_id = p, .tag = -1, .statuses = CI_BIT(CI_FAILED)};
    struct pipeline *pipes;
    struct page page = {0};
    size_t n;
    OK(pipeline_list(&tx, &F.a, &f, &page, &pipes, &n, &F.e));
    assert_int_equal(n, 1);
    assert_int_equal(pipes[0].id, one);
    f.statuses = 0;
    f.ref = STR("dev");
    OK(pipeline_list(&tx, &F.a, &f, &page, &pipes, &n, &F.e));
    assert_int_equal(n, 1);
    OK(pipeline_latest(&tx, &F.a, p, STR("dev"), STR_NONE, 0, &g, &F.e));
    assert_int_equal(g.id, two);
    int64_t *ids;
    OK(pipeline_unfinished(&tx, &F.a, &ids, &n, &F.e));
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], two);

    struct job_need needs[] = {{STR("build"), true, false}, {STR("lint"), false, true}};
    struct str tags[] = {STR("z"), STR("a"), STR("z")};
    struct job j = {.project_id = p,
                    .pipeline_id = one,
                    .name = STR("test"),
                    .stage = STR("test"),
                    .status = CI_CREATED,
                    .dag = true,
                    .spec = STR("{\"a\":1}"),
                    .needs = needs,
                    .nneeds = 2,
                    .tags = tags,
                    .ntags = 3,
                    .when = WHEN_ON_FAILURE,
                    .retry_when = STR("always"),
                    .retry_max = 2};
    OK(job_insert(&tx, &j, 1000, &F.e));
    struct job got;
    OK(job_get(&tx, &F.a, j.id, &got, &F.e));
    assert_str(got.tag_list, "a,z");
    assert_true(got.dag && got.when == WHEN_ON_FAILURE && got.exit_code == -1 && got.coverage < 0);
    struct job_edge *edges;
    OK(job_edges(&tx, &F.a, one, &edges, &n, &F.e));
    assert_int_equal(n, 2);
    assert_str(edges[0].need.name, "build");
    assert_true(edges[0].need.artifacts && edges[1].need.optional);

    ERR(E_CONFLICT, job_move(&tx, j.id, CI_BIT(CI_PENDING), CI_RUNNING, 0, 1, &F.e));
    OK(job_move(&tx, j.id, CI_BIT(CI_CREATED), CI_PENDING, 0, 2000, &F.e));
    OK(job_get(&tx, &F.a, j.id, &got, &F.e));
    assert_int_equal(got.queued_at, 2000);
    OK(job_move(&tx, j.id, CI_BIT(CI_PENDING), CI_RUNNING, 0, 3000, &F.e));
    OK(job_finish(&tx, j.id, CI_SET_ON_RUNNER, CI_FAILED, STR("script_failure"), 3, 4000, &F.e));
    ERR(E_CONFLICT, job_finish(&tx, j.id, CI_SET_ON_RUNNER, CI_SUCCESS, STR(""), 0, 4001, &F.e));
    struct job again;
    OK(job_insert_retry(&tx, &F.a, j.id, CI_PENDING, 0, 5000, &again, &F.e));
    assert_int_equal(again.attempt, 1);
    assert_int_equal(again.spec_id, got.spec_id);
    assert_int_equal(again.exit_code, -1);
    assert_str(again.failure_reason, "");
    assert_str(again.tag_list, "a,z");
    struct job_need *copied;
    OK(job_needs(&tx, &F.a, again.id, &copied, &n, &F.e));
    assert_int_equal(n, 2);
    struct str spec;
    OK(job_spec(&tx, &F.a, again.id, &spec, &F.e));
    assert_str(spec, "{\"a\":1}");
    ERR(E_CONFLICT, job_insert_retry(&tx, &F.a, j.id, CI_PENDING, 0, 5000, &again, &F.e));
    struct job *jobs;
    OK(job_list_pipeline(&tx, &F.a, one, false, &jobs, &n, &F.e));
    assert_int_equal(n, 2);
    OK(job_list_pipeline(&tx, &F.a, one, true, &jobs, &n, &F.e));
    assert_int_equal(n, 3);
    OK(job_list(&tx, &F.a, p, 0, CI_BIT(CI_FAILED), true, &page, &jobs, &n, &F.e));
    assert_int_equal(n, 1);
    OK(job_list(&tx, &F.a, p, one, CI_BIT(CI_PENDING), false, &page, &jobs, &n, &F.e));
    assert_int_equal(n, 2);

    struct artifact f1 = {.job_id = build,
                          .project_id = p,
                          .type = STR("archive"),
                          .format = STR("zip"),
                          .file_name = STR("artifacts.zip"),
                          .size = 10,
                          .expire_at = 500};
    f1.path = artifact_new_path(&F.a, p, build, f1.type, f1.format);
    OK(artifact_insert(&tx, &f1, &F.e));
    OK(artifact_insert(&tx, &f1, &F.e)); // again: replaces
    struct artifact *files, file;
    OK(artifact_list_pipeline(&tx, &F.a, one, &files, &n, &F.e));
    assert_int_equal(n, 1);
    OK(artifact_get(&tx, &F.a, build, STR("archive"), 499, &file, &F.e));
    ERR(E_NOTFOUND, artifact_get(&tx, &F.a, build, STR("archive"), 500, &file, &F.e));
    int64_t usage;
    OK(artifact_usage(&tx, p, &usage, &F.e));
    assert_int_equal(usage, 10);
    assert_int_equal(artifact_sweep(&tx, 499, 10, &F.e), 0);
    assert_int_equal(artifact_sweep(&tx, 500, 10, &F.e), 1);
    OK(pipeline_delete(&tx, one, &F.e));
    ERR(E_NOTFOUND, job_get(&tx, &F.a, build, &got, &F.e));
    OK(tx_commit(&tx, &F.e));
    OK(store_check(F.store, &F.e));
}

static void latest_artifacts_stay(void **state)
{
    int64_t ada = make_user("ada"), p = make_project(user_ns(ada), "p", VIS_PRIVATE);
    int64_t old = make_pipeline(p, "main", CI_SUCCESS), new = make_pipeline(p, "main", CI_SUCCESS);
    int64_t jobs[2] = {make_job(p, old, "a", CI_SUCCESS, NULL),
                       make_job(p, new, "a", CI_SUCCESS, NULL)};
    WRITE;
    for (int i = 0; i < 2; i++) {
        struct artifact f = {.job_id = jobs[i],
                             .project_id = p,
                             .type = STR("archive"),
                             .format = STR("zip"),
                             .path = STR("artifacts/x"),
                             .expire_at = 5};
        OK(artifact_insert(&tx, &f, &F.e));
    }
    assert_int_equal(artifact_sweep(&tx, 10, 10, &F.e), 1);
    struct artifact *left;
    size_t n;
    OK(artifact_list(&tx, &F.a, jobs[1], &left, &n, &F.e));
    assert_int_equal(n, 1);
}

static void pages_swap(void **state)
{
    int64_t ada = make_user("ada"), p = make_project(user_ns(ada), "p", VIS_PRIVATE);
    WRITE;
    struct pages_deployment one = {.project_id = p, .job_id = 5, .dir = STR("pages/1")};
    struct pages_deployment two = {.project_id = p, .job_id = 9, .dir = STR("pages/2")};
    struct pages_deployment got, *list;
    size_t n;
    ERR(E_NOTFOUND, pages_active(&tx, &F.a, p, &got, &F.e));
    OK(pages_insert(&tx, &one, &F.e));
    OK(pages_insert(&tx, &two, &F.e));
    OK(pages_activate(&tx, one.id, &F.e));
    OK(pages_activate(&tx, two.id, &F.e));
    ERR(E_CONFLICT, pages_activate(&tx, one.id, &F.e));
    OK(pages_list_active(&tx, &F.a, &list, &n, &F.e));
    assert_int_equal(n, 1);
    assert_str(list[0].dir, "pages/2");
    assert_int_equal(pages_sweep(&tx, clock_wall_ms() + 1000, &F.e), 1);
    OK(pages_delete(&tx, p, &F.e));
    ERR(E_NOTFOUND, pages_delete(&tx, p, &F.e));
}

static void small_things(void **state)
{
    int64_t ada = make_user("ada"), p = make_project(user_ns(ada), "p", VIS_PRIVATE);
    WRITE;
    struct str value;
    ERR(E_NOTFOUND, setting_get(&tx, &F.a, "x", &value, &F.e));
    OK(setting_set(&tx, "x", STR("1"), &F.e));
    OK(setting_set(&tx, "x", STR("2"), &F.e));
    OK(setting_get(&tx, &F.a, "x", &value, &F.e));
    assert_str(value, "2");

    struct event ev = {.audit = true, .action = STR("signed_in"), .author_id = ada};
    OK(event_insert(&tx, &ev, &F.e));
    struct event *events;
    struct page page = {0};
    size_t n;
    OK(event_list(&tx, &F.a, &(struct event_filter){.audit = 1}, &page, &events, &n, &F.e));
    assert_int_equal(n, 1);
    assert_str(events[0].author_username, "ada");

    struct protection rule = {.project_id = p, .name = STR("main"), .push_level = 40};
    OK(protection_insert(&tx, &rule, &F.e));
    ERR(E_CONFLICT, protection_insert(&tx, &rule, &F.e));
    rule.push_level = 30;
    OK(protection_update(&tx, &rule, &F.e));
    OK(protection_get(&tx, &F.a, p, false, STR("main"), &rule, &F.e));
    assert_int_equal(rule.push_level, 30);
    OK(protection_delete(&tx, p, false, STR("main"), &F.e));
    OK(tx_commit(&tx, &F.e));

    static const struct {
        const char *pattern, *name;
        bool fits;
    } names[] = {
        {"main", "main", true},
        {"main", "maint", false},
        {"*", "", true},
        {"*-stable", "1-stable", true},
        {"*-stable", "1-stable-2", false},
        {"release/*", "release/1/2", true},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "a-b-b", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(protection_matches(str_of(names[i].pattern), str_of(names[i].name)),
                         names[i].fits);
}

static void runners_see_projects(void **state)
{
    int64_t ada = make_user("ada"), g = make_group("g", 0);
    int64_t p = make_project(g, "p", VIS_PRIVATE), q = make_project(user_ns(ada), "q", VIS_PRIVATE);
    int64_t shared = make_runner("shared", "linux", true);
    unsigned char hash[SHA256_SIZE];
    WRITE;
    struct runner own = {.type = RUNNER_PROJECT, .project_id = q};
    OK(runner_insert(&tx, sha256(STR("own"), hash), &own, &F.e));
    struct runner group = {.type = RUNNER_GROUP, .group_id = g};
    OK(runner_insert(&tx, sha256(STR("group"), hash), &group, &F.e));
    struct runner *list, got;
    struct page page = {0};
    size_t n;
    OK(runner_list(&tx, &F.a, &(struct runner_filter){.project_id = p, .type = -1, .paused = -1},
                   &page, &list, &n, &F.e));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].id, group.id);
    assert_int_equal(list[1].id, shared);
    OK(runner_list(&tx, &F.a, &(struct runner_filter){.type = -1, .paused = -1}, &page, &list, &n,
                   &F.e));
    assert_int_equal(n, 3);
    OK(runner_by_token(&tx, &F.a, sha256(STR("shared"), hash), &got, &F.e));
    assert_str(got.tag_list, "linux");
    struct runner_manager m = {.runner_id = shared, .system_id = STR("s_1"), .version = STR("1")};
    bool due;
    OK(runner_manager_due(&tx, shared, STR("s_1"), 1000000, &due, &F.e));
    assert_true(due);
    OK(runner_manager_seen(&tx, &m, 1000000, &F.e));
    OK(runner_manager_seen(&tx, &m, 1000001, &F.e));
    OK(runner_manager_due(&tx, shared, STR("s_1"), 1000002, &due, &F.e));
    assert_false(due);
    struct runner_manager *ms;
    OK(runner_manager_list(&tx, &F.a, shared, &ms, &n, &F.e));
    assert_int_equal(n, 1);
    OK(runner_delete(&tx, shared, &F.e));
    ERR(E_NOTFOUND, runner_get(&tx, &F.a, shared, &got, &F.e));
}

static void deleting_a_project_trashes_its_files(void **state)
{
    int64_t ada = make_user("ada"), p = make_project(user_ns(ada), "p", VIS_PRIVATE);
    int64_t pipe = make_pipeline(p, "main", CI_RUNNING), j = make_job(p, pipe, "a", CI_RUNNING, 0);
    int64_t size;
    OK(trace_append(F.store, p, j, 0, STR("hello"), 0, &size, &F.e));
    {
        WRITE;
        OK(project_delete(&tx, &F.a, p, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    OK(trace_size(F.store, p, j, &size, &F.e));
    assert_int_equal(size, 5);
    assert_int_equal(trash_empty(F.store, 100, &F.e), 3);
    OK(trace_size(F.store, p, j, &size, &F.e));
    assert_int_equal(size, 0);
    assert_int_equal(trash_empty(F.store, 100, &F.e), 0);
    OK(store_check(F.store, &F.e));
}

RUN_TESTS(TEST(users), TEST(tokens_and_sessions), TEST(namespaces_and_projects),
          TEST(members_inherit), TEST(variables_are_sealed), TEST(pipelines_and_jobs),
          TEST(latest_artifacts_stay), TEST(pages_swap), TEST(small_things),
          TEST(runners_see_projects), TEST(deleting_a_project_trashes_its_files))
