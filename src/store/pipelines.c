// SPDX-License-Identifier: Apache-2.0
// Rows of pipelines. A change of status names the states it may come from, so that of two threads
// only one succeeds; the large configuration lies in a table of its own. Stateless.
#include "store/pipelines.h"

#include "base/clock.h"
#include "store/projects.h"
#include "store/rows.h"
#include "store/sets.h"
#include "store/trash.h"

#define COLUMNS                                                                                    \
    "SELECT p.id, p.project_id, p.iid, p.ref, p.tag, p.protected_ref, p.sha, p.before_sha,"        \
    " p.source, p.status, p.failure_reason, p.yaml_errors, p.warnings, p.name, p.commit_title,"    \
    " p.user_id, p.push_event_id, p.retried_from, p.cancel_on_new_commit, p.created_at,"           \
    " p.updated_at, p.committed_at, p.started_at, p.finished_at, p.queued_ms, p.duration_ms,"      \
    " p.coverage FROM pipelines p "
#define FINISHED "('success', 'failed', 'canceled', 'skipped')"

STORE_STMT(PIPELINE_INSERT,
           "INSERT INTO pipelines (project_id, iid, ref, tag, protected_ref, sha, before_sha,"
           " source, status, failure_reason, yaml_errors, warnings, name, commit_title, user_id,"
           " push_event_id, retried_from, cancel_on_new_commit, created_at, updated_at,"
           " committed_at, started_at, finished_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
           " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19, $20, $21, $22) RETURNING id");
STORE_STMT(PIPELINE_CONFIG_INSERT,
           "INSERT INTO pipeline_configs (pipeline_id, config, variables) VALUES ($1, $2, $3)");
STORE_STMT(PIPELINE_GET, COLUMNS "WHERE p.id = $1");
STORE_STMT(PIPELINE_BY_IID, COLUMNS "WHERE p.project_id = $1 AND p.iid = $2");
STORE_STMT(PIPELINE_CONFIG,
           "SELECT config, variables FROM pipeline_configs WHERE pipeline_id = $1");
STORE_STMT(PIPELINE_SET_CONFIG, "UPDATE pipeline_configs SET config = $2 WHERE pipeline_id = $1");
// $5: whether the new state sets finished_at
STORE_STMT(PIPELINE_SET_STATUS,
           "UPDATE pipelines SET status = $3, updated_at = $4,"
           " started_at = CASE WHEN $3 = 'running' AND started_at = 0 THEN $4 ELSE started_at END,"
           " queued_ms = CASE WHEN $3 = 'running' AND started_at = 0 THEN $4 - created_at"
           "  ELSE queued_ms END,"
           " finished_at = CASE WHEN $5 = 1 THEN $4 ELSE 0 END"
           " WHERE id = $1 AND $2 LIKE '%,' || status || ',%'");
STORE_STMT(PIPELINE_SET_FAILURE,
           "UPDATE pipelines SET failure_reason = $2, yaml_errors = $3 WHERE id = $1");
STORE_STMT(PIPELINE_SET_NAME, "UPDATE pipelines SET name = $2 WHERE id = $1");
STORE_STMT(PIPELINE_SET_DURATION,
           "UPDATE pipelines SET duration_ms = $2, coverage = $3 WHERE id = $1");
STORE_STMT(PIPELINE_LATEST, COLUMNS "WHERE p.project_id = $1 AND p.ref = $2"
                                    " AND ($3 = '' OR p.sha = $3)"
                                    " AND ($4 = '' OR $4 LIKE '%,' || p.status || ',%')"
                                    " ORDER BY p.id DESC LIMIT 1");
STORE_STMT(PIPELINE_DELETE, "DELETE FROM pipelines WHERE id = $1");
STORE_STMT(PIPELINE_SUPERSEDABLE,
           "SELECT id FROM pipelines WHERE project_id = $1 AND ref = $2 AND id < $3"
           " AND cancel_on_new_commit = 1 AND tag = 0 AND status NOT IN " FINISHED
           " AND status NOT IN ('canceling', 'manual') ORDER BY id");
STORE_STMT(PIPELINE_UNFINISHED,
           "SELECT id FROM pipelines WHERE status NOT IN " FINISHED " ORDER BY id");

// $1 project, $2 states, $3 ref, $4 sha, $5 source, $6 username, $7 name, $8 tag, $9 user,
// $10..$13 times
#define FILTER                                                                                     \
    "WHERE p.project_id = $1 AND ($2 = '' OR $2 LIKE '%,' || p.status || ',%')"                    \
    " AND ($3 = '' OR p.ref = $3) AND ($4 = '' OR p.sha = $4) AND ($5 = '' OR p.source = $5)"      \
    " AND ($6 = '' OR p.user_id IN (SELECT id FROM users WHERE lower(username) = lower($6)))"      \
    " AND ($7 = '' OR p.name = $7) AND ($8 < 0 OR p.tag = $8) AND ($9 = 0 OR p.user_id = $9)"      \
    " AND ($10 = 0 OR p.created_at > $10) AND ($11 = 0 OR p.created_at < $11)"                     \
    " AND ($12 = 0 OR p.updated_at > $12) AND ($13 = 0 OR p.updated_at < $13) "
#define LIST(order) COLUMNS FILTER "ORDER BY " order " LIMIT $14 OFFSET $15"

STORE_STMT(PIPELINES_ID_DESC, LIST("p.id DESC"));
STORE_STMT(PIPELINES_ID_ASC, LIST("p.id"));
STORE_STMT(PIPELINES_UPDATED_DESC, LIST("p.updated_at DESC, p.id DESC"));
STORE_STMT(PIPELINES_UPDATED_ASC, LIST("p.updated_at, p.id"));
STORE_STMT(PIPELINES_COUNT, "SELECT count(*) FROM pipelines p " FILTER);

static void fill(struct rows *r, struct arena *a, struct pipeline *p)
{
    struct cols c = {r, a, 0};
    p->id = next_int(&c);
    p->project_id = next_int(&c);
    p->iid = next_int(&c);
    p->ref = next_text(&c);
    p->tag = next_bool(&c);
    p->protected_ref = next_bool(&c);
    p->sha = next_text(&c);
    p->before_sha = next_text(&c);
    p->source = next_text(&c);
    if (!ci_status_parse(row_peek(r, c.at++), &p->status))
        p->status = CI_FAILED;
    p->failure_reason = next_text(&c);
    p->yaml_errors = next_text(&c);
    p->warnings = next_text(&c);
    p->name = next_text(&c);
    p->commit_title = next_text(&c);
    p->user_id = next_int(&c);
    p->push_event_id = next_int(&c);
    p->retried_from = next_int(&c);
    p->cancel_on_new_commit = next_bool(&c);
    p->created_at = next_int(&c);
    p->updated_at = next_int(&c);
    p->committed_at = next_int(&c);
    p->started_at = next_int(&c);
    p->finished_at = next_int(&c);
    p->queued_ms = next_int(&c);
    p->duration_ms = next_int(&c);
    p->coverage = next_real(&c);
}
AREA_READERS(pipeline, fill, "pipeline")

struct id {
    int64_t v;
};
static void fill_id(struct rows *r, struct arena *a, struct id *i)
{
    i->v = row_int(r, 0);
}
AREA_READERS(id, fill_id, "row")

int pipeline_insert(struct tx *tx, struct pipeline *p, struct err *e)
{
    TRY(project_next_iid(tx, p->project_id, &p->iid, e));
    p->created_at = p->updated_at = clock_wall_ms();
    if (ci_status_in(p->status, CI_SET_ENDED))
        p->finished_at = p->created_at;
    p->duration_ms = -1;
    p->coverage = -1;
    int rc =
        db_int(tx, &PIPELINE_INSERT,
               ARGS(I(p->project_id), I(p->iid), S(p->ref), I(p->tag), I(p->protected_ref),
                    S(p->sha), S(p->before_sha), S(p->source), S(str_of(ci_status_name(p->status))),
                    S(p->failure_reason), S(p->yaml_errors), S(p->warnings), S(p->name),
                    S(p->commit_title), REF(p->user_id), REF(p->push_event_id),
                    REF(p->retried_from), I(p->cancel_on_new_commit), I(p->created_at),
                    I(p->committed_at), I(p->started_at), I(p->finished_at)),
               &p->id, e);
    if (rc == E_CONFLICT)
        return err_set(e, rc, "this push has its pipeline already");
    if (rc < 0)
        return rc;
    int64_t n =
        db_run(tx, &PIPELINE_CONFIG_INSERT, ARGS(I(p->id), S(p->config), S(p->variables)), e);
    if (n < 0)
        return (int)n;
    tx_wake(tx, "pipeline:%lld", (long long)p->id);
    return 0;
}

int pipeline_get(struct tx *tx, struct arena *a, int64_t id, struct pipeline *ret, struct err *e)
{
    return one_pipeline(tx, a, &PIPELINE_GET, ARGS(I(id)), ret, e);
}

int pipeline_by_iid(struct tx *tx, struct arena *a, int64_t project_id, int64_t iid,
                    struct pipeline *ret, struct err *e)
{
    return one_pipeline(tx, a, &PIPELINE_BY_IID, ARGS(I(project_id), I(iid)), ret, e);
}

int pipeline_config(struct tx *tx, struct arena *a, int64_t id, struct str *ret_config,
                    struct str *ret_variables, struct err *e)
{
    _autorows_ struct rows r = ROWS_NONE;
    TRY(rows_open(&r, tx, &PIPELINE_CONFIG, ARGS(I(id)), e));
    int rc = rows_next(&r, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, E_NOTFOUND, "pipeline not found");
    if (ret_config)
        *ret_config = row_text(&r, 0, a);
    if (ret_variables)
        *ret_variables = row_text(&r, 1, a);
    return 0;
}

int pipeline_set_config(struct tx *tx, int64_t id, struct str config, struct err *e)
{
    return db_one(tx, &PIPELINE_SET_CONFIG, ARGS(I(id), S(config)), "pipeline", e);
}

int pipeline_set_status(struct tx *tx, int64_t id, unsigned from, enum ci_status to, int64_t now,
                        struct err *e)
{
    char set[STATUS_SET_SIZE];
    int64_t n = db_run(tx, &PIPELINE_SET_STATUS,
                       ARGS(I(id), S(status_set(from, set)), S(str_of(ci_status_name(to))), I(now),
                            I(ci_status_in(to, CI_SET_ENDED))),
                       e);
    if (n < 0)
        return (int)n;
    if (n == 0)
        return err_set(e, E_CONFLICT, "the pipeline is not in a state that can become %s",
                       ci_status_name(to));
    tx_wake(tx, "pipeline:%lld", (long long)id);
    return 0;
}

int pipeline_set_failure(struct tx *tx, int64_t id, struct str reason, struct str yaml_errors,
                         struct err *e)
{
    return db_one(tx, &PIPELINE_SET_FAILURE, ARGS(I(id), S(reason), S(yaml_errors)), "pipeline", e);
}

int pipeline_set_name(struct tx *tx, int64_t id, struct str name, struct err *e)
{
    return db_one(tx, &PIPELINE_SET_NAME, ARGS(I(id), S(name)), "pipeline", e);
}

int pipeline_set_duration(struct tx *tx, int64_t id, int64_t duration_ms, double coverage,
                          struct err *e)
{
    return db_one(tx, &PIPELINE_SET_DURATION, ARGS(I(id), I(duration_ms), R(coverage)), "pipeline",
                  e);
}

int pipeline_latest(struct tx *tx, struct arena *a, int64_t project_id, struct str ref,
                    struct str sha, unsigned statuses, struct pipeline *ret, struct err *e)
{
    char set[STATUS_SET_SIZE];
    return one_pipeline(tx, a, &PIPELINE_LATEST,
                        ARGS(I(project_id), S(ref), S(sha), S(status_set(statuses, set))), ret, e);
}

int pipeline_delete(struct tx *tx, int64_t id, struct err *e)
{
    TRY(trash_artifacts(tx, 0, id, e));
    TRY(trash_traces(tx, 0, id, e));
    return db_one(tx, &PIPELINE_DELETE, ARGS(I(id)), "pipeline", e);
}

int pipeline_list(struct tx *tx, struct arena *a, const struct pipeline_filter *f,
                  struct page *page, struct pipeline **ret, size_t *ret_n, struct err *e)
{
    static struct db_stmt *const orders[2][2] = {
        {&PIPELINES_ID_DESC, &PIPELINES_ID_ASC},
        {&PIPELINES_UPDATED_DESC, &PIPELINES_UPDATED_ASC},
    };
    char set[STATUS_SET_SIZE];
    struct db_val limit = page_limit(page);
    const struct db_val args[] = {I(f->project_id),
                                  S(status_set(f->statuses, set)),
                                  S(f->ref),
                                  S(f->sha),
                                  S(f->source),
                                  S(f->username),
                                  S(f->name),
                                  I(f->tag),
                                  I(f->user_id),
                                  I(f->created_after),
                                  I(f->created_before),
                                  I(f->updated_after),
                                  I(f->updated_before),
                                  limit,
                                  page_offset(page)};
    TRY(many_pipeline(tx, a, orders[f->by_updated][f->ascending], args, ARRAY_SIZE(args), ret,
                      ret_n, e));
    return page_count(tx, page, *ret_n, &PIPELINES_COUNT, args, 13, e);
}

_Static_assert(sizeof(struct id) == sizeof(int64_t), "an array of ids is an array of numbers");

int pipeline_supersedable(struct tx *tx, struct arena *a, int64_t project_id, struct str ref,
                          int64_t before_id, int64_t **ret_ids, size_t *ret_n, struct err *e)
{
    struct id *ids;
    TRY(many_id(tx, a, &PIPELINE_SUPERSEDABLE, ARGS(I(project_id), S(ref), I(before_id)), &ids,
                ret_n, e));
    *ret_ids = &ids->v;
    return 0;
}

int pipeline_unfinished(struct tx *tx, struct arena *a, int64_t **ret_ids, size_t *ret_n,
                        struct err *e)
{
    struct id *ids;
    TRY(many_id(tx, a, &PIPELINE_UNFINISHED, NOARGS, &ids, ret_n, e));
    *ret_ids = &ids->v;
    return 0;
}

STORE_STMT(PIPELINE_WARNED, "SELECT EXISTS (SELECT 1 FROM jobs WHERE pipeline_id = $1"
                            " AND status = 'failed' AND allow_failure = 1 AND retried = 0)");

int pipeline_warned(struct tx *tx, int64_t id, bool *ret, struct err *e)
{
    int64_t n;
    TRY(db_int(tx, &PIPELINE_WARNED, ARGS(I(id)), &n, e));
    *ret = n != 0;
    return 0;
}
