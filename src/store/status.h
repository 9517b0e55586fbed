// SPDX-License-Identifier: Apache-2.0
// GitLab's states of jobs and pipelines.
#pragma once

#include "base/str.h"

enum ci_status {
    CI_CREATED,
    CI_WAITING_FOR_RESOURCE,
    CI_PREPARING,
    CI_PENDING,
    CI_RUNNING,
    CI_SUCCESS,
    CI_FAILED,
    CI_CANCELING,
    CI_CANCELED,
    CI_SKIPPED,
    CI_MANUAL,
    CI_SCHEDULED,
    CI_STATUS_COUNT,
};

const char *ci_status_name(enum ci_status s); // "waiting_for_resource"
bool ci_status_parse(struct str name, enum ci_status *ret) MUST_USE;

// Sets of states.
#define CI_BIT(s) (1u << (s))
#define CI_SET_FINISHED                                                                            \
    (CI_BIT(CI_SUCCESS) | CI_BIT(CI_FAILED) | CI_BIT(CI_CANCELED) | CI_BIT(CI_SKIPPED))
// Those that were worked on and are over: they have a finished_at, a skipped one has none.
#define CI_SET_ENDED (CI_BIT(CI_SUCCESS) | CI_BIT(CI_FAILED) | CI_BIT(CI_CANCELED))
#define CI_SET_CANCELABLE                                                                          \
    (CI_BIT(CI_CREATED) | CI_BIT(CI_WAITING_FOR_RESOURCE) | CI_BIT(CI_PREPARING) |                 \
     CI_BIT(CI_PENDING) | CI_BIT(CI_RUNNING) | CI_BIT(CI_MANUAL) | CI_BIT(CI_SCHEDULED))
#define CI_SET_ON_RUNNER (CI_BIT(CI_RUNNING) | CI_BIT(CI_CANCELING))
#define CI_SET_ALIVE                                                                               \
    (CI_SET_ON_RUNNER | CI_BIT(CI_PENDING) | CI_BIT(CI_PREPARING) | CI_BIT(CI_WAITING_FOR_RESOURCE))

static inline bool ci_status_in(enum ci_status s, unsigned set)
{
    return set >> s & 1;
}
