// SPDX-License-Identifier: Apache-2.0
// Every statement of the program prepares on a migrated database, and none appears twice.
#include "fixture.h"

#include "store/db.h"

#include <sqlite3.h>

static void every_statement_prepares(void **state)
{
    struct db_stmt *const *stmts;
    size_t n = db_stmts(&stmts);
    char path[128];
    struct db *db;

    // Fewer means that the linker dropped objects, and the test would prove nothing.
    assert_true(n > 200);
    snprintf(path, sizeof(path), "%s/slipway.db", F.folder);
    OK(sqlite_driver.open(path, DB_READER, n, &db, &F.e));
    struct db_val none[64] = {{0}};
    for (size_t i = 0; i < n; i++) {
        void *cursor;
        assert_int_equal(stmts[i]->index, (int)i);
        OK(sqlite_driver.start(db, stmts[i], none, ARRAY_SIZE(none), &cursor, &F.e));
        sqlite_driver.finish(db, cursor);
    }
    sqlite_driver.close(db);
}

static void names_are_unique(void **state)
{
    struct db_stmt *const *stmts;
    size_t n = db_stmts(&stmts);
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            if (str_eq(str_of(stmts[i]->name), str_of(stmts[k]->name)))
                fail_msg("two statements are called %s", stmts[i]->name);
}

// Tables that grow without end are never read from end to end by accident: each plan that scans one
// without an index is named here, with its reason.
static bool may_scan(const char *stmt)
{
    static const char *const allowed[] = {
        // an administrator's lists of everything
        "JOBS_ALL_COUNT",
        "EVENTS_ALL_COUNT",
        "PUSH_EVENTS_ALL_COUNT",
        // newest first: stops after a page
        "JOBS_ALL",
        "EVENTS_ALL",
        "PUSH_EVENTS_ALL",
        // few rows: pushes under way, tokens
        "PUSH_PENDING",
        "TOKEN_LIST",
        "TOKEN_LIST_COUNT",
    };
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        if (str_is(str_of(stmt), allowed[i]))
            return true;
    return false;
}

static bool scans_a_large_table(struct str plan)
{
    static const char *const large[] = {
        "SCAN j",      "SCAN jobs", "SCAN pipelines",    "SCAN l",         "SCAN push_events",
        "SCAN events", "SCAN f",    "SCAN artifacts",    "SCAN v",         "SCAN job_needs",
        "SCAN d",      "SCAN t",    "SCAN push_intents", "SCAN job_specs", "SCAN sessions",
        "SCAN tokens", "SCAN s",    "SCAN variables",    "SCAN members",
    };
    for (size_t i = 0; i < ARRAY_SIZE(large); i++)
        if (str_is(plan, large[i]))
            return true;
    return false;
}

static void large_tables_are_read_by_index(void **state)
{
    struct db_stmt *const *stmts;
    size_t n = db_stmts(&stmts), bad = 0;
    char path[128];
    sqlite3 *con;
    snprintf(path, sizeof(path), "%s/slipway.db", F.folder);
    assert_int_equal(sqlite3_open(path, &con), SQLITE_OK);
    for (size_t i = 0; i < n; i++) {
        sqlite3_stmt *st;
        char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", stmts[i]->sql);
        assert_int_equal(sqlite3_prepare_v2(con, sql, -1, &st, NULL), SQLITE_OK);
        while (sqlite3_step(st) == SQLITE_ROW) {
            const char *plan = (const char *)sqlite3_column_text(st, 3);
            if (!scans_a_large_table(str_of(plan)) || may_scan(stmts[i]->name))
                continue;
            print_error("%s: %s\n", stmts[i]->name, plan);
            bad++;
        }
        sqlite3_finalize(st);
        sqlite3_free(sql);
    }
    sqlite3_close(con);
    assert_int_equal(bad, 0);
}

RUN_TESTS(TEST(large_tables_are_read_by_index), TEST(every_statement_prepares),
          TEST(names_are_unique))
