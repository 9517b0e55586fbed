// SPDX-License-Identifier: Apache-2.0
// Rows of what happened, for people and for the audit trail. Only ever inserted and read.
// Stateless.
#include "store/events.h"

#include "base/clock.h"
#include "store/rows.h"

#define COLUMNS                                                                                    \
    "SELECT v.id, v.audit, v.action, v.author_id, v.project_id, v.namespace_id, v.target_type,"    \
    " v.target_id, v.details, v.ip, v.created_at, coalesce(u.username, '') FROM events v"          \
    " LEFT JOIN users u ON u.id = v.author_id "
#define KIND       "($1 < 0 OR v.audit = $1) "
#define OF_PROJECT "WHERE v.project_id = $2 AND ($3 = 0 OR v.author_id = $3) AND " KIND
#define OF_AUTHOR  "WHERE v.author_id = $3 AND " KIND
#define OF_ALL     "WHERE " KIND
#define NEWEST     "ORDER BY v.id DESC LIMIT $4 OFFSET $5"

STORE_STMT(EVENT_INSERT,
           "INSERT INTO events (audit, action, author_id, project_id, namespace_id, target_type,"
           " target_id, details, ip, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
           " RETURNING id");
STORE_STMT(EVENTS_PROJECT, COLUMNS OF_PROJECT NEWEST);
STORE_STMT(EVENTS_PROJECT_COUNT, "SELECT count(*) FROM events v " OF_PROJECT);
STORE_STMT(EVENTS_AUTHOR, COLUMNS OF_AUTHOR NEWEST);
STORE_STMT(EVENTS_AUTHOR_COUNT, "SELECT count(*) FROM events v " OF_AUTHOR);
STORE_STMT(EVENTS_ALL, COLUMNS OF_ALL NEWEST);
STORE_STMT(EVENTS_ALL_COUNT, "SELECT count(*) FROM events v " OF_ALL);

static void fill(struct rows *r, struct arena *a, struct event *ev)
{
    struct cols c = {r, a, 0};
    ev->id = next_int(&c);
    ev->audit = next_bool(&c);
    ev->action = next_text(&c);
    ev->author_id = next_int(&c);
    ev->project_id = next_int(&c);
    ev->namespace_id = next_int(&c);
    ev->target_type = next_text(&c);
    ev->target_id = next_int(&c);
    ev->details = next_text(&c);
    ev->ip = next_text(&c);
    ev->created_at = next_int(&c);
    ev->author_username = next_text(&c);
}
AREA_READERS(event, fill, "event")

int event_insert(struct tx *tx, struct event *ev, struct err *e)
{
    ev->created_at = clock_wall_ms();
    return db_int(tx, &EVENT_INSERT,
                  ARGS(I(ev->audit), S(ev->action), REF(ev->author_id), REF(ev->project_id),
                       REF(ev->namespace_id), S(ev->target_type), I(ev->target_id), S(ev->details),
                       S(ev->ip), I(ev->created_at)),
                  &ev->id, e);
}

int event_list(struct tx *tx, struct arena *a, const struct event_filter *f, struct page *page,
               struct event **ret, size_t *ret_n, struct err *e)
{
    struct db_stmt *rows = &EVENTS_ALL, *count = &EVENTS_ALL_COUNT;
    if (f->project_id) {
        rows = &EVENTS_PROJECT;
        count = &EVENTS_PROJECT_COUNT;
    } else if (f->author_id) {
        rows = &EVENTS_AUTHOR;
        count = &EVENTS_AUTHOR_COUNT;
    }
    struct db_val limit = page_limit(page);
    const struct db_val args[] = {I(f->audit), I(f->project_id), I(f->author_id), limit,
                                  page_offset(page)};
    TRY(many_event(tx, a, rows, args, 5, ret, ret_n, e));
    return page_count(tx, page, *ret_n, count, args, 3, e);
}
