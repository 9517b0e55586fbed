// SPDX-License-Identifier: Apache-2.0
// Names of `when` and of reasons for failure, as GitLab spells them, and kinds of states.
#include "ci/job_status.h"

static const char *const WHEN[CI_WHEN_COUNT] = {
    [CI_ON_SUCCESS] = "on_success", [CI_ON_FAILURE] = "on_failure", [CI_ALWAYS] = "always",
    [CI_MANUAL_START] = "manual",   [CI_DELAYED] = "delayed",       [CI_NEVER] = "never",
};

// What `retry:when` may list.
static const char *const RETRY_WHEN[] = {
    "always",
    "unknown_failure",
    "script_failure",
    "api_failure",
    "stuck_or_timeout_failure",
    "stuck_pending_with_matching_runners",
    "stuck_pending_no_matching_runners",
    "no_updates_running",
    "no_updates_canceling",
    "runner_system_failure",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "runner_interrupted",
    "runner_unsupported",
    "stale_schedule",
    "job_execution_timeout",
    "server_timeout_running",
    "server_timeout_canceling",
    "archived_failure",
    "unmet_prerequisites",
    "scheduler_failure",
    "data_integrity_failure",
};

// Reasons besides those.
static const char *const REASONS[] = {
    "missing_dependency_failure",
    "forward_deployment_failure",
    "user_blocked",
    "project_deleted",
    "ci_quota_exceeded",
    "pipeline_loop_detected",
    "trace_size_exceeded",
    "builds_disabled",
    "insufficient_bridge_permissions",
    "downstream_bridge_project_not_found",
    "invalid_bridge_trigger",
    "downstream_pipeline_creation_failed",
    "secrets_provider_not_found",
    "reached_max_descendant_pipelines_depth",
    "image_pull_failure",
};

static bool find(const char *const *names, size_t n, struct str name, size_t *ret)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(name, names[i])) {
            *ret = i;
            return true;
        }
    return false;
}

bool ci_status_is_complete(enum ci_status s)
{
    return ci_status_in(s, CI_SET_FINISHED);
}

bool ci_status_is_active(enum ci_status s)
{
    return !ci_status_is_complete(s) && s != CI_MANUAL;
}

bool ci_status_is_cancelable(enum ci_status s)
{
    return ci_status_in(s, CI_SET_CANCELABLE);
}

const char *ci_when_name(enum ci_when w)
{
    BUG_ON(w >= CI_WHEN_COUNT);
    return WHEN[w];
}

bool ci_when_parse(struct str name, enum ci_when *ret)
{
    size_t i;
    if (!find(WHEN, CI_WHEN_COUNT, name, &i))
        return false;
    *ret = (enum ci_when)i;
    return true;
}

bool ci_retry_when_known(struct str name)
{
    size_t i;
    return find(RETRY_WHEN, ARRAY_SIZE(RETRY_WHEN), name, &i);
}

bool ci_failure_reason_known(struct str name)
{
    size_t i;
    return find(REASONS, ARRAY_SIZE(REASONS), name, &i) ||
           (ci_retry_when_known(name) && !str_is(name, "always"));
}
