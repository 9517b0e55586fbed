// SPDX-License-Identifier: Apache-2.0
// How jobs end: by their runner, by the server, or by a timeout; with automatic retries, allowed
// exit codes, and what the end of one job does to its pipeline. All in the transaction that stores
// the end, so that none of it can be lost on its own.
#include "base/clock.h"
#include "ci/engine_impl.h"
#include "store/blob.h"

#include <unistd.h>

static bool in_list(const int64_t *list, size_t n, int64_t v)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == v)
            return true;
    return false;
}

static bool reason_fits(const struct ci_lines *when, struct str reason)
{
    for (size_t i = 0; i < when->n; i++) {
        struct str w = when->list[i];
        if (str_is(w, "always") || str_eq(w, reason))
            return true;
        // What the runner calls job_execution_timeout, people also know by the older name.
        if (str_is(w, "stuck_or_timeout_failure") && str_is(reason, "job_execution_timeout"))
            return true;
    }
    return false;
}

static bool should_retry(const struct job *j, const struct job_spec *s, struct str reason,
                         int exit_code)
{
    if (j->attempt >= s->retry_max)
        return false;
    if (!s->retry_when.n && !s->nretry_exit_codes)
        return true;
    return reason_fits(&s->retry_when, reason) ||
           (exit_code >= 0 && in_list(s->retry_exit_codes, s->nretry_exit_codes, exit_code));
}

static int cancel_others(struct tx *tx, struct arena *a, const struct job *j, int64_t now,
                         struct err *e)
{
    struct str config, vars;
    struct pipeline_facts f;
    TRY(pipeline_config(tx, a, j->pipeline_id, &config, &vars, e));
    TRY(facts_from_json(a, config, &f, e));
    return f.on_job_failure_all ? engine_cancel_all(tx, a, j->pipeline_id, false, now, e) : 0;
}

static int after_failure(struct tx *tx, struct arena *a, const struct job *j, struct str reason,
                         int exit_code, int64_t now, struct err *e)
{
    struct str text;
    struct job_spec s;
    struct job fresh;
    TRY(job_spec(tx, a, j->id, &text, e));
    TRY(spec_parse(a, text, &s, e));
    if (should_retry(j, &s, reason, exit_code))
        return job_insert_retry(tx, a, j->id, CI_PENDING, 0, now, &fresh, e);
    bool allowed = j->allow_failure;
    if (!allowed && exit_code >= 0 && in_list(s.allow_exit_codes, s.nallow_exit_codes, exit_code)) {
        TRY(job_set_allow_failure(tx, j->id, true, e));
        allowed = true;
    }
    return allowed ? 0 : cancel_others(tx, a, j, now, e);
}

int engine_finish(struct tx *tx, struct arena *a, const struct job *j, unsigned from,
                  enum ci_status to, struct str reason, int exit_code, int64_t now, struct err *e)
{
    TRY(job_finish(tx, j->id, from, to, to == CI_FAILED ? reason : STR(""), exit_code, now, e));
    if (to == CI_FAILED && !j->retried)
        TRY(after_failure(tx, a, j, reason, exit_code, now, e));
    return engine_process(tx, a, j->pipeline_id, now, e);
}

#define COVERAGE_LOG MIB(4) // the end of a trace, in which the pattern is looked for

double engine_coverage(struct ci_engine *en, struct arena *a, const struct job *j)
{
    int fd;
    int64_t size;
    if (!j->coverage_regex.n ||
        blob_open(en->cfg.store, trace_path(a, j->project_id, j->id), &fd, &size, NULL) < 0)
        return -1;
    size_t n = (size_t)MIN(size, (int64_t)COVERAGE_LOG), have = 0;
    char *text = arena_alloc(a, n, 1);
    for (ssize_t r; have < n; have += (size_t)r) {
        r = pread(fd, text + have, n - have, (off_t)(size - (int64_t)(n - have)));
        if (r <= 0)
            break;
    }
    close(fd);
    return ci_pattern_coverage(j->coverage_regex, str_n(text, have));
}

// A sign of life; written at most every 10 s.
static int seen(struct ci_engine *en, const struct job *j, int64_t now, struct err *e)
{
    if (!job_seen_due(j, now))
        return 0;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(job_seen(&tx, j->id, now, e));
    return tx_commit(&tx, e);
}

static int read_job(struct ci_engine *en, struct arena *a, int64_t id, struct job *ret,
                    struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(en->cfg.store, &tx, e));
    return job_get(&tx, a, id, ret, e);
}

int ci_engine_touch_job(struct ci_engine *en, int64_t job_id, enum ci_status *ret_status,
                        struct err *e)
{
    _autoarena_ struct arena a;
    struct job j;
    arena_init(&a, MIB(16));
    TRY(read_job(en, &a, job_id, &j, e));
    *ret_status = j.status;
    return seen(en, &j, clock_wall_ms(), e);
}

// The runner's word for why, or the nearest known one.
static struct str reason_of(struct str reported)
{
    if (!reported.n)
        return STR("script_failure");
    return ci_failure_reason_known(reported) ? reported : STR("unknown_failure");
}

static int finish_reported(struct ci_engine *en, struct arena *a, int64_t job_id,
                           const struct ci_job_update *u, enum ci_status to,
                           enum ci_status *ret_status, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    struct job j;
    int64_t now = clock_wall_ms();
    TRY(read_job(en, a, job_id, &j, e));
    double coverage = engine_coverage(en, a, &j); // before the transaction: it reads a file
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(job_get(&tx, a, job_id, &j, e));
    *ret_status = j.status;
    if (j.status == to)
        return 0;
    if (!ci_status_in(j.status, CI_SET_ON_RUNNER))
        return err_set(e, E_CONFLICT, "the job is %s already, it cannot become %s",
                       ci_status_name(j.status), ci_status_name(to));
    if (j.status == CI_CANCELING)
        to = CI_CANCELED;
    int exit_code = u->has_exit_code && u->exit_code >= 0 && u->exit_code <= INT32_MAX
                        ? (int)u->exit_code
                    : to == CI_SUCCESS ? 0
                                       : -1;
    if (coverage >= 0)
        TRY(job_set_coverage(&tx, j.id, coverage, e));
    TRY(engine_finish(&tx, a, &j, CI_SET_ON_RUNNER, to, reason_of(u->failure_reason), exit_code,
                      now, e));
    TRY(tx_commit(&tx, e));
    *ret_status = to;
    return 0;
}

int ci_engine_update_job(struct ci_engine *en, int64_t job_id, const struct ci_job_update *u,
                         enum ci_status *ret_status, struct err *e)
{
    _autoarena_ struct arena a;
    arena_init(&a, ENGINE_ARENA);
    if (str_is(u->state, "success"))
        return finish_reported(en, &a, job_id, u, CI_SUCCESS, ret_status, e);
    if (str_is(u->state, "failed"))
        return finish_reported(en, &a, job_id, u, CI_FAILED, ret_status, e);
    if (str_is(u->state, "canceled"))
        return finish_reported(en, &a, job_id, u, CI_CANCELED, ret_status, e);
    struct job j;
    TRY(read_job(en, &a, job_id, &j, e));
    *ret_status = j.status;
    if (!str_is(u->state, "running") && !str_is(u->state, "pending"))
        return err_set(e, E_INVALID,
                       "`%" PRISTR "` is not a state that a runner reports; expected running, "
                       "success or failed",
                       STRARG(str_head(u->state, 40)));
    if (!ci_status_in(j.status, CI_SET_ON_RUNNER))
        return err_set(e, E_CONFLICT, "the job is %s", ci_status_name(j.status));
    return seen(en, &j, clock_wall_ms(), e);
}

int ci_engine_drop_job(struct ci_engine *en, int64_t job_id, struct str reason, struct err *e)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    struct job j;
    arena_init(&a, ENGINE_ARENA);
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(job_get(&tx, &a, job_id, &j, e));
    if (ci_status_is_complete(j.status))
        return err_set(e, E_CONFLICT, "the job is %s already", ci_status_name(j.status));
    TRY(engine_finish(&tx, &a, &j, ANY_STATUS & ~CI_SET_FINISHED, CI_FAILED, reason, -1,
                      clock_wall_ms(), e));
    return tx_commit(&tx, e);
}
