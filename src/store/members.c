// SPDX-License-Identifier: Apache-2.0
// Rows of memberships. What a user may do somewhere is the highest level on the way from the
// project up to the top group. Stateless.
#include "store/members.h"

#include "base/clock.h"
#include "store/rows.h"

#define COLUMNS                                                                                    \
    "SELECT m.id, m.user_id, m.project_id, m.namespace_id, m.access_level, m.created_at,"          \
    " m.expires_at, m.created_by, u.username, u.name, u.email, u.state FROM members m"             \
    " JOIN users u ON u.id = m.user_id "

STORE_STMT(MEMBER_SET_PROJECT,
           "INSERT INTO members (user_id, project_id, access_level, created_at, expires_at,"
           " created_by) VALUES ($1, $2, $3, $4, $5, $6)"
           " ON CONFLICT (project_id, user_id) WHERE project_id IS NOT NULL"
           " DO UPDATE SET access_level = excluded.access_level, expires_at = excluded.expires_at");
STORE_STMT(MEMBER_SET_NS,
           "INSERT INTO members (user_id, namespace_id, access_level, created_at, expires_at,"
           " created_by) VALUES ($1, $2, $3, $4, $5, $6)"
           " ON CONFLICT (namespace_id, user_id) WHERE namespace_id IS NOT NULL"
           " DO UPDATE SET access_level = excluded.access_level, expires_at = excluded.expires_at");
STORE_STMT(MEMBER_REMOVE_PROJECT, "DELETE FROM members WHERE project_id = $1 AND user_id = $2");
STORE_STMT(MEMBER_REMOVE_NS, "DELETE FROM members WHERE namespace_id = $1 AND user_id = $2");
STORE_STMT(MEMBER_GET_PROJECT, COLUMNS "WHERE m.project_id = $1 AND m.user_id = $2");
STORE_STMT(MEMBER_GET_NS, COLUMNS "WHERE m.namespace_id = $1 AND m.user_id = $2");

#define UP_FROM_PROJECT                                                                            \
    "WITH RECURSIVE up (id, parent_id, owner_id) AS ("                                             \
    " SELECT n.id, n.parent_id, n.owner_id FROM namespaces n JOIN projects p"                      \
    "  ON p.namespace_id = n.id WHERE p.id = $1"                                                   \
    " UNION ALL SELECT n.id, n.parent_id, n.owner_id FROM namespaces n"                            \
    "  JOIN up ON n.id = up.parent_id) "
#define UP_FROM_NS                                                                                 \
    "WITH RECURSIVE up (id, parent_id, owner_id) AS ("                                             \
    " SELECT id, parent_id, owner_id FROM namespaces WHERE id = $1"                                \
    " UNION ALL SELECT n.id, n.parent_id, n.owner_id FROM namespaces n"                            \
    "  JOIN up ON n.id = up.parent_id) "

STORE_STMT(MEMBER_PROJECT_LEVEL, UP_FROM_PROJECT
           "SELECT coalesce(max(level), 0) FROM ("
           " SELECT access_level AS level FROM members WHERE project_id = $1 AND user_id = $2"
           "  AND (expires_at = 0 OR expires_at > $3)"
           " UNION ALL SELECT m.access_level FROM up JOIN members m ON m.namespace_id = up.id"
           "  WHERE m.user_id = $2 AND (m.expires_at = 0 OR m.expires_at > $3)"
           " UNION ALL SELECT 50 FROM up WHERE owner_id = $2) AS levels");
STORE_STMT(MEMBER_NS_LEVEL, UP_FROM_NS
           "SELECT coalesce(max(level), 0) FROM ("
           " SELECT m.access_level AS level FROM up JOIN members m ON m.namespace_id = up.id"
           "  WHERE m.user_id = $2 AND (m.expires_at = 0 OR m.expires_at > $3)"
           " UNION ALL SELECT 50 FROM up WHERE owner_id = $2) AS levels");

// $1 where, $2 search, $3 now. Of several memberships of one user the highest counts; of equal ones
// the oldest.
#define NOT_EXPIRED "(m.expires_at = 0 OR m.expires_at > $3) "
#define SEARCH                                                                                     \
    "($2 = '' OR lower(u.username) LIKE lower($2) ESCAPE '\\' OR lower(u.name) LIKE lower($2)"     \
    " ESCAPE '\\') "
#define ORDER "ORDER BY m.access_level DESC, lower(u.username) LIMIT $4 OFFSET $5"
#define HIGHEST(here)                                                                              \
    "WHERE (" here ") AND " NOT_EXPIRED "AND " SEARCH                                              \
    "AND NOT EXISTS (SELECT 1 FROM members m2 WHERE m2.user_id = m.user_id AND m2.id <> m.id"      \
    " AND (m2.expires_at = 0 OR m2.expires_at > $3)"                                               \
    " AND (m2.access_level > m.access_level OR (m2.access_level = m.access_level"                  \
    "  AND m2.id < m.id)) AND "
#define ALL_PROJECT                                                                                \
    HIGHEST("m.project_id = $1 OR m.namespace_id IN (SELECT id FROM up)")                          \
    "(m2.project_id = $1 OR m2.namespace_id IN (SELECT id FROM up))) "
#define ALL_NS                                                                                     \
    HIGHEST("m.namespace_id IN (SELECT id FROM up)") "m2.namespace_id IN (SELECT id FROM up)) "
#define FROM_COUNT "SELECT count(*) FROM members m JOIN users u ON u.id = m.user_id "

STORE_STMT(MEMBERS_PROJECT, COLUMNS "WHERE m.project_id = $1 AND " NOT_EXPIRED "AND " SEARCH ORDER);
STORE_STMT(MEMBERS_PROJECT_COUNT,
           FROM_COUNT "WHERE m.project_id = $1 AND " NOT_EXPIRED "AND " SEARCH);
STORE_STMT(MEMBERS_NS, COLUMNS "WHERE m.namespace_id = $1 AND " NOT_EXPIRED "AND " SEARCH ORDER);
STORE_STMT(MEMBERS_NS_COUNT, FROM_COUNT "WHERE m.namespace_id = $1 AND " NOT_EXPIRED "AND " SEARCH);
STORE_STMT(MEMBERS_PROJECT_ALL, UP_FROM_PROJECT COLUMNS ALL_PROJECT ORDER);
STORE_STMT(MEMBERS_PROJECT_ALL_COUNT, UP_FROM_PROJECT FROM_COUNT ALL_PROJECT);
STORE_STMT(MEMBERS_NS_ALL, UP_FROM_NS COLUMNS ALL_NS ORDER);
STORE_STMT(MEMBERS_NS_ALL_COUNT, UP_FROM_NS FROM_COUNT ALL_NS);

const char *access_level_name(int level)
{
    switch (level) {
    case ACCESS_NONE:
        return "No access";
    case ACCESS_MINIMAL:
        return "Minimal access";
    case ACCESS_GUEST:
        return "Guest";
    case ACCESS_REPORTER:
        return "Reporter";
    case ACCESS_DEVELOPER:
        return "Developer";
    case ACCESS_MAINTAINER:
        return "Maintainer";
    case ACCESS_OWNER:
        return "Owner";
    default:
        return "Custom";
    }
}

static void fill(struct rows *r, struct arena *a, struct member *m)
{
    struct cols c = {r, a, 0};
    m->id = next_int(&c);
    m->user_id = next_int(&c);
    m->project_id = next_int(&c);
    m->namespace_id = next_int(&c);
    m->access_level = (int)next_int(&c);
    m->created_at = next_int(&c);
    m->expires_at = next_int(&c);
    m->created_by = next_int(&c);
    m->username = next_text(&c);
    m->name = next_text(&c);
    m->email = next_text(&c);
    m->blocked = str_is(row_peek(r, c.at), "blocked");
}
AREA_READERS(member, fill, "member")

int member_set(struct tx *tx, const struct member *m, struct err *e)
{
    BUG_ON((m->project_id == 0) == (m->namespace_id == 0));
    bool project = m->project_id != 0;
    int64_t n =
        db_run(tx, project ? &MEMBER_SET_PROJECT : &MEMBER_SET_NS,
               ARGS(I(m->user_id), I(project ? m->project_id : m->namespace_id), I(m->access_level),
                    I(clock_wall_ms()), I(m->expires_at), REF(m->created_by)),
               e);
    if (n == E_CONFLICT)
        return err_set(e, E_NOTFOUND, "user, project or group not found");
    return n < 0 ? (int)n : 0;
}

int member_remove(struct tx *tx, int64_t project_id, int64_t namespace_id, int64_t user_id,
                  struct err *e)
{
    return db_one(tx, project_id ? &MEMBER_REMOVE_PROJECT : &MEMBER_REMOVE_NS,
                  ARGS(I(project_id ? project_id : namespace_id), I(user_id)), "member", e);
}

int member_get(struct tx *tx, struct arena *a, int64_t project_id, int64_t namespace_id,
               int64_t user_id, struct member *ret, struct err *e)
{
    return one_member(tx, a, project_id ? &MEMBER_GET_PROJECT : &MEMBER_GET_NS,
                      ARGS(I(project_id ? project_id : namespace_id), I(user_id)), ret, e);
}

int member_list(struct tx *tx, struct arena *a, int64_t project_id, int64_t namespace_id,
                bool inherited, struct str search, int64_t now, struct page *page,
                struct member **ret, size_t *ret_n, struct err *e)
{
    struct db_stmt *rows[2][2] = {{&MEMBERS_NS, &MEMBERS_NS_ALL},
                                  {&MEMBERS_PROJECT, &MEMBERS_PROJECT_ALL}};
    struct db_stmt *counts[2][2] = {{&MEMBERS_NS_COUNT, &MEMBERS_NS_ALL_COUNT},
                                    {&MEMBERS_PROJECT_COUNT, &MEMBERS_PROJECT_ALL_COUNT}};
    bool project = project_id != 0;
    struct db_val limit = page_limit(page), where = I(project ? project_id : namespace_id);
    struct db_val like = S(like_pattern(a, search));
    TRY(many_member(tx, a, rows[project][inherited],
                    ARGS(where, like, I(now), limit, page_offset(page)), ret, ret_n, e));
    return page_count(tx, page, *ret_n, counts[project][inherited], ARGS(where, like, I(now)), e);
}

int member_project_level(struct tx *tx, int64_t project_id, int64_t user_id, int64_t now, int *ret,
                         struct err *e)
{
    int64_t level;
    TRY(db_int(tx, &MEMBER_PROJECT_LEVEL, ARGS(I(project_id), I(user_id), I(now)), &level, e));
    *ret = (int)level;
    return 0;
}

int member_ns_level(struct tx *tx, int64_t namespace_id, int64_t user_id, int64_t now, int *ret,
                    struct err *e)
{
    int64_t level;
    TRY(db_int(tx, &MEMBER_NS_LEVEL, ARGS(I(namespace_id), I(user_id), I(now)), &level, e));
    *ret = (int)level;
    return 0;
}
