// SPDX-License-Identifier: Apache-2.0
// The rules of access: level, visibility, protected refs, variables. Everything is asked of the
// caller's snapshot, nothing is kept, nothing is written. Stateless.
#include "forge/access.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

// ---- levels and visibility ----

int access_project(struct tx *tx, const struct actor *who, const struct project *p, int *ret,
                   struct err *e)
{
    int level = ACCESS_NONE;
    *ret = ACCESS_NONE;
    if (who->kind == ACTOR_ANONYMOUS)
        return 0;
    if (who->kind == ACTOR_JOB) {
        if (who->job_project_id != p->id)
            return 0;
        // A pipeline without a person (its user is gone) still reads its own project.
        if (!who->user_id) {
            *ret = ACCESS_REPORTER;
            return 0;
        }
    }
    if (who->admin)
        level = ACCESS_OWNER;
    else
        TRY(member_project_level(tx, p->id, who->user_id, clock_wall_ms(), &level, e));
    // Its pipeline was made with the right to make it: reading its own project stays possible when
    // that right came from administration.
    if (who->kind == ACTOR_JOB)
        level = MAX(MIN(level, ACCESS_DEVELOPER), ACCESS_REPORTER);
    *ret = level;
    return 0;
}

int access_ns(struct tx *tx, const struct actor *who, const struct ns *n, int *ret, struct err *e)
{
    *ret = ACCESS_NONE;
    if (who->kind != ACTOR_USER)
        return 0;
    if (who->admin) {
        *ret = ACCESS_OWNER;
        return 0;
    }
    return member_ns_level(tx, n->id, who->user_id, clock_wall_ms(), ret, e);
}

static bool may_see(const struct actor *who, enum visibility v, int level)
{
    if (level > ACCESS_NONE || v == VIS_PUBLIC)
        return true;
    return v == VIS_INTERNAL && who->kind == ACTOR_USER;
}

static int judge(const struct actor *who, enum visibility v, int level, int min, const char *what,
                 struct err *e)
{
    if (!may_see(who, v, level))
        return err_set(e, E_NOTFOUND, "404 %s Not Found", what);
    if (level < min)
        return err_set(e, E_DENIED, "403 Forbidden: this needs the role %s, you have %s",
                       access_level_name(min), access_level_name(level));
    return 0;
}

static int project_judged(struct tx *tx, const struct actor *who, int rc, int min,
                          const struct project *p, int *ret_level, struct err *e)
{
    int level;
    if (rc == E_NOTFOUND)
        return err_set(e, rc, "404 Project Not Found");
    if (rc < 0)
        return rc;
    TRY(access_project(tx, who, p, &level, e));
    TRY(judge(who, p->visibility, level, min, "Project", e));
    if (ret_level)
        *ret_level = level;
    return 0;
}

int access_project_get(struct tx *tx, struct arena *a, const struct actor *who, int64_t id, int min,
                       struct project *ret, int *ret_level, struct err *e)
{
    int rc = project_get(tx, a, id, ret, e);
    return project_judged(tx, who, rc, min, ret, ret_level, e);
}

int access_project_find(struct tx *tx, struct arena *a, const struct actor *who, struct str id,
                        int min, struct project *ret, int *ret_level, struct err *e)
{
    uint64_t number;
    int rc;
    if (str_to_u64(id, &number))
        rc = number <= INT64_MAX ? project_get(tx, a, (int64_t)number, ret, e) : E_NOTFOUND;
    else
        rc = id.n <= 4096 ? project_by_path(tx, a, id, ret, e) : E_NOTFOUND;
    return project_judged(tx, who, rc, min, ret, ret_level, e);
}

int access_ns_find(struct tx *tx, struct arena *a, const struct actor *who, struct str id, int min,
                   struct ns *ret, int *ret_level, struct err *e)
{
    uint64_t number;
    int level, rc;
    if (str_to_u64(id, &number))
        rc = number <= INT64_MAX ? ns_get(tx, a, (int64_t)number, ret, e) : E_NOTFOUND;
    else
        rc = id.n <= 4096 ? ns_by_path(tx, a, id, ret, e) : E_NOTFOUND;
    if (rc == E_NOTFOUND)
        return err_set(e, rc, "404 Group Not Found");
    if (rc < 0)
        return rc;
    TRY(access_ns(tx, who, ret, &level, e));
    TRY(judge(who, ret->visibility, level, min, "Group", e));
    if (ret_level)
        *ret_level = level;
    return 0;
}

bool access_may_read_code(const struct project *p, int level)
{
    return level >= ACCESS_REPORTER || p->visibility != VIS_PRIVATE;
}

// ---- refs ----

int access_ref_protected(struct tx *tx, struct arena *a, int64_t project_id, bool tag,
                         struct str name, bool *ret, struct protection *ret_rule_or_null,
                         struct err *e)
{
    struct protection *rules, best = {0};
    size_t n;
    *ret = false;
    TRY(protection_list(tx, a, project_id, tag, &rules, &n, e));
    for (size_t i = 0; i < n; i++) {
        const struct protection *r = &rules[i];
        if (!protection_matches(r->name, name))
            continue;
        if (!*ret) {
            best = *r;
        } else {
            // 0 is "nobody": any number is more permissive, and of numbers the lower.
            if (r->push_level && (!best.push_level || r->push_level < best.push_level))
                best.push_level = r->push_level;
            if (r->merge_level && (!best.merge_level || r->merge_level < best.merge_level))
                best.merge_level = r->merge_level;
            // But a forced push needs every matching rule to allow it.
            best.allow_force_push = best.allow_force_push && r->allow_force_push;
        }
        *ret = true;
    }
    if (*ret && ret_rule_or_null)
        *ret_rule_or_null = best;
    return 0;
}

static int protected_branch(int level, const struct ref_change *c, struct str name,
                            const struct protection *rule, struct err *e)
{
    if (c->what == REF_DELETE)
        return err_set(e, E_DENIED,
                       "branch %" PRISTR " is protected: it cannot be deleted by a push; "
                       "unprotect it first",
                       STRARG(name));
    if (!rule->push_level || level < rule->push_level)
        return err_set(e, E_DENIED,
                       "branch %" PRISTR " is protected: you are not allowed to push to it; push "
                       "another branch instead",
                       STRARG(name));
    if (c->force && !rule->allow_force_push)
        return err_set(e, E_DENIED, "branch %" PRISTR " is protected: a forced push is not allowed",
                       STRARG(name));
    return 0;
}

static int protected_tag(int level, const struct ref_change *c, struct str name,
                         const struct protection *rule, struct err *e)
{
    if (c->what == REF_CREATE && rule->push_level && level >= rule->push_level)
        return 0;
    return err_set(e, E_DENIED, "tag %" PRISTR " is protected: you are not allowed to %s it",
                   STRARG(name), c->what == REF_CREATE ? "create" : "change");
}

int access_push(struct tx *tx, const struct project *p, int level, const struct ref_change *c,
                struct err *e)
{
    _autoarena_ struct arena a;
    struct protection rule;
    bool is_protected, tag = str_starts(c->ref, STR("refs/tags/"));
    arena_init(&a, MIB(16));

    if (p->archived)
        return err_set(e, E_DENIED, "the project is archived: it can be read, not changed");
    if (level < ACCESS_DEVELOPER)
        return err_set(e, E_DENIED, "you are not allowed to push code to this project");
    if (p->repository_quota && p->repository_size >= p->repository_quota && c->what != REF_DELETE)
        return err_set(e, E_DENIED,
                       "the repository has reached its quota of %lld MiB; delete something or ask "
                       "for a larger one",
                       (long long)(p->repository_quota >> 20));
    if (!tag && !str_starts(c->ref, STR("refs/heads/")))
        return err_set(e, E_DENIED, "%" PRISTR " cannot be pushed to: only branches and tags can",
                       STRARG(c->ref));
    struct str name = str_from(c->ref, tag ? strlen("refs/tags/") : strlen("refs/heads/"));
    if (!tag && c->what == REF_DELETE && str_eq(name, p->default_branch))
        return err_set(e, E_DENIED, "the default branch %" PRISTR " cannot be deleted",
                       STRARG(name));
    TRY(access_ref_protected(tx, &a, p->id, tag, name, &is_protected, &rule, e));
    if (is_protected)
        return tag ? protected_tag(level, c, name, &rule, e)
                   : protected_branch(level, c, name, &rule, e);
    // As in GitLab, an unprotected tag may be moved or deleted by those who may protect it.
    if (tag && c->what != REF_CREATE && level < ACCESS_MAINTAINER)
        return err_set(e, E_DENIED, "you are not allowed to change or delete existing tags");
    return 0;
}

// ---- variables ----

bool environment_matches(struct str scope, struct str environment)
{
    // Without an environment only what is meant for all of them applies.
    return str_is(scope, "*") || (environment.n && protection_matches(scope, environment));
}

static size_t literal_chars(struct str scope)
{
    size_t n = 0;
    for (size_t i = 0; i < scope.n; i++)
        n += scope.p[i] != '*';
    return n;
}

static int level_of(const struct variable *v)
{
    return v->project_id ? 2 : v->namespace_id ? 1 : 0;
}

// Whether `b`, which comes later in the order of precedence, replaces `a` of the same key.
static bool replaces(const struct variable *a, const struct variable *b)
{
    bool same_owner = level_of(a) == level_of(b) && a->namespace_id == b->namespace_id;
    if (!same_owner)
        return true;
    return literal_chars(b->environment_scope) >= literal_chars(a->environment_scope);
}

static int by_key(const void *a, const void *b)
{
    return str_cmp(((const struct variable *)a)->key, ((const struct variable *)b)->key);
}

int access_pipeline_variables(struct tx *tx, struct arena *a, int64_t project_id,
                              bool protected_ref, struct str environment, struct variable **ret,
                              size_t *ret_n, struct err *e)
{
    struct variable *all;
    size_t n, kept = 0;
    TRY(variable_inherited(tx, a, project_id, &all, &n, e));
    for (size_t i = 0; i < n; i++) {
        if ((all[i].is_protected && !protected_ref) ||
            !environment_matches(all[i].environment_scope, environment))
            continue;
        size_t k = 0;
        while (k < kept && !str_eq(all[k].key, all[i].key))
            k++;
        if (k == kept)
            all[kept++] = all[i];
        else if (replaces(&all[k], &all[i]))
            all[k] = all[i];
    }
    qsort(all, kept, sizeof(*all), by_key);
    *ret = all;
    *ret_n = kept;
    return 0;
}

bool variable_maskable(struct str value, bool raw)
{
    if (value.n < 8)
        return false;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        // A value that is expanded must not hold what expansion would change.
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     memchr("_:@-+.~=/", c, 9);
        bool any = c > ' ' && c != 0x7f;
        if (raw ? !any : !plain)
            return false;
    }
    return true;
}

int variable_key_check(struct str key, struct err *e)
{
    bool ok = key.n >= 1 && key.n <= 255;
    for (size_t i = 0; ok && i < key.n; i++) {
        char c = key.p[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    }
    if (!ok)
        return err_set(e, E_INVALID,
                       "key can contain only letters, digits and '_', at most 255 of them");
    return 0;
}
