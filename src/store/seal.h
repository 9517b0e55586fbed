// SPDX-License-Identifier: Apache-2.0
// Sealing with the key in secrets/store.key (made at the first start; 32 random bytes, 0600), and
// the hash that stands for a secret in the database.
#pragma once

#include "store/store.h"

#define SHA256_SIZE 32

// nonce || libsodium secretbox
struct str store_seal(struct store *s, struct arena *a, struct str plain);
// E_INVALID: changed, or sealed with another key.
int store_unseal(struct store *s, struct arena *a, struct str sealed, struct str *ret,
                 struct err *e) MUST_USE;
struct str sha256(struct str secret, unsigned char out[SHA256_SIZE]);
