// SPDX-License-Identifier: Apache-2.0
// How each ref update becomes one push event, also when the server dies in between:
//   1. push_begin() commits an intent (old -> new) per ref, before Git may move it;
//   2. Git moves the refs;
//   3. push_finish() removes the intent and, where the ref moved, inserts the event: one
//   transaction.
// After a crash whoever starts calls push_pending(), looks at each ref, and finishes or drops it.
// A project and ref have one intent at a time: a second push of the same ref gets E_BUSY.
// Whoever makes pipelines takes events with push_event_next() and marks them in the transaction
// that inserts the pipeline, so that each event makes its pipeline once.
#pragma once

#include "store/store.h"

#define PUSH_OPTIONS_MAX KIB(64)

struct push_ref {
    struct str ref;              // full, "refs/heads/main"
    struct str old_sha, new_sha; // hex; all zeros: created, deleted
};

struct push_intent {
    int64_t id;      // of the ref
    int64_t push_id; // shared by all refs of one push
    int64_t project_id, user_id;
    struct push_ref r;
    struct str options; // push options, one per line: "ci.skip"
    int64_t created_at;
};

struct push_event {
    int64_t id, push_id, project_id, user_id;
    struct push_ref r;
    struct str options;
    int64_t commit_count;
    struct str commit_title; // of the new head
    int64_t created_at;
    int64_t handled_at; // 0: no pipeline was considered yet
};

// After an error the transaction can only be rolled back. user_id 0: none (a deploy key, later).
int push_begin(struct tx *tx, int64_t project_id, int64_t user_id, const struct push_ref *refs,
               size_t n, struct str options, int64_t *ret_push_id, struct err *e) MUST_USE;
// Ends the intent of one ref. moved: inserts the event, sets *ret_event_id and wakes "pushes"; else
// *ret_event_id is 0. E_NOTFOUND when it was ended before: the event exists or was dropped, do
// nothing. actual_new: what the ref points to now (it may differ from the intent's after a crash).
int push_finish(struct tx *tx, int64_t push_id, struct str ref, bool moved, struct str actual_new,
                int64_t commit_count, struct str commit_title, int64_t *ret_event_id,
                struct err *e) MUST_USE;
// Intents still open, oldest first; of one project, or of all with 0.
int push_pending(struct tx *tx, struct arena *a, int64_t project_id, struct push_intent **ret,
                 size_t *ret_n, struct err *e) MUST_USE;

int push_event_get(struct tx *tx, struct arena *a, int64_t id, struct push_event *ret,
                   struct err *e) MUST_USE;
// The oldest event nobody handled, or E_NOTFOUND.
int push_event_next(struct tx *tx, struct arena *a, struct push_event *ret, struct err *e) MUST_USE;
// E_CONFLICT when somebody has handled it already.
int push_event_handled(struct tx *tx, int64_t id, int64_t now, struct err *e) MUST_USE;
// Newest first; project_id 0: of all, user_id 0: by anybody.
int push_event_list(struct tx *tx, struct arena *a, int64_t project_id, int64_t user_id,
                    struct page *page, struct push_event **ret, size_t *ret_n,
                    struct err *e) MUST_USE;
