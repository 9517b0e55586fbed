// SPDX-License-Identifier: Apache-2.0
// Reads loose and packed refs into counted snapshots and caches them. Loose refs are read before
// packed-refs, as git does, so that a ref which pack-refs moves meanwhile is seen in one of the
// two. Any thread; the cache has one lock, held while a snapshot is looked up but not while it is
// read.
#include "git/refs.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "git/repo_priv.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { STALE_TRIES = 5, SYMREF_DEPTH = 5, FOLDER_DEPTH = 32 };
// A change within this long before it was looked at may be followed by another one with the same
// time stamp: such a snapshot is not trusted again.
#define RACY_NS (100 * 1000000LL)

struct stamp {
    uint64_t ino, size;
    int64_t ctime_ns;
    bool there;
};

struct packed {
    atomic_int owners;
    struct stamp stamp;
    struct buf text;
    struct git_ref *items;
    size_t n;
};

struct folder {
    char *path; // below the repository
    struct stamp stamp;
};

struct snapshot {
    struct git_refs pub;
    atomic_int owners;
    struct packed *packed; // names and ids of packed refs point into its text
    struct buf *loose;     // text of each loose ref, one piece each
    size_t nloose, loose_cap;
    struct git_ref *merged;
    char *head_text;
    struct folder *folders;
    size_t nfolders, folders_cap;
    struct stamp head_stamp;
    bool trusted; // nothing in it is younger than RACY_NS before the reading began
    bool network;
};

static struct snapshot *snapshot_of(struct git_refs *s)
{
    return CONTAINER_OF(s, struct snapshot, pub);
}

static void packed_unref(struct packed *p)
{
    if (!p || atomic_fetch_sub(&p->owners, 1) != 1)
        return;
    buf_done(&p->text);
    free(p->items);
    free(p);
}

void git_refs_unref(struct git_refs *pub)
{
    if (!pub)
        return;
    struct snapshot *s = snapshot_of(pub);
    if (atomic_fetch_sub(&s->owners, 1) != 1)
        return;
    packed_unref(s->packed);
    for (size_t i = 0; i < s->nloose; i++)
        buf_done(&s->loose[i]);
    for (size_t i = 0; i < s->nfolders; i++)
        free(s->folders[i].path);
    free(s->loose);
    free(s->folders);
    free(s->merged);
    free(s->head_text);
    free(s);
}

// ---- files that another host may replace

static void read_folder_to_end(const char *path)
{
    DIR *d = opendir(path);
    if (!d)
        return;
    while (readdir(d))
        ;
    closedir(d);
}

static bool folder_lists(const char *path, const char *name)
{
    DIR *d = opendir(path);
    if (!d)
        return false;
    bool found = false;
    for (struct dirent *de; (de = readdir(d));)
        found |= strcmp(de->d_name, name) == 0;
    closedir(d);
    return found;
}

static struct stamp stamp_of(const struct statx *sx)
{
    return (struct stamp){sx->stx_ino, sx->stx_size,
                          (int64_t)sx->stx_ctime.tv_sec * 1000000000 + sx->stx_ctime.tv_nsec, true};
}

static bool stamp_eq(const struct stamp *a, const struct stamp *b)
{
    return a->there == b->there && a->ino == b->ino && a->size == b->size &&
           a->ctime_ns == b->ctime_ns;
}

// Opens a file by the one way that was right on every client and server measured: open, ask the
// server about the descriptor, and when that shows a file that is gone, read the folder and open
// again. ret_fd is -1 when the file really does not exist.
static int open_fresh(const char *folder, const char *name, int *ret_fd, struct stamp *ret_stamp,
                      struct err *e)
{
    *ret_fd = -1;
    *ret_stamp = (struct stamp){0};
    char path[4200];
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return err_set(e, E_INVALID, "ref path is too long");
    for (int attempt = 0; attempt < STALE_TRIES; attempt++) {
        if (attempt) {
            struct timespec pause = {0, (10L << attempt) * 500000L + (long)(clock_us() % 5000000)};
            nanosleep(&pause, NULL);
            read_folder_to_end(folder);
        }
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) {
            if (errno == ENOENT) {
                if (!folder_lists(folder, name))
                    return 0;
                continue;
            }
            if (errno == ENOTDIR || errno == ELOOP)
                return 0;
            if (errno == ESTALE)
                continue;
            return err_errno(e, errno, "cannot open %s", name);
        }
        struct statx sx;
        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
                  STATX_INO | STATX_SIZE | STATX_CTIME | STATX_NLINK | STATX_TYPE, &sx) < 0) {
            int why = errno;
            close(fd);
            if (why == ESTALE)
                continue;
            return err_errno(e, why, "cannot look at %s", name);
        }
        if (sx.stx_nlink == 0) {
            close(fd);
            continue;
        }
        if (!S_ISREG(sx.stx_mode)) {
            close(fd);
            return 0;
        }
        *ret_fd = fd;
        *ret_stamp = stamp_of(&sx);
        return 0;
    }
    return err_set(e, E_BUSY, "%s: the filesystem kept answering with a replaced file; try again",
                   name);
}

// Reads a small file (a loose ref, HEAD). *ret_there is false when it does not exist.
static int read_small(const char *folder, const char *name, char *to, size_t room, size_t *ret_n,
                      struct stamp *ret_stamp, bool *ret_there, struct err *e)
{
    *ret_there = false;
    *ret_n = 0;
    _autofd_ int fd = -1;
    int rc = open_fresh(folder, name, &fd, ret_stamp, e);
    if (rc < 0 || fd < 0)
        return rc;
    size_t n = 0;
    while (n < room) {
        ssize_t got = read(fd, to + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == ESTALE
                       ? err_set(e, E_BUSY, "%s was replaced while it was read; try again", name)
                       : err_errno(e, errno, "cannot read %s", name);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    *ret_there = true;
    return 0;
}

// ---- packed-refs

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct git_ref *)a)->name, ((const struct git_ref *)b)->name);
}

static int parse_packed(struct packed *p, struct err *e)
{
    size_t lines = 0;
    for (const char *at = p->text.p, *end = at + p->text.n;
         at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        lines++;
    p->items = NEW_ARRAY(struct git_ref, lines + 1);
    bool sorted = true;
    for (struct str rest = buf_str(&p->text), line; str_cut(&rest, '\n', &line);) {
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (line.p[0] == '^') {
            struct str sha = str_from(line, 1);
            if (p->n == 0 || !git_sha_ok(sha))
                return err_set(e, E_IO, "packed-refs is damaged: a peeled line out of place");
            p->items[p->n - 1].peeled = sha;
            continue;
        }
        struct str sha = str_head(line, GIT_SHA_HEX);
        struct str name = str_from(line, GIT_SHA_HEX + 1);
        if (!git_sha_ok(sha) || name.n == 0 || line.p[GIT_SHA_HEX] != ' ' || p->n >= lines)
            return err_set(e, E_IO, "packed-refs is damaged near \"%" PRISTR "\"",
                           STRARG(str_head(line, 60)));
        if (p->n && str_cmp(p->items[p->n - 1].name, name) >= 0)
            sorted = false;
        p->items[p->n++] = (struct git_ref){.name = name, .sha = sha};
    }
    if (!sorted)
        qsort(p->items, p->n, sizeof(*p->items), by_name);
    return 0;
}

// Returns a counted packed: `old` again when the file is the same. NULL when there is no file.
static int packed_get(const char *path, struct packed *old, struct packed **ret, struct err *e)
{
    *ret = NULL;
    _autofd_ int fd = -1;
    struct stamp stamp;
    int rc = open_fresh(path, "packed-refs", &fd, &stamp, e);
    if (rc < 0)
        return rc;
    if (fd < 0) {
        // git never removes the file: without it we would answer with too few refs.
        if (old)
            return err_set(e, E_IO, "packed-refs of the repository has vanished");
        return 0;
    }
    if (old && stamp_eq(&old->stamp, &stamp)) {
        atomic_fetch_add(&old->owners, 1);
        *ret = old;
        return 0;
    }
    struct packed *p = NEW(struct packed);
    p->owners = 1;
    p->stamp = stamp;
    buf_init(&p->text, GIT_REFS_FILE_MAX);
    if (stamp.size <= GIT_REFS_FILE_MAX)
        (void)buf_reserve(&p->text, stamp.size + 1 <= GIT_REFS_FILE_MAX ? stamp.size + 1 : 1);
    rc = fd_read_all(fd, &p->text, e);
    if (rc == 0 && p->text.n && p->text.p[p->text.n - 1] != '\n')
        buf_addc(&p->text, '\n');
    if (rc == 0)
        rc = parse_packed(p, e);
    if (rc < 0) {
        packed_unref(p);
        return rc;
    }
    *ret = p;
    return 0;
}

// ---- loose refs

struct loose {
    struct snapshot *s;
    const char *repo;
    struct git_ref *items;
    size_t n, cap, bytes;
    int64_t now_ns;
};

static int64_t wall_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void note_time(struct snapshot *s, const struct stamp *st, int64_t now_ns)
{
    if (st->there && st->ctime_ns > now_ns - RACY_NS)
        s->trusted = false;
}

static int loose_file(struct loose *l, const char *folder, const char *leaf, struct str name,
                      struct err *e)
{
    char text[GIT_REF_NAME_MAX + 64];
    size_t n;
    struct stamp stamp;
    bool there;
    int rc = read_small(folder, leaf, text, sizeof(text), &n, &stamp, &there, e);
    if (rc < 0 || !there)
        return rc;
    struct str body = str_trim(str_n(text, n));
    bool sym = str_starts(body, STR("ref: "));
    struct str sha = sym ? str_trim(str_from(body, 5)) : str_head(body, GIT_SHA_HEX);
    // An empty or torn file (a crash without fsync) is no ref, as for git.
    if (sym ? !git_ref_name_ok(sha) : !git_sha_ok(sha))
        return 0;
    l->bytes += name.n + sha.n + sizeof(struct git_ref);
    if (l->bytes > GIT_REFS_FILE_MAX)
        return err_set(e, E_LIMIT, "the repository has too many loose refs");
    struct snapshot *s = l->s;
    if (s->nloose == s->loose_cap) {
        s->loose_cap = MAX(s->loose_cap * 2, (size_t)16);
        s->loose = mem_grow(s->loose, s->loose_cap, sizeof(*s->loose));
    }
    struct buf *keep = &s->loose[s->nloose++];
    buf_init(keep, 4096);
    (void)buf_reserve(keep, name.n + sha.n + GIT_SHA_HEX);
    buf_add(keep, name);
    buf_add(keep, sha);
    if (l->n == l->cap) {
        l->cap = MAX(l->cap * 2, (size_t)16);
        l->items = mem_grow(l->items, l->cap, sizeof(*l->items));
    }
    struct str kept = str_n(keep->p + name.n, sha.n);
    l->items[l->n++] = (struct git_ref){.name = str_n(keep->p, name.n),
                                        .sha = sym ? STR_NONE : kept,
                                        .symref = sym ? kept : STR_NONE};
    return 0;
}

static int loose_folder(struct loose *l, const char *rel, int depth, struct err *e)
{
    if (depth > FOLDER_DEPTH)
        return 0;
    char full[4200];
    if (snprintf(full, sizeof(full), "%s/%s", l->repo, rel) >= (int)sizeof(full))
        return 0;
    int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
            return 0; // git removes folders that become empty
        return err_errno(e, errno, "cannot read folder %s", rel);
    }
    struct statx sx;
    struct stamp stamp = {0};
    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_SIZE | STATX_CTIME, &sx) == 0)
        stamp = stamp_of(&sx);
    struct snapshot *s = l->s;
    note_time(s, &stamp, l->now_ns);
    if (s->nfolders == s->folders_cap) {
        s->folders_cap = MAX(s->folders_cap * 2, (size_t)8);
        s->folders = mem_grow(s->folders, s->folders_cap, sizeof(*s->folders));
    }
    s->folders[s->nfolders++] = (struct folder){mem_dup(rel, strlen(rel)), stamp};
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_set(e, E_IO, "cannot read folder %s", rel);
    }
    int rc = 0;
    for (struct dirent *de; rc == 0 && (de = readdir(d));) {
        if (de->d_name[0] == '.')
            continue;
        char name[4096];
        int n = snprintf(name, sizeof(name), "%s/%s", rel, de->d_name);
        if (n >= (int)sizeof(name) || n > GIT_REF_NAME_MAX)
            continue;
        int type = de->d_type;
        if (type == DT_UNKNOWN) {
            struct stat st;
            if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                continue;
            type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
        }
        if (type == DT_DIR)
            rc = loose_folder(l, name, depth + 1, e);
        else if (type == DT_REG && git_ref_name_ok(str_n(name, (size_t)n)))
            rc = loose_file(l, full, de->d_name, str_n(name, (size_t)n), e);
    }
    closedir(d);
    return rc;
}

// ---- the snapshot

static const struct git_ref *find_in(const struct git_ref *items, size_t n, struct str name)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(items[mid].name, name);
        if (c == 0)
            return &items[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct git_ref *git_refs_find(const struct git_refs *s, struct str name)
{
    return find_in(s->items, s->n, name);
}

size_t git_refs_seek(const struct git_refs *s, struct str prefix)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (str_cmp(s->items[mid].name, prefix) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct str follow(const struct git_ref *items, size_t n, struct str name)
{
    for (int depth = 0; depth < SYMREF_DEPTH; depth++) {
        const struct git_ref *r = find_in(items, n, name);
        if (!r)
            return STR_NONE;
        if (!r->symref.n)
            return r->sha;
        name = r->symref;
    }
    return STR_NONE;
}

// Loose tags do not say what they lead to; the objects do. What the snapshot before knew is taken
// over: an object never changes.
static void peel_loose(struct loose *l, const struct git_refs *before)
{
    struct git_repo *repo = NULL;
    for (size_t i = 0; i < l->n; i++) {
        struct git_ref *r = &l->items[i];
        if (!r->sha.n || str_starts(r->name, STR("refs/heads/")))
            continue;
        struct buf *keep = &l->s->loose[i];
        const struct git_ref *known = before ? git_refs_find(before, r->name) : NULL;
        struct str peeled = STR_NONE;
        char hex[GIT_OID_HEXSZ + 1];
        if (known && str_eq(known->sha, r->sha)) {
            peeled = known->peeled;
        } else {
            git_oid oid;
            git_object *obj = NULL, *final = NULL;
            if (!repo && git_repo_open(l->repo, &repo, NULL) < 0)
                return;
            if (git_oid_of(r->sha, &oid, NULL) == 0 &&
                git_object_lookup(&obj, repo->lg, &oid, GIT_OBJECT_ANY) == 0 &&
                git_object_type(obj) == GIT_OBJECT_TAG &&
                git_object_peel(&final, obj, GIT_OBJECT_ANY) == 0) {
                git_oid_tostr(hex, sizeof(hex), git_object_id(final));
                peeled = str_of(hex);
            }
            git_object_free(final);
            git_object_free(obj);
        }
        if (peeled.n) {
            buf_add(keep, peeled); // room was reserved: the other slices stay in place
            r->peeled = str_n(keep->p + keep->n - GIT_SHA_HEX, GIT_SHA_HEX);
        }
    }
    git_repo_close(repo);
}

static void merge(struct snapshot *s, struct git_ref *loose, size_t nloose)
{
    const struct git_ref *packed = s->packed ? s->packed->items : NULL;
    size_t npacked = s->packed ? s->packed->n : 0, i = 0, j = 0, n = 0;
    s->merged = NEW_ARRAY(struct git_ref, npacked + nloose + 1);
    while (i < npacked || j < nloose) {
        int c = i == npacked ? 1 : j == nloose ? -1 : str_cmp(packed[i].name, loose[j].name);
        if (c < 0) {
            s->merged[n++] = packed[i++];
        } else {
            if (c == 0)
                i++;
            s->merged[n++] = loose[j++];
        }
    }
    // Symbolic refs get the id they lead to; one that leads nowhere is not a ref.
    size_t kept = 0;
    for (size_t k = 0; k < n; k++) {
        struct git_ref r = s->merged[k];
        if (r.symref.n) {
            r.sha = follow(s->merged, n, r.name);
            if (!r.sha.n)
                continue;
        }
        s->merged[kept++] = r;
    }
    s->pub.items = s->merged;
    s->pub.n = kept;
}

static int read_head(struct snapshot *s, const char *path, struct err *e)
{
    char text[GIT_REF_NAME_MAX + 64];
    size_t n;
    bool there;
    int rc = read_small(path, "HEAD", text, sizeof(text), &n, &s->head_stamp, &there, e);
    if (rc < 0)
        return rc;
    if (!there)
        return err_set(e, E_NOTFOUND, "there is no repository at this place");
    struct str head = str_trim(str_n(text, n));
    s->head_text = str_dup(head);
    head = str_of(s->head_text);
    if (str_starts(head, STR("ref: ")))
        s->pub.head = str_trim(str_from(head, 5));
    else if (git_sha_ok(head))
        s->pub.head_sha = head;
    return 0;
}

static int snapshot_read(const char *path, struct snapshot *before, struct snapshot **ret,
                         struct err *e)
{
    struct snapshot *s = NEW(struct snapshot);
    s->owners = 1;
    s->trusted = true;
    struct loose l = {.s = s, .repo = path, .now_ns = wall_ns()};
    struct statfs fs;
    s->network =
        statfs(path, &fs) == 0 && (fs.f_type == NFS_SUPER_MAGIC || fs.f_type == SMB_SUPER_MAGIC ||
                                   fs.f_type == SMB2_SUPER_MAGIC || fs.f_type == FUSE_SUPER_MAGIC ||
                                   fs.f_type == CEPH_SUPER_MAGIC);
    int rc = read_head(s, path, e);
    if (rc == 0)
        rc = loose_folder(&l, "refs", 0, e);
    if (rc == 0)
        rc = packed_get(path, before ? before->packed : NULL, &s->packed, e);
    if (rc < 0) {
        free(l.items);
        git_refs_unref(&s->pub);
        return rc;
    }
    note_time(s, &s->head_stamp, l.now_ns);
    if (s->packed)
        note_time(s, &s->packed->stamp, l.now_ns);
    peel_loose(&l, before ? &before->pub : NULL);
    if (l.n > 1)
        qsort(l.items, l.n, sizeof(*l.items), by_name);
    merge(s, l.items, l.n);
    free(l.items);
    if (s->pub.head.n)
        s->pub.head_sha = follow(s->pub.items, s->pub.n, s->pub.head);
    *ret = s;
    return 0;
}

int git_refs_read(const char *path, struct git_refs **ret, struct err *e)
{
    struct snapshot *s;
    int rc = snapshot_read(path, NULL, &s, e);
    if (rc == 0)
        *ret = &s->pub;
    return rc;
}

static bool same_stamp(const char *repo, const char *name, const struct stamp *want)
{
    char path[4200];
    if (snprintf(path, sizeof(path), "%s/%s", repo, name) >= (int)sizeof(path))
        return false;
    struct statx sx;
    struct stamp now = {0};
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_SIZE | STATX_CTIME, &sx) == 0)
        now = stamp_of(&sx);
    return stamp_eq(&now, want);
}

// Loose folders first and packed-refs last, in the order in which they are read.
static bool still_true(const struct snapshot *s, const char *path)
{
    if (!s->trusted || s->network || !same_stamp(path, "HEAD", &s->head_stamp))
        return false;
    for (size_t i = 0; i < s->nfolders; i++) {
        if (!same_stamp(path, s->folders[i].path, &s->folders[i].stamp))
            return false;
    }
    const struct stamp none = {0};
    return same_stamp(path, "packed-refs", s->packed ? &s->packed->stamp : &none);
}

// ---- one ref

static int lookup_at(const char *path, struct str name, int depth, char sha[41], struct err *e)
{
    if (depth > SYMREF_DEPTH)
        return err_set(e, E_INVALID, "symbolic refs lead in a circle");
    if (!git_ref_name_ok(name) && !str_is(name, "HEAD"))
        return err_set(e, E_INVALID, "\"%" PRISTR "\" cannot be a ref name", STRARG(name));
    char folder[4096], leaf[512];
    ptrdiff_t slash = str_rfind(name, '/');
    struct str last = str_from(name, (size_t)(slash + 1));
    if (snprintf(folder, sizeof(folder), "%s/%" PRISTR, path,
                 STRARG(str_head(name, slash < 0 ? 0 : (size_t)slash))) >= (int)sizeof(folder) ||
        snprintf(leaf, sizeof(leaf), "%" PRISTR, STRARG(last)) >= (int)sizeof(leaf))
        return err_set(e, E_INVALID, "ref name is too long");
    char text[GIT_REF_NAME_MAX + 64];
    size_t n;
    struct stamp stamp;
    bool there;
    int rc = read_small(folder, leaf, text, sizeof(text), &n, &stamp, &there, e);
    if (rc < 0)
        return rc;
    struct str body = str_trim(str_n(text, n));
    if (there && str_starts(body, STR("ref: "))) {
        char next[GIT_REF_NAME_MAX + 64];
        snprintf(next, sizeof(next), "%" PRISTR, STRARG(str_trim(str_from(body, 5))));
        return lookup_at(path, str_of(next), depth + 1, sha, e);
    }
    struct str found = str_head(body, GIT_SHA_HEX);
    if (there && git_sha_ok(found)) {
        memcpy(sha, found.p, GIT_SHA_HEX);
        sha[GIT_SHA_HEX] = 0;
        return 0;
    }
    struct packed *p;
    rc = packed_get(path, NULL, &p, e);
    if (rc < 0)
        return rc;
    const struct git_ref *r = p ? find_in(p->items, p->n, name) : NULL;
    if (r) {
        memcpy(sha, r->sha.p, GIT_SHA_HEX);
        sha[GIT_SHA_HEX] = 0;
    }
    packed_unref(p);
    return r ? 0 : err_set(e, E_NOTFOUND, "there is no ref %" PRISTR, STRARG(name));
}

int git_ref_lookup(const char *path, struct str name, char sha[41], struct err *e)
{
    return lookup_at(path, name, 0, sha, e);
}

// ---- the cache

struct cached {
    struct snapshot *s;
    uint64_t used;
};

struct git_refs_cache {
    pthread_mutex_t lock;
    struct map by_path; // struct cached
    size_t max_refs, refs;
    uint64_t tick;
};

struct git_refs_cache *git_refs_cache_new(size_t max_refs)
{
    struct git_refs_cache *c = NEW(struct git_refs_cache);
    pthread_mutex_init(&c->lock, NULL);
    c->by_path = MAP_INIT;
    c->max_refs = max_refs;
    return c;
}

static void drop(struct git_refs_cache *c, struct str path)
{
    struct cached *k = map_del(&c->by_path, path);
    if (!k)
        return;
    c->refs -= k->s->pub.n + 16;
    git_refs_unref(&k->s->pub);
    free(k);
}

void git_refs_cache_free(struct git_refs_cache *c)
{
    if (!c)
        return;
    map_each (item, &c->by_path) {
        struct cached *k = item->value;
        git_refs_unref(&k->s->pub);
        free(k);
    }
    map_done(&c->by_path);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void drop_oldest(struct git_refs_cache *c)
{
    struct map_item *oldest = NULL;
    map_each (item, &c->by_path) {
        if (!oldest ||
            ((struct cached *)item->value)->used < ((struct cached *)oldest->value)->used)
            oldest = item;
    }
    if (oldest)
        drop(c, oldest->key);
}

static void keep(struct git_refs_cache *c, struct str path, struct snapshot *s)
{
    pthread_mutex_lock(&c->lock);
    drop(c, path);
    size_t weight = s->pub.n + 16; // an empty snapshot is not free either
    if (weight <= c->max_refs) {
        while (c->refs + weight > c->max_refs)
            drop_oldest(c);
        struct cached *k = NEW(struct cached);
        atomic_fetch_add(&s->owners, 1);
        k->s = s;
        k->used = ++c->tick;
        c->refs += weight;
        map_set(&c->by_path, path, k);
    }
    pthread_mutex_unlock(&c->lock);
}

int git_refs_cached(struct git_refs_cache *c, const char *path, struct git_refs **ret,
                    struct err *e)
{
    struct str key = str_of(path);
    struct snapshot *before = NULL;
    pthread_mutex_lock(&c->lock);
    struct cached *k = map_get(&c->by_path, key);
    if (k) {
        before = k->s;
        k->used = ++c->tick;
        atomic_fetch_add(&before->owners, 1);
    }
    pthread_mutex_unlock(&c->lock);
    if (before && still_true(before, path)) {
        *ret = &before->pub;
        return 0;
    }
    struct snapshot *s = NULL;
    int rc = snapshot_read(path, before, &s, e);
    git_refs_unref(before ? &before->pub : NULL);
    if (rc < 0)
        return rc;
    keep(c, key, s);
    *ret = &s->pub;
    return 0;
}

static struct git_refs_cache *shared;
static pthread_once_t shared_once = PTHREAD_ONCE_INIT;

static void shared_make(void)
{
    shared = git_refs_cache_new(400000);
}

int git_refs_now(const char *path, struct git_refs **ret, struct err *e)
{
    pthread_once(&shared_once, shared_make);
    return git_refs_cached(shared, path, ret, e);
}
