// SPDX-License-Identifier: Apache-2.0
// Every statement of the program prepares on a migrated database, and none appears twice.
#include "fixture.h"

#include "store/db.h"

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

RUN_TESTS(TEST(every_statement_prepares), TEST(names_are_unique))
