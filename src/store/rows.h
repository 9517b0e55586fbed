// SPDX-License-Identifier: Apache-2.0
// Inside src/store only: the two ways in which every area reads its rows. For a row type with a
// function `void fill(struct rows *, struct arena *, struct T *)`, AREA_READERS(T, fill, "thing")
// makes one_T() and many_T().
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "store/db.h"

#include <stdlib.h>

// one: the first row, or E_NOTFOUND. many: all rows, as an array in the arena.
#define AREA_READERS(T, fill, what)                                                                \
    static UNUSED int one_##T(struct tx *tx, struct arena *a, struct db_stmt *stmt,                \
                              const struct db_val *args, size_t nargs, struct T *ret,              \
                              struct err *e)                                                       \
    {                                                                                              \
        _autorows_ struct rows r = ROWS_NONE;                                                      \
        TRY(rows_open(&r, tx, stmt, args, nargs, e));                                              \
        int rc = rows_next(&r, e);                                                                 \
        if (rc < 0)                                                                                \
            return rc;                                                                             \
        if (rc == 0)                                                                               \
            return err_set(e, E_NOTFOUND, what " not found");                                      \
        *ret = (struct T){0};                                                                      \
        fill(&r, a, ret);                                                                          \
        while (rc == 1)                                                                            \
            rc = rows_next(&r, e);                                                                 \
        return rc;                                                                                 \
    }                                                                                              \
    static UNUSED int many_##T(struct tx *tx, struct arena *a, struct db_stmt *stmt,               \
                               const struct db_val *args, size_t nargs, struct T **ret,            \
                               size_t *ret_n, struct err *e)                                       \
    {                                                                                              \
        _autorows_ struct rows r = ROWS_NONE;                                                      \
        _autofree_ struct T *rows = NULL;                                                          \
        size_t n = 0, cap = 0;                                                                     \
        int rc;                                                                                    \
        TRY(rows_open(&r, tx, stmt, args, nargs, e));                                              \
        while ((rc = rows_next(&r, e)) == 1) {                                                     \
            if (n == cap) {                                                                        \
                cap = cap ? cap * 2 : 16;                                                          \
                rows = mem_grow(rows, cap, sizeof(*rows));                                         \
            }                                                                                      \
            rows[n] = (struct T){0};                                                               \
            fill(&r, a, &rows[n++]);                                                               \
        }                                                                                          \
        if (rc < 0)                                                                                \
            return rc;                                                                             \
        *ret = ARENA_ARRAY(a, struct T, n ? n : 1);                                                \
        if (n)                                                                                     \
            memcpy(*ret, rows, n * sizeof(*rows));                                                 \
        *ret_n = n;                                                                                \
        return 0;                                                                                  \
    }

// After a page was read: its total, without counting where the page itself tells.
static inline int page_count(struct tx *tx, struct page *p, size_t n, struct db_stmt *count,
                             const struct db_val *args, size_t nargs, struct err *e)
{
    if (n < p->per_page && (n || p->page == 1)) {
        p->total = (int64_t)(p->page - 1) * p->per_page + (int64_t)n;
        return 0;
    }
    return db_int(tx, count, args, nargs, &p->total, e);
}

// Reads columns in order: struct cols c = {r, a}; id = next_int(&c); name = next_text(&c); ...
struct cols {
    struct rows *r;
    struct arena *a;
    int at;
};
static inline int64_t next_int(struct cols *c)
{
    return row_int(c->r, c->at++);
}
static inline bool next_bool(struct cols *c)
{
    return row_int(c->r, c->at++) != 0;
}
static inline double next_real(struct cols *c)
{
    return row_real(c->r, c->at++);
}
static inline struct str next_text(struct cols *c)
{
    return row_text(c->r, c->at++, c->a);
}

// "%text%" with the wildcards of the text escaped by '\', for LIKE ... ESCAPE '\'; empty stays
// empty.
struct str like_pattern(struct arena *a, struct str text);
