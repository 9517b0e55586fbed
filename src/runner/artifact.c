// SPDX-License-Identifier: Apache-2.0
// Artifacts as zip (or gzip, or as they are). Walking and writing never follow a symbolic link:
// each component of a name is opened on its own. Runs in a process of its own inside the sandbox,
// one archive per process.
#include "runner/artifact.h"

#include "base/map.h"
#include "base/mem.h"
#include "runner/glob.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { ENTRIES_MAX = 1000000, NAME_MAX_BYTES = 4000 };

// ---- packing ----------------------------------------------------------------------------------

struct picked {
    const struct artifact_pack *p;
    struct map names; // -> (void *)1
    struct err *e;
    int rc;
};

static bool is_excluded(const struct artifact_pack *p, struct str path)
{
    for (size_t i = 0; p->exclude && p->exclude[i]; i++) {
        struct str pat = str_of(p->exclude[i]);
        if (str_starts(pat, STR("./")))
            pat = str_from(pat, 2);
        if (glob_match(pat, path))
            return true;
    }
    return false;
}

static void pick(struct picked *k, struct str path)
{
    if (k->rc < 0 || map_has(&k->names, path))
        return;
    if (map_size(&k->names) >= ENTRIES_MAX) {
        k->rc = err_set(k->e, E_LIMIT, "more than %d files", ENTRIES_MAX);
        return;
    }
    map_set(&k->names, path, k);
}

static int open_folder(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

// Visits everything below `at`; `pattern` NULL takes all of it. One folder is open at a time.
static size_t walk(struct picked *k, const char *at, const char *pattern)
{
    size_t hits = 0, n = 0, cap = 0;
    char **todo = NULL;
    for (const char *dir = at;;) {
        int fd = open_folder(*dir ? dir : ".");
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        for (struct dirent *it; d && k->rc == 0 && (it = readdir(d));) {
            if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, ".."))
                continue;
            struct buf path = BUF_INIT(NAME_MAX_BYTES);
            buf_addf(&path, "%s%s%s", dir, *dir ? "/" : "", it->d_name);
            struct stat st;
            bool ok = buf_ok(&path) && fstatat(dirfd(d), it->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
            bool git = ok && !strcmp(path.p, ".git");
            bool hit = ok && !git && (!pattern || glob_match(str_of(pattern), buf_str(&path)));
            bool folder = ok && S_ISDIR(st.st_mode) && !git;
            if (hit && !is_excluded(k->p, buf_str(&path))) {
                pick(k, buf_str(&path));
                hits++;
            }
            if (folder && hit && pattern) {
                hits += walk(k, path.p, NULL); // a folder that fits brings all it holds
            } else if (folder) {
                if (n == cap)
                    todo = mem_grow(todo, cap = cap ? cap * 2 : 32, sizeof(*todo));
                todo[n++] = buf_take(&path);
            }
            buf_done(&path);
        }
        if (d)
            closedir(d);
        else if (fd >= 0)
            close(fd);
        if (dir != at)
            free((char *)(uintptr_t)dir);
        if (!n)
            break;
        dir = todo[--n];
    }
    free(todo);
    return hits;
}

static size_t pick_literal(struct picked *k, const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return 0;
    size_t hits = 0;
    if (!is_excluded(k->p, str_of(path))) {
        pick(k, str_of(path));
        hits = 1;
    }
    return hits + (S_ISDIR(st.st_mode) ? walk(k, path, NULL) : 0);
}

// A pattern relative to the build folder without "./", "//" and a trailing slash; false when it
// leads outside.
static bool clean_pattern(const struct artifact_pack *p, const char *given, struct buf *to)
{
    struct str s = str_of(given), root = str_of(p->root);
    if (s.n && s.p[0] == '/') {
        if (!root.n || !str_starts(s, root) || (s.n > root.n && s.p[root.n] != '/'))
            return false;
        s = str_from(s, root.n);
    }
    for (struct str rest = s, part; str_cut(&rest, '/', &part);) {
        if (!part.n || str_is(part, "."))
            continue;
        if (str_is(part, ".."))
            return false;
        if (to->n)
            buf_addc(to, '/');
        buf_add(to, part);
    }
    return buf_ok(to);
}

static void pick_pattern(struct picked *k, const char *given, struct buf *notes)
{
    struct buf pattern = BUF_INIT(NAME_MAX_BYTES);
    if (!clean_pattern(k->p, given, &pattern)) {
        buf_addf(notes, "WARNING: %s: outside of the build folder, nothing there is uploaded\n",
                 given);
        buf_done(&pattern);
        return;
    }
    size_t hits;
    if (!pattern.n)
        hits = walk(k, "", NULL);
    else if (glob_is_literal(buf_str(&pattern)))
        hits = pick_literal(k, pattern.p);
    else {
        _autofree_ char *base = str_dup(glob_literal_part(buf_str(&pattern)));
        hits = walk(k, base, pattern.p);
    }
    if (hits)
        buf_addf(notes, "%s: found %zu matching artifact files and directories\n", given, hits);
    else
        buf_addf(notes, "WARNING: %s: no matching files\n", given);
    buf_done(&pattern);
}

static int by_name(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    return str_cmp(*x, *y);
}

static int copy_file(struct archive *z, int fd, struct err *e)
{
    static char part[262144];
    ssize_t n;
    while ((n = read(fd, part, sizeof(part))) > 0)
        if (archive_write_data(z, part, (size_t)n) < 0)
            return err_set(e, E_IO, "cannot write the archive: %s", archive_error_string(z));
    return n < 0 ? err_errno(e, errno, "cannot read a file") : 0;
}

// Adds one entry; 1 when there is nothing there that an archive can hold.
static int add_entry(struct archive *z, const char *path, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return 1;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
        return 1;
    int fd = -1;
    if (S_ISREG(st.st_mode)) {
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            return err_errno(e, errno, "cannot read %s", path);
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
            close(fd);
            return 1;
        }
    }
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, path);
    archive_entry_set_mode(entry, st.st_mode & (S_IFMT | 0777));
    archive_entry_set_mtime(entry, st.st_mtime, 0);
    archive_entry_set_size(entry, S_ISREG(st.st_mode) ? st.st_size : 0);
    if (S_ISLNK(st.st_mode)) {
        char to[NAME_MAX_BYTES];
        ssize_t n = readlink(path, to, sizeof(to) - 1);
        to[MAX(n, 0)] = '\0';
        archive_entry_set_symlink(entry, to);
    }
    int rc = 0;
    if (archive_write_header(z, entry) < ARCHIVE_WARN)
        rc = err_set(e, E_IO, "cannot write the archive: %s", archive_error_string(z));
    else if (fd >= 0)
        rc = copy_file(z, fd, e);
    archive_entry_free(entry);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int write_zip(const struct str *names, size_t n, int out_fd, size_t *ret_files,
                     struct err *e)
{
    struct archive *z = archive_write_new();
    archive_write_set_format_zip(z);
    archive_write_set_options(z, "compression-level=1");
    archive_write_set_bytes_per_block(z, 262144);
    archive_write_set_bytes_in_last_block(z, 1);
    int rc = 0;
    if (archive_write_open_fd(z, out_fd) != ARCHIVE_OK)
        rc = err_set(e, E_IO, "cannot begin the archive: %s", archive_error_string(z));
    for (size_t i = 0; i < n && rc >= 0; i++) {
        rc = add_entry(z, names[i].p, e);
        *ret_files += rc == 0;
    }
    if (rc >= 0 && archive_write_close(z) != ARCHIVE_OK)
        rc = err_set(e, E_IO, "cannot finish the archive: %s", archive_error_string(z));
    archive_write_free(z);
    return MIN(rc, 0);
}

static int write_fd(int fd, const char *p, size_t n, struct err *e)
{
    while (n) {
        ssize_t did = write(fd, p, n);
        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0)
            return err_errno(e, errno, "cannot write the archive");
        p += did;
        n -= (size_t)did;
    }
    return 0;
}

// All regular files one after the other: each a gzip member, or as they are.
static int write_plain(const struct str *names, size_t n, bool gzip, int out_fd, size_t *ret_files,
                       struct err *e)
{
    static char part[262144];
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        int fd = open(names[i].p, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
            if (fd >= 0)
                close(fd);
            continue;
        }
        gzFile z = gzip ? gzdopen(dup(out_fd), "wb") : NULL;
        int rc = 0;
        ssize_t got;
        while (rc == 0 && (got = read(fd, part, sizeof(part))) > 0) {
            if (!gzip)
                rc = write_fd(out_fd, part, (size_t)got, e);
            else if (gzwrite(z, part, (unsigned)got) != got)
                rc = err_set(e, E_IO, "cannot write the archive");
        }
        if (z && gzclose(z) != Z_OK && rc == 0)
            rc = err_set(e, E_IO, "cannot finish the archive");
        close(fd);
        if (rc < 0)
            return rc;
        ++*ret_files;
    }
    return 0;
}

int artifact_pack(const struct artifact_pack *p, int out_fd, size_t *ret_files, struct buf *notes,
                  struct err *e)
{
    struct picked k = {.p = p, .names = MAP_INIT, .e = e};
    *ret_files = 0;
    for (size_t i = 0; p->paths && p->paths[i] && k.rc == 0; i++)
        pick_pattern(&k, p->paths[i], notes);
    if (p->untracked) {
        size_t hits = 0;
        for (struct str rest = str_n(p->untracked, p->untracked_n), name;
             str_cut(&rest, '\0', &name);)
            if (name.n && !is_excluded(p, name)) {
                pick(&k, name);
                hits++;
            }
        buf_addf(notes, "untracked: found %zu files\n", hits);
    }
    size_t n = 0;
    struct str *names = NEW_ARRAY(struct str, map_size(&k.names) + 1);
    map_each (item, &k.names)
        names[n++] = item->key;
    qsort(names, n, sizeof(*names), by_name);
    if (k.rc == 0 && n)
        k.rc = p->format == ARTIFACT_ZIP
                   ? write_zip(names, n, out_fd, ret_files, e)
                   : write_plain(names, n, p->format == ARTIFACT_GZIP, out_fd, ret_files, e);
    free(names);
    map_done(&k.names);
    return k.rc;
}

// ---- unpacking --------------------------------------------------------------------------------

bool artifact_link_stays(struct str entry, struct str target)
{
    if (!target.n || target.p[0] == '/' || str_find(target, '\0') >= 0)
        return false;
    int depth = 0;
    for (struct str rest = entry, part; str_cut(&rest, '/', &part);)
        if (part.n && rest.p)
            depth++;
    for (struct str rest = target, part; str_cut(&rest, '/', &part);) {
        if (str_is(part, ".."))
            depth--;
        else if (part.n && !str_is(part, "."))
            depth++;
        if (depth < 0)
            return false;
    }
    return true;
}

static int check_name(struct str name, struct err *e)
{
    if (!name.n || name.n >= NAME_MAX_BYTES)
        return err_set(e, E_INVALID, "an entry has no name or one that is too long");
    if (name.p[0] == '/')
        return err_set(e, E_INVALID, "\"%" PRISTR "\" has an absolute name: refused", STRARG(name));
    for (struct str rest = name, part; str_cut(&rest, '/', &part);)
        if (str_is(part, ".."))
            return err_set(e, E_INVALID, "\"%" PRISTR "\" leads outside (\"..\"): refused",
                           STRARG(name));
    return 0;
}

// Opens the folder that holds the entry, making what is missing; ret_last gets the last component.
static int open_parent(int root_fd, struct str name, char *ret_last, size_t size, struct err *e)
{
    int at = dup(root_fd);
    struct str rest = name, part, last = STR("");
    while (at >= 0 && str_cut(&rest, '/', &part)) {
        if (!part.n || str_is(part, "."))
            continue;
        if (part.n >= size) {
            close(at);
            return err_set(e, E_INVALID, "\"%" PRISTR "\": a part of the name is too long",
                           STRARG(name));
        }
        if (last.n) {
            memcpy(ret_last, last.p, last.n);
            ret_last[last.n] = '\0';
            if (mkdirat(at, ret_last, 0755) < 0 && errno != EEXIST)
                break;
            int next = openat(at, ret_last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            int why = errno;
            close(at);
            if (next < 0 && (why == ELOOP || why == ENOTDIR))
                return err_set(e, E_INVALID,
                               "\"%" PRISTR "\" goes through a symbolic link or a file: refused",
                               STRARG(name));
            errno = why;
            at = next;
        }
        last = part;
    }
    if (at < 0)
        return err_errno(e, errno, "\"%" PRISTR "\" cannot be made", STRARG(name));
    memcpy(ret_last, last.p, last.n);
    ret_last[last.n] = '\0';
    return at;
}

static int unpack_file(struct archive *z, int dir, const char *last, mode_t mode, uint64_t *left,
                       struct err *e)
{
    static char part[262144];
    unlinkat(dir, last, 0); // never write through what lies there
    int fd = openat(dir, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, errno, "cannot make %s", last);
    int rc = 0;
    la_ssize_t n;
    while (rc == 0 && (n = archive_read_data(z, part, sizeof(part))) != 0) {
        if (n < 0)
            rc = err_set(e, E_INVALID, "the archive is damaged: %s", archive_error_string(z));
        else if ((uint64_t)n > *left)
            rc = err_set(e, E_LIMIT, "the archive unpacks to more than the limit for artifacts");
        else
            rc = write_fd(fd, part, (size_t)n, e);
        *left -= rc == 0 ? (uint64_t)n : 0;
    }
    mode &= 0777;
    if (rc == 0 && fchmod(fd, mode ? mode : 0644) < 0)
        rc = err_errno(e, errno, "cannot set the mode of %s", last);
    close(fd);
    return rc;
}

static int unpack_entry(struct archive *z, struct archive_entry *entry, int root_fd, uint64_t *left,
                        struct err *e)
{
    struct str name = str_of(archive_entry_pathname(entry));
    mode_t type = archive_entry_filetype(entry), mode = archive_entry_perm(entry);
    const char *link = archive_entry_symlink(entry);
    int rc = check_name(name, e);
    if (rc < 0)
        return rc;
    if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
        return err_set(e, E_INVALID, "\"%s\" is a device or another special file: refused", name.p);
    if (archive_entry_hardlink(entry))
        return err_set(e, E_INVALID, "\"%s\" is a hard link: refused", name.p);
    if (type == AE_IFLNK && !artifact_link_stays(name, str_of(link)))
        return err_set(e, E_INVALID, "\"%s\" is a link that leads outside (to \"%s\"): refused",
                       name.p, link ? link : "");
    char last[256] = "";
    int dir = open_parent(root_fd, name, last, sizeof(last), e);
    if (dir < 0)
        return dir;
    if (!*last) {
        close(dir); // the root itself
        return 0;
    }
    if (type == AE_IFDIR) {
        struct stat st;
        if (mkdirat(dir, last, 0755) < 0 &&
            (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)))
            rc = err_set(e, E_INVALID, "\"%s\": something else than a folder is in its place",
                         name.p);
    } else if (type == AE_IFLNK) {
        unlinkat(dir, last, 0);
        if (symlinkat(link, dir, last) < 0)
            rc = err_errno(e, errno, "cannot make the link %s", name.p);
    } else
        rc = unpack_file(z, dir, last, mode, left, e);
    close(dir);
    return rc;
}

int artifact_unpack(int in_fd, int root_fd, const struct artifact_limits *limits, size_t *ret_files,
                    struct err *e)
{
    struct archive *z = archive_read_new();
    archive_read_support_format_zip_seekable(z);
    uint64_t left = limits->bytes;
    int rc = 0;
    *ret_files = 0;
    if (archive_read_open_fd(z, in_fd, 65536) != ARCHIVE_OK)
        rc = err_set(e, E_INVALID, "this is not a zip archive: %s", archive_error_string(z));
    while (rc == 0) {
        struct archive_entry *entry;
        int got = archive_read_next_header(z, &entry);
        if (got == ARCHIVE_EOF)
            break;
        if (got < ARCHIVE_WARN)
            rc = err_set(e, E_INVALID, "the archive is damaged: %s", archive_error_string(z));
        else if (++*ret_files > limits->entries)
            rc = err_set(e, E_LIMIT, "the archive has more than %llu entries",
                         (unsigned long long)limits->entries);
        else
            rc = unpack_entry(z, entry, root_fd, &left, e);
    }
    archive_read_free(z);
    return rc;
}
