// SPDX-License-Identifier: Apache-2.0
// `slipway runner`: reads the options, checks that jobs can be sandboxed, proves its token to the
// server and hands over to runner_run(). One process; the work is in src/runner.
#include "runner/runner.h"
#include "cmd/cmd.h"
#include "cmd/role.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: slipway runner --url URL (--token TOKEN | --token-file FILE) [OPTION...]\n"
    "\n"
    "Runs jobs for a server that speaks GitLab's runner protocol, each in a sandbox of its own.\n"
    "\n"
    "Server\n"
    "  --url URL              where the server is, e.g. http://localhost:8080\n"
    "  --socket PATH          reach it through this unix socket\n"
    "  --ca-file FILE         trust these certificates instead of the system's\n"
    "  --token TOKEN          the runner's token (glrt-...); or SLIPWAY_RUNNER_TOKEN\n"
    "  --token-file FILE      read the token from a file (the runner's token stays out of `ps`)\n"
    "  --registration-token T make a runner first; its token is written to --token-file\n"
    "  --tags A,B             with --registration-token: the new runner's tags\n"
    "  --run-untagged=BOOL    with --registration-token: also take jobs without tags (true)\n"
    "  --clone-url URL        fetch repositories from there instead of where the server says\n"
    "\n"
    "Jobs\n"
    "  --name NAME            how the runner calls itself in logs (this machine's name)\n"
    "  --concurrent N         jobs at once (number of processors)\n"
    "  --builds-dir DIR       where build folders live (/var/lib/slipway/builds, or\n"
    "                         ~/.local/state/slipway/builds without root)\n"
    "  --sandbox=auto|off     off: run jobs without any isolation, as this user\n"
    "  --show PATH            show one more path of this system to jobs, read-only\n"
    "  --hide PATH            hide a path that would be shown\n"
    "  --init PATH            the slipway-init to use\n"
    "  --job-uid N            as root: job slot I runs as user N + I (60600)\n"
    "  --job-disk SIZE        limit of a build folder (20G)\n"
    "  --job-tmp SIZE         limit of /tmp, /home and /dev/shm together, in memory (2G)\n"
    "  --job-memory SIZE      memory limit of a job, where cgroups are writable (none)\n"
    "  --job-pids N           processes and threads of a job (4096)\n"
    "  --log-limit SIZE       bytes of one job's log (16M)\n"
    "  --artifact-max SIZE    limit of one archive (4G)\n"
    "\n"
    "Stopping\n"
    "  --drain DURATION       after SIGTERM, how long running jobs may go on (30s)\n"
    "  --kill-grace DURATION  from a job's SIGTERM to its SIGKILL (5s)\n"
    "  --max-jobs N           end after N jobs\n"
    "\n"
    "Other\n"
    "  --log-format=text|json form of the runner's own log (SLIPWAY_LOG_FORMAT)\n"
    "  --verbose              log more\n"
    "  --help                 this text\n";

enum option_id {
    O_URL = 256,
    O_SOCKET,
    O_CA,
    O_TOKEN,
    O_TOKEN_FILE,
    O_REGISTER,
    O_TAGS,
    O_UNTAGGED,
    O_CLONE_URL,
    O_NAME,
    O_CONCURRENT,
    O_BUILDS,
    O_SANDBOX,
    O_SHOW,
    O_HIDE,
    O_INIT,
    O_UID,
    O_DISK,
    O_TMP,
    O_MEMORY,
    O_PIDS,
    O_LOG_LIMIT,
    O_ARTIFACT,
    O_DRAIN,
    O_GRACE,
    O_MAX_JOBS,
    O_LOG_FORMAT,
    O_VERBOSE,
    O_HELP,
};

static const struct option OPTIONS[] = {
    {"url", required_argument, NULL, O_URL},
    {"socket", required_argument, NULL, O_SOCKET},
    {"ca-file", required_argument, NULL, O_CA},
    {"token", required_argument, NULL, O_TOKEN},
    {"token-file", required_argument, NULL, O_TOKEN_FILE},
    {"registration-token", required_argument, NULL, O_REGISTER},
    {"tags", required_argument, NULL, O_TAGS},
    {"run-untagged", required_argument, NULL, O_UNTAGGED},
    {"clone-url", required_argument, NULL, O_CLONE_URL},
    {"name", required_argument, NULL, O_NAME},
    {"concurrent", required_argument, NULL, O_CONCURRENT},
    {"builds-dir", required_argument, NULL, O_BUILDS},
    {"sandbox", required_argument, NULL, O_SANDBOX},
    {"show", required_argument, NULL, O_SHOW},
    {"hide", required_argument, NULL, O_HIDE},
    {"init", required_argument, NULL, O_INIT},
    {"job-uid", required_argument, NULL, O_UID},
    {"job-disk", required_argument, NULL, O_DISK},
    {"job-tmp", required_argument, NULL, O_TMP},
    {"job-memory", required_argument, NULL, O_MEMORY},
    {"job-pids", required_argument, NULL, O_PIDS},
    {"log-limit", required_argument, NULL, O_LOG_LIMIT},
    {"artifact-max", required_argument, NULL, O_ARTIFACT},
    {"drain", required_argument, NULL, O_DRAIN},
    {"kill-grace", required_argument, NULL, O_GRACE},
    {"max-jobs", required_argument, NULL, O_MAX_JOBS},
    {"log-format", required_argument, NULL, O_LOG_FORMAT},
    {"verbose", no_argument, NULL, O_VERBOSE},
    {"help", no_argument, NULL, O_HELP},
    {NULL, 0, NULL, 0},
};

enum { LIST_MAX = 64 };

struct setup {
    struct runner_opts run;
    struct sandbox_host_opts host;
    const char *hide[LIST_MAX + 8], *show[LIST_MAX + 1];
    size_t nhide, nshow;
    const char *token_file, *registration_token, *tags, *builds;
    bool run_untagged, json, verbose, help;
    char system_id[32], machine[256];
    struct buf token;
};

static int bad(const char *option, const char *value, const char *want)
{
    fprintf(stderr, "slipway runner: --%s '%s' is not valid: %s\n", option, value, want);
    return 2;
}

static int take_size(const char *name, const char *v, uint64_t *ret)
{
    struct str s = str_of(v);
    unsigned shift = 0;
    switch (s.n ? s.p[s.n - 1] : 0) {
    case 'K':
    case 'k':
        shift = 10;
        break;
    case 'M':
    case 'm':
        shift = 20;
        break;
    case 'G':
    case 'g':
        shift = 30;
        break;
    case 'T':
        shift = 40;
    }
    uint64_t n;
    if (!str_to_u64(shift ? str_head(s, s.n - 1) : s, &n) || n > (UINT64_MAX >> 1) >> shift)
        return bad(name, v, "a size is bytes, or a number with K, M, G or T");
    *ret = n << shift;
    return 0;
}

static int take_number(const char *name, const char *v, uint64_t least, uint64_t most,
                       uint64_t *ret)
{
    char want[80];
    snprintf(want, sizeof(want), "a number from %llu to %llu", (unsigned long long)least,
             (unsigned long long)most);
    if (!str_to_u64(str_of(v), ret) || *ret < least || *ret > most)
        return bad(name, v, want);
    return 0;
}

static int take_duration(const char *name, const char *v, int64_t *ret)
{
    return clock_parse_duration(str_of(v), ret) ? 0 : bad(name, v, "a duration, e.g. 90s or 5m");
}

static int take_path(const char *name, const char *v, const char **list, size_t *n)
{
    if (v[0] != '/' || *n >= LIST_MAX)
        return bad(name, v, "an absolute path, 64 at most");
    list[(*n)++] = v;
    return 0;
}

static int take_option(struct setup *s, int id, const char *name, char *v)
{
    struct runner_conf *c = &s->run.conf;
    uint64_t n = 0;
    int rc = 0;
    switch ((enum option_id)id) {
    case O_URL:
        c->proto.url = v;
        if (strncmp(v, "http://", 7) != 0 && strncmp(v, "https://", 8) != 0)
            return bad(name, v, "it begins with http:// or https://");
        return 0;
    case O_SOCKET:
        c->proto.socket = v;
        return 0;
    case O_CA:
        c->proto.ca_file = v;
        return 0;
    case O_TOKEN:
        buf_clear(&s->token);
        buf_adds(&s->token, v);
        memset(v, 'x', strlen(v)); // everybody may read a command line
        return 0;
    case O_TOKEN_FILE:
        s->token_file = v;
        return 0;
    case O_REGISTER:
        s->registration_token = v;
        return 0;
    case O_TAGS:
        s->tags = v;
        return 0;
    case O_UNTAGGED:
        s->run_untagged = strcmp(v, "false") != 0;
        return 0;
    case O_CLONE_URL:
        c->clone_url = v;
        return 0;
    case O_NAME:
        c->name = c->proto.name = v;
        return 0;
    case O_CONCURRENT:
        rc = take_number(name, v, 1, 500, &n);
        s->run.concurrent = (unsigned)n;
        return rc;
    case O_BUILDS:
        s->builds = v;
        return 0;
    case O_SANDBOX:
        s->host.off = !strcmp(v, "off");
        return s->host.off || !strcmp(v, "auto") ? 0 : bad(name, v, "auto or off");
    case O_SHOW:
        return take_path(name, v, s->show, &s->nshow);
    case O_HIDE:
        return take_path(name, v, s->hide, &s->nhide);
    case O_INIT:
        s->host.init_path = v;
        return 0;
    case O_UID:
        rc = take_number(name, v, 1, 4000000000u, &n);
        c->uid_base = (uid_t)n;
        return rc;
    case O_DISK:
        return take_size(name, v, &c->job_disk);
    case O_TMP:
        return take_size(name, v, &c->job_tmp);
    case O_MEMORY:
        return take_size(name, v, &c->job_memory);
    case O_PIDS:
        rc = take_number(name, v, 8, 1000000, &n);
        c->job_pids = (unsigned)n;
        return rc;
    case O_LOG_LIMIT:
        rc = take_size(name, v, &n);
        c->log_limit = (size_t)MAX(MIN(n, (uint64_t)GIB(1)), 1024u);
        return rc;
    case O_ARTIFACT:
        return take_size(name, v, &c->artifact_max);
    case O_DRAIN:
        return take_duration(name, v, &s->run.drain_ms);
    case O_GRACE:
        return take_duration(name, v, &c->kill_grace_ms);
    case O_MAX_JOBS:
        rc = take_number(name, v, 1, 1000000000, &n);
        s->run.max_jobs = (int)n;
        return rc;
    case O_LOG_FORMAT:
        s->json = !strcmp(v, "json");
        return s->json || !strcmp(v, "text") ? 0 : bad(name, v, "text or json");
    case O_VERBOSE:
        s->verbose = true;
        return 0;
    case O_HELP:
        s->help = true;
        return 0;
    }
    return 2;
}

static void set_defaults(struct setup *s)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    gethostname(s->machine, sizeof(s->machine) - 1);
    const char *token = getenv("SLIPWAY_RUNNER_TOKEN");
    buf_init(&s->token, KIB(4));
    if (token) {
        buf_adds(&s->token, token);
        unsetenv("SLIPWAY_RUNNER_TOKEN");
    }
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

static int parse(struct setup *s, int argc, char **argv)
{
    int at = 0, id;
    set_defaults(s);
    opterr = 0;
    optind = 1;
    while ((id = getopt_long(argc, argv, "+", OPTIONS, &at)) != -1) {
        if (id == '?' || id == ':') {
            fprintf(stderr, "slipway runner: '%s' is unknown or lacks its value; see --help\n",
                    argv[optind - 1]);
            return 2;
        }
        int rc = take_option(s, id, OPTIONS[at].name, optarg);
        if (rc)
            return rc;
    }
    if (optind < argc) {
        fprintf(stderr, "slipway runner: '%s' is not an option; see --help\n", argv[optind]);
        return 2;
    }
    return 0;
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
    int fd = open(s->token_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, s->token.p, s->token.n) != (ssize_t)s->token.n || fsync(fd) < 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return err_errno(e, why, "cannot keep the runner's token in %s", s->token_file);
    }
    close(fd);
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
    s->hide[s->nhide++] = builds;
    if (s->token_file && s->token_file[0] == '/')
        s->hide[s->nhide++] = s->token_file;

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
    if (rc)
        return rc;
    if (s.help) {
        fputs(USAGE, stdout);
        return 0;
    }
    if (!s.run.conf.proto.url) {
        fputs("slipway runner: --url is missing; see --help\n", stderr);
        return 2;
    }
    role_start("runner");
    if (s.verbose || s.json)
        log_init("runner", s.verbose ? LOG_DEBUG : LOG_INFO, s.json);
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
