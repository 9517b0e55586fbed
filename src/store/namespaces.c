// SPDX-License-Identifier: Apache-2.0
// Rows of namespaces and their routes. A full path is written once, at creation, and its lower-case
// form in `routes` is what makes it unique and what lookups use. Stateless.
#include "store/namespaces.h"

#include "base/clock.h"
#include "store/routes.h"
#include "store/rows.h"

#define COLUMNS                                                                                    \
    "SELECT n.id, n.parent_id, n.kind, n.owner_id, n.path, n.name, n.full_path, n.full_name,"      \
    " n.description, n.visibility, n.created_at, n.updated_at FROM namespaces n "

STORE_STMT(NS_INSERT, "INSERT INTO namespaces (parent_id, kind, owner_id, path, name, full_path,"
                      " full_name, description, visibility, created_at, updated_at)"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) RETURNING id");
STORE_STMT(NS_GET, COLUMNS "WHERE n.id = $1");
STORE_STMT(NS_BY_PATH, COLUMNS "JOIN routes r ON r.namespace_id = n.id WHERE r.path_key = $1");
STORE_STMT(NS_UPDATE, "UPDATE namespaces SET name = $2, description = $3, visibility = $4,"
                      " updated_at = $5 WHERE id = $1");
STORE_STMT(NS_DELETE, "DELETE FROM namespaces WHERE id = $1");
STORE_STMT(NS_IN_USE, "SELECT (SELECT count(*) FROM projects WHERE namespace_id = $1)"
                      " + (SELECT count(*) FROM namespaces WHERE parent_id = $1)");
STORE_STMT(ROUTE_TAKEN, "SELECT count(*) FROM routes WHERE path_key = $1");
STORE_STMT(ROUTE_INSERT, "INSERT INTO routes (path_key, namespace_id, project_id)"
                         " VALUES ($1, $2, $3)");
STORE_STMT(ROUTE_MOVE, "UPDATE routes SET path_key = $2 WHERE project_id = $1");

// $1 viewer, $2 viewer sees all, $3 parent, $4 top level only, $5 groups only, $6 search pattern,
// $7 lowest level of the viewer, $8 now
#define VIEWER                                                                                     \
    "WITH RECURSIVE mine (id, level) AS ("                                                         \
    " SELECT namespace_id, access_level FROM members WHERE user_id = $1 AND namespace_id IS NOT "  \
    "NULL AND (expires_at = 0 OR expires_at > $8)"                                                 \
    " UNION SELECT id, 50 FROM namespaces WHERE owner_id = $1"                                     \
    " UNION SELECT c.id, m.level FROM namespaces c JOIN mine m ON c.parent_id = m.id) "
#define FILTER                                                                                     \
    "WHERE ($2 = 1 OR n.visibility = 20 OR (n.visibility = 10 AND $1 <> 0)"                        \
    "  OR n.id IN (SELECT id FROM mine))"                                                          \
    " AND ($3 = 0 OR n.parent_id = $3) AND ($4 = 0 OR n.parent_id IS NULL)"                        \
    " AND ($5 = 0 OR n.kind = 'group')"                                                            \
    " AND ($6 = '' OR lower(n.full_path) LIKE lower($6) ESCAPE '\\'"                               \
    "  OR lower(n.name) LIKE lower($6) ESCAPE '\\')"                                               \
    " AND ($7 = 0 OR n.id IN (SELECT id FROM mine WHERE level >= $7)) "
STORE_STMT(NS_LIST, VIEWER COLUMNS FILTER "ORDER BY n.full_path LIMIT $9 OFFSET $10");
STORE_STMT(NS_LIST_COUNT, VIEWER "SELECT count(*) FROM namespaces n " FILTER);

const char *visibility_name(enum visibility v)
{
    return v == VIS_PUBLIC ? "public" : v == VIS_INTERNAL ? "internal" : "private";
}

bool visibility_parse(struct str name, enum visibility *ret)
{
    static const enum visibility ALL[] = {VIS_PRIVATE, VIS_INTERNAL, VIS_PUBLIC};
    for (size_t i = 0; i < ARRAY_SIZE(ALL); i++)
        if (str_is(name, visibility_name(ALL[i]))) {
            *ret = ALL[i];
            return true;
        }
    return false;
}

struct str route_key(struct arena *a, struct str full_path)
{
    char *key = arena_dup(a, full_path);
    for (size_t i = 0; i < full_path.n; i++)
        if (key[i] >= 'A' && key[i] <= 'Z')
            key[i] = (char)(key[i] - 'A' + 'a');
    return str_n(key, full_path.n);
}

int route_free(struct tx *tx, struct arena *a, struct str full_path, struct err *e)
{
    int64_t n;
    TRY(db_int(tx, &ROUTE_TAKEN, ARGS(S(route_key(a, full_path))), &n, e));
    return n ? err_set(e, E_CONFLICT, "path has already been taken") : 0;
}

int route_insert(struct tx *tx, struct arena *a, struct str full_path, int64_t namespace_id,
                 int64_t project_id, struct err *e)
{
    int64_t n = db_run(tx, &ROUTE_INSERT,
                       ARGS(S(route_key(a, full_path)), REF(namespace_id), REF(project_id)), e);
    if (n == E_CONFLICT)
        return err_set(e, E_CONFLICT, "path has already been taken");
    return n < 0 ? (int)n : 0;
}

int route_move(struct tx *tx, struct arena *a, int64_t project_id, struct str full_path,
               struct err *e)
{
    int64_t n = db_run(tx, &ROUTE_MOVE, ARGS(I(project_id), S(route_key(a, full_path))), e);
    if (n == E_CONFLICT)
        return err_set(e, E_CONFLICT, "path has already been taken");
    return n < 0 ? (int)n : 0;
}

static void fill(struct rows *r, struct arena *a, struct ns *n)
{
    struct cols c = {r, a, 0};
    n->id = next_int(&c);
    n->parent_id = next_int(&c);
    n->group = str_is(row_peek(r, c.at++), "group");
    n->owner_id = next_int(&c);
    n->path = next_text(&c);
    n->name = next_text(&c);
    n->full_path = next_text(&c);
    n->full_name = next_text(&c);
    n->description = next_text(&c);
    n->visibility = (enum visibility)next_int(&c);
    n->created_at = next_int(&c);
    n->updated_at = next_int(&c);
}
AREA_READERS(ns, fill, "namespace")

int ns_insert(struct tx *tx, struct arena *a, struct ns *n, struct err *e)
{
    n->full_path = arena_str(a, n->path);
    n->full_name = arena_str(a, n->name);
    if (n->parent_id) {
        struct ns parent;
        TRY(ns_get(tx, a, n->parent_id, &parent, e));
        size_t depth = 2;
        for (size_t i = 0; i < parent.full_path.n; i++)
            depth += parent.full_path.p[i] == '/';
        if (depth > NAMESPACE_DEPTH_MAX)
            return err_set(e, E_LIMIT, "groups nest at most %d deep", NAMESPACE_DEPTH_MAX);
        n->full_path =
            arena_strf(a, "%" PRISTR "/%" PRISTR, STRARG(parent.full_path), STRARG(n->path));
        n->full_name =
            arena_strf(a, "%" PRISTR " / %" PRISTR, STRARG(parent.full_name), STRARG(n->name));
    }
    TRY(route_free(tx, a, n->full_path, e));
    n->created_at = n->updated_at = clock_wall_ms();
    TRY(db_int(tx, &NS_INSERT,
               ARGS(REF(n->parent_id), S(n->group ? STR("group") : STR("user")), REF(n->owner_id),
                    S(n->path), S(n->name), S(n->full_path), S(n->full_name), S(n->description),
                    I(n->visibility), I(n->created_at)),
               &n->id, e));
    return route_insert(tx, a, n->full_path, n->id, 0, e);
}

int ns_get(struct tx *tx, struct arena *a, int64_t id, struct ns *ret, struct err *e)
{
    return one_ns(tx, a, &NS_GET, ARGS(I(id)), ret, e);
}

int ns_by_path(struct tx *tx, struct arena *a, struct str full_path, struct ns *ret, struct err *e)
{
    return one_ns(tx, a, &NS_BY_PATH, ARGS(S(route_key(a, full_path))), ret, e);
}

int ns_update(struct tx *tx, const struct ns *n, struct err *e)
{
    return db_one(
        tx, &NS_UPDATE,
        ARGS(I(n->id), S(n->name), S(n->description), I(n->visibility), I(clock_wall_ms())),
        "namespace", e);
}

int ns_delete(struct tx *tx, int64_t id, struct err *e)
{
    int64_t in_use;
    TRY(db_int(tx, &NS_IN_USE, ARGS(I(id)), &in_use, e));
    if (in_use)
        return err_set(e, E_CONFLICT, "it still has projects or subgroups; delete those first");
    return db_one(tx, &NS_DELETE, ARGS(I(id)), "namespace", e);
}

int ns_list(struct tx *tx, struct arena *a, const struct ns_filter *f, struct page *page,
            struct ns **ret, size_t *ret_n, struct err *e)
{
    struct db_val limit = page_limit(page), now = I(clock_wall_ms());
    struct db_val like = S(like_pattern(a, f->search));
    TRY(many_ns(tx, a, &NS_LIST,
                ARGS(I(f->viewer_id), I(f->viewer_all), I(f->parent_id), I(f->top_level_only),
                     I(f->groups_only), like, I(f->member_min), now, limit, page_offset(page)),
                ret, ret_n, e));
    return page_count(tx, page, *ret_n, &NS_LIST_COUNT,
                      ARGS(I(f->viewer_id), I(f->viewer_all), I(f->parent_id), I(f->top_level_only),
                           I(f->groups_only), like, I(f->member_min), now),
                      e);
}
