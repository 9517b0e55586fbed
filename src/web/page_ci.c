// SPDX-License-Identifier: Apache-2.0
// Pipelines, one pipeline with its graph, one job with its log. Pages show what the store holds at
// that moment; a script reloads the marked regions when a stream says that something changed.
#include "web/page_ci.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/text.h"
#include "store/artifacts.h"
#include "store/jobs.h"
#include "store/pipelines.h"
#include "store/runners.h"
#include "store/users.h"
#include "web/asset.h"
#include "web/graph.h"
#include "web/source.h"

enum { PER_PAGE = 30, PING_MS = 20000, EXCERPT_LINES = 3 };

// ---- who may

int ci_may_see(struct view *v)
{
    if (v->project.public_jobs || v->level >= ACCESS_REPORTER)
        return 0;
    return err_set(&v->e, E_NOTFOUND, "There is no such page, or you may not see it.");
}

int ci_may_run(struct view *v, struct str ref, bool tag, bool *ret)
{
    *ret = false;
    if (v->level < ACCESS_DEVELOPER || v->project.archived)
        return 0;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    bool locked;
    struct protection rule = {0};
    TRY(access_ref_protected(&tx, v->a, v->project.id, tag, ref, &locked, &rule, &v->e));
    int least = 0;
    if (locked) {
        least = rule.push_level;
        if (rule.merge_level && (!least || rule.merge_level < least))
            least = rule.merge_level;
        if (!least)
            return 0;
    }
    *ret = v->level >= least;
    return 0;
}

static int get_pipeline(struct view *v, struct tx *tx, size_t part, struct pipeline *ret)
{
    int64_t id;
    TRY(ci_may_see(v));
    TRY(view_id(v, part, &id));
    int r = pipeline_get(tx, v->a, id, ret, &v->e);
    if (r == E_NOTFOUND || (!r && ret->project_id != v->project.id))
        return err_set(&v->e, E_NOTFOUND, "There is no pipeline #%lld in this project.",
                       (long long)id);
    return r;
}

static int get_job(struct view *v, struct tx *tx, size_t part, struct job *ret)
{
    int64_t id;
    TRY(ci_may_see(v));
    TRY(view_id(v, part, &id));
    int r = job_get(tx, v->a, id, ret, &v->e);
    if (r == E_NOTFOUND || (!r && ret->project_id != v->project.id))
        return err_set(&v->e, E_NOTFOUND, "There is no job #%lld in this project.", (long long)id);
    return r;
}

int ci_target_pipeline(struct view *v, size_t part, struct ci_target *ret)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct pipeline p;
    TRY(get_pipeline(v, &tx, part, &p));
    *ret = (struct ci_target){p.id, p.id, p.ref, p.tag};
    return 0;
}

int ci_target_job(struct view *v, size_t part, struct ci_target *ret)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct job j;
    TRY(get_job(v, &tx, part, &j));
    *ret = (struct ci_target){j.id, j.pipeline_id, j.ref, j.tag};
    return 0;
}

// ---- pieces

static int64_t job_ran_ms(const struct view *v, const struct job *j)
{
    if (!j->started_at)
        return -1;
    return (j->finished_at ? j->finished_at : v->now) - j->started_at;
}

static void fill_job(struct view *v, struct val *to, const struct job *j)
{
    val_int(to, "id", j->id);
    val_str(to, "name", j->name);
    val_str(to, "stage", j->stage);
    view_status(to, ci_status_name(j->status), j->allow_failure && j->status == CI_FAILED);
    val_bool(to, "allow_failure", j->allow_failure);
    val_bool(to, "retried", j->retried);
    int64_t ran = job_ran_ms(v, j);
    if (ran >= 0)
        val_int(to, "ran", ran);
    if (j->finished_at)
        val_int(to, "finished_at", j->finished_at);
    bool on_runner = ci_status_in(j->status, CI_SET_ON_RUNNER);
    val_bool(to, "running", on_runner);
    bool finished = ci_status_in(j->status, CI_SET_FINISHED);
    val_bool(to, "can_cancel",
             ci_status_in(j->status, CI_SET_CANCELABLE) && j->status != CI_MANUAL &&
                 j->status != CI_CREATED);
    val_bool(to, "can_retry", finished && j->status != CI_SKIPPED && !j->retried);
    val_bool(to, "can_play", j->status == CI_MANUAL || j->status == CI_SCHEDULED);
}

// GitLab's names of failures, in words that say what to do.
static const char *reason_text(struct str reason)
{
    static const struct {
        const char *name, *text;
    } REASONS[] = {
        {"script_failure", "A command of the script ended with an error. The end of the log says "
                           "which."},
        {"runner_system_failure",
         "The runner itself failed, not the script. Retrying makes sense."},
        {"job_execution_timeout", "The job took longer than its timeout."},
        {"stuck_or_timeout_failure", "The job stopped telling anything and was given up."},
        {"missing_dependency_failure", "Artifacts of a job that it needs are gone or expired."},
        {"runner_unsupported", "The runner is too old for what the job needs."},
        {"trace_size_exceeded", "The log grew over its limit."},
        {"unmet_prerequisites", "What the job depends on was not ready."},
        {"scheduler_failure", "The job could not be handed to a runner."},
        {"data_integrity_failure", "The job's stored data is damaged."},
        {"archived_failure", "The project is archived."},
        {"user_blocked", "The user who started it is blocked."},
        {"config_error", "The configuration file has errors."},
    };
    for (size_t i = 0; i < ARRAY_SIZE(REASONS); i++)
        if (str_is(reason, REASONS[i].name))
            return REASONS[i].text;
    return NULL;
}

static void fill_reason(struct view *v, struct val *to, struct str reason)
{
    if (!reason.n)
        return;
    const char *words = reason_text(reason);
    val_str(to, "reason", words ? str_of(words) : reason);
    val_str(to, "reason_name", reason);
}

static void fill_user(struct view *v, struct tx *tx, struct val *to, int64_t id)
{
    struct user u;
    struct err none;
    if (!id || user_get(tx, v->a, id, &u, &none))
        return;
    val_str(to, "user", u.username);
    val_str(to, "user_name", u.name.n ? u.name : u.username);
}

static const char *source_text(struct str source)
{
    static const char *const WORDS[][2] = {
        {"push", "push"},
        {"web", "by hand"},
        {"api", "API"},
        {"trigger", "trigger"},
        {"schedule", "schedule"},
        {"parent_pipeline", "parent pipeline"},
        {"pipeline", "another project's pipeline"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(WORDS); i++)
        if (str_is(source, WORDS[i][0]))
            return WORDS[i][1];
    return "other";
}

static int64_t pipeline_ran_ms(const struct view *v, const struct pipeline *p)
{
    if (p->duration_ms > 0)
        return p->duration_ms;
    if (!p->started_at)
        return -1;
    return (p->finished_at ? p->finished_at : v->now) - p->started_at;
}

static void fill_pipeline(struct view *v, struct tx *tx, struct val *to, const struct pipeline *p)
{
    val_int(to, "id", p->id);
    val_int(to, "iid", p->iid);
    view_status(to, view_pipeline_state(tx, p), false);
    val_str(to, "ref", p->ref);
    val_bool(to, "tag", p->tag);
    val_str(to, "sha", p->sha);
    val_str(to, "short_sha", str_head(p->sha, GIT_SHORT_SHA));
    val_str(to, "commit_title", p->commit_title);
    val_str(to, "name", p->name);
    val_str(to, "heading",
            p->name.n           ? p->name
            : p->commit_title.n ? p->commit_title
                                : arena_strf(v->a, "Pipeline #%lld", (long long)p->id));
    val_cstr(to, "source", source_text(p->source));
    val_int(to, "at", p->created_at);
    int64_t ran = pipeline_ran_ms(v, p);
    if (ran >= 0)
        val_int(to, "ran", ran);
    val_bool(to, "live", !ci_status_in(p->status, CI_SET_FINISHED));
    val_bool(to, "config_error", str_is(p->failure_reason, "config_error"));
    val_bool(to, "can_cancel", ci_status_in(p->status, CI_SET_CANCELABLE));
    val_bool(to, "can_retry",
             (p->status == CI_FAILED || p->status == CI_CANCELED) &&
                 !str_is(p->failure_reason, "config_error"));
    fill_user(v, tx, to, p->user_id);
}

// Statuses that mean the same for a stage, worst or liveliest first.
static enum ci_status stage_status(const struct job *jobs, size_t n, int stage, bool *warned)
{
    static const enum ci_status ORDER[] = {
        CI_RUNNING,   CI_CANCELING, CI_FAILED,  CI_PENDING, CI_PREPARING, CI_WAITING_FOR_RESOURCE,
        CI_SCHEDULED, CI_CANCELED,  CI_CREATED, CI_SUCCESS, CI_MANUAL,    CI_SKIPPED};
    *warned = false;
    for (size_t o = 0; o < ARRAY_SIZE(ORDER); o++)
        for (size_t i = 0; i < n; i++) {
            if (jobs[i].stage_idx != stage || jobs[i].status != ORDER[o])
                continue;
            if (jobs[i].status == CI_FAILED && jobs[i].allow_failure) {
                *warned = true;
                continue;
            }
            return ORDER[o];
        }
    return CI_SUCCESS;
}

static void fill_stages(struct view *v, struct val *to, const struct job *jobs, size_t n, bool full)
{
    struct val *list = val_list(to, "stages");
    for (size_t i = 0; i < n; i++) {
        if (i && jobs[i].stage_idx == jobs[i - 1].stage_idx)
            continue;
        struct val *row = val_push(list);
        val_str(row, "name", jobs[i].stage);
        bool warned;
        enum ci_status s = stage_status(jobs, n, jobs[i].stage_idx, &warned);
        view_status(row, warned && s == CI_SUCCESS ? "warning" : ci_status_name(s), false);
        if (!full)
            continue;
        struct val *items = val_list(row, "jobs");
        size_t count = 0;
        for (size_t k = i; k < n && jobs[k].stage_idx == jobs[i].stage_idx; k++, count++)
            fill_job(v, val_push(items), &jobs[k]);
        val_int(row, "count", (int64_t)count);
    }
}

// ---- the list

static const struct {
    const char *name;
    unsigned set;
} SCOPES[] = {
    {"all", 0},
    {"running", CI_SET_ALIVE},
    {"finished", CI_SET_FINISHED},
    {"failed", CI_BIT(CI_FAILED)},
};

static int pipelines_page(struct view *v)
{
    TRY(ci_may_see(v));
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct pipeline_filter f = {
        .project_id = v->project.id, .tag = -1, .ref = view_query(v, "ref")};
    struct str scope = view_query(v, "scope");
    struct val *tabs = val_list(v->root, "scopes");
    bool known = false;
    for (size_t i = ARRAY_SIZE(SCOPES); i-- > 0;)
        known = known || str_is(scope, SCOPES[i].name);
    for (size_t i = 0; i < ARRAY_SIZE(SCOPES); i++) {
        bool on = known ? str_is(scope, SCOPES[i].name) : i == 0;
        struct val *t = val_push(tabs);
        val_cstr(t, "name", SCOPES[i].name);
        val_bool(t, "on", on);
        if (on)
            f.statuses = SCOPES[i].set;
    }
    struct page page = view_page(v, PER_PAGE);
    struct pipeline *p;
    size_t n;
    TRY(pipeline_list(&tx, v->a, &f, &page, &p, &n, &v->e));
    struct val *list = val_list(v->root, "pipelines");
    for (size_t i = 0; i < n; i++) {
        struct val *row = val_push(list);
        fill_pipeline(v, &tx, row, &p[i]);
        struct job *jobs;
        size_t njobs;
        TRY(job_list_pipeline(&tx, v->a, p[i].id, false, &jobs, &njobs, &v->e));
        fill_stages(v, row, jobs, njobs, false);
    }
    val_bool(v->root, "any_pipelines", n > 0);
    val_str(v->root, "filter_ref", f.ref);
    val_bool(v->root, "filtered", f.ref.n || f.statuses);
    view_pager(v, &page);
    bool may = false;
    TRY(ci_may_run(v, v->project.default_branch, false, &may));
    val_bool(v->root, "may_run", may && !v->project.empty_repo);
    return view_render(v, "pipelines", "Pipelines");
}

// ---- one pipeline

static struct str icon_of(void *ctx, struct str status)
{
    // The file is a whole <svg>; the graph wants what is inside it.
    (void)ctx;
    struct val map = {.type = VAL_MAP};
    _autoarena_ struct arena a;
    arena_init(&a, KIB(64));
    map.arena = &a;
    char name[32];
    snprintf(name, sizeof(name), "%" PRISTR, STRARG(status));
    view_status(&map, name, false);
    struct str icon = val_get(&map, STR("status_icon"))->str;
    char path[64];
    snprintf(path, sizeof(path), "icons/%" PRISTR ".svg", STRARG(icon));
    const struct asset *f = asset_find(str_of(path));
    if (!f)
        return STR_NONE;
    ptrdiff_t start = str_find(f->bytes, '>'), end = str_search(f->bytes, STR("</svg>"));
    return start < 0 || end < start ? STR_NONE
                                    : str_n(f->bytes.p + start + 1, (size_t)(end - start - 1));
}

static int fill_graph(struct view *v, struct tx *tx, int64_t pipeline, const struct job *jobs,
                      size_t n)
{
    struct job_edge *edges;
    size_t nedges;
    TRY(job_edges(tx, v->a, pipeline, &edges, &nedges, &v->e));
    struct graph_job *g = ARENA_ARRAY(v->a, struct graph_job, n + 1);
    struct str *stages = ARENA_ARRAY(v->a, struct str, n + 1);
    size_t nstages = 0;
    struct str url = view_project_url(v);
    struct map by_name = MAP_INIT;
    for (size_t i = 0; i < n; i++) {
        if (!i || jobs[i].stage_idx != jobs[i - 1].stage_idx)
            stages[nstages++] = jobs[i].stage;
        bool warned = jobs[i].allow_failure && jobs[i].status == CI_FAILED;
        g[i] = (struct graph_job){
            .name = jobs[i].name,
            .href = arena_strf(v->a, "%" PRISTR "/-/jobs/%lld", STRARG(url), (long long)jobs[i].id),
            .status = str_of(warned ? "warning" : ci_status_name(jobs[i].status)),
            .stage = nstages - 1,
            .allow_failure = jobs[i].allow_failure,
            .id = jobs[i].id,
        };
        map_set(&by_name, jobs[i].name, &g[i]);
    }
    for (size_t i = 0; i < n; i++) {
        size_t *needs = ARENA_ARRAY(v->a, size_t, nedges + 1);
        g[i].needs = needs;
        for (size_t k = 0; k < nedges; k++) {
            const struct graph_job *from = map_get(&by_name, edges[k].need.name);
            if (edges[k].job_id == jobs[i].id && from)
                needs[g[i].nneeds++] = (size_t)(from - g);
        }
    }
    map_done(&by_name);
    struct buf svg = BUF_INIT(MIB(4));
    graph_svg(stages, nstages, g, n, icon_of, NULL, v->a, &svg);
    val_html(v->root, "graph", buf_ok(&svg) ? arena_str(v->a, buf_str(&svg)) : STR_NONE);
    buf_done(&svg);
    return 0;
}

// The lines around a mistake, with the place marked.
static void fill_excerpt(struct view *v, struct val *row, struct str file, int64_t line,
                         int64_t column, struct str sha)
{
    if (!v->repo && !access_may_read_code(&v->project, v->level))
        return;
    struct err none;
    if (!v->repo) {
        struct str path = forge_repo_path(v->w->ctx.forge, v->a, v->project.storage);
        if (git_repo_open(arena_dup(v->a, path), &v->repo, &none))
            return;
    }
    struct git_blob blob;
    if (git_read_blob(v->repo, sha, file, 1 << 20, v->a, &blob, &none) || blob.binary)
        return;
    val_bool(row, "has_excerpt", true);
    struct val *lines = val_list(row, "excerpt");
    struct str rest = blob.data, one;
    for (int64_t n = 1; rest.n && str_cut(&rest, '\n', &one) && n <= line + EXCERPT_LINES - 1;
         n++) {
        if (n < line - EXCERPT_LINES + 1)
            continue;
        struct val *l = val_push(lines);
        val_int(l, "no", n);
        val_bool(l, "at", n == line);
        struct buf b = BUF_INIT(KIB(64));
        source_escape(str_head(one, 400), &b);
        val_html(l, "text", arena_str(v->a, buf_str(&b)));
        buf_clear(&b);
        for (int64_t c = 1; n == line && c < MIN(column, (int64_t)200); c++)
            buf_addc(&b, ' ');
        val_str(l, "indent", arena_str(v->a, buf_str(&b)));
        buf_done(&b);
    }
}

// Markup of a message: `words` become code.
static void val_words(struct view *v, struct val *row, struct str text)
{
    struct buf b = BUF_INIT(KIB(64));
    ptrdiff_t open, close;
    while ((open = str_find(text, '`')) >= 0 &&
           (close = str_find(str_from(text, (size_t)open + 1), '`')) >= 0) {
        text_html(&b, str_head(text, (size_t)open));
        buf_adds(&b, "<code>");
        text_html(&b, str_n(text.p + open + 1, (size_t)close));
        buf_adds(&b, "</code>");
        text = str_from(text, (size_t)(open + close) + 2);
    }
    text_html(&b, text);
    val_html(row, "text", arena_str(v->a, buf_str(&b)));
    buf_done(&b);
}

// "file:line:column: text" per line; without a place the whole line is the text.
static void fill_problems(struct view *v, const char *key, struct str text, struct str sha)
{
    struct val *list = val_list(v->root, key);
    struct str rest = text, line;
    size_t shown = 0;
    while (rest.n && str_cut(&rest, '\n', &line)) {
        if (!line.n)
            continue;
        struct val *row = val_push(list);
        struct str tail = line, file = STR_NONE, no = STR_NONE, col = STR_NONE;
        int64_t n = 0, c = 0;
        str_cut(&tail, ':', &file);
        str_cut(&tail, ':', &no);
        str_cut(&tail, ':', &col);
        if (tail.p && str_to_i64(no, &n) && str_to_i64(col, &c) && n > 0) {
            val_str(row, "file", file);
            val_int(row, "line", n);
            val_int(row, "column", c);
            val_words(v, row, str_trim(tail));
            if (shown++ < 10)
                fill_excerpt(v, row, file, n, c, sha);
        } else {
            val_words(v, row, line);
        }
    }
}

static uint64_t fingerprint(const struct pipeline *p, const struct job *jobs, size_t n)
{
    uint64_t h = 14695981039346656037u ^ (uint64_t)p->status;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (uint64_t)jobs[i].id) * 1099511628211u;
        h = (h ^ (uint64_t)jobs[i].status) * 1099511628211u;
    }
    return h ? h : 1;
}

// Tells "change" whenever a state differs from what the stream last told.
static int pipeline_stream(struct view *v)
{
    struct ci_target t;
    TRY(ci_target_pipeline(v, 0, &t));
    char topic[48];
    snprintf(topic, sizeof(topic), "pipeline:%lld", (long long)t.id);
    http_watch(v->c, topic);
    struct pipeline p;
    struct job *jobs;
    size_t n;
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(v->w->ctx.store, &tx, &v->e));
        TRY(get_pipeline(v, &tx, 0, &p));
        TRY(job_list_pipeline(&tx, v->a, p.id, false, &jobs, &n, &v->e));
    }
    uint64_t now = fingerprint(&p, jobs, n), seen = *http_cursor(v->c);
    if (!http_begun(v->c)) {
        if (!str_to_u64(http_header(v->c, "Last-Event-ID"), &seen) &&
            !str_to_u64(view_query(v, "from"), &seen))
            seen = 0;
        http_set(v->c, "Cache-Control", STR("no-store"));
        http_set(v->c, "X-Accel-Buffering", STR("no"));
        TRY(http_begin(v->c, "text/event-stream", &v->e));
    }
    bool finished = ci_status_in(p.status, CI_SET_FINISHED);
    struct str say = STR_NONE;
    if (now != seen || finished)
        say = arena_strf(v->a, "id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)now,
                         finished ? "end" : "change", ci_status_name(p.status));
    else if (http_timed_out(v->c))
        say = STR(": still here\n\n");
    if (say.n)
        TRY(http_write(v->c, say, &v->e));
    if (finished || http_stopping(v->c))
        return 0;
    *http_cursor(v->c) = now;
    return http_park(v->c, clock_ms() + PING_MS) == HTTP_PARK ? VIEW_PARK : 0;
}

static int pipeline_page(struct view *v)
{
    struct str stream;
    if (http_query_get(v->c, "stream", &stream))
        return pipeline_stream(v);
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct pipeline p;
    TRY(get_pipeline(v, &tx, 0, &p));
    struct val *row = val_sub(v->root, "pipeline");
    fill_pipeline(v, &tx, row, &p);
    struct job *jobs;
    size_t n;
    TRY(job_list_pipeline(&tx, v->a, p.id, false, &jobs, &n, &v->e));
    fill_stages(v, v->root, jobs, n, true);
    val_strf(row, "cursor", "%llu", (unsigned long long)fingerprint(&p, jobs, n));
    val_int(row, "jobs", (int64_t)n);
    val_cstr(row, "jobs_word", n == 1 ? "job" : "jobs");
    val_bool(v->root, "any_jobs", n > 0);
    val_bool(v->root, "any_warnings", p.warnings.n > 0);
    val_int(v->root, "from_pipeline", p.id);
    TRY(fill_graph(v, &tx, p.id, jobs, n));
    if (p.failure_reason.n)
        fill_reason(v, row, p.failure_reason);
    fill_problems(v, "problems", p.yaml_errors, p.sha);
    fill_problems(v, "warnings", p.warnings, p.sha);
    bool may = false;
    tx_done(&tx);
    TRY(ci_may_run(v, p.ref, p.tag, &may));
    val_bool(v->root, "may_run", may);
    struct str title = arena_strf(v->a, "Pipeline #%lld", (long long)p.id);
    return view_render(v, "pipeline", arena_dup(v->a, title));
}

// ---- one job

static int fill_artifacts(struct view *v, struct tx *tx, const struct job *j)
{
    struct artifact *f;
    size_t n;
    TRY(artifact_list(tx, v->a, j->id, &f, &n, &v->e));
    for (size_t i = 0; i < n; i++) {
        if (!str_is(f[i].type, "archive"))
            continue;
        struct val *a = val_sub(v->root, "artifacts");
        val_str(a, "name", f[i].file_name);
        val_int(a, "size", f[i].size);
        bool expired = f[i].expire_at && f[i].expire_at <= v->now;
        val_bool(a, "expired", expired);
        if (f[i].expire_at && !expired) {
            struct buf b = BUF_INIT(64);
            tmpl_duration(&b, f[i].expire_at - v->now);
            int64_t days = (f[i].expire_at - v->now + 43200000) / 86400000;
            val_str(a, "expires",
                    days > 1 ? arena_strf(v->a, "%lld days", (long long)days)
                             : arena_str(v->a, buf_str(&b)));
            buf_done(&b);
        }
    }
    return 0;
}

static int fill_siblings(struct view *v, struct tx *tx, const struct job *j)
{
    struct job *jobs;
    size_t n;
    TRY(job_list_pipeline(tx, v->a, j->pipeline_id, true, &jobs, &n, &v->e));
    struct val *list = val_list(v->root, "siblings"), *attempts = val_list(v->root, "attempts");
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(jobs[i].name, j->name) && jobs[i].id != j->id) {
            fill_job(v, val_push(attempts), &jobs[i]);
            any = true;
        }
        if (jobs[i].stage_idx != j->stage_idx || (jobs[i].retried && jobs[i].id != j->id))
            continue;
        struct val *row = val_push(list);
        fill_job(v, row, &jobs[i]);
        val_bool(row, "current", jobs[i].id == j->id);
    }
    val_bool(v->root, "any_attempts", any);
    return 0;
}

static int fill_job_page(struct view *v, struct tx *tx, const struct job *j)
{
    struct val *row = val_sub(v->root, "job");
    fill_job(v, row, j);
    fill_user(v, tx, row, j->user_id);
    val_str(row, "ref", j->ref);
    val_bool(row, "tag", j->tag);
    val_str(row, "sha", j->sha);
    val_str(row, "short_sha", str_head(j->sha, GIT_SHORT_SHA));
    val_int(row, "pipeline_id", j->pipeline_id);
    val_int(row, "created_at", j->created_at);
    if (j->started_at)
        val_int(row, "started_at", j->started_at);
    if (j->queued_at && j->started_at)
        val_int(row, "queued", j->started_at - j->queued_at);
    int64_t timeout = j->timeout_s ? j->timeout_s : v->project.build_timeout_s;
    if (timeout)
        val_int(row, "timeout", timeout * 1000);
    if (j->exit_code >= 0 && j->status == CI_FAILED)
        val_int(row, "exit_code", j->exit_code);
    if (j->coverage >= 0)
        val_strf(row, "coverage", "%.1f %%", j->coverage);
    if (j->status == CI_FAILED)
        fill_reason(v, row, j->failure_reason);
    val_bool(row, "has_tags", j->tag_list.n > 0);
    struct val *tags = val_list(row, "tags");
    struct str rest = j->tag_list, tag;
    while (rest.n && str_cut(&rest, ',', &tag))
        val_push_str(tags, tag);
    struct runner r;
    struct err none;
    if (j->runner_id && !runner_get(tx, v->a, j->runner_id, &r, &none)) {
        val_strf(row, "runner", "#%lld", (long long)r.id);
        val_str(row, "runner_description", r.description);
    }
    val_bool(row, "waiting", j->status == CI_PENDING);
    val_bool(row, "not_started", !j->started_at && !j->finished_at);
    val_bool(row, "live", !ci_status_in(j->status, CI_SET_FINISHED) && j->status != CI_MANUAL);
    val_bool(row, "erased", j->erased_at != 0);
    TRY(fill_siblings(v, tx, j));
    return fill_artifacts(v, tx, j);
}

static int job_page(struct view *v)
{
    struct str stream;
    if (http_query_get(v->c, "stream", &stream))
        return ci_job_stream(v);
    struct job j;
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(v->w->ctx.store, &tx, &v->e));
        TRY(get_job(v, &tx, 0, &j));
        TRY(fill_job_page(v, &tx, &j));
    }
    TRY(ci_fill_log(v, j.id, ci_status_in(j.status, CI_SET_FINISHED)));
    bool may = false;
    TRY(ci_may_run(v, j.ref, j.tag, &may));
    val_bool(v->root, "may_run", may);
    struct str title = arena_strf(v->a, "%" PRISTR " (#%lld)", STRARG(j.name), (long long)j.id);
    return view_render(v, "job", arena_dup(v->a, title));
}

static int job_raw(struct view *v)
{
    struct ci_target t;
    TRY(ci_target_job(v, 0, &t));
    return ci_raw_log(v, t.id);
}

const struct view_route ROUTES_CI[] = {
    {"/pipelines", VIEW_GET, 0, pipelines_page, "pipelines"},
    {"/pipelines", VIEW_POST | VIEW_SIGNED_IN, ACCESS_DEVELOPER, page_pipeline_create, "pipelines"},
    {"/pipelines/:id", VIEW_GET, 0, pipeline_page, "pipelines"},
    {"/pipelines/:id/cancel", VIEW_POST | VIEW_SIGNED_IN, ACCESS_DEVELOPER, page_pipeline_cancel,
     "pipelines"},
    {"/pipelines/:id/retry", VIEW_POST | VIEW_SIGNED_IN, ACCESS_DEVELOPER, page_pipeline_retry,
     "pipelines"},
    {"/jobs/:id", VIEW_GET, 0, job_page, "pipelines"},
    {"/jobs/:id/log", VIEW_GET, 0, job_page, "pipelines"},
    {"/jobs/:id/raw", VIEW_GET, 0, job_raw, "pipelines"},
    {"/jobs/:id/cancel", VIEW_POST | VIEW_SIGNED_IN, ACCESS_DEVELOPER, page_job_cancel,
     "pipelines"},
    {"/jobs/:id/retry", VIEW_POST | VIEW_SIGNED_IN, ACCESS_DEVELOPER, page_job_retry, "pipelines"},
    {"/jobs/:id/play", VIEW_POST | VIEW_SIGNED_IN, ACCESS_DEVELOPER, page_job_play, "pipelines"},
    {"/jobs/:id/artifacts/download", VIEW_GET, 0, page_artifacts_download, "pipelines"},
    {"/jobs/:id/artifacts/browse", VIEW_TAIL, 0, page_artifacts_browse, "pipelines"},
    {"/jobs/:id/artifacts/file", VIEW_TAIL, 0, page_artifacts_file, "pipelines"},
    {NULL, 0, 0, NULL, NULL},
};
