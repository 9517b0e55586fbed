// SPDX-License-Identifier: Apache-2.0
// Published pages as rows. The files lie in a folder of their own per deployment; the edge reads
// the disk alone, so publishing is: unpack, sync, insert here, switch the project's link.
#pragma once

#include "store/store.h"

struct pages_deployment {
    int64_t id, project_id, job_id, pipeline_id;
    struct str dir; // below the state folder
    int64_t files, size;
    bool active; // at most one of a project
    int64_t created_at;
};

// Inserted inactive.
int pages_insert(struct tx *tx, struct pages_deployment *d, struct err *e) MUST_USE;
// Makes it the project's one; the others become inactive. E_CONFLICT when a deployment of a newer
// job is active.
int pages_activate(struct tx *tx, int64_t id, struct err *e) MUST_USE;
// E_NOTFOUND when nothing is published.
int pages_active(struct tx *tx, struct arena *a, int64_t project_id, struct pages_deployment *ret,
                 struct err *e) MUST_USE;
int pages_list(struct tx *tx, struct arena *a, int64_t project_id, struct pages_deployment **ret,
               size_t *ret_n, struct err *e) MUST_USE;
// All that are active, of all projects, to set links right at start.
int pages_list_active(struct tx *tx, struct arena *a, struct pages_deployment **ret, size_t *ret_n,
                      struct err *e) MUST_USE;
// Nothing is published any more; folders go to the trash list.
int pages_delete(struct tx *tx, int64_t project_id, struct err *e) MUST_USE;
// Removes inactive ones older than `before`; folders go to the trash list.
int64_t pages_sweep(struct tx *tx, int64_t before, struct err *e) MUST_USE;
