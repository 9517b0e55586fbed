// SPDX-License-Identifier: Apache-2.0
// Finds the file that answers a page request. The project's symlink is read, checked and never
// followed by the kernel, and everything below a publication is opened with
// openat2(RESOLVE_BENEATH), so a symlink inside a site cannot lead out of it. Each lookup that ends
// in "missing" is repeated when the publication was replaced meanwhile, because the old folder may
// be on its way out.
#include "edge/site.h"

#include "edge/conditional.h"
#include "edge/mime.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SWAP_RETRIES 20

// Walks one segment at a time without following any symlink, for kernels and seccomp profiles
// without openat2. Symlinks inside a site are then missing instead of followed.
static int open_stepwise(int dir, const char *path, int flags)
{
    char segment[256];
    int at = dup(dir);
    for (struct str rest = str_of(path), part; at >= 0 && str_cut(&rest, '/', &part);) {
        if (part.n == 0)
            continue;
        if (part.n >= sizeof(segment) || str_is(part, "..")) {
            fd_close(&at);
            errno = ENOENT;
            return -1;
        }
        memcpy(segment, part.p, part.n);
        segment[part.n] = '\0';
        bool last = rest.n == 0;
        int next =
            openat(at, segment, (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
        int saved = errno;
        fd_close(&at);
        errno = saved;
        at = next;
    }
    return at;
}

// Opens `path` below `dir`; with `links`, symlinks that stay below are followed.
static int open_beneath(int dir, const char *path, int flags, bool links)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (links ? 0 : RESOLVE_NO_SYMLINKS),
    };
    for (int i = 0; i < 8; i++) {
        int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN) // EAGAIN: a rename raced with "..": try again
            return fd >= 0 || (errno != ENOSYS && errno != EPERM) ? fd
                                                                  : open_stepwise(dir, path, flags);
    }
    return -1;
}

int site_root_open(struct site_root *r, const char *path, struct err *e)
{
    r->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return r->fd >= 0 ? 0 : err_errno(e, errno, "opening the pages folder %s", path);
}

void site_root_close(struct site_root *r)
{
    fd_close(&r->fd);
}

// One publication: where it is, and which part of the request's path it answers.
struct site {
    int fd;                   // its public folder
    char link[SITE_LINK_MAX]; // what the project's symlink said, cut: "@store/1/2/public"
    struct site_place place;
    const char *rest; // the path inside it
};

// "../../@store/<project>/<job>/public" -> "@store/<project>/<job>/public" in place; false for
// anything else.
static bool check_link(char *link)
{
    const char *p = link;
    while (!strncmp(p, "../", 3))
        p += 3;
    struct str rest = str_of(p), store, project, job, leaf;
    if (!str_cut(&rest, '/', &store) || !str_cut(&rest, '/', &project) ||
        !str_cut(&rest, '/', &job) || !str_cut(&rest, '/', &leaf))
        return false;
    if (!str_is(store, "@store") || !str_is(leaf, "public") || rest.p)
        return false;
    if (project.n == 0 || job.n == 0 || project.p[0] == '.' || job.p[0] == '.')
        return false;
    memmove(link, p, strlen(p) + 1);
    return true;
}

static bool read_link(int dir, const char *name, struct site *ret)
{
    ssize_t n = readlinkat(dir, name, ret->link, SITE_LINK_MAX - 1);
    if (n <= 0 || n >= SITE_LINK_MAX - 1)
        return false;
    ret->link[n] = '\0';
    memcpy(ret->place.link, ret->link, (size_t)n + 1);
    return check_link(ret->link);
}

// Walks down from the namespace's folder until a segment is a project's symlink. A path cannot be a
// folder of projects and a project at once, so the first symlink is also the longest prefix.
static bool find_project(int ns, const char *path, struct site *ret)
{
    _autofd_ int at = dup(ns);
    char segment[256];
    for (const char *p = path; at >= 0 && *p;) {
        size_t n = strcspn(p, "/");
        if (n >= sizeof(segment))
            return false;
        memcpy(segment, p, n);
        segment[n] = '\0';
        p += n;
        if (read_link(at, segment, ret)) {
            ret->rest = *p ? p + 1 : p;
            return true;
        }
        int next = openat(at, segment, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        fd_close(&at);
        at = next;
        p += *p == '/';
    }
    return false;
}

// False: no project answers this path.
static bool site_locate(const struct site_root *r, struct str ns, struct str host,
                        const struct site_path *path, struct site *ret)
{
    char folder[SITE_LINK_MAX], root[SITE_LINK_MAX];
    if (ns.n == 0 || ns.n > 255 || host.n > 255 || str_find(ns, '/') >= 0)
        return false;
    snprintf(folder, sizeof(folder), "@live/%" PRISTR, STRARG(ns));
    snprintf(root, sizeof(root), "%" PRISTR, STRARG(host));
    _autofd_ int dir = open_beneath(r->fd, folder, O_PATH | O_DIRECTORY, false);
    if (dir < 0)
        return false;
    bool found = find_project(dir, path->p, ret);
    ret->place.at_root = !found;
    if (!found) {
        ret->rest = path->p;
        found = read_link(dir, root, ret);
    }
    size_t prefix = (size_t)(ret->rest - path->p); // of a project, with its slash if any follows
    if (prefix && *ret->rest != '\0')
        prefix--;
    int n = ret->place.at_root
                ? snprintf(ret->place.path, SITE_LINK_MAX, "%s/%s", folder, root)
                : snprintf(ret->place.path, SITE_LINK_MAX, "%s/%.*s", folder, (int)prefix, path->p);
    if (n >= SITE_LINK_MAX)
        ret->place.path[0] = '\0';
    return found;
}

static bool open_regular(int dir, const char *name, struct stat *st, int *ret_fd)
{
    // O_NONBLOCK: a FIFO in a site must not hold the thread.
    int fd = open_beneath(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, true);
    if (fd < 0)
        return false;
    if (fstat(fd, st) || !S_ISREG(st->st_mode)) {
        close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

// Replaces the file by a precompressed one beside it that the client likes at least as well.
static void pick_variant(int dir, const char *name, struct str accept, struct stat *st,
                         struct site_file *f)
{
    static const struct {
        const char *suffix, *coding;
    } VARIANTS[] = {{".zst", "zstd"}, {".br", "br"}, {".gz", "gzip"}};
    f->varies = mime_is_text(f->type);
    if (!f->varies || !accept.p)
        return;
    int best = 0;
    for (size_t i = 0; i < ARRAY_SIZE(VARIANTS); i++) {
        char path[SITE_PATH_MAX + 16];
        struct stat vst;
        int fd, q = accept_encoding_quality(accept, str_of(VARIANTS[i].coding));
        if (q <= best)
            continue;
        snprintf(path, sizeof(path), "%s%s", name, VARIANTS[i].suffix);
        if (!open_regular(dir, path, &vst, &fd))
            continue;
        close(f->fd);
        f->fd = fd;
        f->encoding = VARIANTS[i].coding;
        *st = vst;
        best = q;
    }
}

static bool take_file(const struct site *s, const char *name, struct str accept,
                      struct site_file *f)
{
    struct stat st;
    if (!open_regular(s->fd, name, &st, &f->fd))
        return false;
    f->type = mime_type(str_of(name));
    f->encoding = NULL;
    pick_variant(s->fd, name, accept, &st, f);
    f->size = st.st_size;
    f->mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000;
    // The publication never changes, so its job with size and time names the bytes.
    struct str job = str_of(s->link), part;
    for (int i = 0; i < 3; i++)
        (void)str_cut(&job, '/', &part);
    snprintf(f->etag, sizeof(f->etag), "\"%.*s-%llx-%llx%s%s\"", (int)MIN(part.n, (size_t)24),
             part.p, (unsigned long long)st.st_size,
             (unsigned long long)st.st_mtim.tv_sec * 1000000000ULL +
                 (unsigned long long)st.st_mtim.tv_nsec,
             f->encoding ? "-" : "", f->encoding ? f->encoding : "");
    return true;
}

static bool is_folder(int dir, const char *name)
{
    int fd = open_beneath(dir, name, O_PATH | O_DIRECTORY, true);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static enum site_found site_look(const struct site *s, const struct site_path *path,
                                 struct str accept, struct site_file *f)
{
    char name[SITE_PATH_MAX + 32];
    if (*s->rest == '\0' || path->slash) {
        if (*s->rest == '\0' && !path->slash)
            return SITE_REDIRECT;
        snprintf(name, sizeof(name), "%s%sindex.html", s->rest, *s->rest ? "/" : "");
        return take_file(s, name, accept, f) ? SITE_FILE : SITE_MISSING;
    }
    if (take_file(s, s->rest, accept, f))
        return SITE_FILE;
    snprintf(name, sizeof(name), "%s/index.html", s->rest);
    struct stat st;
    int fd;
    if (is_folder(s->fd, s->rest) && open_regular(s->fd, name, &st, &fd)) {
        close(fd);
        return SITE_REDIRECT;
    }
    snprintf(name, sizeof(name), "%s.html", s->rest);
    return take_file(s, name, accept, f) ? SITE_FILE : SITE_MISSING;
}

// True when the project's link still says what it said.
static bool unchanged(const struct site_root *r, struct str ns, struct str host,
                      const struct site_path *path, const struct site *was)
{
    struct site now;
    return site_locate(r, ns, host, path, &now) && !strcmp(now.link, was->link);
}

// "Missing" for want of a descriptor is no answer.
static int out_of_descriptors(struct err *e)
{
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM)
        return 0;
    return err_set(e, E_LIMIT, "no descriptor is left to open a page");
}

int site_find(const struct site_root *r, struct str ns, struct str host,
              const struct site_path *path, struct str accept_encoding, enum site_found *ret,
              struct site_file *f, struct site_place *ret_place, char *location, struct err *e)
{
    *f = (struct site_file){.fd = -1};
    for (int i = 0; i < SWAP_RETRIES; i++) {
        struct site s = {.fd = -1};
        errno = 0;
        if (!site_locate(r, ns, host, path, &s)) {
            *ret = SITE_MISSING;
            return out_of_descriptors(e);
        }
        _autofd_ int fd = open_beneath(r->fd, s.link, O_PATH | O_DIRECTORY, false);
        s.fd = fd;
        if (fd < 0 && out_of_descriptors(e))
            return E_LIMIT;
        *ret = fd < 0 ? SITE_MISSING : site_look(&s, path, accept_encoding, f);
        if (*ret == SITE_REDIRECT)
            site_path_location(path, location, SITE_LOCATION_MAX);
        *ret_place = s.place;
        if (*ret != SITE_MISSING)
            return 0;
        if (!unchanged(r, ns, host, path, &s))
            continue;
        if (fd >= 0 && !take_file(&s, "404.html", STR_NONE, f))
            f->fd = -1;
        return 0;
    }
    return err_set(e, E_IO, "the site was replaced %d times while it was read", SWAP_RETRIES);
}
