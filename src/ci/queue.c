// SPDX-License-Identifier: Apache-2.0
// Handing a job to a runner: the claim is one short write transaction; what the runner needs is
// read afterwards from a snapshot. If that fails the claim is taken back, so no job is lost on the
// way.
#include "base/clock.h"
#include "base/jout.h"
#include "base/map.h"
#include "ci/engine_impl.h"
#include "forge/auth.h"
#include "store/artifacts.h"
#include "store/runners.h"

// While others of the pipeline run, one more changes nothing: loading all jobs is for the first.
static int process_first(struct tx *tx, struct arena *a, int64_t pipeline_id, int64_t now,
                         struct err *e)
{
    struct pipeline pl;
    TRY(pipeline_get(tx, a, pipeline_id, &pl, e));
    return pl.status == CI_RUNNING ? 0 : engine_process(tx, a, pipeline_id, now, e);
}

static int claim_row(struct ci_engine *en, struct arena *a, int64_t runner_id,
                     const struct ci_runner_info *info, const char *token_sha256, struct job *ret,
                     struct err *e)
{
    _autoarena_ struct arena scratch;
    _autotx_ struct tx tx = TX_NONE;
    arena_init(&scratch, ENGINE_ARENA);
    int64_t now = clock_wall_ms();
    struct job_claim c = {.runner_id = runner_id,
                          .system_id = info ? info->system_id : STR(""),
                          .token_sha256 = str_n(token_sha256, 32),
                          .now = now};
    TRY(store_write(en->cfg.store, &tx, e));
    TRY(job_claim(&tx, a, &c, ret, e));
    TRY(process_first(&tx, &scratch, ret->pipeline_id, now, e));
    return tx_commit(&tx, e);
}

static void unclaim(struct ci_engine *en, const struct job *j)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    int64_t now = clock_wall_ms();
    arena_init(&a, ENGINE_ARENA);
    if (store_write(en->cfg.store, &tx, NULL) < 0 || job_unclaim(&tx, j->id, now, NULL) < 0 ||
        engine_process(&tx, &a, j->pipeline_id, now, NULL) < 0)
        return;
    (void)!tx_commit(&tx, NULL); // the sweep finds it otherwise
}

// What the reading half works on.
struct reading {
    struct ci_engine *en;
    struct tx *tx;
    struct arena *a;
    const struct job *job;
    struct project project;
    struct pipeline pl;
    struct runner runner;
    struct job_spec spec;
    struct ci_claim *to;
};

static struct str tags_json(struct arena *a, struct str tag_list)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(32));
    struct jout j;
    jout_begin(&j, &b);
    jout_array(&j);
    for (struct str rest = tag_list, part; rest.n && str_cut(&rest, ',', &part);)
        jout_str(&j, part);
    jout_end_array(&j);
    return arena_str(a, buf_str(&b));
}

static int read_vars(struct reading *r, struct err *e)
{
    struct str config, given_json;
    struct pipeline_facts pf;
    struct ci_facts f;
    struct ci_var *stored, *given, *vars;
    size_t nstored, ngiven, n;
    const struct job *j = r->job;
    TRY(pipeline_config(r->tx, r->a, j->pipeline_id, &config, &given_json, e));
    TRY(facts_from_json(r->a, config, &pf, e));
    TRY(engine_facts(r->en, r->tx, r->a, &r->project, &r->pl, &pf,
                     j->user_id ? j->user_id : r->pl.user_id, &f, e));
    f.job_id = j->id;
    f.job_name = j->name;
    f.job_stage = j->stage;
    f.job_image = r->spec.image;
    f.job_token = r->to->token;
    f.job_timeout_s = r->to->timeout_s;
    f.job_started_at = j->started_at;
    f.job_manual = j->when == WHEN_MANUAL;
    f.runner_id = r->runner.id;
    f.runner_description = r->runner.description;
    f.runner_short_token = r->runner.short_token;
    f.runner_tags = tags_json(r->a, r->runner.tag_list);
    vars = ci_predefined_job(r->a, &f, &n);
    vars = vars_join(r->a, vars, n, r->spec.vars, r->spec.nvars, &n);
    TRY(engine_stored_vars(r->tx, r->a, r->project.id, j->protected_ref, &stored, &nstored, e));
    vars = vars_join(r->a, vars, n, stored, nstored, &n);
    TRY(vars_from_json(r->a, given_json, CI_VAR_PIPELINE, &given, &ngiven, e));
    vars = vars_join(r->a, vars, n, given, ngiven, &n);
    r->to->vars = ci_vars_resolve(r->a, vars, n, true, &r->to->nvars);
    return 0;
}

static bool wants(const struct reading *r, const struct map *needs, const struct job *other)
{
    if (other->id == r->job->id)
        return false;
    if (r->spec.has_dependencies) {
        for (size_t i = 0; i < r->spec.dependencies.n; i++)
            if (str_eq(r->spec.dependencies.list[i], other->name))
                return true;
        return false;
    }
    if (r->job->dag)
        return map_has(needs, other->name);
    return other->stage_idx < r->job->stage_idx;
}

static int add_dependency(struct reading *r, const struct job *other, struct err *e)
{
    struct artifact f;
    int rc = artifact_get(r->tx, r->a, other->id, STR("archive"), clock_wall_ms(), &f, e);
    if (rc == E_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    r->to->deps[r->to->ndeps++] = (struct ci_dependency){
        .job_id = other->id,
        .name = other->name,
        .token = r->to->token,
        .filename = f.file_name.n ? f.file_name : STR("artifacts.zip"),
        .size = f.size,
    };
    return 0;
}

static int read_dependencies(struct reading *r, struct err *e)
{
    struct job *rows;
    struct job_need *needs;
    size_t n, nneeds;
    struct map wanted = MAP_INIT;
    TRY(job_list_pipeline(r->tx, r->a, r->job->pipeline_id, false, &rows, &n, e));
    TRY(job_needs(r->tx, r->a, r->job->id, &needs, &nneeds, e));
    for (size_t i = 0; i < nneeds; i++)
        if (needs[i].artifacts)
            map_set(&wanted, needs[i].name, &needs[i]);
    r->to->deps = ARENA_ARRAY(r->a, struct ci_dependency, n);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        if (wants(r, &wanted, &rows[i]))
            rc = add_dependency(r, &rows[i], e);
    map_done(&wanted);
    return rc;
}

static int64_t timeout_of(const struct reading *r)
{
    int64_t t = r->job->timeout_s ? r->job->timeout_s : r->project.build_timeout_s;
    if (t <= 0)
        t = r->en->cfg.default_timeout_s;
    int64_t most = r->runner.maximum_timeout_s;
    return most > 0 && most < t ? most : t;
}

static int read_rows(struct reading *r, struct err *e)
{
    struct str spec;
    const struct job *j = r->job;
    TRY(project_get(r->tx, r->a, j->project_id, &r->project, e));
    TRY(pipeline_get(r->tx, r->a, j->pipeline_id, &r->pl, e));
    TRY(runner_get(r->tx, r->a, j->runner_id, &r->runner, e));
    TRY(job_spec(r->tx, r->a, j->id, &spec, e));
    return spec_parse(r->a, spec, &r->spec, e);
}

static int root_namespace(struct reading *r, int64_t *ret, struct err *e)
{
    struct ns n = {.id = r->project.namespace_id, .parent_id = r->project.ns_parent_id};
    for (int i = 0; n.parent_id && i < NAMESPACE_DEPTH_MAX; i++)
        TRY(ns_get(r->tx, r->a, n.parent_id, &n, e));
    *ret = n.id;
    return 0;
}

static int read_claim(struct reading *r, struct err *e)
{
    const struct job *j = r->job;
    struct ci_claim *to = r->to;
    TRY(read_rows(r, e));
    const struct project *p = &r->project;
    to->job_id = j->id;
    to->pipeline_id = j->pipeline_id;
    to->project_id = p->id;
    to->namespace_id = p->namespace_id;
    TRY(root_namespace(r, &to->root_namespace_id, e));
    to->user_id = j->user_id ? j->user_id : r->pl.user_id;
    to->name = j->name;
    to->stage = j->stage;
    to->project_name = p->name;
    to->project_path = p->full_path;
    to->sha = j->sha;
    to->before_sha = r->pl.before_sha;
    to->ref = j->ref;
    to->tag = j->tag;
    to->protected_ref = j->protected_ref;
    to->timeout_s = timeout_of(r);
    to->queued_s = j->queued_at ? (double)(j->started_at - j->queued_at) / 1000.0 : 0;
    to->script = r->spec.script;
    to->after_script = r->spec.after_script;
    to->artifacts = r->spec.artifacts;
    to->notes = r->spec.notes;
    to->trace_sections = true;
    TRY(read_vars(r, e));
    TRY(read_dependencies(r, e));
    for (size_t i = 0; i < to->nvars; i++)
        if (str_is(to->vars[i].key, "CI_REPOSITORY_URL"))
            to->repo_url = to->vars[i].value;
    return 0;
}

int ci_engine_request(struct ci_engine *en, int64_t runner_id, const struct ci_runner_info *info,
                      struct arena *a, struct ci_claim *ret, struct err *e)
{
    char token[TOKEN_TEXT_SIZE];
    unsigned char hash[32];
    struct job job;
    token_make(TOKEN_JOB_PREFIX, token, hash);
    *ret = (struct ci_claim){.token = arena_str(a, str_of(token))};
    TRY(claim_row(en, a, runner_id, info, (const char *)hash, &job, e));
    _autotx_ struct tx tx = TX_NONE;
    struct reading r = {.en = en, .tx = &tx, .a = a, .job = &job, .to = ret};
    int rc = store_read(en->cfg.store, &tx, e);
    if (rc == 0)
        rc = read_claim(&r, e);
    tx_done(&tx);
    if (rc == 0)
        return 0;
    unclaim(en, &job);
    // Gone, or unreadable: not what the caller asked about.
    return rc == E_NOTFOUND ? err_set(e, E_CONFLICT, "the job changed while it was given out") : rc;
}
