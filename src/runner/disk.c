// SPDX-License-Identifier: Apache-2.0
// Sizes and lifetimes of build folders. Walks follow no symbolic link and hold one descriptor at a
// time, so a job cannot lead them elsewhere or exhaust them by nesting. Used by job threads.
#include "runner/disk.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

int disk_remove(const char *path, struct err *e)
{
    if (rmdir(path) == 0)
        return 0; // was empty: no process needed
    // rm is careful with links and copes with any depth.
    char *const argv[] = {(char *)"rm", (char *)"-rf",           (char *)"--one-file-system",
                          (char *)"--", (char *)(uintptr_t)path, NULL};
    char *const envp[] = {(char *)"PATH=/usr/bin:/bin", NULL};
    pid_t pid;
    int rc = posix_spawnp(&pid, "rm", NULL, NULL, argv, envp), st = 0;
    if (rc)
        return err_errno(e, rc, "cannot run rm");
    while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
        continue;
    if (st == 0)
        return 0;
    return err_set(e, E_IO, "cannot remove %s; remove it by hand", path);
}

int disk_folder(const char *path, uid_t uid, mode_t mode, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) == 0) {
        bool right = S_ISDIR(st.st_mode) && (geteuid() != 0 || st.st_uid == uid);
        if (right)
            return 0;
        int rc = disk_remove(path, e);
        if (rc < 0)
            return rc;
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_errno(e, errno, "cannot make the folder %s", path);
    if (chmod(path, mode) < 0 || (geteuid() == 0 && lchown(path, uid, uid) < 0))
        return err_errno(e, errno, "cannot give the folder %s to the job's user", path);
    return 0;
}

struct walk {
    int root;
    dev_t dev;
    uint64_t bytes, stop_at;
    char **todo;
    size_t n, cap;
};

static void push(struct walk *w, char *path)
{
    if (w->n == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 64;
        w->todo = mem_grow(w->todo, w->cap, sizeof(*w->todo));
    }
    w->todo[w->n++] = path;
}

static void walk_folder(struct walk *w, const char *at)
{
    int fd = openat(w->root, at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *it; w->bytes <= w->stop_at && (it = readdir(d));) {
        if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, ".."))
            continue;
        struct stat st;
        if (fstatat(dirfd(d), it->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != w->dev)
            continue;
        // Hard links count once per name: too much rather than too little. An empty file costs too.
        w->bytes += (uint64_t)st.st_blocks * 512 + 256;
        if (!S_ISDIR(st.st_mode))
            continue;
        struct buf sub = BUF_INIT(4000);
        buf_addf(&sub, "%s/%s", at, it->d_name);
        if (buf_ok(&sub))
            push(w, buf_take(&sub));
        else {
            buf_done(&sub);
            w->bytes =
                UINT64_MAX; // nested beyond what any tool can name: treated as over the limit
        }
    }
    closedir(d);
}

uint64_t disk_usage(const char *path, uint64_t stop_at)
{
    struct walk w = {.root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                     .stop_at = stop_at};
    struct stat st;
    if (w.root < 0 || fstat(w.root, &st) < 0) {
        if (w.root >= 0)
            close(w.root);
        return 0;
    }
    w.dev = st.st_dev;
    push(&w, str_dup(STR(".")));
    while (w.n) {
        char *at = w.todo[--w.n];
        if (w.bytes <= w.stop_at)
            walk_folder(&w, at);
        free(at);
    }
    free(w.todo);
    close(w.root);
    return w.bytes;
}

static bool free_space(const char *path, uint64_t *ret_free, uint64_t *ret_all)
{
    struct statvfs v;
    if (statvfs(path, &v) < 0)
        return false;
    *ret_free = (uint64_t)v.f_bavail * v.f_frsize;
    *ret_all = (uint64_t)v.f_blocks * v.f_frsize;
    return true;
}

void disk_watch_init(struct disk_watch *w, const char *path, uint64_t limit)
{
    *w = (struct disk_watch){.path = path, .limit = limit};
}

int disk_watch_look(struct disk_watch *w, struct err *e)
{
    uint64_t now_free, all;
    if (!free_space(w->path, &now_free, &all))
        return 0;
    // The machine itself must go on working, whoever filled the disk.
    uint64_t floor = MIN(all / 50, (uint64_t)MIB(512));
    if (now_free < floor)
        return err_set(e, E_LIMIT, "the disk of the build folder is nearly full (%llu MiB left)",
                       (unsigned long long)(now_free >> 20));
    if (!w->limit)
        return 0;
    int64_t now = clock_ms();
    uint64_t gone = w->free_then > now_free ? w->free_then - now_free : 0;
    bool may_be_over = !w->counted || w->used + gone > w->limit;
    if (!may_be_over && now < w->next_ms)
        return 0;
    w->used = disk_usage(w->path, w->limit);
    w->free_then = now_free;
    w->counted = true;
    int64_t took = clock_ms() - now;
    w->next_ms = now + MAX(5000, took * 20);
    if (w->used <= w->limit)
        return 0;
    return err_set(e, E_LIMIT,
                   "the build folder grew beyond %llu MiB, this runner's limit for a job "
                   "(--job-disk)",
                   (unsigned long long)(w->limit >> 20));
}
