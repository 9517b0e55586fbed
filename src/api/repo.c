// SPDX-License-Identifier: Apache-2.0
// Reading a project's repository: trees, files, blobs, comparisons. All Git work is src/git's; this
// file asks and writes GitLab's shapes. Runs in request workers, without a transaction while Git is
// read.
#include "api/repo.h"

#include "api/shapes.h"
#include "api/tables.h"
#include "base/text.h"
#include "git/diff.h"

#include <inttypes.h>
#include <sodium.h>

#define FILE_MAX MIB(10) // of a file inside JSON; raw routes give larger ones

const struct git_diff_limits REPO_DIFF_LIMITS = {
    .max_files = 1000, .max_lines = 15000, .max_file_lines = 5000, .max_line_bytes = 1000};

int repo_open(struct api_req *r, struct git_repo **ret)
{
    *ret = NULL;
    if (!access_may_read_code(&r->project, r->level)) {
        if (req_signed_in(r))
            reply_forbidden(r, NULL);
        else
            reply_message(r, 401, "401 Unauthorized");
        return -1;
    }
    req_end_read(r);
    if (git_repo_open(req_repo_path(r), ret, &r->e) < 0) {
        reply_err(r, "Repository");
        return -1;
    }
    return 0;
}

int repo_resolve(struct api_req *r, struct git_repo *repo, struct str rev, const char **ret_sha)
{
    if (!rev.n)
        rev = r->project.default_branch;
    return git_resolve(repo, rev, r->a, ret_sha, NULL, &r->e);
}

// ---- tree ----

static int tree_get(struct api_req *r)
{
    _autorepo_ struct git_repo *repo = NULL;
    const char *sha;
    if (repo_open(r, &repo) < 0)
        return HTTP_DONE;
    struct str ref = req_str(r, "ref", STR_NONE);
    int rc = repo_resolve(r, repo, ref, &sha);
    struct git_tree_list list = {0};
    if (rc == 0) {
        struct git_tree_query q = {
            .sha = str_of(sha),
            .path = req_str(r, "path", STR("")),
            .recursive = req_bool(r, "recursive", false),
            .offset = (size_t)(r->page.page - 1) * r->page.per_page,
            .limit = r->page.per_page,
        };
        while (q.path.n && q.path.p[q.path.n - 1] == '/')
            q.path.n--;
        rc = git_tree_list(repo, &q, r->a, &list, &r->e);
    } else if (rc == E_NOTFOUND && !ref.n && r->page.page == 1) {
        return reply_404(r, "Tree"); // an empty repository
    }
    if (rc == E_NOTFOUND)
        return reply_404(r, "Tree");
    if (rc == E_INVALID)
        return reply_404(r, "invalid revision or path");
    REQ_TRY(r, rc, "Tree");
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < list.n; i++) {
        static const char *const kinds[] = {[GIT_ENTRY_TREE] = "tree",
                                            [GIT_ENTRY_BLOB] = "blob",
                                            [GIT_ENTRY_LINK] = "blob",
                                            [GIT_ENTRY_SUBMODULE] = "commit"};
        const struct git_entry *one = &list.items[i];
        char mode[12];
        snprintf(mode, sizeof(mode), "%06o", one->mode);
        jout_object(j);
        jout_kcstr(j, "id", one->sha);
        jout_kcstr(j, "name", one->name);
        jout_kcstr(j, "type", kinds[one->kind]);
        jout_kcstr(j, "path", one->path);
        jout_kcstr(j, "mode", mode);
        jout_end_object(j);
    }
    jout_end_array(j);
    r->page.total = (int64_t)list.total;
    reply_page(r);
    return reply_end(r);
}

// ---- files ----

struct file {
    struct git_blob blob;
    const char *commit;
    struct str ref, sha256, last_commit;
};

static struct str sha256_hex(struct api_req *r, struct str data)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, (const unsigned char *)(data.p ? data.p : ""), data.n);
    _autobuf_ struct buf hex = BUF_INIT(128);
    text_hex(&hex, str_n((const char *)digest, sizeof(digest)));
    return arena_str(r->a, buf_str(&hex));
}

// False: answered.
static bool read_file(struct api_req *r, struct git_repo *repo, size_t max, struct file *f)
{
    struct str path = r->path[1];
    f->ref = req_str(r, "ref", STR_NONE);
    if (!f->ref.n || str_is(f->ref, "HEAD"))
        f->ref = r->project.default_branch;
    int rc = repo_resolve(r, repo, f->ref, &f->commit);
    if (rc == E_NOTFOUND || rc == E_INVALID) {
        reply_404(r, "Commit");
        return false;
    }
    if (rc == 0)
        rc = git_read_blob(repo, str_of(f->commit), path, max, r->a, &f->blob, &r->e);
    if (rc < 0) {
        if (rc == E_NOTFOUND || rc == E_INVALID)
            reply_404(r, "File");
        else
            reply_err(r, "File");
        return false;
    }
    return true;
}

static void last_commit(struct api_req *r, struct git_repo *repo, struct file *f)
{
    struct git_log log;
    struct git_log_query q = {.sha = str_of(f->commit), .path = r->path[1], .limit = 1};
    f->last_commit = str_of(f->commit);
    if (git_log(repo, &q, r->a, &log, NULL) == 0 && log.n)
        f->last_commit = str_of(log.items[0].sha);
}

static struct str file_name(struct str path)
{
    ptrdiff_t slash = str_rfind(path, '/');
    return slash >= 0 ? str_from(path, (size_t)slash + 1) : path;
}

static void file_headers(struct api_req *r, const struct file *f)
{
    http_set(r->http, "X-Gitlab-Blob-Id", str_of(f->blob.sha));
    http_set(r->http, "X-Gitlab-Commit-Id", str_of(f->commit));
    http_set(r->http, "X-Gitlab-Content-Sha256", f->sha256);
    http_set(r->http, "X-Gitlab-Encoding", STR("base64"));
    http_set(r->http, "X-Gitlab-File-Name", file_name(r->path[1]));
    http_set(r->http, "X-Gitlab-File-Path", r->path[1]);
    http_set(r->http, "X-Gitlab-Last-Commit-Id", f->last_commit);
    http_set(r->http, "X-Gitlab-Ref", f->ref);
    http_setf(r->http, "X-Gitlab-Size", "%" PRId64, f->blob.size);
    http_set(r->http, "X-Gitlab-Execute-Filemode",
             f->blob.mode == 0100755 ? STR("true") : STR("false"));
}

static struct str base64(struct api_req *r, struct str data)
{
    _autobuf_ struct buf b = BUF_INIT(FILE_MAX * 2);
    text_base64(&b, data);
    return arena_str(r->a, buf_str(&b));
}

static int too_large(struct api_req *r)
{
    return reply_message(r, 413, "413 the file is larger than %zu MiB: clone the repository",
                         FILE_MAX >> 20);
}

static int file_get(struct api_req *r)
{
    _autorepo_ struct git_repo *repo = NULL;
    struct file f = {0};
    if (repo_open(r, &repo) < 0 || !read_file(r, repo, FILE_MAX, &f))
        return HTTP_DONE;
    if (f.blob.truncated)
        return too_large(r);
    last_commit(r, repo, &f);
    f.sha256 = sha256_hex(r, f.blob.data);
    file_headers(r, &f);
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_kstr(j, "file_name", file_name(r->path[1]));
    jout_kstr(j, "file_path", r->path[1]);
    jout_kint(j, "size", f.blob.size);
    jout_kcstr(j, "encoding", "base64");
    jout_kstr(j, "content_sha256", f.sha256);
    jout_kstr(j, "ref", f.ref);
    jout_kcstr(j, "blob_id", f.blob.sha);
    jout_kcstr(j, "commit_id", f.commit);
    jout_kstr(j, "last_commit_id", f.last_commit);
    jout_kbool(j, "execute_filemode", f.blob.mode == 0100755);
    jout_kstr(j, "content", base64(r, f.blob.data));
    jout_end_object(j);
    return reply_end(r);
}

// Never as a page of this host: whoever may push would write script for it.
static int send_raw(struct api_req *r, struct str name, const struct git_blob *blob)
{
    char *clean = arena_alloc(r->a, name.n + 1, 1);
    for (size_t i = 0; i < name.n; i++)
        clean[i] = name.p[i] < 0x20 || name.p[i] == 0x7f || name.p[i] == '"' ? '_' : name.p[i];
    http_setf(r->http, "Content-Disposition", "inline; filename=\"%s\"", clean);
    http_set(r->http, "X-Content-Type-Options", STR("nosniff"));
    http_set(r->http, "Content-Security-Policy", STR("sandbox; default-src 'none'"));
    http_send(r->http, blob->binary ? "application/octet-stream" : "text/plain; charset=utf-8",
              blob->data);
    return HTTP_DONE;
}

static int file_raw(struct api_req *r)
{
    _autorepo_ struct git_repo *repo = NULL;
    struct file f = {0};
    if (repo_open(r, &repo) < 0 || !read_file(r, repo, FILE_MAX, &f))
        return HTTP_DONE;
    if (f.blob.truncated)
        return too_large(r);
    last_commit(r, repo, &f);
    f.sha256 = sha256_hex(r, f.blob.data);
    file_headers(r, &f);
    return send_raw(r, file_name(r->path[1]), &f.blob);
}

static bool read_blob(struct api_req *r, struct git_blob *ret)
{
    _autorepo_ struct git_repo *repo = NULL;
    if (repo_open(r, &repo) < 0)
        return false;
    if (!git_sha_ok(r->path[1]) ||
        git_blob_by_sha(repo, r->path[1], FILE_MAX, r->a, ret, &r->e) < 0) {
        reply_404(r, "Blob");
        return false;
    }
    if (ret->truncated) {
        too_large(r);
        return false;
    }
    return true;
}

static int blob_get(struct api_req *r)
{
    struct git_blob blob;
    if (!read_blob(r, &blob))
        return HTTP_DONE;
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_kint(j, "size", blob.size);
    jout_kcstr(j, "encoding", "base64");
    jout_kstr(j, "content", base64(r, blob.data));
    jout_kcstr(j, "sha", blob.sha);
    jout_end_object(j);
    return reply_end(r);
}

static int blob_raw(struct api_req *r)
{
    struct git_blob blob;
    return read_blob(r, &blob) ? send_raw(r, r->path[1], &blob) : HTTP_DONE;
}

// ---- comparison ----

void repo_write_diffs(struct api_req *r, struct jout *j, const struct git_diff *d, size_t from,
                      size_t to)
{
    jout_array(j);
    for (size_t i = from; i < MIN(to, d->n); i++) {
        const struct git_diff_file *f = &d->files[i];
        char a[12], b[12];
        snprintf(a, sizeof(a), "%o", f->old_mode);
        snprintf(b, sizeof(b), "%o", f->new_mode);
        jout_object(j);
        jout_kcstr(j, "old_path", f->old_path ? f->old_path : f->new_path);
        jout_kcstr(j, "new_path", f->new_path ? f->new_path : f->old_path);
        jout_kcstr(j, "a_mode", a);
        jout_kcstr(j, "b_mode", b);
        jout_kstr(j, "diff", git_diff_text(f, r->a));
        jout_kbool(j, "new_file", f->change == GIT_ADDED);
        jout_kbool(j, "renamed_file", f->change == GIT_RENAMED);
        jout_kbool(j, "deleted_file", f->change == GIT_DELETED);
        jout_kbool(j, "too_large", f->too_large);
        jout_end_object(j);
    }
    jout_end_array(j);
}

static int compare_get(struct api_req *r)
{
    _autorepo_ struct git_repo *repo = NULL;
    const char *from = "", *to = "", *base;
    struct git_log log = {0};
    struct git_diff diff = {0};
    if (repo_open(r, &repo) < 0)
        return HTTP_DONE;
    int rc = repo_resolve(r, repo, req_str(r, "from", STR_NONE), &from);
    if (rc == 0)
        rc = repo_resolve(r, repo, req_str(r, "to", STR_NONE), &to);
    if (rc == E_NOTFOUND || rc == E_INVALID)
        return reply_404(r, "Ref");
    REQ_TRY(r, rc, "Ref");
    struct git_log_query q = {.sha = str_of(to), .not_sha = str_of(from), .limit = 100};
    REQ_TRY(r, git_log(repo, &q, r->a, &log, &r->e), "Ref");
    // Where the histories part: what the oldest commit of the difference was built on.
    base = from;
    if (!req_bool(r, "straight", false) && log.n && !log.more && log.items[log.n - 1].nparents)
        base = log.items[log.n - 1].parents[0];
    REQ_TRY(r,
            git_diff_between(repo, str_of(base), str_of(to), &REPO_DIFF_LIMITS, r->a, &diff, &r->e),
            "Ref");
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_key(j, "commit");
    if (log.n)
        shape_commit(r, j, &log.items[0]);
    else
        jout_null(j);
    jout_key(j, "commits");
    jout_array(j);
    for (size_t i = log.n; i-- > 0;) // oldest first
        shape_commit(r, j, &log.items[i]);
    jout_end_array(j);
    jout_key(j, "diffs");
    repo_write_diffs(r, j, &diff, 0, diff.n);
    jout_kbool(j, "compare_timeout", diff.truncated);
    jout_kbool(j, "compare_same_ref", strcmp(from, to) == 0);
    jout_kstr(j, "web_url",
              req_url(r, "/%" PRISTR "/-/compare/%s...%s", STRARG(r->project.full_path), from, to));
    jout_end_object(j);
    return reply_end(r);
}

#define REF OPT("ref", STR, "Branch, tag or commit; the default branch when missing.", .max = 1024)

static const struct route routes[] = {
    ROUTE(GET, "/projects/:id/repository/tree", tree_get, READ_REPO, GUEST, .reply = "tree_entry[]",
          .paged = true, .doc = "List a folder.",
          PARAMS(OPT("path", STR, "The folder; the root when missing.", .max = 4096), REF,
                 OPT("recursive", BOOL, "Everything below it."),
                 OPT("pagination", STR, "Accepted; pages are numbered."))),
    ROUTE(GET, "/projects/:id/repository/files/:file_path", file_get, READ_REPO, GUEST,
          .reply = "file", .doc = "Show a file, its content in base64.", PARAMS(REF)),
    ROUTE(GET, "/projects/:id/repository/files/:file_path/raw", file_raw, READ_REPO, GUEST,
          .reply_type = "application/octet-stream", .doc = "Show a file's bytes.",
          PARAMS(REF, OPT("lfs", BOOL, "Accepted."))),
    ROUTE(GET, "/projects/:id/repository/blobs/:sha", blob_get, READ_REPO, GUEST, .reply = "blob",
          .doc = "Show a blob, its content in base64."),
    ROUTE(GET, "/projects/:id/repository/blobs/:sha/raw", blob_raw, READ_REPO, GUEST,
          .reply_type = "application/octet-stream", .doc = "Show a blob's bytes."),
    ROUTE(GET, "/projects/:id/repository/compare", compare_get, READ_REPO, GUEST,
          .reply = "compare", .doc = "Compare two commits.",
          PARAMS(REQ("from", STR, "Branch, tag or commit.", .max = 1024),
                 REQ("to", STR, "Branch, tag or commit.", .max = 1024),
                 OPT("straight", BOOL, "from..to instead of from...to."))),
};
const struct route_table repo_table = ROUTE_TABLE("Repository", routes);
