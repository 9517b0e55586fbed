// SPDX-License-Identifier: Apache-2.0
// Files and folders: whole reads, durable replacement, making and removing trees. Removal walks by
// descriptors and never follows a link, because jobs choose the names in it. Any thread.
#include "os/fd.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMOVE_DEPTH_MAX 512

int file_read_at(int dirfd, const char *path, struct buf *into, struct err *e)
{
    _autofd_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, errno, "cannot open %s", path);
    int rc = fd_read_all(fd, into, e);
    return rc < 0 ? err_wrap(e, "%s", path) : 0;
}

int file_read(const char *path, struct buf *into, struct err *e)
{
    return file_read_at(AT_FDCWD, path, into, e);
}

int dir_sync(const char *path, struct err *e)
{
    _autofd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_errno(e, errno, "cannot sync the folder %s", path);
    return 0;
}

int file_sync_parent(const char *path, struct err *e)
{
    char dir[4096];
    struct str s = str_of(path);
    ptrdiff_t slash = str_rfind(s, '/');
    if (slash < 0)
        return dir_sync(".", e);
    if (slash == 0)
        return dir_sync("/", e);
    if ((size_t)slash >= sizeof dir)
        return err_set(e, E_LIMIT, "path too long: %s", path);
    memcpy(dir, path, (size_t)slash);
    dir[slash] = '\0';
    return dir_sync(dir, e);
}

int file_new_open(struct file_new *f, const char *path, mode_t mode, struct err *e)
{
    *f = FILE_NEW_INIT;
    char salt[9];
    text_random(salt, sizeof salt);
    int n = snprintf(f->temp, sizeof f->temp, "%s.%s.new", path, salt);
    if (n < 0 || (size_t)n >= sizeof f->temp)
        return err_set(e, E_LIMIT, "path too long: %s", path);
    snprintf(f->path, sizeof f->path, "%s", path);
    f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (f->fd < 0)
        return err_errno(e, errno, "cannot make %s", f->temp);
    return 0;
}

void file_new_abort(struct file_new *f)
{
    if (f->fd < 0)
        return;
    fd_close(&f->fd);
    unlink(f->temp);
}

int file_new_commit(struct file_new *f, struct err *e)
{
    if (fsync(f->fd) < 0) {
        int rc = err_errno(e, errno, "cannot write %s", f->path);
        file_new_abort(f);
        return rc;
    }
    if (rename(f->temp, f->path) < 0) {
        int rc = err_errno(e, errno, "cannot replace %s", f->path);
        file_new_abort(f);
        return rc;
    }
    fd_close(&f->fd);
    return file_sync_parent(f->path, e);
}

int file_replace(const char *path, struct str content, mode_t mode, struct err *e)
{
    _autofilenew_ struct file_new f = FILE_NEW_INIT;
    int rc = file_new_open(&f, path, mode, e);
    if (rc < 0)
        return rc;
    rc = fd_write_all(f.fd, content, e);
    if (rc < 0)
        return err_wrap(e, "%s", path);
    return file_new_commit(&f, e);
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
    char part[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return err_set(e, E_INVALID, "cannot make a folder of %zu bytes path", n);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char kept = part[i];
        part[i] = '\0';
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return err_errno(e, errno, "cannot make the folder %s", part);
        part[i] = kept;
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(e, errno, "cannot look at %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, E_CONFLICT, "%s exists and is not a folder", path);
    return 0;
}

static int remove_entry(int dirfd, const char *name, dev_t dev, int depth, struct err *e);

// Opens a folder for removal, giving its owner the permissions that this takes. By way of a
// descriptor: a link that took the name meanwhile is not followed.
static int open_for_removal(int dirfd, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dirfd, name, flags);
    if (fd >= 0 || errno != EACCES)
        return fd;
    _autofd_ int path = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char proc[40];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", path);
    if (path < 0 || chmod(proc, 0700) < 0)
        return -1;
    return openat(dirfd, name, flags);
}

static int remove_children(int fd, dev_t dev, int depth, struct err *e)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        int rc = err_errno(e, errno, "cannot read a folder");
        close(fd);
        return rc;
    }
    int rc = 0;
    struct dirent *ent;
    while (rc == 0 && (errno = 0, ent = readdir(d))) {
        if (str_is(str_of(ent->d_name), ".") || str_is(str_of(ent->d_name), ".."))
            continue;
        rc = remove_entry(dirfd(d), ent->d_name, dev, depth + 1, e);
    }
    closedir(d);
    return rc;
}

static int remove_entry(int dirfd, const char *name, dev_t dev, int depth, struct err *e)
{
    if (depth > REMOVE_DEPTH_MAX)
        return err_set(e, E_LIMIT, "folders nested more than %d deep at %s", REMOVE_DEPTH_MAX,
                       name);
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    int why = errno;
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "cannot remove %s", name);
    if (!S_ISDIR(st.st_mode)) {
        // A parent that the job made read-only.
        if (why != EACCES || fchmod(dirfd, 0700) < 0 || unlinkat(dirfd, name, 0) < 0)
            return err_errno(e, why, "cannot remove %s", name);
        return 0;
    }
    if (st.st_dev != dev)
        return err_set(e, E_CONFLICT, "%s is a mount: it is not removed", name);
    int fd = open_for_removal(dirfd, name);
    if (fd < 0)
        return err_errno(e, errno, "cannot open the folder %s to remove it", name);
    int rc = remove_children(fd, dev, depth, e);
    if (rc < 0)
        return rc;
    if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        if (errno != EACCES || fchmod(dirfd, 0700) < 0 || unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
            return err_errno(e, errno, "cannot remove the folder %s", name);
    }
    return 0;
}

int dir_remove_at(int dirfd, const char *name, struct err *e)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "cannot look at %s", name);
    return remove_entry(dirfd, name, st.st_dev, 0, e);
}

int dir_remove(const char *path, struct err *e)
{
    return dir_remove_at(AT_FDCWD, path, e);
}
