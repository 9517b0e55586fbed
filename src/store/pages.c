// SPDX-License-Identifier: Apache-2.0
// Rows of published pages. An index lets at most one deployment of a project be active. Stateless.
#include "store/pages.h"

#include "base/clock.h"
#include "store/rows.h"
#include "store/trash.h"

#define COLUMNS                                                                                    \
    "SELECT id, project_id, job_id, pipeline_id, dir, files, size, active, created_at"             \
    " FROM pages_deployments "

STORE_STMT(PAGES_INSERT, "INSERT INTO pages_deployments (project_id, job_id, pipeline_id, dir,"
                         " files, size, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
                         " RETURNING id");
STORE_STMT(PAGES_GET, COLUMNS "WHERE id = $1");
STORE_STMT(PAGES_ACTIVE, COLUMNS "WHERE project_id = $1 AND active = 1");
STORE_STMT(PAGES_CLEAR, "UPDATE pages_deployments SET active = 0"
                        " WHERE project_id = $1 AND active = 1");
STORE_STMT(PAGES_SET, "UPDATE pages_deployments SET active = 1 WHERE id = $1");
STORE_STMT(PAGES_LIST, COLUMNS "WHERE project_id = $1 ORDER BY id DESC");
STORE_STMT(PAGES_LIST_ACTIVE, COLUMNS "WHERE active = 1 ORDER BY id");
STORE_STMT(PAGES_DELETE, "DELETE FROM pages_deployments WHERE project_id = $1");
STORE_STMT(PAGES_SWEEP_TRASH, "INSERT INTO trash (path) SELECT dir FROM pages_deployments"
                              " WHERE active = 0 AND created_at < $1");
STORE_STMT(PAGES_SWEEP, "DELETE FROM pages_deployments WHERE active = 0 AND created_at < $1");

static void fill(struct rows *r, struct arena *a, struct pages_deployment *d)
{
    struct cols c = {r, a, 0};
    d->id = next_int(&c);
    d->project_id = next_int(&c);
    d->job_id = next_int(&c);
    d->pipeline_id = next_int(&c);
    d->dir = next_text(&c);
    d->files = next_int(&c);
    d->size = next_int(&c);
    d->active = next_bool(&c);
    d->created_at = next_int(&c);
}
AREA_READERS(pages_deployment, fill, "pages deployment")

int pages_insert(struct tx *tx, struct pages_deployment *d, struct err *e)
{
    d->active = false;
    d->created_at = clock_wall_ms();
    return db_int(tx, &PAGES_INSERT,
                  ARGS(I(d->project_id), REF(d->job_id), REF(d->pipeline_id), S(d->dir),
                       I(d->files), I(d->size), I(d->created_at)),
                  &d->id, e);
}

int pages_activate(struct tx *tx, int64_t id, struct err *e)
{
    _autoarena_ struct arena a;
    struct pages_deployment d = {0}, now = {0};
    arena_init(&a, KIB(64));
    TRY(one_pages_deployment(tx, &a, &PAGES_GET, ARGS(I(id)), &d, e));
    int rc = pages_active(tx, &a, d.project_id, &now, e);
    if (rc < 0 && rc != E_NOTFOUND)
        return rc;
    if (rc == 0 && now.id != id && now.job_id > d.job_id)
        return err_set(e, E_CONFLICT, "the pages of a newer job are published already");
    int64_t n = db_run(tx, &PAGES_CLEAR, ARGS(I(d.project_id)), e);
    if (n < 0)
        return (int)n;
    return db_one(tx, &PAGES_SET, ARGS(I(id)), "pages deployment", e);
}

int pages_active(struct tx *tx, struct arena *a, int64_t project_id, struct pages_deployment *ret,
                 struct err *e)
{
    return one_pages_deployment(tx, a, &PAGES_ACTIVE, ARGS(I(project_id)), ret, e);
}

int pages_list(struct tx *tx, struct arena *a, int64_t project_id, struct pages_deployment **ret,
               size_t *ret_n, struct err *e)
{
    return many_pages_deployment(tx, a, &PAGES_LIST, ARGS(I(project_id)), ret, ret_n, e);
}

int pages_list_active(struct tx *tx, struct arena *a, struct pages_deployment **ret, size_t *ret_n,
                      struct err *e)
{
    return many_pages_deployment(tx, a, &PAGES_LIST_ACTIVE, NOARGS, ret, ret_n, e);
}

int pages_delete(struct tx *tx, int64_t project_id, struct err *e)
{
    TRY(trash_pages(tx, project_id, e));
    int64_t n = db_run(tx, &PAGES_DELETE, ARGS(I(project_id)), e);
    if (n == 0)
        return err_set(e, E_NOTFOUND, "nothing is published");
    return n < 0 ? (int)n : 0;
}

int64_t pages_sweep(struct tx *tx, int64_t before, struct err *e)
{
    int64_t n = db_run(tx, &PAGES_SWEEP_TRASH, ARGS(I(before)), e);
    if (n < 0)
        return n;
    return db_run(tx, &PAGES_SWEEP, ARGS(I(before)), e);
}
