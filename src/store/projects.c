// SPDX-License-Identifier: Apache-2.0
// Rows of projects, joined with their namespace. Listing takes the viewer into the statement, so
// that counts and pages are right and nothing unseen is read. Stateless.
#include "store/projects.h"

#include "base/clock.h"
#include "store/routes.h"
#include "store/rows.h"
#include "store/trash.h"

#define COLUMNS                                                                                    \
    "SELECT p.id, p.namespace_id, p.creator_id, p.name, p.path, p.full_path, p.description,"       \
    " p.visibility, p.archived, p.default_branch, p.storage, p.empty_repo, n.kind, n.owner_id,"    \
    " n.parent_id, n.name, n.path, n.full_path, n.full_name, p.ci_enabled, p.ci_config_path,"      \
    " p.build_timeout_s, p.ci_git_depth, p.public_jobs, p.auto_cancel_pending,"                    \
    " p.keep_latest_artifact, p.shared_runners, p.group_runners, p.repository_size,"               \
    " p.repository_quota, p.created_at, p.updated_at, p.last_activity_at "                         \
    "FROM projects p JOIN namespaces n ON n.id = p.namespace_id "

STORE_STMT(PROJECT_INSERT,
           "INSERT INTO projects (namespace_id, creator_id, name, path, full_path, description,"
           " visibility, archived, default_branch, storage, empty_repo, ci_enabled,"
           " ci_config_path, build_timeout_s, ci_git_depth, public_jobs, auto_cancel_pending,"
           " keep_latest_artifact, shared_runners, group_runners, repository_size,"
           " repository_quota, created_at, updated_at, last_activity_at) VALUES ($1, $2, $3, $4,"
           " $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,"
           " $23, $23, $23) RETURNING id");
STORE_STMT(PROJECT_GET, COLUMNS "WHERE p.id = $1");
STORE_STMT(PROJECT_BY_PATH, COLUMNS "JOIN routes r ON r.project_id = p.id WHERE r.path_key = $1");
STORE_STMT(PROJECT_UPDATE,
           "UPDATE projects SET name = $2, description = $3, visibility = $4, archived = $5,"
           " default_branch = $6, ci_enabled = $7, ci_config_path = $8, build_timeout_s = $9,"
           " ci_git_depth = $10, public_jobs = $11, auto_cancel_pending = $12,"
           " keep_latest_artifact = $13, shared_runners = $14, group_runners = $15,"
           " repository_quota = $16, updated_at = $17 WHERE id = $1");
STORE_STMT(PROJECT_SET_PATH, "UPDATE projects SET path = $2, full_path = $3, updated_at = $4"
                             " WHERE id = $1");
STORE_STMT(PROJECT_PUSHED, "UPDATE projects SET repository_size = $2, empty_repo = $3,"
                           " last_activity_at = $5, default_branch = CASE WHEN default_branch = ''"
                           " THEN $4 ELSE default_branch END WHERE id = $1");
STORE_STMT(PROJECT_TOUCH, "UPDATE projects SET last_activity_at = $2 WHERE id = $1");
STORE_STMT(PROJECT_DELETE, "DELETE FROM projects WHERE id = $1");
STORE_STMT(PROJECT_DELETE_RUNNERS,
           "DELETE FROM runners WHERE type = 2 AND id IN (SELECT runner_id FROM runner_projects"
           " WHERE project_id = $1) AND id NOT IN (SELECT runner_id FROM runner_projects"
           " WHERE project_id <> $1)");
STORE_STMT(PROJECT_NEXT_IID, "UPDATE projects SET last_pipeline_iid = last_pipeline_iid + 1"
                             " WHERE id = $1 RETURNING last_pipeline_iid");
STORE_STMT(PROJECT_STORAGE_KNOWN, "SELECT count(*) FROM projects WHERE storage = $1");

// $1 viewer, $2 sees all, $3 member only, $4 owned only, $5 lowest level, $6 namespace, $7 with
// subgroups, $8 search, $9 also in the full path, $10 visibility, $11 archived, $12 now
#define VIEWER                                                                                     \
    "WITH RECURSIVE mine (id, level) AS ("                                                         \
    " SELECT namespace_id, access_level FROM members WHERE user_id = $1 AND namespace_id IS NOT "  \
    "NULL AND (expires_at = 0 OR expires_at > $12)"                                                \
    " UNION SELECT id, 50 FROM namespaces WHERE owner_id = $1"                                     \
    " UNION SELECT c.id, m.level FROM namespaces c JOIN mine m ON c.parent_id = m.id),"            \
    " access (id, level) AS ("                                                                     \
    " SELECT project_id, access_level FROM members WHERE user_id = $1 AND project_id IS NOT NULL"  \
    "  AND (expires_at = 0 OR expires_at > $12)"                                                   \
    " UNION ALL SELECT q.id, m.level FROM projects q JOIN mine m ON q.namespace_id = m.id),"       \
    " below (id) AS (SELECT id FROM namespaces WHERE id = $6"                                      \
    " UNION SELECT c.id FROM namespaces c JOIN below b ON c.parent_id = b.id AND $7 = 1) "
#define FILTER                                                                                     \
    "WHERE ($2 = 1 OR p.visibility = 20 OR (p.visibility = 10 AND $1 <> 0)"                        \
    "  OR p.id IN (SELECT id FROM access))"                                                        \
    " AND ($3 = 0 OR p.id IN (SELECT id FROM access))"                                             \
    " AND ($4 = 0 OR p.id IN (SELECT id FROM access WHERE level >= 50))"                           \
    " AND ($5 = 0 OR $2 = 1 OR p.id IN (SELECT id FROM access WHERE level >= $5))"                 \
    " AND ($6 = 0 OR p.namespace_id IN (SELECT id FROM below))"                                    \
    " AND ($8 = '' OR lower(p.name) LIKE lower($8) ESCAPE '\\'"                                    \
    "  OR lower(p.path) LIKE lower($8) ESCAPE '\\'"                                                \
    "  OR lower(p.description) LIKE lower($8) ESCAPE '\\'"                                         \
    "  OR ($9 = 1 AND lower(p.full_path) LIKE lower($8) ESCAPE '\\'))"                             \
    " AND ($10 < 0 OR p.visibility = $10) AND ($11 < 0 OR p.archived = $11) "
#define LIST(order) VIEWER COLUMNS FILTER "ORDER BY " order " LIMIT $13 OFFSET $14"

STORE_STMT(PROJECTS_ID_DESC, LIST("p.id DESC"));
STORE_STMT(PROJECTS_ID_ASC, LIST("p.id"));
STORE_STMT(PROJECTS_NAME_DESC, LIST("lower(p.name) DESC, p.id DESC"));
STORE_STMT(PROJECTS_NAME_ASC, LIST("lower(p.name), p.id"));
STORE_STMT(PROJECTS_PATH_DESC, LIST("lower(p.path) DESC, p.id DESC"));
STORE_STMT(PROJECTS_PATH_ASC, LIST("lower(p.path), p.id"));
STORE_STMT(PROJECTS_UPDATED_DESC, LIST("p.updated_at DESC, p.id DESC"));
STORE_STMT(PROJECTS_UPDATED_ASC, LIST("p.updated_at, p.id"));
STORE_STMT(PROJECTS_ACTIVITY_DESC, LIST("p.last_activity_at DESC, p.id DESC"));
STORE_STMT(PROJECTS_ACTIVITY_ASC, LIST("p.last_activity_at, p.id"));
STORE_STMT(PROJECTS_COUNT, VIEWER "SELECT count(*) FROM projects p " FILTER);

static struct db_stmt *const ORDERS[][2] = {
    [PROJECTS_BY_ID] = {&PROJECTS_ID_DESC, &PROJECTS_ID_ASC},
    [PROJECTS_BY_NAME] = {&PROJECTS_NAME_DESC, &PROJECTS_NAME_ASC},
    [PROJECTS_BY_PATH] = {&PROJECTS_PATH_DESC, &PROJECTS_PATH_ASC},
    [PROJECTS_BY_UPDATED] = {&PROJECTS_UPDATED_DESC, &PROJECTS_UPDATED_ASC},
    [PROJECTS_BY_ACTIVITY] = {&PROJECTS_ACTIVITY_DESC, &PROJECTS_ACTIVITY_ASC},
};

void project_defaults(struct project *p)
{
    *p = (struct project){.visibility = VIS_PRIVATE,
                          .empty_repo = true,
                          .ci_enabled = true,
                          .build_timeout_s = 3600,
                          .ci_git_depth = 20,
                          .public_jobs = true,
                          .auto_cancel_pending = true,
                          .keep_latest_artifact = true,
                          .shared_runners = true,
                          .group_runners = true};
}

static void fill(struct rows *r, struct arena *a, struct project *p)
{
    struct cols c = {r, a, 0};
    p->id = next_int(&c);
    p->namespace_id = next_int(&c);
    p->creator_id = next_int(&c);
    p->name = next_text(&c);
    p->path = next_text(&c);
    p->full_path = next_text(&c);
    p->description = next_text(&c);
    p->visibility = (enum visibility)next_int(&c);
    p->archived = next_bool(&c);
    p->default_branch = next_text(&c);
    p->storage = next_text(&c);
    p->empty_repo = next_bool(&c);
    p->ns_group = str_is(row_peek(r, c.at++), "group");
    p->ns_owner_id = next_int(&c);
    p->ns_parent_id = next_int(&c);
    p->ns_name = next_text(&c);
    p->ns_path = next_text(&c);
    p->ns_full_path = next_text(&c);
    p->full_name =
        arena_strf(a, "%" PRISTR " / %" PRISTR, STRARG(row_peek(r, c.at)), STRARG(p->name));
    c.at++;
    p->ci_enabled = next_bool(&c);
    p->ci_config_path = next_text(&c);
    p->build_timeout_s = next_int(&c);
    p->ci_git_depth = next_int(&c);
    p->public_jobs = next_bool(&c);
    p->auto_cancel_pending = next_bool(&c);
    p->keep_latest_artifact = next_bool(&c);
    p->shared_runners = next_bool(&c);
    p->group_runners = next_bool(&c);
    p->repository_size = next_int(&c);
    p->repository_quota = next_int(&c);
    p->created_at = next_int(&c);
    p->updated_at = next_int(&c);
    p->last_activity_at = next_int(&c);
}
AREA_READERS(project, fill, "project")

int project_insert(struct tx *tx, struct arena *a, struct project *p, struct err *e)
{
    struct ns n = {0};
    TRY(ns_get(tx, a, p->namespace_id, &n, e));
    p->full_path = arena_strf(a, "%" PRISTR "/%" PRISTR, STRARG(n.full_path), STRARG(p->path));
    TRY(route_free(tx, a, p->full_path, e));
    TRY(db_int(tx, &PROJECT_INSERT,
               ARGS(I(p->namespace_id), REF(p->creator_id), S(p->name), S(p->path), S(p->full_path),
                    S(p->description), I(p->visibility), I(p->archived), S(p->default_branch),
                    S(p->storage), I(p->empty_repo), I(p->ci_enabled), S(p->ci_config_path),
                    I(p->build_timeout_s), I(p->ci_git_depth), I(p->public_jobs),
                    I(p->auto_cancel_pending), I(p->keep_latest_artifact), I(p->shared_runners),
                    I(p->group_runners), I(p->repository_size), I(p->repository_quota),
                    I(clock_wall_ms())),
               &p->id, e));
    TRY(route_insert(tx, a, p->full_path, 0, p->id, e));
    return project_get(tx, a, p->id, p, e);
}

int project_get(struct tx *tx, struct arena *a, int64_t id, struct project *ret, struct err *e)
{
    return one_project(tx, a, &PROJECT_GET, ARGS(I(id)), ret, e);
}

int project_by_path(struct tx *tx, struct arena *a, struct str full_path, struct project *ret,
                    struct err *e)
{
    return one_project(tx, a, &PROJECT_BY_PATH, ARGS(S(route_key(a, full_path))), ret, e);
}

int project_update(struct tx *tx, const struct project *p, struct err *e)
{
    return db_one(tx, &PROJECT_UPDATE,
                  ARGS(I(p->id), S(p->name), S(p->description), I(p->visibility), I(p->archived),
                       S(p->default_branch), I(p->ci_enabled), S(p->ci_config_path),
                       I(p->build_timeout_s), I(p->ci_git_depth), I(p->public_jobs),
                       I(p->auto_cancel_pending), I(p->keep_latest_artifact), I(p->shared_runners),
                       I(p->group_runners), I(p->repository_quota), I(clock_wall_ms())),
                  "project", e);
}

int project_set_path(struct tx *tx, struct arena *a, int64_t id, struct str path, struct err *e)
{
    struct project p;
    TRY(project_get(tx, a, id, &p, e));
    struct str full = arena_strf(a, "%" PRISTR "/%" PRISTR, STRARG(p.ns_full_path), STRARG(path));
    TRY(route_move(tx, a, id, full, e));
    return db_one(tx, &PROJECT_SET_PATH, ARGS(I(id), S(path), S(full), I(clock_wall_ms())),
                  "project", e);
}

int project_pushed(struct tx *tx, int64_t id, int64_t size, bool empty, struct str default_branch,
                   int64_t now, struct err *e)
{
    return db_one(tx, &PROJECT_PUSHED, ARGS(I(id), I(size), I(empty), S(default_branch), I(now)),
                  "project", e);
}

int project_touch(struct tx *tx, int64_t id, int64_t now, struct err *e)
{
    return db_one(tx, &PROJECT_TOUCH, ARGS(I(id), I(now)), "project", e);
}

int project_delete(struct tx *tx, struct arena *a, int64_t id, struct err *e)
{
    struct project p = {0};
    TRY(project_get(tx, a, id, &p, e));
    TRY(trash_add(tx, arena_strf(a, "repos/%" PRISTR ".git", STRARG(p.storage)), e));
    TRY(trash_add(tx, arena_strf(a, "traces/%lld", (long long)id), e));
    TRY(trash_add(tx, arena_strf(a, "artifacts/%lld", (long long)id), e));
    TRY(trash_pages(tx, id, e));
    int64_t n = db_run(tx, &PROJECT_DELETE_RUNNERS, ARGS(I(id)), e);
    if (n < 0)
        return (int)n;
    return db_one(tx, &PROJECT_DELETE, ARGS(I(id)), "project", e);
}

int project_next_iid(struct tx *tx, int64_t id, int64_t *ret, struct err *e)
{
    int rc = db_int(tx, &PROJECT_NEXT_IID, ARGS(I(id)), ret, e);
    return rc == E_NOTFOUND ? err_set(e, rc, "project not found") : rc;
}

int project_list(struct tx *tx, struct arena *a, const struct project_filter *f, struct page *page,
                 struct project **ret, size_t *ret_n, struct err *e)
{
    struct db_val limit = page_limit(page);
    const struct db_val args[] = {I(f->viewer_id),
                                  I(f->viewer_all),
                                  I(f->membership),
                                  I(f->owned),
                                  I(f->min_access),
                                  I(f->namespace_id),
                                  I(f->include_subgroups),
                                  S(like_pattern(a, f->search)),
                                  I(f->search_namespaces),
                                  I(f->visibility),
                                  I(f->archived),
                                  I(clock_wall_ms()),
                                  limit,
                                  page_offset(page)};
    TRY(many_project(tx, a, ORDERS[f->order][f->ascending], args, ARRAY_SIZE(args), ret, ret_n, e));
    return page_count(tx, page, *ret_n, &PROJECTS_COUNT, args, 12, e);
}

int project_storage_known(struct tx *tx, struct str storage, bool *ret, struct err *e)
{
    int64_t n;
    TRY(db_int(tx, &PROJECT_STORAGE_KNOWN, ARGS(S(storage)), &n, e));
    *ret = n > 0;
    return 0;
}
