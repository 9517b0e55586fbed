// SPDX-License-Identifier: Apache-2.0
// Sweeps of the state folder and of rows that time has made useless. Called by the server role, at
// its start and from its timer. Stateless.
#include "forge/upkeep.h"

#include "forge/project.h"
#include "store/blob.h"
#include "store/pages.h"
#include "store/sessions.h"
#include "store/trash.h"

#define TRASH_AT_ONCE 500

int forge_start(struct forge *f, int64_t *ret_removed, struct err *e)
{
    TRY(blob_sweep(f->store, e));
    int64_t n = project_sweep_repos(f, e);
    if (n < 0)
        return (int)n;
    if (ret_removed)
        *ret_removed = n;
    return 0;
}

static int sweep_rows(struct forge *f, int64_t now, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(f->store, &tx, e));
    int64_t sessions = session_sweep(&tx, now, e);
    if (sessions < 0)
        return (int)sessions;
    int64_t pages = pages_sweep(&tx, now - PAGES_KEEP_MS, e);
    if (pages < 0)
        return (int)pages;
    return sessions || pages ? tx_commit(&tx, e) : 0;
}

int forge_upkeep(struct forge *f, int64_t now, struct err *e)
{
    int rows = sweep_rows(f, now, e);
    int64_t files = trash_empty(f->store, TRASH_AT_ONCE, rows < 0 ? NULL : e);
    return rows < 0 ? rows : files < 0 ? (int)files : 0;
}
