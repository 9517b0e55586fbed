// SPDX-License-Identifier: Apache-2.0
// Accounts, passwords, tokens and sessions: what lets one in, what does not, and what it leaves in
// the database.
#include "fixture.h"

#include "store/events.h"
#include "store/sessions.h"

#include <fcntl.h>
#include <pthread.h>

static void names_and_passwords(void **state)
{
    static const struct {
        const char *username, *email, *password;
        const char *says; // NULL: accepted
    } cases[] = {
        {"ada", "ada@example.org", "longenough", NULL},
        {"Ada.L_1-x", "a1@example.org", "longenough", NULL},
        {"_x", "a2@example.org", "longenough", NULL},
        {"", "b@example.org", "longenough", "blank"},
        {"a b", "b@example.org", "longenough", "letters"},
        {"a/b", "b@example.org", "longenough", "letters"},
        {"-x", "b@example.org", "longenough", "start"},
        {".x", "b@example.org", "longenough", "start"},
        {"x.", "b@example.org", "longenough", "end"},
        {"x..y", "b@example.org", "longenough", ".."},
        {"x.git", "b@example.org", "longenough", ".git"},
        {"x.GIT", "b@example.org", "longenough", ".git"},
        {"api", "b@example.org", "longenough", "reserved"},
        {"API", "b@example.org", "longenough", "reserved"},
        {"assets", "b@example.org", "longenough", "reserved"},
        {"ok1", "no-at", "longenough", "email"},
        {"ok1", "a@b@c", "longenough", "email"},
        {"ok1", "@b", "longenough", "email"},
        {"ok1", "a@", "longenough", "email"},
        {"ok1", "a b@c", "longenough", "email"},
        {"ok1", "a\n@c", "longenough", "email"},
        {"ok1", "b@example.org", "short", "too short"},
        {"longenough", "b@example.org", "LONGENOUGH", "username"},
        {"ADA", "b@example.org", "longenough", "taken"},
        {"other", "ADA@example.org", "longenough", "taken"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct user u;
        struct account_new n = {.username = str_of(cases[i].username),
                                .email = str_of(cases[i].email),
                                .password = str_of(cases[i].password)};
        F.e = ERR_INIT;
        int rc = account_create(&G, &F.a, &n, &u, &F.e);
        if ((rc == 0) != (cases[i].says == NULL))
            fail_msg("case %zu (%s): %d %s", i, cases[i].username, rc, F.e.msg);
        if (rc < 0 && !strstr(F.e.msg, cases[i].says))
            fail_msg("case %zu: says %s", i, F.e.msg);
        assert_null(strstr(F.e.msg, "longenough"));
    }
}

static void only_the_right_password(void **state)
{
    struct user u = account("ada", true);
    struct actor who;
    OK(auth_password(&G, &F.a, STR("ADA"), PASSWORD, &who, &F.e));
    assert_true(who.kind == ACTOR_USER && who.user_id == u.id && who.admin);
    OK(auth_password(&G, &F.a, STR("ada@example.org"), PASSWORD, &who, &F.e));
    static const char *const wrong[] = {"", "correct hors", "correct horse ", "CORRECT HORSE"};
    char said[500] = "";
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        ERR(E_DENIED, auth_password(&G, &F.a, STR("ada"), str_of(wrong[i]), &who, &F.e));
        assert_int_equal(who.kind, ACTOR_ANONYMOUS);
        snprintf(said, sizeof(said), "%s", F.e.msg);
    }
    ERR(E_DENIED, auth_password(&G, &F.a, STR("nobody"), PASSWORD, &who, &F.e));
    assert_string_equal(F.e.msg, said); // who exists is nobody's business
    ERR(E_DENIED, auth_password(&G, &F.a, STR(""), STR(""), &who, &F.e));

    OK(account_set_password(&G, u.id, STR("another one"), &F.e));
    ERR(E_DENIED, auth_password(&G, &F.a, STR("ada"), PASSWORD, &who, &F.e));
    OK(auth_password(&G, &F.a, STR("ada"), STR("another one"), &who, &F.e));
}

// With the real cost: an unknown name takes as long as a known one, within a factor.
static void unknown_names_take_as_long(void **state)
{
    struct actor who;
    int64_t took[2] = {INT64_MAX, INT64_MAX};
    G.password_fast = false;
    account("ada", false);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 2; i++) {
            int64_t from = clock_us();
            ERR(E_DENIED, auth_password(&G, &F.a, i ? STR("nobody") : STR("ada"), STR("wrong one"),
                                        &who, &F.e));
            took[i] = MIN(took[i], clock_us() - from);
        }
    print_message("a password check takes %lld us, of an unknown name %lld us\n",
                  (long long)took[0], (long long)took[1]);
    assert_true(took[1] * 2 > took[0] && took[0] * 2 > took[1]);
}

static int with_token(struct str secret, struct actor *ret)
{
    _autotx_ struct tx tx = TX_NONE;
    OK(store_read(F.store, &tx, &F.e));
    return auth_any_token(&tx, &F.a, secret, ret, &F.e);
}

static void tokens(void **state)
{
    struct user ada = account("ada", false), bob = account("bob", false), root = account("r", true);
    struct actor a = actor_of(ada), b = actor_of(bob), r = actor_of(root), who;
    char secret[TOKEN_TEXT_SIZE], other[TOKEN_TEXT_SIZE];
    struct token t, t2;
    OK(auth_token_create(&G, &a, ada.id, STR(" ci "), SCOPE_READ_API, 0, &t, secret, &F.e));
    assert_true(str_starts(str_of(secret), STR("glpat-")));
    assert_true(strlen(secret) >= 6 + 20);
    assert_str(t.name, "ci");
    OK(with_token(str_of(secret), &who));
    assert_true(who.user_id == ada.id && who.scopes == SCOPE_READ_API && who.token_id == t.id);
    assert_true(who.touch_due);
    OK(auth_touch(&G, &who, &F.e));
    OK(with_token(str_of(secret), &who));
    assert_false(who.touch_due);

    // Nearly right is wrong.
    char wrong[TOKEN_TEXT_SIZE];
    for (size_t i = 0; i < strlen(secret); i++) {
        memcpy(wrong, secret, sizeof(wrong));
        wrong[i] ^= 1;
        ERR(E_DENIED, with_token(str_of(wrong), &who));
    }
    ERR(E_DENIED, with_token(str_head(str_of(secret), strlen(secret) - 1), &who));
    ERR(E_DENIED, with_token(STR_NONE, &who));
    char *huge = arena_alloc(&F.a, 1, MIB(1));
    memset(huge, 'a', MIB(1));
    memcpy(huge, "glpat-", 6);
    ERR(E_DENIED, with_token(str_n(huge, MIB(1)), &who));

    ERR(E_INVALID, auth_token_create(&G, &a, ada.id, STR("x"), 0, 0, &t2, other, &F.e));
    ERR(E_INVALID, auth_token_create(&G, &a, ada.id, STR("x"), 1 << 20, 0, &t2, other, &F.e));
    ERR(E_INVALID, auth_token_create(&G, &a, ada.id, STR("x"), 1, 5, &t2, other, &F.e));
    ERR(E_INVALID, auth_token_create(&G, &a, ada.id, STR(" "), 1, 0, &t2, other, &F.e));
    ERR(E_DENIED, auth_token_create(&G, &b, ada.id, STR("x"), 1, 0, &t2, other, &F.e));
    ERR(E_NOTFOUND, auth_token_create(&G, &r, 4711, STR("x"), 1, 0, &t2, other, &F.e));
    OK(auth_token_create(&G, &r, ada.id, STR("x"), 1, clock_wall_ms() + 40, &t2, other, &F.e));
    OK(with_token(str_of(other), &who));
    int64_t deadline = clock_ms() + 5000;
    while (with_token(str_of(other), &who) == 0 && clock_ms() < deadline)
        usleep(1000);
    ERR(E_DENIED, with_token(str_of(other), &who)); // expired

    ERR(E_NOTFOUND, auth_token_revoke(&G, &b, t.id, &F.e));
    OK(with_token(str_of(secret), &who));
    OK(account_set_blocked(&G, &r, ada.id, true, &F.e));
    ERR(E_DENIED, with_token(str_of(secret), &who));
    ERR(E_DENIED, auth_password(&G, &F.a, STR("ada"), PASSWORD, &who, &F.e));
    OK(account_set_blocked(&G, &r, ada.id, false, &F.e));
    OK(with_token(str_of(secret), &who));
    OK(auth_token_revoke(&G, &a, t.id, &F.e));
    ERR(E_DENIED, with_token(str_of(secret), &who));
    ERR(E_DENIED, account_set_blocked(&G, &a, bob.id, true, &F.e));
    ERR(E_INVALID, account_set_blocked(&G, &r, root.id, true, &F.e));
}

static void scopes_include_others(void **state)
{
    static const struct {
        unsigned has;
        enum token_scope need;
        bool ok;
    } cases[] = {
        {SCOPE_API, SCOPE_READ_API, true},
        {SCOPE_API, SCOPE_WRITE_REPOSITORY, true},
        {SCOPE_API, SCOPE_SUDO, false},
        {SCOPE_READ_API, SCOPE_API, false},
        {SCOPE_READ_API, SCOPE_READ_USER, true},
        {SCOPE_READ_API, SCOPE_READ_REPOSITORY, false},
        {SCOPE_WRITE_REPOSITORY, SCOPE_READ_REPOSITORY, true},
        {SCOPE_WRITE_REPOSITORY, SCOPE_READ_API, false},
        {SCOPE_READ_REPOSITORY, SCOPE_WRITE_REPOSITORY, false},
        {SCOPE_READ_USER, SCOPE_READ_API, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct actor who = {.kind = ACTOR_USER, .scopes = cases[i].has};
        if (actor_has_scope(&who, cases[i].need) != cases[i].ok)
            fail_msg("case %zu", i);
    }
}

static int with_cookie(const char *cookie, struct actor *ret)
{
    _autotx_ struct tx tx = TX_NONE;
    OK(store_read(F.store, &tx, &F.e));
    return auth_session(&tx, &F.a, str_of(cookie), ret, &F.e);
}

static void sessions(void **state)
{
    struct user ada = account("ada", false);
    struct actor who, in, got;
    char cookie[TOKEN_TEXT_SIZE], second[TOKEN_TEXT_SIZE];
    OK(auth_password(&G, &F.a, STR("ada"), PASSWORD, &who, &F.e));
    OK(auth_session_begin(&G, &F.a, &who, STR("::1"), STR("browser"), cookie, &in, &F.e));
    OK(auth_session_begin(&G, &F.a, &who, STR("::1"), STR("other"), second, &in, &F.e));
    assert_int_equal(strlen(cookie), SESSION_COOKIE_CHARS);
    assert_string_not_equal(cookie, second);
    OK(with_cookie(second, &got));
    assert_true(got.user_id == ada.id && got.session_id == in.session_id);
    assert_true(auth_csrf_ok(&got, in.csrf));
    assert_false(auth_csrf_ok(&got, STR("")));
    assert_false(auth_csrf_ok(&got, str_head(in.csrf, in.csrf.n - 1)));
    assert_false(auth_csrf_ok(&ACTOR_NOBODY, STR("")));
    ERR(E_DENIED, with_cookie("x", &got));
    OK(auth_session_end(&G, &in, &F.e));
    ERR(E_DENIED, with_cookie(second, &got));
    OK(auth_session_end(&G, &in, &F.e));
    OK(with_cookie(cookie, &got));
    // A new password signs everybody out who knew the old one.
    OK(account_set_password(&G, ada.id, STR("another one"), &F.e));
    ERR(E_DENIED, with_cookie(cookie, &got));
    struct actor nobody = ACTOR_NOBODY;
    ERR(E_DENIED, auth_session_begin(&G, &F.a, &nobody, STR(""), STR(""), cookie, &in, &F.e));
}

static void basic_takes_each_kind(void **state)
{
    struct user ada = account("ada", false);
    struct actor a = actor_of(ada), who;
    char pat[TOKEN_TEXT_SIZE], job[TOKEN_TEXT_SIZE];
    unsigned char hash[32];
    struct token t;
    OK(auth_token_create(&G, &a, ada.id, STR("x"), SCOPE_WRITE_REPOSITORY, 0, &t, pat, &F.e));
    OK(auth_basic(&G, &F.a, STR("ada"), PASSWORD, &who, &F.e));
    OK(auth_basic(&G, &F.a, STR("anything"), str_of(pat), &who, &F.e));
    assert_int_equal(who.token_id, t.id);
    OK(auth_basic(&G, &F.a, str_of(pat), STR("x-oauth-basic"), &who, &F.e));
    ERR(E_DENIED, auth_basic(&G, &F.a, STR("ada"), STR("glpat-nonsense"), &who, &F.e));

    int64_t p = make_project(ada.namespace_id, "p", VIS_PRIVATE);
    make_job(p, make_pipeline(p, "main", CI_RUNNING), "a", CI_PENDING, NULL);
    int64_t runner = make_runner("r", NULL, true);
    token_make(TOKEN_JOB_PREFIX, job, hash);
    struct job j;
    {
        _autotx_ struct tx tx = TX_NONE;
        struct job_claim c = {
            .runner_id = runner, .now = 1, .token_sha256 = str_n((char *)hash, 32)};
        OK(store_write(F.store, &tx, &F.e));
        OK(job_claim(&tx, &F.a, &c, &j, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    OK(auth_basic(&G, &F.a, STR("gitlab-ci-token"), str_of(job), &who, &F.e));
    assert_true(who.kind == ACTOR_JOB && who.job_id == j.id && who.job_project_id == p);
    assert_false(actor_has_scope(&who, SCOPE_WRITE_REPOSITORY));
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_write(F.store, &tx, &F.e));
        OK(job_finish(&tx, j.id, CI_SET_ON_RUNNER, CI_SUCCESS, STR(""), 0, 5, &F.e));
        OK(tx_commit(&tx, &F.e));
    }
    ERR(E_DENIED, auth_basic(&G, &F.a, STR("gitlab-ci-token"), str_of(job), &who, &F.e));
}

static void secrets_are_not_in_the_database(void **state)
{
    struct user ada = account("ada", false);
    struct actor a = actor_of(ada), in;
    char pat[TOKEN_TEXT_SIZE], cookie[TOKEN_TEXT_SIZE];
    struct token t;
    OK(auth_token_create(&G, &a, ada.id, STR("x"), SCOPE_API, 0, &t, pat, &F.e));
    OK(auth_session_begin(&G, &F.a, &a, STR(""), STR(""), cookie, &in, &F.e));
    OK(store_backup(F.store, arena_printf(&F.a, "%s/copy.db", F.folder), &F.e));
    int fd = open(arena_printf(&F.a, "%s/copy.db", F.folder), O_RDONLY);
    char *bytes = arena_alloc(&F.a, 1, MIB(4));
    ssize_t n = read(fd, bytes, MIB(4));
    close(fd);
    assert_true(n > 0);
    assert_non_null(memmem(bytes, (size_t)n, "ada@example.org", 15));
    assert_null(memmem(bytes, (size_t)n, pat + 6, 20));
    assert_null(memmem(bytes, (size_t)n, cookie, 20));
    assert_null(memmem(bytes, (size_t)n, PASSWORD.p, PASSWORD.n));
}

static void *sign_in(void *arg)
{
    struct arena a;
    struct err e = ERR_INIT;
    struct actor who;
    arena_init(&a, MIB(1));
    int rc = auth_password(&G, &a, STR("ada"), arg ? PASSWORD : STR("wrong one"), &who, &e);
    arena_done(&a);
    return (void *)(intptr_t)(arg ? rc : rc == E_DENIED ? 0 : -1);
}

static void many_sign_in_at_once(void **state)
{
    pthread_t t[8];
    account("ada", false);
    for (intptr_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&t[i], NULL, sign_in, (void *)(i % 2)), 0);
    for (int i = 0; i < 8; i++) {
        void *rc;
        pthread_join(t[i], &rc);
        assert_int_equal((intptr_t)rc, 0);
    }
}

RUN_TESTS(FORGE_TEST(names_and_passwords), FORGE_TEST(only_the_right_password),
          FORGE_TEST(unknown_names_take_as_long), FORGE_TEST(tokens),
          FORGE_TEST(scopes_include_others), FORGE_TEST(sessions),
          FORGE_TEST(basic_takes_each_kind), FORGE_TEST(secrets_are_not_in_the_database),
          FORGE_TEST(many_sign_in_at_once))
