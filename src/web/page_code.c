// SPDX-License-Identifier: Apache-2.0
// The pages of a repository: home, folders, files, history, one commit, branches and tags. Every
// read is bounded (entries, bytes, lines, time), so a hostile repository costs no more than a large
// one.
#include "web/view.h"

#include "forge/project.h"
#include "store/pages.h"
#include "store/pipelines.h"
#include "web/markdown.h"
#include "web/source.h"

enum {
    TREE_MAX = 1000,    // entries shown of a folder
    SHOW_MAX = 1 << 20, // bytes of a file that are shown
    RAW_MAX = 64 << 20, // bytes of a file that are served
    LAST_COMMITS_MAX = 2000,
    LAST_COMMITS_MS = 250,
    PER_PAGE = 40,
    REFS_MAX = 100, // in the switcher
};

// What an address like "main/src/a.c" means: the longest effort is to find where the name of the
// branch ends.
struct place {
    struct str ref;
    const char *sha;
    struct str path;
};

static struct str join(struct view *v, const struct str *seg, size_t n)
{
    struct buf b = BUF_INIT(KIB(16));
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(&b, '/');
        buf_add(&b, seg[i]);
    }
    struct str s = arena_str(v->a, buf_str(&b));
    buf_done(&b);
    return s;
}

static struct str encoded(struct view *v, struct str s)
{
    struct buf b = BUF_INIT(KIB(64));
    url_encode_path(&b, s);
    struct str r = arena_str(v->a, buf_str(&b));
    buf_done(&b);
    return r;
}

static int find_place(struct view *v, struct place *ret)
{
    if (!v->ntail) {
        ret->ref = v->project.default_branch;
        ret->path = STR("");
        return git_resolve(v->repo, STR_NONE, v->a, &ret->sha, NULL, &v->e);
    }
    for (size_t n = 1; n <= MIN(v->ntail, (size_t)12); n++) {
        struct str ref = join(v, v->tail, n);
        int r = git_resolve(v->repo, ref, v->a, &ret->sha, NULL, &v->e);
        if (r == E_NOTFOUND || r == E_INVALID)
            continue;
        ret->ref = ref;
        ret->path = join(v, v->tail + n, v->ntail - n);
        return r;
    }
    return err_set(&v->e, E_NOTFOUND, "There is no branch, tag or commit named '%" PRISTR "'.",
                   STRARG(v->tail[0]));
}

// ---- pieces

static void fill_commit(struct view *v, struct val *to, const struct git_commit *c)
{
    val_cstr(to, "sha", c->sha);
    val_str(to, "short_sha", str_head(str_of(c->sha), GIT_SHORT_SHA));
    val_str(to, "title", c->title.n ? c->title : STR("(no message)"));
    val_str(to, "body", c->body);
    val_str(to, "author", c->author.name);
    val_str(to, "email", c->author.email);
    val_int(to, "at", c->author.time_ms);
    struct str name = c->author.name;
    val_str(to, "initial",
            name.n && (unsigned char)name.p[0] < 0x80 ? str_head(name, 1) : STR("?"));
}

static void fill_pipeline_of(struct view *v, struct val *to, const char *sha)
{
    _autotx_ struct tx tx = TX_NONE;
    struct err none;
    if (store_read(v->w->ctx.store, &tx, &none))
        return;
    struct pipeline_filter f = {.project_id = v->project.id, .sha = str_of(sha), .tag = -1};
    struct page page = {.per_page = 1};
    struct pipeline *p;
    size_t n;
    if (pipeline_list(&tx, v->a, &f, &page, &p, &n, &none) || !n)
        return;
    struct val *ci = val_sub(to, "ci");
    view_status(ci, view_pipeline_state(&tx, &p[0]), false);
    val_int(ci, "id", p[0].id);
}

// "ref" with what the switcher offers; `kind` is the route ("tree", "commits") links go to.
static int fill_refs(struct view *v, const struct place *at, const char *kind)
{
    struct val *ref = val_sub(v->root, "ref");
    bool is_sha = git_sha_ok(at->ref);
    val_str(ref, "name", is_sha ? str_head(at->ref, GIT_SHORT_SHA) : at->ref);
    val_str(ref, "full", at->ref);
    val_cstr(ref, "kind", kind);
    val_str(ref, "path", at->path);
    val_cstr(ref, "sha", at->sha);
    for (int tags = 0; tags < 2; tags++) {
        struct git_ref_query q = {
            .tags = tags, .limit = REFS_MAX, .order = tags ? GIT_BY_UPDATED_DESC : GIT_BY_NAME};
        struct git_ref_list refs;
        TRY(git_refs_list(v->repo, &q, v->a, &refs, &v->e));
        struct val *list = val_list(ref, tags ? "tags" : "branches");
        for (size_t i = 0; i < refs.n; i++) {
            struct val *row = val_push(list);
            val_cstr(row, "name", refs.items[i].name);
            val_bool(row, "current", str_is(at->ref, refs.items[i].name));
        }
        val_int(ref, tags ? "ntags" : "nbranches", (int64_t)refs.total);
    }
    return 0;
}

// "crumbs": the folders of a path, each with its address; the last is where one stands.
static void fill_crumbs(struct view *v, struct str path)
{
    struct val *list = val_list(v->root, "crumbs");
    size_t at = 0;
    struct str rest = path, part;
    while (rest.n && str_cut(&rest, '/', &part)) {
        at += part.n;
        struct val *row = val_push(list);
        val_str(row, "name", part);
        val_str(row, "path", str_head(path, at));
        val_bool(row, "last", !rest.n);
        at++;
    }
}

static int fill_entries(struct view *v, const struct place *at, struct git_tree_list *tree)
{
    struct git_tree_query q = {.sha = str_of(at->sha), .path = at->path, .limit = TREE_MAX};
    TRY(git_tree_list(v->repo, &q, v->a, tree, &v->e));
    TRY(git_tree_last_commits(v->repo, q.sha, at->path, tree->items, tree->n, LAST_COMMITS_MAX,
                              LAST_COMMITS_MS, v->a, &v->e));
    struct val *list = val_list(v->root, "entries");
    for (size_t i = 0; i < tree->n; i++) {
        const struct git_entry *e = &tree->items[i];
        struct val *row = val_push(list);
        val_cstr(row, "name", e->name);
        val_cstr(row, "path", e->path);
        val_bool(row, "folder", e->kind == GIT_ENTRY_TREE);
        val_bool(row, "submodule", e->kind == GIT_ENTRY_SUBMODULE);
        val_cstr(row, "icon",
                 e->kind == GIT_ENTRY_TREE        ? "folder"
                 : e->kind == GIT_ENTRY_LINK      ? "link"
                 : e->kind == GIT_ENTRY_SUBMODULE ? "box"
                                                  : "file");
        if (e->last)
            fill_commit(v, val_sub(row, "last"), e->last);
    }
    if (tree->total > tree->n)
        val_int(v->root, "entries_left_out", (int64_t)(tree->total - tree->n));
    return 0;
}

static int readme_rank(const char *name)
{
    static const char *const NAMES[] = {"readme.md", "readme.markdown", "readme", "readme.txt"};
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
        if (str_ieq(str_of(name), str_of(NAMES[i])))
            return (int)i;
    return -1;
}

static bool is_markdown(struct str path)
{
    struct str tail = path.n > 9 ? str_from(path, path.n - 9) : path;
    struct str md = path.n > 3 ? str_from(path, path.n - 3) : path;
    return str_ieq(tail, STR(".markdown")) || str_ieq(md, STR(".md"));
}

static struct str folder_of(struct str path)
{
    ptrdiff_t slash = str_rfind(path, '/');
    return slash < 0 ? STR("") : str_head(path, (size_t)slash + 1);
}

static int markup(struct view *v, const struct place *at, struct str path, struct str text,
                  struct str *ret)
{
    struct str url = view_project_url(v), ref = encoded(v, at->ref),
               folder = encoded(v, folder_of(path));
    struct markdown_base base = {
        arena_strf(v->a, "%" PRISTR "/-/blob/%" PRISTR "/%" PRISTR, STRARG(url), STRARG(ref),
                   STRARG(folder)),
        arena_strf(v->a, "%" PRISTR "/-/raw/%" PRISTR "/%" PRISTR, STRARG(url), STRARG(ref),
                   STRARG(folder)),
    };
    struct buf b = BUF_INIT(MIB(8));
    int r = markdown_html(text, &base, &b, &v->e);
    if (!r)
        *ret = arena_str(v->a, buf_str(&b));
    buf_done(&b);
    return r;
}

static int fill_readme(struct view *v, const struct place *at, const struct git_tree_list *tree)
{
    const struct git_entry *best = NULL;
    for (size_t i = 0; i < tree->n; i++) {
        const struct git_entry *e = &tree->items[i];
        if (e->kind == GIT_ENTRY_BLOB && readme_rank(e->name) >= 0 &&
            (!best || readme_rank(e->name) < readme_rank(best->name)))
            best = e;
    }
    if (!best)
        return 0;
    struct git_blob blob;
    TRY(git_read_blob(v->repo, str_of(at->sha), str_of(best->path), SHOW_MAX, v->a, &blob, &v->e));
    if (blob.binary || blob.truncated)
        return 0;
    struct val *readme = val_sub(v->root, "readme");
    val_cstr(readme, "name", best->name);
    val_cstr(readme, "path", best->path);
    if (!is_markdown(str_of(best->name))) {
        val_str(readme, "text", blob.data);
        return 0;
    }
    struct str html;
    TRY(markup(v, at, str_of(best->path), blob.data, &html));
    val_html(readme, "html", html);
    return 0;
}

static void fill_clone(struct view *v)
{
    val_str(
        v->root, "clone_url",
        arena_strf(v->a, "%s/%" PRISTR ".git", v->w->external_url, STRARG(v->project.full_path)));
}

// The address of the published page, when there is one: the first part of the path is the host.
static int fill_published(struct view *v)
{
    if (!v->w->pages_url)
        return 0;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct pages_deployment d;
    int r = pages_active(&tx, v->a, v->project.id, &d, &v->e);
    if (r)
        return r == E_NOTFOUND ? 0 : r;
    struct str base = str_of(v->w->pages_url), below = v->project.full_path, root = STR_NONE;
    size_t scheme = (size_t)str_search(base, STR("://")) + 3;
    str_cut(&below, '/', &root);
    val_str(v->root, "published",
            arena_strf(v->a, "%" PRISTR "%" PRISTR ".%" PRISTR "/%" PRISTR "/",
                       STRARG(str_head(base, scheme)), STRARG(root), STRARG(str_from(base, scheme)),
                       STRARG(below)));
    return 0;
}

// ---- home and folders

static int empty_home(struct view *v)
{
    fill_clone(v);
    val_str(v->root, "branch",
            v->project.default_branch.n ? v->project.default_branch : STR("main"));
    return view_render(v, "project_empty", arena_dup(v->a, v->project.full_name));
}

static int show_folder(struct view *v, const struct place *at, bool home)
{
    struct git_tree_list tree;
    TRY(fill_entries(v, at, &tree));
    TRY(fill_refs(v, at, "tree"));
    TRY(fill_readme(v, at, &tree));
    fill_crumbs(v, at->path);
    fill_clone(v);
    struct git_log_query q = {.sha = str_of(at->sha), .path = at->path, .limit = 1};
    struct git_log log;
    TRY(git_log(v->repo, &q, v->a, &log, &v->e));
    if (log.n) {
        struct val *last = val_sub(v->root, "head_commit");
        fill_commit(v, last, &log.items[0]);
        fill_pipeline_of(v, last, log.items[0].sha);
    }
    val_bool(v->root, "home", home);
    if (at->path.n)
        val_str(v->root, "up",
                folder_of(at->path).n ? str_head(at->path, folder_of(at->path).n - 1) : STR(""));
    if (home) {
        TRY(fill_published(v));
        size_t commits = 0;
        TRY(git_commit_count(v->repo, str_of(at->sha), 10000, &commits, &v->e));
        val_str(v->root, "commits",
                commits >= 10000 ? STR("10,000+") : arena_strf(v->a, "%zu", commits));
        val_cstr(v->root, "commits_word", commits == 1 ? "commit" : "commits");
    }
    struct str title = at->path.n ? at->path : v->project.full_name;
    return view_render(v, "tree", arena_dup(v->a, title));
}

int view_project_home(struct view *v)
{
    if (!access_may_read_code(&v->project, v->level))
        return view_render(v, "project_no_code", arena_dup(v->a, v->project.full_name));
    struct str path = forge_repo_path(v->w->ctx.forge, v->a, v->project.storage);
    int r = git_repo_open(arena_dup(v->a, path), &v->repo, &v->e);
    if (r == E_NOTFOUND)
        return err_set(&v->e, E_IO, "the repository's folder is missing");
    struct place at = {.ref = v->project.default_branch, .path = STR("")};
    if (!r)
        r = git_resolve(v->repo, STR_NONE, v->a, &at.sha, NULL, &v->e);
    if (r == E_NOTFOUND && v->project.default_branch.n)
        r = git_resolve(v->repo, v->project.default_branch, v->a, &at.sha, NULL, &v->e);
    if (r == E_NOTFOUND)
        return empty_home(v);
    if (r)
        return r;
    return show_folder(v, &at, true);
}

static int tree_page(struct view *v)
{
    struct place at;
    TRY(find_place(v, &at));
    return show_folder(v, &at, false);
}

// ---- files

static int blob_page(struct view *v)
{
    struct place at;
    TRY(find_place(v, &at));
    if (!at.path.n)
        return view_redirect(v, "%" PRISTR "/-/tree/%" PRISTR, STRARG(view_project_url(v)),
                             STRARG(encoded(v, at.ref)));
    struct git_blob blob;
    int r = git_read_blob(v->repo, str_of(at.sha), at.path, SHOW_MAX, v->a, &blob, &v->e);
    if (r == E_INVALID) {
        struct str tree =
            arena_strf(v->a, "%" PRISTR "/-/tree/%" PRISTR "/%" PRISTR, STRARG(view_project_url(v)),
                       STRARG(encoded(v, at.ref)), STRARG(encoded(v, at.path)));
        return view_redirect(v, "%" PRISTR, STRARG(tree));
    }
    if (r)
        return r == E_NOTFOUND
                   ? err_set(&v->e, r, "There is no file '%" PRISTR "' at '%" PRISTR "'.",
                             STRARG(at.path), STRARG(at.ref))
                   : r;
    TRY(fill_refs(v, &at, "blob"));
    fill_crumbs(v, at.path);
    val_int(v->root, "size", blob.size);
    val_bool(v->root, "binary", blob.binary);
    val_bool(v->root, "too_large", blob.truncated && !blob.binary);
    bool executable = blob.mode == 0100755;
    val_bool(v->root, "executable", executable);
    val_bool(v->root, "is_markdown", is_markdown(at.path));
    bool plain = !is_markdown(at.path) || str_is(view_query(v, "plain"), "1");
    val_bool(v->root, "plain", plain);
    struct git_log_query q = {.sha = str_of(at.sha), .path = at.path, .limit = 1};
    struct git_log log;
    TRY(git_log(v->repo, &q, v->a, &log, &v->e));
    if (log.n)
        fill_commit(v, val_sub(v->root, "head_commit"), &log.items[0]);
    struct str html = STR_NONE;
    struct buf b = BUF_INIT(MIB(20));
    if (!blob.binary && !blob.truncated) {
        size_t lines = 0;
        for (size_t i = 0; i < blob.data.n; i++)
            lines += blob.data.p[i] == '\n';
        val_int(v->root, "lines",
                (int64_t)(lines + (blob.data.n && blob.data.p[blob.data.n - 1] != '\n')));
        val_bool(v->root, "empty", !blob.data.n);
        if (plain) {
            source_html(blob.data, &b);
            html = buf_str(&b);
        } else {
            r = markup(v, &at, at.path, blob.data, &html);
        }
    }
    if (!r && !buf_ok(&b))
        r = err_set(&v->e, E_LIMIT, "The file has too many lines to show; open it raw.");
    val_html(v->root, "html", html);
    if (!r)
        r = view_render(v, "blob", arena_dup(v->a, at.path));
    buf_done(&b);
    return r;
}

// Types that a browser may show; everything else is text or a download. Nothing can run: the
// sandbox policy goes with all of it.
static const char *raw_type(struct str path, const struct git_blob *b)
{
    static const struct {
        const char *end, *type;
    } TYPES[] = {
        {".png", "image/png"},     {".jpg", "image/jpeg"},  {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},     {".webp", "image/webp"}, {".ico", "image/x-icon"},
        {".svg", "image/svg+xml"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(TYPES); i++) {
        size_t n = strlen(TYPES[i].end);
        if (path.n > n && str_ieq(str_from(path, path.n - n), str_of(TYPES[i].end)))
            return TYPES[i].type;
    }
    return b->binary ? "application/octet-stream" : "text/plain; charset=utf-8";
}

static int raw_page(struct view *v)
{
    struct place at;
    TRY(find_place(v, &at));
    struct git_blob blob;
    TRY(git_read_blob(v->repo, str_of(at.sha), at.path, 0, v->a, &blob, &v->e));
    if (blob.size > RAW_MAX)
        return err_set(&v->e, E_LIMIT,
                       "The file is larger than 64 MiB; clone the repository to get it.");
    TRY(git_read_blob(v->repo, str_of(at.sha), at.path, (size_t)blob.size, v->a, &blob, &v->e));
    const char *type = raw_type(at.path, &blob);
    view_sandbox(v);
    struct str tag = arena_strf(v->a, "\"%s\"", blob.sha);
    http_set(v->c, "ETag", tag);
    http_set(v->c, "Cache-Control", STR("private, max-age=0, must-revalidate"));
    if (str_is(str_of(type), "application/octet-stream"))
        http_set(v->c, "Content-Disposition", STR("attachment"));
    if (str_eq(http_header(v->c, "If-None-Match"), tag)) {
        http_status(v->c, 304);
        http_send(v->c, NULL, STR_NONE);
        return 0;
    }
    http_send(v->c, type, blob.data);
    return 0;
}

// ---- history

static int commits_page(struct view *v)
{
    struct place at;
    TRY(find_place(v, &at));
    TRY(fill_refs(v, &at, "commits"));
    fill_crumbs(v, at.path);
    struct page page = view_page(v, PER_PAGE);
    struct git_log_query q = {.sha = str_of(at.sha),
                              .path = at.path,
                              .offset = (size_t)(page.page - 1) * PER_PAGE,
                              .limit = PER_PAGE};
    struct git_log log;
    TRY(git_log(v->repo, &q, v->a, &log, &v->e));
    struct val *days = val_list(v->root, "days"), *commits = NULL;
    int64_t day = INT64_MIN;
    for (size_t i = 0; i < log.n; i++) {
        int64_t d = log.items[i].committer.time_ms / 86400000;
        if (!commits || d != day) {
            struct val *one = val_push(days);
            val_int(one, "day", log.items[i].committer.time_ms);
            commits = val_list(one, "commits");
            day = d;
        }
        struct val *row = val_push(commits);
        fill_commit(v, row, &log.items[i]);
        fill_pipeline_of(v, row, log.items[i].sha);
    }
    view_pager_more(v, page.page, log.more);
    return view_render(v, "commits", "Commits");
}

static const char *const CHANGES[] = {
    [GIT_ADDED] = "added",     [GIT_DELETED] = "deleted", [GIT_MODIFIED] = "modified",
    [GIT_RENAMED] = "renamed", [GIT_COPIED] = "copied",   [GIT_TYPE_CHANGED] = "type changed",
};

static int commit_page(struct view *v)
{
    const char *sha;
    if (v->part[0].n < 4 || git_resolve(v->repo, v->part[0], v->a, &sha, NULL, &v->e))
        return err_set(&v->e, E_NOTFOUND, "There is no commit '%" PRISTR "'.", STRARG(v->part[0]));
    struct git_commit c;
    TRY(git_commit_get(v->repo, str_of(sha), v->a, &c, &v->e));
    struct val *commit = val_sub(v->root, "commit");
    fill_commit(v, commit, &c);
    fill_pipeline_of(v, commit, sha);
    val_bool(commit, "other_committer", !str_eq(c.author.name, c.committer.name));
    val_str(commit, "committer", c.committer.name);
    struct val *parents = val_list(commit, "parents");
    for (size_t i = 0; i < c.nparents; i++) {
        struct val *row = val_push(parents);
        val_cstr(row, "sha", c.parents[i]);
        val_str(row, "short_sha", str_head(str_of(c.parents[i]), GIT_SHORT_SHA));
    }
    struct git_diff_limits limits = {.max_files = 300, .max_lines = 20000, .max_file_lines = 3000};
    struct git_diff diff;
    TRY(git_diff_commit(v->repo, str_of(sha), &limits, v->a, &diff, &v->e));
    val_int(v->root, "files", (int64_t)diff.total_files);
    val_bool(v->root, "one_file", diff.total_files == 1);
    val_int(v->root, "added", diff.added);
    val_int(v->root, "deleted", diff.deleted);
    val_bool(v->root, "truncated", diff.truncated);
    struct val *files = val_list(v->root, "diffs");
    struct buf b = BUF_INIT(MIB(16));
    for (size_t i = 0; i < diff.n; i++) {
        const struct git_diff_file *f = &diff.files[i];
        struct val *row = val_push(files);
        const char *path = f->change == GIT_DELETED ? f->old_path : f->new_path;
        char anchor[24];
        snprintf(anchor, sizeof(anchor), "f%zu", i + 1);
        val_cstr(row, "path", path);
        val_bool(row, "moved", f->change == GIT_RENAMED || f->change == GIT_COPIED);
        val_cstr(row, "old_path", f->old_path);
        val_cstr(row, "change", CHANGES[f->change]);
        val_cstr(row, "anchor", arena_dup(v->a, str_of(anchor)));
        val_bool(row, "gone", f->change == GIT_DELETED);
        val_int(row, "added", f->added);
        val_int(row, "deleted", f->deleted);
        val_bool(row, "binary", f->binary);
        val_bool(row, "too_large", f->too_large);
        buf_clear(&b);
        if (f->nhunks)
            source_diff_html(f, anchor, &b);
        val_html(row, "html", arena_str(v->a, buf_str(&b)));
    }
    buf_done(&b);
    return view_render(v, "commit", arena_dup(v->a, c.title));
}

// ---- branches and tags

static int refs_page(struct view *v, bool tags)
{
    struct page page = view_page(v, PER_PAGE);
    struct git_ref_query q = {
        .tags = tags,
        .search = view_query(v, "search"),
        .order = GIT_BY_UPDATED_DESC,
        .offset = (size_t)(page.page - 1) * PER_PAGE,
        .limit = PER_PAGE,
        .with_commits = true,
    };
    struct git_ref_list refs;
    TRY(git_refs_list(v->repo, &q, v->a, &refs, &v->e));
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct val *list = val_list(v->root, "refs");
    for (size_t i = 0; i < refs.n; i++) {
        const struct git_ref_item *r = &refs.items[i];
        struct val *row = val_push(list);
        val_cstr(row, "name", r->name);
        val_bool(row, "default", !tags && str_is(v->project.default_branch, r->name));
        bool locked = false;
        TRY(access_ref_protected(&tx, v->a, v->project.id, tags, str_of(r->name), &locked, NULL,
                                 &v->e));
        val_bool(row, "protected", locked);
        val_str(row, "note", tags ? str_trim(r->tag_message) : STR(""));
        if (r->commit.sha && r->commit.sha[0]) {
            struct val *last = val_sub(row, "last");
            fill_commit(v, last, &r->commit);
            fill_pipeline_of(v, last, r->commit.sha);
        }
    }
    page.total = (int64_t)refs.total;
    val_bool(v->root, "are_tags", tags);
    val_str(v->root, "search", q.search);
    val_int(v->root, "total", page.total);
    view_pager(v, &page);
    return view_render(v, "refs", tags ? "Tags" : "Branches");
}

static int branches_page(struct view *v)
{
    return refs_page(v, false);
}

static int tags_page(struct view *v)
{
    return refs_page(v, true);
}

const struct view_route ROUTES_CODE[] = {
    {"/tree", VIEW_TAIL | VIEW_CODE, 0, tree_page, "code"},
    {"/blob", VIEW_TAIL | VIEW_CODE, 0, blob_page, "code"},
    {"/raw", VIEW_TAIL | VIEW_CODE, 0, raw_page, "code"},
    {"/commits", VIEW_TAIL | VIEW_CODE, 0, commits_page, "commits"},
    {"/commit/:sha", VIEW_CODE, 0, commit_page, "commits"},
    {"/branches", VIEW_CODE, 0, branches_page, "branches"},
    {"/tags", VIEW_CODE, 0, tags_page, "branches"},
    {NULL, 0, 0, NULL, NULL},
};
