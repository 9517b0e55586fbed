// SPDX-License-Identifier: Apache-2.0
// `slipway edge`: reads the command line, starts the edge and waits for signals. SIGTERM or SIGINT
// drains it, a second one cuts what is left. Owns the main thread only.
#include "edge/edge.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/role.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct options {
    struct edge_config cfg;
    int64_t drain_ms;
};

// What an option's value is and where it goes, as an offset into struct options.
enum value { FLAG, TEXT, LISTEN, COUNT, MILLIS };

static const struct option_row {
    const char *name, *value;
    enum value type;
    size_t at;
    const char *help;
} OPTIONS[] = {
    {"listen", "ADDRESS:PORT", LISTEN, 0, "where clients come in; may be given 8 times"},
    {"upstream", "WHERE", TEXT, offsetof(struct options, cfg.upstream),
     "the server behind: unix:PATH or ADDRESS:PORT"},
    {"pages", "DIR", TEXT, offsetof(struct options, cfg.pages), "folder of the published pages"},
    {"pages-domain", "NAME", TEXT, offsetof(struct options, cfg.domain),
     "pages stand at <namespace>.NAME"},
    {"admin", "PATH", TEXT, offsetof(struct options, cfg.admin),
     "unix socket for /metrics and /-/health"},
    {"workers", "N", COUNT, offsetof(struct options, cfg.workers),
     "threads; 0: one per core, at most 4"},
    {"connections", "N", COUNT, offsetof(struct options, cfg.connections_max),
     "client connections at once"},
    {"hold", "TIME", MILLIS, offsetof(struct options, cfg.hold_ms),
     "how long a request waits for the server to come back"},
    {"hold-max", "N", COUNT, offsetof(struct options, cfg.hold_max),
     "requests per worker that may wait so"},
    {"head-time", "TIME", MILLIS, offsetof(struct options, cfg.head_ms),
     "for a request's head to arrive"},
    {"idle-time", "TIME", MILLIS, offsetof(struct options, cfg.idle_ms),
     "a connection may stay without a request"},
    {"body-time", "TIME", MILLIS, offsetof(struct options, cfg.body_ms),
     "in which a request's body must bring 1 KiB"},
    {"write-time", "TIME", MILLIS, offsetof(struct options, cfg.write_ms),
     "in which a client must take some of its answer"},
    {"connect-time", "TIME", MILLIS, offsetof(struct options, cfg.connect_ms),
     "for one attempt to connect to the server"},
    {"answer-time", "TIME", MILLIS, offsetof(struct options, cfg.answer_ms),
     "the server may be silent"},
    {"tunnel-time", "TIME", MILLIS, offsetof(struct options, cfg.tunnel_ms),
     "a WebSocket may be silent"},
    {"drain", "TIME", MILLIS, offsetof(struct options, drain_ms),
     "for requests in flight to end after SIGTERM"},
};

static void help(void)
{
    printf("usage: slipway edge --listen ADDRESS:PORT --upstream WHERE [OPTION...]\n\n"
           "The front door: serves published pages from disk, passes everything else on.\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS); i++) {
        const struct option_row *o = &OPTIONS[i];
        char left[40];
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        printf("  %-24s %s\n", left, o->help);
    }
    printf("\nTIME is 500ms, 30s, 5m. `docs/commands/edge.md` tells the defaults.\n");
}

static int bad(const char *name, const char *why)
{
    fprintf(stderr, "slipway edge: --%s %s; `slipway edge --help` tells more\n", name, why);
    return 2;
}

static int store(struct options *o, const struct option_row *row, char *value)
{
    char *to = (char *)o + row->at;
    uint64_t n;
    int64_t ms;
    switch (row->type) {
    case FLAG:
        *(bool *)to = true;
        return 0;
    case TEXT:
        *(const char **)(void *)to = value;
        return 0;
    case LISTEN:
        if (o->cfg.nlisten == EDGE_LISTEN_MAX)
            return bad(row->name, "may be given 8 times");
        o->cfg.listen[o->cfg.nlisten++] = value;
        return 0;
    case COUNT:
        if (!str_to_u64(str_of(value), &n) || n > 1000000)
            return bad(row->name, "needs a whole number up to 1000000");
        if (row->at == offsetof(struct options, cfg.workers))
            o->cfg.workers = (unsigned)n;
        else
            *(uint64_t *)(void *)to = n;
        return 0;
    case MILLIS:
        if (!clock_parse_duration(str_of(value), &ms) || ms <= 0)
            return bad(row->name, "needs a time such as 500ms or 30s");
        *(int64_t *)(void *)to = ms;
        return 0;
    }
    return 0;
}

// 0: go on; otherwise the exit status + 1.
static int parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            help();
            return 1;
        }
        struct str value = str_of(argv[i]), name = STR_NONE;
        bool joined = str_find(value, '=') > 0;
        (void)str_cut(&value, '=', &name);
        const struct option_row *row = NULL;
        for (size_t k = 0; k < ARRAY_SIZE(OPTIONS); k++)
            if (str_starts(name, STR("--")) && str_is(str_from(name, 2), OPTIONS[k].name))
                row = &OPTIONS[k];
        if (!row) {
            fprintf(stderr,
                    "slipway edge: there is no option '%s'; `slipway edge --help` lists them\n",
                    argv[i]);
            return 3;
        }
        char *given = NULL;
        if (row->type != FLAG)
            given = joined ? argv[i] + name.n + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (row->type != FLAG && !given)
            return 1 + bad(row->name, "needs a value");
        int r = store(o, row, given);
        if (r)
            return 1 + r;
    }
    return 0;
}

static void notice(void *ctx, bool is_bad, const char *what, const char *detail)
{
    (void)ctx;
    if (is_bad)
        log_warn(what, LOGS("why", detail));
    else
        log_info(what);
}

// Every connection is a descriptor or two: take what the system allows.
static void raise_descriptor_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

static void *stop_thread(void *arg)
{
    const struct {
        struct edge *ed;
        int64_t drain_ms;
    } *a = arg;
    edge_stop(a->ed, a->drain_ms);
    kill(getpid(), SIGUSR2); // wakes the waiting main thread
    return NULL;
}

static int serve(struct edge *ed, const struct options *o, const sigset_t *signals, struct err *e)
{
    int r = edge_start(ed, e);
    if (r)
        return r;
    for (size_t i = 0; i < o->cfg.nlisten; i++)
        log_info("listening", LOGS("address", o->cfg.listen[i]), LOGI("port", edge_port(ed, i)));
    role_ready();
    int sig;
    do {
        sig = sigwaitinfo(signals, NULL);
    } while (sig < 0 || sig == SIGUSR2 || sig == SIGHUP);
    log_info("draining", LOGI("ms", o->drain_ms));
    struct {
        struct edge *ed;
        int64_t drain_ms;
    } arg = {ed, o->drain_ms};
    pthread_t t;
    int error = pthread_create(&t, NULL, stop_thread, &arg);
    if (error) {
        edge_stop(ed, o->drain_ms);
        return 0;
    }
    for (bool cut = false;;) {
        sig = sigwaitinfo(signals, NULL);
        if (sig == SIGUSR2)
            break;
        if ((sig == SIGTERM || sig == SIGINT) && !cut) {
            cut = true;
            edge_cut(ed);
        }
    }
    pthread_join(t, NULL);
    log_info("stopped");
    return 0;
}

int cmd_edge(int argc, char **argv)
{
    struct options o = {.cfg = EDGE_DEFAULTS, .drain_ms = 10000};
    struct err e = ERR_INIT;
    struct edge *ed;
    int r = parse(&o, argc, argv);
    if (r)
        return r - 1;
    if (!o.cfg.nlisten)
        o.cfg.listen[o.cfg.nlisten++] = "127.0.0.1:8080";
    o.cfg.notice = notice;
    role_start("edge");
    raise_descriptor_limit();
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    r = edge_new(&o.cfg, &ed, &e);
    if (!r) {
        r = serve(ed, &o, &signals, &e);
        edge_free(ed);
    }
    if (r) {
        fprintf(stderr, "slipway edge: %s\n", e.msg);
        return err_exit_status(e.code);
    }
    return 0;
}
