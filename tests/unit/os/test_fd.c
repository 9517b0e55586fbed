// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "os/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static const char *at(const char *name)
{
    static char path[4][200];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static int make_dir(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/slipway-fd-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    struct err e = ERR_INIT;
    int rc = dir_remove(dir, &e);
    return rc < 0 || access(dir, F_OK) == 0 ? -1 : 0;
}

static void replaces_whole_files(void **state)
{
    struct err e = ERR_INIT;
    _autobuf_ struct buf b = BUF_INIT(100);
    assert_int_equal(file_replace(at("f"), STR("one"), 0600, &e), 0);
    assert_int_equal(file_replace(at("f"), STR("two"), 0600, &e), 0);
    assert_int_equal(file_read(at("f"), &b, &e), 0);
    assert_str(buf_str(&b), "two");
    struct stat st;
    assert_int_equal(stat(at("f"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_replace(at("none/f"), STR("x"), 0600, &e), E_NOTFOUND);
    assert_int_equal(file_read(at("none"), &b, &e), E_NOTFOUND);
    assert_non_null(strstr(e.msg, "none"));

    // An aborted one leaves nothing behind and the old content in place.
    struct file_new f;
    assert_int_equal(file_new_open(&f, at("f"), 0600, &e), 0);
    assert_int_equal(fd_write_all(f.fd, STR("three"), &e), 0);
    file_new_abort(&f);
    assert_int_equal(access(f.temp, F_OK), -1);
    buf_clear(&b);
    assert_int_equal(file_read(at("f"), &b, &e), 0);
    assert_str(buf_str(&b), "two");
}

static void reads_up_to_a_ceiling(void **state)
{
    struct err e = ERR_INIT;
    char big[101];
    memset(big, 'x', sizeof big);
    _autobuf_ struct buf b = BUF_INIT(100);
    assert_int_equal(file_replace(at("g"), str_n(big, 100), 0600, &e), 0);
    assert_int_equal(file_read(at("g"), &b, &e), 0);
    assert_int_equal(b.n, 100);
    buf_clear(&b);
    assert_int_equal(file_replace(at("g"), str_n(big, 101), 0600, &e), 0);
    assert_int_equal(file_read(at("g"), &b, &e), E_LIMIT);
}

static void makes_folders(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(dir_make(at("a/b/c"), 0755, &e), 0);
    assert_int_equal(dir_make(at("a/b/c/"), 0755, &e), 0);
    assert_int_equal(file_replace(at("a/file"), STR(""), 0600, &e), 0);
    assert_int_equal(dir_make(at("a/file"), 0755, &e), E_CONFLICT);
    assert_true(dir_make(at("a/file/x"), 0755, &e) < 0);
}

static void removes_without_following(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(dir_make(at("kept/deep"), 0755, &e), 0);
    assert_int_equal(file_replace(at("kept/deep/file"), STR("x"), 0600, &e), 0);
    assert_int_equal(dir_make(at("gone/sub/readonly"), 0755, &e), 0);
    assert_int_equal(symlink(at("kept"), at("gone/sub/link")), 0);
    assert_int_equal(symlink("/nonexistent", at("gone/dangling")), 0);
    assert_int_equal(file_replace(at("gone/sub/readonly/f"), STR("x"), 0400, &e), 0);
    assert_int_equal(chmod(at("gone/sub/readonly"), 0500), 0);
    assert_int_equal(dir_remove(at("gone"), &e), 0);
    assert_int_equal(access(at("gone"), F_OK), -1);
    assert_int_equal(access(at("kept/deep/file"), F_OK), 0);
    assert_int_equal(symlink(at("kept"), at("link")), 0);
    assert_int_equal(dir_remove(at("link"), &e), 0);
    assert_int_equal(access(at("kept/deep/file"), F_OK), 0);
    assert_int_equal(dir_remove(at("link"), &e), 0); // gone already
}

static void replaces_only_stale_sockets(void **state)
{
    struct err e = ERR_INIT;
    int first = -1, second = -1;
    assert_int_equal(fd_listen_unix(at("s"), 0600, &first, &e), 0);
    assert_int_equal(fd_listen_unix(at("s"), 0600, &second, &e), E_CONFLICT);
    fd_close(&first);
    assert_int_equal(fd_listen_unix(at("s"), 0600, &second, &e), 0);
    _autofd_ int c = -1;
    assert_int_equal(fd_connect_unix(at("s"), &c, &e), 0);
    fd_close(&second);
    // A file that is no socket is never replaced.
    assert_int_equal(file_replace(at("plain"), STR("x"), 0600, &e), 0);
    assert_true(fd_listen_unix(at("plain"), 0600, &second, &e) < 0);
    assert_int_equal(access(at("plain"), F_OK), 0);
    char path[200];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(fd_listen_unix(path, 0600, &second, &e), E_LIMIT);
}

static void listens_on_tcp(void **state)
{
    struct err e = ERR_INIT;
    _autofd_ int l = -1, c = -1;
    uint16_t port = 0;
    assert_int_equal(fd_listen_tcp("127.0.0.1", 0, &l, &e), 0);
    assert_int_equal(fd_tcp_port(l, &port, &e), 0);
    assert_true(port > 0);
    assert_int_equal(fd_connect_tcp("127.0.0.1", port, &c, &e), 0);
    assert_int_equal(fcntl(l, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fd_listen_tcp("localhost", 0, &c, &e), E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_whole_files),
        cmocka_unit_test(reads_up_to_a_ceiling),
        cmocka_unit_test(makes_folders),
        cmocka_unit_test(removes_without_following),
        cmocka_unit_test(replaces_only_stale_sockets),
        cmocka_unit_test(listens_on_tcp),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
