// SPDX-License-Identifier: Apache-2.0
// A group per job in each hierarchy that may be written: version 1 (pids, memory) or version 2. The
// limits here are a second wall (resource limits are the first), so nothing fails when no hierarchy
// is writable. Opened once; afterwards each job touches only groups with its own name.
#include "runner/sandbox.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { KIND_PIDS, KIND_MEMORY, KIND_V2 };

struct cgroups {
    struct {
        enum kind kind;
        char *dir;
    } at[3];
    size_t n;
};

static bool read_small(const char *path, struct buf *to)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    char part[4096];
    ssize_t n;
    while ((n = read(fd, part, sizeof(part))) > 0)
        buf_add(to, str_n(part, (size_t)n));
    close(fd);
    return n == 0;
}

static bool write_small(const char *dir, const char *file, const char *text)
{
    char path[4200];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file) >= sizeof(path))
        return false;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

static bool has_word(struct str list, char sep, const char *word)
{
    for (struct str rest = list, part; str_cut(&rest, sep, &part);)
        if (str_is(str_trim(part), word))
            return true;
    return false;
}

// The mount point and mounted root of a hierarchy, from mountinfo's lines
// "id parent dev ROOT POINT options... - TYPE source SUPEROPTIONS".
static bool find_mount(struct str mountinfo, const char *controller, struct str *ret_root,
                       struct str *ret_point)
{
    for (struct str rest = mountinfo, line; str_cut(&rest, '\n', &line);) {
        ptrdiff_t dash = str_search(line, STR(" - "));
        if (dash < 0)
            continue;
        struct str tail = str_from(line, (size_t)dash + 3), type, source, f[5];
        str_cut(&tail, ' ', &type);
        str_cut(&tail, ' ', &source);
        bool fits = controller ? str_is(type, "cgroup") && has_word(tail, ',', controller)
                               : str_is(type, "cgroup2");
        if (!fits)
            continue;
        struct str head = line;
        for (size_t i = 0; i < 5; i++)
            if (!str_cut(&head, ' ', &f[i]))
                return false;
        *ret_root = f[3];
        *ret_point = f[4];
        return true;
    }
    return false;
}

// Our own group in that hierarchy, from /proc/self/cgroup's "N:controllers:PATH".
static bool find_own(struct str self, const char *controller, struct str *ret)
{
    for (struct str rest = self, line; str_cut(&rest, '\n', &line);) {
        struct str num, names;
        if (!str_cut(&line, ':', &num) || !str_cut(&line, ':', &names))
            continue;
        if (controller ? has_word(names, ',', controller) : (str_is(num, "0") && !names.n)) {
            *ret = line;
            return true;
        }
    }
    return false;
}

static char *own_dir(struct str mountinfo, struct str self, const char *controller)
{
    struct str root, point, own;
    if (!find_mount(mountinfo, controller, &root, &point) || !find_own(self, controller, &own))
        return NULL;
    if (!str_is(root, "/") && str_starts(own, root))
        own = str_from(own, root.n);
    struct buf dir = BUF_INIT(4096);
    buf_add(&dir, point);
    if (!str_is(own, "/"))
        buf_add(&dir, own);
    return buf_take(&dir);
}

// Version 2: limits exist in a child only when its parent passes the controllers on, and a group
// that passes them on may hold no process itself: we step into a leaf.
static bool enable_v2(const char *own)
{
    static const char WANT[] = "+pids +memory";
    if (write_small(own, "cgroup.subtree_control", WANT))
        return true;
    char leaf[4200];
    snprintf(leaf, sizeof(leaf), "%s/slipway-runner", own);
    if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
        return false;
    return write_small(leaf, "cgroup.procs", "0") &&
           write_small(own, "cgroup.subtree_control", WANT);
}

// Removes the groups below `dir` that hold no process.
static void sweep(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *it; (it = readdir(d));)
        if (it->d_type == DT_DIR && it->d_name[0] != '.')
            unlinkat(dirfd(d), it->d_name, AT_REMOVEDIR);
    closedir(d);
}

// Groups of runners that were killed and whose builds folder is gone would stay for ever: whoever
// starts removes what is empty. A living runner makes its group again when it needs it.
static void sweep_runners(const char *own)
{
    DIR *d = opendir(own);
    for (struct dirent *it; d && (it = readdir(d));) {
        if (it->d_type != DT_DIR || !str_starts(str_of(it->d_name), STR("slipway-r_")))
            continue;
        struct buf dir = BUF_INIT(4096);
        buf_addf(&dir, "%s/%s", own, it->d_name);
        sweep(dir.p);
        rmdir(dir.p);
        buf_done(&dir);
    }
    if (d)
        closedir(d);
}

static bool make_base(enum kind kind, const char *dir)
{
    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return false;
    if (kind == KIND_V2)
        write_small(dir, "cgroup.subtree_control", "+pids +memory");
    return true;
}

static void add(struct cgroups *c, enum kind kind, const char *own, const char *name)
{
    sweep_runners(own);
    struct buf dir = BUF_INIT(4096);
    buf_addf(&dir, "%s/%s", own, name);
    if (!make_base(kind, dir.p)) {
        buf_done(&dir);
        return;
    }
    c->at[c->n].kind = kind;
    c->at[c->n++].dir = buf_take(&dir);
}

struct cgroups *cgroups_open(const char *name, char *why, size_t why_size)
{
    _autobuf_ struct buf mounts = BUF_INIT(MIB(4));
    _autobuf_ struct buf self = BUF_INIT(KIB(64));
    struct cgroups *c = NEW(struct cgroups);
    if (read_small("/proc/self/mountinfo", &mounts) && read_small("/proc/self/cgroup", &self)) {
        static const struct {
            const char *controller;
            enum kind kind;
        } V1[] = {{"pids", KIND_PIDS}, {"memory", KIND_MEMORY}};
        for (size_t i = 0; i < ARRAY_SIZE(V1); i++) {
            _autofree_ char *own = own_dir(buf_str(&mounts), buf_str(&self), V1[i].controller);
            if (own)
                add(c, V1[i].kind, own, name);
        }
        _autofree_ char *own = own_dir(buf_str(&mounts), buf_str(&self), NULL);
        _autobuf_ struct buf have = BUF_INIT(KIB(4));
        char path[4200];
        snprintf(path, sizeof(path), "%s/cgroup.controllers", own ? own : "/nonexistent");
        if (own && read_small(path, &have) && has_word(buf_str(&have), ' ', "pids") &&
            enable_v2(own))
            add(c, KIND_V2, own, name);
    }
    if (c->n)
        return c;
    snprintf(why, why_size, "no cgroup hierarchy is writable here");
    free(c);
    return NULL;
}

void cgroups_close(struct cgroups *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        sweep(c->at[i].dir);
        rmdir(c->at[i].dir);
        free(c->at[i].dir);
    }
    free(c);
}

static bool job_dir(const struct cgroups *c, const char *job, size_t i, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%s/%s", c->at[i].dir, job) < size;
}

void cgroups_make(const struct cgroups *c, const char *job, unsigned pids, uint64_t memory)
{
    for (size_t i = 0; c && i < c->n; i++) {
        char dir[4200], num[32];
        enum kind kind = c->at[i].kind;
        if (!job_dir(c, job, i, dir, sizeof(dir)) || !make_base(kind, c->at[i].dir) ||
            (mkdir(dir, 0755) < 0 && errno != EEXIST))
            continue;
        snprintf(num, sizeof(num), "%u", pids);
        if (pids && kind != KIND_MEMORY)
            write_small(dir, "pids.max", num);
        snprintf(num, sizeof(num), "%llu", (unsigned long long)memory);
        if (memory && kind == KIND_MEMORY)
            write_small(dir, "memory.limit_in_bytes", num);
        if (memory && kind == KIND_V2)
            write_small(dir, "memory.max", num);
    }
}

bool cgroups_entry(const struct cgroups *c, const char *job, size_t i, char *out, size_t size)
{
    char dir[4200];
    return c && i < c->n && job_dir(c, job, i, dir, sizeof(dir)) &&
           (size_t)snprintf(out, size, "%s/cgroup.procs", dir) < size;
}

bool cgroups_oom(const struct cgroups *c, const char *job)
{
    for (size_t i = 0; c && i < c->n; i++) {
        char dir[4200], path[4300];
        enum kind kind = c->at[i].kind;
        if (kind == KIND_PIDS || !job_dir(c, job, i, dir, sizeof(dir)))
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir,
                 kind == KIND_V2 ? "memory.events" : "memory.oom_control");
        _autobuf_ struct buf text = BUF_INIT(KIB(4));
        if (!read_small(path, &text))
            continue;
        for (struct str rest = buf_str(&text), line; str_cut(&rest, '\n', &line);)
            if (str_starts(line, STR("oom_kill ")) && !str_is(line, "oom_kill 0"))
                return true;
    }
    return false;
}

void cgroups_remove(const struct cgroups *c, const char *job)
{
    for (size_t i = 0; c && i < c->n; i++) {
        char dir[4200];
        if (job_dir(c, job, i, dir, sizeof(dir)))
            rmdir(dir);
    }
}
