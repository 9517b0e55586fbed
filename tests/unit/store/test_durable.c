// SPDX-License-Identifier: Apache-2.0
// What was accepted stays: over kill -9 at any moment, and over a full disk.
#include "fixture.h"

#include "store/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ROUNDS  40
#define WRITERS 2

struct said {
    int32_t thread, n;
};

// ---- the child: accepts rows, blobs and trace bytes until it is killed ----

static struct {
    struct store *store;
    int out;
    int32_t first[WRITERS];
} child;

static void key_of(char *to, size_t size, struct said s)
{
    snprintf(to, size, "row:%d:%d", s.thread, s.n);
}

static void path_of(char *to, size_t size, struct said s)
{
    snprintf(to, size, "artifacts/%d/%d", s.thread, s.n);
}

static int accept_one(struct said s)
{
    struct err e = ERR_INIT;
    char key[48], path[48];
    int64_t size = 0;
    _autotx_ struct tx tx = TX_NONE;
    _autoblob_ struct blob_writer w = BLOB_WRITER_NONE;
    key_of(key, sizeof(key), s);
    path_of(path, sizeof(path), s);
    TRY(blob_create(child.store, str_of(path), &w, &e));
    TRY(blob_write(&w, str_of(key), &e));
    TRY(blob_commit(&w, &e));
    TRY(trace_size(child.store, 1, s.thread, &size, &e));
    TRY(trace_append(child.store, 1, s.thread, size, STR("x"), 0, &size, &e));
    TRY(store_write(child.store, &tx, &e));
    TRY(setting_set(&tx, key, STR("1"), &e));
    return tx_commit(&tx, &e);
}

static void *accept_many(void *arg)
{
    int32_t me = (int32_t)(intptr_t)arg;
    for (struct said s = {me, child.first[me]};; s.n++)
        if (accept_one(s) < 0 || write(child.out, &s, sizeof(s)) != sizeof(s))
            _exit(3);
}

static NORETURN void be_child(int out, unsigned flags)
{
    struct err e = ERR_INIT;
    pthread_t t;
    child.out = out;
    if (store_open(F.folder, STORE_SERVER | flags, &child.store, &e) < 0)
        _exit(2);
    if (blob_sweep(child.store, &e) < 0)
        _exit(4);
    for (intptr_t i = 1; i < WRITERS; i++)
        if (pthread_create(&t, NULL, accept_many, (void *)i) != 0)
            _exit(5);
    accept_many(NULL);
    _exit(6);
}

// ---- the parent ----

static uint32_t random_below(uint32_t n)
{
    uint32_t v;
    assert_int_equal(getrandom(&v, sizeof(v), 0), sizeof(v));
    return v % n;
}

// Returns how many the child reported.
static int run_and_kill(unsigned flags, int32_t newest[WRITERS])
{
    int ends[2], n = 0, status;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        be_child(ends[1], flags);
    }
    close(ends[1]);
    // Killed after a random number of rows and a random while: any place is as likely as another.
    int rows = (int)random_below(40);
    struct said s;
    ssize_t got = 1;
    while (n < rows && (got = read(ends[0], &s, sizeof(s))) == sizeof(s)) {
        newest[s.thread] = MAX(newest[s.thread], s.n);
        n++;
    }
    usleep(random_below(3000));
    kill(pid, SIGKILL);
    while (read(ends[0], &s, sizeof(s)) == sizeof(s)) {
        newest[s.thread] = MAX(newest[s.thread], s.n);
        n++;
    }
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return n;
}

static void check_accepted(struct said s)
{
    _autotx_ struct tx tx = TX_NONE;
    struct str v;
    char key[48], path[48];
    int fd;
    int64_t size;
    key_of(key, sizeof(key), s);
    path_of(path, sizeof(path), s);
    OK(store_read(F.store, &tx, &F.e));
    OK(setting_get(&tx, &F.a, key, &v, &F.e));
    OK(blob_open(F.store, str_of(path), &fd, &size, &F.e));
    close(fd);
    assert_int_equal(size, strlen(key));
}

static void kill_nine_loses_nothing(void **state)
{
    int32_t newest[WRITERS];
    int accepted = 0;
    memset(newest, -1, sizeof(newest));
    store_close(F.store);
    F.store = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        int32_t before[WRITERS];
        for (int i = 0; i < WRITERS; i++) {
            before[i] = newest[i];
            // One more than was reported may have been kept: write it again, that is allowed.
            child.first[i] = newest[i] + 1;
        }
        accepted += run_and_kill(round % 2 ? STORE_SYNC_NORMAL : 0, newest);
        OK(store_open(F.folder, STORE_SERVER, &F.store, &F.e));
        OK(store_check(F.store, &F.e));
        for (int t = 0; t < WRITERS; t++) {
            int64_t size;
            for (struct said s = {t, before[t] + 1}; s.n <= newest[t]; s.n++)
                check_accepted(s);
            OK(trace_size(F.store, 1, t, &size, &F.e));
            assert_true(size >= newest[t] + 1);
        }
        if (round == ROUNDS - 1)
            for (int t = 0; t < WRITERS; t++)
                for (struct said s = {t, 0}; s.n <= newest[t]; s.n++)
                    check_accepted(s);
        store_close(F.store);
        F.store = NULL;
    }
    assert_true(accepted > ROUNDS);
    OK(store_open(F.folder, STORE_SYNC_NORMAL, &F.store, &F.e));
}

// ---- full disk ----

static int put(const char *key, struct str value)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(F.store, &tx, &F.e));
    TRY(setting_set(&tx, key, value, &F.e));
    return tx_commit(&tx, &F.e);
}

static bool has(const char *key)
{
    _autotx_ struct tx tx = TX_NONE;
    struct str v;
    OK(store_read(F.store, &tx, &F.e));
    return setting_get(&tx, &F.a, key, &v, &F.e) == 0;
}

static int fill_disk(void)
{
    char path[128], page[4096] = {0};
    snprintf(path, sizeof(path), "%s/filler", F.folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0)
        return -1;
    while (write(fd, page, sizeof(page)) > 0)
        ;
    close(fd);
    return 0;
}

static void free_disk(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/filler", F.folder);
    unlink(path);
}

// Writes until the disk refuses; what was accepted stays, what was refused is not there.
static void until_full(int *ret_accepted)
{
    char key[32];
    char *big = arena_alloc(&F.a, 1, KIB(32));
    memset(big, 'x', KIB(32));
    int n = 0, rc = 0;
    for (; n < 10000; n++) {
        snprintf(key, sizeof(key), "full:%d", n);
        rc = put(key, str_n(big, KIB(32)));
        if (rc < 0)
            break;
    }
    ERR(E_LIMIT, rc);
    assert_non_null(strstr(F.e.msg, "full"));
    assert_false(has(key));
    *ret_accepted = n;
}

static void check_rows(int n)
{
    char key[32];
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "full:%d", i);
        assert_true(has(key));
    }
}

static void files_when_full(void)
{
    struct blob_writer w = BLOB_WRITER_NONE;
    int64_t size = 0;
    char *big = arena_alloc(&F.a, 1, MIB(1));
    int rc = blob_create(F.store, STR("artifacts/1/1/a"), &w, &F.e);
    if (rc == 0)
        rc = blob_write(&w, str_n(big, MIB(1)), &F.e);
    ERR(E_LIMIT, rc);
    blob_abort(&w);
    ERR(E_LIMIT, trace_append(F.store, 1, 99, 5, str_n(big, MIB(1)), 0, &size, &F.e));
    OK(trace_size(F.store, 1, 99, &size, &F.e));
    assert_int_equal(size, 5); // not half of it
}

// In a process of its own: a mount namespace with a small tmpfs over the state folder.
static void on_a_small_disk(void)
{
    int64_t size;
    int n;
    F.store = NULL;
    OK(store_open(F.folder, 0, &F.store, &F.e));
    OK(trace_append(F.store, 1, 99, 0, STR("12345"), 0, &size, &F.e));
    OK(put("before", STR("1")));
    assert_int_equal(fill_disk(), 0);
    until_full(&n);
    files_when_full();
    check_rows(n);
    assert_true(has("before"));
    ERR(E_LIMIT, put("still full", STR("1")));
    free_disk();
    OK(put("after", STR("1")));
    OK(trace_append(F.store, 1, 99, 5, STR("6"), 0, &size, &F.e));
    check_rows(n);
    OK(store_check(F.store, &F.e));
    store_close(F.store);
    OK(store_open(F.folder, 0, &F.store, &F.e));
    check_rows(n);
    assert_true(has("after") && !has("still full"));
    OK(store_check(F.store, &F.e));
    store_close(F.store);
}

static int wait_for(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void full_tmpfs(void **state)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("small", F.folder, "tmpfs", 0, "size=6m,mode=0700") < 0)
            _exit(77);
        on_a_small_disk();
        _exit(0);
    }
    int rc = wait_for(pid);
    if (rc == 77)
        skip(); // no right to mount here; the next test covers the same with a file size limit
    assert_int_equal(rc, 0);
}

static void full_by_file_size(void **state)
{
    store_close(F.store);
    F.store = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        int n;
        signal(SIGXFSZ, SIG_IGN);
        OK(store_open(F.folder, 0, &F.store, &F.e));
        struct rlimit was, small;
        getrlimit(RLIMIT_FSIZE, &was);
        small = (struct rlimit){MIB(2), was.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        until_full(&n);
        check_rows(n);
        setrlimit(RLIMIT_FSIZE, &was);
        OK(put("after", STR("1")));
        check_rows(n);
        OK(store_check(F.store, &F.e));
        store_close(F.store);
        _exit(0);
    }
    assert_int_equal(wait_for(pid), 0);
    OK(store_open(F.folder, STORE_SYNC_NORMAL, &F.store, &F.e));
    assert_true(has("after"));
}

RUN_TESTS(TEST(kill_nine_loses_nothing), TEST(full_tmpfs), TEST(full_by_file_size))
