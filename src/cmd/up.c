// SPDX-License-Identifier: Apache-2.0
// `slipway up`: the supervisor. Executes this binary as server, edge and runner, starts again what
// dies, and stops them in order. One thread; everything is an event of one loop.
#include "base/clock.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/role.h"
#include "os/fd.h"
#include "os/loop.h"
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS  2000  // below what the edge holds a request for
#define STEADY_MS        10000 // a role that ran this long starts again at once
#define ROLE_STOP_MS     30000 // then it is killed
#define SECOND_SIGNAL_MS 500
#define READY_FD         3 // the number of the ready pipe in a role

enum role_id { SERVER, EDGE, RUNNER, ROLE_COUNT };

struct supervisor;

struct role {
    struct supervisor *sup;
    const char *name;
    const char *argv[32];
    bool enabled, ready, running;
    struct child child;
    int ready_fd;
    int64_t started_at, backoff_ms;
    struct loop_io ended, became_ready;
    struct loop_timer restart, kill;
};

struct supervisor {
    struct loop *loop;
    struct role roles[ROLE_COUNT];
    struct loop_io signals;
    int signal_fd, lock_fd;
    char state[PATH_MAX], url[256];
    char local[300]; // how this machine reaches its own edge, whatever people type
    const char *sample;
    bool announced, sampling, stopping, runner_wanted;
    struct child sample_child;
    struct loop_io sample_ended;
    int64_t stopping_since;
    int status;
};

static void stop_next(struct supervisor *s);
static void role_spawn(struct role *r);

// <state>/<dir><name><ending>
static const char *path_in(struct supervisor *s, const char *dir, const char *name,
                           const char *ending, char out[PATH_MAX])
{
    _autobuf_ struct buf b = BUF_INIT(PATH_MAX - 1);
    buf_addf(&b, "%s/%s%s%s", s->state, dir, name, ending);
    memcpy(out, b.p, b.n + 1);
    return out;
}

// ---- the first words ----

static void print_initial_password(struct supervisor *s)
{
    char path[PATH_MAX];
    _autobuf_ struct buf password = BUF_INIT(200);
    if (file_read(path_in(s, "secrets/", "initial-password", "", path), &password, NULL) < 0)
        return;
    printf("  Sign in   root / %" PRISTR "\n", STRARG(str_trim(buf_str(&password))));
}

static void print_end(void)
{
    printf("\nCtrl-C stops everything.\n");
    fflush(stdout);
}

static void on_sample_ended(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct supervisor *s = CONTAINER_OF(io, struct supervisor, sample_ended);
    if (child_wait(&s->sample_child, 0, NULL) < 0)
        return;
    loop_io_del(s->loop, io);
    if (child_exit_code(&s->sample_child) != 0)
        log_error("the sample project could not be loaded");
    child_done(&s->sample_child);
    s->sampling = false;
    if (!s->stopping)
        print_end();
}

static void load_sample(struct supervisor *s)
{
    const char *argv[] = {"slipway", "sample", "--state", s->state,
                          "--url",   s->local, s->sample, NULL};
    struct spawn_fd fds[] = {{1, 1}, {2, 2}};
    struct spawn_options o = {
        .argv = argv, .program = spawn_self(), .fds = fds, .nfds = 2, .new_group = true};
    struct err e = ERR_INIT;
    if (spawn(&o, &s->sample_child, &e) < 0) {
        log_error("the sample project could not be loaded", LOGS("error", e.msg));
        print_end();
        return;
    }
    s->sampling = true;
    s->sample_ended.on_ready = on_sample_ended;
    s->sample_ended.fd = s->sample_child.pidfd;
    if (loop_io_set(s->loop, &s->sample_ended, EPOLLIN, &e) < 0)
        log_error("cannot wait for the sample", LOGS("error", e.msg));
}

static void announce(struct supervisor *s)
{
    if (s->announced)
        return;
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if (s->roles[i].enabled && !s->roles[i].ready)
            return;
    s->announced = true;
    printf("Slipway %s is running.\n\n  Web UI    %s\n", SLIPWAY_VERSION, s->url);
    print_initial_password(s);
    if (s->runner_wanted && !s->roles[RUNNER].enabled)
        printf("  Runner    none: it could not start, see the log above; jobs will wait\n");
    fflush(stdout);
    if (s->sample)
        load_sample(s);
    else
        print_end();
}

// ---- roles ----

static void on_role_ready(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct role *r = CONTAINER_OF(io, struct role, became_ready);
    char c;
    ssize_t n = read(r->ready_fd, &c, 1);
    if (n < 0 && errno == EAGAIN)
        return;
    loop_io_del(r->sup->loop, io);
    fd_close(&r->ready_fd);
    if (n != 1 || r->sup->stopping)
        return; // it ended before it was ready: its pidfd tells
    r->ready = true;
    log_info("role ready", LOGS("which", r->name), LOGI("ms", clock_ms() - r->started_at));
    // The runner's token is made by the server.
    struct role *runner = &r->sup->roles[RUNNER];
    if (r == &r->sup->roles[SERVER] && runner->enabled && !runner->running &&
        !loop_timer_armed(&runner->restart))
        role_spawn(runner);
    announce(r->sup);
}

static void on_role_ended(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct role *r = CONTAINER_OF(io, struct role, ended);
    struct supervisor *s = r->sup;
    struct err e = ERR_INIT;
    if (child_wait(&r->child, 0, &e) < 0)
        return;
    loop_io_del(s->loop, &r->ended);
    if (r->ready_fd >= 0) {
        loop_io_del(s->loop, &r->became_ready);
        fd_close(&r->ready_fd);
    }
    loop_timer_cancel(s->loop, &r->kill);
    int code = child_exit_code(&r->child);
    child_done(&r->child);
    char path[PATH_MAX];
    unlink(path_in(s, "run/", r->name, ".pid", path));
    r->running = false;
    r->ready = false;
    if (s->stopping) {
        log_info("role stopped", LOGS("which", r->name), LOGI("status", code));
        stop_next(s);
        return;
    }
    // Without a runner (no namespaces here, say) everything but the jobs works: the runner has told
    // why.
    if (!s->announced && code >= 1 && code <= 6 && r == &s->roles[RUNNER]) {
        log_error("the runner cannot start; jobs will wait until one does", LOGI("status", code));
        r->enabled = false;
        announce(s);
        return;
    }
    if (!s->announced && code >= 1 && code <= 6) {
        log_error("role cannot start", LOGS("which", r->name), LOGI("status", code));
        s->status = code;
        s->stopping = true;
        stop_next(s);
        return;
    }
    bool steady = clock_ms() - r->started_at >= STEADY_MS;
    r->backoff_ms = steady          ? 0
                    : r->backoff_ms ? MIN(r->backoff_ms * 2, BACKOFF_MOST_MS)
                                    : BACKOFF_FIRST_MS;
    log_warn("role ended, starting it again", LOGS("which", r->name), LOGI("status", code),
             LOGI("in_ms", r->backoff_ms));
    loop_timer_set(s->loop, &r->restart, clock_ms() + r->backoff_ms);
}

static void on_restart(struct loop_timer *t)
{
    role_spawn(CONTAINER_OF(t, struct role, restart));
}

static void on_kill(struct loop_timer *t)
{
    struct role *r = CONTAINER_OF(t, struct role, kill);
    log_warn("role did not stop in time, killing it", LOGS("which", r->name));
    (void)!child_kill_group(&r->child, SIGKILL, NULL);
}

static int try_spawn(struct role *r, struct err *e)
{
    struct supervisor *s = r->sup;
    _autofd_ int to = -1;
    int rc = fd_pipe(&r->ready_fd, &to, e);
    if (rc < 0 || (rc = fd_set_nonblock(r->ready_fd, true, e)) < 0)
        return rc;
    struct spawn_fd fds[] = {{1, 1}, {2, 2}, {to, READY_FD}};
    // A group of its own: Ctrl-C at the terminal reaches the supervisor alone, which keeps the
    // order.
    struct spawn_options o = {.argv = r->argv,
                              .program = spawn_self(),
                              .fds = fds,
                              .nfds = ARRAY_SIZE(fds),
                              .new_group = true};
    rc = spawn(&o, &r->child, e);
    if (rc < 0)
        return rc;
    r->running = true;
    r->started_at = clock_ms();
    r->ended = (struct loop_io){.on_ready = on_role_ended, .fd = r->child.pidfd};
    r->became_ready = (struct loop_io){.on_ready = on_role_ready, .fd = r->ready_fd};
    if ((rc = loop_io_set(s->loop, &r->ended, EPOLLIN, e)) < 0 ||
        (rc = loop_io_set(s->loop, &r->became_ready, EPOLLIN, e)) < 0)
        return rc;
    char path[PATH_MAX], pid[32];
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)r->child.pid);
    return file_replace(path_in(s, "run/", r->name, ".pid", path), str_n(pid, (size_t)n), 0644, e);
}

static void role_spawn(struct role *r)
{
    if (r->sup->stopping)
        return;
    struct err e = ERR_INIT;
    if (try_spawn(r, &e) == 0)
        return;
    log_error("cannot start role", LOGS("which", r->name), LOGS("error", e.msg));
    if (!r->running) {
        fd_close(&r->ready_fd);
        loop_timer_set(r->sup->loop, &r->restart, clock_ms() + BACKOFF_MOST_MS);
    }
}

// ---- the end ----

// Asks the next role in the order to stop; ends the loop when none is left.
static void stop_next(struct supervisor *s)
{
    static const enum role_id ORDER[] = {EDGE, RUNNER, SERVER};
    for (size_t i = 0; i < ARRAY_SIZE(ORDER); i++) {
        struct role *r = &s->roles[ORDER[i]];
        loop_timer_cancel(s->loop, &r->restart);
        if (!r->running)
            continue;
        if (!loop_timer_armed(&r->kill)) {
            (void)!child_kill(&r->child, SIGTERM, NULL);
            loop_timer_set(s->loop, &r->kill, clock_ms() + ROLE_STOP_MS);
        }
        return;
    }
    loop_stop(s->loop);
}

static void on_signal(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct supervisor *s = CONTAINER_OF(io, struct supervisor, signals);
    struct signalfd_siginfo info;
    if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP)
        return;
    // Tools that end a whole group may send the first signal twice.
    if (s->stopping && clock_ms() - s->stopping_since < SECOND_SIGNAL_MS)
        return;
    if (s->stopping) {
        log_warn("second signal: killing what still runs");
        for (size_t i = 0; i < ROLE_COUNT; i++)
            if (s->roles[i].running)
                (void)!child_kill_group(&s->roles[i].child, SIGKILL, NULL);
        return;
    }
    log_info("stopping: edge first, then runner, then server");
    s->stopping = true;
    s->stopping_since = clock_ms();
    if (s->sampling)
        (void)!child_kill(&s->sample_child, SIGTERM, NULL);
    stop_next(s);
}

// ---- the start ----

static int take_lock(struct supervisor *s, struct err *e)
{
    char path[PATH_MAX];
    s->lock_fd = open(path_in(s, "run/", "lock", "", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return err_errno(e, errno, "%s", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(e, E_BUSY,
                       "another slipway already runs on the state folder %s; stop it, or choose "
                       "another with --state",
                       s->state);
    return 0;
}

static int watch_signals(struct supervisor *s, struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0)
        return err_errno(e, errno, "signalfd");
    s->signals = (struct loop_io){.on_ready = on_signal, .fd = s->signal_fd};
    return loop_io_set(s->loop, &s->signals, EPOLLIN, e);
}

static void role_init(struct supervisor *s, enum role_id id, const char *name, bool enabled,
                      const char *const *argv, size_t n)
{
    struct role *r = &s->roles[id];
    *r = (struct role){
        .sup = s, .name = name, .enabled = enabled, .child = CHILD_NONE, .ready_fd = -1};
    r->restart.on_fire = on_restart;
    r->kill.on_fire = on_kill;
    BUG_ON(n >= ARRAY_SIZE(r->argv));
    for (size_t i = 0; i < n; i++)
        r->argv[i] = argv[i];
}

// The port that a URL names, with its colon; behind a front with TLS that is not the one we listen
// on. Empty: none.
static void port_of_url(const char *url, char *ret, size_t size)
{
    struct str host = str_of(url);
    ptrdiff_t scheme = str_search(host, STR("://")), slash;
    if (scheme >= 0)
        host = str_from(host, (size_t)scheme + 3);
    slash = str_find(host, '/');
    if (slash >= 0)
        host = str_head(host, (size_t)slash);
    ptrdiff_t colon = str_rfind(host, ':');
    bool named = colon >= 0 && str_find(str_from(host, (size_t)colon), ']') < 0;
    snprintf(ret, size, "%" PRISTR, STRARG(named ? str_from(host, (size_t)colon) : STR_NONE));
}

// What people type, from "127.0.0.1:8080": the UI's URL unless given, and the pages' domain with
// port.
static int addresses(const char *listen, const char *url, const char *pages_domain,
                     struct supervisor *s, char *ret_pages, size_t size, struct err *e)
{
    struct str l = str_of(listen);
    ptrdiff_t colon = str_rfind(l, ':');
    uint64_t port;
    if (colon < 0 || !str_to_u64(str_from(l, (size_t)colon + 1), &port) || port == 0 ||
        port > 65535)
        return err_set(e, E_INVALID, "--listen %s: want ADDRESS:PORT, for example 127.0.0.1:8080",
                       listen);
    char suffix[16] = "";
    if (port != 80)
        snprintf(suffix, sizeof(suffix), ":%" PRIu64, port);
    if (url) {
        snprintf(s->url, sizeof(s->url), "%s", url);
        port_of_url(url, suffix, sizeof(suffix));
    } else {
        snprintf(s->url, sizeof(s->url), "http://localhost%s", suffix);
    }
    struct str at = str_head(l, (size_t)colon);
    bool loopback = !at.n || at.p[0] == '[' || str_is(at, "0.0.0.0") || str_is(at, "127.0.0.1");
    at = loopback ? STR("localhost") : at;
    snprintf(s->local, sizeof(s->local), "http://%" PRISTR ":%" PRIu64, STRARG(at), port);
    snprintf(ret_pages, size, "%s%s", pages_domain, suffix);
    return 0;
}

static int run(struct supervisor *s, struct err *e)
{
    int rc = loop_new(&s->loop, e);
    if (rc < 0 || (rc = watch_signals(s, e)) < 0)
        return rc;
    setenv("SLIPWAY_READY_FD", "3", 1);
    role_spawn(&s->roles[SERVER]);
    role_spawn(&s->roles[EDGE]);
    loop_run(s->loop);
    child_done(&s->sample_child);
    close(s->signal_fd);
    loop_free(s->loop);
    char path[PATH_MAX];
    unlink(path_in(s, "run/", "lock", "", path));
    close(s->lock_fd);
    return 0;
}

int cmd_up(int argc, char **argv)
{
    const char *state = "var", *listen = "127.0.0.1:8080", *url = NULL, *sample = NULL;
    const char *pages_domain = "pages.localhost", *concurrent = "4", *log = NULL,
               *log_format = NULL;
    bool no_runner = false;
    const struct opt opts[] = {
        {"state", "DIR", "folder of everything that is kept (default: var)", &state, NULL},
        {"listen", "ADDRESS:PORT", "where the edge listens (default: 127.0.0.1:8080)", &listen,
         NULL},
        {"external-url", "URL", "what people type (default: http://localhost:PORT)", &url, NULL},
        {"pages-domain", "NAME", "pages are at <namespace>.NAME (default: pages.localhost)",
         &pages_domain, NULL},
        {"concurrent", "N", "jobs that run at once (default: 4)", &concurrent, NULL},
        {"no-runner", NULL, "do not start the built-in runner", NULL, &no_runner},
        {"sample", "DIR", "load this folder as a sample project, once", &sample, NULL},
        {"log", "LEVEL", "debug, info, warn or error (default: info)", &log, NULL},
        {"log-format", "FORMAT", "text or json (default: text)", &log_format, NULL},
    };
    int rc =
        opt_parse_only(argc, argv,
                       "[OPTION...]\n\nStarts server, edge and runner, supervises them, and stops "
                       "them in order on SIGTERM or Ctrl-C.",
                       opts, ARRAY_SIZE(opts));
    if (rc < 0)
        return opt_exit(rc);
    if (log)
        setenv("SLIPWAY_LOG", log, 1);
    if (log_format)
        setenv("SLIPWAY_LOG_FORMAT", log_format, 1);
    role_start("up");

    static struct supervisor s;
    struct err e = ERR_INIT;
    s.sample = sample;
    s.sample_child = CHILD_NONE;
    if (dir_make(state, 0700, &e) < 0)
        return cmd_fail("up", &e);
    if (!realpath(state, s.state)) {
        err_errno(&e, errno, "%s", state);
        return cmd_fail("up", &e);
    }
    char run_dir[PATH_MAX], server_sock[PATH_MAX], edge_sock[PATH_MAX], pages[PATH_MAX],
        token_file[PATH_MAX], builds[PATH_MAX], pages_host[300], upstream[PATH_MAX + 8];
    path_in(&s, "run", "", "", run_dir);
    path_in(&s, "run/", "server", ".sock", server_sock);
    path_in(&s, "run/", "edge", ".sock", edge_sock);
    path_in(&s, "pages", "", "", pages);
    path_in(&s, "secrets/", "runner-token", "", token_file);
    path_in(&s, "builds", "", "", builds);
    if (strlen(server_sock) >= 108) { // sun_path
        err_set(&e, E_INVALID, "the path of the state folder is too long for a unix socket: %s",
                s.state);
        return cmd_fail("up", &e);
    }
    if (addresses(listen, url, pages_domain, &s, pages_host, sizeof(pages_host), &e) < 0 ||
        dir_make(run_dir, 0700, &e) < 0 || dir_make(pages, 0700, &e) < 0 || take_lock(&s, &e) < 0)
        return cmd_fail("up", &e);

    snprintf(upstream, sizeof(upstream), "unix:%s", server_sock);
    const char *server[] = {"slipway",   "server",         "--state", s.state,          "--socket",
                            server_sock, "--external-url", s.url,     "--pages-domain", pages_host};
    const char *edge[] = {"slipway",        "edge",       "--listen", listen,
                          "--upstream",     upstream,     "--pages",  pages,
                          "--pages-domain", pages_domain, "--admin",  edge_sock};
    const char *runner[] = {"slipway",      "runner",    "--url",        s.local,
                            "--socket",     server_sock, "--token-file", token_file,
                            "--builds-dir", builds,      "--concurrent", concurrent,
                            "--name",       "built-in",  "--clone-url",  s.local};
    role_init(&s, SERVER, "server", true, server, ARRAY_SIZE(server));
    role_init(&s, EDGE, "edge", true, edge, ARRAY_SIZE(edge));
    role_init(&s, RUNNER, "runner", !no_runner, runner, ARRAY_SIZE(runner));
    s.runner_wanted = !no_runner;
    if (run(&s, &e) < 0)
        return cmd_fail("up", &e);
    return s.status;
}
