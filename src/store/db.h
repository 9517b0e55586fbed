// SPDX-License-Identifier: Apache-2.0
// Inside src/store only: what a database must offer, and how an area speaks to it. SQLite
// implements `struct db_driver` (sqlite.c); PostgreSQL will. Areas write portable SQL: $1
// placeholders, RETURNING, ON CONFLICT, no driver's own functions; booleans and times are integers.
//
// To add a statement: STORE_STMT(PROJECT_BY_ID, "SELECT ... WHERE id = $1") beside its row code.
// The linker collects them all, so one test prepares each on a migrated database.
#pragma once

#include "store/store.h"

// ---- statements ----

struct db_stmt {
    const char *name;
    const char *sql;
    int index; // position in the section, set once at start
};
#define STORE_STMT(id, text)                                                                       \
    static struct db_stmt id = {#id, text, -1};                                                    \
    __attribute__((section("store_stmts"), used)) static struct db_stmt *const id##_entry = &id

// All statements of the program, in the linker's order; numbers them.
size_t db_stmts(struct db_stmt *const **ret);

// ---- values ----

struct db_val {
    enum db_type { DB_NULL, DB_INT, DB_TEXT, DB_BLOB, DB_REAL } type;
    int64_t i;
    double d;
    struct str s;
};
#define I(v)   ((struct db_val){.type = DB_INT, .i = (int64_t)(v)})
#define R(v)   ((struct db_val){.type = DB_REAL, .d = (v)})
#define S(v)   ((struct db_val){.type = DB_TEXT, .s = (v)})
#define B(v)   ((struct db_val){.type = DB_BLOB, .s = (v)})
#define NIL    ((struct db_val){.type = DB_NULL})
#define REF(v) ((struct db_val){.type = (v) ? DB_INT : DB_NULL, .i = (int64_t)(v)}) // 0 is NULL
#define ARGS(...)                                                                                  \
    (const struct db_val[]){__VA_ARGS__}, ARRAY_SIZE(((const struct db_val[]){__VA_ARGS__}))
#define NOARGS NULL, 0

// ---- what areas call ----

struct rows {
    struct tx *tx;
    void *cursor; // NULL when ended
};
#define ROWS_NONE  ((struct rows){0})
#define _autorows_ _cleanup_(rows_done)

// The bytes of the arguments must stay until rows_done().
// Begins a statement; then rows_next() returns 1 for a row, 0 at the end, or an error.
int rows_open(struct rows *r, struct tx *tx, struct db_stmt *stmt, const struct db_val *args,
              size_t nargs, struct err *e) MUST_USE;
int rows_next(struct rows *r, struct err *e) MUST_USE;
void rows_done(struct rows *r);
// Columns of the current row, from 0. Texts and blobs are copied into the arena.
int64_t row_int(struct rows *r, int col);
double row_real(struct rows *r, int col);
bool row_null(struct rows *r, int col);
struct str row_text(struct rows *r, int col, struct arena *a);
// The same without a copy: valid until the next rows_* call.
struct str row_peek(struct rows *r, int col);

// Runs to the end and returns the number of rows changed (>= 0) or an error.
int64_t db_run(struct tx *tx, struct db_stmt *stmt, const struct db_val *args, size_t nargs,
               struct err *e) MUST_USE;
// The first row's first column; E_NOTFOUND without a row (message is left to the caller).
int db_int(struct tx *tx, struct db_stmt *stmt, const struct db_val *args, size_t nargs,
           int64_t *ret, struct err *e) MUST_USE;
// For a statement that must change exactly one row: E_NOTFOUND when it changed none.
int db_one(struct tx *tx, struct db_stmt *stmt, const struct db_val *args, size_t nargs,
           const char *what, struct err *e) MUST_USE;

// Clamps the page and returns LIMIT and OFFSET.
struct db_val page_limit(struct page *p);
struct db_val page_offset(const struct page *p);

// ---- what a driver offers; one `struct db` is one connection and belongs to one thread at a time
// --

enum db_open { DB_CREATE = 1, DB_READER = 2, DB_SYNC_FULL = 4 };

struct db_driver {
    const char *name;
    int (*open)(const char *where, unsigned how, size_t nstmts, struct db **ret, struct err *e);
    void (*close)(struct db *db);
    int (*begin)(struct db *db, bool write, struct err *e);
    int (*commit)(struct db *db, struct err *e);
    void (*rollback)(struct db *db);
    // Prepares (once per connection), binds, and leaves the cursor before its first row.
    int (*start)(struct db *db, const struct db_stmt *stmt, const struct db_val *args, size_t nargs,
                 void **ret_cursor, struct err *e);
    int (*step)(struct db *db, void *cursor, struct err *e); // 1 row, 0 end
    void (*finish)(struct db *db, void *cursor);
    int64_t (*changes)(struct db *db);
    int64_t (*col_int)(void *cursor, int col);
    double (*col_real)(void *cursor, int col);
    bool (*col_null)(void *cursor, int col);
    struct str (*col_bytes)(void *cursor, int col);
    int (*script)(struct db *db, const char *sql, struct err *e); // migrations
    int (*backup)(struct db *db, const char *path, struct err *e);
    int (*check)(struct db *db, struct err *e);
};
extern const struct db_driver sqlite_driver;

struct db {
    const struct db_driver *driver;
    struct store *store;
    struct db *next, *next_idle; // in the store's lists
    bool taken;                  // a transaction of its thread uses it
};

// ---- migrations (migrate.c) ----

struct migration {
    int number; // 1, 2, 3 ... without gaps
    const char *what;
    const char *sqlite;
};
extern const struct migration store_migrations[];
extern const size_t store_nmigrations;
int store_migrate(struct db *db, bool read_only, int *ret_version, struct err *e) MUST_USE;
