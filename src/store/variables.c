// SPDX-License-Identifier: Apache-2.0
// Rows of CI/CD variables, whose values are sealed on the way in and opened on the way out.
// Stateless but for the store's key.
#include "store/variables.h"

#include "base/clock.h"
#include "store/rows.h"
#include "store/seal.h"

#define COLUMNS                                                                                    \
    "SELECT v.id, v.project_id, v.namespace_id, v.key, v.sealed, v.is_file, v.protected,"          \
    " v.masked, v.hidden, v.raw, v.environment_scope, v.description, v.created_at"                 \
    " FROM variables v "
#define OWNER "WHERE coalesce(v.project_id, 0) = $1 AND coalesce(v.namespace_id, 0) = $2 "

STORE_STMT(VARIABLE_INSERT,
           "INSERT INTO variables (project_id, namespace_id, key, sealed, is_file, protected,"
           " masked, hidden, raw, environment_scope, description, created_at)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id");
STORE_STMT(VARIABLE_UPDATE, "UPDATE variables SET key = $2, sealed = $3, is_file = $4,"
                            " protected = $5, masked = $6, hidden = $7, raw = $8,"
                            " environment_scope = $9, description = $10 WHERE id = $1");
STORE_STMT(VARIABLE_BY_KEY, COLUMNS OWNER "AND v.key = $3 AND ($4 = '' OR"
                                          " v.environment_scope = $4) ORDER BY v.id LIMIT 2");
STORE_STMT(VARIABLE_DELETE, "DELETE FROM variables WHERE id = $1");
STORE_STMT(VARIABLE_LIST, COLUMNS OWNER "ORDER BY v.key, v.environment_scope LIMIT $3 OFFSET $4");
STORE_STMT(VARIABLE_LIST_COUNT, "SELECT count(*) FROM variables v " OWNER);
STORE_STMT(VARIABLE_INHERITED,
           "WITH RECURSIVE up (id, parent_id, height) AS ("
           " SELECT n.id, n.parent_id, 1 FROM namespaces n JOIN projects p"
           "  ON p.namespace_id = n.id WHERE p.id = $1"
           " UNION ALL SELECT n.id, n.parent_id, up.height + 1 FROM namespaces n"
           "  JOIN up ON n.id = up.parent_id) " COLUMNS "LEFT JOIN up ON up.id = v.namespace_id"
           " WHERE v.project_id = $1 OR v.namespace_id IN (SELECT id FROM up)"
           "  OR (v.project_id IS NULL AND v.namespace_id IS NULL)"
           " ORDER BY CASE WHEN v.project_id IS NOT NULL THEN 0"
           "  ELSE coalesce(up.height, 1000) END DESC, v.id");

// `value` holds the sealed bytes until open_values().
static void fill(struct rows *r, struct arena *a, struct variable *v)
{
    struct cols c = {r, a, 0};
    v->id = next_int(&c);
    v->project_id = next_int(&c);
    v->namespace_id = next_int(&c);
    v->key = next_text(&c);
    v->value = next_text(&c);
    v->file = next_bool(&c);
    v->is_protected = next_bool(&c);
    v->masked = next_bool(&c);
    v->hidden = next_bool(&c);
    v->raw = next_bool(&c);
    v->environment_scope = next_text(&c);
    v->description = next_text(&c);
    v->created_at = next_int(&c);
}
AREA_READERS(variable, fill, "variable")

static int open_values(struct tx *tx, struct arena *a, struct variable *v, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct str sealed = v[i].value;
        if (store_unseal(tx->store, a, sealed, &v[i].value, e) < 0)
            return err_wrap(e, "variable %" PRISTR, STRARG(v[i].key));
    }
    return 0;
}

static struct str scope_or_all(struct str scope)
{
    return scope.n ? scope : STR("*");
}

int variable_insert(struct tx *tx, struct variable *v, struct err *e)
{
    _autoarena_ struct arena a;
    arena_init(&a, v->value.n + KIB(4));
    v->created_at = clock_wall_ms();
    int rc =
        db_int(tx, &VARIABLE_INSERT,
               ARGS(REF(v->project_id), REF(v->namespace_id), S(v->key),
                    B(store_seal(tx->store, &a, v->value)), I(v->file), I(v->is_protected),
                    I(v->masked), I(v->hidden), I(v->raw), S(scope_or_all(v->environment_scope)),
                    S(v->description), I(v->created_at)),
               &v->id, e);
    if (rc == E_CONFLICT)
        return err_set(e, rc, "key (%" PRISTR ") has already been taken", STRARG(v->key));
    return rc;
}

int variable_update(struct tx *tx, const struct variable *v, struct err *e)
{
    _autoarena_ struct arena a;
    arena_init(&a, v->value.n + KIB(4));
    int rc = db_one(tx, &VARIABLE_UPDATE,
                    ARGS(I(v->id), S(v->key), B(store_seal(tx->store, &a, v->value)), I(v->file),
                         I(v->is_protected), I(v->masked), I(v->hidden), I(v->raw),
                         S(scope_or_all(v->environment_scope)), S(v->description)),
                    "variable", e);
    if (rc == E_CONFLICT)
        return err_set(e, rc, "key (%" PRISTR ") has already been taken", STRARG(v->key));
    return rc;
}

int variable_get(struct tx *tx, struct arena *a, int64_t project_id, int64_t namespace_id,
                 struct str key, struct str scope, struct variable *ret, struct err *e)
{
    struct variable *v;
    size_t n;
    TRY(many_variable(tx, a, &VARIABLE_BY_KEY,
                      ARGS(I(project_id), I(namespace_id), S(key), S(scope)), &v, &n, e));
    if (n == 0)
        return err_set(e, E_NOTFOUND, "variable not found");
    if (n > 1)
        return err_set(e, E_CONFLICT,
                       "there are several variables of this key; name the environment scope");
    TRY(open_values(tx, a, v, 1, e));
    *ret = v[0];
    return 0;
}

int variable_delete(struct tx *tx, int64_t id, struct err *e)
{
    return db_one(tx, &VARIABLE_DELETE, ARGS(I(id)), "variable", e);
}

int variable_list(struct tx *tx, struct arena *a, int64_t project_id, int64_t namespace_id,
                  struct page *page, struct variable **ret, size_t *ret_n, struct err *e)
{
    struct db_val limit = page_limit(page);
    TRY(many_variable(tx, a, &VARIABLE_LIST,
                      ARGS(I(project_id), I(namespace_id), limit, page_offset(page)), ret, ret_n,
                      e));
    TRY(open_values(tx, a, *ret, *ret_n, e));
    return page_count(tx, page, *ret_n, &VARIABLE_LIST_COUNT, ARGS(I(project_id), I(namespace_id)),
                      e);
}

int variable_inherited(struct tx *tx, struct arena *a, int64_t project_id, struct variable **ret,
                       size_t *ret_n, struct err *e)
{
    TRY(many_variable(tx, a, &VARIABLE_INHERITED, ARGS(I(project_id)), ret, ret_n, e));
    return open_values(tx, a, *ret, *ret_n, e);
}
