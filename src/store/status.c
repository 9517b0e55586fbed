// SPDX-License-Identifier: Apache-2.0
// Names of the states of jobs and pipelines, as GitLab's API writes them and the database keeps
// them. Pure.
#include "store/sets.h"

static const char *const NAMES[CI_STATUS_COUNT] = {
    [CI_CREATED] = "created",     [CI_WAITING_FOR_RESOURCE] = "waiting_for_resource",
    [CI_PREPARING] = "preparing", [CI_PENDING] = "pending",
    [CI_RUNNING] = "running",     [CI_SUCCESS] = "success",
    [CI_FAILED] = "failed",       [CI_CANCELING] = "canceling",
    [CI_CANCELED] = "canceled",   [CI_SKIPPED] = "skipped",
    [CI_MANUAL] = "manual",       [CI_SCHEDULED] = "scheduled",
};

const char *ci_status_name(enum ci_status s)
{
    return (unsigned)s < CI_STATUS_COUNT ? NAMES[s] : "unknown";
}

bool ci_status_parse(struct str name, enum ci_status *ret)
{
    for (unsigned i = 0; i < CI_STATUS_COUNT; i++)
        if (str_is(name, NAMES[i])) {
            *ret = (enum ci_status)i;
            return true;
        }
    return false;
}

struct str status_set(unsigned set, char out[STATUS_SET_SIZE])
{
    size_t n = 0;
    for (unsigned i = 0; i < CI_STATUS_COUNT; i++) {
        if (!(set >> i & 1))
            continue;
        size_t len = strlen(NAMES[i]);
        BUG_ON(n + len + 3 > STATUS_SET_SIZE);
        if (n == 0)
            out[n++] = ',';
        memcpy(out + n, NAMES[i], len);
        n += len;
        out[n++] = ',';
    }
    out[n] = '\0';
    return str_n(out, n);
}
