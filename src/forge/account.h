// SPDX-License-Identifier: Apache-2.0
// Accounts: making them, their passwords. Passwords are kept as Argon2id (libsodium) and wiped from
// this program's memory after use; they never enter a log, an error or an event.
#pragma once

#include "forge/actor.h"
#include "forge/forge.h"
#include "store/users.h"

// Argon2id: memory and passes per check. One check at a time per worker; about 50 ms.
#define PASSWORD_MEMORY (MIB(32))
#define PASSWORD_PASSES 3
#define PASSWORD_MIN    8
#define PASSWORD_MAX    128

struct account_new {
    struct str username; // GitLab's rule: letters, digits, _ - . ; 1..255, see path_check()
    struct str name;     // 1..255 bytes, no control characters; empty: the username
    struct str email;    // one @, no spaces, up to 254
    struct str password;
    bool admin;
};
// E_INVALID names the field; E_CONFLICT when username or email is taken.
int account_create(struct forge *f, struct arena *a, const struct account_new *n, struct user *ret,
                   struct err *e) MUST_USE;
int account_set_password(struct forge *f, int64_t user_id, struct str password,
                         struct err *e) MUST_USE;
// Blocks or unblocks; a block ends all sessions at once, and tokens stop working.
int account_set_blocked(struct forge *f, const struct actor *who, int64_t user_id, bool blocked,
                        struct err *e) MUST_USE;

// A path of a user, group or project: letters, digits, '_', '-', '.'; begins with a letter, digit
// or
// '_'; no '.' or '-' at the end, no "..", not ending in .git or .atom; and not a reserved name.
// top_level: also not one of the names that routes use ("api", "users", "-", ...).
int path_check(struct str path, bool top_level, struct err *e) MUST_USE;
int email_check(struct str email, struct err *e) MUST_USE;
int password_check_new(struct str password, struct str username, struct err *e) MUST_USE;
