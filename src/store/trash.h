// SPDX-License-Identifier: Apache-2.0
// Files that no row names any more. A path is put here in the transaction that removes its row, so
// that a crash between the two leaves neither a dead link nor a lost file; trash_empty() removes
// them from the disk.
#pragma once

#include "store/store.h"

// A file or a whole folder, below the state folder.
int trash_add(struct tx *tx, struct str path, struct err *e) MUST_USE;
// All pages of a project, and all artifacts of a job or a pipeline (the other id 0).
int trash_pages(struct tx *tx, int64_t project_id, struct err *e) MUST_USE;
int trash_artifacts(struct tx *tx, int64_t job_id, int64_t pipeline_id, struct err *e) MUST_USE;
int trash_traces(struct tx *tx, int64_t job_id, int64_t pipeline_id, struct err *e) MUST_USE;
// Removes up to `max` from the disk, then their rows. Returns how many (an error only
// when none could be removed; the others stay on the list). Not within a transaction.
int64_t trash_empty(struct store *s, int max, struct err *e) MUST_USE;
