// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include "git/diff.h"
#include "git/read.h"

#include <string.h>

static struct git_repo *filled(struct box *b)
{
    struct err e;
    box_init(b);
    sh(b,
       "git init -q $W; cd $W; mkdir -p dir/sub; printf 'one\\ntwo\\nthree\\n' >a.txt; echo x "
       ">dir/x; echo y >dir/sub/y; printf 'bin\\000ary' >b.bin; ln -s a.txt link; git add -A; git "
       "commit -qm 'First: ünïcode title' -m 'Body line 1\nline 2' -m 'Last paragraph'");
    sh(b, "cd $W; printf 'one\\nTWO\\nthree\\nfour' >a.txt; git commit -qam 'Change a'");
    sh(b, "cd $W; git mv dir/x dir/renamed; chmod +x a.txt; git commit -qam 'Rename x'");
    sh(b,
       "cd $W; git checkout -qb side HEAD~; echo side >side.txt; git add -A; git commit -qm Side");
    sh(b, "cd $W; git checkout -q main; git merge -q --no-ff -m 'Merge side' side");
    sh(b,
       "cd $W; git rm -q b.bin; git commit -qm 'Drop b'; git tag -a -m 'Release one' v1 HEAD~; git "
       "tag light; git remote add o $B; git push -q o --all; git push -q o --tags");
    struct git_repo *r;
    OK(git_repo_open(b->bare, &r, &e));
    return r;
}

static void resolving(void **state)
{
    struct box b;
    struct err e;
    struct git_repo *r = filled(&b);
    const char *sha;
    enum git_ref_kind kind;
    static const struct {
        const char *rev, *git;
        enum git_ref_kind kind;
    } CASES[] = {
        {"", "HEAD", GIT_KIND_BRANCH},       {"HEAD", "HEAD", GIT_KIND_BRANCH},
        {"main", "main", GIT_KIND_BRANCH},   {"refs/heads/side", "side", GIT_KIND_BRANCH},
        {"v1", "v1^{commit}", GIT_KIND_TAG}, {"refs/tags/v1", "v1^{commit}", GIT_KIND_TAG}};
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        char line[100];
        snprintf(line, sizeof(line), "git -C $B rev-parse '%s'", CASES[i].git);
        OK(git_resolve(r, str_of(CASES[i].rev), &b.a, &sha, &kind, &e));
        assert_true(str_eq(str_of(sha), sh1(&b, line)));
        assert_int_equal(kind, CASES[i].kind);
    }
    struct str full = sh1(&b, "git -C $B rev-parse side");
    OK(git_resolve(r, full, &b.a, &sha, &kind, &e));
    assert_int_equal(kind, GIT_KIND_COMMIT);
    OK(git_resolve(r, str_head(full, 8), &b.a, &sha, &kind, &e));
    assert_true(str_eq(str_of(sha), full));
    assert_int_equal(git_resolve(r, STR("nope"), &b.a, &sha, NULL, &e), E_NOTFOUND);
    assert_int_equal(git_resolve(r, STR("main~1"), &b.a, &sha, NULL, &e), E_NOTFOUND);
    assert_int_equal(git_resolve(r, STR("deadbeef"), &b.a, &sha, NULL, &e), E_NOTFOUND);
    struct str tree = sh1(&b, "git -C $B rev-parse 'main^{tree}'");
    assert_int_equal(git_resolve(r, tree, &b.a, &sha, NULL, &e), E_NOTFOUND);
    const char *head;
    OK(git_repo_head(r, &b.a, &head, &e));
    assert_string_equal(head, "main");
    git_repo_close(r);
    box_done(&b);
}

static void commits(void **state)
{
    struct box b;
    struct err e;
    struct git_repo *r = filled(&b);
    struct git_commit c;
    OK(git_commit_get(r, sh1(&b, "git -C $B rev-list --max-parents=0 main"), &b.a, &c, &e));
    assert_str(c.title, "First: ünïcode title");
    assert_str(c.body, "Body line 1\nline 2\n\nLast paragraph");
    assert_str(c.author.name, "Ada Lovelace");
    assert_str(c.committer.email, "grace@example.org");
    assert_int_equal(c.author.offset_min, 90);
    assert_int_equal(c.committer.offset_min, -480);
    assert_int_equal(c.nparents, 0);
    struct str want =
        sh1(&b, "git -C $B log -1 --format=%aI $(git -C $B rev-list --max-parents=0 main)");
    char with_ms[64]; // git writes no milliseconds
    snprintf(with_ms, sizeof(with_ms), "%.19s.000%.6s", want.p, want.p + 19);
    assert_string_equal(git_person_time(&c.author, &b.a), with_ms);
    OK(git_commit_get(r, sh1(&b, "git -C $B rev-parse main~"), &b.a, &c, &e));
    assert_int_equal(c.nparents, 2);
    assert_true(str_eq(str_of(c.parents[1]), sh1(&b, "git -C $B rev-parse side")));
    assert_int_equal(
        git_commit_get(r, STR("0123456789012345678901234567890123456789"), &b.a, &c, &e),
        E_NOTFOUND);
    assert_int_equal(git_commit_get(r, STR("main"), &b.a, &c, &e), E_INVALID);
    git_repo_close(r);
    box_done(&b);
}

static struct str log_text(struct box *b, const struct git_log *log)
{
    _autobuf_ struct buf out = BUF_INIT(MIB(1));
    for (size_t i = 0; i < log->n; i++)
        buf_addf(&out, "%s\n", log->items[i].sha);
    return arena_str(&b->a, buf_str(&out));
}

static void logs(void **state)
{
    struct box b;
    struct err e;
    struct git_repo *r = filled(&b);
    struct str main_sha = sh1(&b, "git -C $B rev-parse main");
    struct git_log log;
    struct git_log_query q = {.sha = main_sha};
    OK(git_log(r, &q, &b.a, &log, &e));
    assert_true(str_eq(log_text(&b, &log), sh(&b, "git -C $B log --format=%H main")));
    assert_false(log.more);
    q.offset = 1;
    q.limit = 2;
    OK(git_log(r, &q, &b.a, &log, &e));
    assert_true(str_eq(log_text(&b, &log), sh(&b, "git -C $B log --skip=1 -n2 --format=%H main")));
    assert_true(log.more);
    q = (struct git_log_query){.sha = main_sha, .path = STR("dir")};
    OK(git_log(r, &q, &b.a, &log, &e));
    assert_true(str_eq(log_text(&b, &log), sh(&b, "git -C $B log --format=%H main -- dir")));
    assert_int_equal(log.n, 2);
    q.path = STR("*.txt"); // a name, no pattern
    OK(git_log(r, &q, &b.a, &log, &e));
    assert_int_equal(log.n, 0);
    q = (struct git_log_query){.sha = main_sha, .not_sha = sh1(&b, "git -C $B rev-parse side")};
    OK(git_log(r, &q, &b.a, &log, &e));
    assert_true(str_eq(log_text(&b, &log), sh(&b, "git -C $B log --format=%H main ^side")));
    size_t n;
    OK(git_commit_count(r, main_sha, 1000, &n, &e));
    assert_int_equal(n, 6);
    OK(git_commit_count(r, main_sha, 3, &n, &e));
    assert_int_equal(n, 3);
    bool is;
    OK(git_is_ancestor(r, q.not_sha, main_sha, &is, &e));
    assert_true(is);
    OK(git_is_ancestor(r, main_sha, q.not_sha, &is, &e));
    assert_false(is);
    const char *base;
    OK(git_common_ancestor(r, main_sha, q.not_sha, &b.a, &base, &e));
    assert_true(str_eq(str_of(base), q.not_sha));
    q = (struct git_log_query){.sha = main_sha, .path = STR("../x")};
    assert_int_equal(git_log(r, &q, &b.a, &log, &e), E_INVALID);
    git_repo_close(r);
    box_done(&b);
}

static void trees(void **state)
{
    struct box b;
    struct err e;
    struct git_repo *r = filled(&b);
    struct str main_sha = sh1(&b, "git -C $B rev-parse main");
    struct git_tree_list t;
    struct git_tree_query q = {.sha = main_sha};
    OK(git_tree_list(r, &q, &b.a, &t, &e));
    assert_int_equal(t.total, 4);
    assert_string_equal(t.items[0].name, "dir");
    assert_int_equal(t.items[0].kind, GIT_ENTRY_TREE);
    assert_string_equal(t.items[1].name, "a.txt");
    assert_int_equal(t.items[1].mode, 0100755);
    assert_string_equal(t.items[2].name, "link");
    assert_int_equal(t.items[2].kind, GIT_ENTRY_LINK);
    q = (struct git_tree_query){.sha = main_sha, .recursive = true, .limit = 100};
    OK(git_tree_list(r, &q, &b.a, &t, &e));
    _autobuf_ struct buf out = BUF_INIT(MIB(1));
    for (size_t i = 0; i < t.n; i++)
        buf_addf(&out, "%06o %s %s\n", t.items[i].mode, t.items[i].sha, t.items[i].path);
    assert_true(str_eq(buf_str(&out), sh(&b, "git -C $B ls-tree -r -t main | sed "
                                             "'s/ [a-z]* / /; s/\\t/ /'")));
    q = (struct git_tree_query){.sha = main_sha, .path = STR("dir/sub"), .recursive = false};
    OK(git_tree_list(r, &q, &b.a, &t, &e));
    assert_int_equal(t.n, 1);
    assert_string_equal(t.items[0].path, "dir/sub/y");
    q.path = STR("dir/none");
    assert_int_equal(git_tree_list(r, &q, &b.a, &t, &e), E_NOTFOUND);
    q.path = STR("a.txt");
    assert_int_equal(git_tree_list(r, &q, &b.a, &t, &e), E_NOTFOUND);
    q.path = STR("dir/../dir");
    assert_int_equal(git_tree_list(r, &q, &b.a, &t, &e), E_INVALID);
    // pages do not overlap
    q = (struct git_tree_query){.sha = main_sha, .offset = 1, .limit = 2};
    OK(git_tree_list(r, &q, &b.a, &t, &e));
    assert_int_equal(t.n, 2);
    assert_string_equal(t.items[0].name, "a.txt");

    q = (struct git_tree_query){.sha = main_sha, .limit = 100};
    OK(git_tree_list(r, &q, &b.a, &t, &e));
    OK(git_tree_last_commits(r, main_sha, STR(""), t.items, t.n, 1000, 5000, &b.a, &e));
    for (size_t i = 0; i < t.n; i++) {
        char line[200];
        snprintf(line, sizeof(line), "git -C $B log -1 --format=%%H main -- %s", t.items[i].path);
        assert_non_null(t.items[i].last);
        if (!str_eq(str_of(t.items[i].last->sha), sh1(&b, line)))
            print_error("%s\n", t.items[i].path);
        assert_true(str_eq(str_of(t.items[i].last->sha), sh1(&b, line)));
    }
    OK(git_tree_last_commits(r, main_sha, STR(""), t.items, t.n, 1, 5000, &b.a, &e));
    assert_null(t.items[1].last);
    git_repo_close(r);
    box_done(&b);
}

static void files(void **state)
{
    struct box b;
    struct err e;
    struct git_repo *r = filled(&b);
    struct str main_sha = sh1(&b, "git -C $B rev-parse main");
    struct git_blob f;
    OK(git_read_blob(r, main_sha, STR("a.txt"), 1000, &b.a, &f, &e));
    assert_str(f.data, "one\nTWO\nthree\nfour");
    assert_int_equal(f.size, 18);
    assert_false(f.binary || f.truncated);
    OK(git_read_blob(r, main_sha, STR("a.txt"), 3, &b.a, &f, &e));
    assert_str(f.data, "one");
    assert_true(f.truncated);
    assert_int_equal(f.size, 18);
    struct str with_bin = sh1(&b, "git -C $B rev-parse main~1");
    OK(git_read_blob(r, with_bin, STR("b.bin"), 1000, &b.a, &f, &e));
    assert_true(f.binary);
    assert_int_equal(f.data.n, 7);
    struct git_blob same;
    OK(git_blob_by_sha(r, str_of(f.sha), 1000, &b.a, &same, &e));
    assert_true(str_eq(f.data, same.data));
    assert_int_equal(git_read_blob(r, main_sha, STR("b.bin"), 10, &b.a, &f, &e), E_NOTFOUND);
    assert_int_equal(git_read_blob(r, main_sha, STR("dir"), 10, &b.a, &f, &e), E_INVALID);
    assert_int_equal(git_read_blob(r, main_sha, STR("../a"), 10, &b.a, &f, &e), E_INVALID);
    assert_int_equal(git_read_blob(r, main_sha, STR("a\0b"), 10, &b.a, &f, &e), E_INVALID);
    assert_int_equal(git_blob_by_sha(r, main_sha, 10, &b.a, &f, &e), E_NOTFOUND);
    git_repo_close(r);
    box_done(&b);
}

static void branches_and_tags(void **state)
{
    struct box b;
    struct err e;
    struct git_repo *r = filled(&b);
    struct git_ref_list l;
    struct git_ref_query q = {.with_commits = true};
    OK(git_refs_list(r, &q, &b.a, &l, &e));
    assert_int_equal(l.total, 2);
    assert_string_equal(l.items[0].name, "main");
    assert_str(l.items[0].commit.title, "Drop b");
    q.order = GIT_BY_UPDATED_ASC;
    OK(git_refs_list(r, &q, &b.a, &l, &e));
    assert_string_equal(l.items[0].name, "side");
    q = (struct git_ref_query){.search = STR("SID")};
    OK(git_refs_list(r, &q, &b.a, &l, &e));
    assert_int_equal(l.total, 1);
    q.search = STR("^mai");
    OK(git_refs_list(r, &q, &b.a, &l, &e));
    assert_int_equal(l.total, 1);
    q = (struct git_ref_query){.tags = true, .with_commits = true, .order = GIT_BY_UPDATED_DESC};
    OK(git_refs_list(r, &q, &b.a, &l, &e));
    assert_int_equal(l.total, 2);
    assert_string_equal(l.items[0].name, "light");
    assert_null(l.items[0].tag_sha);
    assert_string_equal(l.items[1].name, "v1");
    assert_str(l.items[1].tag_message, "Release one");
    assert_str(l.items[1].tagger.name, "Grace Hopper");
    assert_str(l.items[1].commit.title, "Merge side");
    struct git_ref_item it;
    OK(git_ref_get(r, true, STR("v1"), &b.a, &it, &e));
    assert_string_equal(it.ref, "refs/tags/v1");
    assert_int_equal(git_ref_get(r, false, STR("v1"), &b.a, &it, &e), E_NOTFOUND);
    git_repo_close(r);
    box_done(&b);
}

static void diffs(void **state)
{
    struct box b;
    struct err e;
    struct git_repo *r = filled(&b);
    struct git_diff d;
    // every single-parent commit: each file's text equals git's
    struct str list = sh(&b, "git -C $B rev-list --no-merges main");
    for (struct str rest = list, sha; str_cut(&rest, '\n', &sha);) {
        if (!sha.n)
            continue;
        OK(git_diff_commit(r, sha, NULL, &b.a, &d, &e));
        _autobuf_ struct buf got = BUF_INIT(MIB(1));
        for (size_t i = 0; i < d.n; i++)
            buf_add(&got, git_diff_text(&d.files[i], &b.a));
        char line[300];
        snprintf(line, sizeof(line),
                 "git -C $B show --format= -M --no-color %.40s | sed -n "
                 "'/^@@/,/^diff/p;/^Binary/p' | grep "
                 "-v ^diff || true",
                 sha.p);
        struct str want = sh(&b, line);
        // git names the files of a binary change as they are; ours says the same
        if (!str_eq(buf_str(&got), want))
            print_error("%.40s\ngot\n%s\nwant\n%" PRISTR "\n", sha.p, got.p, STRARG(want));
        assert_true(str_eq(buf_str(&got), want));
    }
    struct str rename = sh1(&b, "git -C $B log --format=%H --grep='Rename x' main");
    OK(git_diff_commit(r, rename, NULL, &b.a, &d, &e));
    assert_int_equal(d.n, 2);
    assert_int_equal(d.files[0].old_mode, 0100644);
    assert_int_equal(d.files[0].new_mode, 0100755);
    assert_int_equal(d.files[1].change, GIT_RENAMED);
    assert_string_equal(d.files[1].old_path, "dir/x");
    struct str change = sh1(&b, "git -C $B log --format=%H --grep='Change a' main");
    OK(git_diff_commit(r, change, NULL, &b.a, &d, &e));
    assert_int_equal(d.added, 2);
    assert_int_equal(d.deleted, 1);
    struct git_diff_hunk *h = &d.files[0].hunks[0];
    assert_int_equal(h->lines[0].old_no, 1);
    assert_int_equal(h->lines[1].origin, '-');
    assert_int_equal(h->lines[1].old_no, 2);
    assert_int_equal(h->lines[1].new_no, 0);
    // limits
    struct git_diff_limits few = {.max_files = 1};
    OK(git_diff_commit(r, rename, &few, &b.a, &d, &e));
    assert_int_equal(d.n, 1);
    assert_int_equal(d.total_files, 2);
    assert_true(d.truncated);
    struct git_diff_limits short_ = {.max_file_lines = 2};
    OK(git_diff_commit(r, change, &short_, &b.a, &d, &e));
    assert_true(d.files[0].too_large);
    assert_int_equal(d.files[0].nhunks, 0);
    assert_int_equal(d.files[0].added, 2);
    struct git_diff_limits small = {.max_file_bytes = 5};
    OK(git_diff_commit(r, change, &small, &b.a, &d, &e));
    assert_true(d.files[0].too_large);

    struct str *paths;
    size_t n;
    bool all;
    OK(git_changed_paths(r, sh1(&b, "git -C $B rev-parse main~3"),
                         sh1(&b, "git -C $B rev-parse main"), 100, &b.a, &paths, &n, &all, &e));
    _autobuf_ struct buf got = BUF_INIT(MIB(1));
    for (size_t i = 0; i < n; i++)
        buf_addf(&got, "%" PRISTR "\n", STRARG(paths[i]));
    assert_true(
        str_eq(buf_str(&got), sh(&b, "git -C $B diff --no-renames --name-only main~3 main")));
    assert_true(all);
    OK(git_changed_paths(r, STR(GIT_ZERO_SHA), sh1(&b, "git -C $B rev-parse main"), 2, &b.a, &paths,
                         &n, &all, &e));
    assert_int_equal(n, 2);
    assert_false(all);
    git_repo_close(r);
    box_done(&b);
}

static void making_twice_and_deleting(void **state)
{
    struct box b;
    struct err e;
    box_init(&b);
    sh(&b, "git -C $B config x.y z; rmdir $B/refs/tags");
    OK(git_repo_create(b.bare, STR("other"), &e));
    assert_str(sh1(&b, "git -C $B config x.y"), "z");
    assert_str(sh1(&b, "git -C $B symbolic-ref HEAD"), "refs/heads/main");
    assert_str(sh1(&b, "git -C $B fsck >/dev/null 2>&1 && test -d $B/refs/tags && echo fine"),
               "fine");
    assert_int_equal(git_repo_create(b.bare, STR("a..b"), &e), E_INVALID);
    struct git_repo *r;
    OK(git_repo_open(b.bare, &r, &e));
    OK(git_repo_set_head(r, STR("trunk"), &e));
    assert_str(sh1(&b, "git -C $B symbolic-ref HEAD"), "refs/heads/trunk");
    git_repo_close(r);
    int64_t size;
    OK(git_repo_size(b.bare, &size, &e));
    assert_int_equal(size, 0);
    OK(git_repo_delete(b.bare, &e));
    OK(git_repo_delete(b.bare, &e));
    assert_int_equal(git_repo_open(b.bare, &r, &e), E_NOTFOUND);
    box_done(&b);
}

RUN_TESTS(cmocka_unit_test(resolving), cmocka_unit_test(commits), cmocka_unit_test(logs),
          cmocka_unit_test(trees), cmocka_unit_test(files), cmocka_unit_test(branches_and_tags),
          cmocka_unit_test(diffs), cmocka_unit_test(making_twice_and_deleting))
