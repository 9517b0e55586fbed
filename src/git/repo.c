// SPDX-License-Identifier: Apache-2.0
// Makes, opens and removes bare repositories and moves single refs. Files are written by rename, so
// a crash leaves the old or the new; the caller owns the handle and uses it from one thread.
#include "git/repo_priv.h"

#include "base/mem.h"
#include "git/lock.h"
#include "git/refs.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_once_t started = PTHREAD_ONCE_INIT;

static void start(void)
{
    git_libgit2_init();
    // Only the repository's own file counts: the host's settings are not ours to obey.
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_SYSTEM, "/dev/null");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_GLOBAL, "/dev/null");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_XDG, "/dev/null");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_PROGRAMDATA, "/dev/null");
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)MIB(16));
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, MIB(256));
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, MIB(8));
}

void git_start(void)
{
    pthread_once(&started, start);
}

int git_fail(int lg_rc, struct err *e, const char *fmt, ...)
{
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    const git_error *last = git_error_last();
    int code = lg_rc == GIT_ENOTFOUND                                 ? E_NOTFOUND
               : lg_rc == GIT_EAMBIGUOUS || lg_rc == GIT_EINVALIDSPEC ? E_INVALID
               : lg_rc == GIT_ELOCKED                                 ? E_BUSY
                                                                      : E_IO;
    return err_set(e, code, "%s: %s", what,
                   last && last->message ? last->message : "unknown reason");
}

// ---- names

static bool ref_part_ok(struct str part)
{
    if (part.n == 0 || part.p[0] == '.' || str_ends(part, STR(".lock")))
        return false;
    for (size_t i = 0; i < part.n; i++) {
        unsigned char c = (unsigned char)part.p[i];
        if (c <= 0x20 || c == 0x7f || strchr("~^:?*[\\", c))
            return false;
        if (c == '.' && i + 1 < part.n && part.p[i + 1] == '.')
            return false;
        if (c == '@' && i + 1 < part.n && part.p[i + 1] == '{')
            return false;
    }
    return true;
}

bool git_ref_name_ok(struct str ref)
{
    if (ref.n == 0 || ref.n > GIT_REF_NAME_MAX || ref.p[ref.n - 1] == '/' ||
        ref.p[ref.n - 1] == '.')
        return false;
    size_t parts = 0;
    for (struct str rest = ref, part; str_cut(&rest, '/', &part); parts++) {
        // A single component must fit a file name with ".lock" behind it.
        if (!ref_part_ok(part) || part.n > 250)
            return false;
    }
    return parts >= 2;
}

bool git_branch_name_ok(struct str name)
{
    char full[GIT_REF_NAME_MAX + 1];
    int n = snprintf(full, sizeof(full), "refs/heads/%" PRISTR, STRARG(name));
    if (n < 0 || (size_t)n >= sizeof(full) || name.n == 0 || name.p[0] == '-' ||
        memchr(name.p, 0, name.n))
        return false;
    return !str_is(name, "HEAD") && git_ref_name_ok(str_n(full, (size_t)n));
}

bool git_sha_ok(struct str sha)
{
    if (sha.n != GIT_SHA_HEX)
        return false;
    for (size_t i = 0; i < sha.n; i++) {
        char c = sha.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

// ---- making and deleting

static const char CONFIG[] = "[core]\n"
                             "\trepositoryformatversion = 0\n"
                             "\tfilemode = true\n"
                             "\tbare = true\n"
                             "\tlogAllRefUpdates = false\n"
                             "\tfsync = committed\n"
                             "\tfsyncMethod = batch\n"
                             "[gc]\n"
                             "\tauto = 0\n"
                             "[receive]\n"
                             "\tautogc = false\n"
                             "\tfsckObjects = true\n"
                             "\tadvertisePushOptions = true\n"
                             "\thideRefs = refs/pipelines\n"
                             "\thideRefs = refs/merge-requests\n"
                             "[transfer]\n"
                             "\tfsckObjects = true\n"
                             "[uploadpack]\n"
                             "\tallowFilter = true\n"
                             "\tallowReachableSHA1InWant = true\n"
                             "[http]\n"
                             "\treceivepack = true\n"
                             "[repack]\n"
                             "\twriteBitmaps = true\n";

static int write_missing(const char *repo, const char *name, struct str content, struct err *e)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/%s", repo, name) >= (int)sizeof(path))
        return err_set(e, E_INVALID, "repository path is too long");
    struct stat st;
    if (stat(path, &st) == 0 && st.st_size > 0)
        return 0;
    return file_replace(path, content, 0644, e);
}

int git_repo_create(const char *path, struct str default_branch, struct err *e)
{
    if (!git_branch_name_ok(default_branch))
        return err_set(e, E_INVALID, "\"%" PRISTR "\" cannot be a branch name",
                       STRARG(default_branch));
    static const char *const FOLDERS[] = {"objects/info", "objects/pack", "refs/heads", "refs/tags",
                                          "info"};
    for (size_t i = 0; i < ARRAY_SIZE(FOLDERS); i++) {
        char dir[4096];
        if (snprintf(dir, sizeof(dir), "%s/%s", path, FOLDERS[i]) >= (int)sizeof(dir))
            return err_set(e, E_INVALID, "repository path is too long");
        int rc = dir_make(dir, 0755, e);
        if (rc < 0)
            return rc;
        rc = file_sync_parent(dir, e);
        if (rc < 0)
            return rc;
    }
    int rc = write_missing(path, "config", STR(CONFIG), e);
    if (rc < 0)
        return rc;
    // HEAD last: with it the folder is a repository.
    char head[GIT_REF_NAME_MAX + 32];
    int n = snprintf(head, sizeof(head), "ref: refs/heads/%" PRISTR "\n", STRARG(default_branch));
    rc = write_missing(path, "HEAD", str_n(head, (size_t)n), e);
    if (rc < 0)
        return rc;
    rc = file_sync_parent(path, e);
    if (rc < 0)
        return rc;
    // The folders above may be new as well (@hashed/aa/bb).
    char up[4096];
    snprintf(up, sizeof(up), "%s", path);
    for (int level = 0; level < 3; level++) {
        char *slash = strrchr(up, '/');
        if (!slash || slash == up)
            break;
        *slash = 0;
        rc = file_sync_parent(up, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int git_repo_delete(const char *path, struct err *e)
{
    char gone[4096];
    if (snprintf(gone, sizeof(gone), "%s.deleted", path) >= (int)sizeof(gone))
        return err_set(e, E_INVALID, "repository path is too long");
    int rc = dir_remove(gone, e);
    if (rc < 0)
        return rc;
    if (rename(path, gone) < 0) {
        if (errno == ENOENT)
            return 0;
        return err_errno(e, errno, "cannot move %s aside", path);
    }
    rc = file_sync_parent(path, e);
    if (rc < 0)
        return rc;
    return dir_remove(gone, e);
}

static int64_t folder_bytes(int dirfd, const char *name, int depth)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return 0;
    }
    int64_t total = 0;
    for (struct dirent *de; (de = readdir(d));) {
        if (de->d_name[0] == '.')
            continue;
        struct stat st;
        if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISREG(st.st_mode))
            total += st.st_size;
        else if (S_ISDIR(st.st_mode) && depth > 0)
            total += folder_bytes(fd, de->d_name, depth - 1);
    }
    closedir(d);
    return total;
}

int git_repo_size(const char *path, int64_t *ret_bytes, struct err *e)
{
    _autofd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "cannot open repository %s", path);
    *ret_bytes = folder_bytes(fd, "objects", 3);
    return 0;
}

// ---- the handle

int git_repo_open(const char *path, struct git_repo **ret, struct err *e)
{
    git_start();
    git_repository *lg = NULL;
    int rc = git_repository_open_bare(&lg, path);
    if (rc < 0)
        return git_fail(rc, e, "cannot open repository");
    struct git_repo *r = NEW(struct git_repo);
    r->lg = lg;
    r->path = mem_dup(path, strlen(path));
    *ret = r;
    return 0;
}

void git_repo_close(struct git_repo *r)
{
    if (!r)
        return;
    git_repository_free(r->lg);
    free(r->path);
    free(r);
}

const char *git_repo_path(const struct git_repo *r)
{
    return r->path;
}

int git_repo_head(struct git_repo *r, struct arena *a, const char **ret_branch, struct err *e)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/HEAD", r->path);
    _autobuf_ struct buf b = BUF_INIT(4096);
    int rc = file_read(path, &b, e);
    if (rc < 0)
        return rc;
    struct str s = str_trim(buf_str(&b));
    if (!str_starts(s, STR("ref: refs/heads/")))
        return err_set(e, E_INVALID, "HEAD of the repository names no branch");
    *ret_branch = arena_dup(a, str_from(s, strlen("ref: refs/heads/")));
    return 0;
}

int git_repo_set_head(struct git_repo *r, struct str branch, struct err *e)
{
    if (!git_branch_name_ok(branch))
        return err_set(e, E_INVALID, "\"%" PRISTR "\" cannot be a branch name", STRARG(branch));
    char path[4096], text[GIT_REF_NAME_MAX + 32];
    snprintf(path, sizeof(path), "%s/HEAD", r->path);
    int n = snprintf(text, sizeof(text), "ref: refs/heads/%" PRISTR "\n", STRARG(branch));
    return file_replace(path, str_n(text, (size_t)n), 0644, e);
}

// ---- single refs

int git_ref_set(struct git_repo *r, struct str ref, struct str sha, struct err *e)
{
    if (!git_ref_name_ok(ref) || !str_starts(ref, STR("refs/")) || memchr(ref.p, 0, ref.n))
        return err_set(e, E_INVALID, "\"%" PRISTR "\" cannot be a ref name", STRARG(ref));
    git_oid oid;
    int rc = git_oid_of(sha, &oid, e);
    if (rc < 0)
        return rc;
    _lgfree_(odb) git_odb *odb = NULL;
    rc = git_repository_odb(&odb, r->lg);
    if (rc < 0)
        return git_fail(rc, e, "cannot read objects");
    if (!git_odb_exists(odb, &oid))
        return err_set(e, E_NOTFOUND, "object %" PRISTR " does not exist", STRARG(sha));

    char path[4096], lock[4200];
    if (snprintf(path, sizeof(path), "%s/%" PRISTR, r->path, STRARG(ref)) >= (int)sizeof(path))
        return err_set(e, E_INVALID, "ref name is too long");
    snprintf(lock, sizeof(lock), "%s.lock", path);
    // A folder that becomes empty may be removed by git between making it and using it.
    _autofd_ int fd = -1;
    for (int attempt = 0; fd < 0 && attempt < 5; attempt++) {
        rc = git_lock_take(lock, &fd, e);
        if (rc != E_NOTFOUND)
            break;
        char dir[4096];
        snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
        rc = dir_make(dir, 0755, e);
        if (rc < 0)
            return rc;
    }
    if (fd < 0)
        return rc;
    char line[GIT_SHA_HEX + 1];
    memcpy(line, sha.p, GIT_SHA_HEX);
    line[GIT_SHA_HEX] = '\n';
    rc = fd_write_all(fd, str_n(line, sizeof(line)), e);
    if (rc == 0 && fsync(fd) < 0)
        rc = err_errno(e, errno, "cannot sync ref %" PRISTR, STRARG(ref));
    if (rc == 0 && rename(lock, path) < 0)
        rc = err_errno(e, errno, "cannot replace ref %" PRISTR, STRARG(ref));
    if (rc < 0) {
        unlink(lock);
        return rc;
    }
    return file_sync_parent(path, e);
}

int git_ref_delete(struct git_repo *r, struct str ref, struct str only_if_sha, struct err *e)
{
    if (!git_ref_name_ok(ref) || memchr(ref.p, 0, ref.n))
        return err_set(e, E_INVALID, "\"%" PRISTR "\" cannot be a ref name", STRARG(ref));
    char name[GIT_REF_NAME_MAX + 1];
    snprintf(name, sizeof(name), "%" PRISTR, STRARG(ref));
    git_reference *found = NULL;
    int rc = git_reference_lookup(&found, r->lg, name);
    if (rc == GIT_ENOTFOUND)
        return 0;
    if (rc < 0)
        return git_fail(rc, e, "cannot read ref %s", name);
    const git_oid *now = git_reference_target(found);
    char hex[GIT_OID_HEXSZ + 1] = "";
    if (now)
        git_oid_tostr(hex, sizeof(hex), now);
    if (only_if_sha.n && !str_is(only_if_sha, hex))
        rc = err_set(e, E_CONFLICT, "ref %s is at %s now", name, hex);
    else if ((rc = git_reference_delete(found)) < 0)
        rc = git_fail(rc, e, "cannot delete ref %s", name);
    git_reference_free(found);
    return rc;
}
