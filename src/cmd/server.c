// SPDX-License-Identifier: Apache-2.0
// `slipway server`: the role that holds the store and answers API, UI and Git. Only wiring: opens
// the parts, hands each request to its face, runs the housekeeping, stops in order.
#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "ci/engine.h"
#include "cmd/cmd.h"
#include "cmd/role.h"
#include "forge/account.h"
#include "forge/auth.h"
#include "forge/upkeep.h"
#include "git/repo.h"
#include "githttp/githttp.h"
#include "net/http_server.h"
#include "os/fd.h"
#include "store/jobs.h"
#include "store/runners.h"
#include "web/web.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define DRAIN_MS          10000
#define RECONCILE_WAIT_MS 5000
#define SWEEP_MOST_MS     10000
#define PUSHES_AT_ONCE    1000
#define SWEEP_LEAST_MS    200

struct server {
    const char *state, *socket, *external_url, *pages_domain;
    char pages_url[300];
    struct store *store;
    struct forge forge;
    struct ci_engine *engine;
    struct githttp *git;
    struct api *api;
    struct web *web;
    struct http_server *http;
    int64_t started_at;

    pthread_t sweeper;
    pthread_mutex_t sweep_lock;
    pthread_cond_t sweep_now;
    bool sweeping, stop; // under sweep_lock
};

// ---- requests ----

static int handle(struct http_call *c, void *ctx)
{
    struct server *s = ctx;
    struct str path = http_path(c);
    if (api_matches(path))
        return api_handle(c, s->api);
    if (githttp_matches(path))
        return githttp_handle(c, s->git);
    return web_handle(c, s->web);
}

static void access_log(void *ctx, const struct http_access *a)
{
    (void)ctx;
    enum log_level level = a->status >= 500 ? LOG_WARN : LOG_DEBUG;
    log_at(level, "request", LOGS("id", a->request_id), LOGV("method", a->method),
           LOGV("target", a->target), LOGI("status", a->status), LOGI("us", a->duration_us),
           LOGI("out", a->bytes_out), LOGS("aborted", a->aborted ? "yes" : "no"));
}

static void page_failed(void *ctx, const char *request_id, const char *message)
{
    (void)ctx;
    log_error("page failed", LOGS("id", request_id), LOGS("error", message));
}

static void metrics(void *ctx, struct buf *to)
{
    struct server *s = ctx;
    buf_addf(to,
             "# HELP slipway_build_info The running version.\n# TYPE slipway_build_info gauge\n"
             "slipway_build_info{version=\"%s\"} 1\n",
             SLIPWAY_VERSION);
    buf_addf(to,
             "# HELP slipway_uptime_seconds Since this role started.\n"
             "# TYPE slipway_uptime_seconds gauge\nslipway_uptime_seconds %lld\n",
             (long long)(clock_ms() - s->started_at) / 1000);
    _autotx_ struct tx tx = TX_NONE;
    int64_t pending, running;
    if (store_read(s->store, &tx, NULL) == 0 &&
        job_queue_counts(&tx, 0, &pending, &running, NULL) == 0)
        buf_addf(to,
                 "# HELP slipway_jobs_pending Jobs that wait for a runner.\n"
                 "# TYPE slipway_jobs_pending gauge\nslipway_jobs_pending %lld\n",
                 (long long)pending);
    // /proc/self/statm: size resident ..., in pages.
    _autobuf_ struct buf text = BUF_INIT(KIB(1));
    if (file_read("/proc/self/statm", &text, NULL) < 0)
        return;
    struct str rest = buf_str(&text), size, resident;
    uint64_t pages;
    if (str_cut(&rest, ' ', &size) && str_cut(&rest, ' ', &resident) &&
        str_to_u64(resident, &pages))
        buf_addf(to,
                 "# HELP slipway_resident_memory_bytes Resident memory of this role.\n"
                 "# TYPE slipway_resident_memory_bytes gauge\nslipway_resident_memory_bytes %llu\n",
                 (unsigned long long)pages * (unsigned long long)sysconf(_SC_PAGESIZE));
}

// The API's routes in one row, for the help page.
static bool api_route_at(size_t i, const char **ret_method, const char **ret_path,
                         const char **ret_doc)
{
    const struct route_table *table;
    for (size_t t = 0; (table = api_routes(t)); t++) {
        if (i >= table->n) {
            i -= table->n;
            continue;
        }
        *ret_method = api_method_name(table->routes[i].method);
        *ret_path = table->routes[i].pattern;
        *ret_doc = table->routes[i].doc;
        return true;
    }
    return false;
}

static void on_wake(void *ctx, const char *topic)
{
    struct server *s = ctx;
    if (s->http)
        http_server_wake(s->http, topic);
}

// ---- housekeeping ----

static void sweep_soon(struct server *s)
{
    pthread_mutex_lock(&s->sweep_lock);
    pthread_cond_signal(&s->sweep_now);
    pthread_mutex_unlock(&s->sweep_lock);
}

// Makes the pipelines of pushes that have none yet; what fails for a passing reason is tried again.
static bool take_pushes(struct server *s)
{
    struct err e = ERR_INIT;
    size_t n;
    if (ci_engine_take_pushes(s->engine, PUSHES_AT_ONCE, &n, &e) == 0)
        return true;
    log_warn("a push waits for its pipeline", LOGS("error", e.msg));
    return false;
}

// Ends what would hang, takes pushes that wait, expires what is due, in a thread of its own until
// the server stops.
static void *sweep(void *arg)
{
    struct server *s = arg;
    int64_t upkeep_at = clock_ms();
    pthread_mutex_lock(&s->sweep_lock);
    while (!s->stop) {
        pthread_mutex_unlock(&s->sweep_lock);
        struct err e = ERR_INIT;
        int64_t next = SWEEP_MOST_MS;
        if (ci_engine_sweep(s->engine, &next, &e) < 0)
            log_warn("sweep failed", LOGS("error", e.msg));
        if (clock_ms() >= upkeep_at) {
            if (forge_upkeep(&s->forge, clock_wall_ms(), &e) < 0)
                log_warn("upkeep failed", LOGS("error", e.msg));
            upkeep_at = clock_ms() + UPKEEP_EVERY_MS;
        }
        next = MIN(MAX(next, (int64_t)SWEEP_LEAST_MS), (int64_t)SWEEP_MOST_MS);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += next / 1000;
        until.tv_nsec += next % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_mutex_lock(&s->sweep_lock);
        if (!s->stop)
            pthread_cond_timedwait(&s->sweep_now, &s->sweep_lock, &until);
    }
    pthread_mutex_unlock(&s->sweep_lock);
    return NULL;
}

static int sweeper_start(struct server *s, struct err *e)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->sweep_lock, NULL);
    pthread_cond_init(&s->sweep_now, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&s->sweeper, NULL, sweep, s);
    if (rc)
        return err_errno(e, rc, "cannot start a thread");
    s->sweeping = true;
    return 0;
}

static void sweeper_stop(struct server *s)
{
    if (!s->sweeping)
        return;
    pthread_mutex_lock(&s->sweep_lock);
    s->stop = true;
    pthread_cond_signal(&s->sweep_now);
    pthread_mutex_unlock(&s->sweep_lock);
    pthread_join(s->sweeper, NULL);
    s->sweeping = false;
}

static void pushed(void *ctx, int64_t event_id)
{
    (void)event_id;
    if (!take_pushes(ctx))
        sweep_soon(ctx);
}

// ---- the first start ----

static int write_secret(struct server *s, const char *name, const char *secret, struct err *e)
{
    char path[PATH_MAX], line[300];
    snprintf(path, sizeof(path), "%s/secrets/%s", s->state, name);
    int n = snprintf(line, sizeof(line), "%s\n", secret);
    int rc = file_replace(path, str_n(line, (size_t)n), 0600, e);
    mem_wipe(line, sizeof(line));
    return rc;
}

// The first account: root, with a password that is written down for the one who may read the state
// folder. The file comes first, so that a crash in between leaves no account without a password.
static int first_account(struct server *s, struct err *e)
{
    {
        _autotx_ struct tx tx = TX_NONE;
        int64_t users;
        TRY(store_read(s->store, &tx, e));
        TRY(user_count(&tx, &users, e));
        if (users)
            return 0;
    }
    char password[21];
    text_random(password, sizeof(password));
    TRY(write_secret(s, "initial-password", password, e));
    _autoarena_ struct arena a;
    arena_init(&a, KIB(64));
    struct account_new n = {.username = STR("root"),
                            .name = STR("Administrator"),
                            .email = STR("root@localhost.localdomain"),
                            .password = str_of(password),
                            .admin = true};
    struct user u;
    int rc = account_create(&s->forge, &a, &n, &u, e);
    mem_wipe(password, sizeof(password));
    return rc;
}

// The token of the runner that `slipway up` starts beside the server.
static int builtin_runner(struct server *s, struct err *e)
{
    char path[PATH_MAX], secret[TOKEN_TEXT_SIZE];
    unsigned char sha256[32];
    snprintf(path, sizeof(path), "%s/secrets/runner-token", s->state);
    if (access(path, F_OK) == 0)
        return 0;
    token_make(TOKEN_RUNNER_PREFIX, secret, sha256);
    struct runner r = {.type = RUNNER_INSTANCE,
                       .description = STR("built-in"),
                       .run_untagged = true,
                       .short_token =
                           str_head(str_from(str_of(secret), sizeof(TOKEN_RUNNER_PREFIX) - 1), 9)};
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_write(s->store, &tx, e));
        TRY(runner_insert(&tx, str_n((char *)sha256, sizeof(sha256)), &r, e));
        TRY(tx_commit(&tx, e));
    }
    return write_secret(s, "runner-token", secret, e);
}

// ---- start and stop ----

static int open_parts(struct server *s, struct err *e)
{
    git_start();
    TRY(store_open(s->state, STORE_SERVER, &s->store, e));
    s->forge = (struct forge){.store = s->store, .repo_create = git_repo_create};
    store_on_wake(s->store, on_wake, s);
    TRY(forge_start(&s->forge, NULL, e));
    TRY(first_account(s, e));
    TRY(builtin_runner(s, e));

    struct ci_engine_config engine = {
        .store = s->store, .external_url = s->external_url, .pages_domain = s->pages_domain};
    ci_engine_use_git(&engine, &s->forge);
    TRY(ci_engine_new(&engine, &s->engine, e));

    struct githttp_config git = {.forge = &s->forge, .pushed = pushed, .ctx = s};
    TRY(githttp_new(&git, &s->git, e));

    struct api_ctx api = {.store = s->store,
                          .forge = &s->forge,
                          .engine = s->engine,
                          .state_dir = s->state,
                          .external_url = s->external_url,
                          .pages_domain = s->pages_domain,
                          .pushed = pushed,
                          .pushed_ctx = s,
                          .metrics = metrics,
                          .metrics_ctx = s};
    TRY(api_new(&api, &s->api, e));

    bool tls = str_starts(str_of(s->external_url), STR("https://"));
    snprintf(s->pages_url, sizeof(s->pages_url), "%s://%s", tls ? "https" : "http",
             s->pages_domain);
    struct web_ctx web = {.store = s->store,
                          .forge = &s->forge,
                          .engine = s->engine,
                          .state_dir = s->state,
                          .external_url = s->external_url,
                          .pages_url = s->pages_url,
                          .api_route = api_route_at,
                          .report = page_failed,
                          .report_ctx = s};
    return web_init(&web, &s->web, e);
}

static int start(struct server *s, struct err *e)
{
    TRY(open_parts(s, e));
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.handler = handle;
    cfg.ctx = s;
    cfg.access = access_log;
    TRY(http_server_new(&cfg, &s->http, e));
    TRY(http_server_listen_unix(s->http, s->socket, 0600, e));
    TRY(githttp_reconcile(s->git, RECONCILE_WAIT_MS, e));
    TRY(http_server_start(s->http, e));
    return sweeper_start(s, e);
}

static void stop(struct server *s)
{
    if (s->http)
        http_server_stop(s->http, DRAIN_MS);
    sweeper_stop(s);
    if (s->web)
        web_done(s->web);
    if (s->api)
        api_free(s->api);
    if (s->git)
        githttp_free(s->git);
    if (s->engine)
        ci_engine_free(s->engine);
    struct http_server *http = s->http;
    s->http = NULL;
    if (http)
        http_server_free(http);
    if (s->store)
        store_close(s->store);
    unlink(s->socket);
}

int cmd_server(int argc, char **argv)
{
    static struct server s = {.state = "var",
                              .external_url = "http://localhost:8080",
                              .pages_domain = "pages.localhost:8080"};
    const struct opt opts[] = {
        {"state", "DIR", "folder of everything that is kept (default: var)", &s.state, NULL},
        {"socket", "PATH", "unix socket to listen on (default: DIR/run/server.sock)", &s.socket,
         NULL},
        {"external-url", "URL", "what people type (default: http://localhost:8080)",
         &s.external_url, NULL},
        {"pages-domain", "NAME[:PORT]",
         "pages are at <namespace>.NAME (default: pages.localhost:8080)", &s.pages_domain, NULL},
    };
    int rc =
        opt_parse_only(argc, argv,
                       "[OPTION...]\n\nRepositories, accounts, pipelines, REST API and web UI on a "
                       "unix socket; slipway up starts it.",
                       opts, ARRAY_SIZE(opts));
    if (rc < 0)
        return opt_exit(rc);
    role_start("server");
    role_block_signals();
    char socket[PATH_MAX];
    if (!s.socket) {
        snprintf(socket, sizeof(socket), "%s/run/server.sock", s.state);
        s.socket = socket;
    }
    s.started_at = clock_ms();
    struct err e = ERR_INIT;
    if (start(&s, &e) < 0) {
        log_error("cannot start", LOGS("error", e.msg));
        stop(&s);
        return err_exit_status(e.code);
    }
    log_info("serving", LOGS("socket", s.socket), LOGI("ms", clock_ms() - s.started_at));
    role_ready();
    while (role_wait_signal() == SIGHUP)
        ;
    log_info("stopping");
    stop(&s);
    return 0;
}
