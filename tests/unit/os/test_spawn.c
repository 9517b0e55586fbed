// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/clock.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SH(script)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        "/bin/sh", "-c", (script), NULL                                                            \
    }

static int run(const struct spawn_options *o, const char *input, struct buf *out, struct buf *err)
{
    struct err e = ERR_INIT;
    int code = -1;
    if (spawn_run(o, str_of(input), out, err, clock_ms() + 20000, &code, &e) < 0)
        fail_msg("%s", e.msg);
    return code;
}

static void talks_to_a_program(void **state)
{
    _autobuf_ struct buf out = BUF_INIT(KIB(64)), err = BUF_INIT(KIB(64));
    struct spawn_options o = {.argv = SH("cat; echo oops >&2; exit 3")};
    assert_int_equal(run(&o, "hello", &out, &err), 3);
    assert_str(buf_str(&out), "hello");
    assert_str(buf_str(&err), "oops\n");
    buf_clear(&out);
    assert_int_equal(run(&o, "both", &out, &out), 3);
    assert_str(buf_str(&out), "bothoops\n");
    assert_int_equal(run(&o, "", NULL, NULL), 3);
}

static void sets_up_the_child(void **state)
{
    _autobuf_ struct buf out = BUF_INIT(KIB(64));
    const char *env[] = {"A=b", NULL};
    struct spawn_options o = {
        .argv = SH("pwd; echo $A-$HOME; ls /proc/self/fd | wc -l"), .cwd = "/usr", .env = env};
    int leak = open("/dev/null", O_RDONLY); // without close-on-exec
    assert_int_equal(run(&o, "", &out, NULL), 0);
    assert_str(buf_str(&out), "/usr\nb-\n4\n"); // 0 1 2 and the folder that ls reads
    close(leak);
}

static void passes_descriptors(void **state)
{
    _autobuf_ struct buf out = BUF_INIT(KIB(64));
    struct err e;
    _autofd_ int r = -1, w = -1;
    assert_int_equal(fd_pipe(&r, &w, &e), 0);
    assert_int_equal(fd_write_all(w, STR("through the pipe"), &e), 0);
    fd_close(&w);
    struct spawn_fd fds[] = {{r, 7}};
    struct spawn_options o = {
        .argv = SH("cat <&7; ls /proc/self/fd | tr '\\n' ' '"), .fds = fds, .nfds = 1};
    assert_int_equal(run(&o, "", &out, NULL), 0);
    assert_str(buf_str(&out), "through the pipe0 1 2 3 7 ");
}

static void tells_why_it_cannot_start(void **state)
{
    struct err e = ERR_INIT;
    struct child c;
    const char *argv[] = {"/nonexistent/program", NULL};
    struct spawn_options o = {.argv = argv};
    assert_int_equal(spawn(&o, &c, &e), E_NOTFOUND);
    assert_non_null(strstr(e.msg, "/nonexistent/program"));
    argv[0] = "/etc/passwd";
    assert_int_equal(spawn(&o, &c, &e), E_DENIED);
    child_done(&c);
}

static void waits_and_kills(void **state)
{
    struct err e = ERR_INIT;
    _autochild_ struct child c = CHILD_NONE;
    struct spawn_options o = {
        .argv = SH("trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"),
        .new_session = true};
    _autofd_ int r = -1, w = -1;
    assert_int_equal(fd_pipe(&r, &w, &e), 0);
    struct spawn_fd fds[] = {{w, 1}};
    o.fds = fds;
    o.nfds = 1;
    assert_int_equal(spawn(&o, &c, &e), 0);
    fd_close(&w);
    char text[6];
    assert_int_equal(fd_read_full(r, text, 6, &e), 0);
    assert_int_equal(getsid(c.pid), c.pid);
    assert_int_equal(child_wait(&c, clock_ms() + 20, &e), E_AGAIN);
    assert_int_equal(child_kill(&c, SIGTERM, &e), 0);
    assert_int_equal(child_wait(&c, clock_ms() + 20000, &e), 0);
    assert_int_equal(child_exit_code(&c), 9);
    assert_int_equal(child_kill(&c, SIGTERM, &e), E_NOTFOUND);
    assert_int_equal(child_wait(&c, -1, &e), 0);
}

static void kills_the_whole_group(void **state)
{
    struct err e = ERR_INIT;
    struct child c;
    struct spawn_options o = {.argv = SH("sleep 1000 & echo $!; wait"), .new_group = true};
    _autofd_ int r = -1, w = -1;
    assert_int_equal(fd_pipe(&r, &w, &e), 0);
    struct spawn_fd fds[] = {{w, 1}};
    o.fds = fds;
    o.nfds = 1;
    assert_int_equal(spawn(&o, &c, &e), 0);
    fd_close(&w);
    char byte;
    assert_int_equal(fd_read_full(r, &byte, 1, &e), 0);
    child_done(&c);
    // The pipe ends only when the grandchild is dead too.
    _autobuf_ struct buf rest = BUF_INIT(KIB(1));
    assert_int_equal(fd_read_all(r, &rest, &e), 0);
    assert_int_equal(c.pid, 0);
}

static void limits_time_and_output(void **state)
{
    struct err e = ERR_INIT;
    _autobuf_ struct buf out = BUF_INIT(1000);
    int code;
    struct spawn_options o = {.argv = SH("yes")};
    assert_int_equal(spawn_run(&o, STR_NONE, &out, NULL, -1, &code, &e), E_LIMIT);
    assert_int_equal(out.n, 1000);
    struct spawn_options slow = {.argv = SH("exec sleep 1000")};
    int64_t start = clock_ms();
    assert_int_equal(spawn_run(&slow, STR_NONE, NULL, NULL, start + 50, &code, &e), E_AGAIN);
    assert_true(clock_ms() - start < 10000);
    // Exactly at the ceiling is fine.
    buf_clear(&out);
    struct spawn_options exact = {.argv = SH("head -c 1000 /dev/zero")};
    assert_int_equal(spawn_run(&exact, STR_NONE, &out, NULL, -1, &code, &e), 0);
    assert_int_equal(out.n, 1000);
}

static void survives_a_program_that_does_not_read(void **state)
{
    _autobuf_ struct buf big = BUF_INIT(MIB(2)), out = BUF_INIT(KIB(1));
    for (int i = 0; i < 1 << 17; i++)
        buf_adds(&big, "01234567");
    struct spawn_options o = {.argv = SH("exec 0<&-; echo done; exit 4")};
    assert_int_equal(run(&o, big.p, &out, NULL), 4);
    assert_str(buf_str(&out), "done\n");
    // And one that reads all of it slowly while writing as much.
    _autobuf_ struct buf back = BUF_INIT(MIB(2));
    struct spawn_options cat = {.argv = SH("cat")};
    assert_int_equal(run(&cat, big.p, &back, NULL), 0);
    assert_true(str_eq(buf_str(&big), buf_str(&back)));
}

static void does_not_wait_for_orphans(void **state)
{
    _autobuf_ struct buf out = BUF_INIT(KIB(1));
    struct spawn_options o = {.argv = SH("sleep 5 & echo here"), .new_group = true};
    int64_t start = clock_ms();
    assert_int_equal(run(&o, "", &out, NULL), 0);
    assert_str(buf_str(&out), "here\n");
    assert_true(clock_ms() - start < 4000);
}

RUN_TESTS(cmocka_unit_test(talks_to_a_program), cmocka_unit_test(sets_up_the_child),
          cmocka_unit_test(passes_descriptors), cmocka_unit_test(tells_why_it_cannot_start),
          cmocka_unit_test(waits_and_kills), cmocka_unit_test(kills_the_whole_group),
          cmocka_unit_test(limits_time_and_output),
          cmocka_unit_test(survives_a_program_that_does_not_read),
          cmocka_unit_test(does_not_wait_for_orphans))
