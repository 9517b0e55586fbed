// SPDX-License-Identifier: Apache-2.0
// The list of files that no row names any more, and their removal from the disk. Removal comes
// before the list's own row goes, so that a crash in between only repeats it. Stateless.
#include "store/trash.h"

#include "store/blob.h"
#include "store/rows.h"

STORE_STMT(TRASH_ADD, "INSERT INTO trash (path) VALUES ($1)");
STORE_STMT(TRASH_PAGES,
           "INSERT INTO trash (path) SELECT dir FROM pages_deployments WHERE project_id = $1");
STORE_STMT(TRASH_ARTIFACTS,
           "INSERT INTO trash (path) SELECT f.path FROM artifacts f JOIN jobs j ON j.id = f.job_id"
           " WHERE ($1 <> 0 AND j.id = $1) OR ($2 <> 0 AND j.pipeline_id = $2)");
STORE_STMT(TRASH_TRACES,
           "INSERT INTO trash (path) SELECT 'traces/' || j.project_id || '/' || j.id || '.log'"
           " FROM jobs j WHERE ($1 <> 0 AND j.id = $1) OR ($2 <> 0 AND j.pipeline_id = $2)");
STORE_STMT(TRASH_LIST, "SELECT id, path FROM trash ORDER BY id LIMIT $1");
STORE_STMT(TRASH_REMOVE, "DELETE FROM trash WHERE id = $1");

struct piece {
    int64_t id;
    struct str path;
};

static void fill(struct rows *r, struct arena *a, struct piece *p)
{
    p->id = row_int(r, 0);
    p->path = row_text(r, 1, a);
}
AREA_READERS(piece, fill, "path")

int trash_add(struct tx *tx, struct str path, struct err *e)
{
    int64_t n = db_run(tx, &TRASH_ADD, ARGS(S(path)), e);
    return n < 0 ? (int)n : 0;
}

int trash_pages(struct tx *tx, int64_t project_id, struct err *e)
{
    int64_t n = db_run(tx, &TRASH_PAGES, ARGS(I(project_id)), e);
    return n < 0 ? (int)n : 0;
}

int trash_artifacts(struct tx *tx, int64_t job_id, int64_t pipeline_id, struct err *e)
{
    int64_t n = db_run(tx, &TRASH_ARTIFACTS, ARGS(I(job_id), I(pipeline_id)), e);
    return n < 0 ? (int)n : 0;
}

int trash_traces(struct tx *tx, int64_t job_id, int64_t pipeline_id, struct err *e)
{
    int64_t n = db_run(tx, &TRASH_TRACES, ARGS(I(job_id), I(pipeline_id)), e);
    return n < 0 ? (int)n : 0;
}

int64_t trash_empty(struct store *s, int max, struct err *e)
{
    _autoarena_ struct arena a;
    arena_init(&a, MIB(16));
    struct piece *list;
    size_t n;
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(s, &tx, e));
        TRY(many_piece(&tx, &a, &TRASH_LIST, ARGS(I(MIN(max, 1000))), &list, &n, e));
        TRY(tx_commit(&tx, e));
    }
    // One that cannot be removed now must not keep the others; it stays on the list.
    int rc = 0;
    size_t removed = 0;
    for (size_t i = 0; i < n; i++) {
        int one = blob_remove(s, list[i].path, rc == 0 ? e : NULL);
        if (one == 0)
            list[removed++] = list[i];
        else if (rc == 0)
            rc = one;
    }
    if (removed == 0)
        return rc;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(s, &tx, e));
    for (size_t i = 0; i < removed; i++)
        TRY(db_one(&tx, &TRASH_REMOVE, ARGS(I(list[i].id)), "path", e));
    TRY(tx_commit(&tx, e));
    return (int64_t)removed;
}
