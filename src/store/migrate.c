// SPDX-License-Identifier: Apache-2.0
// Brings a database to the newest schema: each missing step in one transaction with its row in
// schema_migrations, so that a crash leaves either all of a step or nothing. A schema that is newer
// than this program is refused, because older code would misread it. Called once by store_open().
#include "base/clock.h"
#include "store/db.h"

STORE_STMT(MIGRATION_NEWEST, "SELECT max(version), count(*) FROM schema_migrations");
STORE_STMT(MIGRATION_DONE,
           "INSERT INTO schema_migrations (version, what, applied_at) VALUES ($1, $2, $3)");

static const char BOOKKEEPING[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                  " version INTEGER PRIMARY KEY,"
                                  " what TEXT NOT NULL,"
                                  " applied_at INTEGER NOT NULL"
                                  ") STRICT";

static int newest_applied(struct tx *tx, int *ret, struct err *e)
{
    _autorows_ struct rows r = ROWS_NONE;
    TRY(rows_open(&r, tx, &MIGRATION_NEWEST, NOARGS, e));
    int rc = rows_next(&r, e);
    if (rc < 0)
        return rc;
    *ret = rc ? (int)row_int(&r, 0) : 0;
    if (rc && row_int(&r, 1) != *ret)
        return err_set(e, E_INVALID,
                       "the database's list of migrations has gaps; restore it from a backup");
    return 0;
}

static int apply(struct db *db, const struct migration *m, struct err *e)
{
    struct tx tx = {.db = db, .write = true};
    TRY(db->driver->begin(db, true, e));
    int rc = db->driver->script(db, m->sqlite, e);
    if (rc == 0) {
        int64_t n = db_run(&tx, &MIGRATION_DONE,
                           ARGS(I(m->number), S(str_of(m->what)), I(clock_wall_ms())), e);
        rc = n < 0 ? (int)n : db->driver->commit(db, e);
    }
    if (rc < 0) {
        db->driver->rollback(db);
        return err_wrap(e, "migration %d", m->number);
    }
    return 0;
}

int store_migrate(struct db *db, bool read_only, int *ret_version, struct err *e)
{
    struct tx tx = {.db = db};
    int version = 0, newest = (int)store_nmigrations;

    if (!read_only)
        TRY(db->driver->script(db, BOOKKEEPING, e));
    TRY(newest_applied(&tx, &version, e));
    if (version > newest)
        return err_set(e, E_INVALID,
                       "the database has schema %d, this program knows up to %d: it was used by a "
                       "newer version; run that one",
                       version, newest);
    if (read_only && version < newest)
        return err_set(e, E_INVALID,
                       "the database has schema %d, this program needs %d; start the server once "
                       "to migrate it",
                       version, newest);
    for (; version < newest; version++)
        TRY(apply(db, &store_migrations[version], e));
    *ret_version = version;
    return 0;
}
