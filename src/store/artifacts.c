// SPDX-License-Identifier: Apache-2.0
// Rows of artifacts. Replacing, deleting and expiring put the file on the trash list in the same
// transaction. Stateless.
#include "store/artifacts.h"

#include "base/clock.h"
#include "base/text.h"
#include "store/rows.h"
#include "store/trash.h"

#define COLUMNS                                                                                    \
    "SELECT f.id, f.job_id, f.project_id, f.type, f.format, f.file_name, f.path, f.size,"          \
    " f.sha256, f.access, f.created_at, f.expire_at, f.keep FROM artifacts f "

STORE_STMT(ARTIFACT_TRASH, "INSERT INTO trash (path) SELECT path FROM artifacts"
                           " WHERE job_id = $1 AND type = $2");
STORE_STMT(ARTIFACT_REMOVE, "DELETE FROM artifacts WHERE job_id = $1 AND type = $2");
STORE_STMT(ARTIFACT_INSERT,
           "INSERT INTO artifacts (job_id, project_id, type, format, file_name, path, size,"
           " sha256, access, created_at, expire_at, keep)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id");
STORE_STMT(ARTIFACT_GET, COLUMNS "WHERE f.job_id = $1 AND f.type = $2"
                                 " AND (f.keep = 1 OR f.expire_at = 0 OR f.expire_at > $3)");
STORE_STMT(ARTIFACT_LIST, COLUMNS "WHERE f.job_id = $1 ORDER BY f.id");
STORE_STMT(ARTIFACT_LIST_PIPELINE, COLUMNS "JOIN jobs j ON j.id = f.job_id"
                                           " WHERE j.pipeline_id = $1 ORDER BY f.job_id, f.id");
STORE_STMT(ARTIFACT_KEEP, "UPDATE artifacts SET keep = 1 WHERE job_id = $1");
STORE_STMT(ARTIFACT_DELETE_JOB, "DELETE FROM artifacts WHERE job_id = $1");
// Expired, unless its pipeline is the newest successful one of its ref and the project keeps those.
STORE_STMT(ARTIFACT_EXPIRED, COLUMNS
           "JOIN jobs j ON j.id = f.job_id JOIN projects p ON p.id = f.project_id"
           " WHERE f.expire_at > 0 AND f.keep = 0 AND f.expire_at <= $1"
           " AND NOT (p.keep_latest_artifact = 1 AND j.pipeline_id = (SELECT coalesce(max(l.id), 0)"
           "  FROM pipelines l WHERE l.project_id = j.project_id AND l.ref = j.ref"
           "  AND l.status = 'success'))"
           " ORDER BY f.expire_at LIMIT $2");
STORE_STMT(ARTIFACT_DELETE, "DELETE FROM artifacts WHERE id = $1");
STORE_STMT(ARTIFACT_USAGE, "SELECT coalesce(sum(size), 0) FROM artifacts WHERE project_id = $1");

static void fill(struct rows *r, struct arena *a, struct artifact *f)
{
    struct cols c = {r, a, 0};
    f->id = next_int(&c);
    f->job_id = next_int(&c);
    f->project_id = next_int(&c);
    f->type = next_text(&c);
    f->format = next_text(&c);
    f->file_name = next_text(&c);
    f->path = next_text(&c);
    f->size = next_int(&c);
    f->sha256 = next_text(&c);
    f->access = next_text(&c);
    f->created_at = next_int(&c);
    f->expire_at = next_int(&c);
    f->keep = next_bool(&c);
}
AREA_READERS(artifact, fill, "artifact")

struct str artifact_new_path(struct arena *a, int64_t project_id, int64_t job_id, struct str type,
                             struct str format)
{
    char random[17];
    text_random(random, sizeof(random));
    return arena_strf(a, "artifacts/%lld/%lld/%" PRISTR "-%s.%" PRISTR, (long long)project_id,
                      (long long)job_id, STRARG(type), random, STRARG(format));
}

int artifact_insert(struct tx *tx, struct artifact *f, struct err *e)
{
    int64_t n = db_run(tx, &ARTIFACT_TRASH, ARGS(I(f->job_id), S(f->type)), e);
    if (n >= 0)
        n = db_run(tx, &ARTIFACT_REMOVE, ARGS(I(f->job_id), S(f->type)), e);
    if (n < 0)
        return (int)n;
    f->created_at = clock_wall_ms();
    TRY(db_int(tx, &ARTIFACT_INSERT,
               ARGS(I(f->job_id), I(f->project_id), S(f->type), S(f->format), S(f->file_name),
                    S(f->path), I(f->size), S(f->sha256), S(f->access), I(f->created_at),
                    I(f->expire_at), I(f->keep)),
               &f->id, e));
    tx_wake(tx, "job:%lld", (long long)f->job_id);
    return 0;
}

int artifact_get(struct tx *tx, struct arena *a, int64_t job_id, struct str type, int64_t now,
                 struct artifact *ret, struct err *e)
{
    return one_artifact(tx, a, &ARTIFACT_GET, ARGS(I(job_id), S(type), I(now)), ret, e);
}

int artifact_list(struct tx *tx, struct arena *a, int64_t job_id, struct artifact **ret,
                  size_t *ret_n, struct err *e)
{
    return many_artifact(tx, a, &ARTIFACT_LIST, ARGS(I(job_id)), ret, ret_n, e);
}

int artifact_list_pipeline(struct tx *tx, struct arena *a, int64_t pipeline_id,
                           struct artifact **ret, size_t *ret_n, struct err *e)
{
    return many_artifact(tx, a, &ARTIFACT_LIST_PIPELINE, ARGS(I(pipeline_id)), ret, ret_n, e);
}

int artifact_keep(struct tx *tx, int64_t job_id, struct err *e)
{
    return db_one(tx, &ARTIFACT_KEEP, ARGS(I(job_id)), "artifact", e);
}

int artifact_delete_job(struct tx *tx, int64_t job_id, struct err *e)
{
    TRY(trash_artifacts(tx, job_id, 0, e));
    int64_t n = db_run(tx, &ARTIFACT_DELETE_JOB, ARGS(I(job_id)), e);
    return n < 0 ? (int)n : 0;
}

int64_t artifact_sweep(struct tx *tx, int64_t now, int max, struct err *e)
{
    _autoarena_ struct arena a;
    arena_init(&a, MIB(16));
    struct artifact *list;
    size_t n;
    TRY(many_artifact(tx, &a, &ARTIFACT_EXPIRED, ARGS(I(now), I(MIN(max, 1000))), &list, &n, e));
    for (size_t i = 0; i < n; i++) {
        TRY(trash_add(tx, list[i].path, e));
        TRY(db_one(tx, &ARTIFACT_DELETE, ARGS(I(list[i].id)), "artifact", e));
    }
    return (int64_t)n;
}

int artifact_usage(struct tx *tx, int64_t project_id, int64_t *ret, struct err *e)
{
    return db_int(tx, &ARTIFACT_USAGE, ARGS(I(project_id)), ret, e);
}
