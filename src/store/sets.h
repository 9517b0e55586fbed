// SPDX-License-Identifier: Apache-2.0
// Inside src/store only: a set of states as text for a statement's `$n LIKE '%,' || status ||
// ',%'`, which every database understands.
#pragma once

#include "store/status.h"

#define STATUS_SET_SIZE 160

// ",created,pending,"; "" for the empty set.
struct str status_set(unsigned set, char out[STATUS_SET_SIZE]);
