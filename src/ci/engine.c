// SPDX-License-Identifier: Apache-2.0
// The engine's heart: loading a pipeline's jobs, asking the processing model what changes, storing
// that, and the actions of people on jobs and pipelines. Each function works in one transaction;
// called from worker threads, it keeps nothing between calls.
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "ci/engine_impl.h"

#include <stdlib.h>

int ci_engine_new(const struct ci_engine_config *cfg, struct ci_engine **ret, struct err *e)
{
    if (!cfg->store || !cfg->fetch || !cfg->resolve || !cfg->commit)
        return err_set(e, E_INVALID, "the engine needs a store and access to Git");
    struct ci_engine *en = NEW(struct ci_engine);
    en->cfg = *cfg;
    en->external_url = str_dup(str_of(cfg->external_url ? cfg->external_url : ""));
    en->pages_domain = str_dup(str_of(cfg->pages_domain ? cfg->pages_domain : ""));
    if (en->cfg.default_timeout_s <= 0)
        en->cfg.default_timeout_s = 3600;
    if (en->cfg.stuck_running_s <= 0)
        en->cfg.stuck_running_s = 600;
    if (en->cfg.stuck_pending_s <= 0)
        en->cfg.stuck_pending_s = 86400;
    if (en->cfg.canceling_s <= 0)
        en->cfg.canceling_s = 300;
    if (!en->cfg.restart_grace_s)
        en->cfg.restart_grace_s = 60;
    en->started = clock_ms();
    *ret = en;
    return 0;
}

void ci_engine_free(struct ci_engine *en)
{
    if (!en)
        return;
    free(en->external_url);
    free(en->pages_domain);
    free(en);
}

// ---- processing ----

static enum ci_when when_of(enum job_when w)
{
    static const enum ci_when MAP[] = {
        [WHEN_ON_SUCCESS] = CI_ON_SUCCESS, [WHEN_ON_FAILURE] = CI_ON_FAILURE,
        [WHEN_ALWAYS] = CI_ALWAYS,         [WHEN_MANUAL] = CI_MANUAL_START,
        [WHEN_DELAYED] = CI_DELAYED,       [WHEN_NEVER] = CI_NEVER,
    };
    return MAP[w];
}

// A job's needs by row become indexes; `edges` are sorted by job, but jobs are not.
static void link_edges(struct arena *a, struct pipeline_jobs *p, const struct job_edge *edges,
                       size_t nedges)
{
    struct map names = MAP_INIT;
    for (size_t i = 0; i < p->n; i++)
        map_set(&names, p->rows[i].name, &p->jobs[i]);
    for (size_t i = 0; i < p->n; i++) {
        size_t from = 0, to = nedges;
        while (from < to) { // the first edge of this job
            size_t mid = from + (to - from) / 2;
            if (edges[mid].job_id < p->rows[i].id)
                from = mid + 1;
            else
                to = mid;
        }
        for (to = from; to < nedges && edges[to].job_id == p->rows[i].id; to++)
            ;
        uint32_t *needs = ARENA_ARRAY(a, uint32_t, to - from);
        size_t n = 0;
        for (size_t k = from; k < to; k++) {
            const struct ci_pjob *need = map_get(&names, edges[k].need.name);
            if (need)
                needs[n++] = (uint32_t)(need - p->jobs);
        }
        p->jobs[i].needs = needs;
        p->jobs[i].nneeds = n;
    }
    map_done(&names);
}

int engine_load(struct tx *tx, struct arena *a, int64_t pipeline_id, struct pipeline_jobs *ret,
                struct err *e)
{
    struct job_edge *edges;
    size_t nedges;
    TRY(job_list_pipeline(tx, a, pipeline_id, false, &ret->rows, &ret->n, e));
    TRY(job_edges(tx, a, pipeline_id, &edges, &nedges, e));
    ret->jobs = ARENA_ARRAY(a, struct ci_pjob, ret->n);
    for (size_t i = 0; i < ret->n; i++) {
        const struct job *j = &ret->rows[i];
        ret->jobs[i] = (struct ci_pjob){.status = j->status,
                                        .when = when_of(j->when),
                                        .allow_failure = j->allow_failure,
                                        .stage = j->stage_idx,
                                        .dag = j->dag};
    }
    link_edges(a, ret, edges, nedges);
    return 0;
}

static int store_changes(struct tx *tx, const struct pipeline_jobs *p, int64_t now, struct err *e)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct ci_pjob *j = &p->jobs[i];
        if (j->changed && j->status != p->rows[i].status)
            TRY(job_move(tx, p->rows[i].id, CI_BIT(p->rows[i].status), j->status, 0, now, e));
    }
    return 0;
}

struct span {
    int64_t from, to;
};

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

// Time with at least one job running, retried jobs too.
static int set_duration(struct tx *tx, struct arena *a, int64_t pipeline_id, struct err *e)
{
    struct job *rows;
    size_t n, spans = 0;
    TRY(job_list_pipeline(tx, a, pipeline_id, true, &rows, &n, e));
    struct span *s = ARENA_ARRAY(a, struct span, n);
    double coverage = 0;
    int covered = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].started_at && rows[i].finished_at >= rows[i].started_at)
            s[spans++] = (struct span){rows[i].started_at, rows[i].finished_at};
        if (!rows[i].retried && rows[i].coverage >= 0) {
            coverage += rows[i].coverage;
            covered++;
        }
    }
    if (spans)
        qsort(s, spans, sizeof(*s), by_start);
    int64_t total = 0, end = 0;
    for (size_t i = 0; i < spans; i++) {
        int64_t from = MAX(s[i].from, end);
        total += MAX(s[i].to - from, 0);
        end = MAX(end, s[i].to);
    }
    return pipeline_set_duration(tx, pipeline_id, total, covered ? coverage / covered : -1, e);
}

static int set_status(struct tx *tx, struct arena *a, const struct pipeline_jobs *p,
                      int64_t pipeline_id, int64_t now, struct err *e)
{
    struct pipeline pl;
    TRY(pipeline_get(tx, a, pipeline_id, &pl, e));
    if (!p->n)
        return 0;
    enum ci_status s = ci_pipeline_status(p->jobs, p->n, pl.status);
    if (s == pl.status)
        return 0;
    TRY(pipeline_set_status(tx, pipeline_id, CI_BIT(pl.status), s, now, e));
    return ci_status_is_complete(s) ? set_duration(tx, a, pipeline_id, e) : 0;
}

int engine_process(struct tx *tx, struct arena *a, int64_t pipeline_id, int64_t now, struct err *e)
{
    struct pipeline_jobs p;
    TRY(engine_load(tx, a, pipeline_id, &p, e));
    ci_process(p.jobs, p.n);
    TRY(store_changes(tx, &p, now, e));
    return set_status(tx, a, &p, pipeline_id, now, e);
}

int engine_reset_after(struct tx *tx, struct arena *a, int64_t pipeline_id, int64_t job_id,
                       int64_t now, struct err *e)
{
    struct pipeline_jobs p;
    TRY(engine_load(tx, a, pipeline_id, &p, e));
    for (size_t i = 0; i < p.n; i++)
        if (p.rows[i].id == job_id)
            ci_process_reset_after(p.jobs, p.n, i);
    return store_changes(tx, &p, now, e);
}

// ---- canceling ----

int engine_cancel_row(struct tx *tx, const struct job *j, int64_t now, struct err *e)
{
    if (j->status == CI_RUNNING)
        return job_move(tx, j->id, CI_BIT(CI_RUNNING), CI_CANCELING, 0, now, e);
    return job_finish(tx, j->id, CI_SET_CANCELABLE & ~CI_BIT(CI_RUNNING), CI_CANCELED, STR(""), -1,
                      now, e);
}

int engine_cancel_all(struct tx *tx, struct arena *a, int64_t pipeline_id, bool interruptible_only,
                      int64_t now, struct err *e)
{
    struct job *rows;
    size_t n;
    TRY(job_list_pipeline(tx, a, pipeline_id, false, &rows, &n, e));
    for (size_t i = 0; i < n; i++)
        if (ci_status_is_cancelable(rows[i].status) &&
            (!interruptible_only || rows[i].interruptible))
            TRY(engine_cancel_row(tx, &rows[i], now, e));
    return 0;
}

int ci_engine_cancel_pipeline(struct ci_engine *en, int64_t pipeline_id, struct err *e)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    struct pipeline pl;
    int64_t now = clock_wall_ms();
    arena_init(&a, ENGINE_ARENA);
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(pipeline_get(&tx, &a, pipeline_id, &pl, e));
    TRY(engine_cancel_all(&tx, &a, pipeline_id, false, now, e));
    TRY(engine_process(&tx, &a, pipeline_id, now, e));
    return tx_commit(&tx, e);
}

int ci_engine_cancel_job(struct ci_engine *en, int64_t job_id, struct err *e)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    struct job j;
    int64_t now = clock_wall_ms();
    arena_init(&a, ENGINE_ARENA);
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(job_get(&tx, &a, job_id, &j, e));
    if (!ci_status_is_cancelable(j.status))
        return err_set(e, E_CONFLICT, "the job is %s and cannot be canceled",
                       ci_status_name(j.status));
    TRY(engine_cancel_row(&tx, &j, now, e));
    TRY(engine_process(&tx, &a, j.pipeline_id, now, e));
    return tx_commit(&tx, e);
}

// ---- starting again ----

static bool retryable(const struct job *j)
{
    return !j->retried &&
           (j->status == CI_SUCCESS || j->status == CI_FAILED || j->status == CI_CANCELED);
}

// A new row in place of `id`. That an exit code was allowed was true of the old run only.
static int start_again(struct tx *tx, struct arena *a, const struct job *j, enum ci_status status,
                       int64_t user_id, int64_t now, struct job *ret, struct err *e)
{
    struct str text;
    struct job_spec spec;
    TRY(job_insert_retry(tx, a, j->id, status, user_id, now, ret, e));
    if (!j->allow_failure || j->exit_code < 0)
        return 0;
    TRY(job_spec(tx, a, ret->id, &text, e));
    TRY(spec_parse(a, text, &spec, e));
    return spec.nallow_exit_codes ? job_set_allow_failure(tx, ret->id, false, e) : 0;
}

static int retry_row(struct tx *tx, struct arena *a, const struct job *j, int64_t user_id,
                     int64_t now, int64_t *ret_id, struct err *e)
{
    struct job fresh;
    if (!retryable(j))
        return err_set(e, E_CONFLICT,
                       j->retried ? "the job was retried already"
                                  : "the job is %s and cannot be retried",
                       ci_status_name(j->status));
    TRY(start_again(tx, a, j, CI_PENDING, user_id, now, &fresh, e));
    TRY(engine_reset_after(tx, a, j->pipeline_id, fresh.id, now, e));
    *ret_id = fresh.id;
    return engine_process(tx, a, j->pipeline_id, now, e);
}

int ci_engine_retry_job(struct ci_engine *en, int64_t job_id, int64_t user_id, int64_t *ret_id,
                        struct err *e)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    struct job j;
    arena_init(&a, ENGINE_ARENA);
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(job_get(&tx, &a, job_id, &j, e));
    TRY(retry_row(&tx, &a, &j, user_id, clock_wall_ms(), ret_id, e));
    return tx_commit(&tx, e);
}

// New rows begin as created: processing puts them, and what was skipped, in their order. So a
// failed manual job waits for a click again.
static int retry_all(struct tx *tx, struct arena *a, const struct job *rows, size_t n,
                     int64_t user_id, int64_t now, struct err *e)
{
    struct job fresh;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].status == CI_FAILED || rows[i].status == CI_CANCELED)
            TRY(start_again(tx, a, &rows[i], CI_CREATED, user_id, now, &fresh, e));
        else if (rows[i].status == CI_SKIPPED)
            TRY(job_move(tx, rows[i].id, CI_BIT(CI_SKIPPED), CI_CREATED, 0, now, e));
    }
    return 0;
}

int ci_engine_retry_pipeline(struct ci_engine *en, int64_t pipeline_id, int64_t user_id,
                             struct err *e)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    struct pipeline pl;
    struct job *rows;
    size_t n;
    int64_t now = clock_wall_ms();
    arena_init(&a, ENGINE_ARENA);
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(pipeline_get(&tx, &a, pipeline_id, &pl, e));
    TRY(job_list_pipeline(&tx, &a, pipeline_id, false, &rows, &n, e));
    TRY(retry_all(&tx, &a, rows, n, user_id, now, e));
    TRY(engine_process(&tx, &a, pipeline_id, now, e));
    return tx_commit(&tx, e);
}

int ci_engine_play_job(struct ci_engine *en, int64_t job_id, int64_t user_id,
                       const struct ci_var *vars, size_t nvars, int64_t *ret_id, struct err *e)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    struct job j;
    int64_t now = clock_wall_ms();
    arena_init(&a, ENGINE_ARENA);
    if (nvars)
        return err_set(e, E_INVALID,
                       "variables for one manual job are not supported yet; give them to the "
                       "pipeline");
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(job_get(&tx, &a, job_id, &j, e));
    *ret_id = job_id;
    if (j.status == CI_MANUAL || j.status == CI_SCHEDULED) {
        TRY(job_move(&tx, job_id, CI_BIT(j.status), CI_PENDING, 0, now, e));
        if (user_id)
            TRY(job_set_user(&tx, job_id, user_id, e));
        TRY(engine_reset_after(&tx, &a, j.pipeline_id, job_id, now, e));
        TRY(engine_process(&tx, &a, j.pipeline_id, now, e));
    } else if (j.when == WHEN_MANUAL && retryable(&j)) {
        TRY(retry_row(&tx, &a, &j, user_id, now, ret_id, e));
    } else {
        return err_set(e, E_CONFLICT, "the job is %s; only a manual job that waits can be started",
                       ci_status_name(j.status));
    }
    return tx_commit(&tx, e);
}
