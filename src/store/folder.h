// SPDX-License-Identifier: Apache-2.0
// Inside src/store only: the state folder as a tree of descriptors, so that no path can lead out of
// it, and the sealing key that lies in it.
#pragma once

#include "store/store.h"

#define SEAL_KEY_SIZE 32

// Opens the state folder; with `create` makes it and its usual subfolders (0700).
int folder_open(const char *path, bool create, int *ret_fd, struct err *e) MUST_USE;
// E_INVALID unless the path is relative and plain, see store/blob.h.
int folder_check_path(struct str path, struct err *e) MUST_USE;
// Descriptor of the folder that holds `path`, and its last part. `create`: missing folders are made
// and synced. E_NOTFOUND when one is missing.
int folder_walk(int root, struct str path, bool create, int *ret_fd, char ret_name[256],
                struct err *e) MUST_USE;
// Writes a small file durably: all or nothing. replace false: E_CONFLICT when it exists.
int folder_write_file(int root, struct str path, struct str bytes, bool replace,
                      struct err *e) MUST_USE;

// Reads the key, or makes it with `create`; checks that it fits the database.
int seal_open(struct store *s, unsigned char key[SEAL_KEY_SIZE], bool create,
              struct err *e) MUST_USE;
const unsigned char *store_key(const struct store *s);
