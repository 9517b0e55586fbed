// SPDX-License-Identifier: Apache-2.0
// Folders and files at a commit. Reads through libgit2; sizes are looked at before anything is
// loaded, so that a huge file costs its header only.
#include "git/repo_priv.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { TREE_MAX = 10000, TREE_COUNT_MAX = 100000, PATH_MAX_BYTES = 4096, DEPTH_MAX = 128 };

int git_path_check(struct str path, struct err *e)
{
    if (path.n > PATH_MAX_BYTES)
        return err_set(e, E_INVALID, "the path is longer than %d bytes", PATH_MAX_BYTES);
    if (path.n && memchr(path.p, 0, path.n))
        return err_set(e, E_INVALID, "the path holds a NUL byte");
    if (!path.n)
        return 0;
    if (path.p[0] == '/' || path.p[path.n - 1] == '/')
        return err_set(e, E_INVALID, "the path must not begin or end with '/'");
    for (struct str rest = path, part; str_cut(&rest, '/', &part);) {
        if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
            return err_set(e, E_INVALID, "the path has an empty, \".\" or \"..\" part");
    }
    return 0;
}

static int entry_at(struct git_repo *r, struct str sha, struct str path, git_tree_entry **ret,
                    struct err *e)
{
    _lgfree_(commit) lg_commit *c = NULL;
    _lgfree_(tree) git_tree *root = NULL;
    int rc = git_commit_open(r, sha, &c, e);
    if (rc < 0)
        return rc;
    rc = git_commit_tree(&root, c);
    if (rc < 0)
        return git_fail(rc, e, "cannot read the tree of %" PRISTR, STRARG(sha));
    char name[PATH_MAX_BYTES + 1];
    snprintf(name, sizeof(name), "%" PRISTR, STRARG(path));
    rc = git_tree_entry_bypath(ret, root, name);
    if (rc == GIT_ENOTFOUND)
        return err_set(e, E_NOTFOUND, "there is no \"%s\" in commit %.8s", name, sha.p);
    return rc < 0 ? git_fail(rc, e, "cannot read \"%s\"", name) : 0;
}

int git_tree_open(struct git_repo *r, struct str sha, struct str path, git_tree **ret,
                  struct err *e)
{
    int rc = git_path_check(path, e);
    if (rc < 0)
        return rc;
    if (path.n == 0) {
        _lgfree_(commit) lg_commit *c = NULL;
        rc = git_commit_open(r, sha, &c, e);
        if (rc < 0)
            return rc;
        rc = git_commit_tree(ret, c);
        return rc < 0 ? git_fail(rc, e, "cannot read the tree of %" PRISTR, STRARG(sha)) : 0;
    }
    _lgfree_(entry) git_tree_entry *entry = NULL;
    rc = entry_at(r, sha, path, &entry, e);
    if (rc < 0)
        return rc;
    if (git_tree_entry_type(entry) != GIT_OBJECT_TREE)
        return err_set(e, E_NOTFOUND, "\"%" PRISTR "\" is not a folder", STRARG(path));
    rc = git_tree_lookup(ret, r->lg, git_tree_entry_id(entry));
    return rc < 0 ? git_fail(rc, e, "cannot read folder \"%" PRISTR "\"", STRARG(path)) : 0;
}

static enum git_entry_kind kind_of(unsigned mode)
{
    switch (mode) {
    case GIT_FILEMODE_TREE:
        return GIT_ENTRY_TREE;
    case GIT_FILEMODE_LINK:
        return GIT_ENTRY_LINK;
    case GIT_FILEMODE_COMMIT:
        return GIT_ENTRY_SUBMODULE;
    default:
        return GIT_ENTRY_BLOB;
    }
}

static void entry_fill(const git_tree_entry *te, const char *folder, struct arena *a,
                       struct git_entry *ret)
{
    const char *name = git_tree_entry_name(te);
    ret->path = arena_printf(a, "%s%s%s", folder, *folder ? "/" : "", name);
    ret->name = ret->path + strlen(ret->path) - strlen(name);
    ret->sha = git_oid_text(git_tree_entry_id(te), a);
    ret->mode = (unsigned)git_tree_entry_filemode(te);
    ret->kind = kind_of(ret->mode);
}

struct walk {
    struct git_repo *r;
    struct arena *a;
    struct git_tree_list *out;
    size_t offset, limit;
};

// Depth first in git's own order, as `git ls-tree -r -t`.
static int walk_tree(struct walk *w, git_tree *tree, const char *folder, int depth, struct err *e)
{
    size_t n = git_tree_entrycount(tree);
    for (size_t i = 0; i < n && w->out->total < TREE_COUNT_MAX; i++) {
        const git_tree_entry *te = git_tree_entry_byindex(tree, i);
        size_t at = w->out->total++;
        if (at >= w->offset && w->out->n < w->limit)
            entry_fill(te, folder, w->a, &w->out->items[w->out->n++]);
        if (git_tree_entry_type(te) != GIT_OBJECT_TREE)
            continue;
        if (depth >= DEPTH_MAX)
            return err_set(e, E_LIMIT, "folders are nested more than %d deep", DEPTH_MAX);
        _lgfree_(tree) git_tree *sub = NULL;
        int rc = git_tree_lookup(&sub, w->r->lg, git_tree_entry_id(te));
        if (rc < 0)
            return git_fail(rc, e, "cannot read folder \"%s\"", git_tree_entry_name(te));
        _autofree_ char *below = NULL;
        if (asprintf(&below, "%s%s%s", folder, *folder ? "/" : "", git_tree_entry_name(te)) < 0)
            BUG("out of memory");
        rc = walk_tree(w, sub, below, depth + 1, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int git_tree_list(struct git_repo *r, const struct git_tree_query *q, struct arena *a,
                  struct git_tree_list *ret, struct err *e)
{
    *ret = (struct git_tree_list){0};
    _lgfree_(tree) git_tree *tree = NULL;
    int rc = git_tree_open(r, q->sha, q->path, &tree, e);
    if (rc < 0)
        return rc;
    size_t limit = MIN(q->limit ? q->limit : 20, (size_t)TREE_MAX);
    const char *folder = arena_dup(a, q->path);
    size_t here = git_tree_entrycount(tree);
    ret->items = ARENA_ARRAY(a, struct git_entry, (q->recursive ? limit : MIN(limit, here)) + 1);
    if (q->recursive) {
        struct walk w = {r, a, ret, q->offset, limit};
        return walk_tree(&w, tree, folder, 0, e);
    }
    ret->total = here;
    // Folders first: two passes over names that are sorted already.
    size_t at = 0;
    for (int folders = 1; folders >= 0; folders--) {
        for (size_t i = 0; i < here && ret->n < limit; i++) {
            const git_tree_entry *te = git_tree_entry_byindex(tree, i);
            if ((git_tree_entry_type(te) == GIT_OBJECT_TREE) != folders)
                continue;
            if (at++ >= q->offset)
                entry_fill(te, folder, a, &ret->items[ret->n++]);
        }
    }
    return 0;
}

// ---- files

static int blob_fill(struct git_repo *r, const git_oid *oid, size_t max, struct arena *a,
                     struct git_blob *ret, struct err *e)
{
    _lgfree_(odb) git_odb *odb = NULL;
    int rc = git_repository_odb(&odb, r->lg);
    if (rc < 0)
        return git_fail(rc, e, "cannot read objects");
    size_t size;
    git_object_t type;
    rc = git_odb_read_header(&size, &type, odb, oid);
    if (rc < 0)
        return git_fail(rc, e, "cannot read file %s", git_oid_tostr_s(oid));
    if (type != GIT_OBJECT_BLOB)
        return err_set(e, E_NOTFOUND, "object %s is not a file", git_oid_tostr_s(oid));
    ret->sha = git_oid_text(oid, a);
    ret->size = (int64_t)size;
    ret->data = STR("");
    ret->truncated = size > max;
    // Unpacking needs the whole object in memory: files far beyond any ceiling are not opened.
    if (max == 0 || size > MAX(max, MIB(64)))
        return 0;
    _lgfree_(blob) lg_blob *blob = NULL;
    rc = git_blob_lookup(&blob, r->lg, oid);
    if (rc < 0)
        return git_fail(rc, e, "cannot read file %s", git_oid_tostr_s(oid));
    struct str raw = str_n(git_blob_rawcontent(blob), size);
    ret->binary = raw.n && memchr(raw.p, 0, MIN(raw.n, (size_t)8000)) != NULL;
    ret->data = arena_str(a, str_head(raw, max));
    return 0;
}

int git_blob_by_sha(struct git_repo *r, struct str sha, size_t max, struct arena *a,
                    struct git_blob *ret, struct err *e)
{
    *ret = (struct git_blob){.path = ""};
    git_oid oid;
    int rc = git_oid_of(sha, &oid, e);
    return rc < 0 ? rc : blob_fill(r, &oid, max, a, ret, e);
}

int git_read_blob(struct git_repo *r, struct str sha, struct str path, size_t max, struct arena *a,
                  struct git_blob *ret, struct err *e)
{
    *ret = (struct git_blob){.path = ""};
    int rc = git_path_check(path, e);
    if (rc < 0)
        return rc;
    if (!path.n)
        return err_set(e, E_INVALID, "no file was named");
    _lgfree_(entry) git_tree_entry *te = NULL;
    rc = entry_at(r, sha, path, &te, e);
    if (rc < 0)
        return rc;
    if (git_tree_entry_type(te) != GIT_OBJECT_BLOB)
        return err_set(e, E_INVALID, "\"%" PRISTR "\" is a %s, not a file", STRARG(path),
                       git_tree_entry_type(te) == GIT_OBJECT_TREE ? "folder" : "submodule");
    ret->path = arena_dup(a, path);
    ret->mode = (unsigned)git_tree_entry_filemode(te);
    return blob_fill(r, git_tree_entry_id(te), max, a, ret, e);
}
