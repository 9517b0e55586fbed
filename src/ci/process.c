// SPDX-License-Identifier: Apache-2.0
// The processing model: composite states and the one pass over stages that starts, skips or holds
// jobs. Pure; the engine (and the tests with GitLab's own cases) own the arrays.
#include "ci/process.h"
#include "base/mem.h"

#define BIT(s)  (1u << (s))
#define WARNED  BIT(CI_STATUS_COUNT)     // failed or canceled, and allowed to
#define IGNORED BIT(CI_STATUS_COUNT + 1) // manual, and nobody waits for it

void ci_composite_add(struct ci_composite *c, enum ci_status s, bool allow_failure)
{
    if (allow_failure && (s == CI_FAILED || s == CI_CANCELED)) {
        c->seen |= WARNED;
        c->any_warned |= s == CI_FAILED;
    } else if (allow_failure && s == CI_MANUAL) {
        c->seen |= IGNORED;
    } else {
        c->seen |= BIT(s);
    }
}

enum ci_status ci_composite_status(const struct ci_composite *c, bool dag)
{
    const uint32_t skipped = BIT(CI_SKIPPED) | IGNORED, quiet = skipped | WARNED;
    const uint32_t done =
        BIT(CI_SUCCESS) | BIT(CI_FAILED) | BIT(CI_CANCELED) | BIT(CI_SKIPPED) | WARNED;
    uint32_t seen = c->seen;
#define ONLY(set) (!(seen & ~(set)))
    if (!seen)
        return CI_SUCCESS;
    if (dag && (seen & skipped))
        return CI_SKIPPED;
    if (dag && !ONLY(done))
        return CI_PENDING;
    if (ONLY(skipped))
        return CI_SKIPPED;
    if (ONLY(BIT(CI_SUCCESS) | quiet))
        return CI_SUCCESS;
    if (ONLY(BIT(CI_CREATED) | WARNED | IGNORED))
        return CI_CREATED;
    if (ONLY(BIT(CI_PREPARING) | WARNED | IGNORED))
        return CI_PREPARING;
    if (ONLY(BIT(CI_CANCELED) | BIT(CI_SUCCESS) | quiet))
        return CI_CANCELED;
    if (ONLY(BIT(CI_PENDING) | BIT(CI_CREATED) | quiet))
        return CI_PENDING;
#undef ONLY
    static const enum ci_status FIRST[] = {
        CI_RUNNING, CI_PENDING,   CI_CANCELING, CI_WAITING_FOR_RESOURCE,
        CI_MANUAL,  CI_SCHEDULED, CI_PREPARING, CI_CREATED};
    for (size_t i = 0; i < ARRAY_SIZE(FIRST); i++)
        if (seen & BIT(FIRST[i]))
            return FIRST[i] == CI_PENDING || FIRST[i] == CI_CREATED ? CI_RUNNING : FIRST[i];
    return CI_FAILED;
}

bool ci_composite_warned(const struct ci_composite *c)
{
    return c->any_warned;
}

static enum ci_status needs_status(const struct ci_pjob *jobs, const struct ci_pjob *j)
{
    struct ci_composite c = {0};
    for (size_t i = 0; i < j->nneeds; i++)
        ci_composite_add(&c, jobs[j->needs[i]].status, jobs[j->needs[i]].allow_failure);
    return ci_composite_status(&c, true);
}

static bool allowed(const struct ci_pjob *j, enum ci_status previous)
{
    switch (j->when) {
    case CI_ON_FAILURE:
        return previous == CI_FAILED;
    case CI_ALWAYS:
        return previous == CI_SUCCESS || previous == CI_FAILED || previous == CI_SKIPPED;
    case CI_NEVER:
        return false;
    default:
        return previous == CI_SUCCESS || (previous == CI_SKIPPED && !j->dag);
    }
}

static enum ci_status started(enum ci_when when)
{
    if (when == CI_MANUAL_START)
        return CI_MANUAL;
    return when == CI_DELAYED ? CI_SCHEDULED : CI_PENDING;
}

static bool step(struct ci_pjob *jobs, struct ci_pjob *j, enum ci_status before)
{
    if (j->status != CI_CREATED)
        return false;
    enum ci_status previous = j->dag ? needs_status(jobs, j) : before;
    if (!ci_status_is_complete(previous))
        return false;
    j->status = allowed(j, previous) ? started(j->when) : CI_SKIPPED;
    j->changed = true;
    return true;
}

// Jobs of a stage may need each other, so a stage is repeated until it is at rest.
static size_t process_stage(struct ci_pjob *jobs, size_t from, size_t to, enum ci_status before)
{
    size_t changed = 0;
    for (bool again = true; again;) {
        again = false;
        for (size_t i = from; i < to; i++)
            if (step(jobs, &jobs[i], before)) {
                changed++;
                again = true;
            }
    }
    return changed;
}

size_t ci_process(struct ci_pjob *jobs, size_t n)
{
    struct ci_composite before = {0};
    size_t changed = 0;
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && jobs[to].stage == jobs[from].stage; to++)
            ;
        changed += process_stage(jobs, from, to, ci_composite_status(&before, false));
        for (size_t i = from; i < to; i++)
            ci_composite_add(&before, jobs[i].status, jobs[i].allow_failure);
    }
    return changed;
}

size_t ci_process_reset_after(struct ci_pjob *jobs, size_t n, size_t at)
{
    if (at >= n)
        return 0;
    _autofree_ bool *depends = NEW_ARRAY(bool, n);
    depends[at] = true;
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; !depends[i] && k < jobs[i].nneeds; k++)
                if (depends[jobs[i].needs[k]])
                    depends[i] = again = true;
    }
    size_t changed = 0;
    for (size_t i = 0; i < n; i++) {
        bool later = !jobs[i].dag && jobs[i].stage > jobs[at].stage;
        if (i == at || jobs[i].status != CI_SKIPPED || (!depends[i] && !later))
            continue;
        jobs[i].status = CI_CREATED;
        jobs[i].changed = true;
        changed++;
    }
    return changed;
}

enum ci_status ci_pipeline_status(const struct ci_pjob *jobs, size_t n, enum ci_status stored)
{
    struct ci_composite c = {0};
    for (size_t i = 0; i < n; i++)
        ci_composite_add(&c, jobs[i].status, jobs[i].allow_failure);
    enum ci_status s = ci_composite_status(&c, false);
    bool finished = stored == CI_SUCCESS || stored == CI_FAILED || stored == CI_CANCELED;
    if (s == CI_CREATED)
        return stored;
    return s == CI_PENDING && finished ? CI_RUNNING : s;
}

enum ci_status ci_stage_status(const struct ci_pjob *jobs, size_t n, int stage,
                               enum ci_status stored)
{
    struct ci_composite c = {0};
    for (size_t i = 0; i < n; i++)
        if (jobs[i].stage == stage)
            ci_composite_add(&c, jobs[i].status, jobs[i].allow_failure);
    enum ci_status s = ci_composite_status(&c, false);
    return s == CI_CREATED ? stored : s;
}
