// SPDX-License-Identifier: Apache-2.0
// Inside src/store only: full paths, unique without regard to case over namespaces and projects.
#pragma once

#include "store/store.h"

// The path in lower case.
struct str route_key(struct arena *a, struct str full_path);
// E_CONFLICT when the path is taken. Asked before the rows are inserted, so that a refusal leaves
// nothing half done in the transaction.
int route_free(struct tx *tx, struct arena *a, struct str full_path, struct err *e) MUST_USE;
// One of the ids is 0. E_CONFLICT when taken.
int route_insert(struct tx *tx, struct arena *a, struct str full_path, int64_t namespace_id,
                 int64_t project_id, struct err *e) MUST_USE;
int route_move(struct tx *tx, struct arena *a, int64_t project_id, struct str full_path,
               struct err *e) MUST_USE;
