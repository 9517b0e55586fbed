// SPDX-License-Identifier: Apache-2.0
// `slipway backup` and `slipway restore`: the whole state folder as one compressed archive, taken
// while the platform runs. The database is copied first and files after it: a file is always
// written before its row, so every row in the copy finds its file.
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/role.h"
#include "os/fd.h"
#include "store/store.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MOST 64

struct backup {
    struct archive *to;
    uint64_t files, bytes;
};

static int archive_fail(struct archive *a, const char *what, struct err *e)
{
    const char *why = archive_error_string(a);
    return err_set(e, archive_errno(a) == ENOSPC ? E_LIMIT : E_IO, "%s: %s", what,
                   why ? why : "unknown reason");
}

static int add_content(struct backup *b, int fd, int64_t size, const char *name, struct err *e)
{
    char chunk[65536];
    // The size was announced: a file that grows meanwhile is cut there, one that shrank is filled.
    while (size > 0) {
        ssize_t n = read(fd, chunk, (size_t)MIN((int64_t)sizeof(chunk), size));
        if (n < 0)
            return err_errno(e, errno, "reading %s", name);
        if (n == 0) {
            n = (ssize_t)MIN((int64_t)sizeof(chunk), size);
            memset(chunk, 0, (size_t)n);
        }
        if (archive_write_data(b->to, chunk, (size_t)n) < 0)
            return archive_fail(b->to, "writing the archive", e);
        size -= n;
        b->bytes += (uint64_t)n;
    }
    return 0;
}

static int add_entry(struct backup *b, int dir, const char *leaf, const char *name,
                     const struct stat *st, struct err *e)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_copy_stat(entry, st);
    archive_entry_set_pathname(entry, name);
    char target[PATH_MAX];
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(dir, leaf, target, sizeof(target) - 1);
        target[MAX(n, (ssize_t)0)] = 0;
        archive_entry_set_symlink(entry, target);
    }
    _autofd_ int fd = -1;
    if (S_ISREG(st->st_mode)) {
        fd = openat(dir, leaf, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) { // removed since it was listed
            archive_entry_free(entry);
            return errno == ENOENT ? 0 : err_errno(e, errno, "%s", name);
        }
    }
    int rc = archive_write_header(b->to, entry) < ARCHIVE_WARN ? archive_fail(b->to, name, e) : 0;
    archive_entry_free(entry);
    if (rc == 0 && fd >= 0)
        rc = add_content(b, fd, st->st_size, name, e);
    b->files++;
    return rc;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    // In a repository `objects` comes after the refs: whatever a copied ref names is then copied
    // too.
    bool ao = !strcmp((*a)->d_name, "objects"), bo = !strcmp((*b)->d_name, "objects");
    return ao != bo ? ao - bo : strcmp((*a)->d_name, (*b)->d_name);
}

static int add_tree(struct backup *b, int parent, const char *leaf, const char *name, int depth,
                    struct err *e)
{
    struct stat st;
    if (fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "%s", name);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
        return 0;
    int rc = add_entry(b, parent, leaf, name, &st, e);
    if (rc < 0 || !S_ISDIR(st.st_mode))
        return rc;
    if (depth >= DEPTH_MOST)
        return err_set(e, E_LIMIT, "%s: folders nested deeper than %d", name, DEPTH_MOST);
    _autofd_ int dir = openat(parent, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "%s", name);
    struct dirent **list = NULL;
    int n = scandirat(dir, ".", &list, NULL, by_name);
    if (n < 0)
        return err_errno(e, errno, "%s", name);
    for (int i = 0; i < n; i++) {
        const char *child = list[i]->d_name;
        struct str s = str_of(child);
        if (rc == 0 && !str_is(s, ".") && !str_is(s, "..") && !str_ends(s, STR(".lock"))) {
            char path[PATH_MAX];
            snprintf(path, sizeof(path), "%s/%s", name, child);
            rc = add_tree(b, dir, child, path, depth + 1, e);
        }
        free(list[i]);
    }
    free(list);
    return rc;
}

// Database, then everything else that is kept; run/ and builds/ are not.
static int add_state(struct backup *b, struct store *store, const char *copy, struct err *e)
{
    static const char *const FOLDERS[] = {"secrets", "repos", "artifacts", "traces", "pages"};
    TRY(store_backup(store, copy, e));
    struct stat st;
    if (stat(copy, &st) < 0)
        return err_errno(e, errno, "%s", copy);
    TRY(add_entry(b, AT_FDCWD, copy, "slipway.db", &st, e));
    for (size_t i = 0; i < ARRAY_SIZE(FOLDERS); i++)
        TRY(add_tree(b, store_folder_fd(store), FOLDERS[i], FOLDERS[i], 0, e));
    return 0;
}

static int write_archive(const char *state, const char *path, struct backup *b, struct err *e)
{
    struct store *store = NULL;
    TRY(store_open(state, STORE_READ_ONLY, &store, e));
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s/run/backup-%d.db", state, (int)getpid());
    struct file_new f = FILE_NEW_INIT;
    int rc = file_new_open(&f, path, 0600, e);
    b->to = archive_write_new();
    archive_write_set_format_pax_restricted(b->to);
    archive_write_add_filter_zstd(b->to);
    if (rc == 0 && archive_write_open_fd(b->to, f.fd) != ARCHIVE_OK)
        rc = archive_fail(b->to, path, e);
    if (rc == 0)
        rc = add_state(b, store, copy, e);
    if (rc == 0 && archive_write_close(b->to) != ARCHIVE_OK)
        rc = archive_fail(b->to, path, e);
    archive_write_free(b->to);
    if (rc == 0)
        rc = file_new_commit(&f, e);
    file_new_abort(&f);
    unlink(copy);
    store_close(store);
    return rc;
}

int cmd_backup(int argc, char **argv)
{
    const char *state = "var";
    const struct opt opts[] = {{"state", "DIR", "state folder (default: var)", &state, NULL}};
    int at = opt_parse(
        argc, argv,
        "[OPTION...] FILE\n\nWrites the whole state to FILE (tar, zstd), also while the platform "
        "runs.\nThe file holds the secrets: keep it as safe as the state itself.",
        opts, ARRAY_SIZE(opts));
    if (at < 0)
        return opt_exit(at);
    if (at + 1 != argc) {
        fprintf(stderr,
                "slipway backup: name one file, for example slipway backup slipway.tar.zst\n");
        return 2;
    }
    struct err e = ERR_INIT;
    struct backup b = {0};
    if (write_archive(state, argv[at], &b, &e) < 0)
        return cmd_fail("backup", &e);
    printf("%s: %llu files, %llu bytes before compression\n", argv[at], (unsigned long long)b.files,
           (unsigned long long)b.bytes);
    return 0;
}

// ---- restore ----

static int extract(struct archive *from, const char *into, uint64_t *ret_files, struct err *e)
{
    struct archive *disk = archive_write_disk_new();
    archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM |
                                             ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                                             ARCHIVE_EXTRACT_SECURE_SYMLINKS);
    struct archive_entry *entry;
    int rc = 0, next;
    while (rc == 0 && (next = archive_read_next_header(from, &entry)) != ARCHIVE_EOF) {
        if (next < ARCHIVE_WARN) {
            rc = archive_fail(from, "reading the archive", e);
            break;
        }
        const char *name = archive_entry_pathname(entry);
        if (!name || name[0] == '/') {
            rc = err_set(e, E_INVALID,
                         "the archive names an absolute path: it was not made by slipway backup");
            break;
        }
        _autobuf_ struct buf path = BUF_INIT(PATH_MAX);
        buf_addf(&path, "%s/%s", into, name);
        archive_entry_set_pathname(entry, path.p);
        if (archive_read_extract2(from, entry, disk) < ARCHIVE_WARN)
            rc = archive_fail(from, path.p, e);
        (*ret_files)++;
    }
    if (archive_write_close(disk) != ARCHIVE_OK && rc == 0)
        rc = archive_fail(disk, into, e);
    archive_write_free(disk);
    return rc;
}

static bool is_empty_or_absent(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT;
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(d));)
        empty &= !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    closedir(d);
    return empty;
}

static int restore(const char *state, const char *path, uint64_t *ret_files, struct err *e)
{
    if (!is_empty_or_absent(state))
        return err_set(e, E_CONFLICT,
                       "%s is not empty; restore into a new folder and start slipway there", state);
    char into[PATH_MAX];
    snprintf(into, sizeof(into), "%s.restoring-%d", state, (int)getpid());
    TRY(dir_make(into, 0700, e));
    struct archive *from = archive_read_new();
    archive_read_support_filter_zstd(from);
    archive_read_support_format_tar(from);
    int rc = archive_read_open_filename(from, path, 65536) != ARCHIVE_OK
                 ? archive_fail(from, path, e)
                 : 0;
    if (rc == 0)
        rc = extract(from, into, ret_files, e);
    archive_read_free(from);
    // Opening checks that it is a database of this version or older; the check reads all of it.
    struct store *store = NULL;
    if (rc == 0)
        rc = store_open(into, STORE_SERVER, &store, e);
    if (rc == 0)
        rc = store_check(store, e);
    if (store)
        store_close(store);
    if (rc == 0) {
        rmdir(state);
        if (rename(into, state) < 0)
            rc = err_errno(e, errno, "%s", state);
    }
    if (rc == 0)
        rc = file_sync_parent(state, e);
    if (rc < 0)
        (void)!dir_remove(into, NULL);
    return rc;
}

int cmd_restore(int argc, char **argv)
{
    const char *state = "var";
    const struct opt opts[] = {{"state", "DIR",
                                "state folder to make; must be absent or empty (default: var)",
                                &state, NULL}};
    int at =
        opt_parse(argc, argv,
                  "[OPTION...] FILE\n\nMakes a state folder from a file that slipway backup wrote.",
                  opts, ARRAY_SIZE(opts));
    if (at < 0)
        return opt_exit(at);
    if (at + 1 != argc) {
        fprintf(stderr, "slipway restore: name one file; see slipway restore --help\n");
        return 2;
    }
    struct err e = ERR_INIT;
    uint64_t files = 0;
    if (restore(state, argv[at], &files, &e) < 0)
        return cmd_fail("restore", &e);
    printf("%s: %llu files restored\n", state, (unsigned long long)files);
    return 0;
}
