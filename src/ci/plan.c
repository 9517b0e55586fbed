// SPDX-License-Identifier: Apache-2.0
// Decides which jobs of a configuration make the pipeline, and how each runs: workflow rules first,
// then the rules or only/except of each job, then the needs among those that are left. Pure; the
// plan lives in the caller's arena.
#include "ci/plan.h"
#include "base/jout.h"
#include "base/map.h"
#include "ci/reader.h"

#define MAX_PLAN_VARS 500000
#define MAX_OPTIONS   MIB(1) // of one job: script, variables and all

struct planner {
    struct arena *a;
    const struct ci_config *c;
    const struct ci_context *ctx;
    struct ci_plan *plan;
    struct map high, low;               // of the context: above and below the file's variables
    const struct ci_rule *workflow;     // the rule that matched, or NULL
    const struct ci_cfg_vars *job_vars; // of the job being decided, or NULL
    size_t nvars;                       // of all jobs so far
};

static bool find_cfg_var(const struct ci_cfg_vars *vars, struct str name, struct str *ret)
{
    for (size_t i = vars ? vars->n : 0; i-- > 0;)
        if (str_eq(vars->list[i].key, name)) {
            *ret = vars->list[i].value;
            return true;
        }
    return false;
}

static bool lookup(void *ctx, struct str name, struct str *ret)
{
    const struct planner *p = ctx;
    const struct ci_var *v = map_get(&p->high, name);
    if (!v && (find_cfg_var(p->job_vars, name, ret) ||
               (p->workflow && find_cfg_var(&p->workflow->variables, name, ret)) ||
               find_cfg_var(&p->c->variables, name, ret)))
        return true;
    if (!v)
        v = map_get(&p->low, name);
    if (v)
        *ret = v->value;
    return v != NULL;
}

static bool is_true(struct planner *p, const struct ci_expr *x)
{
    return ci_expr_true(x, p->a, lookup, p, NULL);
}

// The first rule that matches, or -1.
static int match_rules(struct planner *p, const struct ci_rules *rules)
{
    for (size_t i = 0; i < rules->n; i++)
        if (!rules->list[i].cond || is_true(p, rules->list[i].cond))
            return (int)i;
    return -1;
}

static void index_context(struct planner *p)
{
    for (size_t i = 0; i < p->ctx->nvars; i++) {
        const struct ci_var *v = &p->ctx->vars[i];
        struct map *m = v->level > CI_VAR_RULES ? &p->high : &p->low;
        const struct ci_var *old = map_get(m, v->key);
        if (!old || old->level <= v->level)
            map_set(m, v->key, (void *)(uintptr_t)v);
    }
}

static bool workflow_lets_in(struct planner *p)
{
    if (!p->c->workflow.set)
        return true;
    int i = match_rules(p, &p->c->workflow);
    if (i < 0) {
        p->plan->none_because = STR("no rule of `workflow:rules` matches");
        return false;
    }
    const struct ci_rule *rule = &p->c->workflow.list[i];
    if (rule->has_when && rule->when == CI_NEVER) {
        p->plan->none_because = arena_strf(
            p->a, "the rule of `workflow:rules` in line %u says `when: never`", rule->pos.line);
        return false;
    }
    p->workflow = rule;
    return true;
}

// A source as only/except write it: "pushes", "merge_requests", "web".
static bool is_source(struct str word, struct str source)
{
    if (str_eq(word, source))
        return true;
    if (str_is(source, "push"))
        return str_is(word, "pushes");
    if (str_is(source, "merge_request_event"))
        return str_is(word, "merge_requests");
    return word.n == source.n + 1 && word.p[source.n] == 's' &&
           str_eq(str_head(word, source.n), source);
}

static bool ref_fits(const struct ci_context *ctx, struct str word)
{
    ptrdiff_t at = ci_pattern_is(word) ? -1 : str_find(word, '@');
    // /pattern/@group/project
    if (at < 0 && word.n && word.p[0] == '/') {
        ptrdiff_t sep = str_search(word, STR("/@"));
        at = sep > 0 ? sep + 1 : -1;
    }
    if (at >= 0) {
        if (!str_eq(str_from(word, (size_t)at + 1), ctx->project_path))
            return false;
        word = str_head(word, (size_t)at);
    }
    bool merge_request = str_is(ctx->source, "merge_request_event");
    if (str_is(word, "branches"))
        return !ctx->tag && !merge_request;
    if (str_is(word, "tags"))
        return ctx->tag;
    if (is_source(word, ctx->source))
        return true;
    return ci_pattern_is(word) ? ci_pattern_match(word, ctx->ref) : str_eq(word, ctx->ref);
}

static bool any_ref_fits(const struct ci_context *ctx, const struct ci_lines *refs)
{
    for (size_t i = 0; i < refs->n; i++)
        if (ref_fits(ctx, refs->list[i]))
            return true;
    return false;
}

static bool any_expr_true(struct planner *p, const struct ci_policy *policy)
{
    for (size_t i = 0; i < policy->nvariables; i++)
        if (is_true(p, policy->variables[i]))
            return true;
    return false;
}

static bool policies_let_in(struct planner *p, const struct ci_job *j)
{
    static struct str everywhere[] = {{"branches", 8}, {"tags", 4}};
    const struct ci_lines defaults = {everywhere, 2, true};
    bool no_default = p->c->workflow.set && !j->only.set;
    const struct ci_lines *refs = j->only.refs.set ? &j->only.refs : &defaults;
    if (!no_default && !any_ref_fits(p->ctx, refs))
        return false;
    if (j->only.variables && !any_expr_true(p, &j->only))
        return false;
    if (!j->except.set)
        return true;
    return !any_ref_fits(p->ctx, &j->except.refs) && !any_expr_true(p, &j->except);
}

static void add_vars(struct ci_plan_job *to, const struct ci_cfg_vars *from,
                     enum ci_var_level level)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct ci_cfg_var *v = &from->list[i];
        to->vars[to->nvars++] = (struct ci_var){
            .key = v->key, .value = v->value, .level = level, .raw = v->raw, .pos = v->pos};
    }
}

// Kept free for the errors themselves.
#define RESERVE KIB(512)

static bool too_much(struct planner *p, const struct ci_plan_job *job, const char *what)
{
    struct path at = {NULL, job->cfg->name, 0};
    ci_problems_add(p->a, &p->plan->errors, &at, job->cfg->pos, "", "%s", what);
    return false;
}

static bool set_vars(struct planner *p, struct ci_plan_job *to, const struct ci_rule *rule)
{
    static const struct ci_cfg_vars none = {NULL, 0};
    const struct ci_cfg_vars *workflow = p->workflow ? &p->workflow->variables : &none;
    const struct ci_cfg_vars *rules = rule ? &rule->variables : &none;
    size_t n = p->c->variables.n + workflow->n + to->cfg->variables.n + rules->n;
    p->nvars += n;
    if (p->nvars > MAX_PLAN_VARS || !arena_fits(p->a, n * sizeof(*to->vars) + RESERVE))
        return too_much(p, to, "the variables of all jobs together are too many");
    to->vars = ARENA_ARRAY(p->a, struct ci_var, n);
    add_vars(to, &p->c->variables, CI_VAR_GLOBAL);
    add_vars(to, workflow, CI_VAR_WORKFLOW);
    add_vars(to, &to->cfg->variables, CI_VAR_JOB);
    add_vars(to, rules, CI_VAR_RULES);
    return true;
}

// True when the job is in; fills what its rules decide.
static bool decide(struct planner *p, const struct ci_job *j, struct ci_plan_job *to,
                   const struct ci_rule **ret_rule)
{
    p->job_vars = &j->variables;
    *to = (struct ci_plan_job){.cfg = j, .rule = -1, .when = j->has_when ? j->when : CI_ON_SUCCESS};
    to->allow_failure = j->has_allow_failure ? j->allow_failure : to->when == CI_MANUAL_START;
    *ret_rule = NULL;
    if (!j->rules.set)
        return policies_let_in(p, j);
    to->rule = match_rules(p, &j->rules);
    if (to->rule < 0)
        return false;
    const struct ci_rule *rule = &j->rules.list[to->rule];
    if (rule->has_when)
        to->when = rule->when;
    if (rule->has_allow_failure)
        to->allow_failure = rule->allow_failure;
    *ret_rule = rule;
    return to->when != CI_NEVER;
}

static void key_lines(struct jout *j, const char *key, const struct ci_lines *lines)
{
    if (!lines->set)
        return;
    jout_key(j, key);
    jout_array(j);
    for (size_t i = 0; i < lines->n; i++)
        jout_str(j, lines->list[i]);
    jout_end_array(j);
}

static void key_ints(struct jout *j, const char *key, const int64_t *list, size_t n)
{
    if (!n)
        return;
    jout_key(j, key);
    jout_array(j);
    for (size_t i = 0; i < n; i++)
        jout_int(j, list[i]);
    jout_end_array(j);
}

static void key_text(struct jout *j, const char *key, struct str s)
{
    if (s.n)
        jout_kstr(j, key, s);
}

static void artifacts_json(struct jout *j, const struct ci_artifacts *f)
{
    if (!f->paths.n && !f->untracked)
        return;
    jout_key(j, "artifacts");
    jout_object(j);
    key_text(j, "name", f->name);
    jout_kbool(j, "untracked", f->untracked);
    key_lines(j, "paths", &f->paths);
    key_lines(j, "exclude", &f->exclude);
    jout_kcstr(j, "when", ci_when_name(f->when));
    key_text(j, "expire_in", f->expire_in);
    jout_end_object(j);
}

static void vars_json(struct jout *j, const struct ci_plan_job *to)
{
    jout_key(j, "variables");
    jout_array(j);
    for (size_t i = 0; i < to->nvars; i++) {
        const struct ci_var *v = &to->vars[i];
        jout_object(j);
        jout_kstr(j, "key", v->key);
        jout_kstr(j, "value", v->value);
        jout_kcstr(j, "level", ci_var_level_name(v->level));
        if (v->raw)
            jout_kbool(j, "raw", true);
        jout_kint(j, "line", v->pos.line);
        jout_end_object(j);
    }
    jout_end_array(j);
}

static void options_json(struct jout *j, const struct ci_plan_job *to)
{
    const struct ci_job *c = to->cfg;
    jout_object(j);
    key_lines(j, "before_script", &c->before_script);
    key_lines(j, "script", &c->script);
    key_lines(j, "after_script", &c->after_script);
    artifacts_json(j, &c->artifacts);
    if (c->has_dependencies)
        key_lines(j, "dependencies", &c->dependencies);
    if (c->retry_max) {
        jout_key(j, "retry");
        jout_object(j);
        jout_kint(j, "max", c->retry_max);
        key_lines(j, "when", &c->retry_when);
        key_ints(j, "exit_codes", c->retry_exit_codes, c->nretry_exit_codes);
        jout_end_object(j);
    }
    key_ints(j, "allow_failure_exit_codes", c->allow_exit_codes, c->nallow_exit_codes);
    key_text(j, "coverage", c->coverage);
    key_text(j, "image", c->image);
    if (c->is_pages)
        key_text(j, "publish", c->publish);
    vars_json(j, to);
    if (c->image.n) {
        char note[300];
        snprintf(note, sizeof(note),
                 "`image: %.120s` is ignored: Slipway runs jobs in its own sandbox on this machine",
                 c->image.p);
        jout_key(j, "notes");
        jout_array(j);
        jout_cstr(j, note);
        jout_end_array(j);
    }
    jout_end_object(j);
}

static bool finish_job(struct planner *p, struct ci_plan_job *to, struct buf *scratch)
{
    const struct ci_job *c = to->cfg;
    to->name = c->name;
    to->stage = c->stage;
    to->stage_index = c->stage_index;
    to->dag = c->has_needs;
    to->tags = c->tags;
    to->interruptible = c->interruptible;
    to->timeout_s = c->timeout_s;
    to->artifacts_expire_s = c->artifacts.expire_s;
    to->is_pages = c->is_pages;
    struct jout j;
    buf_clear(scratch);
    jout_begin(&j, scratch);
    options_json(&j, to);
    if (!buf_ok(scratch))
        return too_much(p, to, "script, variables and other values of the job exceed 1 MiB");
    if (!arena_fits(p->a, scratch->n + RESERVE))
        return too_much(p, to, "the jobs together need more memory than is allowed for them");
    to->options = arena_str(p->a, buf_str(scratch));
    return true;
}

static int by_stage(const void *a, const void *b)
{
    const struct ci_plan_job *x = a, *y = b;
    if (x->stage_index != y->stage_index)
        return x->stage_index < y->stage_index ? -1 : 1;
    return x->cfg < y->cfg ? -1 : x->cfg > y->cfg;
}

static void pick_jobs(struct planner *p)
{
    struct ci_plan *plan = p->plan;
    // Each job, its needs (50 at most), its place among the stages.
    if (!arena_fits(p->a, p->c->njobs * (sizeof(*plan->jobs) + 600) + RESERVE)) {
        ci_problems_add(p->a, &plan->errors, NULL, p->c->root->pos, "",
                        "the file has too many jobs");
        return;
    }
    plan->jobs = ARENA_ARRAY(p->a, struct ci_plan_job, p->c->njobs);
    _autobuf_ struct buf scratch = BUF_INIT(MAX_OPTIONS);
    for (size_t i = 0; i < p->c->njobs; i++) {
        const struct ci_rule *rule;
        struct ci_plan_job *to = &plan->jobs[plan->njobs];
        if (!decide(p, &p->c->jobs[i], to, &rule))
            continue;
        if (!set_vars(p, to, rule) || !finish_job(p, to, &scratch))
            return;
        plan->njobs++;
    }
    if (plan->njobs)
        qsort(plan->jobs, plan->njobs, sizeof(*plan->jobs), by_stage);
}

static void link_needs(struct planner *p)
{
    struct map index = MAP_INIT;
    for (size_t i = 0; i < p->plan->njobs; i++)
        map_set(&index, p->plan->jobs[i].name, &p->plan->jobs[i]);
    for (size_t i = 0; i < p->plan->njobs; i++) {
        struct ci_plan_job *j = &p->plan->jobs[i];
        j->needs = ARENA_ARRAY(p->a, struct ci_plan_need, j->cfg->nneeds);
        for (size_t k = 0; k < j->cfg->nneeds; k++) {
            const struct ci_need *need = &j->cfg->needs[k];
            const struct ci_plan_job *to = map_get(&index, need->job);
            if (to) {
                j->needs[j->nneeds++] =
                    (struct ci_plan_need){(uint32_t)(to - p->plan->jobs), need->artifacts};
            } else if (!need->optional) {
                struct path job = {NULL, j->name, 0}, at = {&job, STR("needs"), 0};
                ci_problems_add(p->a, &p->plan->errors, &at, need->pos,
                                "add `optional: true` to the need if that is intended",
                                "`%.100s` is needed but its rules leave it out of this pipeline",
                                need->job.p);
            }
        }
    }
    map_done(&index);
}

// Numbers the stages that have jobs; the others are hidden.
static void number_stages(struct planner *p)
{
    struct ci_plan *plan = p->plan;
    plan->stages = (struct ci_lines){ARENA_ARRAY(p->a, struct str, p->c->stages.n), 0, true};
    int last = -1;
    for (size_t i = 0; i < plan->njobs; i++) {
        struct ci_plan_job *j = &plan->jobs[i];
        if (j->stage_index != last) {
            last = j->stage_index;
            plan->stages.list[plan->stages.n++] = j->stage;
        }
        j->stage_index = (int)plan->stages.n - 1;
    }
}

static bool only_edges(const struct ci_plan *plan)
{
    for (size_t i = 0; i < plan->njobs; i++)
        if (!str_is(plan->jobs[i].stage, ".pre") && !str_is(plan->jobs[i].stage, ".post"))
            return false;
    return true;
}

static void make(struct planner *p)
{
    struct ci_plan *plan = p->plan;
    plan->name = p->c->workflow_name;
    plan->on_job_failure_all = p->c->on_job_failure_all;
    plan->on_new_commit = p->c->on_new_commit;
    if (!workflow_lets_in(p))
        return;
    pick_jobs(p);
    if (plan->errors.n)
        return;
    if (!plan->njobs) {
        plan->none_because = STR("the rules of every job leave it out");
    } else if (only_edges(plan)) {
        plan->none_because = STR("only jobs of the stages .pre and .post are left");
        plan->njobs = 0;
    } else {
        link_needs(p);
        number_stages(p);
    }
}

int ci_plan(struct arena *a, struct str config_text, const struct ci_context *ctx,
            struct ci_plan *plan)
{
    *plan = (struct ci_plan){0};
    struct ci_config *c;
    int rc = ci_config_parse(a, config_text, &c, &plan->errors, &plan->warnings);
    plan->config = c;
    if (rc)
        return rc;
    struct planner p = {
        .a = a, .c = c, .ctx = ctx, .plan = plan, .high = MAP_INIT, .low = MAP_INIT};
    index_context(&p);
    make(&p);
    map_done(&p.high);
    map_done(&p.low);
    return plan->errors.n ? E_INVALID : 0;
}
