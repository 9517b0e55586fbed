// SPDX-License-Identifier: Apache-2.0
// Files appear whole or not at all, never outside the state folder; traces grow only at their end.
#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

static struct str read_all(const char *path)
{
    int fd;
    int64_t size;
    OK(blob_open(F.store, str_of(path), &fd, &size, &F.e));
    char *p = arena_alloc(&F.a, 1, (size_t)size + 1);
    assert_int_equal(read(fd, p, (size_t)size), size);
    close(fd);
    return str_n(p, (size_t)size);
}

static void whole_or_nothing(void **state)
{
    struct blob_writer w = BLOB_WRITER_NONE;
    int fd;
    int64_t size;
    OK(blob_create(F.store, STR("artifacts/1/2/a.zip"), &w, &F.e));
    OK(blob_write(&w, STR("one "), &F.e));
    OK(blob_write(&w, STR("two"), &F.e));
    ERR(E_NOTFOUND, blob_open(F.store, STR("artifacts/1/2/a.zip"), &fd, &size, &F.e));
    assert_int_equal(w.size, 7);
    OK(blob_commit(&w, &F.e));
    assert_str(read_all("artifacts/1/2/a.zip"), "one two");
    blob_abort(&w); // nothing any more

    OK(blob_create(F.store, STR("artifacts/1/2/a.zip"), &w, &F.e));
    OK(blob_write(&w, STR("three"), &F.e));
    blob_abort(&w);
    assert_str(read_all("artifacts/1/2/a.zip"), "one two");
    OK(blob_create(F.store, STR("artifacts/1/2/a.zip"), &w, &F.e));
    OK(blob_write(&w, STR("four"), &F.e));
    OK(blob_commit(&w, &F.e));
    assert_str(read_all("artifacts/1/2/a.zip"), "four");
    OK(blob_remove(F.store, STR("artifacts/1"), &F.e));
    ERR(E_NOTFOUND, blob_open(F.store, STR("artifacts/1/2/a.zip"), &fd, &size, &F.e));
    OK(blob_remove(F.store, STR("artifacts/1"), &F.e));
}

static void nothing_leads_outside(void **state)
{
    static const char *const bad[] = {
        "",
        "/etc/passwd",
        "../x",
        "artifacts/../../x",
        "artifacts//x",
        "artifacts/",
        "./x",
        "artifacts/.",
        "artifacts/..",
        "a\nb",
        "artifacts/\x7f",
    };
    struct blob_writer w = BLOB_WRITER_NONE;
    int fd;
    int64_t size;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        ERR(E_INVALID, blob_create(F.store, str_of(bad[i]), &w, &F.e));
        ERR(E_INVALID, blob_open(F.store, str_of(bad[i]), &fd, &size, &F.e));
        ERR(E_INVALID, blob_remove(F.store, str_of(bad[i]), &F.e));
    }
    ERR(E_INVALID, blob_create(F.store, str_n("a\0b", 3), &w, &F.e));
    // A link on the way or at the end is not followed.
    char link[128];
    snprintf(link, sizeof(link), "%s/artifacts/out", F.folder);
    assert_int_equal(symlink("/etc", link), 0);
    ERR(E_INVALID, blob_create(F.store, STR("artifacts/out/x"), &w, &F.e));
    assert_true(blob_open(F.store, STR("artifacts/out/passwd"), &fd, &size, &F.e) < 0);
    assert_true(blob_open(F.store, STR("artifacts/out"), &fd, &size, &F.e) < 0);
    OK(blob_remove(F.store, STR("artifacts/out"), &F.e)); // the link, not what it names
    assert_int_equal(access("/etc/passwd", F_OK), 0);
}

// A branch may have hundreds of parts, more than a process may have descriptors.
static void deep_folders_can_be_removed(void **state)
{
    int at = open(F.folder, O_RDONLY | O_DIRECTORY);
    assert_int_equal(mkdirat(at, "repos/deep", 0700), 0);
    int fd = openat(at, "repos/deep", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        assert_int_equal(mkdirat(fd, "e", 0700), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    OK(blob_remove(F.store, STR("repos/deep"), &F.e));
    assert_int_not_equal(faccessat(at, "repos/deep", F_OK, 0), 0);
    // And nothing was left beside it.
    assert_int_equal(unlinkat(at, "repos", AT_REMOVEDIR), 0);
    close(at);
}

static void leftovers_are_swept(void **state)
{
    struct blob_writer w = BLOB_WRITER_NONE, done = BLOB_WRITER_NONE;
    OK(blob_create(F.store, STR("artifacts/1/2/a"), &w, &F.e));
    OK(blob_create(F.store, STR("artifacts/1/2/b"), &done, &F.e));
    OK(blob_commit(&done, &F.e));
    OK(blob_sweep(F.store, &F.e));
    char path[192];
    snprintf(path, sizeof(path), "%s/artifacts/1/2/%s", F.folder, w.temp);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_str(read_all("artifacts/1/2/b"), "");
    blob_abort(&w);
}

static void traces_grow_at_their_end(void **state)
{
    int64_t size;
    uint32_t crc;
    OK(trace_size(F.store, 1, 2, &size, &F.e));
    assert_int_equal(size, 0);
    OK(trace_append(F.store, 1, 2, 0, STR("12345"), 100, &size, &F.e));
    assert_int_equal(size, 5);
    ERR(E_CONFLICT, trace_append(F.store, 1, 2, 0, STR("12345"), 100, &size, &F.e));
    assert_int_equal(size, 5);
    ERR(E_CONFLICT, trace_append(F.store, 1, 2, 6, STR("x"), 100, &size, &F.e));
    OK(trace_append(F.store, 1, 2, 5, STR("6789"), 9, &size, &F.e));
    assert_int_equal(size, 9);
    ERR(E_LIMIT, trace_append(F.store, 1, 2, 9, STR("x"), 9, &size, &F.e));
    OK(trace_crc32(F.store, 1, 2, &crc, &size, &F.e));
    assert_int_equal(crc, 0xcbf43926); // the check value of CRC-32 (IEEE)
    assert_int_equal(size, 9);
    OK(trace_sync(F.store, 1, 2, &F.e));
    assert_str(read_all("traces/1/2.log"), "123456789");
    OK(trace_reset(F.store, 1, 2, &F.e));
    OK(trace_size(F.store, 1, 2, &size, &F.e));
    assert_int_equal(size, 0);
    OK(trace_sync(F.store, 9, 9, &F.e));
}

static int accepted[4];

static void *appender(void *arg)
{
    int *mine = &accepted[(intptr_t)arg];
    struct err e = ERR_INIT;
    for (int k = 0; k < 200; k++) {
        int64_t size;
        (void)!trace_size(F.store, 7, 7, &size, &e);
        if (trace_append(F.store, 7, 7, size, STR("12345678"), 0, &size, &e) == 0)
            (*mine)++;
    }
    return NULL;
}

static void two_writers_do_not_overlap(void **state)
{
    pthread_t t[4];
    int64_t size;
    int sum = 0;
    for (intptr_t i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, appender, (void *)i);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        sum += accepted[i];
    }
    OK(trace_size(F.store, 7, 7, &size, &F.e));
    assert_int_equal(size, 8 * sum);
    assert_true(sum >= 200);
}

RUN_TESTS(TEST(whole_or_nothing), TEST(nothing_leads_outside), TEST(leftovers_are_swept),
          TEST(deep_folders_can_be_removed), TEST(traces_grow_at_their_end),
          TEST(two_writers_do_not_overlap))
