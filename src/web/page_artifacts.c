// SPDX-License-Identifier: Apache-2.0
// Artifacts of a job: the archive as a download, its list of files, and single files out of it.
// What a job packed is served like any upload: sandboxed, never as a page of this site.
#include "web/page_ci.h"

#include "store/artifacts.h"
#include "store/blob.h"
#include "web/zip.h"

#include <unistd.h>

enum { LIST_MAX = 5000, FILE_MAX = 32 << 20 };

static int open_archive(struct view *v, struct ci_target *t, struct artifact *f, int *ret_fd,
                        int64_t *ret_size)
{
    TRY(ci_target_job(v, 0, t));
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(v->w->ctx.store, &tx, &v->e));
        int r = artifact_get(&tx, v->a, t->id, STR("archive"), v->now, f, &v->e);
        if (r == E_NOTFOUND)
            return err_set(&v->e, E_NOTFOUND, "The job has no artifacts, or they have expired.");
        if (r)
            return r;
    }
    int least = str_is(f->access, "none")         ? ACCESS_OWNER + 1
                : str_is(f->access, "maintainer") ? ACCESS_MAINTAINER
                : str_is(f->access, "developer")  ? ACCESS_DEVELOPER
                                                  : 0;
    if (v->level < least)
        return err_set(&v->e, E_DENIED, "These artifacts are not for your role.");
    return blob_open(v->w->ctx.store, f->path, ret_fd, ret_size, &v->e);
}

int page_artifacts_download(struct view *v)
{
    struct ci_target t = {0};
    struct artifact f = {0};
    int fd = -1;
    int64_t size = 0;
    TRY(open_archive(v, &t, &f, &fd, &size));
    view_sandbox(v);
    http_set(v->c, "Cache-Control", STR("private, no-store"));
    http_setf(v->c, "Content-Disposition", "attachment; filename=\"artifacts-%lld.zip\"",
              (long long)t.id);
    int r = http_send_file(v->c, "application/zip", fd, 0, size, &v->e);
    close(fd);
    return r;
}

static struct str joined_tail(struct view *v)
{
    struct buf b = BUF_INIT(KIB(16));
    for (size_t i = 0; i < v->ntail; i++) {
        if (i)
            buf_addc(&b, '/');
        buf_add(&b, v->tail[i]);
    }
    struct str s = arena_str(v->a, buf_str(&b));
    buf_done(&b);
    return s;
}

// The files and folders directly in `folder` ("" or "a/b/").
static void fill_level(struct view *v, const struct zip_entry *z, size_t n, struct str folder)
{
    struct val *list = val_list(v->root, "entries");
    struct str last = STR_NONE;
    for (size_t i = 0; i < n; i++) {
        if (!str_starts(z[i].name, folder) || z[i].name.n == folder.n)
            continue;
        struct str rest = str_from(z[i].name, folder.n), name = STR_NONE;
        bool is_folder = str_find(rest, '/') >= 0;
        str_cut(&rest, '/', &name);
        // Entries are sorted, so what shares a folder stands together.
        if (is_folder && str_eq(name, last))
            continue;
        struct val *row = val_push(list);
        val_str(row, "name", name);
        val_str(row, "path", str_n(z[i].name.p, folder.n + name.n));
        val_bool(row, "folder", is_folder);
        if (is_folder)
            last = name;
        else
            val_int(row, "size", z[i].size);
    }
}

int page_artifacts_browse(struct view *v)
{
    struct ci_target t = {0};
    struct artifact f = {0};
    int fd = -1;
    int64_t size = 0;
    TRY(open_archive(v, &t, &f, &fd, &size));
    struct zip_entry *z;
    size_t n;
    int r = zip_list(fd, size, LIST_MAX, v->a, &z, &n, &v->e);
    close(fd);
    if (r)
        return r == E_INVALID
                   ? err_set(&v->e, E_IO, "the archive of job %lld is damaged", (long long)t.id)
                   : r;
    struct str path = joined_tail(v);
    struct str folder = path.n ? arena_strf(v->a, "%" PRISTR "/", STRARG(path)) : STR("");
    fill_level(v, z, n, folder);
    val_str(v->root, "path", path);
    ptrdiff_t slash = str_rfind(path, '/');
    if (path.n)
        val_str(v->root, "up", slash < 0 ? STR("") : str_head(path, (size_t)slash));
    val_int(v->root, "job_id", t.id);
    val_int(v->root, "size", size);
    val_int(v->root, "count", (int64_t)n);
    return view_render(v, "artifacts", "Artifacts");
}

static const char *type_of(struct str path)
{
    static const char *const TYPES[][2] = {
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},
        {".webp", "image/webp"},
        {".txt", "text/plain; charset=utf-8"},
        {".log", "text/plain; charset=utf-8"},
        {".xml", "text/plain; charset=utf-8"},
        {".json", "text/plain; charset=utf-8"},
        {".html", "text/plain; charset=utf-8"},
        {".css", "text/plain; charset=utf-8"},
        {".js", "text/plain; charset=utf-8"},
        {".md", "text/plain; charset=utf-8"},
        {".csv", "text/plain; charset=utf-8"},
        {".yml", "text/plain; charset=utf-8"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(TYPES); i++) {
        struct str end = str_of(TYPES[i][0]);
        if (path.n > end.n && str_ieq(str_from(path, path.n - end.n), end))
            return TYPES[i][1];
    }
    return NULL;
}

int page_artifacts_file(struct view *v)
{
    struct ci_target t = {0};
    struct artifact f = {0};
    int fd = -1;
    int64_t size = 0;
    TRY(open_archive(v, &t, &f, &fd, &size));
    struct str path = joined_tail(v);
    struct buf b = BUF_INIT(FILE_MAX);
    int r = zip_extract(fd, size, path, &b, &v->e);
    close(fd);
    if (!r) {
        const char *type = type_of(path);
        view_sandbox(v);
        http_set(v->c, "Cache-Control", STR("private, no-store"));
        if (!type)
            http_set(v->c, "Content-Disposition", STR("attachment"));
        http_send(v->c, type ? type : "application/octet-stream", buf_str(&b));
    }
    buf_done(&b);
    return r;
}
