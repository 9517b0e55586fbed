// SPDX-License-Identifier: Apache-2.0
// Differences between two commits through libgit2, copied into the caller's arena within limits.
// libgit2 finds what changed and the lines; the limits decide how much of it is looked at.
#include "git/diff.h"

#include "base/buf.h"
#include "git/repo_priv.h"

#include "base/mem.h"

#include <stdlib.h>

enum {
    MAX_FILES = 1000,
    MAX_LINES = 50000,
    MAX_FILE_LINES = 5000,
    MAX_LINE_BYTES = 2000,
    RENAME_LIMIT = 400, // files on each side: above, only exact renames are looked for
};
#define MAX_FILE_BYTES MIB(2)

static struct git_diff_limits with_defaults(const struct git_diff_limits *given)
{
    struct git_diff_limits l = given ? *given : (struct git_diff_limits){0};
    l.max_files = l.max_files ? l.max_files : MAX_FILES;
    l.max_lines = l.max_lines ? l.max_lines : MAX_LINES;
    l.max_file_lines = l.max_file_lines ? l.max_file_lines : MAX_FILE_LINES;
    l.max_line_bytes = l.max_line_bytes ? l.max_line_bytes : MAX_LINE_BYTES;
    l.max_file_bytes = l.max_file_bytes ? l.max_file_bytes : MAX_FILE_BYTES;
    l.context = l.context == 0 ? 3 : MAX(l.context, 0);
    return l;
}

static int tree_of(struct git_repo *r, struct str sha, git_tree **ret, struct err *e)
{
    *ret = NULL;
    if (!sha.n || str_is(sha, GIT_ZERO_SHA))
        return 0;
    return git_tree_open(r, sha, STR(""), ret, e);
}

static int make_diff(struct git_repo *r, struct str from, struct str to,
                     const struct git_diff_limits *l, bool renames, lg_diff **ret, struct err *e)
{
    _lgfree_(tree) git_tree *a = NULL;
    _lgfree_(tree) git_tree *b = NULL;
    int rc = tree_of(r, from, &a, e);
    if (rc == 0)
        rc = tree_of(r, to, &b, e);
    if (rc < 0)
        return rc;
    git_diff_options o = GIT_DIFF_OPTIONS_INIT;
    o.flags = GIT_DIFF_INCLUDE_TYPECHANGE;
    o.context_lines = (uint32_t)l->context;
    o.max_size = (git_off_t)l->max_file_bytes;
    rc = git_diff_tree_to_tree(ret, r->lg, a, b, &o);
    if (rc < 0)
        return git_fail(rc, e, "cannot compare the commits");
    if (!renames)
        return 0;
    git_diff_find_options f = GIT_DIFF_FIND_OPTIONS_INIT;
    f.flags = GIT_DIFF_FIND_RENAMES;
    if (git_diff_num_deltas(*ret) > RENAME_LIMIT)
        f.flags |= GIT_DIFF_FIND_EXACT_MATCH_ONLY;
    f.rename_limit = RENAME_LIMIT;
    rc = git_diff_find_similar(*ret, &f);
    return rc < 0 ? git_fail(rc, e, "cannot look for renames") : 0;
}

static enum git_change change_of(git_delta_t status)
{
    switch (status) {
    case GIT_DELTA_ADDED:
        return GIT_ADDED;
    case GIT_DELTA_DELETED:
        return GIT_DELETED;
    case GIT_DELTA_RENAMED:
        return GIT_RENAMED;
    case GIT_DELTA_COPIED:
        return GIT_COPIED;
    case GIT_DELTA_TYPECHANGE:
        return GIT_TYPE_CHANGED;
    default:
        return GIT_MODIFIED;
    }
}

static void fill_head(const git_diff_delta *d, struct arena *a, struct git_diff_file *ret)
{
    ret->change = change_of(d->status);
    ret->old_path = arena_dup(a, str_of(d->old_file.path));
    ret->new_path = arena_dup(a, str_of(d->new_file.path));
    ret->old_mode = ret->change == GIT_ADDED ? 0 : d->old_file.mode;
    ret->new_mode = ret->change == GIT_DELETED ? 0 : d->new_file.mode;
    ret->old_sha = git_oid_text(&d->old_file.id, a);
    ret->new_sha = git_oid_text(&d->new_file.id, a);
}

static void fill_line(const lg_diff_line *in, size_t max_bytes, struct arena *a,
                      struct git_diff_line *ret)
{
    ret->origin = in->origin;
    ret->old_no = MAX(in->old_lineno, 0);
    ret->new_no = MAX(in->new_lineno, 0);
    struct str text = str_n(in->content, in->content_len);
    switch (in->origin) {
    case GIT_DIFF_LINE_CONTEXT_EOFNL:
    case GIT_DIFF_LINE_ADD_EOFNL:
    case GIT_DIFF_LINE_DEL_EOFNL:
        *ret = (struct git_diff_line){.origin = '\\', .text = STR(" No newline at end of file")};
        return;
    default:
        break;
    }
    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    ret->text = arena_str(a, str_head(text, max_bytes));
}

static int fill_hunks(git_patch *patch, const struct git_diff_limits *l, size_t *lines_left,
                      struct arena *a, struct git_diff_file *f, struct err *e)
{
    size_t n = git_patch_num_hunks(patch), total = 0;
    for (size_t i = 0; i < n; i++)
        total += (size_t)MAX(git_patch_num_lines_in_hunk(patch, i), 0);
    if (total > l->max_file_lines || total > *lines_left) {
        f->too_large = true;
        return 0;
    }
    *lines_left -= total;
    f->hunks = ARENA_ARRAY(a, struct git_diff_hunk, n + 1);
    f->nhunks = n;
    for (size_t i = 0; i < n; i++) {
        const lg_diff_hunk *in;
        size_t nlines;
        int rc = git_patch_get_hunk(&in, &nlines, patch, i);
        if (rc < 0)
            return git_fail(rc, e, "cannot read the changes of %s", f->new_path);
        struct git_diff_hunk *h = &f->hunks[i];
        h->old_start = in->old_start;
        h->old_lines = in->old_lines;
        h->new_start = in->new_start;
        h->new_lines = in->new_lines;
        struct str header = str_n(in->header, in->header_len);
        ptrdiff_t end = str_search(str_from(header, 2), STR("@@"));
        h->header = end < 0 ? STR("") : arena_str(a, str_trim(str_from(header, (size_t)end + 4)));
        h->lines = ARENA_ARRAY(a, struct git_diff_line, nlines + 1);
        h->nlines = nlines;
        for (size_t k = 0; k < nlines; k++) {
            const lg_diff_line *line;
            rc = git_patch_get_line_in_hunk(&line, patch, i, k);
            if (rc < 0)
                return git_fail(rc, e, "cannot read the changes of %s", f->new_path);
            fill_line(line, l->max_line_bytes, a, &h->lines[k]);
        }
    }
    return 0;
}

// Rewrites of a huge file are not even looked at: its size alone decides.
static bool over_size(struct git_repo *r, const git_diff_delta *d, size_t max)
{
    _lgfree_(odb) git_odb *odb = NULL;
    if (git_repository_odb(&odb, r->lg) < 0)
        return true;
    const git_oid *ids[] = {&d->old_file.id, &d->new_file.id};
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        size_t size;
        git_object_t type;
        if (!git_oid_is_zero(ids[i]) && git_odb_read_header(&size, &type, odb, ids[i]) == 0 &&
            type == GIT_OBJECT_BLOB && size > max)
            return true;
    }
    return false;
}

static int fill_file(struct git_repo *r, lg_diff *diff, size_t i, const struct git_diff_limits *l,
                     size_t *lines_left, struct arena *a, struct git_diff_file *f, struct err *e)
{
    const git_diff_delta *d = git_diff_get_delta(diff, i);
    fill_head(d, a, f);
    if (l->names_only)
        return 0;
    if (over_size(r, d, l->max_file_bytes)) {
        f->too_large = true;
        return 0;
    }
    _lgfree_(patch) git_patch *patch = NULL;
    int rc = git_patch_from_diff(&patch, diff, i);
    if (rc < 0)
        return git_fail(rc, e, "cannot read the changes of %s", f->new_path);
    d = git_diff_get_delta(diff, i);
    f->binary = (d->flags & GIT_DIFF_FLAG_BINARY) != 0;
    if (!patch || f->binary)
        return 0;
    size_t context, added, deleted;
    if (git_patch_line_stats(&context, &added, &deleted, patch) == 0) {
        f->added = (int)MIN(added, (size_t)INT32_MAX);
        f->deleted = (int)MIN(deleted, (size_t)INT32_MAX);
    }
    return fill_hunks(patch, l, lines_left, a, f, e);
}

int git_diff_between(struct git_repo *r, struct str from, struct str to,
                     const struct git_diff_limits *limits, struct arena *a, struct git_diff *ret,
                     struct err *e)
{
    *ret = (struct git_diff){0};
    struct git_diff_limits l = with_defaults(limits);
    _lgfree_(diff) lg_diff *diff = NULL;
    int rc = make_diff(r, from, to, &l, true, &diff, e);
    if (rc < 0)
        return rc;
    ret->total_files = git_diff_num_deltas(diff);
    ret->n = MIN(ret->total_files, l.max_files);
    ret->truncated = ret->n < ret->total_files;
    ret->files = ARENA_ARRAY(a, struct git_diff_file, ret->n + 1);
    size_t lines_left = l.max_lines;
    for (size_t i = 0; i < ret->n; i++) {
        rc = fill_file(r, diff, i, &l, &lines_left, a, &ret->files[i], e);
        if (rc < 0)
            return rc;
        ret->added += ret->files[i].added;
        ret->deleted += ret->files[i].deleted;
        ret->truncated |= ret->files[i].too_large;
    }
    return 0;
}

int git_diff_commit(struct git_repo *r, struct str sha, const struct git_diff_limits *limits,
                    struct arena *a, struct git_diff *ret, struct err *e)
{
    struct git_commit c;
    int rc = git_commit_get(r, sha, a, &c, e);
    if (rc < 0)
        return rc;
    return git_diff_between(r, c.nparents ? str_of(c.parents[0]) : STR_NONE, sha, limits, a, ret,
                            e);
}

struct str git_diff_text(const struct git_diff_file *f, struct arena *a)
{
    _autobuf_ struct buf b = BUF_INIT(MIB(64));
    if (f->binary)
        buf_addf(&b, "Binary files %s%s and %s%s differ\n", f->old_mode ? "a/" : "",
                 f->old_mode ? f->old_path : "/dev/null", f->new_mode ? "b/" : "",
                 f->new_mode ? f->new_path : "/dev/null");
    for (size_t i = 0; i < f->nhunks; i++) {
        const struct git_diff_hunk *h = &f->hunks[i];
        buf_addf(&b, "@@ -%d", h->old_start);
        if (h->old_lines != 1)
            buf_addf(&b, ",%d", h->old_lines);
        buf_addf(&b, " +%d", h->new_start);
        if (h->new_lines != 1)
            buf_addf(&b, ",%d", h->new_lines);
        buf_adds(&b, " @@");
        if (h->header.n) {
            buf_addc(&b, ' ');
            buf_add(&b, h->header);
        }
        buf_addc(&b, '\n');
        for (size_t k = 0; k < h->nlines; k++) {
            buf_addc(&b, h->lines[k].origin);
            buf_add(&b, h->lines[k].text);
            buf_addc(&b, '\n');
        }
    }
    return arena_str(a, buf_str(&b));
}

int git_changed_paths(struct git_repo *r, struct str from, struct str to, size_t max,
                      struct arena *a, struct str **ret_paths, size_t *ret_n, bool *ret_all,
                      struct err *e)
{
    *ret_n = 0;
    *ret_all = true;
    struct git_diff_limits l = with_defaults(NULL);
    _lgfree_(diff) lg_diff *diff = NULL;
    // Without renames both names come as a deletion and an addition: exactly what is asked for.
    int rc = make_diff(r, from, to, &l, false, &diff, e);
    if (rc < 0)
        return rc;
    size_t n = git_diff_num_deltas(diff);
    *ret_all = n <= max;
    n = MIN(n, max);
    *ret_paths = ARENA_ARRAY(a, struct str, n + 1);
    for (size_t i = 0; i < n; i++) {
        const git_diff_delta *d = git_diff_get_delta(diff, i);
        const char *path = d->new_file.path ? d->new_file.path : d->old_file.path;
        (*ret_paths)[(*ret_n)++] = arena_str(a, str_of(path));
    }
    return 0;
}
