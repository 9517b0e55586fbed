// SPDX-License-Identifier: Apache-2.0
// A forge over a fresh store, with people who have something to do with each other.
#pragma once

#include "../store/fixture.h"

#include "forge/access.h"
#include "forge/account.h"
#include "forge/auth.h"
#include "forge/project.h"

static struct forge G;

static UNUSED int forge_setup(void **state)
{
    setup(state);
    G = (struct forge){.store = F.store, .password_fast = true};
    return 0;
}
#define FORGE_TEST(fn) cmocka_unit_test_setup_teardown(fn, forge_setup, teardown)

#define PASSWORD STR("correct horse")

static UNUSED struct user account(const char *name, bool admin)
{
    struct user u;
    struct account_new n = {.username = str_of(name),
                            .email = arena_strf(&F.a, "%s@example.org", name),
                            .password = PASSWORD,
                            .admin = admin};
    OK(account_create(&G, &F.a, &n, &u, &F.e));
    return u;
}

static UNUSED struct actor actor_of(struct user u)
{
    return (struct actor){.kind = ACTOR_USER,
                          .user_id = u.id,
                          .username = u.username,
                          .admin = u.admin,
                          .scopes = SCOPE_ALL};
}
