// SPDX-License-Identifier: Apache-2.0
// Inside src/forge only: Argon2id.
#pragma once

#include "forge/forge.h"

#define PASSWORD_HASH_SIZE 128

// E_LIMIT: not enough memory now.
int password_hash(const struct forge *f, struct str password, char out[PASSWORD_HASH_SIZE],
                  struct err *e) MUST_USE;
// hash "": nobody has it; the same work is done.
bool password_verify(const struct forge *f, struct str password, struct str hash);
