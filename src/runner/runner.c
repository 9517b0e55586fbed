// SPDX-License-Identifier: Apache-2.0
// The runner's main thread: one long poll for work at a time, a thread per job, and the way out.
// It waits in one place (curl's poll) for the server, for signals and for jobs that ended. All
// signals are blocked before any thread starts and arrive through a signalfd.
#include "runner/runner.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "runner/disk.h"
#include "runner/journal.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HELD_MS = 1000,
    IDLE_PAUSE_MS = 3000,
    ERROR_PAUSE_MOST_MS = 30000,
    SETTLE_PAUSE_MS = 500, // between attempts to report what a killed runner left
    GIVE_UP_MS = 10000,    // for jobs that were ended to tell an unreachable server
};

struct slot {
    bool busy;
    pthread_t thread;
    struct build build;
    char note[700];
    int64_t job_id;
};

struct runner {
    const struct runner_opts *o;
    struct slot *slots;
    unsigned busy;
    int signal_fd, done_fd;
    CURLM *multi;
    struct proto *proto;
    struct proto_answer answer;
    char last_update[128];
    bool asking;
    void *handle; // curl's, while asking
    int64_t asked_ms, ask_again_ms;
    int64_t error_pause_ms;
    bool was_unreachable;
    bool stopping, killing;
    int64_t drain_end_ms, give_up_ms;
    uint64_t signals_seen;
    int jobs_taken;
    unsigned unsettled; // jobs of a killed predecessor that the server does not know of yet
    int64_t settle_at_ms;
};

static int64_t jitter(int64_t ms)
{
    uint32_t r = 0;
    if (getrandom(&r, sizeof(r), 0) < 0)
        return ms;
    return ms / 2 + (int64_t)(r % (uint64_t)(ms / 2 + 1));
}

// ---- jobs -------------------------------------------------------------------------------------

static void *job_thread(void *ctx)
{
    struct slot *s = ctx;
    build_run(&s->build, s->note, sizeof(s->note));
    atomic_store(&s->build.done, true);
    uint64_t one = 1;
    if (write(s->build.done_fd, &one, sizeof(one)) < 0)
        return NULL; // only possible when a wake-up is pending anyway
    return NULL;
}

static void start_job(struct runner *r, struct str payload)
{
    struct slot *s = NULL;
    for (unsigned i = 0; !s && i < r->o->concurrent; i++)
        if (!r->slots[i].busy)
            s = &r->slots[i];
    BUG_ON(!s);
    struct build *b = &s->build;
    *b = (struct build){
        .conf = &r->o->conf, .slot = (unsigned)(s - r->slots), .done_fd = r->done_fd};
    arena_init(&b->arena, MIB(256));
    struct err e = ERR_INIT;
    if (job_parse(payload, &b->arena, &b->job, &e) < 0) {
        log_error("a job could not be read", LOGS("error", e.msg), LOGI("job", b->job.id));
        if (!b->job.id || !b->job.token.n) {
            arena_done(&b->arena);
            return;
        }
        b->refusal = arena_dup(&b->arena, str_of(e.msg));
    }
    b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->job_id = b->job.id;
    if (journal_add(r->o->conf.builds, b->job.id, b->job.token, &e) < 0)
        log_warn("the job is not in the journal", LOGI("job", b->job.id), LOGS("error", e.msg));
    s->busy = true;
    s->note[0] = '\0';
    r->busy++;
    r->jobs_taken++;
    log_info("job started", LOGI("job", s->job_id), LOGV("name", b->job.name),
             LOGV("project", b->job.project_path), LOGI("slot", b->slot));
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, MIB(1));
    BUG_ON(pthread_create(&s->thread, &attr, job_thread, s) != 0);
    pthread_attr_destroy(&attr);
}

static void collect_jobs(struct runner *r)
{
    for (unsigned i = 0; i < r->o->concurrent; i++) {
        struct slot *s = &r->slots[i];
        if (!s->busy || !atomic_load(&s->build.done))
            continue;
        pthread_join(s->thread, NULL);
        close(s->build.wake_fd);
        // What could not be told to the server stays noted for the next start.
        if (!atomic_load(&s->build.give_up))
            journal_remove(r->o->conf.builds, s->job_id);
        s->busy = false;
        r->busy--;
        if (s->note[0])
            log_warn("job ended", LOGI("job", s->job_id), LOGS("note", s->note));
        else
            log_info("job ended", LOGI("job", s->job_id));
    }
}

static void stop_jobs(struct runner *r, bool give_up)
{
    for (unsigned i = 0; i < r->o->concurrent; i++) {
        struct slot *s = &r->slots[i];
        if (!s->busy)
            continue;
        atomic_store(&s->build.stop, true);
        if (give_up)
            atomic_store(&s->build.give_up, true);
        uint64_t one = 1;
        if (write(s->build.wake_fd, &one, sizeof(one)) < 0)
            continue;
    }
}

// ---- asking for work --------------------------------------------------------------------------

static void pause_after_error(struct runner *r, const char *what)
{
    if (!r->was_unreachable && !r->stopping)
        log_warn("the server gives no jobs now; asking again", LOGS("error", what));
    r->was_unreachable = true;
    r->error_pause_ms = MIN(MAX(r->error_pause_ms * 2, 50), ERROR_PAUSE_MOST_MS);
    r->ask_again_ms = clock_ms() + jitter(r->error_pause_ms);
}

static void take_answer(struct runner *r, int rc, const struct err *e)
{
    const struct proto_answer *a = &r->answer;
    int64_t took = clock_ms() - r->asked_ms;
    r->ask_again_ms = 0;
    if (rc < 0) {
        pause_after_error(r, e->msg);
        return;
    }
    if (a->status == 201 || a->status == 204) {
        if (r->was_unreachable)
            log_info("the server answers again");
        r->was_unreachable = false;
        r->error_pause_ms = 0;
    }
    if (a->status == 201) {
        start_job(r, buf_str(&a->body));
        return;
    }
    if (a->status == 204) {
        bool news = a->last_update[0] && strcmp(a->last_update, r->last_update) != 0;
        if (a->last_update[0])
            snprintf(r->last_update, sizeof(r->last_update), "%s", a->last_update);
        // Held by the server, or told a queue version to wait on: nothing was lost by asking.
        if (!news && took < HELD_MS)
            r->ask_again_ms = clock_ms() + jitter(IDLE_PAUSE_MS);
        return;
    }
    if (a->status == 409) // another runner was faster
        return;
    char what[100];
    snprintf(what, sizeof(what),
             a->status == 403 ? "the server refuses this runner's token (%ld)"
                              : "the server answered %ld",
             a->status);
    pause_after_error(r, what);
    if (a->status == 403)
        r->error_pause_ms = MAX(r->error_pause_ms, 2000);
    if (a->retry_after_s > 0)
        r->ask_again_ms = clock_ms() + a->retry_after_s * 1000;
}

static bool may_ask(const struct runner *r)
{
    return !r->stopping && !r->asking && !r->unsettled && r->busy < r->o->concurrent &&
           !(r->o->max_jobs && r->jobs_taken >= r->o->max_jobs);
}

static void ask(struct runner *r)
{
    r->handle = proto_request_start(r->proto, r->last_update, &r->answer);
    curl_multi_add_handle(r->multi, r->handle);
    r->asking = true;
    r->asked_ms = clock_ms();
}

static void look_at_answers(struct runner *r)
{
    int left, running;
    curl_multi_perform(r->multi, &running);
    for (CURLMsg *m; (m = curl_multi_info_read(r->multi, &left));) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result;
        struct err e = ERR_INIT;
        curl_multi_remove_handle(r->multi, r->handle);
        r->asking = false;
        int rc = proto_request_finish(r->proto, (int)code, &r->answer, &e);
        take_answer(r, rc, &e);
        proto_answer_done(&r->answer);
    }
}

// ---- the loop ---------------------------------------------------------------------------------

static void begin_stop(struct runner *r, int sig)
{
    // A terminal's Ctrl-C comes from the terminal and again, as SIGTERM, from the supervisor: only
    // the same signal twice means that patience has ended.
    uint64_t bit = (uint64_t)1 << sig;
    int64_t drain = r->signals_seen & bit ? 0 : r->o->drain_ms;
    if (r->stopping && drain)
        return;
    log_info("stopping", LOGI("signal", sig), LOGI("running_jobs", r->busy),
             LOGI("drain_ms", drain));
    r->stopping = true;
    r->signals_seen |= bit;
    r->drain_end_ms = clock_ms() + drain;
    if (r->asking) {
        curl_multi_remove_handle(r->multi, r->handle);
        r->asking = false;
    }
}

static void read_signals(struct runner *r)
{
    struct signalfd_siginfo info;
    while (read(r->signal_fd, &info, sizeof(info)) == sizeof(info))
        begin_stop(r, (int)info.ssi_signo);
}

static int wait_ms(const struct runner *r)
{
    int64_t now = clock_ms(), at = now + 60000;
    if (may_ask(r))
        at = MIN(at, r->ask_again_ms);
    if (r->unsettled)
        at = MIN(at, r->settle_at_ms);
    if (r->stopping && r->busy)
        at = MIN(at, r->killing ? r->give_up_ms : r->drain_end_ms);
    return (int)MAX(at - now, 0);
}

static void settle(struct runner *r)
{
    journal_settle(r->o->conf.builds, r->proto, &r->unsettled);
    r->settle_at_ms = clock_ms() + SETTLE_PAUSE_MS;
}

static void loop(struct runner *r)
{
    settle(r);
    while (!r->stopping || r->busy) {
        if (r->unsettled && clock_ms() >= r->settle_at_ms)
            settle(r);
        if (may_ask(r) && clock_ms() >= r->ask_again_ms)
            ask(r);
        look_at_answers(r);
        if (may_ask(r) && clock_ms() >= r->ask_again_ms)
            continue;
        struct curl_waitfd fds[2] = {{.fd = r->signal_fd, .events = CURL_WAIT_POLLIN},
                                     {.fd = r->done_fd, .events = CURL_WAIT_POLLIN}};
        curl_multi_poll(r->multi, fds, 2, wait_ms(r), NULL);
        uint64_t n;
        if (read(r->done_fd, &n, sizeof(n)) > 0)
            collect_jobs(r);
        read_signals(r);
        if (r->stopping && r->busy && !r->killing && clock_ms() >= r->drain_end_ms) {
            log_warn("ending the jobs that still run", LOGI("running_jobs", r->busy));
            r->killing = true;
            r->give_up_ms = clock_ms() + GIVE_UP_MS;
            stop_jobs(r, false);
        }
        if (r->killing && r->busy && clock_ms() >= r->give_up_ms) {
            stop_jobs(r, true);
            r->give_up_ms = clock_ms() + GIVE_UP_MS;
        }
        if (r->o->max_jobs && r->jobs_taken >= r->o->max_jobs && !r->busy)
            break;
    }
}

int runner_run(const struct runner_opts *o, struct err *e)
{
    struct runner r = {.o = o, .answer = PROTO_ANSWER_INIT};
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGQUIT);
    sigaddset(&stop, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    r.signal_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    r.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r.signal_fd < 0 || r.done_fd < 0)
        return err_errno(e, errno, "cannot make event descriptors");
    r.slots = NEW_ARRAY(struct slot, o->concurrent);
    r.multi = curl_multi_init();
    r.proto = proto_new(&o->conf.proto);
    log_info("runner ready", LOGS("name", o->conf.name), LOGS("url", o->conf.proto.url),
             LOGI("concurrent", o->concurrent), LOGS("sandbox", o->conf.host->off ? "off" : "on"));
    loop(&r);
    log_info("runner stopped", LOGI("jobs", r.jobs_taken));
    proto_free(r.proto);
    curl_multi_cleanup(r.multi);
    proto_answer_done(&r.answer);
    free(r.slots);
    close(r.signal_fd);
    close(r.done_fd);
    return 0;
}

// ---- the builds folder ------------------------------------------------------------------------

static int make_sub(const char *builds, const char *name, mode_t mode, struct err *e)
{
    struct buf path = BUF_INIT(4096);
    buf_addf(&path, "%s/%s", builds, name);
    int rc = 0;
    if ((mkdir(path.p, mode) < 0 && errno != EEXIST) || chmod(path.p, mode) < 0)
        rc = err_errno(e, errno, "cannot make the folder %s", path.p);
    buf_done(&path);
    return rc;
}

static int read_system_id(const char *builds, char *out, struct err *e)
{
    struct buf path = BUF_INIT(4096);
    buf_addf(&path, "%s/.system_id", builds);
    int fd = open(path.p, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        int rc = err_errno(e, errno, "cannot open %s", path.p);
        buf_done(&path);
        return rc;
    }
    buf_done(&path);
    ssize_t n = read(fd, out, 14);
    if (n != 14) {
        uint8_t raw[6];
        struct buf id = BUF_INIT(64);
        buf_adds(&id, "r_");
        if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
            BUG("getrandom");
        text_hex(&id, str_n((const char *)raw, sizeof(raw)));
        memcpy(out, id.p, 14);
        buf_done(&id);
        if (pwrite(fd, out, 14, 0) != 14)
            return err_errno(e, errno, "cannot keep the runner's identity in %s", builds);
    }
    out[14] = '\0';
    close(fd);
    return 0;
}

// File variables of jobs without a sandbox lie in SLOT/PROJECT.tmp; a killed runner leaves them.
static void sweep_slot(int builds_fd, const char *builds, const char *slot)
{
    int fd = openat(builds_fd, slot, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *it; (it = readdir(d));) {
        if (!str_ends(str_of(it->d_name), STR(".tmp")))
            continue;
        struct buf path = BUF_INIT(4096);
        struct err ignored = ERR_INIT;
        buf_addf(&path, "%s/%s/%s", builds, slot, it->d_name);
        if (disk_remove(path.p, &ignored) < 0)
            log_warn(ignored.msg);
        buf_done(&path);
    }
    closedir(d);
}

static void sweep(const char *builds)
{
    DIR *d = opendir(builds);
    uint64_t n;
    for (struct dirent *it; d && (it = readdir(d));)
        if (str_to_u64(str_of(it->d_name), &n))
            sweep_slot(dirfd(d), builds, it->d_name);
    if (d)
        closedir(d);
}

int runner_prepare_builds(const char *builds, char *ret_system_id, struct err *e)
{
    if (mkdir(builds, 0711) < 0 && errno != EEXIST)
        return err_errno(e, errno, "cannot make the builds folder %s", builds);
    struct buf path = BUF_INIT(4096);
    buf_addf(&path, "%s/.lock", builds);
    // Deliberately kept open: the lock is the process's.
    int lock = open(path.p, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = lock < 0 ? err_errno(e, errno, "cannot open %s", path.p) : 0;
    if (rc == 0 && flock(lock, LOCK_EX | LOCK_NB) < 0)
        rc = err_set(e, E_BUSY, "another runner is using the builds folder %s", builds);
    buf_done(&path);
    if (rc == 0) {
        path = BUF_INIT(4096);
        buf_addf(&path, "%s/.spool", builds);
        rc = disk_remove(path.p, e); // files that a killed runner was making
        buf_done(&path);
    }
    if (rc == 0)
        sweep(builds);
    if (rc == 0)
        rc = make_sub(builds, ".root", 0755, e);
    if (rc == 0)
        rc = make_sub(builds, ".spool", 0700, e);
    if (rc == 0)
        rc = make_sub(builds, ".jobs", 0700, e);
    return rc < 0 ? rc : read_system_id(builds, ret_system_id, e);
}
