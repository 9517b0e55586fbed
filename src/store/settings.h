// SPDX-License-Identifier: Apache-2.0
// Settings and small facts of the instance, by name.
#pragma once

#include "store/store.h"

// E_NOTFOUND when not set.
int setting_get(struct tx *tx, struct arena *a, const char *key, struct str *ret,
                struct err *e) MUST_USE;
int setting_set(struct tx *tx, const char *key, struct str value, struct err *e) MUST_USE;
int setting_delete(struct tx *tx, const char *key, struct err *e) MUST_USE;
