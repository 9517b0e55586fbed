// SPDX-License-Identifier: Apache-2.0
// A store in a fresh folder per test, an arena, and short ways to make rows.
#pragma once

#include "../../lib/test.h"

#include "base/arena.h"
#include "base/clock.h"
#include "store/blob.h"
#include "store/jobs.h"
#include "store/pipelines.h"
#include "store/projects.h"
#include "store/runners.h"
#include "store/seal.h"
#include "store/users.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    char folder[64];
    struct store *store;
    struct arena a;
    struct err e;
};

// For calls that must work: shows the error's text when they do not.
#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err *e_ = &F.e;                                                                     \
        *e_ = ERR_INIT;                                                                            \
        int64_t ok_ = (call);                                                                      \
        if (ok_ < 0) {                                                                             \
            print_error("%s: %s: %s\n", #call, err_name((int)ok_), e_->msg);                       \
            fail();                                                                                \
        }                                                                                          \
    } while (0)
#define ERR(want, call) assert_string_equal(err_name((int)(call)), err_name(want))

static struct fixture F;

static UNUSED void wipe_tree(const char *path)
{
    struct err e = ERR_INIT;
    struct store *s;
    // The store's own remover takes the folders below; the rest is flat.
    if (store_open(path, STORE_SYNC_NORMAL, &s, &e) == 0) {
        static const char *const below[] = {"artifacts", "traces",  "repos",
                                            "pages",     "secrets", "run"};
        for (size_t i = 0; i < ARRAY_SIZE(below); i++)
            (void)!blob_remove(s, str_of(below[i]), &e);
        store_close(s);
    }
    char name[128];
    static const char *const files[] = {"slipway.db", "slipway.db-wal", "slipway.db-shm",
                                        "copy.db"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(name, sizeof(name), "%s/%s", path, files[i]);
        unlink(name);
    }
    static const char *const left[] = {"artifacts", "traces", "repos", "pages", "secrets", "run"};
    for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
        snprintf(name, sizeof(name), "%s/%s", path, left[i]);
        if (access(name, F_OK) == 0) {
            if (str_is(str_of(left[i]), "secrets")) {
                char key[160];
                snprintf(key, sizeof(key), "%s/store.key", name);
                unlink(key);
            }
            rmdir(name);
        }
    }
    rmdir(path);
}

static UNUSED int setup(void **state)
{
    F = (struct fixture){.e = ERR_INIT};
    snprintf(F.folder, sizeof(F.folder), "/tmp/slipway-store-XXXXXX");
    assert_non_null(mkdtemp(F.folder));
    arena_init(&F.a, MIB(256));
    OK(store_open(F.folder, STORE_SYNC_NORMAL, &F.store, &F.e));
    return 0;
}

static UNUSED int teardown(void **state)
{
    store_close(F.store);
    arena_done(&F.a);
    wipe_tree(F.folder);
    return 0;
}

static UNUSED int64_t make_user(const char *name)
{
    _autotx_ struct tx tx = TX_NONE;
    struct user u = {.username = str_of(name),
                     .name = str_of(name),
                     .email = arena_strf(&F.a, "%s@example.org", name)};
    OK(store_write(F.store, &tx, &F.e));
    OK(user_insert(&tx, STR("x"), &u, &F.e));
    OK(tx_commit(&tx, &F.e));
    return u.id;
}

static UNUSED int64_t make_group(const char *path, int64_t parent)
{
    _autotx_ struct tx tx = TX_NONE;
    struct ns n = {.group = true, .parent_id = parent, .path = str_of(path), .name = str_of(path)};
    OK(store_write(F.store, &tx, &F.e));
    OK(ns_insert(&tx, &F.a, &n, &F.e));
    OK(tx_commit(&tx, &F.e));
    return n.id;
}

static UNUSED int64_t make_project(int64_t ns, const char *path, enum visibility vis)
{
    _autotx_ struct tx tx = TX_NONE;
    struct project p;
    project_defaults(&p);
    p.namespace_id = ns;
    p.path = p.name = str_of(path);
    p.visibility = vis;
    p.default_branch = STR("main");
    p.storage = arena_strf(&F.a, "@hashed/%lld/%s", (long long)ns, path);
    OK(store_write(F.store, &tx, &F.e));
    OK(project_insert(&tx, &F.a, &p, &F.e));
    OK(tx_commit(&tx, &F.e));
    return p.id;
}

static UNUSED int64_t user_ns(int64_t user)
{
    _autotx_ struct tx tx = TX_NONE;
    struct user u;
    OK(store_read(F.store, &tx, &F.e));
    OK(user_get(&tx, &F.a, user, &u, &F.e));
    return u.namespace_id;
}

static UNUSED int64_t make_pipeline(int64_t project, const char *ref, enum ci_status status)
{
    _autotx_ struct tx tx = TX_NONE;
    struct pipeline p = {.project_id = project,
                         .ref = str_of(ref),
                         .sha = STR("1111111111111111111111111111111111111111"),
                         .source = STR("push"),
                         .status = status,
                         .config = STR("{}"),
                         .variables = STR("[]")};
    OK(store_write(F.store, &tx, &F.e));
    OK(pipeline_insert(&tx, &p, &F.e));
    OK(tx_commit(&tx, &F.e));
    return p.id;
}

static UNUSED int64_t make_job(int64_t project, int64_t pipeline, const char *name,
                               enum ci_status status, const char *tag)
{
    _autotx_ struct tx tx = TX_NONE;
    struct str one = str_of(tag);
    struct job j = {.project_id = project,
                    .pipeline_id = pipeline,
                    .name = str_of(name),
                    .stage = STR("test"),
                    .stage_idx = 1,
                    .status = status,
                    .ref = STR("main"),
                    .spec = STR("{\"script\":[\"true\"]}"),
                    .tags = &one,
                    .ntags = tag ? 1 : 0};
    OK(store_write(F.store, &tx, &F.e));
    OK(job_insert(&tx, &j, clock_wall_ms(), &F.e));
    OK(tx_commit(&tx, &F.e));
    return j.id;
}

static UNUSED int64_t make_runner(const char *token, const char *tag, bool untagged)
{
    _autotx_ struct tx tx = TX_NONE;
    unsigned char hash[SHA256_SIZE];
    struct str one = str_of(tag);
    struct runner r = {
        .description = str_of(token), .run_untagged = untagged, .tags = &one, .ntags = tag ? 1 : 0};
    OK(store_write(F.store, &tx, &F.e));
    OK(runner_insert(&tx, sha256(str_of(token), hash), &r, &F.e));
    OK(tx_commit(&tx, &F.e));
    return r.id;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
