// SPDX-License-Identifier: Apache-2.0
// Taking, and taking over, Git's lock files. Any thread; the one writer of a repository is this
// process and the git programs that it starts.
#include "git/lock.h"

#include "base/clock.h"
#include "git/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int64_t process_started;

__attribute__((constructor)) static void note_start(void)
{
    process_started = clock_wall_ms();
}

static bool is_stale(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return false;
    int64_t made = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return made < process_started && clock_wall_ms() - made > GIT_LOCK_STALE_MS;
}

int git_lock_take(const char *lock_path, int *ret_fd, struct err *e)
{
    int64_t deadline = clock_ms() + GIT_LOCK_WAIT_MS;
    for (;;) {
        int fd = open(lock_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd >= 0) {
            *ret_fd = fd;
            return 0;
        }
        if (errno != EEXIST)
            return err_errno(e, errno, "cannot make %s", lock_path);
        if (is_stale(lock_path)) {
            unlink(lock_path);
            continue;
        }
        if (clock_ms() >= deadline)
            return err_set(e, E_BUSY, "%s is held by another update", lock_path);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
}

void git_lock_clear(const char *repo, struct str ref)
{
    if (!git_ref_name_ok(ref))
        return;
    const struct str names[] = {ref, STR("packed-refs"), STR("HEAD")};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[4200];
        if (snprintf(path, sizeof(path), "%s/%" PRISTR ".lock", repo, STRARG(names[i])) <
            (int)sizeof(path))
            unlink(path);
    }
}
