// SPDX-License-Identifier: Apache-2.0
// Durable files in the state folder: whole ones that appear by a rename, and traces that grow in
// place under a lock of the kernel's. Paths are walked by folder.c, which lets none lead outside.
// Any thread may call; nothing is kept between calls.
#include "store/blob.h"

#include "base/buf.h"
#include "base/text.h"
#include "store/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define TEMP_PREFIX ".tmp-"

// ---- whole files ----

int blob_create(struct store *s, struct str path, struct blob_writer *ret, struct err *e)
{
    struct blob_writer w = BLOB_WRITER_NONE;
    char random[17];
    TRY(folder_walk(store_folder_fd(s), path, true, &w.folder, w.name, e));
    text_random(random, sizeof(random));
    snprintf(w.temp, sizeof(w.temp), TEMP_PREFIX "%s", random);
    w.fd = openat(w.folder, w.temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w.fd < 0) {
        int rc = err_errno(e, errno, "cannot create %s", w.name);
        close(w.folder);
        return rc;
    }
    *ret = w;
    return 0;
}

static int write_at(int fd, struct str bytes, int64_t at, struct err *e)
{
    while (bytes.n) {
        ssize_t n = pwrite(fd, bytes.p, bytes.n, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EFBIG ? err_set(e, E_LIMIT, "the file is too large for this disk")
                                  : err_errno(e, errno, "cannot write");
        bytes = str_from(bytes, (size_t)n);
        at += n;
    }
    return 0;
}

int blob_write(struct blob_writer *w, struct str bytes, struct err *e)
{
    BUG_ON(w->fd < 0);
    int rc = write_at(w->fd, bytes, w->size, e);
    if (rc < 0) {
        w->failed = true;
        return rc;
    }
    w->size += (int64_t)bytes.n;
    return 0;
}

int blob_commit(struct blob_writer *w, struct err *e)
{
    BUG_ON(w->fd < 0);
    int rc = 0;
    if (w->failed)
        rc = err_set(e, E_IO, "an earlier write of %s failed", w->name);
    else if (fsync(w->fd) < 0)
        rc = err_errno(e, errno, "cannot sync %s", w->name);
    else if (renameat(w->folder, w->temp, w->folder, w->name) < 0)
        rc = err_errno(e, errno, "cannot name %s", w->name);
    if (rc < 0) {
        blob_abort(w);
        return rc;
    }
    if (fsync(w->folder) < 0)
        rc = err_errno(e, errno, "cannot sync the folder of %s", w->name);
    close(w->fd);
    close(w->folder);
    w->fd = w->folder = -1;
    return rc;
}

void blob_abort(struct blob_writer *w)
{
    if (w->fd < 0)
        return;
    unlinkat(w->folder, w->temp, 0);
    close(w->fd);
    close(w->folder);
    w->fd = w->folder = -1;
}

int blob_open(struct store *s, struct str path, int *ret_fd, int64_t *ret_size, struct err *e)
{
    int at = -1;
    char name[256];
    struct stat st;
    TRY(folder_walk(store_folder_fd(s), path, false, &at, name, e));
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int rc = fd < 0 ? err_errno(e, errno, "cannot open %s", name) : 0;
    close(at);
    if (rc < 0)
        return rc;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, E_INVALID, "%s is not a file", name);
    }
    *ret_fd = fd;
    *ret_size = st.st_size;
    return 0;
}

// ---- removing ----

// A folder tree can be deeper than there are descriptors (Git allows branches of hundreds of
// parts): what lies deeper than this is first moved next to the top.
#define DEPTH_MAX 64

struct walk {
    int (*each)(struct walk *w, int at, const char *name, bool folder, int depth, struct err *e);
    int top;          // the folder that holds what is removed
    struct buf moved; // names in `top`, each with its NUL, that are to be removed next
};

static int walk_folder(struct walk *w, int at, const char *name, int depth, struct err *e)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "cannot open the folder %s", name);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int rc = err_errno(e, errno, "cannot read the folder %s", name);
        close(fd);
        return rc;
    }
    int rc = 0;
    for (struct dirent *d; rc == 0 && (d = readdir(dir));) {
        struct stat st;
        if (str_is(str_of(d->d_name), ".") || str_is(str_of(d->d_name), ".."))
            continue;
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        rc = w->each(w, dirfd(dir), d->d_name, S_ISDIR(st.st_mode), depth, e);
    }
    closedir(dir);
    return rc;
}

static int move_up(struct walk *w, int at, const char *name, struct err *e)
{
    char random[17], temp[64];
    text_random(random, sizeof(random));
    int n = snprintf(temp, sizeof(temp), TEMP_PREFIX "%s", random);
    if (renameat(at, name, w->top, temp) < 0)
        return err_errno(e, errno, "cannot move the folder %s", name);
    buf_add(&w->moved, str_n(temp, (size_t)n + 1));
    return buf_ok(&w->moved) ? 0 : err_set(e, E_LIMIT, "too many deep folders to remove");
}

static int remove_one(struct walk *w, int at, const char *name, bool folder, int depth,
                      struct err *e)
{
    if (folder && depth >= DEPTH_MAX)
        return move_up(w, at, name, e);
    if (folder)
        TRY(walk_folder(w, at, name, depth + 1, e));
    if (unlinkat(at, name, folder ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT)
        return err_errno(e, errno, "cannot remove %s", name);
    return 0;
}

static int remove_tree(int at, const char *name, struct err *e)
{
    struct stat st;
    struct walk w = {remove_one, at, BUF_INIT(MIB(1))};
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "cannot look at %s", name);
    int rc = remove_one(&w, at, name, S_ISDIR(st.st_mode), 0, e);
    for (size_t i = 0; rc == 0 && i < w.moved.n; i += strlen(w.moved.p + i) + 1)
        rc = remove_one(&w, at, w.moved.p + i, true, 0, e);
    buf_done(&w.moved);
    return rc;
}

int blob_remove(struct store *s, struct str path, struct err *e)
{
    int at = -1;
    char name[256];
    int rc = folder_walk(store_folder_fd(s), path, false, &at, name, e);
    if (rc == E_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    rc = remove_tree(at, name, e);
    if (rc == 0 && fsync(at) < 0)
        rc = err_errno(e, errno, "cannot sync the folder of %s", name);
    close(at);
    return rc;
}

static int sweep_one(struct walk *w, int at, const char *name, bool folder, int depth,
                     struct err *e)
{
    if (str_starts(str_of(name), STR(TEMP_PREFIX)))
        return remove_tree(at, name, e);
    return folder && depth < 4 ? walk_folder(w, at, name, depth + 1, e) : 0;
}

int blob_sweep(struct store *s, struct err *e)
{
    static const char *const folders[] = {"artifacts", "traces", "pages", "secrets"};
    struct walk w = {.each = sweep_one, .top = -1};
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        TRY(walk_folder(&w, store_folder_fd(s), folders[i], 0, e));
    return 0;
}

// ---- traces ----

struct str trace_path(struct arena *a, int64_t project_id, int64_t job_id)
{
    return arena_strf(a, "traces/%lld/%lld.log", (long long)project_id, (long long)job_id);
}

static int trace_open(struct store *s, int64_t project_id, int64_t job_id, bool write, int *ret_fd,
                      struct err *e)
{
    char path[80], name[256];
    int at = -1, n = snprintf(path, sizeof(path), "traces/%lld/%lld.log", (long long)project_id,
                              (long long)job_id);
    TRY(folder_walk(store_folder_fd(s), str_n(path, (size_t)n), write, &at, name, e));
    int fd = openat(at, name, (write ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc =
        fd < 0 ? err_errno(e, errno, "cannot open the trace of job %lld", (long long)job_id) : 0;
    close(at);
    if (rc == 0)
        *ret_fd = fd;
    return rc;
}

static int append_locked(int fd, int64_t offset, struct str bytes, int64_t max, int64_t *ret_size,
                         struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot look at a trace");
    *ret_size = st.st_size;
    if (offset != st.st_size)
        return err_set(e, E_CONFLICT, "the trace has %lld bytes, not %lld", (long long)st.st_size,
                       (long long)offset);
    if (max > 0 && (int64_t)bytes.n > max - offset)
        return err_set(e, E_LIMIT, "the trace is longer than %lld bytes", (long long)max);
    int rc = write_at(fd, bytes, offset, e);
    if (rc < 0) {
        // Half of it would be taken for accepted by the next append.
        (void)!ftruncate(fd, offset);
        return rc;
    }
    *ret_size = offset + (int64_t)bytes.n;
    return 0;
}

int trace_append(struct store *s, int64_t project_id, int64_t job_id, int64_t offset,
                 struct str bytes, int64_t max, int64_t *ret_size, struct err *e)
{
    int fd = -1;
    *ret_size = 0;
    TRY(trace_open(s, project_id, job_id, true, &fd, e));
    int rc = flock(fd, LOCK_EX) < 0 ? err_errno(e, errno, "cannot lock a trace") : 0;
    if (rc == 0)
        rc = append_locked(fd, offset, bytes, max, ret_size, e);
    close(fd);
    return rc;
}

int trace_size(struct store *s, int64_t project_id, int64_t job_id, int64_t *ret, struct err *e)
{
    int fd = -1;
    struct stat st;
    *ret = 0;
    int rc = trace_open(s, project_id, job_id, false, &fd, NULL);
    if (rc == E_NOTFOUND)
        return 0;
    if (rc < 0)
        return err_set(e, rc, "cannot open the trace of job %lld", (long long)job_id);
    if (fstat(fd, &st) < 0)
        rc = err_errno(e, errno, "cannot look at a trace");
    else
        *ret = st.st_size;
    close(fd);
    return rc;
}

int trace_crc32(struct store *s, int64_t project_id, int64_t job_id, uint32_t *ret,
                int64_t *ret_size, struct err *e)
{
    unsigned char chunk[KIB(16)];
    uLong crc = crc32(0, NULL, 0);
    int fd = -1;
    *ret = 0;
    *ret_size = 0;
    int rc = trace_open(s, project_id, job_id, false, &fd, e);
    if (rc == E_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    for (;;) {
        ssize_t n = pread(fd, chunk, sizeof(chunk), *ret_size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_errno(e, errno, "cannot read a trace");
        if (n <= 0)
            break;
        crc = crc32(crc, chunk, (uInt)n);
        *ret_size += n;
    }
    close(fd);
    *ret = (uint32_t)crc;
    return rc;
}

int trace_sync(struct store *s, int64_t project_id, int64_t job_id, struct err *e)
{
    int fd = -1, at = -1;
    char path[80], name[256];
    int n = snprintf(path, sizeof(path), "traces/%lld/%lld.log", (long long)project_id,
                     (long long)job_id);
    int rc = trace_open(s, project_id, job_id, false, &fd, e);
    if (rc == E_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    rc = fsync(fd) < 0 ? err_errno(e, errno, "cannot sync a trace") : 0;
    close(fd);
    if (rc < 0)
        return rc;
    TRY(folder_walk(store_folder_fd(s), str_n(path, (size_t)n), false, &at, name, e));
    rc = fsync(at) < 0 ? err_errno(e, errno, "cannot sync the folder of a trace") : 0;
    close(at);
    return rc;
}

int trace_reset(struct store *s, int64_t project_id, int64_t job_id, struct err *e)
{
    int fd = -1;
    int rc = trace_open(s, project_id, job_id, false, &fd, e);
    if (rc == E_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    close(fd);
    TRY(trace_open(s, project_id, job_id, true, &fd, e));
    rc = flock(fd, LOCK_EX) < 0 || ftruncate(fd, 0) < 0
             ? err_errno(e, errno, "cannot reset a trace")
             : 0;
    close(fd);
    return rc;
}
