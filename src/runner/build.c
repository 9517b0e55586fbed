// SPDX-License-Identifier: Apache-2.0
// The life of a job. Straight-line code on the job's own thread: each stage is one command in a
// sandbox of its own, so nothing that a stage left running can touch the next one; they share only
// the build folder. The trace has a thread of its own and says when the job is no longer wanted.
#include "runner/build.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "runner/disk.h"
#include "runner/mask.h"
#include "runner/script.h"
#include "runner/trace.h"
#include "runner/vars.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TICK_MS = 200,
    AFTER_SCRIPT_S = 300,
    ENV_ONE_MAX = 128 * 1024 - 1, // the kernel's limit for one string
    TRANSFER_TRIES = 3,
    UPLOAD_RETRY_MS = 120000, // for a server that restarts or whose disk is full
};

static const char DEFAULT_PATH[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

enum outcome {
    DONE,    // the command ended by itself; its status counts
    TIMEOUT, // the job's or the stage's time is over
    CANCEL,  // the server asked for a graceful end
    ABORT,   // the server no longer wants the job
    STOP,    // the runner ends
    FULL,    // a limit was passed; the log says which
    BROKEN,  // the runner's own fault; the log says why
};

// A build and what its stages share.
struct work {
    struct build *b;
    const struct runner_conf *conf;
    const struct job *job;
    struct arena *a;
    struct trace *trace;
    struct proto *files_proto;
    struct vars vars;
    bool bash;
    uid_t uid;
    char group[64];         // cgroup name
    const char *host_dir;   // the build folder on the host
    const char *dir;        // ... as the job sees it
    const char *tmp_dir;    // beside it: file variables; private
    const char *builds_dir; // as the job sees it
    const char *home;
    struct buf url, auth; // of the repository: without credentials, and "user:secret"
    struct sandbox_file *files;
    size_t nfiles;
    struct disk_watch disk;
    int64_t deadline_ms;
    enum outcome outcome; // the first that was not DONE
    int status;           // of the script
    const char *system_failure;
};

struct stage {
    const char *const *argv;
    const char *const *envp;
    bool self;
    bool after;      // runs although the job is being canceled
    int64_t seconds; // limit of its own, 0: only the job's
    int in_fd, out_fd;
    uint64_t file_bytes; // 0: the disk limit
};

// ---- the log ----------------------------------------------------------------------------------

static void section(struct work *w, bool start, const char *name)
{
    if (!w->job->trace_sections)
        return;
    struct buf mark = BUF_INIT(KIB(1));
    script_section(&mark, start, clock_wall_ms() / 1000, name);
    trace_write(w->trace, buf_str(&mark));
    buf_done(&mark);
}

static void begin(struct work *w, const char *name, const char *title)
{
    section(w, true, name);
    trace_say(w->trace, "\x1b[0K" SCRIPT_BOLD_CYAN "%s" SCRIPT_RESET, title);
}

static void warn(struct work *w, const char *text)
{
    trace_say(w->trace, SCRIPT_BOLD_YELLOW "WARNING: %s" SCRIPT_RESET, text);
}

static void system_failure(struct work *w, const char *text)
{
    if (!w->system_failure)
        w->system_failure = arena_dup(w->a, str_of(text));
    if (w->outcome == DONE)
        w->outcome = BROKEN;
}

// ---- variables and environment ----------------------------------------------------------------

static struct str base_value(struct str key)
{
    return str_is(key, "PATH") ? str_of(DEFAULT_PATH) : STR_NONE;
}

static void set(struct work *w, const char *key, const char *value)
{
    if (!vars_set(&w->vars, str_of(key), str_of(value), true, false))
        BUG("a variable of the runner's own is not valid");
}

static void setf(struct work *w, const char *key, const char *fmt, ...) PRINTF(3, 4);
static void setf(struct work *w, const char *key, const char *fmt, ...)
{
    struct buf v = BUF_INIT(KIB(64));
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&v, fmt, ap);
    va_end(ap);
    set(w, key, v.p);
    buf_done(&v);
}

static void set_variables(struct work *w)
{
    const struct job *j = w->job;
    vars_init(&w->vars, w->a, str_of(w->tmp_dir));
    set(w, "PATH", DEFAULT_PATH);
    set(w, "HOME", w->home);
    set(w, "SHELL", "/bin/sh");
    set(w, "LANG", "C.UTF-8");
    if (!w->conf->host->off) {
        set(w, "USER", "job");
        set(w, "LOGNAME", "job");
        set(w, "CI_DISPOSABLE_ENVIRONMENT", "true");
    }
    for (size_t i = 0; i < j->nvars; i++) {
        const struct job_var *v = &j->vars[i];
        if (!vars_set(&w->vars, v->key, v->value, v->raw, v->file))
            trace_say(w->trace,
                      SCRIPT_BOLD_YELLOW
                      "WARNING: the variable \"%" PRISTR
                      "\" cannot stand in an environment and is left out" SCRIPT_RESET,
                      STRARG(v->key));
    }
    set(w, "CI", "true");
    set(w, "GITLAB_CI", "true");
    set(w, "CI_SERVER", "yes");
    set(w, "CI_BUILDS_DIR", w->builds_dir);
    set(w, "CI_PROJECT_DIR", w->dir);
    setf(w, "CI_CONCURRENT_ID", "%u", w->b->slot);
    set(w, "CI_CONCURRENT_PROJECT_ID", "0");
    setf(w, "CI_JOB_TIMEOUT", "%lld", (long long)j->timeout_s);
    set(w, "CI_JOB_STATUS", "running");
    set(w, "CI_RUNNER_VERSION", SLIPWAY_VERSION);
    set(w, "CI_RUNNER_REVISION", SLIPWAY_VERSION);
#if defined(__aarch64__)
    set(w, "CI_RUNNER_EXECUTABLE_ARCH", "linux/arm64");
#else
    set(w, "CI_RUNNER_EXECUTABLE_ARCH", "linux/amd64");
#endif
    vars_expand(&w->vars, base_value);
}

// "KEY=value" for each variable, then `more` (NULL-terminated, may be NULL).
static const char *const *environment(struct work *w, const char *const *more)
{
    size_t n = 0, at = 0;
    while (more && more[n])
        n++;
    const char **env = ARENA_ARRAY(w->a, const char *, map_size(&w->vars.by_key) + n + 1);
    map_each (item, &w->vars.by_key) {
        struct str value = vars_get(&w->vars, item->key.p);
        char *line = arena_printf(w->a, "%" PRISTR "=%" PRISTR, STRARG(item->key), STRARG(value));
        if (strlen(line) > ENV_ONE_MAX) {
            trace_say(w->trace,
                      SCRIPT_BOLD_YELLOW "WARNING: the variable %" PRISTR
                                         " is longer than 128 KiB, which no command can be given; "
                                         "make it a file variable" SCRIPT_RESET,
                      STRARG(item->key));
            continue;
        }
        env[at++] = line;
    }
    for (size_t i = 0; i < n; i++)
        env[at++] = more[i];
    return env;
}

static void collect_files(struct work *w)
{
    w->files = ARENA_ARRAY(w->a, struct sandbox_file, map_size(&w->vars.by_key) + 1);
    map_each (item, &w->vars.by_key) {
        const struct var *v = item->value;
        if (!v->file)
            continue;
        if (w->nfiles >= 200) {
            warn(w, "only the first 200 file variables are written");
            break;
        }
        w->files[w->nfiles++] = (struct sandbox_file){
            .path = vars_get(&w->vars, item->key.p), .bytes = v->value, .mode = 0600};
    }
}

static struct mask *make_mask(const struct job *j, struct str auth)
{
    struct mask *m = mask_new();
    for (size_t i = 0; i < j->nvars; i++)
        if (j->vars[i].masked)
            mask_secret(m, j->vars[i].value);
    mask_secret(m, j->token);
    ptrdiff_t colon = str_find(auth, ':');
    if (colon >= 0) {
        mask_secret(m, str_from(auth, (size_t)colon + 1));
        // Git gets it in this form, by the environment.
        _autobuf_ struct buf basic = BUF_INIT(KIB(32));
        text_base64(&basic, auth);
        mask_secret(m, buf_str(&basic));
    }
    for (size_t i = 0; i < j->ndeps; i++)
        mask_secret(m, j->deps[i].token);
    mask_prefix(m, STR("glpat-"));
    for (size_t i = 0; i < j->nmask_prefixes; i++)
        mask_prefix(m, j->mask_prefixes[i]);
    return m;
}

// ---- one stage --------------------------------------------------------------------------------

static bool copy_output(struct work *w, int fd)
{
    char part[65536];
    for (;;) {
        ssize_t n = read(fd, part, sizeof(part));
        if (n > 0) {
            trace_write(w->trace, str_n(part, (size_t)n));
            if ((size_t)n == sizeof(part))
                continue;
            return true;
        }
        if (n < 0 && errno == EINTR)
            continue;
        return n < 0 && errno == EAGAIN;
    }
}

// Why the running stage has to end, or DONE.
static enum outcome reason_to_end(struct work *w, const struct stage *s, int64_t stage_deadline)
{
    int64_t now = clock_ms();
    enum trace_order order = trace_order(w->trace);
    struct err e = ERR_INIT;
    if (atomic_load(&w->b->stop))
        return STOP;
    if (order == TRACE_ABORT)
        return ABORT;
    if (order == TRACE_CANCEL && !s->after)
        return CANCEL;
    if (now >= w->deadline_ms || (stage_deadline && now >= stage_deadline))
        return TIMEOUT;
    if (disk_watch_look(&w->disk, &e) < 0) {
        trace_flush(w->trace);
        trace_say(w->trace, "\n" SCRIPT_BOLD_RED "ERROR: %s" SCRIPT_RESET, e.msg);
        return FULL;
    }
    return DONE;
}

static enum outcome follow(struct work *w, const struct stage *s, struct sandbox *box)
{
    enum outcome why = DONE;
    int64_t kill_at = 0;
    int64_t own = s->seconds ? clock_ms() + s->seconds * 1000 : 0;
    for (;;) {
        struct pollfd fds[2] = {{.fd = box->out_fd, .events = POLLIN},
                                {.fd = w->b->wake_fd, .events = POLLIN}};
        if (poll(fds, 2, TICK_MS) < 0 && errno != EINTR)
            BUG("poll");
        uint64_t woken;
        if ((fds[1].revents & POLLIN) && read(w->b->wake_fd, &woken, sizeof(woken)) < 0)
            woken = 0;
        if (fds[0].revents && !copy_output(w, box->out_fd))
            return why;
        enum outcome now = why == ABORT || why == STOP ? why : reason_to_end(w, s, own);
        if (now != DONE && now != why && (why == DONE || now == ABORT || now == STOP)) {
            why = now;
            bool at_once = why == ABORT || why == STOP || why == FULL;
            sandbox_signal(box, at_once);
            kill_at = clock_ms() + (at_once ? 0 : w->conf->kill_grace_ms);
        }
        if (why != DONE && clock_ms() >= kill_at)
            sandbox_signal(box, true);
    }
}

// Runs one command to its end. The exit status is told only with DONE.
static enum outcome run_stage(struct work *w, const struct stage *s, int *ret_status)
{
    const struct sandbox_mount bind = {w->host_dir, w->dir};
    const char *const dirs[] = {w->home, w->tmp_dir, NULL};
    struct sandbox_opts o = {
        .argv = s->argv,
        .envp = s->envp,
        .self = s->self,
        .cwd = w->dir,
        .uid = w->uid,
        .binds = &bind,
        .nbinds = 1,
        .dirs = dirs,
        .files = w->files,
        .nfiles = w->nfiles,
        .tmp_bytes = w->conf->job_tmp,
        .file_bytes = s->file_bytes ? s->file_bytes : w->conf->job_disk,
        .nproc = w->conf->host->off ? 0 : w->conf->job_pids,
        .nofile = 65536,
        .cgroup = w->conf->host->cgroups ? w->group : NULL,
        .in_fd = s->in_fd,
        .out_fd = s->out_fd,
    };
    struct err e = ERR_INIT;
    struct sandbox box;
    *ret_status = -1;
    if (sandbox_start(w->conf->host, &o, &box, &e) < 0) {
        system_failure(w, e.msg);
        return BROKEN;
    }
    enum outcome why = follow(w, s, &box);
    int status = -1;
    if (sandbox_wait(&box, &status, &e) < 0 && why == DONE) {
        system_failure(w, e.msg);
        return BROKEN;
    }
    trace_flush(w->trace);
    *ret_status = status;
    if (why != DONE && w->outcome == DONE)
        w->outcome = why;
    return why;
}

// Runs a shell script; short ones as an argument, long ones from a private file.
static enum outcome run_script(struct work *w, struct str script, struct stage *s, int *ret_status)
{
    const char *shell = w->bash ? "bash" : "sh";
    const char *argv[4] = {shell, "-c", NULL, NULL};
    size_t had = w->nfiles;
    if (script.n < 100000) {
        argv[2] = arena_dup(w->a, script);
    } else {
        char *path = arena_printf(w->a, "%s/.script", w->tmp_dir);
        w->files[w->nfiles++] = (struct sandbox_file){str_of(path), script, 0600};
        argv[1] = path;
    }
    s->argv = argv;
    enum outcome why = run_stage(w, s, ret_status);
    s->argv = NULL;
    w->nfiles = had;
    return why;
}

// ---- stages -----------------------------------------------------------------------------------

static struct str setting(struct work *w, const char *key, const char *otherwise)
{
    struct str v = str_trim(vars_get(&w->vars, key));
    return v.n ? v : str_of(otherwise);
}

// The environment in which Git reaches the job's own server with the job's own token. Nothing of it
// is kept in the build folder.
static const char *const *git_environment(struct work *w)
{
    const char **more = ARENA_ARRAY(w->a, const char *, 8);
    size_t n = 0;
    more[n++] = "GIT_TERMINAL_PROMPT=0";
    if (!w->auth.n || vars_get(&w->vars, "GIT_CONFIG_COUNT").p)
        return environment(w, more);
    struct str url = buf_str(&w->url);
    struct buf header = BUF_INIT(KIB(32));
    buf_adds(&header, "GIT_CONFIG_VALUE_0=Authorization: Basic ");
    text_base64(&header, buf_str(&w->auth));
    size_t host = (size_t)str_search(url, STR("://")) + 3;
    ptrdiff_t path = str_find(str_from(url, host), '/');
    struct str origin = path < 0 ? url : str_head(url, host + (size_t)path);
    more[n++] = "GIT_CONFIG_COUNT=1";
    more[n++] =
        arena_printf(w->a, "GIT_CONFIG_KEY_0=http.%" PRISTR "/.extraHeader", STRARG(origin));
    more[n++] = arena_dup(w->a, buf_str(&header));
    mem_wipe(header.p, header.n);
    buf_done(&header);
    return environment(w, more);
}

static bool wipe(struct work *w)
{
    struct err e = ERR_INIT;
    if (disk_remove(w->host_dir, &e) == 0 && disk_folder(w->host_dir, w->uid, 0700, &e) == 0)
        return true;
    system_failure(w, e.msg);
    return false;
}

static bool was_used(const struct work *w)
{
    char path[4200];
    struct stat st;
    snprintf(path, sizeof(path), "%s/.git", w->host_dir);
    return lstat(path, &st) == 0;
}

static enum outcome fetch_once(struct work *w, const struct script_sources *src, int *ret_status)
{
    struct buf script = BUF_INIT(MIB(4));
    script_get_sources(&script, src);
    struct stage s = {.envp = git_environment(w), .in_fd = -1, .out_fd = -1};
    bool bash = w->bash;
    w->bash = false; // plain sh starts faster, and the script asks for no more
    enum outcome why = run_script(w, buf_str(&script), &s, ret_status);
    w->bash = bash;
    buf_done(&script);
    return why;
}

static enum outcome get_sources(struct work *w)
{
    const struct job *j = w->job;
    struct str strategy = setting(w, "GIT_STRATEGY", j->allow_git_fetch ? "fetch" : "clone");
    begin(w, "get_sources", "Getting source from Git repository");
    enum outcome why = DONE;
    int status = 0;
    if (str_is(strategy, "none")) {
        trace_say(w->trace, "Skipping Git repository setup");
    } else if (str_is(strategy, "empty") || !w->url.n) {
        trace_say(w->trace, "Skipping Git repository setup and creating an empty build folder");
        why = wipe(w) ? DONE : BROKEN;
    } else if (!str_is(strategy, "fetch") && !str_is(strategy, "clone")) {
        trace_say(w->trace,
                  SCRIPT_BOLD_RED "ERROR: GIT_STRATEGY is \"%" PRISTR
                                  "\"; it must be clone, fetch, none or empty" SCRIPT_RESET,
                  STRARG(strategy));
        status = 1;
    } else {
        struct str flags = setting(w, "GIT_CLEAN_FLAGS", "");
        uint64_t depth = (uint64_t)MAX(j->depth, 0);
        struct str wanted = setting(w, "GIT_DEPTH", "");
        if (wanted.n && !str_to_u64(wanted, &depth))
            warn(w, "GIT_DEPTH is not a number and is ignored");
        struct script_sources src = {
            .url = buf_str(&w->url),
            .sha = j->sha,
            .ref = j->ref,
            .refspecs = j->refspecs,
            .nrefspecs = j->nrefspecs,
            .depth = (int64_t)depth,
            .fetch_flags = setting(w, "GIT_FETCH_EXTRA_FLAGS", ""),
            .clean_flags = flags,
            .keep_untracked = str_is(flags, "none"),
            .submodules = setting(w, "GIT_SUBMODULE_STRATEGY", ""),
            .checkout = !str_is(setting(w, "GIT_CHECKOUT", "true"), "false"),
        };
        bool fresh = true;
        if (was_used(w)) {
            fresh = str_is(strategy, "clone");
            if (fresh && !wipe(w))
                why = BROKEN;
        }
        if (depth)
            trace_say(w->trace, "Fetching changes with git depth set to %llu...",
                      (unsigned long long)depth);
        else
            trace_say(w->trace, "Fetching changes...");
        if (why == DONE)
            why = fetch_once(w, &src, &status);
        if (why == DONE && status != 0 && !fresh) {
            // What a former job left may be broken in ways nobody can list.
            warn(w, "the repository kept from an earlier job could not be used: starting afresh");
            why = wipe(w) ? fetch_once(w, &src, &status) : BROKEN;
        }
    }
    section(w, false, "get_sources");
    if (why == DONE && status != 0) {
        char text[80];
        snprintf(text, sizeof(text), "getting the sources failed: exit code %d", status);
        system_failure(w, text);
        return BROKEN;
    }
    return why;
}

static const struct job_step *find_step(const struct job *j, const char *name)
{
    for (size_t i = 0; i < j->nsteps; i++)
        if (str_is(j->steps[i].name, name))
            return &j->steps[i];
    return NULL;
}

static enum outcome run_step(struct work *w, const struct job_step *step, bool after,
                             int *ret_status)
{
    struct buf script = BUF_INIT(MIB(32));
    bool debug = str_is(vars_get(&w->vars, "CI_DEBUG_TRACE"), "true");
    script_step(&script, step->script, step->nscript, w->bash, debug);
    struct stage s = {.envp = git_environment(w),
                      .after = after,
                      .seconds = after ? AFTER_SCRIPT_S : 0,
                      .in_fd = -1,
                      .out_fd = -1};
    enum outcome why = run_script(w, buf_str(&script), &s, ret_status);
    buf_done(&script);
    return why;
}

static void after_script(struct work *w)
{
    const struct job_step *step = find_step(w->job, "after_script");
    if (!step || !step->nscript)
        return;
    bool canceled = w->outcome == CANCEL;
    set(w, "CI_JOB_STATUS", canceled ? "canceled" : w->status == 0 ? "success" : "failed");
    begin(w, "after_script", "Running after_script");
    trace_say(w->trace, "Running after script...");
    enum outcome before = w->outcome;
    int status = 0;
    enum outcome why = run_step(w, step, true, &status);
    if (why == TIMEOUT && clock_ms() < w->deadline_ms) {
        warn(w, "after_script did not end within 5 minutes and was stopped");
        w->outcome = before;
    } else if (why == DONE && status != 0) {
        char text[80];
        snprintf(text, sizeof(text),
                 "after_script failed, but job will continue unaffected: exit code %d", status);
        warn(w, text);
    }
    section(w, false, "after_script");
}

// ---- artifacts --------------------------------------------------------------------------------

static int spool(struct work *w)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/.spool/XXXXXX", w->conf->builds);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        system_failure(w, "cannot make a temporary file in the builds folder");
        return -1;
    }
    // Nameless from the start: nothing is left behind, however this process ends.
    unlink(path);
    return fd;
}

static const char *const SELF_ENV[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
    "HOME=/tmp",
    "GIT_CONFIG_NOSYSTEM=1",
#ifdef __SANITIZE_ADDRESS__
    "ASAN_OPTIONS=detect_leaks=0",
#endif
    NULL};

static bool download_one(struct work *w, const struct job_dependency *d, int fd)
{
    trace_say(w->trace, "Downloading artifacts for %" PRISTR " (%lld)...", STRARG(d->name),
              (long long)d->id);
    const char *token = arena_dup(w->a, d->token.n ? d->token : w->job->token);
    struct err e = ERR_INIT;
    for (int tries = 1;; tries++) {
        struct proto_answer r = PROTO_ANSWER_INIT;
        int rc = proto_artifact_download(w->files_proto, d->id, token, fd, w->conf->artifact_max,
                                         &r, &e);
        long status = rc == 0 ? r.status : 0;
        proto_answer_done(&r);
        if (status == 200)
            return true;
        if (rc == 0)
            err_set(&e, E_IO, "the server answered %ld", status);
        bool final = status == 401 || status == 403 || status == 404 || rc == E_LIMIT ||
                     tries == TRANSFER_TRIES || atomic_load(&w->b->stop);
        if (final) {
            trace_say(w->trace,
                      SCRIPT_BOLD_RED "ERROR: the artifacts of %" PRISTR
                                      " could not be downloaded: %s" SCRIPT_RESET,
                      STRARG(d->name), e.msg);
            return false;
        }
        usleep(500000u * (unsigned)tries);
    }
}

static enum outcome download_artifacts(struct work *w)
{
    if (!w->job->ndeps)
        return DONE;
    begin(w, "download_artifacts", "Downloading artifacts");
    enum outcome why = DONE;
    for (size_t i = 0; i < w->job->ndeps && why == DONE; i++) {
        int fd = spool(w), status = -1;
        if (fd < 0)
            return BROKEN;
        if (!download_one(w, &w->job->deps[i], fd)) {
            system_failure(w, "artifacts of an earlier job are missing");
            why = BROKEN;
        } else if (lseek(fd, 0, SEEK_SET) == 0) {
            const char *argv[] = {"slipway", "artifact", "unpack", NULL};
            struct stage s = {
                .argv = argv, .envp = SELF_ENV, .self = true, .in_fd = fd, .out_fd = -1};
            why = run_stage(w, &s, &status);
            if (why == DONE && status != 0) {
                system_failure(w, "artifacts of an earlier job could not be unpacked");
                why = BROKEN;
            }
        }
        close(fd);
    }
    section(w, false, "download_artifacts");
    return why;
}

static bool wanted(const struct job_artifact *a, bool success)
{
    if (str_is(a->when, "always"))
        return true;
    return str_is(a->when, "on_failure") ? !success : success;
}

static const char *text_of(struct work *w, struct str s)
{
    return arena_dup(w->a, vars_text(&w->vars, s));
}

static bool upload_one(struct work *w, const struct job_artifact *a, int fd)
{
    const char *format = a->format.n ? arena_dup(w->a, a->format) : "zip";
    const char *type = a->type.n ? arena_dup(w->a, a->type) : "archive";
    const char *name = text_of(w, a->name);
    const char *suffix = !strcmp(format, "zip") ? ".zip" : !strcmp(format, "gzip") ? ".gz" : "";
    struct buf file = BUF_INIT(KIB(4));
    buf_addf(&file, "%s%s", *name ? name : !strcmp(type, "archive") ? "artifacts" : type, suffix);
    for (size_t i = 0; i < file.n; i++)
        if (file.p[i] == '/' || (unsigned char)file.p[i] < 0x20 || file.p[i] == '"')
            file.p[i] = '-';
    bool ok = false;
    struct err e = ERR_INIT;
    int64_t deadline = clock_ms() + UPLOAD_RETRY_MS;
    for (unsigned tries = 1; !ok; tries++) {
        struct proto_answer r = PROTO_ANSWER_INIT;
        int rc = proto_artifact_upload(w->files_proto, w->job->id, arena_dup(w->a, w->job->token),
                                       fd, file.p, format, type, text_of(w, a->expire_in), &r, &e);
        long status = rc == 0 ? r.status : 0;
        proto_answer_done(&r);
        ok = status == 201;
        if (ok)
            trace_say(w->trace, "Uploading artifacts as \"%s\" to coordinator... 201 Created",
                      type);
        else if (rc == 0)
            err_set(&e, E_IO,
                    status == 413 ? "the server finds the archive too large (%ld)"
                                  : "the server answered %ld",
                    status);
        // A full disk or a restart over there passes; a refusal does not.
        bool passing = status == 0 || status == 429 || status >= 500;
        if (ok || !passing || rc == E_AGAIN || clock_ms() >= deadline)
            break;
        usleep(500000u * MIN(tries, 6u));
    }
    if (!ok)
        trace_say(w->trace,
                  SCRIPT_BOLD_RED "ERROR: uploading artifacts as \"%s\" failed: %s" SCRIPT_RESET,
                  type, e.msg);
    buf_done(&file);
    return ok;
}

// The packer's arguments: artifact pack --format F [--untracked] [--exclude P]... -- PATH...
static const char *const *pack_arguments(struct work *w, const struct job_artifact *a)
{
    const char **argv = ARENA_ARRAY(w->a, const char *, 10 + a->npaths + 2 * a->nexclude);
    size_t n = 0;
    argv[n++] = "slipway";
    argv[n++] = "artifact";
    argv[n++] = "pack";
    argv[n++] = "--format";
    argv[n++] = a->format.n ? arena_dup(w->a, a->format) : "zip";
    if (a->untracked)
        argv[n++] = "--untracked";
    for (size_t i = 0; i < a->nexclude; i++) {
        argv[n++] = "--exclude";
        argv[n++] = text_of(w, a->exclude[i]);
    }
    argv[n++] = "--";
    for (size_t i = 0; i < a->npaths; i++)
        argv[n++] = text_of(w, a->paths[i]);
    return argv;
}

enum { PACK_NOTHING = 3 }; // src/cmd/artifact.c

static void upload_artifacts(struct work *w, bool success)
{
    const char *name = success ? "upload_artifacts_on_success" : "upload_artifacts_on_failure";
    bool begun = false;
    for (size_t i = 0; i < w->job->nartifacts && w->outcome == DONE; i++) {
        const struct job_artifact *a = &w->job->artifacts[i];
        if (!wanted(a, success) || (!a->npaths && !a->untracked))
            continue;
        if (!begun)
            begin(w, name,
                  success ? "Uploading artifacts for successful job"
                          : "Uploading artifacts for failed job");
        begun = true;
        trace_say(w->trace, "Uploading artifacts...");
        int fd = spool(w), status = -1;
        if (fd < 0)
            break;
        struct stage s = {.argv = pack_arguments(w, a),
                          .envp = SELF_ENV,
                          .self = true,
                          .in_fd = -1,
                          .out_fd = fd,
                          .file_bytes = w->conf->artifact_max};
        enum outcome why = run_stage(w, &s, &status);
        if (why == DONE && status == PACK_NOTHING)
            trace_say(w->trace, SCRIPT_BOLD_RED "ERROR: No files to upload" SCRIPT_RESET);
        else if (why == DONE && status == 128 + SIGXFSZ)
            system_failure(w, "the artifacts are larger than this runner allows (--artifact-max)");
        else if (why == DONE && status != 0)
            system_failure(w, "the artifacts could not be packed");
        else if (why == DONE && !upload_one(w, a, fd))
            system_failure(w, "the artifacts could not be uploaded");
        close(fd);
    }
    if (begun)
        section(w, false, name);
}

// ---- the whole --------------------------------------------------------------------------------

static bool safe_path(struct str path)
{
    if (!path.n || path.n > 1000)
        return false;
    for (struct str rest = path, part; str_cut(&rest, '/', &part);) {
        if (!part.n || str_is(part, ".") || str_is(part, ".."))
            return false;
        for (size_t i = 0; i < part.n; i++) {
            unsigned char c = (unsigned char)part.p[i];
            bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.';
            if (!ok)
                return false;
        }
    }
    return true;
}

static int make_folders(struct work *w, struct err *e)
{
    const struct job *j = w->job;
    const struct runner_conf *c = w->conf;
    w->uid = c->host->privileged ? c->uid_base + w->b->slot : geteuid();
    char *slot = arena_printf(w->a, "%s/%u", c->builds, w->b->slot);
    w->host_dir = arena_printf(w->a, "%s/%lld", slot, (long long)j->project_id);
    int rc = disk_folder(slot, w->uid, 0700, e);
    if (rc == 0)
        rc = disk_folder(w->host_dir, w->uid, 0700, e);
    if (c->host->off) {
        const char *home = getenv("HOME");
        w->builds_dir = c->builds;
        w->dir = w->host_dir;
        w->home = home ? home : "/";
        w->tmp_dir = arena_printf(w->a, "%s.tmp", w->host_dir);
        if (rc == 0)
            rc = disk_folder(w->tmp_dir, w->uid, 0700, e);
        return rc;
    }
    w->builds_dir = "/builds";
    w->dir = safe_path(j->project_path)
                 ? arena_printf(w->a, "/builds/%" PRISTR, STRARG(j->project_path))
                 : arena_printf(w->a, "/builds/project-%lld", (long long)j->project_id);
    w->tmp_dir = arena_printf(w->a, "%s.tmp", w->dir);
    w->home = "/home/job";
    return rc;
}

static void say_hello(struct work *w)
{
    const struct runner_conf *c = w->conf;
    char host[256] = "this machine";
    gethostname(host, sizeof(host) - 1);
    trace_say(w->trace, "\x1b[0KRunning with slipway-runner %s" SCRIPT_RESET, SLIPWAY_VERSION);
    trace_say(w->trace, "\x1b[0K  on %s, system ID: %s" SCRIPT_RESET, c->name, c->proto.system_id);
    begin(w, "prepare_executor",
          c->host->off ? "Preparing the \"shell\" executor" : "Preparing the \"sandbox\" executor");
    if (c->host->off)
        warn(w, "this runner was started with --sandbox=off: the job is not isolated");
    if (w->job->has_image)
        trace_say(w->trace, "Note: `image:` is ignored, jobs run on this machine's own system");
    if (w->job->has_services)
        warn(w, "`services:` are not started: this runner does not have them");
    section(w, false, "prepare_executor");
    begin(w, "prepare_script", "Preparing environment");
    trace_say(w->trace, "Running on %s...", host);
    section(w, false, "prepare_script");
}

static void run_stages(struct work *w)
{
    const struct job_step *script = find_step(w->job, "script");
    w->status = -1;
    if (get_sources(w) != DONE || download_artifacts(w) != DONE)
        return;
    begin(w, "step_script", "Executing \"step_script\" stage of the job script");
    w->status = 0;
    if (!script)
        warn(w, "the job has no script");
    else
        run_step(w, script, false, &w->status);
    if (w->conf->host->cgroups && w->status != 0 && cgroups_oom(w->conf->host->cgroups, w->group))
        warn(w, "the kernel ended a process of this job because its memory limit was reached");
    section(w, false, "step_script");
    if (w->outcome == DONE || w->outcome == CANCEL)
        after_script(w);
    if (w->outcome == DONE)
        upload_artifacts(w, w->status == 0);
}

struct verdict {
    const char *state, *reason;
    int exit_code;
};

static const char *reason_or(const struct job *j, const char *reason, const char *otherwise)
{
    return job_knows_reason(j, reason) ? reason : otherwise;
}

static struct verdict say_verdict(struct work *w)
{
    const struct job *j = w->job;
    struct verdict v = {"failed", "script_failure", -1};
    static const char FAILED[] = SCRIPT_BOLD_RED "ERROR: Job failed";
    switch (w->outcome) {
    case DONE:
        if (w->status == 0) {
            trace_say(w->trace, SCRIPT_BOLD_GREEN "Job succeeded" SCRIPT_RESET);
            return (struct verdict){"success", NULL, 0};
        }
        v.exit_code = w->status;
        trace_say(w->trace, "%s: exit code %d" SCRIPT_RESET, FAILED, w->status);
        return v;
    case TIMEOUT:
        v.reason = "job_execution_timeout";
        trace_say(w->trace,
                  "%s: execution took longer than %lld seconds (the job's timeout)" SCRIPT_RESET,
                  FAILED, (long long)j->timeout_s);
        return v;
    case CANCEL:
        v.reason = reason_or(j, "job_canceled", "script_failure");
        trace_say(w->trace, "%s: canceled" SCRIPT_RESET, FAILED);
        return v;
    case FULL:
        trace_say(w->trace, "%s: a limit of the runner was passed" SCRIPT_RESET, FAILED);
        return v;
    case STOP:
        v.reason = reason_or(j, "runner_interrupted", "runner_system_failure");
        trace_say(w->trace, "%s (system failure): the runner was stopped" SCRIPT_RESET, FAILED);
        return v;
    case ABORT:
    case BROKEN:
        break;
    }
    v.reason = "runner_system_failure";
    trace_say(w->trace, "%s (system failure): %s" SCRIPT_RESET, FAILED,
              w->system_failure ? w->system_failure : "unknown");
    return v;
}

static void run_job(struct work *w)
{
    struct err e = ERR_INIT;
    if (w->b->refusal) {
        system_failure(w, w->b->refusal);
        return;
    }
    int rc = make_folders(w, &e);
    say_hello(w);
    if (rc < 0) {
        system_failure(w, e.msg);
        return;
    }
    w->bash = access("/bin/bash", X_OK) == 0 || access("/usr/bin/bash", X_OK) == 0;
    snprintf(w->group, sizeof(w->group), "job-%lld", (long long)w->job->id);
    if (w->conf->host->cgroups)
        cgroups_make(w->conf->host->cgroups, w->group, w->conf->job_pids, w->conf->job_memory);
    set_variables(w);
    collect_files(w);
    disk_watch_init(&w->disk, w->host_dir, w->conf->job_disk);
    run_stages(w);
    begin(w, "cleanup_file_variables", "Cleaning up project directory and file based variables");
    if (w->conf->host->off && disk_remove(w->tmp_dir, &e) < 0)
        warn(w, e.msg);
    section(w, false, "cleanup_file_variables");
    if (w->conf->host->cgroups)
        cgroups_remove(w->conf->host->cgroups, w->group);
    vars_done(&w->vars);
}

// Replaces scheme and host of a URL by those of `base`.
static void move_url(struct buf *url, const char *base)
{
    struct buf other = BUF_INIT(KIB(16));
    struct str at = str_of(base);
    while (at.n && at.p[at.n - 1] == '/')
        at.n--;
    buf_add(&other, at);
    size_t host = (size_t)str_search(buf_str(url), STR("://")) + 3;
    ptrdiff_t path = str_find(str_from(buf_str(url), host), '/');
    if (path >= 0)
        buf_add(&other, str_from(buf_str(url), host + (size_t)path));
    buf_done(url);
    *url = other;
}

void build_run(struct build *b, char *ret_note, size_t note_size)
{
    struct work w = {.b = b, .conf = b->conf, .job = &b->job, .a = &b->arena};
    ret_note[0] = '\0';
    buf_init(&w.auth, KIB(16));
    buf_init(&w.url, KIB(16));
    if (script_split_url(b->job.repo_url, &w.url, &w.auth) && b->conf->clone_url)
        move_url(&w.url, b->conf->clone_url);
    int64_t timeout = b->job.timeout_s > 0 ? b->job.timeout_s : 3600;
    w.deadline_ms = clock_ms() + timeout * 1000;
    w.trace = trace_new(&(struct trace_opts){
        .conf = &b->conf->proto,
        .job_id = b->job.id,
        .job_token = arena_dup(&b->arena, b->job.token),
        .mask = make_mask(&b->job, buf_str(&w.auth)),
        .limit = b->conf->log_limit,
        .wake_fd = b->wake_fd,
    });
    w.files_proto = proto_new(&b->conf->proto);
    proto_set_stop(w.files_proto, &b->stop);
    run_job(&w);
    if (w.outcome != ABORT) {
        struct verdict v = say_verdict(&w);
        struct err e = ERR_INIT;
        if (trace_finish(w.trace, v.state, v.exit_code, v.reason, &b->give_up, &e) < 0)
            snprintf(ret_note, note_size, "the result (%s) did not reach the server: %s", v.state,
                     e.msg);
    }
    trace_free(w.trace);
    proto_free(w.files_proto);
    mem_wipe(w.auth.p, w.auth.n);
    buf_done(&w.url);
    buf_done(&w.auth);
    arena_done(&b->arena);
}
