// SPDX-License-Identifier: Apache-2.0
// `slipway runner`: reads the options, checks that jobs can be sandboxed, proves its token to the
// server and hands over to runner_run(). One process; the work is in src/runner.
#include "runner/runner.h"
#include "cmd/cmd.h"
#include "cmd/role.h"
#include "os/fd.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIST_MAX = 64 };

struct setup {
    struct runner_opts run;
    struct sandbox_host_opts host;
    const char *hide[LIST_MAX + 8], *show[LIST_MAX + 1];
    struct opt_list hidden, shown; // over hide and show
    const char *token_file, *registration_token, *tags, *builds;
    bool run_untagged;
    char system_id[32], machine[256];
    struct buf token;
};

// How values are checked and where they go, as offsets into struct setup.
enum kind { HEADING, TEXT, URL, TOKEN, NAME, BOOL, SANDBOX, PATHS, COUNT, SIZE, TIME };

#define AT(field) offsetof(struct setup, field)

static const struct option_row {
    const char *name, *arg;
    enum kind kind;
    size_t at;
    uint64_t least, most; // of a COUNT
    const char *help;
} OPTIONS[] = {
    {.help = "Server"},
    {"url", "URL", URL, AT(run.conf.proto.url), 0, 0,
     "where the server is, e.g. http://localhost:8080; or SLIPWAY_RUNNER_URL"},
    {"socket", "PATH", TEXT, AT(run.conf.proto.socket), 0, 0,
     "reach it through this unix socket (default: TCP)"},
    {"ca-file", "FILE", TEXT, AT(run.conf.proto.ca_file), 0, 0,
     "trust these certificates (default: the system's)"},
    {"token", "TOKEN", TOKEN, 0, 0, 0, "the runner's token, glrt-...; or SLIPWAY_RUNNER_TOKEN"},
    {"token-file", "FILE", TEXT, AT(token_file), 0, 0,
     "read the token from a file, so that it stays out of `ps`"},
    {"registration-token", "T", TEXT, AT(registration_token), 0, 0,
     "make a runner first; its token is written to --token-file"},
    {"tags", "A,B", TEXT, AT(tags), 0, 0, "with --registration-token: the new runner's tags"},
    {"run-untagged", "BOOL", BOOL, AT(run_untagged), 0, 0,
     "with --registration-token: also take jobs without tags (default: true)"},
    {"clone-url", "URL", TEXT, AT(run.conf.clone_url), 0, 0,
     "fetch repositories from there (default: where the server says)"},
    {.help = "Jobs"},
    {"name", "NAME", NAME, 0, 0, 0,
     "how the runner calls itself in logs (default: this machine's name)"},
    {"concurrent", "N", COUNT, AT(run.concurrent), 1, 500,
     "jobs at once (default: number of processors)"},
    {"builds-dir", "DIR", TEXT, AT(builds), 0, 0,
     "where build folders live (default: /var/lib/slipway/builds, or below ~/.local/state)"},
    {"sandbox", "auto|off", SANDBOX, 0, 0, 0,
     "off: run jobs without any isolation, as this user (default: auto)"},
    {"show", "PATH", PATHS, AT(shown), 0, 0,
     "show one more path of this system to jobs, read-only; may be repeated"},
    {"hide", "PATH", PATHS, AT(hidden), 0, 0, "hide a path that would be shown; may be repeated"},
    {"init", "PATH", TEXT, AT(host.init_path), 0, 0,
     "the slipway-init to use (default: beside slipway, then PATH)"},
    {"job-uid", "N", COUNT, AT(run.conf.uid_base), 1, 4000000000u,
     "as root: job slot I runs as user N + I (default: 60600)"},
    {"job-disk", "SIZE", SIZE, AT(run.conf.job_disk), 0, 0,
     "limit of a build folder (default: 20G)"},
    {"job-tmp", "SIZE", SIZE, AT(run.conf.job_tmp), 0, 0,
     "limit of /tmp, /home and /dev/shm together, in memory (default: 2G)"},
    {"job-memory", "SIZE", SIZE, AT(run.conf.job_memory), 0, 0,
     "memory limit of a job, where cgroups are writable (default: none)"},
    {"job-pids", "N", COUNT, AT(run.conf.job_pids), 8, 1000000,
     "processes and threads of a job (default: 4096)"},
    {"log-limit", "SIZE", SIZE, AT(run.conf.log_limit), 0, 0,
     "bytes of one job's log (default: 16M)"},
    {"artifact-max", "SIZE", SIZE, AT(run.conf.artifact_max), 0, 0,
     "limit of one archive (default: 4G)"},
    {.help = "Stopping"},
    {"drain", "TIME", TIME, AT(run.drain_ms), 0, 0,
     "after SIGTERM, how long running jobs may go on (default: 30s)"},
    {"kill-grace", "TIME", TIME, AT(run.conf.kill_grace_ms), 0, 0,
     "from a job's SIGTERM to its SIGKILL (default: 5s)"},
    {"max-jobs", "N", COUNT, AT(run.max_jobs), 1, 1000000000, "end after N jobs (default: never)"},
};

// The fields that a COUNT or a SIZE goes to, as they are.
_Static_assert(sizeof((struct setup){0}.run.concurrent) == 4, "COUNT");
_Static_assert(sizeof((struct setup){0}.run.conf.uid_base) == 4, "COUNT");
_Static_assert(sizeof((struct setup){0}.run.conf.job_pids) == 4, "COUNT");
_Static_assert(sizeof((struct setup){0}.run.max_jobs) == 4, "COUNT");
_Static_assert(sizeof((struct setup){0}.run.conf.log_limit) == 8, "SIZE");

// Everybody may read a command line, and the same user's processes an environment.
static void take_secret(struct buf *to, const char *value)
{
    char *p = (char *)(uintptr_t)value;
    buf_clear(to);
    buf_adds(to, value);
    memset(p, 'x', strlen(p));
}

static int bad(const struct option_row *row, const char *value, const char *want)
{
    return opt_bad("runner", row->name, value, want);
}

static int store_count(void *to, const struct option_row *row, const char *value)
{
    uint64_t n;
    int rc = opt_number("runner", row->name, value, row->least, row->most, &n);
    if (rc == 0)
        *(uint32_t *)to = (uint32_t)n;
    return rc;
}

static int store(struct setup *s, const struct option_row *row, const char *value)
{
    void *to = (char *)s + row->at;
    switch (row->kind) {
    case HEADING:
    case PATHS:
        return 0;
    case URL:
        if (strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0)
            return bad(row, value, "a URL that begins with http:// or https://");
        *(const char **)to = value;
        return 0;
    case TEXT:
        *(const char **)to = value;
        return 0;
    case TOKEN:
        take_secret(&s->token, value);
        unsetenv("SLIPWAY_TOKEN");
        return 0;
    case NAME:
        s->run.conf.name = s->run.conf.proto.name = value;
        return 0;
    case BOOL:
        *(bool *)to = strcmp(value, "false") != 0;
        return 0;
    case SANDBOX:
        s->host.off = !strcmp(value, "off");
        return s->host.off || !strcmp(value, "auto") ? 0 : bad(row, value, "auto or off");
    case COUNT:
        return store_count(to, row, value);
    case SIZE:
        return opt_size("runner", row->name, value, to);
    case TIME:
        return opt_duration("runner", row->name, value, 0, to);
    }
    return 0;
}

static int check_paths(const char *option, const struct opt_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i][0] != '/')
            return opt_bad("runner", option, list->items[i], "an absolute path");
    return 0;
}

static void set_defaults(struct setup *s)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    gethostname(s->machine, sizeof(s->machine) - 1);
    const char *token = getenv("SLIPWAY_RUNNER_TOKEN");
    buf_init(&s->token, KIB(4));
    if (token) {
        take_secret(&s->token, token);
        unsetenv("SLIPWAY_RUNNER_TOKEN");
    }
    s->hidden = (struct opt_list){s->hide, 0, LIST_MAX};
    s->shown = (struct opt_list){s->show, 0, LIST_MAX};
    s->run_untagged = true;
    s->run.concurrent = (unsigned)MAX(processors, 1);
    s->run.drain_ms = 30000;
    s->run.conf = (struct runner_conf){
        .proto = {.name = s->machine, .url = getenv("SLIPWAY_RUNNER_URL")},
        .name = s->machine,
        .uid_base = 60600,
        .job_disk = GIB(20),
        .job_tmp = GIB(2),
        .job_pids = 4096,
        .log_limit = MIB(16),
        .artifact_max = GIB(4),
        .kill_grace_ms = 5000,
    };
}

// 0, or what opt_parse says.
static int parse(struct setup *s, int argc, char **argv)
{
    struct opt opts[ARRAY_SIZE(OPTIONS)];
    const char *values[ARRAY_SIZE(OPTIONS)] = {NULL};
    set_defaults(s);
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS); i++) {
        const struct option_row *o = &OPTIONS[i];
        opts[i] = (struct opt){.name = o->name, .arg = o->arg, .help = o->help};
        if (o->kind == PATHS)
            opts[i].list = (struct opt_list *)(void *)((char *)s + o->at);
        else
            opts[i].value = &values[i];
    }
    int rc =
        opt_parse_only(argc, argv,
                       "--url URL (--token TOKEN | --token-file FILE) [OPTION...]\n\n"
                       "Runs jobs for a server that speaks GitLab's runner protocol, each in a "
                       "sandbox of its own.\nSIZE is 500K, 30M, 2G. TIME is 500ms, 30s, 5m.",
                       opts, ARRAY_SIZE(opts));
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS) && rc == 0; i++)
        if (values[i])
            rc = store(s, &OPTIONS[i], values[i]);
    if (rc == 0)
        rc = check_paths("show", &s->shown);
    if (rc == 0)
        rc = check_paths("hide", &s->hidden);
    if (rc == 0 && !s->run.conf.proto.url) {
        fputs("slipway runner: --url is missing; see slipway runner --help\n", stderr);
        rc = -1;
    }
    s->run.conf.log_limit = MAX(MIN(s->run.conf.log_limit, (size_t)GIB(1)), (size_t)1024);
    return rc;
}

static int read_token(struct setup *s, struct err *e)
{
    if (s->token.n || !s->token_file)
        return 0;
    int fd = open(s->token_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && s->registration_token
                   ? 0
                   : err_errno(e, errno, "cannot read the token from %s", s->token_file);
    char text[4000];
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    if (n < 0)
        return err_errno(e, errno, "cannot read the token from %s", s->token_file);
    buf_add(&s->token, str_trim(str_n(text, (size_t)n)));
    mem_wipe(text, sizeof(text));
    return 0;
}

static int keep_token(const struct setup *s, struct err *e)
{
    if (!s->token_file)
        return 0;
    if (file_replace(s->token_file, buf_str(&s->token), 0600, e) < 0)
        return err_wrap(e, "cannot keep the runner's token");
    return 0;
}

static int register_runner(struct setup *s, struct err *e)
{
    struct proto *api = proto_new(&s->run.conf.proto);
    struct proto_answer r = PROTO_ANSWER_INIT;
    int rc = proto_register(api, s->registration_token, s->run.conf.name, s->tags, s->run_untagged,
                            &r, e);
    if (rc == 0 && r.status != 201)
        rc = err_set(e, E_DENIED, "the server did not register this runner: it answered %ld",
                     r.status);
    json_t *o = rc == 0 ? json_loadb(r.body.p, r.body.n, 0, NULL) : NULL;
    const char *token = json_string_value(json_object_get(o, "token"));
    if (rc == 0 && !token)
        rc = err_set(e, E_IO, "the server's answer to the registration has no token");
    if (rc == 0)
        buf_adds(&s->token, token);
    json_decref(o);
    proto_answer_done(&r);
    proto_free(api);
    return rc < 0 ? rc : keep_token(s, e);
}

// A wrong token is told at once; a server that is not there yet is waited for by the poll.
static int verify(const struct setup *s, struct err *e)
{
    struct proto *api = proto_new(&s->run.conf.proto);
    struct proto_answer r = PROTO_ANSWER_INIT;
    struct err ignored = ERR_INIT;
    int rc = proto_verify(api, &r, &ignored);
    if (rc == 0 && r.status == 403)
        rc = err_set(e, E_DENIED,
                     "the server at %s does not know this runner's token: make a runner there and "
                     "give its token with --token or --token-file",
                     s->run.conf.proto.url);
    else
        rc = 0;
    proto_answer_done(&r);
    proto_free(api);
    return rc;
}

static char *default_builds(void)
{
    struct buf path = BUF_INIT(4096);
    const char *home = getenv("HOME");
    if (geteuid() == 0)
        buf_adds(&path, "/var/lib/slipway/builds");
    else
        buf_addf(&path, "%s/.local/state/slipway/builds", home ? home : ".");
    return buf_take(&path);
}

// mkdir -p; the last part is runner_prepare_builds's.
static void make_parents(const char *path)
{
    _autofree_ char *at = str_dup(str_of(path));
    for (char *p = at + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (mkdir(at, 0755) < 0 && errno != EEXIST)
            return;
        *p = '/';
    }
}

static int start(struct setup *s, char **ret_builds, struct err *e)
{
    struct runner_conf *c = &s->run.conf;
    _autofree_ char *wanted = s->builds ? str_dup(str_of(s->builds)) : default_builds();
    make_parents(wanted);
    int rc = runner_prepare_builds(wanted, s->system_id, e);
    if (rc < 0)
        return rc;
    char *builds = *ret_builds = realpath(wanted, NULL);
    if (!builds)
        return err_errno(e, errno, "cannot resolve %s", wanted);
    c->builds = builds;
    c->proto.system_id = s->system_id;
    s->hide[s->hidden.n++] = builds;
    if (s->token_file && s->token_file[0] == '/')
        s->hide[s->hidden.n++] = s->token_file;

    struct buf staging = BUF_INIT(4096), group = BUF_INIT(64);
    buf_addf(&staging, "%s/.root", builds);
    buf_addf(&group, "slipway-%s", s->system_id);
    s->host.staging = staging.p;
    s->host.cgroup_name = group.p;
    s->host.hide = s->hide;
    s->host.show = s->show;
    static struct sandbox_host host;
    rc = sandbox_host_init(&host, &s->host, e);
    buf_done(&staging);
    buf_done(&group);
    c->host = &host;
    if (rc == 0 && (rc = sandbox_check(&host, e)) < 0)
        rc = err_wrap(e, "this runner takes no jobs: --sandbox=off runs them without isolation; "
                         "else allow namespaces (kernel.unprivileged_userns_clone=1, "
                         "user.max_user_namespaces > 0) or run as root with CAP_SYS_ADMIN");
    if (rc == 0 && host.off)
        log_warn("jobs are not isolated: --sandbox=off");
    if (rc == 0 && !host.cgroups)
        log_info("jobs get no cgroup", LOGS("why", host.cgroup_note));
    if (rc == 0)
        rc = read_token(s, e);
    if (rc == 0 && !s->token.n && s->registration_token)
        rc = register_runner(s, e);
    c->proto.token = s->token.p;
    if (rc == 0 && !s->token.n)
        rc = err_set(e, E_INVALID, "no token: give --token, --token-file or --registration-token");
    if (rc == 0)
        rc = verify(s, e);
    if (rc == 0)
        role_ready();
    if (rc == 0)
        rc = runner_run(&s->run, e);
    sandbox_host_done(&host);
    return rc;
}

int cmd_runner(int argc, char **argv)
{
    static struct setup s;
    int rc = parse(&s, argc, argv);
    if (rc < 0) {
        buf_done(&s.token);
        return opt_exit(rc);
    }
    role_start("runner");
    proto_global_init();
    struct err e = ERR_INIT;
    char *builds = NULL;
    rc = start(&s, &builds, &e);
    if (rc < 0)
        log_error(e.msg);
    free(builds);
    buf_done(&s.token);
    return rc < 0 ? err_exit_status(rc) : 0;
}
