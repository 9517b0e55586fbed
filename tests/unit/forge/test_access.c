// SPDX-License-Identifier: Apache-2.0
// Who sees what, who may push where, which variables a pipeline gets: tables of the rules.
#include "fixture.h"

enum {
    NOBODY,
    STRANGER,
    GUEST,
    REPORTER,
    DEVELOPER,
    MAINTAINER,
    OWNER,
    ADMIN,
    OWN_JOB,
    OTHER_JOB,
    PEOPLE
};
static const char *const PEOPLE_NAMES[] = {"nobody",    "stranger",   "guest", "reporter",
                                           "developer", "maintainer", "owner", "admin",
                                           "own job",   "other job"};

static struct actor who[PEOPLE];
static int64_t projects[3]; // private, internal, public

static int with_people(void **state)
{
    forge_setup(state);
    who[NOBODY] = ACTOR_NOBODY;
    for (int i = STRANGER; i <= OWNER; i++)
        who[i] = actor_of(account(PEOPLE_NAMES[i], false));
    who[ADMIN] = actor_of(account("root", true));
    int64_t group = make_group("g", 0);
    static const enum visibility vis[] = {VIS_PRIVATE, VIS_INTERNAL, VIS_PUBLIC};
    for (int i = 0; i < 3; i++)
        projects[i] = make_project(group, visibility_name(vis[i]), vis[i]);
    _autotx_ struct tx tx = TX_NONE;
    OK(store_write(F.store, &tx, &F.e));
    for (int i = GUEST; i <= OWNER; i++) {
        struct member m = {
            .user_id = who[i].user_id, .namespace_id = group, .access_level = 10 * (i - GUEST + 1)};
        OK(member_set(&tx, &m, &F.e));
    }
    OK(tx_commit(&tx, &F.e));
    // The job of a developer, in the private project; and one in another project altogether.
    who[OWN_JOB] = who[DEVELOPER];
    who[OWN_JOB].kind = ACTOR_JOB;
    who[OWN_JOB].job_project_id = projects[0];
    who[OTHER_JOB] = who[OWN_JOB];
    who[OTHER_JOB].job_project_id = 4711;
    return 0;
}
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, with_people, teardown)

static int see(int person, int64_t project, int min, int *ret_level)
{
    _autotx_ struct tx tx = TX_NONE;
    struct project p;
    OK(store_read(F.store, &tx, &F.e));
    return access_project_get(&tx, &F.a, &who[person], project, min, &p, ret_level, &F.e);
}

static void who_sees_what(void **state)
{
    // per person: private, internal, public; level where seen
    static const struct {
        int rc[3];
        int level;
    } want[PEOPLE] = {
        [NOBODY] = {{E_NOTFOUND, E_NOTFOUND, 0}, 0},
        [STRANGER] = {{E_NOTFOUND, 0, 0}, 0},
        [GUEST] = {{0, 0, 0}, 10},
        [REPORTER] = {{0, 0, 0}, 20},
        [DEVELOPER] = {{0, 0, 0}, 30},
        [MAINTAINER] = {{0, 0, 0}, 40},
        [OWNER] = {{0, 0, 0}, 50},
        [ADMIN] = {{0, 0, 0}, 50},
        [OTHER_JOB] = {{E_NOTFOUND, E_NOTFOUND, 0}, 0},
    };
    for (int i = 0; i < PEOPLE; i++) {
        if (i == OWN_JOB)
            continue;
        for (int v = 0; v < 3; v++) {
            int level = -1, rc = see(i, projects[v], ACCESS_NONE, &level);
            if (rc != want[i].rc[v] || (rc == 0 && level != want[i].level))
                fail_msg("%s, project %d: %s, level %d", PEOPLE_NAMES[i], v, err_name(rc), level);
        }
    }
    int level;
    OK(see(OWN_JOB, projects[0], ACCESS_NONE, &level));
    assert_int_equal(level, ACCESS_DEVELOPER);
    ERR(E_NOTFOUND, see(OWN_JOB, projects[1], ACCESS_NONE, &level));
    OK(see(OWN_JOB, projects[2], ACCESS_NONE, &level));
    assert_int_equal(level, 0);
    who[OWN_JOB].user_id = who[OWNER].user_id; // an owner's job is no owner
    OK(see(OWN_JOB, projects[0], ACCESS_NONE, &level));
    assert_int_equal(level, ACCESS_DEVELOPER);
    ERR(E_NOTFOUND, see(ADMIN, 4711, ACCESS_NONE, &level));
}

static void seen_but_not_allowed(void **state)
{
    ERR(E_DENIED, see(GUEST, projects[0], ACCESS_REPORTER, NULL));
    ERR(E_DENIED, see(STRANGER, projects[1], ACCESS_GUEST, NULL));
    ERR(E_NOTFOUND, see(STRANGER, projects[0], ACCESS_GUEST, NULL)); // existence stays hidden
    OK(see(MAINTAINER, projects[0], ACCESS_MAINTAINER, NULL));
    ERR(E_DENIED, see(MAINTAINER, projects[0], ACCESS_OWNER, NULL));
}

static void by_id_or_path(void **state)
{
    _autotx_ struct tx tx = TX_NONE;
    struct project p;
    struct ns n;
    OK(store_read(F.store, &tx, &F.e));
    char id[24];
    snprintf(id, sizeof(id), "%lld", (long long)projects[2]);
    static const char *const missing[] = {
        "g/none", "none",       "",         "0", "99999999999999999999", "9223372036854775808",
        "-1",     "g/public/x", "/g/public"};
    OK(access_project_find(&tx, &F.a, &who[NOBODY], str_of(id), 0, &p, NULL, &F.e));
    OK(access_project_find(&tx, &F.a, &who[NOBODY], STR("G/Public"), 0, &p, NULL, &F.e));
    assert_int_equal(p.id, projects[2]);
    for (size_t i = 0; i < ARRAY_SIZE(missing); i++)
        ERR(E_NOTFOUND,
            access_project_find(&tx, &F.a, &who[ADMIN], str_of(missing[i]), 0, &p, NULL, &F.e));
    ERR(E_NOTFOUND,
        access_project_find(&tx, &F.a, &who[NOBODY], STR("g/private"), 0, &p, NULL, &F.e));
    OK(access_ns_find(&tx, &F.a, &who[GUEST], STR("g"), 0, &n, NULL, &F.e));
    ERR(E_NOTFOUND, access_ns_find(&tx, &F.a, &who[STRANGER], STR("g"), 0, &n, NULL, &F.e));
    ERR(E_DENIED, access_ns_find(&tx, &F.a, &who[GUEST], STR("g"), ACCESS_OWNER, &n, NULL, &F.e));
}

static void expired_members_see_nothing(void **state)
{
    _autotx_ struct tx tx = TX_NONE;
    struct project p;
    struct member m = {.user_id = who[STRANGER].user_id,
                       .project_id = projects[0],
                       .access_level = ACCESS_OWNER,
                       .expires_at = clock_wall_ms() - 1};
    OK(store_write(F.store, &tx, &F.e));
    OK(member_set(&tx, &m, &F.e));
    ERR(E_NOTFOUND, access_project_get(&tx, &F.a, &who[STRANGER], projects[0], 0, &p, NULL, &F.e));
    m.expires_at = clock_wall_ms() + 60000;
    OK(member_set(&tx, &m, &F.e));
    OK(access_project_get(&tx, &F.a, &who[STRANGER], projects[0], 50, &p, NULL, &F.e));
}

static void code_of_private_projects(void **state)
{
    struct project p = {.visibility = VIS_PRIVATE};
    assert_false(access_may_read_code(&p, ACCESS_GUEST));
    assert_true(access_may_read_code(&p, ACCESS_REPORTER));
    p.visibility = VIS_PUBLIC;
    assert_true(access_may_read_code(&p, ACCESS_NONE));
}

static void who_pushes_where(void **state)
{
    _autotx_ struct tx tx = TX_NONE;
    struct project p;
    OK(store_write(F.store, &tx, &F.e));
    OK(project_get(&tx, &F.a, projects[0], &p, &F.e));
    struct protection rules[] = {
        {.name = STR("main"), .push_level = 40, .merge_level = 40},
        {.name = STR("release/*"), .push_level = 0},
        {.name = STR("team/*"), .push_level = 30, .allow_force_push = true},
        {.name = STR("team/core-*"), .push_level = 40},
        {.name = STR("v*"), .tag = true, .push_level = 40},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        rules[i].project_id = p.id;
        OK(protection_insert(&tx, &rules[i], &F.e));
    }
    static const struct {
        int level;
        const char *ref;
        int what;
        bool force;
        const char *says; // NULL: allowed
    } cases[] = {
        {20, "refs/heads/x", REF_CREATE, false, "not allowed to push"},
        {30, "refs/heads/x", REF_CREATE, false, NULL},
        {30, "refs/heads/x", REF_UPDATE, true, NULL},
        {30, "refs/heads/x", REF_DELETE, false, NULL},
        {30, "refs/heads/main", REF_UPDATE, false, "protected"},
        {40, "refs/heads/main", REF_UPDATE, false, NULL},
        {50, "refs/heads/main", REF_UPDATE, true, "forced"},
        {50, "refs/heads/main", REF_DELETE, false, "default branch"},
        {50, "refs/heads/release/1", REF_UPDATE, false, "protected"},
        {50, "refs/heads/release/1", REF_DELETE, false, "protected"},
        {50, "refs/heads/release", REF_UPDATE, false, NULL},
        {30, "refs/heads/team/a", REF_UPDATE, true, NULL},
        {30, "refs/heads/team/core-a", REF_UPDATE, false, NULL}, // the more permissive rule counts
        {30, "refs/heads/team/core-a", REF_UPDATE, true, "forced"}, // but not for this
        {30, "refs/tags/v1", REF_CREATE, false, "protected"},
        {40, "refs/tags/v1", REF_CREATE, false, NULL},
        {50, "refs/tags/v1", REF_UPDATE, false, "protected"},
        {50, "refs/tags/v1", REF_DELETE, false, "protected"},
        {30, "refs/tags/x", REF_CREATE, false, NULL},
        {30, "refs/tags/x", REF_DELETE, false, "existing tags"},
        {40, "refs/tags/x", REF_DELETE, false, NULL},
        {50, "refs/pipelines/1", REF_CREATE, false, "only branches and tags"},
        {50, "refs/merge-requests/1/head", REF_CREATE, false, "only branches and tags"},
        {50, "HEAD", REF_UPDATE, false, "only branches and tags"},
        {50, "refs/heads", REF_CREATE, false, "only branches and tags"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ref_change c = {str_of(cases[i].ref), cases[i].what, cases[i].force};
        F.e = ERR_INIT;
        int rc = access_push(&tx, &p, cases[i].level, &c, &F.e);
        if ((rc == 0) != (cases[i].says == NULL) || (rc < 0 && rc != E_DENIED))
            fail_msg("case %zu (%d %s): %s", i, cases[i].level, cases[i].ref, F.e.msg);
        if (rc < 0 && !strstr(F.e.msg, cases[i].says))
            fail_msg("case %zu says: %s", i, F.e.msg);
    }
    struct ref_change c = {STR("refs/heads/x"), REF_CREATE, false};
    p.archived = true;
    ERR(E_DENIED, access_push(&tx, &p, 50, &c, &F.e));
    p.archived = false;
    p.repository_quota = MIB(10);
    p.repository_size = MIB(10);
    ERR(E_DENIED, access_push(&tx, &p, 50, &c, &F.e));
    assert_non_null(strstr(F.e.msg, "quota"));
    c.what = REF_DELETE;
    OK(access_push(&tx, &p, 50, &c, &F.e));
}

static void which_variables_a_pipeline_gets(void **state)
{
    struct variable *v;
    size_t n;
    struct project p;
    _autotx_ struct tx tx = TX_NONE;
    OK(store_write(F.store, &tx, &F.e));
    OK(project_get(&tx, &F.a, projects[0], &p, &F.e));
    struct variable rows[] = {
        {.key = STR("A"), .value = STR("instance")},
        {.key = STR("B"), .value = STR("instance")},
        {.namespace_id = p.namespace_id, .key = STR("A"), .value = STR("group")},
        {.project_id = p.id, .key = STR("A"), .value = STR("project")},
        {.project_id = p.id, .key = STR("S"), .value = STR("secret"), .is_protected = true},
        {.project_id = p.id, .key = STR("E"), .value = STR("all")},
        {.project_id = p.id,
         .key = STR("E"),
         .value = STR("review"),
         .environment_scope = STR("review/*")},
        {.project_id = p.id,
         .key = STR("E"),
         .value = STR("one"),
         .environment_scope = STR("review/one")},
        {.project_id = projects[1], .key = STR("X"), .value = STR("elsewhere")},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        OK(variable_insert(&tx, &rows[i], &F.e));
    static const struct {
        bool is_protected;
        const char *environment, *want;
    } cases[] = {
        {false, "", "A=project B=instance E=all "},
        {true, "", "A=project B=instance E=all S=secret "},
        {false, "review/two", "A=project B=instance E=review "},
        {false, "review/one", "A=project B=instance E=one "},
        {false, "production", "A=project B=instance E=all "},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _autobuf_ struct buf got = BUF_INIT(KIB(4));
        OK(access_pipeline_variables(&tx, &F.a, p.id, cases[i].is_protected,
                                     str_of(cases[i].environment), &v, &n, &F.e));
        for (size_t k = 0; k < n; k++)
            buf_addf(&got, "%" PRISTR "=%" PRISTR " ", STRARG(v[k].key), STRARG(v[k].value));
        assert_str(buf_str(&got), cases[i].want);
    }
}

static void values_that_can_be_masked(void **state)
{
    static const struct {
        const char *value;
        bool raw, ok;
    } cases[] = {
        {"short", false, false},      {"longenough", false, true},  {"has space", false, false},
        {"two\nlines", false, false}, {"a$b$c$d$e", false, false},  {"a$b$c$d$e", true, true},
        {"has space", true, false},   {"base64==+/_", false, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(variable_maskable(str_of(cases[i].value), cases[i].raw), cases[i].ok);
    OK(variable_key_check(STR("KEY_1"), &F.e));
    ERR(E_INVALID, variable_key_check(STR("A-B"), &F.e));
    ERR(E_INVALID, variable_key_check(STR(""), &F.e));
}

RUN_TESTS(CASE(who_sees_what), CASE(seen_but_not_allowed), CASE(by_id_or_path),
          CASE(expired_members_see_nothing), CASE(code_of_private_projects), CASE(who_pushes_where),
          CASE(which_variables_a_pipeline_gets), CASE(values_that_can_be_masked))
