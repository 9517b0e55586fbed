// SPDX-License-Identifier: Apache-2.0
// Artifacts of a job: the archive as a download, its list of files, and single files out of it.
// What a job packed is served like any upload: sandboxed, never as a page of this site.
#include "web/page_ci.h"

#include "os/fd.h"
#include "store/artifacts.h"
#include "store/blob.h"
#include "store/zip.h"

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
    _cleanup_(fd_closep) int fd = -1;
    int64_t size = 0;
    TRY(open_archive(v, &t, &f, &fd, &size));
    view_sandbox(v);
    http_set(v->c, "Cache-Control", STR("private, no-store"));
    http_setf(v->c, "Content-Disposition", "attachment; filename=\"artifacts-%lld.zip\"",
              (long long)t.id);
    return http_send_file(v->c, "application/zip", fd, 0, size, &v->e);
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

// What was uploaded has been checked, so an archive that cannot be read is our fault.
static int damaged(struct view *v, const struct ci_target *t, int r)
{
    return r == E_INVALID
               ? err_set(&v->e, E_IO, "the archive of job %lld is damaged", (long long)t->id)
               : r;
}

// The files and folders directly in `folder` ("" or "a/b/").
static void fill_level(struct view *v, const struct zip *z, struct str folder)
{
    struct val *list = val_list(v->root, "entries");
    struct str last = STR_NONE;
    size_t rows = 0;
    for (size_t i = 0; i < z->n && rows < LIST_MAX; i++) {
        struct str path = z->entries[i].name;
        if (!str_starts(path, folder) || path.n == folder.n)
            continue;
        struct str rest = str_from(path, folder.n), name = STR_NONE;
        bool is_folder = str_find(rest, '/') >= 0;
        str_cut(&rest, '/', &name);
        // Entries are sorted, so what shares a folder stands together.
        if (is_folder && str_eq(name, last))
            continue;
        struct val *row = val_push(list);
        rows++;
        val_str(row, "name", arena_str(v->a, name));
        val_str(row, "path", arena_str(v->a, str_head(path, folder.n + name.n)));
        val_bool(row, "folder", is_folder);
        if (is_folder)
            last = name;
        else
            val_int(row, "size", (int64_t)z->entries[i].size);
    }
}

int page_artifacts_browse(struct view *v)
{
    struct ci_target t = {0};
    struct artifact f = {0};
    _cleanup_(fd_closep) int fd = -1;
    int64_t size = 0;
    TRY(open_archive(v, &t, &f, &fd, &size));
    _cleanup_(zip_closep) struct zip z = {.fd = -1};
    TRY(damaged(v, &t, zip_open(fd, &z, &v->e)));
    int64_t files = 0;
    for (size_t i = 0; i < z.n; i++)
        files += !z.entries[i].folder;
    struct str path = joined_tail(v);
    struct str folder = path.n ? arena_strf(v->a, "%" PRISTR "/", STRARG(path)) : STR("");
    fill_level(v, &z, folder);
    val_str(v->root, "path", path);
    ptrdiff_t slash = str_rfind(path, '/');
    if (path.n)
        val_str(v->root, "up", slash < 0 ? STR("") : str_head(path, (size_t)slash));
    val_int(v->root, "job_id", t.id);
    val_int(v->root, "size", size);
    val_int(v->root, "count", files);
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
    _cleanup_(fd_closep) int fd = -1;
    int64_t size = 0;
    TRY(open_archive(v, &t, &f, &fd, &size));
    struct str path = joined_tail(v);
    _cleanup_(zip_closep) struct zip z = {.fd = -1};
    TRY(damaged(v, &t, zip_open(fd, &z, &v->e)));
    const struct zip_entry *entry = zip_find(&z, path);
    if (!entry || entry->folder)
        return err_set(&v->e, E_NOTFOUND, "There is no such file in the archive.");
    _autobuf_ struct buf b = BUF_INIT(FILE_MAX);
    int r = zip_extract(&z, entry, &b, &v->e);
    if (r == E_LIMIT)
        return err_set(&v->e, r, "The file is too large to show; download the archive.");
    TRY(damaged(v, &t, r));
    const char *type = type_of(path);
    view_sandbox(v);
    http_set(v->c, "Cache-Control", STR("private, no-store"));
    if (!type)
        http_set(v->c, "Content-Disposition", STR("attachment"));
    http_send(v->c, type ? type : "application/octet-stream", buf_str(&b));
    return 0;
}
