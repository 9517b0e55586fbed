// SPDX-License-Identifier: Apache-2.0
// Housekeeping, so that nothing hangs: jobs whose runner is silent, that run too long, that nobody
// takes or that nobody ends; pushes left over by a crash; expired artifacts. Each job is ended in a
// transaction of its own. Called by one thread, every few seconds.
#include "base/clock.h"
#include "ci/engine_impl.h"
#include "store/artifacts.h"

// A claim whose answer did not reach the runner: one that has it says so within seconds.
#define NEVER_HEARD_MS 15000
#define OVERDUE_MS     60000 // what a runner has to end a job at its timeout by itself
#define EVERY_MS       10000
#define PUSHES         1000
#define ARTIFACTS      200

static int end_one(struct ci_engine *en, struct job *j, unsigned from, enum ci_status to,
                   struct str reason, int64_t now, struct err *e)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    arena_init(&a, ENGINE_ARENA);
    TRY(store_write(en->cfg.store, &tx, e));
    int rc = engine_finish(&tx, &a, j, from, to, reason, -1, now, e);
    if (rc == E_CONFLICT)
        return 0; // it ended meanwhile
    return rc < 0 ? rc : tx_commit(&tx, e);
}

int ci_engine_unclaim(struct ci_engine *en, int64_t job_id, int64_t pipeline_id, struct err *e)
{
    int64_t now = clock_wall_ms();
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    arena_init(&a, ENGINE_ARENA);
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(job_unclaim(&tx, job_id, now, e));
    TRY(engine_process(&tx, &a, pipeline_id, now, e));
    return tx_commit(&tx, e);
}

// Back to the queue: the runner never said a word.
static int requeue(struct ci_engine *en, const struct job *j, struct err *e)
{
    int rc = ci_engine_unclaim(en, j->id, j->pipeline_id, e);
    return rc == E_CONFLICT ? 0 : rc; // it did, just now
}

static int sweep_silent(struct ci_engine *en, struct arena *a, int64_t now, struct err *e)
{
    const struct ci_engine_config *c = &en->cfg;
    int64_t running = now - c->stuck_running_s * 1000, canceling = now - c->canceling_s * 1000;
    int64_t claimed = now - NEVER_HEARD_MS;
    struct job *rows;
    size_t n;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(c->store, &tx, e));
    TRY(job_silent(&tx, a, MAX(running, canceling), claimed, &rows, &n, e));
    tx_done(&tx);
    for (size_t i = 0; i < n; i++) {
        struct job *j = &rows[i];
        if (j->status == CI_CANCELING && MAX(j->updated_at, j->seen_at) < canceling)
            TRY(end_one(en, j, CI_BIT(CI_CANCELING), CI_CANCELED, STR(""), now, e));
        else if (j->status == CI_RUNNING && !j->acked_at && j->started_at < claimed)
            TRY(requeue(en, j, e));
        else if (j->status == CI_RUNNING && j->seen_at < running)
            TRY(end_one(en, j, CI_BIT(CI_RUNNING), CI_FAILED, STR("stuck_or_timeout_failure"), now,
                        e));
    }
    return 0;
}

static int sweep_overdue(struct ci_engine *en, struct arena *a, int64_t now, struct err *e)
{
    struct job *rows;
    size_t n;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(en->cfg.store, &tx, e));
    TRY(job_overdue(&tx, a, OVERDUE_MS, now, &rows, &n, e));
    tx_done(&tx);
    for (size_t i = 0; i < n; i++) {
        bool canceling = rows[i].status == CI_CANCELING;
        TRY(end_one(en, &rows[i], CI_BIT(rows[i].status), canceling ? CI_CANCELED : CI_FAILED,
                    STR("job_execution_timeout"), now, e));
    }
    return 0;
}

static int sweep_pending(struct ci_engine *en, struct arena *a, int64_t now, struct err *e)
{
    struct job *rows;
    size_t n;
    struct page page = {.per_page = STORE_PER_PAGE_MAX};
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(en->cfg.store, &tx, e));
    TRY(job_list(&tx, a, 0, 0, CI_BIT(CI_PENDING), false, &page, &rows, &n, e));
    // Newest first: the oldest stand on the last page.
    if (page.total > STORE_PER_PAGE_MAX) {
        page.page = (uint32_t)((page.total + STORE_PER_PAGE_MAX - 1) / STORE_PER_PAGE_MAX);
        TRY(job_list(&tx, a, 0, 0, CI_BIT(CI_PENDING), false, &page, &rows, &n, e));
    }
    tx_done(&tx);
    for (size_t i = 0; i < n; i++)
        if (rows[i].queued_at && rows[i].queued_at < now - en->cfg.stuck_pending_s * 1000)
            TRY(end_one(en, &rows[i], CI_BIT(CI_PENDING), CI_FAILED,
                        STR("stuck_or_timeout_failure"), now, e));
    return 0;
}

static int sweep_scheduled(struct ci_engine *en, struct arena *a, int64_t now, int64_t *ret_next,
                           struct err *e)
{
    int64_t *ids;
    size_t n;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(en->cfg.store, &tx, e));
    TRY(job_due(&tx, a, now, &ids, &n, ret_next, e));
    tx_done(&tx);
    for (size_t i = 0; i < n; i++) {
        int64_t id;
        int rc = ci_engine_play_job(en, ids[i], 0, NULL, 0, &id, e);
        if (rc < 0 && rc != E_CONFLICT)
            return rc;
    }
    return 0;
}

// Once after a start: what a crash between two transactions may have left.
static int check_pipelines(struct ci_engine *en, struct arena *a, int64_t now, struct err *e)
{
    int64_t *ids;
    size_t n;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(en->cfg.store, &tx, e));
    TRY(pipeline_unfinished(&tx, a, &ids, &n, e));
    tx_done(&tx);
    for (size_t i = 0; i < n; i++) {
        _autoarena_ struct arena one;
        _autotx_ struct tx w = TX_NONE;
        arena_init(&one, ENGINE_ARENA);
        TRY(store_write(en->cfg.store, &w, e));
        TRY(engine_process(&w, &one, ids[i], now, e));
        TRY(tx_commit(&w, e));
    }
    return 0;
}

static int sweep_artifacts(struct ci_engine *en, int64_t now, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(en->cfg.store, &tx, e));
    int64_t n = artifact_sweep(&tx, now, ARTIFACTS, e);
    if (n < 0)
        return (int)n;
    return n ? tx_commit(&tx, e) : 0;
}

int ci_engine_sweep(struct ci_engine *en, int64_t *ret_ms_next, struct err *e)
{
    _autoarena_ struct arena a;
    int64_t now = clock_wall_ms(), next = 0;
    size_t taken;
    arena_init(&a, ENGINE_ARENA);
    if (ret_ms_next)
        *ret_ms_next = EVERY_MS;
    TRY(ci_engine_take_pushes(en, PUSHES, &taken, e));
    if (!en->checked)
        TRY(check_pipelines(en, &a, now, e));
    en->checked = true;
    if (clock_ms() - en->started >= en->cfg.restart_grace_s * 1000) {
        TRY(sweep_silent(en, &a, now, e));
        TRY(sweep_overdue(en, &a, now, e));
    }
    TRY(sweep_pending(en, &a, now, e));
    TRY(sweep_scheduled(en, &a, now, &next, e));
    if (ret_ms_next && next)
        *ret_ms_next = MIN(*ret_ms_next, MAX(next - now, (int64_t)1));
    return sweep_artifacts(en, now, e);
}

int64_t ci_engine_artifacts_expire_at(struct ci_engine *en, struct str expire_in)
{
    int64_t s = en->cfg.default_expire_s;
    if (expire_in.n && !ci_duration(expire_in, &s))
        s = en->cfg.default_expire_s;
    return s > 0 ? clock_wall_ms() + s * 1000 : 0;
}
