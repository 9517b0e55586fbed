// SPDX-License-Identifier: Apache-2.0
// Rows of runners, their tags and projects, and the machines that use them. Stateless.
#include "store/runners.h"

#include "base/clock.h"
#include "store/job_rows.h"
#include "store/rows.h"

#define CONTACT_MS 60000

#define COLUMNS                                                                                    \
    "SELECT r.id, r.type, r.short_token, r.description, r.maintenance_note, r.tag_list,"           \
    " r.run_untagged, r.locked, r.ref_protected, r.paused, r.maximum_timeout_s, r.creator_id,"     \
    " r.group_id, r.contacted_at, r.created_at, r.token_expires_at FROM runners r "
#define MANAGER                                                                                    \
    "SELECT id, runner_id, system_id, version, revision, platform, architecture, executor, ip,"    \
    " features, created_at, contacted_at FROM runner_managers "

STORE_STMT(RUNNER_INSERT,
           "INSERT INTO runners (token_sha256, short_token, type, description, maintenance_note,"
           " tag_list, run_untagged, locked, ref_protected, paused, maximum_timeout_s, creator_id,"
           " group_id, created_at, token_expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
           " $10, $11, $12, $13, $14, $15) RETURNING id");
STORE_STMT(RUNNER_TAG_INSERT,
           "INSERT INTO runner_tags (runner_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING");
STORE_STMT(RUNNER_TAGS_DELETE, "DELETE FROM runner_tags WHERE runner_id = $1");
STORE_STMT(RUNNER_SET_TAG_LIST, "UPDATE runners SET tag_list = $2 WHERE id = $1");
STORE_STMT(RUNNER_GET, COLUMNS "WHERE r.id = $1");
STORE_STMT(RUNNER_BY_TOKEN, COLUMNS "WHERE r.token_sha256 = $1");
STORE_STMT(RUNNER_UPDATE,
           "UPDATE runners SET description = $2, maintenance_note = $3, run_untagged = $4,"
           " locked = $5, ref_protected = $6, paused = $7, maximum_timeout_s = $8 WHERE id = $1");
STORE_STMT(RUNNER_SET_TOKEN,
           "UPDATE runners SET token_sha256 = $2, short_token = $3 WHERE id = $1");
STORE_STMT(RUNNER_DELETE, "DELETE FROM runners WHERE id = $1");
STORE_STMT(RUNNER_ADD_PROJECT, "INSERT INTO runner_projects (runner_id, project_id)"
                               " VALUES ($1, $2) ON CONFLICT DO NOTHING");
STORE_STMT(RUNNER_REMOVE_PROJECT,
           "DELETE FROM runner_projects WHERE runner_id = $1 AND project_id = $2");
// $1 project, $2 only its own, $3 type, $4 paused
#define FILTER                                                                                     \
    "WHERE ($3 < 0 OR r.type = $3) AND ($4 < 0 OR r.paused = $4) AND ($1 = 0"                      \
    " OR r.id IN (SELECT runner_id FROM runner_projects WHERE project_id = $1)"                    \
    " OR ($2 = 0 AND r.type = 0 AND EXISTS (SELECT 1 FROM projects p WHERE p.id = $1"              \
    "  AND p.shared_runners = 1))"                                                                 \
    " OR ($2 = 0 AND r.type = 1 AND r.group_id IN ("                                               \
    "  WITH RECURSIVE up (id, parent_id) AS (SELECT n.id, n.parent_id FROM namespaces n"           \
    "   JOIN projects p ON p.namespace_id = n.id WHERE p.id = $1 AND p.group_runners = 1"          \
    "   UNION ALL SELECT n.id, n.parent_id FROM namespaces n JOIN up ON n.id = up.parent_id)"      \
    "  SELECT id FROM up))) "
STORE_STMT(RUNNER_LIST, COLUMNS FILTER "ORDER BY r.id DESC LIMIT $5 OFFSET $6");
STORE_STMT(RUNNER_LIST_COUNT, "SELECT count(*) FROM runners r " FILTER);

STORE_STMT(MANAGER_SEEN,
           "INSERT INTO runner_managers (runner_id, system_id, version, revision, platform,"
           " architecture, executor, ip, features, created_at, contacted_at)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)"
           " ON CONFLICT (runner_id, system_id) DO UPDATE SET version = excluded.version,"
           " revision = excluded.revision, platform = excluded.platform,"
           " architecture = excluded.architecture, executor = excluded.executor,"
           " ip = excluded.ip, features = excluded.features,"
           " contacted_at = excluded.contacted_at RETURNING id");
STORE_STMT(RUNNER_SEEN, "UPDATE runners SET contacted_at = $2 WHERE id = $1");
STORE_STMT(MANAGER_FRESH, "SELECT count(*) FROM runner_managers WHERE runner_id = $1"
                          " AND system_id = $2 AND contacted_at > $3");
STORE_STMT(MANAGER_LIST, MANAGER "WHERE runner_id = $1 ORDER BY id DESC");
STORE_STMT(MANAGER_DELETE, "DELETE FROM runner_managers WHERE runner_id = $1 AND system_id = $2");

static const char *const TYPES[] = {"instance_type", "group_type", "project_type"};

const char *runner_type_name(enum runner_type t)
{
    return (size_t)t < ARRAY_SIZE(TYPES) ? TYPES[t] : "unknown";
}

bool runner_type_parse(struct str name, enum runner_type *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(TYPES); i++)
        if (str_is(name, TYPES[i])) {
            *ret = (enum runner_type)i;
            return true;
        }
    return false;
}

static void fill(struct rows *r, struct arena *a, struct runner *u)
{
    struct cols c = {r, a, 0};
    u->id = next_int(&c);
    u->type = (enum runner_type)next_int(&c);
    u->short_token = next_text(&c);
    u->description = next_text(&c);
    u->maintenance_note = next_text(&c);
    u->tag_list = next_text(&c);
    u->run_untagged = next_bool(&c);
    u->locked = next_bool(&c);
    u->ref_protected = next_bool(&c);
    u->paused = next_bool(&c);
    u->maximum_timeout_s = next_int(&c);
    u->creator_id = next_int(&c);
    u->group_id = next_int(&c);
    u->contacted_at = next_int(&c);
    u->created_at = next_int(&c);
    u->token_expires_at = next_int(&c);
}
AREA_READERS(runner, fill, "runner")

static void fill_manager(struct rows *r, struct arena *a, struct runner_manager *m)
{
    struct cols c = {r, a, 0};
    m->id = next_int(&c);
    m->runner_id = next_int(&c);
    m->system_id = next_text(&c);
    m->version = next_text(&c);
    m->revision = next_text(&c);
    m->platform = next_text(&c);
    m->architecture = next_text(&c);
    m->executor = next_text(&c);
    m->ip = next_text(&c);
    m->features = next_text(&c);
    m->created_at = next_int(&c);
    m->contacted_at = next_int(&c);
}
AREA_READERS(runner_manager, fill_manager, "runner manager")

static int set_tags(struct tx *tx, const struct runner *r, struct err *e)
{
    _autobuf_ struct buf list = BUF_INIT(KIB(64));
    tag_list(&list, r->tags, r->ntags);
    if (!buf_ok(&list))
        return err_set(e, E_LIMIT, "too many tags");
    int64_t n = db_run(tx, &RUNNER_TAGS_DELETE, ARGS(I(r->id)), e);
    for (size_t i = 0; n >= 0 && i < r->ntags; i++)
        n = db_run(tx, &RUNNER_TAG_INSERT, ARGS(I(r->id), S(r->tags[i])), e);
    if (n < 0)
        return (int)n;
    return db_one(tx, &RUNNER_SET_TAG_LIST, ARGS(I(r->id), S(buf_str(&list))), "runner", e);
}

int runner_insert(struct tx *tx, struct str token_sha256, struct runner *r, struct err *e)
{
    r->created_at = clock_wall_ms();
    TRY(db_int(tx, &RUNNER_INSERT,
               ARGS(B(token_sha256), S(r->short_token), I(r->type), S(r->description),
                    S(r->maintenance_note), S(STR("")), I(r->run_untagged), I(r->locked),
                    I(r->ref_protected), I(r->paused), I(r->maximum_timeout_s), REF(r->creator_id),
                    REF(r->group_id), I(r->created_at), I(r->token_expires_at)),
               &r->id, e));
    TRY(set_tags(tx, r, e));
    if (r->project_id)
        TRY(runner_add_project(tx, r->id, r->project_id, e));
    tx_wake(tx, "runners");
    return 0;
}

int runner_get(struct tx *tx, struct arena *a, int64_t id, struct runner *ret, struct err *e)
{
    return one_runner(tx, a, &RUNNER_GET, ARGS(I(id)), ret, e);
}

int runner_by_token(struct tx *tx, struct arena *a, struct str token_sha256, struct runner *ret,
                    struct err *e)
{
    return one_runner(tx, a, &RUNNER_BY_TOKEN, ARGS(B(token_sha256)), ret, e);
}

int runner_update(struct tx *tx, const struct runner *r, struct err *e)
{
    TRY(db_one(tx, &RUNNER_UPDATE,
               ARGS(I(r->id), S(r->description), S(r->maintenance_note), I(r->run_untagged),
                    I(r->locked), I(r->ref_protected), I(r->paused), I(r->maximum_timeout_s)),
               "runner", e));
    if (r->tags)
        TRY(set_tags(tx, r, e));
    tx_wake(tx, "runners");
    return 0;
}

int runner_set_token(struct tx *tx, int64_t id, struct str token_sha256, struct str short_token,
                     struct err *e)
{
    return db_one(tx, &RUNNER_SET_TOKEN, ARGS(I(id), B(token_sha256), S(short_token)), "runner", e);
}

int runner_delete(struct tx *tx, int64_t id, struct err *e)
{
    tx_wake(tx, "runners");
    return db_one(tx, &RUNNER_DELETE, ARGS(I(id)), "runner", e);
}

int runner_add_project(struct tx *tx, int64_t id, int64_t project_id, struct err *e)
{
    int64_t n = db_run(tx, &RUNNER_ADD_PROJECT, ARGS(I(id), I(project_id)), e);
    if (n == E_CONFLICT)
        return err_set(e, E_NOTFOUND, "runner or project not found");
    if (n < 0)
        return (int)n;
    tx_wake(tx, "runners");
    return 0;
}

int runner_remove_project(struct tx *tx, int64_t id, int64_t project_id, struct err *e)
{
    tx_wake(tx, "runners");
    return db_one(tx, &RUNNER_REMOVE_PROJECT, ARGS(I(id), I(project_id)), "runner", e);
}

int runner_list(struct tx *tx, struct arena *a, const struct runner_filter *f, struct page *page,
                struct runner **ret, size_t *ret_n, struct err *e)
{
    struct db_val limit = page_limit(page);
    const struct db_val args[] = {
        I(f->project_id), I(f->project_only), I(f->type), I(f->paused), limit, page_offset(page)};
    TRY(many_runner(tx, a, &RUNNER_LIST, args, 6, ret, ret_n, e));
    return page_count(tx, page, *ret_n, &RUNNER_LIST_COUNT, args, 4, e);
}

int runner_manager_seen(struct tx *tx, struct runner_manager *m, int64_t now, struct err *e)
{
    TRY(db_int(tx, &MANAGER_SEEN,
               ARGS(I(m->runner_id), S(m->system_id), S(m->version), S(m->revision), S(m->platform),
                    S(m->architecture), S(m->executor), S(m->ip), S(m->features), I(now)),
               &m->id, e));
    m->contacted_at = now;
    return db_one(tx, &RUNNER_SEEN, ARGS(I(m->runner_id), I(now)), "runner", e);
}

int runner_manager_due(struct tx *tx, int64_t runner_id, struct str system_id, int64_t now,
                       bool *ret, struct err *e)
{
    int64_t n;
    TRY(db_int(tx, &MANAGER_FRESH, ARGS(I(runner_id), S(system_id), I(now - CONTACT_MS)), &n, e));
    *ret = n == 0;
    return 0;
}

int runner_manager_list(struct tx *tx, struct arena *a, int64_t runner_id,
                        struct runner_manager **ret, size_t *ret_n, struct err *e)
{
    return many_runner_manager(tx, a, &MANAGER_LIST, ARGS(I(runner_id)), ret, ret_n, e);
}

int runner_manager_delete(struct tx *tx, int64_t runner_id, struct str system_id, struct err *e)
{
    return db_one(tx, &MANAGER_DELETE, ARGS(I(runner_id), S(system_id)), "runner manager", e);
}
