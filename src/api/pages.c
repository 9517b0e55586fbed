// SPDX-License-Identifier: Apache-2.0
// Publishes sites: unpacks the part of an archive below its public folder into a fresh folder, then
// moves the project's link to it with one rename. A hostile archive can only fill its own fresh
// folder, up to the limits. Runs in the request worker that reported the job; api_new sets links
// right after a crash.
#include "api/pages.h"

#include "api/tables.h"
#include "os/fd.h"
#include "store/blob.h"
#include "store/pages.h"
#include "store/zip.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

// Makes every folder on the way to `path` (its last part, too, when `whole`) below `base`.
static int make_folders(int base, struct str path, bool whole, struct err *e)
{
    char name[PATH_MAX];
    if (path.n >= sizeof(name))
        return err_set(e, E_INVALID, "\"%.100s...\": the name is too long", path.p);
    for (size_t i = 1; i <= path.n; i++) {
        if (i < path.n ? path.p[i] != '/' : !whole)
            continue;
        memcpy(name, path.p, i);
        name[i] = 0;
        if (mkdirat(base, name, 0755) < 0 && errno != EEXIST)
            return err_errno(e, errno, "cannot make the folder \"%.200s\"", name);
    }
    return 0;
}

static int write_piece(void *ctx, struct str piece, struct err *e)
{
    int fd = *(int *)ctx;
    while (piece.n) {
        ssize_t n = write(fd, piece.p, piece.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot write the site");
        piece = str_n(piece.p + n, piece.n - (size_t)n);
    }
    return 0;
}

static int unpack_one(const struct zip *z, const struct zip_entry *entry, struct str path, int base,
                      struct err *e)
{
    if (entry->folder)
        return make_folders(base, str_head(path, path.n - 1), true, e);
    int rc = make_folders(base, path, false, e);
    if (rc < 0)
        return rc;
    char name[PATH_MAX];
    memcpy(name, path.p, path.n); // make_folders checked the length
    name[path.n] = 0;
    _cleanup_(fd_closep) int fd =
        openat(base, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(e, errno, "cannot make the file \"%.200s\"", name);
    return zip_read(z, entry, write_piece, &fd, e);
}

// Unpacks what lies below `root` into the folder `base`. *ret_files counts files alone.
static int unpack(const struct zip *z, struct str root, const struct pages_limits *limits, int base,
                  int64_t *ret_files, int64_t *ret_bytes, struct err *e)
{
    *ret_files = *ret_bytes = 0;
    for (size_t i = 0; i < z->n; i++) {
        const struct zip_entry *entry = &z->entries[i];
        if (entry->name.n <= root.n + 1 || !str_starts(entry->name, root) ||
            entry->name.p[root.n] != '/')
            continue;
        if (!entry->folder) {
            ++*ret_files;
            *ret_bytes += (int64_t)entry->size;
        }
        if (*ret_files > limits->files)
            return err_set(e, E_LIMIT, "the site has more than %" PRId64 " files", limits->files);
        if (*ret_bytes > limits->bytes)
            return err_set(e, E_LIMIT, "the site is larger than %" PRId64 " bytes", limits->bytes);
    }
    if (!*ret_files)
        return err_set(e, E_INVALID,
                       "nothing to publish: the job's artifacts hold no file below \"%" PRISTR
                       "/\"; put the site there and list it in artifacts:paths",
                       STRARG(root));
    for (size_t i = 0; i < z->n; i++) {
        const struct zip_entry *entry = &z->entries[i];
        if (entry->name.n <= root.n + 1 || !str_starts(entry->name, root) ||
            entry->name.p[root.n] != '/')
            continue;
        int rc = unpack_one(z, entry, str_from(entry->name, root.n + 1), base, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

// "@live/group/sub/project": the top namespace in lower case, as host names are.
static struct str live_path(struct arena *a, struct str project_path)
{
    char *path = arena_printf(a, "@live/%" PRISTR, STRARG(project_path));
    for (char *c = path + 6; *c && *c != '/'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    return str_of(path);
}

static int pages_folder(const struct api *api, int *ret_fd, struct err *e)
{
    int state = store_folder_fd(api->cfg.store);
    if (mkdirat(state, "pages", 0755) < 0 && errno != EEXIST)
        return err_errno(e, errno, "cannot make the folder pages/");
    *ret_fd = openat(state, "pages", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? err_errno(e, errno, "cannot open the folder pages/") : 0;
}

// `store_dir` is "@store/12/345". One rename: readers see the old site or the new one.
static int switch_link(int pages, struct arena *a, struct str project_path, struct str store_dir,
                       struct err *e)
{
    struct str live = live_path(a, project_path);
    _autobuf_ struct buf target = BUF_INIT(KIB(8));
    for (size_t i = 0; i < live.n; i++)
        if (live.p[i] == '/')
            buf_adds(&target, "../");
    buf_addf(&target, "%" PRISTR "/public", STRARG(store_dir));
    const char *temp = arena_printf(a, "%" PRISTR "/link", STRARG(store_dir));
    int rc = make_folders(pages, live, false, e);
    if (rc < 0)
        return rc;
    if (unlinkat(pages, temp, 0) < 0 && errno != ENOENT)
        return err_errno(e, errno, "cannot remove pages/%s", temp);
    if (symlinkat(target.p, pages, temp) < 0)
        return err_errno(e, errno, "cannot make the link pages/%s", temp);
    if (renameat(pages, temp, pages, live.p) < 0)
        return err_errno(e, errno, "cannot switch the link pages/%s", live.p);
    const char *folder = arena_dup(a, str_head(live, (size_t)str_rfind(live, '/')));
    _cleanup_(fd_closep) int fd = openat(pages, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_errno(e, errno, "cannot make the link pages/%s durable", live.p);
    return 0;
}

static int unpack_archive(const struct api *api, const struct artifact *archive, struct str root,
                          const char *target, int pages, struct pages_deployment *d, struct err *e)
{
    _cleanup_(fd_closep) int zip_fd = -1, base = -1;
    int64_t size;
    _cleanup_(zip_closep) struct zip z = {.fd = -1};
    TRY(blob_open(api->cfg.store, archive->path, &zip_fd, &size, e));
    TRY(zip_open(zip_fd, &z, e));
    TRY(make_folders(pages, str_of(target), true, e));
    base = openat(pages, target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return err_errno(e, errno, "cannot open pages/%s", target);
    struct pages_limits limits = PAGES_LIMITS_DEFAULT;
    TRY(unpack(&z, root, &limits, base, &d->files, &d->size, e));
    // One flush of the filesystem instead of one for each of thousands of small files.
    return syncfs(base) < 0 ? err_errno(e, errno, "cannot make pages/%s durable", target) : 0;
}

// Rows first say what is active, then the link follows; api_new repeats the second step after a
// crash.
static int activate(const struct api *api, struct pages_deployment *d, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(api->cfg.store, &tx, e));
    TRY(pages_insert(&tx, d, e));
    TRY(pages_activate(&tx, d->id, e));
    return tx_commit(&tx, e);
}

static bool already_active(const struct api *api, struct arena *a, const struct job *job)
{
    struct pages_deployment d;
    _autotx_ struct tx tx = TX_NONE;
    return store_read(api->cfg.store, &tx, NULL) == 0 &&
           pages_active(&tx, a, job->project_id, &d, NULL) == 0 && d.job_id == job->id;
}

int pages_publish(const struct api *api, const struct job *job, const struct artifact *archive,
                  struct str project_path, struct str root, struct err *e)
{
    _autoarena_ struct arena a;
    _cleanup_(fd_closep) int pages = -1;
    arena_init(&a, MIB(1));
    struct str dir = arena_strf(&a, "@store/%" PRId64 "/%" PRId64, job->project_id, job->id);
    TRY(pages_folder(api, &pages, e));
    if (already_active(api, &a, job)) // the runner reports again what it had no answer to
        return switch_link(pages, &a, project_path, dir, e);
    while (root.n && root.p[root.n - 1] == '/')
        root.n--;
    while (str_starts(root, STR("./")))
        root = str_from(root, 2);
    struct str below_state = arena_strf(&a, "pages/%" PRISTR, STRARG(dir));
    struct pages_deployment d = {.project_id = job->project_id,
                                 .job_id = job->id,
                                 .pipeline_id = job->pipeline_id,
                                 .dir = below_state};
    TRY(blob_remove(api->cfg.store, below_state, e));
    int rc = unpack_archive(api, archive, root, arena_printf(&a, "%" PRISTR "/public", STRARG(dir)),
                            pages, &d, e);
    if (rc == 0)
        rc = activate(api, &d, e);
    if (rc < 0) {
        (void)!blob_remove(api->cfg.store, below_state, NULL);
        return rc == E_CONFLICT ? 0 : rc; // a newer job's site is up already: it stays
    }
    return switch_link(pages, &a, project_path, dir, e);
}

void pages_unlink(const struct api *api, struct str project_path)
{
    _autoarena_ struct arena a;
    _cleanup_(fd_closep) int pages = -1;
    arena_init(&a, KIB(64));
    if (pages_folder(api, &pages, NULL) == 0)
        (void)!unlinkat(pages, live_path(&a, project_path).p, 0);
}

int pages_relink_all(const struct api *api, struct err *e)
{
    _autoarena_ struct arena a;
    _cleanup_(fd_closep) int pages = -1;
    _autotx_ struct tx tx = TX_NONE;
    struct pages_deployment *list;
    size_t n;
    arena_init(&a, MIB(256));
    TRY(pages_folder(api, &pages, e));
    TRY(store_read(api->cfg.store, &tx, e));
    TRY(pages_list_active(&tx, &a, &list, &n, e));
    for (size_t i = 0; i < n; i++) {
        struct project p;
        char target[600];
        if (project_get(&tx, &a, list[i].project_id, &p, NULL) < 0 ||
            !str_starts(list[i].dir, STR("pages/")))
            continue;
        struct str dir = str_from(list[i].dir, 6);
        ssize_t len = readlinkat(pages, live_path(&a, p.full_path).p, target, sizeof(target));
        struct str want = arena_strf(&a, "/%" PRISTR "/public", STRARG(dir));
        if (len > 0 && str_ends(str_n(target, (size_t)len), want))
            continue;
        TRY(switch_link(pages, &a, p.full_path, dir, e));
    }
    return 0;
}

// ---- routes ----

struct str pages_url(struct api_req *r)
{
    struct str path = r->project.full_path, top;
    const char *url = r->api->cfg.external_url;
    const char *domain = r->api->cfg.pages_domain ? r->api->cfg.pages_domain : "pages.localhost";
    str_cut(&path, '/', &top);
    char *lower = arena_dup(r->a, top);
    for (char *c = lower; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    return arena_strf(r->a, "%s://%s.%s/%" PRISTR,
                      strncmp(url, "https:", 6) == 0 ? "https" : "http", lower, domain,
                      STRARG(path));
}

static int pages_get(struct api_req *r)
{
    struct pages_deployment d;
    REQ_TRY(r, pages_active(&r->tx, r->a, r->project.id, &d, &r->e), "Pages");
    struct jout *j = reply_begin(r);
    struct str url = pages_url(r);
    jout_object(j);
    jout_kstr(j, "url", url);
    jout_kbool(j, "is_unique_domain_enabled", false);
    jout_kbool(j, "force_https", false);
    jout_knull(j, "primary_domain");
    jout_key(j, "deployments");
    jout_array(j);
    jout_object(j);
    jout_ktime(j, "created_at", d.created_at);
    jout_kstr(j, "url", url);
    jout_knull(j, "path_prefix");
    jout_kcstr(j, "root_directory", "public");
    jout_kint(j, "job_id", d.job_id);
    jout_kint(j, "files", d.files);
    jout_kint(j, "size", d.size);
    jout_end_object(j);
    jout_end_array(j);
    jout_end_object(j);
    return reply_end(r);
}

static int unpublish(struct api_req *r)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(r->api->cfg.store, &tx, &r->e));
    TRY(pages_delete(&tx, r->project.id, &r->e));
    return tx_commit(&tx, &r->e);
}

static int pages_remove(struct api_req *r)
{
    req_end_read(r);
    pages_unlink(r->api, r->project.full_path);
    REQ_TRY(r, unpublish(r), "Pages");
    return reply_empty(r, 204);
}

static const struct route routes[] = {
    ROUTE(GET, "/projects/:id/pages", pages_get, READ_API, REPORTER, .reply = "pages",
          .doc = "Show what is published."),
    ROUTE(DELETE, "/projects/:id/pages", pages_remove, API, MAINTAINER, .status = 204,
          .doc = "Take the site down."),
};
const struct route_table pages_table = ROUTE_TABLE("Pages", routes);
