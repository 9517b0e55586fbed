// SPDX-License-Identifier: Apache-2.0
// Rows of pushes under way and of pushes that happened. An intent's removal and its event's
// insertion are one transaction, so an event can neither be lost nor doubled. Stateless.
#include "store/pushes.h"

#include "base/clock.h"
#include "store/rows.h"

#define INTENT                                                                                     \
    "SELECT id, push_id, project_id, user_id, ref, old_sha, new_sha, options, created_at"          \
    " FROM push_intents "
#define EVENT                                                                                      \
    "SELECT id, push_id, project_id, user_id, ref, old_sha, new_sha, options, commit_count,"       \
    " commit_title, created_at, handled_at FROM push_events "

STORE_STMT(PUSH_NEXT, "UPDATE counters SET value = value + 1 WHERE name = 'push' RETURNING value");
STORE_STMT(PUSH_INTENT_INSERT,
           "INSERT INTO push_intents (push_id, project_id, user_id, ref, old_sha, new_sha,"
           " options, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
STORE_STMT(PUSH_INTENT_GET, INTENT "WHERE push_id = $1 AND ref = $2");
STORE_STMT(PUSH_INTENT_DELETE, "DELETE FROM push_intents WHERE id = $1");
STORE_STMT(PUSH_PENDING, INTENT "WHERE $1 = 0 OR project_id = $1 ORDER BY id");
STORE_STMT(PUSH_EVENT_INSERT,
           "INSERT INTO push_events (push_id, project_id, user_id, ref, old_sha, new_sha,"
           " options, commit_count, commit_title, created_at)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id");
STORE_STMT(PUSH_EVENT_GET, EVENT "WHERE id = $1");
STORE_STMT(PUSH_EVENT_NEXT, EVENT "WHERE handled_at = 0 ORDER BY id LIMIT 1");
STORE_STMT(PUSH_EVENT_HANDLED,
           "UPDATE push_events SET handled_at = $2 WHERE id = $1 AND handled_at = 0");
#define OF_PROJECT "WHERE project_id = $1 AND ($2 = 0 OR user_id = $2) "
#define OF_USER    "WHERE user_id = $2 "
#define NEWEST     "ORDER BY id DESC LIMIT $3 OFFSET $4"
STORE_STMT(PUSH_EVENTS_PROJECT, EVENT OF_PROJECT NEWEST);
STORE_STMT(PUSH_EVENTS_PROJECT_COUNT, "SELECT count(*) FROM push_events " OF_PROJECT);
STORE_STMT(PUSH_EVENTS_USER, EVENT OF_USER NEWEST);
STORE_STMT(PUSH_EVENTS_USER_COUNT, "SELECT count(*) FROM push_events " OF_USER);
STORE_STMT(PUSH_EVENTS_ALL, EVENT NEWEST);
STORE_STMT(PUSH_EVENTS_ALL_COUNT, "SELECT count(*) FROM push_events");

static void fill_intent(struct rows *r, struct arena *a, struct push_intent *p)
{
    struct cols c = {r, a, 0};
    p->id = next_int(&c);
    p->push_id = next_int(&c);
    p->project_id = next_int(&c);
    p->user_id = next_int(&c);
    p->r.ref = next_text(&c);
    p->r.old_sha = next_text(&c);
    p->r.new_sha = next_text(&c);
    p->options = next_text(&c);
    p->created_at = next_int(&c);
}
AREA_READERS(push_intent, fill_intent, "push")

static void fill_event(struct rows *r, struct arena *a, struct push_event *p)
{
    struct cols c = {r, a, 0};
    p->id = next_int(&c);
    p->push_id = next_int(&c);
    p->project_id = next_int(&c);
    p->user_id = next_int(&c);
    p->r.ref = next_text(&c);
    p->r.old_sha = next_text(&c);
    p->r.new_sha = next_text(&c);
    p->options = next_text(&c);
    p->commit_count = next_int(&c);
    p->commit_title = next_text(&c);
    p->created_at = next_int(&c);
    p->handled_at = next_int(&c);
}
AREA_READERS(push_event, fill_event, "push event")

int push_begin(struct tx *tx, int64_t project_id, int64_t user_id, const struct push_ref *refs,
               size_t n, struct str options, int64_t *ret_push_id, struct err *e)
{
    int64_t push_id, now = clock_wall_ms();
    if (options.n > PUSH_OPTIONS_MAX)
        return err_set(e, E_LIMIT, "push options are longer than %zu bytes", PUSH_OPTIONS_MAX);
    TRY(db_int(tx, &PUSH_NEXT, NOARGS, &push_id, e));
    for (size_t i = 0; i < n; i++) {
        int64_t rc = db_run(tx, &PUSH_INTENT_INSERT,
                            ARGS(I(push_id), I(project_id), REF(user_id), S(refs[i].ref),
                                 S(refs[i].old_sha), S(refs[i].new_sha), S(options), I(now)),
                            e);
        // The intents of the refs before this one must not be kept.
        tx->failed = tx->failed || rc < 0;
        if (rc == E_CONFLICT)
            return err_set(e, E_BUSY, "another push to %" PRISTR " is under way; try again",
                           STRARG(refs[i].ref));
        if (rc < 0)
            return (int)rc;
    }
    *ret_push_id = push_id;
    return 0;
}

int push_finish(struct tx *tx, int64_t push_id, struct str ref, bool moved, struct str actual_new,
                int64_t commit_count, struct str commit_title, int64_t *ret_event_id, struct err *e)
{
    _autoarena_ struct arena a;
    struct push_intent p = {0};
    arena_init(&a, MIB(16));
    TRY(one_push_intent(tx, &a, &PUSH_INTENT_GET, ARGS(I(push_id), S(ref)), &p, e));
    TRY(db_one(tx, &PUSH_INTENT_DELETE, ARGS(I(p.id)), "push", e));
    *ret_event_id = 0;
    if (!moved)
        return 0;
    TRY(db_int(tx, &PUSH_EVENT_INSERT,
               ARGS(I(p.push_id), I(p.project_id), REF(p.user_id), S(p.r.ref), S(p.r.old_sha),
                    S(actual_new), S(p.options), I(commit_count), S(commit_title),
                    I(clock_wall_ms())),
               ret_event_id, e));
    tx_wake(tx, "pushes");
    return 0;
}

int push_pending(struct tx *tx, struct arena *a, int64_t project_id, struct push_intent **ret,
                 size_t *ret_n, struct err *e)
{
    return many_push_intent(tx, a, &PUSH_PENDING, ARGS(I(project_id)), ret, ret_n, e);
}

int push_event_get(struct tx *tx, struct arena *a, int64_t id, struct push_event *ret,
                   struct err *e)
{
    return one_push_event(tx, a, &PUSH_EVENT_GET, ARGS(I(id)), ret, e);
}

int push_event_next(struct tx *tx, struct arena *a, struct push_event *ret, struct err *e)
{
    return one_push_event(tx, a, &PUSH_EVENT_NEXT, NOARGS, ret, e);
}

int push_event_handled(struct tx *tx, int64_t id, int64_t now, struct err *e)
{
    int64_t n = db_run(tx, &PUSH_EVENT_HANDLED, ARGS(I(id), I(now)), e);
    if (n == 0)
        return err_set(e, E_CONFLICT, "the push event was handled before");
    return n < 0 ? (int)n : 0;
}

int push_event_list(struct tx *tx, struct arena *a, int64_t project_id, int64_t user_id,
                    struct page *page, struct push_event **ret, size_t *ret_n, struct err *e)
{
    struct db_stmt *rows = &PUSH_EVENTS_ALL, *count = &PUSH_EVENTS_ALL_COUNT;
    if (project_id) {
        rows = &PUSH_EVENTS_PROJECT;
        count = &PUSH_EVENTS_PROJECT_COUNT;
    } else if (user_id) {
        rows = &PUSH_EVENTS_USER;
        count = &PUSH_EVENTS_USER_COUNT;
    }
    struct db_val limit = page_limit(page);
    const struct db_val args[] = {I(project_id), I(user_id), limit, page_offset(page)};
    TRY(many_push_event(tx, a, rows, args, 4, ret, ret_n, e));
    return page_count(tx, page, *ret_n, count, args, 2, e);
}
