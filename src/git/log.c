// SPDX-License-Identifier: Apache-2.0
// History: logs, counts, ancestors, and which commit last touched each entry of a folder. Plain
// histories are walked with libgit2; the history of a path is git's own rev-list, whose rules for
// merges are not worth repeating. Every walk has a bound.
#include "git/repo_priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "git/proc.h"
#include "os/spawn.h"

#include <stdlib.h>

enum { LOG_MAX = 10000, PATH_LOG_MS = 20000 };

static int walk_begin(struct git_repo *r, struct str sha, struct str not_sha, git_revwalk **ret,
                      struct err *e)
{
    git_oid oid;
    int rc = git_oid_of(sha, &oid, e);
    if (rc < 0)
        return rc;
    rc = git_revwalk_new(ret, r->lg);
    if (rc == 0)
        rc = git_revwalk_sorting(*ret, GIT_SORT_NONE);
    if (rc == 0)
        rc = git_revwalk_push(*ret, &oid);
    if (rc < 0)
        return git_fail(rc, e, "cannot walk from %" PRISTR, STRARG(sha));
    if (not_sha.n) {
        rc = git_oid_of(not_sha, &oid, e);
        if (rc < 0)
            return rc;
        rc = git_revwalk_hide(*ret, &oid);
        if (rc < 0)
            return git_fail(rc, e, "cannot walk without %" PRISTR, STRARG(not_sha));
    }
    return 0;
}

static int log_path(struct git_repo *r, const struct git_log_query *q, size_t limit,
                    struct arena *a, struct git_log *ret, struct err *e)
{
    const char *not_arg = q->not_sha.n ? arena_printf(a, "^%" PRISTR, STRARG(q->not_sha)) : "--";
    const char *argv[] = {"git",
                          arena_printf(a, "--git-dir=%s", r->path),
                          "--literal-pathspecs",
                          "rev-list",
                          arena_printf(a, "--skip=%zu", q->offset),
                          arena_printf(a, "--max-count=%zu", limit + 1),
                          arena_dup(a, q->sha),
                          not_arg,
                          q->not_sha.n ? "--" : arena_dup(a, q->path),
                          q->not_sha.n ? arena_dup(a, q->path) : NULL,
                          NULL};
    struct spawn_options o = {
        .argv = argv, .env = git_env(a, NULL, NULL, 0), .cwd = "/", .new_group = true};
    _autobuf_ struct buf out = BUF_INIT((limit + 2) * (GIT_SHA_HEX + 1) + KIB(32));
    _autobuf_ struct buf why = BUF_INIT(KIB(64));
    int code;
    int rc = spawn_run(&o, STR_NONE, &out, &why, clock_ms() + PATH_LOG_MS, &code, e);
    if (rc == E_AGAIN)
        return err_set(e, E_LIMIT, "the history of \"%" PRISTR "\" takes too long to find",
                       STRARG(str_head(q->path, 200)));
    if (rc < 0)
        return rc;
    if (code != 0)
        return err_set(e, E_IO, "git rev-list failed: %" PRISTR, STRARG(str_trim(buf_str(&why))));
    for (struct str rest = buf_str(&out), line; str_cut(&rest, '\n', &line);) {
        if (!line.n)
            continue;
        if (ret->n == limit) {
            ret->more = true;
            break;
        }
        rc = git_commit_get(r, line, a, &ret->items[ret->n], e);
        if (rc < 0)
            return rc;
        ret->n++;
    }
    return 0;
}

int git_log(struct git_repo *r, const struct git_log_query *q, struct arena *a, struct git_log *ret,
            struct err *e)
{
    *ret = (struct git_log){0};
    size_t limit = MIN(q->limit ? q->limit : 20, (size_t)LOG_MAX);
    ret->items = ARENA_ARRAY(a, struct git_commit, limit + 1);
    int rc = git_path_check(q->path, e);
    if (rc < 0)
        return rc;
    _lgfree_(revwalk) git_revwalk *walk = NULL;
    rc = walk_begin(r, q->sha, q->not_sha, &walk, e);
    if (rc < 0)
        return rc;
    if (q->path.n)
        return log_path(r, q, limit, a, ret, e);
    git_oid oid;
    size_t at = 0;
    while ((rc = git_revwalk_next(&oid, walk)) == 0) {
        if (at++ < q->offset)
            continue;
        if (ret->n == limit) {
            ret->more = true;
            return 0;
        }
        _lgfree_(commit) lg_commit *c = NULL;
        rc = git_commit_lookup(&c, r->lg, &oid);
        if (rc < 0)
            return git_fail(rc, e, "cannot read commit %s", git_oid_tostr_s(&oid));
        git_commit_fill(c, a, &ret->items[ret->n++]);
    }
    return rc == GIT_ITEROVER ? 0 : git_fail(rc, e, "cannot walk the history");
}

int git_commit_count_since(struct git_repo *r, struct str sha, struct str not_sha, size_t max,
                           size_t *ret, struct err *e)
{
    _lgfree_(revwalk) git_revwalk *walk = NULL;
    *ret = 0;
    int rc = walk_begin(r, sha, not_sha, &walk, e);
    if (rc < 0)
        return rc;
    git_oid oid;
    while (*ret < max && (rc = git_revwalk_next(&oid, walk)) == 0)
        (*ret)++;
    return rc == 0 || rc == GIT_ITEROVER ? 0 : git_fail(rc, e, "cannot walk the history");
}

int git_commit_count(struct git_repo *r, struct str sha, size_t max, size_t *ret, struct err *e)
{
    return git_commit_count_since(r, sha, STR_NONE, max, ret, e);
}

int git_is_ancestor(struct git_repo *r, struct str ancestor, struct str sha, bool *ret,
                    struct err *e)
{
    git_oid a, b;
    int rc = git_oid_of(ancestor, &a, e);
    if (rc == 0)
        rc = git_oid_of(sha, &b, e);
    if (rc < 0)
        return rc;
    *ret = git_oid_equal(&a, &b);
    if (*ret)
        return 0;
    rc = git_graph_descendant_of(r->lg, &b, &a);
    if (rc < 0)
        return git_fail(rc, e, "cannot compare %.8s and %.8s", ancestor.p, sha.p);
    *ret = rc == 1;
    return 0;
}

int git_common_ancestor(struct git_repo *r, struct str sha_a, struct str sha_b, struct arena *a,
                        const char **ret_sha, struct err *e)
{
    git_oid x, y, base;
    int rc = git_oid_of(sha_a, &x, e);
    if (rc == 0)
        rc = git_oid_of(sha_b, &y, e);
    if (rc < 0)
        return rc;
    rc = git_merge_base(&base, r->lg, &x, &y);
    if (rc == GIT_ENOTFOUND)
        return err_set(e, E_NOTFOUND, "%.8s and %.8s have no common ancestor", sha_a.p, sha_b.p);
    if (rc < 0)
        return git_fail(rc, e, "cannot compare %.8s and %.8s", sha_a.p, sha_b.p);
    *ret_sha = git_oid_text(&base, a);
    return 0;
}

// ---- who touched what last

// The folder's tree in a commit, or NULL where it does not exist.
static git_tree *folder_of(struct git_repo *r, const git_oid *commit, struct str folder)
{
    git_tree *tree = NULL;
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof(hex), commit);
    return git_tree_open(r, str_of(hex), folder, &tree, NULL) == 0 ? tree : NULL;
}

static bool same_in(const git_tree *tree, const struct git_entry *en)
{
    const git_tree_entry *te = tree ? git_tree_entry_byname(tree, en->name) : NULL;
    char hex[GIT_OID_HEXSZ + 1];
    if (!te)
        return false;
    git_oid_tostr(hex, sizeof(hex), git_tree_entry_id(te));
    return strcmp(hex, en->sha) == 0 && (unsigned)git_tree_entry_filemode(te) == en->mode;
}

// An entry is still as it is now in `commit`; if no parent has it like that, this commit made it.
static void credit(struct git_repo *r, lg_commit *c, struct str folder, struct git_entry *items,
                   size_t n, struct arena *a, size_t *left)
{
    git_tree *here = folder_of(r, git_commit_id(c), folder);
    unsigned nparents = MIN(git_commit_parentcount(c), 16u);
    git_tree *parents[16];
    bool unchanged = false;
    for (unsigned p = 0; p < nparents; p++) {
        parents[p] = folder_of(r, git_commit_parent_id(c, p), folder);
        unchanged |=
            here && parents[p] && git_oid_equal(git_tree_id(here), git_tree_id(parents[p]));
    }
    struct git_commit *info = NULL;
    for (size_t i = 0; i < n && !unchanged && here; i++) {
        if (items[i].last || !same_in(here, &items[i]))
            continue;
        bool inherited = false;
        for (unsigned p = 0; p < nparents && !inherited; p++)
            inherited = same_in(parents[p], &items[i]);
        if (inherited)
            continue;
        if (!info) {
            info = ARENA_NEW(a, struct git_commit);
            git_commit_fill(c, a, info);
        }
        items[i].last = info;
        (*left)--;
    }
    for (unsigned p = 0; p < nparents; p++)
        git_tree_free(parents[p]);
    git_tree_free(here);
}

int git_tree_last_commits(struct git_repo *r, struct str sha, struct str folder,
                          struct git_entry *items, size_t n, size_t max_commits, int64_t max_ms,
                          struct arena *a, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        items[i].last = NULL;
    _lgfree_(revwalk) git_revwalk *walk = NULL;
    int rc = walk_begin(r, sha, STR_NONE, &walk, e);
    if (rc < 0)
        return rc;
    int64_t until = clock_ms() + max_ms;
    size_t left = n;
    git_oid oid;
    for (size_t seen = 0; left && seen < max_commits && clock_ms() <= until; seen++) {
        rc = git_revwalk_next(&oid, walk);
        if (rc == GIT_ITEROVER)
            return 0;
        if (rc < 0)
            return git_fail(rc, e, "cannot walk the history");
        _lgfree_(commit) lg_commit *c = NULL;
        rc = git_commit_lookup(&c, r->lg, &oid);
        if (rc < 0)
            return git_fail(rc, e, "cannot read commit %s", git_oid_tostr_s(&oid));
        credit(r, c, folder, items, n, a, &left);
    }
    return 0;
}
