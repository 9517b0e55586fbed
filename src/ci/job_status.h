// SPDX-License-Identifier: Apache-2.0
// The states of jobs, stages and pipelines (their names are in store/status.h, a header without
// code of the store), when a job starts, and why one failed; by GitLab's names. Pure.
#pragma once

#include "store/status.h"

// success, failed, canceled, skipped: nothing more happens by itself.
bool ci_status_is_complete(enum ci_status s);
// pending, running, created, ...: may still change by itself (canceling counts, manual does not).
bool ci_status_is_active(enum ci_status s);
// May be canceled now.
bool ci_status_is_cancelable(enum ci_status s);

// When a job starts (keyword `when`).
enum ci_when {
    CI_ON_SUCCESS,
    CI_ON_FAILURE,
    CI_ALWAYS,
    CI_MANUAL_START,
    CI_DELAYED,
    CI_NEVER,
    CI_WHEN_COUNT,
};
const char *ci_when_name(enum ci_when w);
bool ci_when_parse(struct str name, enum ci_when *ret) MUST_USE;

// Why a job failed: GitLab's names of `failure_reason`, and those that `retry:when` may list.
bool ci_failure_reason_known(struct str name);
bool ci_retry_when_known(struct str name);
