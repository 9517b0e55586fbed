// SPDX-License-Identifier: Apache-2.0
// Transactions, wakes, opening: what every caller of the store relies on.
#include "fixture.h"

#include "store/db.h"
#include "store/settings.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

static int get(struct tx *tx, const char *key, struct str *ret)
{
    return setting_get(tx, &F.a, key, ret, &F.e);
}

static void set(const char *key, const char *value)
{
    _autotx_ struct tx tx = TX_NONE;
    OK(store_write(F.store, &tx, &F.e));
    OK(setting_set(&tx, key, str_of(value), &F.e));
    OK(tx_commit(&tx, &F.e));
}

static void rollback_keeps_nothing(void **state)
{
    struct str v;
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_write(F.store, &tx, &F.e));
        OK(setting_set(&tx, "a", STR("1"), &F.e));
    }
    _autotx_ struct tx tx = TX_NONE;
    OK(store_read(F.store, &tx, &F.e));
    ERR(E_NOTFOUND, get(&tx, "a", &v));
}

static void a_read_is_a_snapshot(void **state)
{
    struct str v;
    set("a", "1");
    _autotx_ struct tx tx = TX_NONE;
    OK(store_read(F.store, &tx, &F.e));
    OK(get(&tx, "a", &v));
    set("a", "2"); // a write beside a read of the same thread
    OK(get(&tx, "a", &v));
    assert_str(v, "1");
    {
        _autotx_ struct tx inner = TX_NONE; // a read within a read
        OK(store_read(F.store, &inner, &F.e));
        OK(get(&inner, "a", &v));
        assert_str(v, "2");
    }
    OK(get(&tx, "a", &v));
    assert_str(v, "1");
    OK(tx_commit(&tx, &F.e));
    OK(store_read(F.store, &tx, &F.e));
    OK(get(&tx, "a", &v));
    assert_str(v, "2");
}

static void *read_once(void *arg)
{
    struct arena a;
    struct err e = ERR_INIT;
    struct str v;
    struct tx tx = TX_NONE;
    arena_init(&a, KIB(16));
    int rc = store_read(F.store, &tx, &e);
    if (rc == 0)
        rc = setting_get(&tx, &a, "a", &v, &e);
    tx_done(&tx);
    arena_done(&a);
    return (void *)(intptr_t)rc;
}

static int descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void threads_that_end_leave_their_reader_to_others(void **state)
{
    set("a", "1");
    int before = 0;
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        void *rc;
        assert_int_equal(pthread_create(&t, NULL, read_once, NULL), 0);
        pthread_join(t, &rc);
        assert_int_equal((intptr_t)rc, 0);
        if (i == 0)
            before = descriptors();
    }
    assert_int_equal(descriptors(), before);
}

// ---- wakes ----

static struct buf woken = {(char *)"", 0, 0, KIB(4), false};

static void on_wake(void *ctx, const char *topic)
{
    assert_ptr_equal(ctx, &woken);
    buf_addf(&woken, "%s ", topic);
}

static void wakes_follow_the_commit(void **state)
{
    store_on_wake(F.store, on_wake, &woken);
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_write(F.store, &tx, &F.e));
        tx_wake(&tx, "job:%d", 1);
        tx_wake(&tx, "runners");
        tx_wake(&tx, "job:%d", 1);
        assert_int_equal(woken.n, 0);
        OK(tx_commit(&tx, &F.e));
    }
    assert_str(buf_str(&woken), "job:1 runners ");
    buf_clear(&woken);
    {
        _autotx_ struct tx tx = TX_NONE;
        OK(store_write(F.store, &tx, &F.e));
        tx_wake(&tx, "runners");
    }
    assert_int_equal(woken.n, 0);

    int64_t p = make_project(user_ns(make_user("ada")), "p", VIS_PRIVATE);
    int64_t pipe = make_pipeline(p, "main", CI_CREATED);
    buf_clear(&woken);
    int64_t j = make_job(p, pipe, "a", CI_PENDING, NULL);
    assert_true(str_search(buf_str(&woken), STR("runners ")) >= 0);
    char want[64];
    snprintf(want, sizeof(want), "job:%lld pipeline:%lld ", (long long)j, (long long)pipe);
    assert_true(str_search(buf_str(&woken), str_of(want)) >= 0);
    buf_done(&woken);
}

// ---- opening ----

static int scribble(const char *sql)
{
    struct db *db;
    char path[128];
    snprintf(path, sizeof(path), "%s/slipway.db", F.folder);
    TRY(sqlite_driver.open(path, 0, db_stmts(NULL), &db, &F.e));
    int rc = sqlite_driver.script(db, sql, &F.e);
    sqlite_driver.close(db);
    return rc;
}

static void a_newer_schema_is_refused(void **state)
{
    store_close(F.store);
    F.store = NULL;
    OK(scribble("INSERT INTO schema_migrations VALUES (2, 'later', 0)"));
    struct store *s = NULL;
    ERR(E_INVALID, store_open(F.folder, 0, &s, &F.e));
    assert_non_null(strstr(F.e.msg, "newer"));
    assert_null(s);
    OK(scribble("DELETE FROM schema_migrations WHERE version = 2"));
    OK(store_open(F.folder, 0, &F.store, &F.e));
    assert_int_equal(store_schema_version(F.store), store_schema_newest());
}

static void not_a_database(void **state)
{
    char path[128];
    store_close(F.store);
    F.store = NULL;
    snprintf(path, sizeof(path), "%s/slipway.db", F.folder);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "this is a text, and long enough to be looked at", 47), 47);
    close(fd);
    struct store *s;
    ERR(E_IO, store_open(F.folder, 0, &s, &F.e));
    assert_non_null(strstr(F.e.msg, "slipway.db"));
}

static void one_server_per_folder(void **state)
{
    struct store *first, *second;
    store_close(F.store);
    F.store = NULL;
    OK(store_open(F.folder, STORE_SERVER, &first, &F.e));
    ERR(E_BUSY, store_open(F.folder, STORE_SERVER, &second, &F.e));
    OK(store_open(F.folder, STORE_READ_ONLY, &second, &F.e)); // a look from outside
    struct tx tx = TX_NONE;
    ERR(E_INVALID, store_write(second, &tx, &F.e));
    OK(store_read(second, &tx, &F.e));
    OK(tx_commit(&tx, &F.e));
    store_close(second);
    store_close(first);
    OK(store_open(F.folder, STORE_SERVER, &F.store, &F.e));
}

static void read_only_makes_nothing(void **state)
{
    struct store *s;
    char path[128];
    snprintf(path, sizeof(path), "%s/none", F.folder);
    ERR(E_NOTFOUND, store_open(path, STORE_READ_ONLY, &s, &F.e));
    assert_int_not_equal(access(path, F_OK), 0);
}

static void others_may_not_read_it(void **state)
{
    static const char *const names[] = {"slipway.db", "secrets/store.key", "secrets", "repos"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct stat st;
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", F.folder, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
}

static void the_key_belongs_to_the_database(void **state)
{
    struct str sealed = store_seal(F.store, &F.a, STR("secret")), plain;
    OK(store_unseal(F.store, &F.a, sealed, &plain, &F.e));
    assert_str(plain, "secret");
    ((char *)sealed.p)[sealed.n - 1] ^= 1;
    ERR(E_INVALID, store_unseal(F.store, &F.a, sealed, &plain, &F.e));
    ERR(E_INVALID, store_unseal(F.store, &F.a, STR("short"), &plain, &F.e));

    char path[128], aside[128];
    snprintf(path, sizeof(path), "%s/secrets/store.key", F.folder);
    snprintf(aside, sizeof(aside), "%s/secrets/aside", F.folder);
    store_close(F.store);
    F.store = NULL;
    assert_int_equal(rename(path, aside), 0);
    struct store *s;
    ERR(E_INVALID, store_open(F.folder, 0, &s, &F.e));
    assert_non_null(strstr(F.e.msg, "missing"));
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "01234567890123456789012345678901", 32), 32);
    close(fd);
    ERR(E_INVALID, store_open(F.folder, 0, &s, &F.e));
    assert_non_null(strstr(F.e.msg, "does not belong"));
    assert_int_equal(rename(aside, path), 0);
    OK(store_open(F.folder, 0, &F.store, &F.e));
}

// ---- backup ----

static struct {
    pthread_mutex_t lock;
    bool stop;
    int errors;
} writing = {.lock = PTHREAD_MUTEX_INITIALIZER};

// Two settings that always say the same, in one transaction.
static void *write_pairs(void *arg)
{
    for (int i = 0;; i++) {
        struct err e = ERR_INIT;
        struct tx tx = TX_NONE;
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        int rc = store_write(F.store, &tx, &e);
        if (rc == 0)
            rc = setting_set(&tx, "left", str_of(text), &e);
        if (rc == 0)
            rc = setting_set(&tx, "right", str_of(text), &e);
        if (rc == 0)
            rc = tx_commit(&tx, &e);
        tx_done(&tx);
        pthread_mutex_lock(&writing.lock);
        writing.errors += rc < 0;
        bool stop = writing.stop;
        pthread_mutex_unlock(&writing.lock);
        if (stop)
            return NULL;
    }
}

static void a_backup_while_writing_is_consistent(void **state)
{
    pthread_t t;
    char folder[96], path[128];
    set("left", "0");
    set("right", "0");
    snprintf(folder, sizeof(folder), "%s-copy", F.folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof(path), "%s/slipway.db", folder);
    assert_int_equal(pthread_create(&t, NULL, write_pairs, NULL), 0);
    for (int i = 0; i < 10; i++) {
        unlink(path);
        OK(store_backup(F.store, path, &F.e));
        struct db *db;
        OK(sqlite_driver.open(path, DB_READER, db_stmts(NULL), &db, &F.e));
        OK(sqlite_driver.check(db, &F.e));
        struct tx tx = {.db = db};
        struct str left, right;
        OK(setting_get(&tx, &F.a, "left", &left, &F.e));
        OK(setting_get(&tx, &F.a, "right", &right, &F.e));
        assert_true(str_eq(left, right));
        sqlite_driver.close(db);
    }
    pthread_mutex_lock(&writing.lock);
    writing.stop = true;
    pthread_mutex_unlock(&writing.lock);
    pthread_join(t, NULL);
    assert_int_equal(writing.errors, 0);
    ERR(E_CONFLICT, store_backup(F.store, path, &F.e)); // does not overwrite
    wipe_tree(folder);
}

RUN_TESTS(TEST(rollback_keeps_nothing), TEST(a_read_is_a_snapshot),
          TEST(threads_that_end_leave_their_reader_to_others), TEST(wakes_follow_the_commit),
          TEST(a_newer_schema_is_refused), TEST(not_a_database), TEST(one_server_per_folder),
          TEST(read_only_makes_nothing), TEST(others_may_not_read_it),
          TEST(the_key_belongs_to_the_database), TEST(a_backup_while_writing_is_consistent))
