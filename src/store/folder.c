// SPDX-License-Identifier: Apache-2.0
// Walking the state folder part by part with O_NOFOLLOW, so that neither a path nor a link can lead
// out of it. Everything made here is synced together with the folder that names it.
#include "store/folder.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

static const char *const SUBFOLDERS[] = {"artifacts", "traces", "repos", "pages", "secrets", "run"};

static int make_parents(const char *path, struct err *e)
{
    char part[4096];
    size_t n = strlen(path);
    if (n >= sizeof(part))
        return err_set(e, E_INVALID, "the state folder's path is too long");
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char was = part[i];
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return err_errno(e, errno, "cannot create the folder %s", part);
        part[i] = was;
    }
    return 0;
}

int folder_open(const char *path, bool create, int *ret_fd, struct err *e)
{
    if (create)
        TRY(make_parents(path, e));
    // The state folder itself may be a link: that is its owner's choice.
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "cannot open the state folder %s", path);
    if (create) {
        for (size_t i = 0; i < ARRAY_SIZE(SUBFOLDERS); i++)
            if (mkdirat(fd, SUBFOLDERS[i], 0700) < 0 && errno != EEXIST) {
                int rc = err_errno(e, errno, "cannot create %s/%s", path, SUBFOLDERS[i]);
                close(fd);
                return rc;
            }
        (void)!fsync(fd);
    }
    *ret_fd = fd;
    return 0;
}

int folder_check_path(struct str path, struct err *e)
{
    bool bad = path.n == 0 || path.n > 1000 || str_has_control(path);
    for (struct str rest = path, part; !bad && str_cut(&rest, '/', &part);)
        bad = part.n == 0 || part.n > 255 || str_is(part, ".") || str_is(part, "..");
    // str_cut sees no part after a last slash.
    if (bad || path.p[path.n - 1] == '/')
        return err_set(e, E_INVALID, "not a plain path below the state folder");
    return 0;
}

static int step_into(int at, const char *name, bool create, int *ret, struct err *e)
{
    int fd = openat(at, name, DIR_FLAGS);
    if (fd < 0 && errno == ENOENT && create) {
        if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
            return err_errno(e, errno, "cannot create the folder %s", name);
        if (fsync(at) < 0)
            return err_errno(e, errno, "cannot sync the folder of %s", name);
        fd = openat(at, name, DIR_FLAGS);
    }
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return err_set(e, E_INVALID, "%s is not a folder of the state folder", name);
    if (fd < 0)
        return err_errno(e, errno, "cannot open the folder %s", name);
    *ret = fd;
    return 0;
}

int folder_walk(int root, struct str path, bool create, int *ret_fd, char ret_name[256],
                struct err *e)
{
    TRY(folder_check_path(path, e));
    int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(e, errno, "cannot use the state folder");
    struct str rest = path, part;
    while (str_cut(&rest, '/', &part)) {
        memcpy(ret_name, part.p, part.n);
        ret_name[part.n] = '\0';
        if (rest.p == NULL)
            break;
        int next = -1, rc = step_into(fd, ret_name, create, &next, e);
        close(fd);
        if (rc < 0)
            return rc;
        fd = next;
    }
    *ret_fd = fd;
    return 0;
}

static int write_all(int fd, struct str bytes, struct err *e)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot write");
        bytes = str_from(bytes, (size_t)n);
    }
    return fsync(fd) < 0 ? err_errno(e, errno, "cannot sync") : 0;
}

int folder_write_file(int root, struct str path, struct str bytes, bool replace, struct err *e)
{
    int at = -1;
    char name[256], temp[64], random[17];
    TRY(folder_walk(root, path, true, &at, name, e));
    text_random(random, sizeof(random));
    snprintf(temp, sizeof(temp), ".tmp-%s", random);
    int fd = openat(at, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd < 0 ? err_errno(e, errno, "cannot create %s", name) : write_all(fd, bytes, e);
    if (fd >= 0)
        close(fd);
    if (rc == 0) {
        // A link, unlike a rename, does not replace.
        if (replace ? renameat(at, temp, at, name) < 0 : linkat(at, temp, at, name, 0) < 0)
            rc = err_errno(e, errno, "cannot name %s", name);
        else if (fsync(at) < 0)
            rc = err_errno(e, errno, "cannot sync the folder of %s", name);
    }
    if (fd >= 0 && (rc < 0 || !replace))
        unlinkat(at, temp, 0);
    close(at);
    return rc;
}
