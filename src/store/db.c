// SPDX-License-Identifier: Apache-2.0
// What every area uses to run statements: cursors over a driver, columns into an arena, pages.
// Works on whatever transaction it is given and keeps nothing between calls. The section that
// collects all statements is read here.
#include "base/buf.h"
#include "store/rows.h"

#include <pthread.h>

extern struct db_stmt *const __start_store_stmts[];
extern struct db_stmt *const __stop_store_stmts[];

// The two names are the linker's: the ends of one array, which C takes for two.
static size_t count(void)
{
    return ((uintptr_t)__stop_store_stmts - (uintptr_t)__start_store_stmts) /
           sizeof(__start_store_stmts[0]);
}

static void number_stmts(void)
{
    for (size_t i = 0; i < count(); i++)
        __start_store_stmts[i]->index = (int)i;
}

size_t db_stmts(struct db_stmt *const **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, number_stmts);
    if (ret)
        *ret = __start_store_stmts;
    return count();
}

// A statement that the data refused leaves the transaction usable; one that the disk refused does
// not: SQLite may have undone what came before it.
static int note(struct tx *tx, int rc)
{
    if (rc == E_LIMIT || rc == E_IO || rc == E_BUSY)
        tx->failed = true;
    return rc;
}

int rows_open(struct rows *r, struct tx *tx, struct db_stmt *stmt, const struct db_val *args,
              size_t nargs, struct err *e)
{
    BUG_ON(!tx->db);
    r->tx = tx;
    r->cursor = NULL;
    return note(tx, tx->db->driver->start(tx->db, stmt, args, nargs, &r->cursor, e));
}

int rows_next(struct rows *r, struct err *e)
{
    return note(r->tx, r->tx->db->driver->step(r->tx->db, r->cursor, e));
}

void rows_done(struct rows *r)
{
    if (r->cursor)
        r->tx->db->driver->finish(r->tx->db, r->cursor);
    r->cursor = NULL;
}

int64_t row_int(struct rows *r, int col)
{
    return r->tx->db->driver->col_int(r->cursor, col);
}

double row_real(struct rows *r, int col)
{
    return r->tx->db->driver->col_real(r->cursor, col);
}

bool row_null(struct rows *r, int col)
{
    return r->tx->db->driver->col_null(r->cursor, col);
}

struct str row_peek(struct rows *r, int col)
{
    return r->tx->db->driver->col_bytes(r->cursor, col);
}

struct str row_text(struct rows *r, int col, struct arena *a)
{
    return arena_str(a, row_peek(r, col));
}

int64_t db_run(struct tx *tx, struct db_stmt *stmt, const struct db_val *args, size_t nargs,
               struct err *e)
{
    _autorows_ struct rows r = ROWS_NONE;
    TRY(rows_open(&r, tx, stmt, args, nargs, e));
    int rc;
    do {
        rc = rows_next(&r, e);
    } while (rc == 1);
    return rc < 0 ? rc : tx->db->driver->changes(tx->db);
}

int db_int(struct tx *tx, struct db_stmt *stmt, const struct db_val *args, size_t nargs,
           int64_t *ret, struct err *e)
{
    _autorows_ struct rows r = ROWS_NONE;
    TRY(rows_open(&r, tx, stmt, args, nargs, e));
    int rc = rows_next(&r, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, E_NOTFOUND, "not found");
    *ret = row_int(&r, 0);
    // A writing statement is complete only after its last row.
    while (rc == 1)
        rc = rows_next(&r, e);
    return rc;
}

int db_one(struct tx *tx, struct db_stmt *stmt, const struct db_val *args, size_t nargs,
           const char *what, struct err *e)
{
    int64_t n = db_run(tx, stmt, args, nargs, e);
    if (n < 0)
        return (int)n;
    if (n == 0)
        return err_set(e, E_NOTFOUND, "%s not found", what);
    return 0;
}

struct db_val page_limit(struct page *p)
{
    if (p->page < 1)
        p->page = 1;
    if (p->per_page < 1)
        p->per_page = STORE_PER_PAGE_DEFAULT;
    if (p->per_page > STORE_PER_PAGE_MAX)
        p->per_page = STORE_PER_PAGE_MAX;
    return I(p->per_page);
}

struct db_val page_offset(const struct page *p)
{
    return I((int64_t)(p->page - 1) * p->per_page);
}

struct str like_pattern(struct arena *a, struct str text)
{
    if (!text.n)
        return STR("");
    _autobuf_ struct buf b = BUF_INIT(KIB(8));
    text = str_head(text, 1000);
    buf_addc(&b, '%');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '%' || text.p[i] == '_' || text.p[i] == '\\')
            buf_addc(&b, '\\');
        buf_addc(&b, text.p[i]);
    }
    buf_addc(&b, '%');
    return arena_str(a, buf_str(&b));
}
