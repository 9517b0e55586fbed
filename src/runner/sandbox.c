// SPDX-License-Identifier: Apache-2.0
// The runner's side of a sandbox: what a job may see of this machine, written down as the records
// that slipway-init reads, and one posix_spawn. Nothing here forks, so any job's thread may use it.
#include "runner/sandbox.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const SHOWN[] = {"/usr",   "/bin",   "/sbin",         "/lib",
                                    "/lib32", "/lib64", "/libx32",       "/etc",
                                    "/opt",   "/nix",   "/var/lib/dpkg", "/sys/devices/system/cpu"};

// Read-only does not mean harmless: these hold what opens other doors. As root's files most are
// unreadable to the job's user anyway.
static const char *const HIDDEN[] = {
    "/etc/shadow",           "/etc/shadow-",       "/etc/gshadow",     "/etc/gshadow-",
    "/etc/ssl/private",      "/etc/ssh",           "/etc/sudoers",     "/etc/sudoers.d",
    "/etc/slipway",          "/etc/gitlab-runner", "/etc/kubernetes",  "/etc/rancher",
    "/etc/docker",           "/etc/machine-id",    "/etc/krb5.keytab", "/etc/letsencrypt",
    "/etc/NetworkManager",   "/etc/wireguard",     "/etc/openvpn",     "/etc/ppp",
    "/etc/security/opasswd", "/etc/.git"};

static char *beside_self(const char *name)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return NULL;
    self[n] = '\0';
    struct str dir = str_head(str_n(self, (size_t)n), (size_t)MAX(str_rfind(str_of(self), '/'), 0));
    // The later forms are the build folder's.
    static const char *const FORMS[] = {"", "../init/", "src/init/"};
    for (size_t i = 0; i < ARRAY_SIZE(FORMS); i++) {
        struct buf path = BUF_INIT(4096);
        buf_addf(&path, "%" PRISTR "/%s%s", STRARG(dir), FORMS[i], name);
        if (access(path.p, X_OK) == 0)
            return buf_take(&path);
        buf_done(&path);
    }
    return NULL;
}

static char *in_path(const char *name)
{
    const char *path = getenv("PATH");
    for (struct str rest = str_of(path ? path : ""), dir; str_cut(&rest, ':', &dir);) {
        struct buf at = BUF_INIT(4096);
        buf_addf(&at, "%" PRISTR "/%s", STRARG(dir), name);
        if (dir.n && access(at.p, X_OK) == 0)
            return buf_take(&at);
        buf_done(&at);
    }
    return NULL;
}

static const char **join_lists(const char *const *a, size_t na, const char *const *more)
{
    size_t n = 0;
    while (more && more[n])
        n++;
    const char **list = NEW_ARRAY(const char *, na + n + 1);
    for (size_t i = 0; i < na; i++)
        list[i] = a[i];
    for (size_t i = 0; i < n; i++)
        list[na + i] = more[i];
    return list;
}

int sandbox_host_init(struct sandbox_host *h, const struct sandbox_host_opts *o, struct err *e)
{
    *h = (struct sandbox_host){.off = o->off,
                               .privileged = geteuid() == 0 && !o->off,
                               .self_fd = -1,
                               .seccomp = BUF_INIT(KIB(32))};
    h->init_path = o->init_path ? str_dup(str_of(o->init_path)) : beside_self("slipway-init");
    if (!h->init_path)
        h->init_path = in_path("slipway-init");
    if (!h->init_path)
        return err_set(e, E_NOTFOUND,
                       "slipway-init is neither beside this program nor in PATH; jobs need it: "
                       "install it or name it with --init");
    h->self_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (h->self_fd < 0)
        return err_errno(e, errno, "cannot open this program (is /proc mounted?)");
    h->staging = str_dup(str_of(o->staging));
    h->shown = join_lists(SHOWN, ARRAY_SIZE(SHOWN), o->show);
    h->hidden = join_lists(HIDDEN, ARRAY_SIZE(HIDDEN), o->hide);
    // A resolver's file is often a link to where /etc does not reach.
    char *resolv = realpath("/etc/resolv.conf", NULL);
    if (resolv && !str_starts(str_of(resolv), STR("/etc/")))
        h->resolv = resolv;
    else
        free(resolv);
    h->cgroups = cgroups_open(o->cgroup_name, h->cgroup_note, sizeof(h->cgroup_note));
    return seccomp_build(&h->seccomp, e);
}

void sandbox_host_done(struct sandbox_host *h)
{
    if (h->self_fd >= 0)
        close(h->self_fd);
    free(h->init_path);
    free(h->staging);
    free(h->resolv);
    free(h->shown);
    free(h->hidden);
    buf_done(&h->seccomp);
    cgroups_close(h->cgroups);
}

static void record(struct buf *to, const char *key, struct str v)
{
    buf_addf(to, "%s %zu\n", key, v.n);
    buf_add(to, v);
    buf_addc(to, '\n');
}

static void record_s(struct buf *to, const char *key, const char *v)
{
    record(to, key, str_of(v));
}

static void record_u(struct buf *to, const char *key, uint64_t v)
{
    char num[32];
    snprintf(num, sizeof(num), "%llu", (unsigned long long)v);
    record_s(to, key, num);
}

static void describe(const struct sandbox_host *h, const struct sandbox_opts *o, struct buf *to)
{
    record_s(to, "mode", h->off ? "off" : "sandbox");
    record_u(to, "parent", (uint64_t)getpid());
    for (size_t i = 0; o->argv[i]; i++)
        record_s(to, "arg", o->argv[i]);
    for (size_t i = 0; o->envp[i]; i++)
        record_s(to, "env", o->envp[i]);
    if (o->self)
        record_s(to, "execfd", "1");
    if (o->cwd)
        record_s(to, "cwd", o->cwd);
    record_u(to, "nproc", o->nproc);
    record_u(to, "nofile", o->nofile);
    record_u(to, "fsize", o->file_bytes);
    char entry[4300];
    for (size_t i = 0; o->cgroup && cgroups_entry(h->cgroups, o->cgroup, i, entry, sizeof(entry));
         i++)
        record_s(to, "cgroup", entry);
    for (size_t i = 0; i < o->nfiles; i++) {
        const struct sandbox_file *f = &o->files[i];
        struct buf v = BUF_INIT(MIB(16));
        buf_addf(&v, "%o %" PRISTR "\n", f->mode, STRARG(f->path));
        buf_add(&v, f->bytes);
        record(to, "file", buf_str(&v));
        buf_done(&v);
    }
    if (h->off)
        return;
    record_s(to, "root", h->staging);
    record_u(to, "uid", o->uid);
    record_u(to, "gid", o->uid);
    record_s(to, "user", "job");
    record_s(to, "hostname", o->hostname ? o->hostname : "slipway");
    record_u(to, "tmpsize", o->tmp_bytes);
    record(to, "seccomp", buf_str(&h->seccomp));
    for (size_t i = 0; h->shown[i]; i++)
        record_s(to, "ro", h->shown[i]);
    if (h->resolv)
        record_s(to, "ro", h->resolv);
    for (size_t i = 0; h->hidden[i]; i++)
        record_s(to, "hide", h->hidden[i]);
    for (size_t i = 0; i < o->nbinds; i++) {
        struct buf v = BUF_INIT(KIB(16));
        buf_addf(&v, "%s\n%s", o->binds[i].from, o->binds[i].to);
        record(to, "bind", buf_str(&v));
        buf_done(&v);
    }
    for (size_t i = 0; o->dirs && o->dirs[i]; i++)
        record_s(to, "dir", o->dirs[i]);
}

static int write_spec(const struct buf *spec, struct err *e)
{
    int fd = memfd_create("sandbox", MFD_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "cannot describe the sandbox");
    for (size_t at = 0; at < spec->n;) {
        ssize_t did = write(fd, spec->p + at, spec->n - at);
        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0) {
            int why = errno;
            close(fd);
            return err_errno(e, why, "cannot describe the sandbox");
        }
        at += (size_t)did;
    }
    return fd;
}

struct fds {
    int in, spec, out[2], err[2], command_out, self;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

// dup2 onto 0..5 must not hit a descriptor that a later dup2 still needs: all sources are copies
// far above.
static int high_copy(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 16);
}

static int lift(int fd)
{
    int high = high_copy(fd);
    close(fd);
    return high;
}

static int open_fds(const struct sandbox_host *h, const struct sandbox_opts *o, struct fds *f,
                    struct err *e)
{
    if (pipe2(f->out, O_CLOEXEC) < 0 || pipe2(f->err, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot make pipes for a job");
    int null = o->in_fd >= 0 ? high_copy(o->in_fd) : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        return err_errno(e, errno, "cannot open /dev/null");
    f->in = lift(null);
    f->out[1] = lift(f->out[1]);
    f->err[1] = lift(f->err[1]);
    f->command_out = high_copy(o->out_fd >= 0 ? o->out_fd : f->out[1]);
    f->self = high_copy(h->self_fd);
    if (f->in < 0 || f->out[1] < 0 || f->err[1] < 0 || f->command_out < 0 || f->self < 0)
        return err_errno(e, errno, "cannot keep descriptors for a job");
    return 0;
}

static int spawn(const struct sandbox_host *h, const struct sandbox_opts *o, const struct fds *f,
                 pid_t *ret, struct err *e)
{
    static char *const argv[] = {(char *)"slipway-init", (char *)"--sandbox", NULL};
    static char *const envp[] = {
        (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&acts);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setpgroup(&attr, 0); // a terminal's Ctrl-C is for the runner alone
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                        POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_adddup2(&acts, f->in, 0);
    posix_spawn_file_actions_adddup2(&acts, f->command_out, 1);
    posix_spawn_file_actions_adddup2(&acts, f->out[1], 2);
    posix_spawn_file_actions_adddup2(&acts, f->spec, 3);
    posix_spawn_file_actions_adddup2(&acts, f->err[1], 4);
    if (o->self)
        posix_spawn_file_actions_adddup2(&acts, f->self, 5);
    int rc = posix_spawn(ret, h->init_path, &acts, &attr, argv, envp);
    posix_spawn_file_actions_destroy(&acts);
    posix_spawnattr_destroy(&attr);
    return rc ? err_errno(e, rc, "cannot run %s", h->init_path) : 0;
}

int sandbox_start(const struct sandbox_host *h, const struct sandbox_opts *o, struct sandbox *ret,
                  struct err *e)
{
    struct fds f = {-1, -1, {-1, -1}, {-1, -1}, -1, -1};
    struct buf spec = BUF_INIT(MIB(32));
    describe(h, o, &spec);
    int rc = buf_ok(&spec) ? write_spec(&spec, e)
                           : err_set(e, E_LIMIT,
                                     "the job's variables and script are larger than "
                                     "32 MiB together");
    mem_wipe(spec.p, spec.n);
    buf_done(&spec);
    pid_t pid = 0;
    if (rc >= 0) {
        f.spec = lift(rc);
        rc = open_fds(h, o, &f, e);
    }
    if (rc == 0)
        rc = spawn(h, o, &f, &pid, e);
    close_fd(&f.in);
    close_fd(&f.spec);
    close_fd(&f.out[1]);
    close_fd(&f.err[1]);
    close_fd(&f.command_out);
    close_fd(&f.self);
    if (rc < 0) {
        close_fd(&f.out[0]);
        close_fd(&f.err[0]);
        return rc;
    }
    fcntl(f.out[0], F_SETFL, O_NONBLOCK);
    *ret = (struct sandbox){pid, f.out[0], f.err[0], h->off};
    return 0;
}

void sandbox_signal(struct sandbox *s, bool kill_all)
{
    // Without namespaces a plain kill would leave the command's children behind.
    if (s->pid > 0)
        kill(s->pid, !kill_all ? SIGTERM : s->off ? SIGUSR2 : SIGKILL);
}

static int read_failure(struct sandbox *s, struct err *e)
{
    char text[600];
    ssize_t n = read(s->err_fd, text, sizeof(text));
    if (n <= 0)
        return 0;
    return err_set(e, E_IO, "%" PRISTR, STRARG(str_n(text, (size_t)n)));
}

static bool take_status(struct sandbox *s, int flags, int *ret_status, struct err *e)
{
    int st;
    pid_t got;
    do
        got = waitpid(s->pid, &st, flags);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return false;
    s->pid = 0;
    *ret_status = got < 0 ? 125 : WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
    if (read_failure(s, e) < 0)
        *ret_status = -1;
    return true;
}

bool sandbox_ended(struct sandbox *s, int *ret_status, struct err *e)
{
    return take_status(s, WNOHANG, ret_status, e);
}

int sandbox_wait(struct sandbox *s, int *ret_status, struct err *e)
{
    if (s->pid > 0)
        take_status(s, 0, ret_status, e);
    sandbox_close(s);
    return *ret_status < 0 ? E_IO : 0;
}

void sandbox_close(struct sandbox *s)
{
    close_fd(&s->out_fd);
    close_fd(&s->err_fd);
}

int sandbox_check(const struct sandbox_host *h, struct err *e)
{
    if (h->off)
        return 0;
    static const char *const argv[] = {"true", NULL}, *const envp[] = {NULL};
    struct sandbox_opts o = {.argv = argv,
                             .envp = envp,
                             .uid = h->privileged ? 65534 : geteuid(),
                             .tmp_bytes = MIB(16),
                             .in_fd = -1,
                             .out_fd = -1};
    struct sandbox s;
    int status = -1, rc = sandbox_start(h, &o, &s, e);
    if (rc == 0)
        rc = sandbox_wait(&s, &status, e);
    if (rc == 0 && status != 0)
        rc = err_set(e, E_IO, "a trial command ended with status %d", status);
    if (rc == 0)
        return 0;
    return err_wrap(e, "jobs cannot be sandboxed here");
}
