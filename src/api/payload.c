// SPDX-License-Identifier: Apache-2.0
// Writes a claimed job as the JSON that gitlab-runner expects: what to fetch, which variables,
// which steps, which artifacts. Only formats what the engine decided. Runs in the request worker
// that claimed the job.
#include "api/payload.h"

#include "ci/engine.h"
#include "store/jobs.h"

#include <inttypes.h>

static struct str var_get(const struct ci_claim *c, const char *key)
{
    struct str found = STR_NONE; // the last one wins
    for (size_t i = 0; i < c->nvars; i++)
        if (str_is(c->vars[i].key, key))
            found = c->vars[i].value;
    return found;
}

static void job_info(struct api_req *r, struct json_out *j, const struct ci_claim *c)
{
    int64_t pending = 0, running = 0;
    if (job_queue_counts(&r->tx, c->project_id, &pending, &running, NULL) < 0)
        pending = running = 0;
    char count[24];
    snprintf(count, sizeof(count), "%" PRId64, running);
    json_key(j, "job_info");
    json_object(j);
    json_kint(j, "id", c->job_id);
    json_kstr(j, "name", c->name);
    json_kstr(j, "stage", c->stage);
    json_kint(j, "pipeline_id", c->pipeline_id);
    json_kint(j, "project_id", c->project_id);
    json_kstr(j, "project_name", c->project_name);
    json_kstr(j, "project_full_path", c->project_path);
    json_kint(j, "namespace_id", c->namespace_id);
    json_kint(j, "root_namespace_id", c->root_namespace_id);
    json_kint(j, "organization_id", 1);
    json_kint(j, "instance_id", 1);
    json_kcstr(j, "instance_uuid", r->api->cfg.instance_uuid);
    json_kint(j, "user_id", c->user_id);
    json_key(j, "time_in_queue_seconds");
    json_double(j, c->queued_s);
    json_kcstr(j, "project_jobs_running_on_instance_runners_count", count);
    json_kint(j, "queue_size", pending);
    json_kint(j, "queue_depth", 0);
    json_end_object(j);
}

static void git_info(struct api_req *r, struct json_out *j, const struct ci_claim *c)
{
    int64_t depth = r->project.ci_git_depth;
    struct str given = var_get(c, "GIT_DEPTH");
    if (given.n && (!str_to_i64(given, &depth) || depth < 0))
        depth = r->project.ci_git_depth;
    json_key(j, "git_info");
    json_object(j);
    json_kstr(j, "repo_url", c->repo_url);
    json_kcstr(j, "repo_object_format", "sha1");
    json_kstr(j, "ref", c->ref);
    json_kstr(j, "sha", c->sha);
    json_kstr(j, "before_sha", c->before_sha);
    json_kcstr(j, "ref_type", c->tag ? "tag" : "branch");
    json_key(j, "refspecs");
    json_array(j);
    json_str(j, arena_strf(r->a, "+refs/pipelines/%" PRId64 ":refs/pipelines/%" PRId64,
                           c->pipeline_id, c->pipeline_id));
    if (depth == 0) {
        json_cstr(j, "+refs/heads/*:refs/remotes/origin/*");
        json_cstr(j, "+refs/tags/*:refs/tags/*");
    } else if (c->tag) {
        json_str(j, arena_strf(r->a, "+refs/tags/%" PRISTR ":refs/tags/%" PRISTR, STRARG(c->ref),
                               STRARG(c->ref)));
    } else {
        json_str(j, arena_strf(r->a, "+refs/heads/%" PRISTR ":refs/remotes/origin/%" PRISTR,
                               STRARG(c->ref), STRARG(c->ref)));
    }
    json_end_array(j);
    json_kint(j, "depth", depth);
    json_kbool(j, "protected", c->protected_ref);
    json_end_object(j);
}

static void variables(struct json_out *j, const struct ci_claim *c)
{
    json_key(j, "variables");
    json_array(j);
    for (size_t i = 0; i < c->nvars; i++) {
        const struct ci_var *v = &c->vars[i];
        json_object(j);
        json_kstr(j, "key", v->key);
        json_kstr(j, "value", v->value);
        json_kbool(j, "public", !v->hidden && !v->masked);
        json_kbool(j, "file", v->file);
        json_kbool(j, "masked", v->masked);
        json_kbool(j, "raw", v->raw);
        json_end_object(j);
    }
    json_end_array(j);
}

static void lines(struct json_out *j, const char *key, const struct ci_lines *l)
{
    json_key(j, key);
    json_array(j);
    for (size_t i = 0; i < l->n; i++)
        json_str(j, l->list[i]);
    json_end_array(j);
}

static void step(struct json_out *j, const char *name, const struct ci_lines *script,
                 int64_t timeout_s, const char *when, bool allow_failure)
{
    json_object(j);
    json_kcstr(j, "name", name);
    lines(j, "script", script);
    json_kint(j, "timeout", timeout_s);
    json_kcstr(j, "when", when);
    json_kbool(j, "allow_failure", allow_failure);
    json_end_object(j);
}

static void steps(struct json_out *j, const struct ci_claim *c)
{
    json_key(j, "steps");
    json_array(j);
    step(j, "script", &c->script, c->timeout_s, "on_success", false);
    if (c->after_script.n)
        step(j, "after_script", &c->after_script, c->timeout_s, "always", true);
    json_end_array(j);
}

static void artifacts(struct json_out *j, const struct ci_claim *c)
{
    const struct ci_artifacts *a = &c->artifacts;
    json_key(j, "artifacts");
    if (!a->set) {
        json_null(j);
        return;
    }
    json_array(j);
    json_object(j);
    json_key(j, "name");
    if (a->name.n)
        json_str(j, a->name);
    else
        json_null(j);
    json_kbool(j, "untracked", a->untracked);
    lines(j, "paths", &a->paths);
    lines(j, "exclude", &a->exclude);
    json_kcstr(j, "when", ci_when_name(a->when));
    json_kcstr(j, "artifact_type", "archive");
    json_kcstr(j, "artifact_format", "zip");
    json_key(j, "expire_in");
    if (a->expire_in.n)
        json_str(j, a->expire_in);
    else
        json_null(j);
    json_end_object(j);
    json_end_array(j);
}

static void dependencies(struct json_out *j, const struct ci_claim *c)
{
    json_key(j, "dependencies");
    json_array(j);
    for (size_t i = 0; i < c->ndeps; i++) {
        const struct ci_dependency *d = &c->deps[i];
        json_object(j);
        json_kint(j, "id", d->job_id);
        json_kstr(j, "name", d->name);
        json_kstr(j, "token", d->token);
        json_key(j, "artifacts_file");
        json_object(j);
        json_kstr(j, "filename", d->filename);
        json_kint(j, "size", d->size);
        json_end_object(j);
        json_end_object(j);
    }
    json_end_array(j);
}

static void features(struct json_out *j, const struct ci_claim *c)
{
    static const char *const reasons[] = {
        "unknown_failure",
        "script_failure",
        "runner_system_failure",
        "job_execution_timeout",
        "image_pull_failure",
        "runner_configuration_error",
        "runner_external_dependency_failure",
        "runner_interrupted",
    };
    json_key(j, "features");
    json_object(j);
    json_kbool(j, "trace_sections", c->trace_sections);
    json_key(j, "token_mask_prefixes");
    json_array(j);
    json_cstr(j, TOKEN_PREFIX);
    json_cstr(j, TOKEN_JOB_PREFIX);
    json_cstr(j, TOKEN_RUNNER_PREFIX);
    json_end_array(j);
    json_key(j, "failure_reasons");
    json_array(j);
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        json_cstr(j, reasons[i]);
    json_end_array(j);
    json_end_object(j);
}

static void empty_array(struct json_out *j, const char *key)
{
    json_key(j, key);
    json_array(j);
    json_end_array(j);
}

void payload_write(struct api_req *r, struct json_out *j, const struct ci_claim *c)
{
    json_object(j);
    json_kint(j, "id", c->job_id);
    json_kstr(j, "token", c->token);
    json_kbool(j, "allow_git_fetch", true);
    job_info(r, j, c);
    git_info(r, j, c);
    json_key(j, "runner_info");
    json_object(j);
    json_kint(j, "timeout", c->timeout_s);
    json_knull(j, "runner_session_url");
    json_kcstr(j, "uuid", r->api->cfg.instance_uuid);
    json_end_object(j);
    variables(j, c);
    steps(j, c);
    json_knull(j, "image");
    empty_array(j, "services");
    artifacts(j, c);
    empty_array(j, "cache");
    empty_array(j, "credentials");
    dependencies(j, c);
    empty_array(j, "hooks");
    features(j, c);
    empty_array(j, "inputs");
    json_end_object(j);
}
