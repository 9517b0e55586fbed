// SPDX-License-Identifier: Apache-2.0
// What people do to pipelines and jobs: start, cancel, retry. Each is a form that the engine
// answers; the page it came from shows the outcome.
#include "web/page_ci.h"

#include "ci/engine.h"

static int allowed(struct view *v, const struct ci_target *t)
{
    bool ok = false;
    TRY(ci_may_run(v, t->ref, t->tag, &ok));
    return ok ? 0
              : err_set(&v->e, E_DENIED,
                        "'%" PRISTR "' is protected: your role does not run its pipelines.",
                        STRARG(t->ref));
}

static int pipeline_target(struct view *v, struct ci_target *t)
{
    TRY(ci_target_pipeline(v, 0, t));
    return allowed(v, t);
}

static int job_target(struct view *v, struct ci_target *t)
{
    TRY(ci_target_job(v, 0, t));
    return allowed(v, t);
}

static int to_pipeline(struct view *v, int64_t id, const char *notice)
{
    return view_redirect(v, "%" PRISTR "/-/pipelines/%lld?notice=%s", STRARG(view_project_url(v)),
                         (long long)id, notice);
}

static int to_job(struct view *v, int64_t id, const char *notice)
{
    // A form on the pipeline's page goes back there.
    if (str_is(view_form(v, "back"), "pipeline")) {
        int64_t pipeline;
        if (str_to_i64(view_form(v, "pipeline_id"), &pipeline) && pipeline > 0)
            return to_pipeline(v, pipeline, notice);
    }
    return view_redirect(v, "%" PRISTR "/-/jobs/%lld?notice=%s", STRARG(view_project_url(v)),
                         (long long)id, notice);
}

int page_pipeline_create(struct view *v)
{
    struct str ref = view_form(v, "ref");
    bool tag = false, ok = false;
    if (!ref.n)
        ref = v->project.default_branch;
    TRY(ci_may_run(v, ref, tag, &ok));
    if (!ok)
        return err_set(&v->e, E_DENIED,
                       "'%" PRISTR "' is protected: your role does not run its "
                       "pipelines.",
                       STRARG(ref));
    int64_t id;
    TRY(ci_engine_create(v->w->ctx.engine, v->project.id, v->who.user_id, ref, STR("web"), NULL, 0,
                         &id, &v->e));
    return view_redirect(v, "%" PRISTR "/-/pipelines/%lld", STRARG(view_project_url(v)),
                         (long long)id);
}

int page_pipeline_cancel(struct view *v)
{
    struct ci_target t;
    TRY(pipeline_target(v, &t));
    TRY(ci_engine_cancel_pipeline(v->w->ctx.engine, t.id, &v->e));
    return to_pipeline(v, t.id, "pipeline_canceled");
}

int page_pipeline_retry(struct view *v)
{
    struct ci_target t;
    TRY(pipeline_target(v, &t));
    TRY(ci_engine_retry_pipeline(v->w->ctx.engine, t.id, v->who.user_id, &v->e));
    return to_pipeline(v, t.id, "pipeline_retried");
}

int page_job_cancel(struct view *v)
{
    struct ci_target t;
    TRY(job_target(v, &t));
    TRY(ci_engine_cancel_job(v->w->ctx.engine, t.id, &v->e));
    return to_job(v, t.id, "job_canceled");
}

int page_job_retry(struct view *v)
{
    struct ci_target t;
    int64_t id;
    TRY(job_target(v, &t));
    TRY(ci_engine_retry_job(v->w->ctx.engine, t.id, v->who.user_id, &id, &v->e));
    return to_job(v, id, "job_retried");
}

int page_job_play(struct view *v)
{
    struct ci_target t;
    int64_t id;
    TRY(job_target(v, &t));
    TRY(ci_engine_play_job(v->w->ctx.engine, t.id, v->who.user_id, NULL, 0, &id, &v->e));
    return to_job(v, id, "job_started");
}
