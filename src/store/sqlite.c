// SPDX-License-Identifier: Apache-2.0
// The SQLite driver: one connection in WAL mode, with every statement prepared once and kept.
// A connection belongs to one thread at a time (SQLite's own locks are off); store.c sees to it.
// Codes of SQLite become E_* here and nowhere else.
#include "base/mem.h"
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS_MAX 64

struct sq_stmt {
    sqlite3_stmt *st;
    uint8_t index[ARGS_MAX + 1]; // placeholder number -> SQLite's parameter index, 0: not used
    bool busy;
    bool extra; // not kept: the kept one was busy
};

struct sq {
    struct db db;
    sqlite3 *con;
    struct sq_stmt *stmts;
    size_t nstmts;
    sqlite3_stmt *begin_read, *begin_write, *commit, *rollback;
};

static struct sq *sq_of(struct db *db)
{
    return CONTAINER_OF(db, struct sq, db);
}

static void configure(void)
{
    // Statistics take a process-wide lock on every allocation.
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_initialize();
}

// SQLite tells ENOSPC itself; of a quota or a file size limit only errno knows, which callers clear
// before they step.
static bool disk_full(sqlite3 *con, int rc, int os)
{
    if ((rc & 0xff) == SQLITE_FULL)
        return true;
    if ((rc & 0xff) != SQLITE_IOERR && (rc & 0xff) != SQLITE_CANTOPEN)
        return false;
    int noted = con ? sqlite3_system_errno(con) : 0;
    return noted == ENOSPC || noted == EDQUOT || noted == EFBIG || os == ENOSPC || os == EDQUOT ||
           os == EFBIG;
}

static int fail(sqlite3 *con, int rc, const char *what, struct err *e)
{
    int os = errno;
    const char *msg = con ? sqlite3_errmsg(con) : sqlite3_errstr(rc);
    if (con && sqlite3_extended_errcode(con) != SQLITE_OK)
        rc = sqlite3_extended_errcode(con);
    if (disk_full(con, rc, os))
        return err_set(e, E_LIMIT, "database: the disk is full (%s); free some space", what);
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return err_set(e, E_CONFLICT, "database: already taken (%s: %s)", what, msg);
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return err_set(e, E_CONFLICT, "database: refers to a row that is not there (%s)", what);
    }
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return err_set(e, E_INVALID, "database: value refused (%s: %s)", what, msg);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, E_BUSY, "database: locked by another process (%s)", what);
    case SQLITE_NOMEM:
        return err_set(e, E_LIMIT, "database: out of memory (%s)", what);
    default:
        return err_set(e, E_IO, "database: %s (%s, code %d)", msg, what, rc);
    }
}

// ---- opening ----

static int run(sqlite3 *con, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(con, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(con, rc, "setting up", e);
}

static int prepare(sqlite3 *con, const char *sql, const char *name, sqlite3_stmt **ret,
                   struct err *e)
{
    int rc = sqlite3_prepare_v3(con, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    return rc == SQLITE_OK ? 0 : fail(con, rc, name, e);
}

static void sq_close(struct db *db)
{
    struct sq *q = sq_of(db);
    for (size_t i = 0; i < q->nstmts; i++)
        sqlite3_finalize(q->stmts[i].st);
    sqlite3_finalize(q->begin_read);
    sqlite3_finalize(q->begin_write);
    sqlite3_finalize(q->commit);
    sqlite3_finalize(q->rollback);
    sqlite3_close(q->con);
    free(q->stmts);
    free(q);
}

static int set_up(struct sq *q, unsigned how, struct err *e)
{
    sqlite3_extended_result_codes(q->con, 1);
    sqlite3_busy_timeout(q->con, STORE_BUSY_MS);
    TRY(run(q->con, "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON;", e));
    if (!(how & DB_READER)) {
        TRY(run(q->con, "PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 16777216;", e));
        TRY(run(q->con,
                how & DB_SYNC_FULL ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
                e));
    } else {
        TRY(run(q->con, "PRAGMA query_only = ON; PRAGMA cache_size = -1024;", e));
    }
    TRY(prepare(q->con, "BEGIN", "begin", &q->begin_read, e));
    TRY(prepare(q->con, "BEGIN IMMEDIATE", "begin", &q->begin_write, e));
    TRY(prepare(q->con, "COMMIT", "commit", &q->commit, e));
    return prepare(q->con, "ROLLBACK", "rollback", &q->rollback, e);
}

static int sq_open(const char *where, unsigned how, size_t nstmts, struct db **ret, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);

    if (how & DB_CREATE) {
        // Before SQLite does it with the process's umask.
        int fd = open(where, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_errno(e, errno, "cannot open %s", where);
        close(fd);
    }
    struct sq *q = NEW(struct sq);
    q->db.driver = &sqlite_driver;
    q->nstmts = nstmts;
    q->stmts = NEW_ARRAY(struct sq_stmt, nstmts);
    int rc = sqlite3_open_v2(where, &q->con, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    rc = rc == SQLITE_OK ? set_up(q, how, e) : fail(q->con, rc, where, e);
    if (rc < 0) {
        sq_close(&q->db);
        return err_wrap(e, "%s", where);
    }
    *ret = &q->db;
    return 0;
}

// ---- transactions ----

static int once(struct sq *q, sqlite3_stmt *st, const char *what, struct err *e)
{
    errno = 0;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_DONE) {
        sqlite3_reset(st);
        return 0;
    }
    rc = fail(q->con, rc, what, e);
    sqlite3_reset(st);
    return rc;
}

static int sq_begin(struct db *db, bool write, struct err *e)
{
    struct sq *q = sq_of(db);
    return once(q, write ? q->begin_write : q->begin_read, "begin", e);
}

static int sq_commit(struct db *db, struct err *e)
{
    return once(sq_of(db), sq_of(db)->commit, "commit", e);
}

static void sq_rollback(struct db *db)
{
    struct sq *q = sq_of(db);
    // After a full disk SQLite may have rolled back by itself.
    if (!sqlite3_get_autocommit(q->con))
        (void)once(q, q->rollback, "rollback", NULL);
}

// ---- statements ----

static int ready(struct sq *q, const struct db_stmt *stmt, struct sq_stmt *to, struct err *e)
{
    TRY(prepare(q->con, stmt->sql, stmt->name, &to->st, e));
    int n = sqlite3_bind_parameter_count(to->st);
    BUG_ON(n > ARGS_MAX);
    for (int i = 1; i <= n; i++) {
        const char *name = sqlite3_bind_parameter_name(to->st, i);
        uint64_t number = 0;
        if (!name || name[0] != '$' || !str_to_u64(str_of(name + 1), &number) || number < 1 ||
            number > ARGS_MAX)
            BUG("a statement has a placeholder that is not $1 .. $64");
        to->index[number] = (uint8_t)i;
    }
    return 0;
}

static int bind(struct sq_stmt *s, int i, const struct db_val *v)
{
    // Static: the caller's bytes outlive the cursor, see rows_open().
    switch (v->type) {
    case DB_NULL:
        return sqlite3_bind_null(s->st, i);
    case DB_INT:
        return sqlite3_bind_int64(s->st, i, v->i);
    case DB_REAL:
        return sqlite3_bind_double(s->st, i, v->d);
    case DB_TEXT:
        return sqlite3_bind_text64(s->st, i, v->s.p ? v->s.p : "", v->s.n, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case DB_BLOB:
        return sqlite3_bind_blob64(s->st, i, v->s.p ? v->s.p : "", v->s.n, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static void sq_finish(struct db *db, void *cursor)
{
    struct sq_stmt *s = cursor;
    sqlite3_reset(s->st);
    sqlite3_clear_bindings(s->st);
    s->busy = false;
    if (s->extra) {
        sqlite3_finalize(s->st);
        free(s);
    }
}

static int sq_start(struct db *db, const struct db_stmt *stmt, const struct db_val *args,
                    size_t nargs, void **ret_cursor, struct err *e)
{
    struct sq *q = sq_of(db);
    BUG_ON(stmt->index < 0 || (size_t)stmt->index >= q->nstmts);
    struct sq_stmt *s = &q->stmts[stmt->index];
    if (s->busy) {
        s = NEW(struct sq_stmt);
        s->extra = true;
    }
    if (!s->st) {
        int rc = ready(q, stmt, s, e);
        if (rc < 0) {
            if (s->extra)
                free(s);
            return rc;
        }
    }
    s->busy = true;
    BUG_ON(nargs > ARGS_MAX || (int)nargs < sqlite3_bind_parameter_count(s->st));
    for (size_t k = 0; k < nargs; k++) {
        int rc = s->index[k + 1] ? bind(s, s->index[k + 1], &args[k]) : SQLITE_OK;
        if (rc != SQLITE_OK) {
            rc = fail(q->con, rc, stmt->name, e);
            sq_finish(db, s);
            return rc;
        }
    }
    *ret_cursor = s;
    return 0;
}

static int sq_step(struct db *db, void *cursor, struct err *e)
{
    struct sq_stmt *s = cursor;
    errno = 0;
    int rc = sqlite3_step(s->st);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    return fail(sq_of(db)->con, rc, "step", e);
}

static int64_t sq_changes(struct db *db)
{
    return sqlite3_changes64(sq_of(db)->con);
}

static int64_t col_int(void *cursor, int col)
{
    return sqlite3_column_int64(((struct sq_stmt *)cursor)->st, col);
}

static double col_real(void *cursor, int col)
{
    return sqlite3_column_double(((struct sq_stmt *)cursor)->st, col);
}

static bool col_null(void *cursor, int col)
{
    return sqlite3_column_type(((struct sq_stmt *)cursor)->st, col) == SQLITE_NULL;
}

static struct str col_bytes(void *cursor, int col)
{
    sqlite3_stmt *st = ((struct sq_stmt *)cursor)->st;
    const void *p = sqlite3_column_blob(st, col);
    return str_n(p ? p : "", p ? (size_t)sqlite3_column_bytes(st, col) : 0);
}

static int sq_script(struct db *db, const char *sql, struct err *e)
{
    struct sq *q = sq_of(db);
    int rc = sqlite3_exec(q->con, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(q->con, rc, "script", e);
}

// ---- backup and check ----

static int sq_backup(struct db *db, const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, errno, "cannot create %s", path);
    sqlite3 *to = NULL;
    int result = 0;
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_backup *b =
        rc == SQLITE_OK ? sqlite3_backup_init(to, "main", sq_of(db)->con, "main") : NULL;
    if (!b) {
        result = fail(to, rc, "backup", e);
    } else {
        // All pages in one step: one snapshot, and in WAL mode nobody waits for it.
        rc = sqlite3_backup_step(b, -1);
        int end = sqlite3_backup_finish(b);
        if (rc != SQLITE_DONE)
            result = fail(to, rc, "backup", e);
        else if (end != SQLITE_OK)
            result = fail(to, end, "backup", e);
    }
    sqlite3_close(to);
    if (result == 0 && fsync(fd) < 0)
        result = err_errno(e, errno, "cannot sync %s", path);
    close(fd);
    if (result < 0)
        unlink(path);
    return result;
}

static int sq_check(struct db *db, struct err *e)
{
    struct sq *q = sq_of(db);
    sqlite3_stmt *st = NULL;
    TRY(prepare(q->con, "PRAGMA integrity_check(1)", "check", &st, e));
    int result = 0, rc = sqlite3_step(st);
    const char *said = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (!said)
        result = fail(q->con, rc, "check", e);
    else if (!str_is(str_of(said), "ok"))
        result = err_set(e, E_IO, "database is damaged: %s; restore a backup", said);
    sqlite3_finalize(st);
    if (result < 0)
        return result;
    TRY(prepare(q->con, "PRAGMA foreign_key_check", "check", &st, e));
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        result = err_set(e, E_IO, "database is damaged: a row of %s refers to nothing",
                         (const char *)sqlite3_column_text(st, 0));
    else if (rc != SQLITE_DONE)
        result = fail(q->con, rc, "check", e);
    sqlite3_finalize(st);
    return result;
}

const struct db_driver sqlite_driver = {
    .name = "sqlite",
    .open = sq_open,
    .close = sq_close,
    .begin = sq_begin,
    .commit = sq_commit,
    .rollback = sq_rollback,
    .start = sq_start,
    .step = sq_step,
    .finish = sq_finish,
    .changes = sq_changes,
    .col_int = col_int,
    .col_real = col_real,
    .col_null = col_null,
    .col_bytes = col_bytes,
    .script = sq_script,
    .backup = sq_backup,
    .check = sq_check,
};
