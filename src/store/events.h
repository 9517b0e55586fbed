// SPDX-License-Identifier: Apache-2.0
// What happened, for people: activity of a project and the audit trail of the instance. Push events
// have a table of their own (store/pushes.h). Never put a secret into `details`.
#pragma once

#include "store/store.h"

struct event {
    int64_t id;
    bool audit;                       // else activity
    struct str action;                // "project_created", "token_revoked", "signed_in", ...
    int64_t author_id;                // 0: the system
    int64_t project_id, namespace_id; // 0: none
    struct str target_type;           // "User", "Job" ...
    int64_t target_id;
    struct str details; // one line of text or a JSON object
    struct str ip;
    int64_t created_at;
    struct str author_username; // joined
};

int event_insert(struct tx *tx, struct event *ev, struct err *e) MUST_USE;
struct event_filter {
    int audit;                     // 0, 1, or -1: both
    int64_t project_id, author_id; // 0: any
};
// Newest first.
int event_list(struct tx *tx, struct arena *a, const struct event_filter *f, struct page *page,
               struct event **ret, size_t *ret_n, struct err *e) MUST_USE;
