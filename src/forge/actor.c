// SPDX-License-Identifier: Apache-2.0
// What a token's scopes include. Pure.
#include "forge/actor.h"

bool actor_has_scope(const struct actor *who, enum token_scope need)
{
    if (who->kind == ACTOR_ANONYMOUS)
        return true;
    unsigned has = who->scopes;
    if (has & SCOPE_API)
        has |= SCOPE_READ_API | SCOPE_READ_USER | SCOPE_READ_REPOSITORY | SCOPE_WRITE_REPOSITORY |
               SCOPE_CREATE_RUNNER;
    if (has & SCOPE_READ_API)
        has |= SCOPE_READ_USER;
    if (has & SCOPE_WRITE_REPOSITORY)
        has |= SCOPE_READ_REPOSITORY;
    return (has & need) == need;
}
