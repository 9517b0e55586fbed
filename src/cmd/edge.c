// SPDX-License-Identifier: Apache-2.0
// `slipway edge`: reads the command line, starts the edge and waits for signals. SIGTERM or SIGINT
// drains it, a second one cuts what is left. Owns the main thread only.
#include "edge/edge.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/role.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct options {
    struct edge_config cfg;
    int64_t drain_ms;
    uint64_t workers, connections, hold_max; // 0: the default
    char *listen;                            // what cfg.listen points into
};

// What an option's value is and where it goes, as an offset into struct options.
enum kind { TEXT, LISTEN, COUNT, MILLIS };

static const struct option_row {
    const char *name, *arg;
    enum kind kind;
    size_t at;
    const char *help;
} OPTIONS[] = {
    {"listen", "ADDRESS:PORT[,...]", LISTEN, 0, "where clients come in (default: 127.0.0.1:8080)"},
    {"upstream", "WHERE", TEXT, offsetof(struct options, cfg.upstream),
     "the server behind: unix:PATH or ADDRESS:PORT"},
    {"pages", "DIR", TEXT, offsetof(struct options, cfg.pages),
     "folder of the published pages (default: none)"},
    {"pages-domain", "NAME", TEXT, offsetof(struct options, cfg.domain),
     "pages are at <namespace>.NAME (default: pages.localhost)"},
    {"admin", "PATH", TEXT, offsetof(struct options, cfg.admin),
     "unix socket for /metrics and /-/health (default: none)"},
    {"workers", "N", COUNT, offsetof(struct options, workers),
     "threads (default: one per core, at most 4)"},
    {"connections", "N", COUNT, offsetof(struct options, connections),
     "client connections at once (default: 20000)"},
    {"hold", "TIME", MILLIS, offsetof(struct options, cfg.hold_ms),
     "a request waits so long for the server to come back (default: 5s)"},
    {"hold-max", "N", COUNT, offsetof(struct options, hold_max),
     "requests per worker that may wait so (default: 1024)"},
    {"head-time", "TIME", MILLIS, offsetof(struct options, cfg.head_ms),
     "for a request's head to arrive (default: 10s)"},
    {"idle-time", "TIME", MILLIS, offsetof(struct options, cfg.idle_ms),
     "a connection may stay without a request (default: 75s)"},
    {"body-time", "TIME", MILLIS, offsetof(struct options, cfg.body_ms),
     "in which a request's body must bring 1 KiB (default: 20s)"},
    {"write-time", "TIME", MILLIS, offsetof(struct options, cfg.write_ms),
     "in which a client must take some of its answer (default: 60s)"},
    {"connect-time", "TIME", MILLIS, offsetof(struct options, cfg.connect_ms),
     "for one attempt to connect to the server (default: 2s)"},
    {"answer-time", "TIME", MILLIS, offsetof(struct options, cfg.answer_ms),
     "the server may be silent (default: 300s)"},
    {"tunnel-time", "TIME", MILLIS, offsetof(struct options, cfg.tunnel_ms),
     "a WebSocket may be silent (default: 3600s)"},
    {"drain", "TIME", MILLIS, offsetof(struct options, drain_ms),
     "for requests in flight to end after SIGTERM (default: 10s)"},
};

// The addresses are cut apart in place.
static int store_listen(struct options *o, const char *value)
{
    o->listen = str_dup(str_of(value));
    for (char *text = o->listen, *next; text; text = next) {
        next = strchr(text, ',');
        if (next)
            *next++ = '\0';
        if (o->cfg.nlisten == EDGE_LISTEN_MAX)
            return opt_bad("edge", "listen", value, "at most 8 addresses");
        o->cfg.listen[o->cfg.nlisten++] = text;
    }
    return 0;
}

static int store(struct options *o, const struct option_row *row, const char *value)
{
    void *to = (char *)o + row->at;
    switch (row->kind) {
    case TEXT:
        *(const char **)to = value;
        return 0;
    case LISTEN:
        return store_listen(o, value);
    case COUNT:
        return opt_number("edge", row->name, value, 0, 1000000, to);
    case MILLIS:
        return opt_duration("edge", row->name, value, 1, to);
    }
    return 0;
}

// 0, or what opt_parse says.
static int parse(struct options *o, int argc, char **argv)
{
    struct opt opts[ARRAY_SIZE(OPTIONS)];
    const char *values[ARRAY_SIZE(OPTIONS)] = {NULL};
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS); i++)
        opts[i] = (struct opt){OPTIONS[i].name, OPTIONS[i].arg, OPTIONS[i].help, &values[i], NULL};
    int rc = opt_parse_only(argc, argv,
                            "--upstream WHERE [OPTION...]\n\nThe front door: serves published "
                            "pages from disk and passes everything else on.\n"
                            "TIME is 500ms, 30s, 5m.",
                            opts, ARRAY_SIZE(opts));
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS) && rc == 0; i++)
        if (values[i])
            rc = store(o, &OPTIONS[i], values[i]);
    if (rc < 0)
        return rc;
    o->cfg.workers = (unsigned)o->workers;
    if (o->connections)
        o->cfg.connections_max = o->connections;
    if (o->hold_max)
        o->cfg.hold_max = o->hold_max;
    if (!o->cfg.nlisten)
        o->cfg.listen[o->cfg.nlisten++] = "127.0.0.1:8080";
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

static int serve_options(const struct options *o, struct err *e)
{
    struct edge *ed;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    raise_descriptor_limit();
    int r = edge_new(&o->cfg, &ed, e);
    if (r)
        return r;
    r = serve(ed, o, &signals, e);
    edge_free(ed);
    return r;
}

int cmd_edge(int argc, char **argv)
{
    struct options o = {.cfg = EDGE_DEFAULTS, .drain_ms = 10000};
    struct err e = ERR_INIT;
    int r = parse(&o, argc, argv);
    if (r < 0) {
        free(o.listen);
        return opt_exit(r);
    }
    o.cfg.notice = notice;
    role_start("edge");
    r = serve_options(&o, &e);
    free(o.listen);
    return r < 0 ? cmd_fail("edge", &e) : 0;
}
