// SPDX-License-Identifier: Apache-2.0
// Builds a job's sandbox: namespaces, a root of its own, an unprivileged user, a syscall filter,
// and then runs the command under reap_run as PID 1 of it. Two processes: the outer one stays
// outside, watches and passes signals on; the inner one becomes PID 1. Each dies with the one above
// it, so a killed runner leaves nothing. One thread; runs with the runner's rights until
// drop_rights().
#include "init/sandbox.h"
#include "init/reap.h"

#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { FD_SPEC = 3, FD_ERROR = 4, FD_EXEC = 5, FAILED = 125 };
enum { MAX_WORDS = 8192, MAX_PATHS = 256 };

// The kernel's names, declared here so that no kernel header is needed to build with musl.
struct bpf_program {
    unsigned short n;
    void *code;
};
struct mount_change {
    uint64_t set, clear, propagation, userns;
};
enum { CHANGE_RDONLY = 1, CHANGE_NOSUID = 2, CHANGE_NODEV = 4, AT_EVERYTHING_BELOW = 0x8000 };
struct cap_header {
    uint32_t version;
    int pid;
};
struct cap_sets {
    uint32_t effective, permitted, inheritable;
};

struct text {
    char *p;
    size_t n;
};

static struct {
    char *argv[MAX_WORDS], *envp[MAX_WORDS];
    char *ro[MAX_PATHS], *hide[MAX_PATHS], *bind[MAX_PATHS], *dirs[MAX_PATHS], *cgroup[MAX_PATHS];
    struct text file[MAX_PATHS];
    size_t nargv, nenvp, nro, nhide, nbind, ndirs, ncgroup, nfile;
    char *cwd, *root, *user, *hostname;
    struct text seccomp;
    bool off, execfd, privileged;
    long parent, uid, gid;
    unsigned long long tmpsize, nproc, fsize, nofile;
} spec;

NORETURN static void fail(const char *fmt, ...) PRINTF(1, 2);
NORETURN static void fail(const char *fmt, ...)
{
    char text[600];
    int why = errno;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    if (why && used < sizeof(text)) {
        int m = snprintf(text + used, sizeof(text) - used, ": %s", strerror(why));
        used = m < 0 || used + (size_t)m >= sizeof(text) ? sizeof(text) - 1 : used + (size_t)m;
    }
    if (write(FD_ERROR, text, used) < 0)
        _exit(FAILED);
    _exit(FAILED);
}

NORETURN static void fail_plain(const char *text)
{
    errno = 0;
    fail("%s", text);
}

// ---- the description --------------------------------------------------------------------------

static void add_path(char *list[MAX_PATHS], size_t *n, char *value)
{
    if (*n >= MAX_PATHS)
        fail_plain("the description holds too many paths");
    list[(*n)++] = value;
}

static void add_word(char *list[MAX_WORDS], size_t *n, char *value)
{
    if (*n >= MAX_WORDS - 1)
        fail_plain("the description holds too many arguments or variables (limit 8191)");
    list[(*n)++] = value;
}

static void take(const char *key, struct text v)
{
    if (!strcmp(key, "arg"))
        add_word(spec.argv, &spec.nargv, v.p);
    else if (!strcmp(key, "env"))
        add_word(spec.envp, &spec.nenvp, v.p);
    else if (!strcmp(key, "ro"))
        add_path(spec.ro, &spec.nro, v.p);
    else if (!strcmp(key, "hide"))
        add_path(spec.hide, &spec.nhide, v.p);
    else if (!strcmp(key, "bind"))
        add_path(spec.bind, &spec.nbind, v.p);
    else if (!strcmp(key, "dir"))
        add_path(spec.dirs, &spec.ndirs, v.p);
    else if (!strcmp(key, "cgroup"))
        add_path(spec.cgroup, &spec.ncgroup, v.p);
    else if (!strcmp(key, "file")) {
        if (spec.nfile >= MAX_PATHS)
            fail_plain("the description holds too many files");
        spec.file[spec.nfile++] = v;
    } else if (!strcmp(key, "seccomp"))
        spec.seccomp = v;
    else if (!strcmp(key, "mode"))
        spec.off = !strcmp(v.p, "off");
    else if (!strcmp(key, "execfd"))
        spec.execfd = true;
    else if (!strcmp(key, "cwd"))
        spec.cwd = v.p;
    else if (!strcmp(key, "root"))
        spec.root = v.p;
    else if (!strcmp(key, "user"))
        spec.user = v.p;
    else if (!strcmp(key, "hostname"))
        spec.hostname = v.p;
    else if (!strcmp(key, "parent"))
        spec.parent = strtol(v.p, NULL, 10);
    else if (!strcmp(key, "uid"))
        spec.uid = strtol(v.p, NULL, 10);
    else if (!strcmp(key, "gid"))
        spec.gid = strtol(v.p, NULL, 10);
    else if (!strcmp(key, "tmpsize"))
        spec.tmpsize = strtoull(v.p, NULL, 10);
    else if (!strcmp(key, "nproc"))
        spec.nproc = strtoull(v.p, NULL, 10);
    else if (!strcmp(key, "fsize"))
        spec.fsize = strtoull(v.p, NULL, 10);
    else if (!strcmp(key, "nofile"))
        spec.nofile = strtoull(v.p, NULL, 10);
    else {
        errno = 0;
        fail("the description has an unknown key '%s': slipway and slipway-init differ in version",
             key);
    }
}

static void read_spec(void)
{
    struct stat st;
    if (fstat(FD_SPEC, &st) < 0)
        fail("cannot read the sandbox's description");
    if (st.st_size == 0)
        fail_plain("the sandbox's description is empty");
    size_t n = (size_t)st.st_size;
    char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE, FD_SPEC, 0);
    if (p == MAP_FAILED)
        fail("cannot map the sandbox's description");
    close(FD_SPEC);
    for (size_t at = 0; at < n;) {
        char *key = p + at;
        char *space = memchr(key, ' ', n - at);
        if (!space)
            fail_plain("the sandbox's description is cut");
        *space = '\0';
        char *end;
        size_t len = strtoull(space + 1, &end, 10);
        if (end >= p + n || *end != '\n' || len >= (size_t)(p + n - end) - 1)
            fail_plain("the sandbox's description is cut");
        struct text value = {end + 1, len};
        value.p[len] = '\0';
        at = (size_t)(value.p + len + 1 - p);
        take(key, value);
    }
    if (!spec.nargv)
        fail_plain("the sandbox's description names no command");
}

// ---- small helpers ----------------------------------------------------------------------------

// Joins the new root and a path as seen inside; the longest are the callers' own names.
static const char *in_root(const char *path)
{
    static char at[4][4096];
    static unsigned turn;
    char *out = at[turn++ % 4];
    if ((size_t)snprintf(out, sizeof(at[0]), "%s%s", spec.root, path) >= sizeof(at[0])) {
        errno = ENAMETOOLONG;
        fail("%s", path);
    }
    return out;
}

static void make_parents(const char *path, bool itself)
{
    char at[4096];
    size_t n = strlen(path);
    if (n >= sizeof(at)) {
        errno = ENAMETOOLONG;
        fail("%s", path);
    }
    memcpy(at, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (at[i] != '/' && at[i] != '\0')
            continue;
        if (at[i] == '\0' && !itself)
            break;
        char was = at[i];
        at[i] = '\0';
        if (mkdir(at, 0755) < 0 && errno != EEXIST)
            fail("cannot make the folder %s in the sandbox", at);
        at[i] = was;
    }
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        fail("cannot make %s in the sandbox", path);
    close(fd);
}

static void write_all(int fd, const char *p, size_t n, const char *path)
{
    while (n) {
        ssize_t did = write(fd, p, n);
        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0)
            fail("cannot write %s", path);
        p += did;
        n -= (size_t)did;
    }
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        fail("cannot open %s", path);
    write_all(fd, text, strlen(text), path);
    close(fd);
}

// Sets flags on the mount at `path` and, with `below`, on all mounts under it.
static void restrict_mount(const char *path, bool below, uint64_t flags)
{
    struct mount_change change = {.set = flags};
    if (syscall(SYS_mount_setattr, -1, path, below ? AT_EVERYTHING_BELOW : 0, &change,
                sizeof(change)) == 0)
        return;
    // Kernels before 5.12: one mount only, so nothing may be mounted below (rbind was refused).
    unsigned long old = MS_REMOUNT | MS_BIND | (flags & CHANGE_RDONLY ? MS_RDONLY : 0) |
                        (flags & CHANGE_NOSUID ? MS_NOSUID : 0) |
                        (flags & CHANGE_NODEV ? MS_NODEV : 0);
    if (mount("none", path, NULL, old, NULL) < 0)
        fail("cannot restrict the mount at %s", path);
}

static void tmpfs_at(const char *path, const char *options, unsigned long flags)
{
    if (mount("tmpfs", path, "tmpfs", flags, options) < 0)
        fail("cannot mount a memory file system at %s", path);
}

static void bind_at(const char *from, const char *to, bool below)
{
    if (mount(from, to, NULL, MS_BIND | (below ? MS_REC : 0), NULL) < 0)
        fail("cannot show %s in the sandbox", from);
}

// ---- the new root -----------------------------------------------------------------------------

static void show_system(void)
{
    for (size_t i = 0; i < spec.nro; i++) {
        const char *path = spec.ro[i], *inside = in_root(path);
        struct stat st;
        if (lstat(path, &st) < 0)
            continue;
        make_parents(inside, false);
        if (S_ISLNK(st.st_mode)) {
            char to[4096];
            ssize_t n = readlink(path, to, sizeof(to) - 1);
            if (n > 0) {
                to[n] = '\0';
                if (symlink(to, inside) < 0 && errno != EEXIST)
                    fail("cannot make %s in the sandbox", path);
            }
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            if (mkdir(inside, 0755) < 0 && errno != EEXIST)
                fail("cannot make %s in the sandbox", path);
        } else
            touch(inside);
        bind_at(path, inside, true);
        restrict_mount(inside, true, CHANGE_RDONLY | CHANGE_NOSUID | CHANGE_NODEV);
    }
}

static void hide_secrets(void)
{
    if (mkdir(in_root("/.none"), 0555) < 0)
        fail("cannot make /.none in the sandbox");
    touch(in_root("/.empty"));
    for (size_t i = 0; i < spec.nhide; i++) {
        const char *inside = in_root(spec.hide[i]);
        struct stat st;
        if (lstat(inside, &st) < 0 || S_ISLNK(st.st_mode))
            continue;
        bind_at(in_root(S_ISDIR(st.st_mode) ? "/.none" : "/.empty"), inside, false);
        restrict_mount(inside, false, CHANGE_RDONLY);
    }
}

static void make_devices(void)
{
    static const char *const NODES[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const char *const LINKS[][2] = {{"/proc/self/fd", "/dev/fd"},
                                           {"/proc/self/fd/0", "/dev/stdin"},
                                           {"/proc/self/fd/1", "/dev/stdout"},
                                           {"/proc/self/fd/2", "/dev/stderr"},
                                           {"pts/ptmx", "/dev/ptmx"}};
    make_parents(in_root("/dev/pts"), true);
    make_parents(in_root("/dev/shm"), true);
    for (size_t i = 0; i < sizeof(NODES) / sizeof(NODES[0]); i++) {
        char host[32];
        snprintf(host, sizeof(host), "/dev/%s", NODES[i]);
        touch(in_root(host));
        bind_at(host, in_root(host), false);
    }
    for (size_t i = 0; i < sizeof(LINKS) / sizeof(LINKS[0]); i++)
        if (symlink(LINKS[i][0], in_root(LINKS[i][1])) < 0)
            fail("cannot make %s in the sandbox", LINKS[i][1]);
    // Some containers refuse it; then a job has no pseudo terminals, which few need.
    if (mount("devpts", in_root("/dev/pts"), "devpts", MS_NOSUID | MS_NOEXEC,
              "newinstance,ptmxmode=0666,mode=620") < 0)
        return;
}

// One memory file system stands behind every place a job may write besides its build folder, so
// that one limit covers them all.
static void make_writable_places(void)
{
    char options[200];
    snprintf(options, sizeof(options), "mode=755,size=%llu,nr_inodes=400000", spec.tmpsize);
    make_parents(in_root("/.rw"), true);
    tmpfs_at(in_root("/.rw"), options, MS_NOSUID | MS_NODEV);
    static const char *const PLACES[][2] = {
        {"/.rw/tmp", "/tmp"}, {"/.rw/shm", "/dev/shm"}, {"/.rw/vartmp", "/var/tmp"}};
    for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
        const char *from = in_root(PLACES[i][0]), *to = in_root(PLACES[i][1]);
        if (mkdir(from, 0755) < 0 || chmod(from, 01777) < 0)
            fail("cannot make %s in the sandbox", PLACES[i][1]);
        make_parents(to, true);
        bind_at(from, to, false);
    }
    for (size_t i = 0; i < spec.ndirs; i++) {
        char backing[32];
        snprintf(backing, sizeof(backing), "/.rw/d%zu", i);
        const char *from = in_root(backing), *to = in_root(spec.dirs[i]);
        if (mkdir(from, 0755) < 0)
            fail("cannot make %s in the sandbox", spec.dirs[i]);
        if (spec.privileged && chown(from, (uid_t)spec.uid, (gid_t)spec.gid) < 0)
            fail("cannot give %s to the job", spec.dirs[i]);
        make_parents(to, true);
        bind_at(from, to, false);
    }
}

static void show_build_folders(void)
{
    for (size_t i = 0; i < spec.nbind; i++) {
        char *from = spec.bind[i], *to = strchr(from, '\n');
        if (!to)
            fail_plain("a bind without a target");
        *to++ = '\0';
        const char *inside = in_root(to);
        make_parents(inside, true);
        bind_at(from, inside, false);
        restrict_mount(inside, false, CHANGE_NOSUID | CHANGE_NODEV);
    }
}

// A passwd with the job's user in it: git, ssh and shells ask for their own name and home.
static void name_user(void)
{
    struct stat st;
    if (!spec.user || lstat(in_root("/etc/passwd"), &st) < 0)
        return;
    static char text[65536];
    int n = snprintf(text, sizeof(text), "%s:x:%ld:%ld::/home/%s:/bin/sh\n", spec.user, spec.uid,
                     spec.gid, spec.user);
    size_t used = (size_t)n;
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got = read(fd, text + used, sizeof(text) - used);
        used += got > 0 ? (size_t)got : 0;
        close(fd);
    }
    const char *at = in_root("/.passwd");
    fd = open(at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        fail("cannot make /etc/passwd for the sandbox");
    write_all(fd, text, used, "/etc/passwd");
    close(fd);
    bind_at(at, in_root("/etc/passwd"), false);
    restrict_mount(in_root("/etc/passwd"), false, CHANGE_RDONLY);
}

static void build_root(void)
{
    umask(022);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        fail("cannot separate the mounts");
    tmpfs_at(spec.root, "mode=755,size=1m,nr_inodes=4096", MS_NOSUID | MS_NODEV);
    show_system();
    make_parents(in_root("/proc"), true);
    if (mount("proc", in_root("/proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        fail("cannot mount a fresh /proc (inside another container, its /proc must not be masked)");
    make_devices();
    make_writable_places();
    show_build_folders();
    name_user();
    hide_secrets();
    static const char *const SHORT[][2] = {{"/run", "/var/run"}, {"/run/lock", "/var/lock"}};
    make_parents(in_root("/run/lock"), true);
    for (size_t i = 0; i < 2; i++)
        if (symlink(SHORT[i][0], in_root(SHORT[i][1])) < 0)
            fail("cannot make %s in the sandbox", SHORT[i][1]);

    if (chdir(spec.root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        fail("cannot change the root to %s", spec.root);
    // The old root lies on top of the new one now: detaching it leaves nothing of the host.
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        fail("cannot let go of the old root");
    // What stands behind the writable places is reachable through them only.
    if (umount2("/.rw", MNT_DETACH) < 0)
        fail("cannot detach /.rw");
    restrict_mount("/", false, CHANGE_RDONLY);
}

// ---- rights -----------------------------------------------------------------------------------

static void limit(int what, unsigned long long value)
{
    struct rlimit now, want = {value, value};
    if (!value || getrlimit(what, &now) < 0)
        return;
    if (now.rlim_max != RLIM_INFINITY && want.rlim_max > now.rlim_max)
        want.rlim_cur = want.rlim_max = now.rlim_max;
    if (setrlimit(what, &want) < 0)
        fail("cannot set a resource limit");
}

static void set_limits(void)
{
    limit(RLIMIT_NOFILE, spec.nofile);
    limit(RLIMIT_FSIZE, spec.fsize);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

static void drop_rights(void)
{
    // RLIMIT_NPROC counts per user: it may only be set once the count is the job's own.
    if (spec.privileged) {
        for (int cap = 0; cap < 64; cap++)
            if (prctl(PR_CAPBSET_DROP, (long)cap, 0L, 0L, 0L) < 0 && errno != EINVAL)
                fail("cannot give up capabilities");
        if (setgroups(0, NULL) < 0 ||
            setresgid((gid_t)spec.gid, (gid_t)spec.gid, (gid_t)spec.gid) ||
            setresuid((uid_t)spec.uid, (uid_t)spec.uid, (uid_t)spec.uid))
            fail("cannot become user %ld", spec.uid);
    }
    limit(RLIMIT_NPROC, spec.nproc);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
        fail("cannot set no_new_privs");
#ifdef PR_CAP_AMBIENT
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L);
#endif
    struct cap_header header = {0x20080522, 0};
    struct cap_sets none[2] = {{0}};
    if (syscall(SYS_capset, &header, none) < 0)
        fail("cannot drop capabilities");
    syscall(SYS_keyctl, 1L, NULL); // a session keyring of its own, where the kernel has keyrings
    if (spec.seccomp.n) {
        // Aligned copy: the description packs its records.
        static uint64_t code[4096];
        if (spec.seccomp.n > sizeof(code))
            fail_plain("the syscall filter is too long");
        memcpy(code, spec.seccomp.p, spec.seccomp.n);
        struct bpf_program prog = {(unsigned short)(spec.seccomp.n / 8), code};
        if (prctl(PR_SET_SECCOMP, 2L, &prog, 0L, 0L) < 0)
            fail("cannot install the syscall filter");
    }
    // The job runs as the same user: it shall not look into or trace this process.
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    // Was reset by the change of user.
    if (prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0L, 0L, 0L) < 0)
        fail("cannot tie the sandbox to the runner");
}

static void write_files(void)
{
    umask(077);
    for (size_t i = 0; i < spec.nfile; i++) {
        struct text v = spec.file[i];
        char *path;
        unsigned long mode = strtoul(v.p, &path, 8);
        char *body = memchr(v.p, '\n', v.n);
        if (*path != ' ' || !body)
            fail_plain("a file record without mode and path");
        *body++ = '\0';
        path++;
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            fail("cannot write %s", path);
        write_all(fd, body, v.n - (size_t)(body - v.p), path);
        if (fchmod(fd, (mode_t)mode) < 0)
            fail("cannot set the mode of %s", path);
        close(fd);
    }
    umask(022);
}

// ---- the processes ----------------------------------------------------------------------------

NORETURN static void run_inside(int alive)
{
    if (prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0L, 0L, 0L) < 0)
        fail("cannot tie the sandbox to the runner");
    // The outer process may have died before that took effect: its end of the pipe tells.
    char c;
    if (read(alive, &c, 1) == 0)
        _exit(FAILED);
    close(alive);
    if (!spec.privileged) {
        char map[64];
        int n = snprintf(map, sizeof(map), "%ld %ld 1\n", spec.uid, spec.uid);
        put("/proc/self/setgroups", "deny");
        put("/proc/self/uid_map", map);
        n = snprintf(map, sizeof(map), "%ld %ld 1\n", spec.gid, spec.gid);
        (void)n;
        put("/proc/self/gid_map", map);
    }
    if (spec.hostname && sethostname(spec.hostname, strlen(spec.hostname)) < 0)
        fail("cannot set the host name");
    if (setsid() < 0)
        fail("cannot start a session");
    build_root();
    set_limits();
    drop_rights();
    write_files();
    if (chdir(spec.cwd ? spec.cwd : "/") < 0)
        fail("cannot enter %s", spec.cwd);
    prctl(PR_SET_NAME, "slipway-init", 0L, 0L, 0L);
    close(FD_ERROR); // else the job could speak in our name through /proc
    _exit(reap_run(&(struct reap){.argv = spec.argv,
                                  .envp = spec.envp,
                                  .exec_fd = spec.execfd ? FD_EXEC : -1,
                                  .everyone = true}));
}

NORETURN static void run_unsandboxed(const sigset_t *mask)
{
    setsid();
    prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0L, 0L, 0L);
    set_limits();
    write_files();
    if (spec.cwd && chdir(spec.cwd) < 0)
        fail("cannot enter %s", spec.cwd);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (spec.execfd)
        syscall(SYS_execveat, FD_EXEC, "", spec.argv, spec.envp, 0x1000);
    else
        execvpe(spec.argv[0], spec.argv, spec.envp);
    fail("cannot run %s", spec.argv[0]);
}

static pid_t start_inside(void)
{
    int alive[2];
    if (pipe2(alive, O_CLOEXEC) < 0)
        fail("cannot make a pipe");
    long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
                 (spec.privileged ? 0 : CLONE_NEWUSER) | SIGCHLD;
    errno = 0;
    pid_t pid = (pid_t)syscall(SYS_clone, flags, 0L, 0L, 0L, 0L);
    if (pid < 0)
        fail("the kernel refuses to make namespaces");
    if (pid == 0) {
        close(alive[1]);
        run_inside(alive[0]);
    }
    close(alive[0]);
    // A byte, then the pipe stays with us only: had we died before, the read would see the end.
    if (write(alive[1], "", 1) < 0)
        fail("the sandbox's first process ended early");
    close(alive[1]);
    return pid;
}

// Only without a sandbox: ends what the command left behind. Each dead parent's children come to us
// (PR_SET_CHILD_SUBREAPER), so repeating finds them all.
static void end_leftovers(void)
{
    char path[64], list[4096];
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    for (int round = 0; round < 1000; round++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, list, sizeof(list) - 1);
        if (fd >= 0)
            close(fd);
        if (n <= 0)
            return;
        list[n] = '\0';
        for (char *p = list, *end; *p; p = end) {
            long pid = strtol(p, &end, 10);
            if (end == p)
                break;
            kill((pid_t)pid, SIGKILL);
            while (*end == ' ')
                end++;
        }
        if (waitpid(-1, NULL, 0) < 0)
            return;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
    }
}

static int watch(pid_t pid, const sigset_t *set)
{
    int status = -1;
    while (status < 0) {
        siginfo_t info;
        int sig = sigwaitinfo(set, &info);
        if (sig < 0)
            continue;
        if (sig == SIGUSR2 && spec.off) {
            end_leftovers();
            return 128 + SIGKILL;
        }
        if (sig != SIGCHLD) {
            kill(spec.off ? -pid : pid, sig);
            continue;
        }
        int st;
        for (pid_t p; (p = waitpid(-1, &st, WNOHANG)) > 0;)
            if (p == pid)
                status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
    }
    if (spec.off)
        end_leftovers();
    return status;
}

int sandbox_main(void)
{
    if (fcntl(FD_ERROR, F_SETFD, FD_CLOEXEC) < 0 || fcntl(FD_SPEC, F_SETFD, FD_CLOEXEC) < 0) {
        static const char text[] = "slipway-init: --sandbox is for the runner's own use\n";
        ssize_t told = write(2, text, sizeof(text) - 1);
        (void)told;
        return FAILED;
    }
    read_spec();
    // Nothing that the runner had open may reach the job, whoever forgot to mark it.
    syscall(SYS_close_range, spec.execfd ? FD_EXEC + 1 : FD_EXEC, ~0U, 0);
    if (spec.execfd)
        fcntl(FD_EXEC, F_SETFD, FD_CLOEXEC);
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    sigemptyset(&before); // the caller's threads block what they like; the job starts clean
    prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0L, 0L, 0L);
    if (spec.parent && getppid() != spec.parent)
        return FAILED;
    spec.privileged = geteuid() == 0 && !spec.off;
    if (!spec.privileged) {
        spec.uid = (long)geteuid();
        spec.gid = (long)getegid();
    }
    for (size_t i = 0; i < spec.ncgroup; i++)
        if (access(spec.cgroup[i], F_OK) == 0) // a second wall: its absence is no failure
            put(spec.cgroup[i], "0");

    pid_t pid;
    if (spec.off) {
        prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
        pid = fork();
        if (pid < 0)
            fail("cannot start a process");
        if (pid == 0)
            run_unsandboxed(&before);
    } else {
        sigprocmask(SIG_SETMASK, &before, NULL);
        pid = start_inside();
        sigprocmask(SIG_SETMASK, &all, NULL);
    }
    close(FD_ERROR);
    return watch(pid, &all);
}
