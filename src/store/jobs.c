// SPDX-License-Identifier: Apache-2.0
// Rows of jobs: inserting, reading, and every change of status. Each change names the states it may
// come from. The queue of runners is queue.c. Stateless.
#include "store/jobs.h"

#include "store/job_rows.h"
#include "store/sets.h"
#include "store/trash.h"

STORE_STMT(JOB_SPEC_INSERT,
           "INSERT INTO job_specs (pipeline_id, body) VALUES ($1, $2) RETURNING id");
STORE_STMT(JOB_INSERT,
           "INSERT INTO jobs (pipeline_id, project_id, spec_id, name, stage, stage_idx, position,"
           " status, when_, allow_failure, dag, interruptible, retry_of, attempt, retry_max,"
           " retry_when, trigger_, ref, tag, protected_ref, sha, tag_list, timeout_s, start_at,"
           " resource_group, environment, user_id, coverage_regex, created_at, updated_at,"
           " queued_at, finished_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
           " $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29,"
           " $29, $30, $31) RETURNING id");
STORE_STMT(JOB_NEED_INSERT, "INSERT INTO job_needs (job_id, position, name, artifacts, optional)"
                            " VALUES ($1, $2, $3, $4, $5)");
STORE_STMT(JOB_TAG_INSERT,
           "INSERT INTO job_tags (job_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING");
STORE_STMT(JOB_NEEDS_COPY,
           "INSERT INTO job_needs (job_id, position, name, artifacts, optional)"
           " SELECT $2, position, name, artifacts, optional FROM job_needs WHERE job_id = $1");
STORE_STMT(JOB_TAGS_COPY,
           "INSERT INTO job_tags (job_id, tag) SELECT $2, tag FROM job_tags WHERE job_id = $1");
STORE_STMT(JOB_SET_RETRIED, "UPDATE jobs SET retried = 1 WHERE id = $1 AND retried = 0");
STORE_STMT(JOB_GET, JOB_COLUMNS "WHERE j.id = $1");
STORE_STMT(JOB_SPEC, "SELECT s.body FROM jobs j JOIN job_specs s ON s.id = j.spec_id"
                     " WHERE j.id = $1");
STORE_STMT(JOB_NEEDS, "SELECT job_id, name, artifacts, optional FROM job_needs WHERE job_id = $1"
                      " ORDER BY position");
STORE_STMT(JOB_EDGES, "SELECT d.job_id, d.name, d.artifacts, d.optional FROM job_needs d"
                      " JOIN jobs j ON j.id = d.job_id WHERE j.pipeline_id = $1"
                      " ORDER BY d.job_id, d.position");
STORE_STMT(JOBS_PIPELINE, JOB_COLUMNS "WHERE j.pipeline_id = $1 AND ($2 = 1 OR j.retried = 0)"
                                      " ORDER BY j.stage_idx, j.position, j.id");

#define STATES      "($3 = '' OR $3 LIKE '%,' || j.status || ',%') AND ($4 = 1 OR j.retried = 0) "
#define BY_PIPELINE "WHERE j.pipeline_id = $2 AND ($1 = 0 OR j.project_id = $1) AND " STATES
#define BY_PROJECT  "WHERE j.project_id = $1 AND " STATES
#define BY_NOTHING  "WHERE " STATES
#define LIMITS      "ORDER BY j.id DESC LIMIT $5 OFFSET $6"
STORE_STMT(JOBS_BY_PIPELINE, JOB_COLUMNS BY_PIPELINE LIMITS);
STORE_STMT(JOBS_BY_PIPELINE_COUNT, "SELECT count(*) FROM jobs j " BY_PIPELINE);
STORE_STMT(JOBS_BY_PROJECT, JOB_COLUMNS BY_PROJECT LIMITS);
STORE_STMT(JOBS_BY_PROJECT_COUNT, "SELECT count(*) FROM jobs j " BY_PROJECT);
STORE_STMT(JOBS_ALL, JOB_COLUMNS BY_NOTHING LIMITS);
STORE_STMT(JOBS_ALL_COUNT, "SELECT count(*) FROM jobs j " BY_NOTHING);
STORE_STMT(JOB_LATEST_SUCCESS, JOB_COLUMNS "WHERE j.project_id = $1 AND j.ref = $2 AND j.name = $3"
                                           " AND j.status = 'success' ORDER BY j.id DESC LIMIT 1");

// $3 new state, $4 now, $5 start of a delayed job, $6 whether to clear what an earlier run left
STORE_STMT(JOB_MOVE,
           "UPDATE jobs SET status = $3, updated_at = $4,"
           " start_at = CASE WHEN $3 = 'scheduled' THEN $5 ELSE start_at END,"
           " queued_at = CASE WHEN $3 = 'pending' THEN $4 WHEN $6 = 1 THEN 0 ELSE queued_at END,"
           " started_at = CASE WHEN $3 = 'running' THEN $4 WHEN $6 = 1 THEN 0"
           "  ELSE started_at END,"
           " finished_at = CASE WHEN $3 IN ('success', 'failed', 'canceled') THEN $4"
           "  ELSE 0 END"
           " WHERE id = $1 AND $2 LIKE '%,' || status || ',%' RETURNING pipeline_id");
STORE_STMT(JOB_FINISH,
           "UPDATE jobs SET status = $3, failure_reason = $4, exit_code = $5, updated_at = $6,"
           " finished_at = CASE WHEN $3 = 'skipped' THEN 0 ELSE $6 END, token_sha256 = NULL"
           " WHERE id = $1 AND $2 LIKE '%,' || status || ',%' RETURNING pipeline_id");
STORE_STMT(JOB_SET_USER, "UPDATE jobs SET user_id = $2 WHERE id = $1");
STORE_STMT(JOB_SET_ALLOW_FAILURE, "UPDATE jobs SET allow_failure = $2 WHERE id = $1");
STORE_STMT(JOB_SET_COVERAGE, "UPDATE jobs SET coverage = $2 WHERE id = $1");
STORE_STMT(JOB_SET_TRACE, "UPDATE jobs SET trace_size = $2, trace_checksum = $3 WHERE id = $1");
STORE_STMT(JOB_ERASE, "UPDATE jobs SET erased_at = $2, updated_at = $2, trace_size = 0,"
                      " trace_checksum = '' WHERE id = $1");
STORE_STMT(JOB_ERASE_ARTIFACTS, "DELETE FROM artifacts WHERE job_id = $1");

static const char *const WHENS[] = {
    [WHEN_ON_SUCCESS] = "on_success", [WHEN_ON_FAILURE] = "on_failure", [WHEN_ALWAYS] = "always",
    [WHEN_MANUAL] = "manual",         [WHEN_DELAYED] = "delayed",       [WHEN_NEVER] = "never",
};

const char *job_when_name(enum job_when w)
{
    return (size_t)w < ARRAY_SIZE(WHENS) ? WHENS[w] : "unknown";
}

bool job_when_parse(struct str name, enum job_when *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(WHENS); i++)
        if (str_is(name, WHENS[i])) {
            *ret = (enum job_when)i;
            return true;
        }
    return false;
}

void job_fill(struct rows *r, struct arena *a, struct job *j)
{
    struct cols c = {r, a, 0};
    j->id = next_int(&c);
    j->pipeline_id = next_int(&c);
    j->project_id = next_int(&c);
    j->spec_id = next_int(&c);
    j->name = next_text(&c);
    j->stage = next_text(&c);
    j->stage_idx = (int)next_int(&c);
    j->position = (int)next_int(&c);
    if (!ci_status_parse(row_peek(r, c.at++), &j->status))
        j->status = CI_FAILED;
    if (!job_when_parse(row_peek(r, c.at++), &j->when))
        j->when = WHEN_NEVER;
    j->allow_failure = next_bool(&c);
    j->dag = next_bool(&c);
    j->interruptible = next_bool(&c);
    j->retried = next_bool(&c);
    j->retry_of = next_int(&c);
    j->attempt = (int)next_int(&c);
    j->retry_max = (int)next_int(&c);
    j->retry_when = next_text(&c);
    j->trigger = next_bool(&c);
    j->ref = next_text(&c);
    j->tag = next_bool(&c);
    j->protected_ref = next_bool(&c);
    j->sha = next_text(&c);
    j->tag_list = next_text(&c);
    j->timeout_s = next_int(&c);
    j->start_at = next_int(&c);
    j->resource_group = next_text(&c);
    j->environment = next_text(&c);
    j->user_id = next_int(&c);
    j->runner_id = next_int(&c);
    j->system_id = next_text(&c);
    j->failure_reason = next_text(&c);
    j->exit_code = (int)next_int(&c);
    j->coverage = next_real(&c);
    j->coverage_regex = next_text(&c);
    j->trace_size = next_int(&c);
    j->trace_checksum = next_text(&c);
    j->created_at = next_int(&c);
    j->updated_at = next_int(&c);
    j->queued_at = next_int(&c);
    j->started_at = next_int(&c);
    j->finished_at = next_int(&c);
    j->erased_at = next_int(&c);
    j->acked_at = next_int(&c);
    j->seen_at = next_int(&c);
}
AREA_READERS(job, job_fill, "job")

static void fill_edge(struct rows *r, struct arena *a, struct job_edge *d)
{
    d->job_id = row_int(r, 0);
    d->need.name = row_text(r, 1, a);
    d->need.artifacts = row_int(r, 2) != 0;
    d->need.optional = row_int(r, 3) != 0;
}
AREA_READERS(job_edge, fill_edge, "need")

static void fill_need(struct rows *r, struct arena *a, struct job_need *d)
{
    struct job_edge edge;
    fill_edge(r, a, &edge);
    *d = edge.need;
}
AREA_READERS(job_need, fill_need, "need")

void job_wake(struct tx *tx, int64_t id, int64_t pipeline_id, enum ci_status status)
{
    tx_wake(tx, "job:%lld", (long long)id);
    tx_wake(tx, "pipeline:%lld", (long long)pipeline_id);
    if (status == CI_PENDING)
        tx_wake(tx, "runners");
}

// ---- inserting ----

static int insert_row(struct tx *tx, struct job *j, int64_t now, struct err *e)
{
    j->created_at = j->updated_at = now;
    j->queued_at = j->status == CI_PENDING ? now : 0;
    j->finished_at = ci_status_in(j->status, CI_SET_ENDED) ? now : 0;
    TRY(db_int(tx, &JOB_INSERT,
               ARGS(I(j->pipeline_id), I(j->project_id), I(j->spec_id), S(j->name), S(j->stage),
                    I(j->stage_idx), I(j->position), S(str_of(ci_status_name(j->status))),
                    S(str_of(job_when_name(j->when))), I(j->allow_failure), I(j->dag),
                    I(j->interruptible), REF(j->retry_of), I(j->attempt), I(j->retry_max),
                    S(j->retry_when), I(j->trigger), S(j->ref), I(j->tag), I(j->protected_ref),
                    S(j->sha), S(j->tag_list), I(j->timeout_s), I(j->start_at),
                    S(j->resource_group), S(j->environment), REF(j->user_id), S(j->coverage_regex),
                    I(now), I(j->queued_at), I(j->finished_at)),
               &j->id, e));
    j->exit_code = -1;
    j->coverage = -1;
    job_wake(tx, j->id, j->pipeline_id, j->status);
    return 0;
}

int job_insert(struct tx *tx, struct job *j, int64_t now, struct err *e)
{
    _autobuf_ struct buf tags = BUF_INIT(KIB(64));
    tag_list(&tags, j->tags, j->ntags);
    if (!buf_ok(&tags))
        return err_set(e, E_LIMIT, "job %" PRISTR ": too many tags", STRARG(j->name));
    if (!j->spec_id)
        TRY(db_int(tx, &JOB_SPEC_INSERT, ARGS(I(j->pipeline_id), S(j->spec)), &j->spec_id, e));
    j->tag_list = buf_str(&tags);
    int rc = insert_row(tx, j, now, e);
    j->tag_list = STR_NONE;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < j->nneeds; i++) {
        const struct job_need *d = &j->needs[i];
        int64_t n = db_run(tx, &JOB_NEED_INSERT,
                           ARGS(I(j->id), I(i), S(d->name), I(d->artifacts), I(d->optional)), e);
        if (n < 0)
            return (int)n;
    }
    for (size_t i = 0; i < j->ntags; i++) {
        int64_t n = db_run(tx, &JOB_TAG_INSERT, ARGS(I(j->id), S(j->tags[i])), e);
        if (n < 0)
            return (int)n;
    }
    return 0;
}

int job_insert_retry(struct tx *tx, struct arena *a, int64_t id, enum ci_status status,
                     int64_t user_id, int64_t now, struct job *ret, struct err *e)
{
    struct job j;
    TRY(job_get(tx, a, id, &j, e));
    int64_t n = db_run(tx, &JOB_SET_RETRIED, ARGS(I(id)), e);
    if (n < 0)
        return (int)n;
    if (n == 0)
        return err_set(e, E_CONFLICT, "the job was retried already");
    j.retry_of = id;
    j.attempt++;
    j.status = status;
    if (user_id)
        j.user_id = user_id;
    TRY(insert_row(tx, &j, now, e));
    n = db_run(tx, &JOB_NEEDS_COPY, ARGS(I(id), I(j.id)), e);
    if (n >= 0)
        n = db_run(tx, &JOB_TAGS_COPY, ARGS(I(id), I(j.id)), e);
    if (n < 0)
        return (int)n;
    return job_get(tx, a, j.id, ret, e);
}

// ---- reading ----

int job_get(struct tx *tx, struct arena *a, int64_t id, struct job *ret, struct err *e)
{
    return one_job(tx, a, &JOB_GET, ARGS(I(id)), ret, e);
}

int job_spec(struct tx *tx, struct arena *a, int64_t id, struct str *ret, struct err *e)
{
    _autorows_ struct rows r = ROWS_NONE;
    TRY(rows_open(&r, tx, &JOB_SPEC, ARGS(I(id)), e));
    int rc = rows_next(&r, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, E_NOTFOUND, "job not found");
    *ret = row_text(&r, 0, a);
    return 0;
}

int job_needs(struct tx *tx, struct arena *a, int64_t id, struct job_need **ret, size_t *ret_n,
              struct err *e)
{
    return many_job_need(tx, a, &JOB_NEEDS, ARGS(I(id)), ret, ret_n, e);
}

int job_edges(struct tx *tx, struct arena *a, int64_t pipeline_id, struct job_edge **ret,
              size_t *ret_n, struct err *e)
{
    return many_job_edge(tx, a, &JOB_EDGES, ARGS(I(pipeline_id)), ret, ret_n, e);
}

int job_list_pipeline(struct tx *tx, struct arena *a, int64_t pipeline_id, bool retried,
                      struct job **ret, size_t *ret_n, struct err *e)
{
    return many_job(tx, a, &JOBS_PIPELINE, ARGS(I(pipeline_id), I(retried)), ret, ret_n, e);
}

int job_list(struct tx *tx, struct arena *a, int64_t project_id, int64_t pipeline_id,
             unsigned statuses, bool retried, struct page *page, struct job **ret, size_t *ret_n,
             struct err *e)
{
    char set[STATUS_SET_SIZE];
    struct db_val limit = page_limit(page);
    const struct db_val args[] = {I(project_id), I(pipeline_id), S(status_set(statuses, set)),
                                  I(retried),    limit,          page_offset(page)};
    struct db_stmt *rows = &JOBS_ALL, *count = &JOBS_ALL_COUNT;
    if (pipeline_id) {
        rows = &JOBS_BY_PIPELINE;
        count = &JOBS_BY_PIPELINE_COUNT;
    } else if (project_id) {
        rows = &JOBS_BY_PROJECT;
        count = &JOBS_BY_PROJECT_COUNT;
    }
    TRY(many_job(tx, a, rows, args, 6, ret, ret_n, e));
    return page_count(tx, page, *ret_n, count, args, 4, e);
}

int job_latest_success(struct tx *tx, struct arena *a, int64_t project_id, struct str ref,
                       struct str name, struct job *ret, struct err *e)
{
    return one_job(tx, a, &JOB_LATEST_SUCCESS, ARGS(I(project_id), S(ref), S(name)), ret, e);
}

// ---- changes ----

static int changed(struct tx *tx, int rc, int64_t id, int64_t pipeline_id, enum ci_status to,
                   struct err *e)
{
    if (rc == E_NOTFOUND)
        return err_set(e, E_CONFLICT, "the job is not in a state that can become %s",
                       ci_status_name(to));
    if (rc < 0)
        return rc;
    job_wake(tx, id, pipeline_id, to);
    return 0;
}

int job_move(struct tx *tx, int64_t id, unsigned from, enum ci_status to, int64_t start_at,
             int64_t now, struct err *e)
{
    char set[STATUS_SET_SIZE];
    int64_t pipeline_id = 0;
    bool fresh = to == CI_CREATED || to == CI_MANUAL;
    int rc = db_int(tx, &JOB_MOVE,
                    ARGS(I(id), S(status_set(from, set)), S(str_of(ci_status_name(to))), I(now),
                         I(start_at), I(fresh)),
                    &pipeline_id, e);
    return changed(tx, rc, id, pipeline_id, to, e);
}

int job_finish(struct tx *tx, int64_t id, unsigned from, enum ci_status to, struct str reason,
               int exit_code, int64_t now, struct err *e)
{
    char set[STATUS_SET_SIZE];
    int64_t pipeline_id = 0;
    BUG_ON(!ci_status_in(to, CI_SET_FINISHED));
    int rc = db_int(tx, &JOB_FINISH,
                    ARGS(I(id), S(status_set(from, set)), S(str_of(ci_status_name(to))), S(reason),
                         I(exit_code), I(now)),
                    &pipeline_id, e);
    return changed(tx, rc, id, pipeline_id, to, e);
}

int job_set_user(struct tx *tx, int64_t id, int64_t user_id, struct err *e)
{
    return db_one(tx, &JOB_SET_USER, ARGS(I(id), REF(user_id)), "job", e);
}

int job_set_allow_failure(struct tx *tx, int64_t id, bool allow, struct err *e)
{
    return db_one(tx, &JOB_SET_ALLOW_FAILURE, ARGS(I(id), I(allow)), "job", e);
}

int job_set_coverage(struct tx *tx, int64_t id, double percent, struct err *e)
{
    return db_one(tx, &JOB_SET_COVERAGE, ARGS(I(id), R(percent)), "job", e);
}

int job_set_trace(struct tx *tx, int64_t id, int64_t size, struct str checksum, struct err *e)
{
    return db_one(tx, &JOB_SET_TRACE, ARGS(I(id), I(size), S(checksum)), "job", e);
}

int job_erase(struct tx *tx, int64_t id, int64_t now, struct err *e)
{
    TRY(trash_artifacts(tx, id, 0, e));
    TRY(trash_traces(tx, id, 0, e));
    int64_t n = db_run(tx, &JOB_ERASE_ARTIFACTS, ARGS(I(id)), e);
    if (n < 0)
        return (int)n;
    TRY(db_one(tx, &JOB_ERASE, ARGS(I(id), I(now)), "job", e));
    tx_wake(tx, "job:%lld", (long long)id);
    return 0;
}
