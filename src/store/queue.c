// SPDX-License-Identifier: Apache-2.0
// The queue that runners take jobs from, and what is known of jobs on runners. A job is claimed by
// one UPDATE of a pending row inside the writer's transaction, so each is claimed once. Stateless.
#include "store/job_rows.h"

#include <stdlib.h>

#define SEEN_MS 10000

// A runner r may run job j of project p. Portable, and cheap: the queue's index holds pending jobs
// only, and the other lookups are by key.
#define MATCH                                                                                      \
    "FROM jobs j JOIN projects p ON p.id = j.project_id JOIN runners r ON r.id = $1"               \
    " WHERE j.status = 'pending' AND j.trigger_ = 0 AND r.paused = 0 AND p.ci_enabled = 1"         \
    " AND p.archived = 0"                                                                          \
    " AND (r.ref_protected = 0 OR j.protected_ref = 1)"                                            \
    " AND ((j.tag_list = '' AND r.run_untagged = 1) OR (j.tag_list <> '' AND NOT EXISTS ("         \
    "  SELECT 1 FROM job_tags t WHERE t.job_id = j.id AND t.tag NOT IN"                            \
    "  (SELECT tag FROM runner_tags WHERE runner_id = $1))))"                                      \
    " AND ((r.type = 0 AND p.shared_runners = 1)"                                                  \
    "  OR (r.type = 2 AND EXISTS (SELECT 1 FROM runner_projects rp WHERE rp.runner_id = $1"        \
    "   AND rp.project_id = p.id))"                                                                \
    "  OR (r.type = 1 AND p.group_runners = 1 AND r.group_id IN ("                                 \
    "   WITH RECURSIVE up (id, parent_id) AS ("                                                    \
    "    SELECT id, parent_id FROM namespaces WHERE id = p.namespace_id"                           \
    "    UNION ALL SELECT n.id, n.parent_id FROM namespaces n JOIN up ON n.id = up.parent_id)"     \
    "   SELECT id FROM up))) "

STORE_STMT(JOB_CLAIMABLE, "SELECT j.id " MATCH "ORDER BY j.queued_at, j.id LIMIT 1");
STORE_STMT(JOB_CLAIM, "UPDATE jobs SET status = 'running', runner_id = $2, system_id = $3,"
                      " token_sha256 = $4, started_at = $5, updated_at = $5, acked_at = 0,"
                      " seen_at = $5 WHERE id = $1 AND status = 'pending'");
STORE_STMT(JOB_UNCLAIM, "UPDATE jobs SET status = 'pending', runner_id = NULL, system_id = '',"
                        " token_sha256 = NULL, started_at = 0, seen_at = 0, updated_at = $2"
                        " WHERE id = $1 AND status = 'running' AND acked_at = 0"
                        " RETURNING pipeline_id");
STORE_STMT(JOB_QUEUE_GET, JOB_COLUMNS "WHERE j.id = $1");
STORE_STMT(JOB_SEEN, "UPDATE jobs SET seen_at = $2,"
                     " acked_at = CASE WHEN acked_at = 0 THEN $2 ELSE acked_at END"
                     " WHERE id = $1 AND (acked_at = 0 OR seen_at <= $3)"
                     " AND status IN ('running', 'canceling')");
STORE_STMT(JOB_SILENT, JOB_COLUMNS "WHERE j.status IN ('running', 'canceling')"
                                   " AND (j.seen_at < $1 OR (j.acked_at = 0 AND j.started_at < $2))"
                                   " ORDER BY j.project_id, j.id");
STORE_STMT(JOB_OVERDUE, JOB_COLUMNS "JOIN projects p ON p.id = j.project_id"
                                    " WHERE j.status IN ('running', 'canceling')"
                                    " AND j.started_at + $1 + 1000 * (CASE WHEN j.timeout_s > 0"
                                    "  THEN j.timeout_s ELSE p.build_timeout_s END) < $2"
                                    " ORDER BY j.project_id, j.id");
STORE_STMT(JOB_DUE,
           "SELECT id FROM jobs WHERE status = 'scheduled' AND start_at <= $1 ORDER BY start_at");
STORE_STMT(JOB_DUE_NEXT, "SELECT coalesce(min(start_at), 0) FROM jobs"
                         " WHERE status = 'scheduled' AND start_at > $1");
STORE_STMT(JOB_BY_TOKEN, JOB_COLUMNS "WHERE j.token_sha256 = $1"
                                     " AND j.status IN ('running', 'canceling')");
STORE_STMT(JOB_HAS_TOKEN, "SELECT count(*) FROM jobs WHERE id = $1 AND token_sha256 = $2");
STORE_STMT(JOB_COUNT_PENDING, "SELECT count(*) FROM jobs WHERE status = 'pending'");
STORE_STMT(JOB_COUNT_RUNNING,
           "SELECT count(*) FROM jobs j JOIN runners r ON r.id = j.runner_id AND r.type = 0"
           " WHERE j.project_id = $1 AND j.status IN ('running', 'canceling')");

AREA_READERS(job, job_fill, "job")

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

void tag_list(struct buf *to, const struct str *tags, size_t n)
{
    if (!n)
        return;
    _autofree_ struct str *sorted = NEW_ARRAY(struct str, n);
    memcpy(sorted, tags, n * sizeof(*tags));
    qsort(sorted, n, sizeof(*sorted), by_text);
    for (size_t i = 0; i < n; i++) {
        if (i && str_eq(sorted[i], sorted[i - 1]))
            continue;
        if (to->n)
            buf_addc(to, ',');
        buf_add(to, sorted[i]);
    }
}

int job_claimable(struct tx *tx, int64_t runner_id, int64_t *ret_job_id, struct err *e)
{
    int rc = db_int(tx, &JOB_CLAIMABLE, ARGS(I(runner_id)), ret_job_id, e);
    return rc == E_NOTFOUND ? err_set(e, rc, "no job for this runner") : rc;
}

int job_claim(struct tx *tx, struct arena *a, const struct job_claim *c, struct job *ret,
              struct err *e)
{
    int64_t id;
    TRY(job_claimable(tx, c->runner_id, &id, e));
    TRY(db_one(tx, &JOB_CLAIM,
               ARGS(I(id), I(c->runner_id), S(c->system_id), B(c->token_sha256), I(c->now)), "job",
               e));
    TRY(one_job(tx, a, &JOB_QUEUE_GET, ARGS(I(id)), ret, e));
    job_wake(tx, id, ret->pipeline_id, CI_RUNNING);
    return 0;
}

int job_unclaim(struct tx *tx, int64_t id, int64_t now, struct err *e)
{
    int64_t pipeline_id;
    int rc = db_int(tx, &JOB_UNCLAIM, ARGS(I(id), I(now)), &pipeline_id, e);
    if (rc == E_NOTFOUND)
        return err_set(e, E_CONFLICT, "the job's runner has it already");
    if (rc < 0)
        return rc;
    job_wake(tx, id, pipeline_id, CI_PENDING);
    return 0;
}

int job_seen(struct tx *tx, int64_t id, int64_t now, struct err *e)
{
    int64_t n = db_run(tx, &JOB_SEEN, ARGS(I(id), I(now), I(now - SEEN_MS)), e);
    return n < 0 ? (int)n : 0;
}

bool job_seen_due(const struct job *j, int64_t now)
{
    return ci_status_in(j->status, CI_SET_ON_RUNNER) &&
           (j->acked_at == 0 || j->seen_at <= now - SEEN_MS);
}

int job_silent(struct tx *tx, struct arena *a, int64_t seen_before, int64_t acked_before,
               struct job **ret, size_t *ret_n, struct err *e)
{
    return many_job(tx, a, &JOB_SILENT, ARGS(I(seen_before), I(acked_before)), ret, ret_n, e);
}

int job_overdue(struct tx *tx, struct arena *a, int64_t grace_ms, int64_t now, struct job **ret,
                size_t *ret_n, struct err *e)
{
    return many_job(tx, a, &JOB_OVERDUE, ARGS(I(grace_ms), I(now)), ret, ret_n, e);
}

struct id {
    int64_t v;
};
_Static_assert(sizeof(struct id) == sizeof(int64_t), "an array of ids is an array of numbers");

static void fill_id(struct rows *r, struct arena *a, struct id *i)
{
    i->v = row_int(r, 0);
}
AREA_READERS(id, fill_id, "row")

int job_due(struct tx *tx, struct arena *a, int64_t now, int64_t **ret_ids, size_t *ret_n,
            int64_t *ret_next, struct err *e)
{
    struct id *ids;
    TRY(many_id(tx, a, &JOB_DUE, ARGS(I(now)), &ids, ret_n, e));
    *ret_ids = &ids->v;
    return db_int(tx, &JOB_DUE_NEXT, ARGS(I(now)), ret_next, e);
}

int job_by_token(struct tx *tx, struct arena *a, struct str token_sha256, struct job *ret,
                 struct err *e)
{
    return one_job(tx, a, &JOB_BY_TOKEN, ARGS(B(token_sha256)), ret, e);
}

int job_has_token(struct tx *tx, int64_t id, struct str token_sha256, bool *ret, struct err *e)
{
    int64_t n;
    TRY(db_int(tx, &JOB_HAS_TOKEN, ARGS(I(id), B(token_sha256)), &n, e));
    *ret = n > 0;
    return 0;
}

int job_queue_counts(struct tx *tx, int64_t project_id, int64_t *ret_pending, int64_t *ret_running,
                     struct err *e)
{
    TRY(db_int(tx, &JOB_COUNT_PENDING, NOARGS, ret_pending, e));
    return db_int(tx, &JOB_COUNT_RUNNING, ARGS(I(project_id)), ret_running, e);
}
