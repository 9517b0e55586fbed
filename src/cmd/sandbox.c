// SPDX-License-Identifier: Apache-2.0
// `slipway sandbox check|run|bench`: the runner's sandbox as a tool, to see whether this machine
// can have it, to look around inside, and to measure what it costs.
#include "runner/sandbox.h"
#include "cmd/cmd.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: slipway sandbox check               say whether jobs can be sandboxed here\n"
    "       slipway sandbox run COMMAND [ARG..]  run a command as a job would run, here\n"
    "       slipway sandbox bench [N]            time `true` inside and outside\n"
    "\n"
    "`run` shows the working folder as /builds/here, writable; without root it runs as you.\n";

static const char *const ENV[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/home/job",
    "LANG=C.UTF-8", NULL};
static const char *const DIRS[] = {"/home/job", NULL};

static int copy_out(struct sandbox *s)
{
    char part[65536];
    ssize_t n;
    // The runner reads without blocking; here there is nothing else to do.
    for (;;) {
        n = read(s->out_fd, part, sizeof(part));
        if (n > 0 && fwrite(part, 1, (size_t)n, stdout) == (size_t)n) {
            fflush(stdout);
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            usleep(1000);
            continue;
        }
        return n < 0 ? -1 : 0;
    }
}

static int run(const struct sandbox_host *h, const char *const *argv, bool quiet, struct err *e)
{
    char cwd[4096];
    struct sandbox_mount here = {getcwd(cwd, sizeof(cwd)) ? cwd : "/", "/builds/here"};
    struct sandbox_opts o = {.argv = argv,
                             .envp = ENV,
                             .cwd = quiet ? "/" : "/builds/here",
                             .uid = h->privileged ? 65534 : geteuid(),
                             .binds = &here,
                             .nbinds = quiet ? 0 : 1,
                             .dirs = DIRS,
                             .tmp_bytes = GIB(1),
                             .nproc = 4096,
                             .nofile = 65536,
                             .in_fd = -1,
                             .out_fd = -1};
    struct sandbox s;
    int status = -1, rc = sandbox_start(h, &o, &s, e);
    if (rc < 0)
        return rc;
    if (!quiet && copy_out(&s) < 0)
        return err_errno(e, errno, "cannot read the output");
    rc = sandbox_wait(&s, &status, e);
    return rc < 0 ? rc : status;
}

static int64_t time_bare(const char *const *argv)
{
    int64_t start = clock_us();
    pid_t pid;
    int st;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv,
                     (char *const *)(uintptr_t)ENV))
        return -1;
    while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
        continue;
    return clock_us() - start;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int bench(const struct sandbox_host *h, uint64_t n, struct err *e)
{
    static const char *const argv[] = {"true", NULL};
    int64_t *bare = NEW_ARRAY(int64_t, n), *boxed = NEW_ARRAY(int64_t, n);
    int rc = 0;
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        bare[i] = time_bare(argv);
        int64_t start = clock_us();
        rc = run(h, argv, true, e);
        boxed[i] = clock_us() - start;
    }
    if (rc == 0) {
        qsort(bare, n, sizeof(*bare), by_value);
        qsort(boxed, n, sizeof(*boxed), by_value);
        int64_t b = bare[n / 2], s = boxed[n / 2];
        printf("bare_us_p50 %lld\nsandbox_us_p50 %lld\nsandbox_us_p99 %lld\nover_bare_ms %.2f\n",
               (long long)b, (long long)s, (long long)boxed[n * 99 / 100], (double)(s - b) / 1000);
    }
    free(bare);
    free(boxed);
    return rc;
}

int cmd_sandbox(int argc, char **argv)
{
    uint64_t n = 50;
    bool is_check = argc == 2 && !strcmp(argv[1], "check");
    bool is_run = argc >= 3 && !strcmp(argv[1], "run");
    bool is_bench = argc >= 2 && argc <= 3 && !strcmp(argv[1], "bench");
    if (is_bench && argc == 3 && (!str_to_u64(str_of(argv[2]), &n) || !n || n > 100000))
        is_bench = false;
    if (!is_check && !is_run && !is_bench) {
        bool help = argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
        fputs(USAGE, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    char staging[] = "/tmp/slipway-sandbox-XXXXXX";
    if (!mkdtemp(staging) || chmod(staging, 0755) < 0) {
        perror("slipway sandbox: cannot make a folder in /tmp");
        return 1;
    }
    struct sandbox_host h;
    struct err e = ERR_INIT;
    struct sandbox_host_opts o = {.staging = staging, .cgroup_name = "slipway-tool"};
    int rc = sandbox_host_init(&h, &o, &e);
    if (rc == 0 && is_check) {
        rc = sandbox_check(&h, &e);
        if (rc == 0)
            printf("jobs can be sandboxed here (as %s; %s)\n",
                   h.privileged ? "root: a user of its own for each"
                                : "this user: a user namespace",
                   h.cgroups ? "cgroups are writable" : h.cgroup_note);
    } else if (rc == 0 && is_run)
        rc = run(&h, (const char *const *)(argv + 2), false, &e);
    else if (rc == 0)
        rc = bench(&h, n, &e);
    sandbox_host_done(&h);
    rmdir(staging);
    if (rc < 0)
        fprintf(stderr, "slipway sandbox: %s\n", e.msg);
    return rc < 0 ? err_exit_status(rc) : rc;
}
