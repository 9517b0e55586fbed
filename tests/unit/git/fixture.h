// SPDX-License-Identifier: Apache-2.0
// Repositories made by the real git program for tests of src/git, and its answers to compare with.
#pragma once

#include "../../lib/test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "git/proc.h"
#include "git/repo.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct box {
    char dir[256];  // removed at the end
    char work[300]; // a work tree
    char bare[300]; // a bare repository made by git_repo_create
    int64_t now;    // commits are one minute apart
    struct arena a;
};

static inline UNUSED void box_init(struct box *b)
{
    *b = (struct box){.now = 1700000000};
    const char *tmp = getenv("TMPDIR");
    snprintf(b->dir, sizeof(b->dir), "%s/slipway-git-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->work, sizeof(b->work), "%s/work", b->dir);
    snprintf(b->bare, sizeof(b->bare), "%s/bare.git", b->dir);
    arena_init(&b->a, MIB(256));
    struct err e = ERR_INIT;
    assert_int_equal(git_repo_create(b->bare, STR("main"), &e), 0);
}

static inline UNUSED void box_done(struct box *b)
{
    struct err e;
    assert_int_equal(dir_remove(b->dir, &e), 0);
    arena_done(&b->a);
}

// Runs a shell line in the box's folder ($W work tree, $B bare repository); returns its output.
static inline UNUSED struct str sh(struct box *b, const char *line)
{
    b->now += 60;
    char w[340], bb[340], date1[64], date2[64], home[340], path[4096];
    snprintf(w, sizeof(w), "W=%s", b->work);
    snprintf(bb, sizeof(bb), "B=%s", b->bare);
    snprintf(home, sizeof(home), "HOME=%s", b->dir);
    snprintf(path, sizeof(path), "PATH=%s", getenv("PATH"));
    snprintf(date1, sizeof(date1), "GIT_AUTHOR_DATE=%lld +0130", (long long)b->now);
    snprintf(date2, sizeof(date2), "GIT_COMMITTER_DATE=%lld -0800", (long long)b->now);
    const char *env[] = {w,
                         bb,
                         home,
                         path,
                         date1,
                         date2,
                         "GIT_AUTHOR_NAME=Ada Lovelace",
                         "GIT_AUTHOR_EMAIL=ada@example.org",
                         "GIT_COMMITTER_NAME=Grace Hopper",
                         "GIT_COMMITTER_EMAIL=grace@example.org",
                         "GIT_CONFIG_NOSYSTEM=1",
                         "GIT_CONFIG_COUNT=2",
                         "GIT_CONFIG_KEY_0=init.defaultBranch",
                         "GIT_CONFIG_VALUE_0=main",
                         "GIT_CONFIG_KEY_1=safe.directory",
                         "GIT_CONFIG_VALUE_1=*",
                         "LC_ALL=C.UTF-8",
                         NULL};
    const char *argv[] = {"/bin/sh", "-ec", line, NULL};
    struct spawn_options o = {.argv = argv, .env = env, .cwd = b->dir};
    _autobuf_ struct buf out = BUF_INIT(MIB(64));
    _autobuf_ struct buf err_out = BUF_INIT(MIB(1));
    struct err e = ERR_INIT;
    int code = -1;
    int rc = spawn_run(&o, STR_NONE, &out, &err_out, clock_ms() + 60000, &code, &e);
    if (rc < 0 || code != 0) {
        print_error("%s\n  -> %d %s, exit %d\n%s%s", line, rc, e.msg, code, out.p, err_out.p);
        fail();
    }
    return arena_str(&b->a, buf_str(&out));
}

static inline UNUSED struct str sh1(struct box *b, const char *line)
{
    return str_trim(sh(b, line));
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err *e_ = &e;                                                                       \
        *e_ = ERR_INIT;                                                                            \
        int rc_ = (call);                                                                          \
        if (rc_ < 0) {                                                                             \
            print_error("%s: %d %s\n", #call, rc_, e_->msg);                                       \
            fail();                                                                                \
        }                                                                                          \
    } while (0)
