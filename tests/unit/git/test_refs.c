// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include "codec/pktline.h"
#include "git/lsrefs.h"
#include "git/refs.h"

#include <string.h>

static void seed(struct box *b)
{
    sh(b, "git init -q $W; cd $W; echo 1 >a; git add a; git commit -qm one; echo 2 >a; git commit "
          "-qam two; git branch topic/deep/x HEAD~; git tag light HEAD~; git tag -a -m note "
          "annotated; "
          "git tag -a -m again nested annotated; git remote add o $B; git push -q o --all; git "
          "push -q "
          "o --tags");
}

// As `git for-each-ref` prints them.
static struct str listing(struct box *b, const struct git_refs *r)
{
    _autobuf_ struct buf out = BUF_INIT(MIB(64));
    for (size_t i = 0; i < r->n; i++)
        buf_addf(&out, "%" PRISTR " %" PRISTR " %" PRISTR "\n", STRARG(r->items[i].sha),
                 STRARG(r->items[i].name), STRARG(r->items[i].peeled));
    return arena_str(&b->a, buf_str(&out));
}

static void compare(struct box *b, const struct git_refs *r)
{
    struct str want =
        sh(b, "git -C $B for-each-ref --format='%(objectname) %(refname) %(*objectname)'");
    // for-each-ref peels one level only; nested tags are compared with ls-remote below.
    want = sh(
        b, "git -C $B for-each-ref --format='%(objectname) %(refname)' | while read sha ref; do "
           "p=$(git -C $B rev-parse -q --verify $ref^{}); t=$(git -C $B cat-file -t $sha); if [ $t "
           "= tag ]; then echo \"$sha $ref $p\"; else echo \"$sha $ref \"; fi; done");
    struct str got = listing(b, r);
    if (!str_eq(got, want))
        print_error("got\n%" PRISTR "want\n%" PRISTR, STRARG(got), STRARG(want));
    assert_true(str_eq(got, want));
}

static void same_as_git(void **state)
{
    struct box b;
    struct err e;
    box_init(&b);
    struct git_refs *r;
    OK(git_refs_read(b.bare, &r, &e));
    assert_int_equal(r->n, 0);
    assert_str(r->head, "refs/heads/main");
    assert_int_equal(r->head_sha.n, 0);
    git_refs_unref(r);

    seed(&b);
    OK(git_refs_read(b.bare, &r, &e));
    compare(&b, r);
    assert_true(str_eq(r->head_sha, sh1(&b, "git -C $B rev-parse HEAD")));
    git_refs_unref(r);

    sh(&b, "git -C $B pack-refs --all");
    OK(git_refs_read(b.bare, &r, &e));
    compare(&b, r);
    git_refs_unref(r);

    // loose over packed, one deleted, a symbolic ref, and junk that git ignores
    sh(&b, "git -C $B update-ref refs/heads/main main~; git -C $B update-ref -d refs/tags/light; "
           "git -C "
           "$B symbolic-ref refs/heads/alias refs/heads/main; echo junk >$B/refs/heads/main.lock; "
           ": >$B/refs/heads/torn; mkdir -p $B/refs/heads/empty/dir");
    OK(git_refs_read(b.bare, &r, &e));
    sh(&b, "rm $B/refs/heads/torn $B/refs/heads/main.lock");
    compare(&b, r);
    const struct git_ref *alias = git_refs_find(r, STR("refs/heads/alias"));
    assert_non_null(alias);
    assert_str(alias->symref, "refs/heads/main");
    git_refs_unref(r);
    box_done(&b);
}

static void cache_sees_every_change(void **state)
{
    struct box b;
    struct err e;
    box_init(&b);
    seed(&b);
    struct git_refs_cache *c = git_refs_cache_new(100000);
    static const char *const STEPS[] = {
        "true",
        "true",
        "git -C $B update-ref refs/heads/new main",
        "git -C $B update-ref refs/heads/new main~",
        "git -C $B update-ref refs/heads/new main",
        "git -C $B pack-refs --all",
        "git -C $B update-ref -d refs/heads/new",
        "git -C $B update-ref refs/heads/a/b/c main",
        "git -C $B update-ref -d refs/heads/a/b/c",
        "git -C $B pack-refs --all",
        "git -C $B tag -a -m late late main",
    };
    for (size_t i = 0; i < ARRAY_SIZE(STEPS); i++) {
        sh(&b, STEPS[i]);
        struct git_refs *r;
        OK(git_refs_cached(c, b.bare, &r, &e));
        compare(&b, r);
        git_refs_unref(r);
    }
    // Once nothing changes and the time stamps are old enough, the same snapshot comes again.
    int64_t until = clock_ms() + 5000;
    bool same = false;
    while (!same && clock_ms() < until) {
        struct git_refs *x, *y;
        OK(git_refs_cached(c, b.bare, &x, &e));
        OK(git_refs_cached(c, b.bare, &y, &e));
        same = x == y;
        git_refs_unref(x);
        git_refs_unref(y);
    }
    assert_true(same);
    // A repository that had packed refs and has none is not an empty one.
    sh(&b, "rm $B/packed-refs");
    struct git_refs *r;
    assert_int_equal(git_refs_cached(c, b.bare, &r, &e), E_IO);
    git_refs_cache_free(c);
    box_done(&b);
}

static void single_lookup(void **state)
{
    struct box b;
    struct err e;
    char sha[41];
    box_init(&b);
    seed(&b);
    for (int packed = 0; packed < 2; packed++) {
        OK(git_ref_lookup(b.bare, STR("refs/heads/topic/deep/x"), sha, &e));
        assert_true(str_eq(str_of(sha), sh1(&b, "git -C $B rev-parse topic/deep/x")));
        OK(git_ref_lookup(b.bare, STR("HEAD"), sha, &e));
        assert_true(str_eq(str_of(sha), sh1(&b, "git -C $B rev-parse HEAD")));
        assert_int_equal(git_ref_lookup(b.bare, STR("refs/heads/none"), sha, &e), E_NOTFOUND);
        assert_int_equal(git_ref_lookup(b.bare, STR("refs/heads"), sha, &e), E_NOTFOUND);
        assert_int_equal(git_ref_lookup(b.bare, STR("refs/heads/../../HEAD"), sha, &e), E_INVALID);
        sh(&b, "git -C $B pack-refs --all");
    }
    box_done(&b);
}

static void setting_and_deleting(void **state)
{
    struct box b;
    struct err e;
    box_init(&b);
    seed(&b);
    struct git_repo *r;
    OK(git_repo_open(b.bare, &r, &e));
    struct str main_sha = sh1(&b, "git -C $B rev-parse main");
    OK(git_ref_set(r, STR("refs/pipelines/12"), main_sha, &e));
    assert_true(str_eq(sh1(&b, "git -C $B rev-parse refs/pipelines/12"), main_sha));
    struct str older = sh1(&b, "git -C $B rev-parse main~");
    OK(git_ref_set(r, STR("refs/pipelines/12"), older, &e));
    assert_true(str_eq(sh1(&b, "git -C $B rev-parse refs/pipelines/12"), older));
    assert_int_equal(git_ref_set(r, STR("refs/pipelines/13"),
                                 STR("0123456789012345678901234567890123456789"), &e),
                     E_NOTFOUND);
    assert_int_equal(git_ref_set(r, STR("refs/x/../y"), main_sha, &e), E_INVALID);
    assert_int_equal(git_ref_delete(r, STR("refs/pipelines/12"), main_sha, &e), E_CONFLICT);
    sh(&b, "git -C $B pack-refs --all");
    OK(git_ref_delete(r, STR("refs/pipelines/12"), older, &e));
    OK(git_ref_delete(r, STR("refs/pipelines/12"), older, &e));
    assert_int_equal(sh1(&b, "git -C $B for-each-ref refs/pipelines").n, 0);
    sh(&b, "git -C $B fsck --strict");
    git_repo_close(r);
    box_done(&b);
}

// ---- ls-refs, compared with git upload-pack itself

static int collect(void *ctx, struct str piece, struct err *e)
{
    buf_add(ctx, piece);
    return 0;
}

static void ls_refs_like_git(void **state)
{
    struct box b;
    struct err e;
    box_init(&b);
    seed(&b);
    sh(&b, "git -C $B pack-refs --all; git -C $B update-ref refs/heads/loose main; git -C $B tag "
           "-a -m t "
           "loosetag main");
    static const char *const ARGS[][6] = {
        {NULL},
        {"peel", "symrefs", NULL},
        {"peel", "symrefs", "unborn", "ref-prefix refs/heads/", "ref-prefix refs/tags/", NULL},
        {"ref-prefix HEAD", "symrefs", NULL},
        {"ref-prefix refs/heads/to", "ref-prefix refs/heads/topic/", NULL},
        {"ref-prefix nothing", NULL},
        {"ref-prefix refs/tags/", "peel", NULL},
    };
    struct git_refs *r;
    OK(git_refs_read(b.bare, &r, &e));
    for (size_t i = 0; i < ARRAY_SIZE(ARGS); i++) {
        _autobuf_ struct buf rq = BUF_INIT(KIB(64));
        pkt_addf(&rq, "command=ls-refs\n");
        pkt_addf(&rq, "agent=git/test");
        pkt_addf(&rq, "object-format=sha1");
        pkt_delim(&rq);
        for (size_t k = 0; k < 6 && ARGS[i][k]; k++)
            pkt_addf(&rq, "%s\n", ARGS[i][k]);
        pkt_flush(&rq);
        char path[400];
        snprintf(path, sizeof(path), "%s/request", b.dir);
        OK(file_replace(path, buf_str(&rq), 0600, &e));
        struct str want =
            sh(&b, "GIT_PROTOCOL=version=2 git upload-pack --stateless-rpc $B <request");
        _autobuf_ struct buf got = BUF_INIT(MIB(1));
        assert_true(lsrefs_is(buf_str(&rq)));
        OK(lsrefs_answer(r, buf_str(&rq), collect, &got, &e));
        if (!str_eq(buf_str(&got), want))
            print_error("case %zu\ngot  %s\nwant %s\n", i, got.p, want.p);
        assert_true(str_eq(buf_str(&got), want));
    }
    // A refused request
    _autobuf_ struct buf got = BUF_INIT(MIB(1));
    assert_int_equal(lsrefs_answer(r, STR("0014command=ls-refs\n00010009bogus"), collect, &got, &e),
                     E_INVALID);
    assert_int_equal(lsrefs_answer(r, STR("0014command=ls-refs\n0001"), collect, &got, &e),
                     E_INVALID);
    git_refs_unref(r);
    box_done(&b);
}

static void push_listing_hides_ours(void **state)
{
    struct box b;
    struct err e;
    box_init(&b);
    _autobuf_ struct buf empty = BUF_INIT(MIB(1));
    struct git_refs *r;
    OK(git_refs_read(b.bare, &r, &e));
    OK(receive_advertise(r, STR("report-status"), collect, &empty, &e));
    assert_true(str_search(buf_str(&empty), STR("capabilities^{}")) > 0);
    git_refs_unref(r);
    seed(&b);
    sh(&b, "git -C $B update-ref refs/pipelines/1 main");
    struct str want = sh(&b, "git receive-pack --http-backend-info-refs $B");
    // git's own list, with its capabilities
    struct pkt first;
    size_t used;
    assert_int_equal(pkt_parse(want, &first, &used, NULL), 0);
    const char *caps = memchr(first.data.p, 0, first.data.n);
    assert_non_null(caps);
    struct str line = pkt_line(first);
    struct str cap = str_n(caps + 1, (size_t)(line.p + line.n - caps - 1));
    OK(git_refs_read(b.bare, &r, &e));
    _autobuf_ struct buf got = BUF_INIT(MIB(1));
    OK(receive_advertise(r, cap, collect, &got, &e));
    struct str head = STR("001f# service=git-receive-pack\n0000");
    assert_true(str_starts(buf_str(&got), head));
    if (!str_eq(str_from(buf_str(&got), head.n), want))
        print_error("got  %" PRISTR "\nwant %" PRISTR "\n", STRARG(str_from(buf_str(&got), head.n)),
                    STRARG(want));
    assert_true(str_eq(str_from(buf_str(&got), head.n), want));
    git_refs_unref(r);
    box_done(&b);
}

static void names(void **state)
{
    static const char *const GOOD[] = {"refs/heads/main", "refs/heads/a/b-c_d.e", "refs/heads/ü",
                                       "refs/heads/@",    "refs/heads/-x",        "refs/tags/v1.0"};
    static const char *const BAD[] = {"main",
                                      "/refs/heads/x",
                                      "refs/heads/",
                                      "refs//x",
                                      "refs/heads/a..b",
                                      "refs/heads/a~1",
                                      "refs/heads/a^",
                                      "refs/heads/a:b",
                                      "refs/heads/a?",
                                      "refs/heads/a*",
                                      "refs/heads/a[",
                                      "refs/heads/a\\b",
                                      "refs/heads/a b",
                                      "refs/heads/x.",
                                      "refs/heads/x.lock/y",
                                      "refs/heads/\x7f",
                                      ""};
    for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++)
        assert_true(git_ref_name_ok(str_of(GOOD[i])));
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
        assert_false(git_ref_name_ok(str_of(BAD[i])));
    assert_false(git_branch_name_ok(STR("-x")));
    assert_false(git_branch_name_ok(STR("")));
    assert_false(git_branch_name_ok(STR("a\0b")));
    assert_true(git_branch_name_ok(STR("feature/x")));
}

RUN_TESTS(cmocka_unit_test(same_as_git), cmocka_unit_test(cache_sees_every_change),
          cmocka_unit_test(single_lookup), cmocka_unit_test(setting_and_deleting),
          cmocka_unit_test(ls_refs_like_git), cmocka_unit_test(push_listing_hides_ours),
          cmocka_unit_test(names))
