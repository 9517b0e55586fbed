// SPDX-License-Identifier: Apache-2.0
// Rows of protected branches and tags, and the pattern that their names are. Stateless.
#include "store/protections.h"

#include "base/clock.h"
#include "store/rows.h"

#define COLUMNS                                                                                    \
    "SELECT id, project_id, tag, name, push_level, merge_level, allow_force_push, created_at"      \
    " FROM protections "

STORE_STMT(PROTECTION_INSERT,
           "INSERT INTO protections (project_id, tag, name, push_level, merge_level,"
           " allow_force_push, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id");
STORE_STMT(PROTECTION_UPDATE, "UPDATE protections SET push_level = $2, merge_level = $3,"
                              " allow_force_push = $4 WHERE id = $1");
STORE_STMT(PROTECTION_GET, COLUMNS "WHERE project_id = $1 AND tag = $2 AND name = $3");
STORE_STMT(PROTECTION_DELETE,
           "DELETE FROM protections WHERE project_id = $1 AND tag = $2 AND name = $3");
STORE_STMT(PROTECTION_LIST, COLUMNS "WHERE project_id = $1 AND tag = $2 ORDER BY name");

static void fill(struct rows *r, struct arena *a, struct protection *p)
{
    struct cols c = {r, a, 0};
    p->id = next_int(&c);
    p->project_id = next_int(&c);
    p->tag = next_bool(&c);
    p->name = next_text(&c);
    p->push_level = (int)next_int(&c);
    p->merge_level = (int)next_int(&c);
    p->allow_force_push = next_bool(&c);
    p->created_at = next_int(&c);
}
AREA_READERS(protection, fill, "protected ref")

int protection_insert(struct tx *tx, struct protection *p, struct err *e)
{
    p->created_at = clock_wall_ms();
    int rc = db_int(tx, &PROTECTION_INSERT,
                    ARGS(I(p->project_id), I(p->tag), S(p->name), I(p->push_level),
                         I(p->merge_level), I(p->allow_force_push), I(p->created_at)),
                    &p->id, e);
    return rc == E_CONFLICT ? err_set(e, rc, "name is already protected") : rc;
}

int protection_update(struct tx *tx, const struct protection *p, struct err *e)
{
    return db_one(tx, &PROTECTION_UPDATE,
                  ARGS(I(p->id), I(p->push_level), I(p->merge_level), I(p->allow_force_push)),
                  "protected ref", e);
}

int protection_get(struct tx *tx, struct arena *a, int64_t project_id, bool tag, struct str name,
                   struct protection *ret, struct err *e)
{
    return one_protection(tx, a, &PROTECTION_GET, ARGS(I(project_id), I(tag), S(name)), ret, e);
}

int protection_delete(struct tx *tx, int64_t project_id, bool tag, struct str name, struct err *e)
{
    return db_one(tx, &PROTECTION_DELETE, ARGS(I(project_id), I(tag), S(name)), "protected ref", e);
}

int protection_list(struct tx *tx, struct arena *a, int64_t project_id, bool tag,
                    struct protection **ret, size_t *ret_n, struct err *e)
{
    return many_protection(tx, a, &PROTECTION_LIST, ARGS(I(project_id), I(tag)), ret, ret_n, e);
}

bool protection_matches(struct str pattern, struct str name)
{
    // Each star takes as little as it can; only the latest one ever needs to take more.
    size_t p = 0, n = 0, star = SIZE_MAX, taken = 0;
    while (n < name.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            taken = n;
        } else if (p < pattern.n && pattern.p[p] == name.p[n]) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}
