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

static void job_info(struct api_req *r, struct jout *j, const struct ci_claim *c)
{
    int64_t pending = 0, running = 0;
    if (job_queue_counts(&r->tx, c->project_id, &pending, &running, NULL) < 0)
        pending = running = 0;
    char count[24];
    snprintf(count, sizeof(count), "%" PRId64, running);
    jout_key(j, "job_info");
    jout_object(j);
    jout_kint(j, "id", c->job_id);
    jout_kstr(j, "name", c->name);
    jout_kstr(j, "stage", c->stage);
    jout_kint(j, "pipeline_id", c->pipeline_id);
    jout_kint(j, "project_id", c->project_id);
    jout_kstr(j, "project_name", c->project_name);
    jout_kstr(j, "project_full_path", c->project_path);
    jout_kint(j, "namespace_id", c->namespace_id);
    jout_kint(j, "root_namespace_id", c->root_namespace_id);
    jout_kint(j, "organization_id", 1);
    jout_kint(j, "instance_id", 1);
    jout_kcstr(j, "instance_uuid", r->api->cfg.instance_uuid);
    jout_kint(j, "user_id", c->user_id);
    jout_key(j, "time_in_queue_seconds");
    jout_double(j, c->queued_s);
    jout_kcstr(j, "project_jobs_running_on_instance_runners_count", count);
    jout_kint(j, "queue_size", pending);
    jout_kint(j, "queue_depth", 0);
    jout_end_object(j);
}

static void git_info(struct api_req *r, struct jout *j, const struct ci_claim *c)
{
    int64_t depth = r->project.ci_git_depth;
    struct str given = var_get(c, "GIT_DEPTH");
    if (given.n && (!str_to_i64(given, &depth) || depth < 0))
        depth = r->project.ci_git_depth;
    jout_key(j, "git_info");
    jout_object(j);
    jout_kstr(j, "repo_url", c->repo_url);
    jout_kcstr(j, "repo_object_format", "sha1");
    jout_kstr(j, "ref", c->ref);
    jout_kstr(j, "sha", c->sha);
    jout_kstr(j, "before_sha", c->before_sha);
    jout_kcstr(j, "ref_type", c->tag ? "tag" : "branch");
    jout_key(j, "refspecs");
    jout_array(j);
    jout_str(j, arena_strf(r->a, "+refs/pipelines/%" PRId64 ":refs/pipelines/%" PRId64,
                           c->pipeline_id, c->pipeline_id));
    if (depth == 0) {
        jout_cstr(j, "+refs/heads/*:refs/remotes/origin/*");
        jout_cstr(j, "+refs/tags/*:refs/tags/*");
    } else if (c->tag) {
        jout_str(j, arena_strf(r->a, "+refs/tags/%" PRISTR ":refs/tags/%" PRISTR, STRARG(c->ref),
                               STRARG(c->ref)));
    } else {
        jout_str(j, arena_strf(r->a, "+refs/heads/%" PRISTR ":refs/remotes/origin/%" PRISTR,
                               STRARG(c->ref), STRARG(c->ref)));
    }
    jout_end_array(j);
    jout_kint(j, "depth", depth);
    jout_kbool(j, "protected", c->protected_ref);
    jout_end_object(j);
}

static void variables(struct jout *j, const struct ci_claim *c)
{
    jout_key(j, "variables");
    jout_array(j);
    for (size_t i = 0; i < c->nvars; i++) {
        const struct ci_var *v = &c->vars[i];
        jout_object(j);
        jout_kstr(j, "key", v->key);
        jout_kstr(j, "value", v->value);
        jout_kbool(j, "public", !v->hidden && !v->masked);
        jout_kbool(j, "file", v->file);
        jout_kbool(j, "masked", v->masked);
        jout_kbool(j, "raw", v->raw);
        jout_end_object(j);
    }
    jout_end_array(j);
}

static void lines(struct jout *j, const char *key, const struct ci_lines *l)
{
    jout_key(j, key);
    jout_array(j);
    for (size_t i = 0; i < l->n; i++)
        jout_str(j, l->list[i]);
    jout_end_array(j);
}

static void step(struct jout *j, const char *name, const struct ci_lines *script, int64_t timeout_s,
                 const char *when, bool allow_failure)
{
    jout_object(j);
    jout_kcstr(j, "name", name);
    lines(j, "script", script);
    jout_kint(j, "timeout", timeout_s);
    jout_kcstr(j, "when", when);
    jout_kbool(j, "allow_failure", allow_failure);
    jout_end_object(j);
}

static void steps(struct jout *j, const struct ci_claim *c)
{
    jout_key(j, "steps");
    jout_array(j);
    step(j, "script", &c->script, c->timeout_s, "on_success", false);
    if (c->after_script.n)
        step(j, "after_script", &c->after_script, c->timeout_s, "always", true);
    jout_end_array(j);
}

static void artifacts(struct jout *j, const struct ci_claim *c)
{
    const struct ci_artifacts *a = &c->artifacts;
    jout_key(j, "artifacts");
    if (!a->set) {
        jout_null(j);
        return;
    }
    jout_array(j);
    jout_object(j);
    jout_key(j, "name");
    if (a->name.n)
        jout_str(j, a->name);
    else
        jout_null(j);
    jout_kbool(j, "untracked", a->untracked);
    lines(j, "paths", &a->paths);
    lines(j, "exclude", &a->exclude);
    jout_kcstr(j, "when", ci_when_name(a->when));
    jout_kcstr(j, "artifact_type", "archive");
    jout_kcstr(j, "artifact_format", "zip");
    jout_key(j, "expire_in");
    if (a->expire_in.n)
        jout_str(j, a->expire_in);
    else
        jout_null(j);
    jout_end_object(j);
    jout_end_array(j);
}

static void dependencies(struct jout *j, const struct ci_claim *c)
{
    jout_key(j, "dependencies");
    jout_array(j);
    for (size_t i = 0; i < c->ndeps; i++) {
        const struct ci_dependency *d = &c->deps[i];
        jout_object(j);
        jout_kint(j, "id", d->job_id);
        jout_kstr(j, "name", d->name);
        jout_kstr(j, "token", d->token);
        jout_key(j, "artifacts_file");
        jout_object(j);
        jout_kstr(j, "filename", d->filename);
        jout_kint(j, "size", d->size);
        jout_end_object(j);
        jout_end_object(j);
    }
    jout_end_array(j);
}

static void features(struct jout *j, const struct ci_claim *c)
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
    jout_key(j, "features");
    jout_object(j);
    jout_kbool(j, "trace_sections", c->trace_sections);
    jout_key(j, "token_mask_prefixes");
    jout_array(j);
    jout_cstr(j, TOKEN_PREFIX);
    jout_cstr(j, TOKEN_JOB_PREFIX);
    jout_cstr(j, TOKEN_RUNNER_PREFIX);
    jout_end_array(j);
    jout_key(j, "failure_reasons");
    jout_array(j);
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        jout_cstr(j, reasons[i]);
    jout_end_array(j);
    jout_end_object(j);
}

static void empty_array(struct jout *j, const char *key)
{
    jout_key(j, key);
    jout_array(j);
    jout_end_array(j);
}

void payload_write(struct api_req *r, struct jout *j, const struct ci_claim *c)
{
    jout_object(j);
    jout_kint(j, "id", c->job_id);
    jout_kstr(j, "token", c->token);
    jout_kbool(j, "allow_git_fetch", true);
    job_info(r, j, c);
    git_info(r, j, c);
    jout_key(j, "runner_info");
    jout_object(j);
    jout_kint(j, "timeout", c->timeout_s);
    jout_knull(j, "runner_session_url");
    jout_kcstr(j, "uuid", r->api->cfg.instance_uuid);
    jout_end_object(j);
    variables(j, c);
    steps(j, c);
    jout_knull(j, "image");
    empty_array(j, "services");
    artifacts(j, c);
    empty_array(j, "cache");
    empty_array(j, "credentials");
    dependencies(j, c);
    empty_array(j, "hooks");
    features(j, c);
    empty_array(j, "inputs");
    jout_end_object(j);
}
