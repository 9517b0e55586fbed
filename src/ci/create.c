// SPDX-License-Identifier: Apache-2.0
// Making pipelines: facts from the store and from Git, the plan from the language half, rows in one
// transaction. Git is read before that transaction begins. Called from worker threads.
#include "base/clock.h"
#include "ci/engine_impl.h"
#include "ci/reader.h"
#include "forge/access.h"
#include "store/pushes.h"
#include "store/users.h"

#define CONFIG_FILE ".gitlab-ci.yml"
#define CONFIG_MAX  MIB(2)

// One pipeline on its way.
struct making {
    struct ci_engine *en;
    struct arena *a;
    struct project project;
    struct pipeline pl;
    struct pipeline_facts facts;
    struct str config_path, config; // config.p == NULL: no file
    const struct ci_var *given;     // CI_VAR_PIPELINE
    size_t ngiven;
    bool skip;
    struct ci_plan plan;
    bool too_large;
};

struct ci_var *vars_join(struct arena *a, const struct ci_var *x, size_t nx, const struct ci_var *y,
                         size_t ny, size_t *ret_n)
{
    struct ci_var *r = ARENA_ARRAY(a, struct ci_var, nx + ny);
    for (size_t i = 0; i < nx; i++)
        r[i] = x[i];
    for (size_t i = 0; i < ny; i++)
        r[nx + i] = y[i];
    *ret_n = nx + ny;
    return r;
}

int engine_stored_vars(struct tx *tx, struct arena *a, int64_t project_id, bool protected_ref,
                       struct ci_var **ret, size_t *ret_n, struct err *e)
{
    struct variable *vars;
    size_t n;
    TRY(access_pipeline_variables(tx, a, project_id, protected_ref, STR(""), &vars, &n, e));
    *ret = ARENA_ARRAY(a, struct ci_var, n);
    *ret_n = n;
    for (size_t i = 0; i < n; i++)
        (*ret)[i] = (struct ci_var){.key = vars[i].key,
                                    .value = vars[i].value,
                                    .level = vars[i].project_id     ? CI_VAR_PROJECT
                                             : vars[i].namespace_id ? CI_VAR_GROUP
                                                                    : CI_VAR_INSTANCE,
                                    .raw = vars[i].raw,
                                    .file = vars[i].file,
                                    .masked = vars[i].masked,
                                    .hidden = true};
    return 0;
}

int engine_facts(struct ci_engine *en, struct tx *tx, struct arena *a, const struct project *p,
                 const struct pipeline *pl, const struct pipeline_facts *pf, int64_t user_id,
                 struct ci_facts *ret, struct err *e)
{
    *ret = (struct ci_facts){
        .project_id = p->id,
        .namespace_id = p->namespace_id,
        .project_name = p->name,
        .project_path = p->full_path,
        .namespace_path = p->ns_full_path,
        .visibility = str_of(visibility_name(p->visibility)),
        .default_branch = p->default_branch,
        .description = p->description,
        .config_path = p->ci_config_path,
        .external_url = str_of(en->external_url),
        .pages_domain = str_of(en->pages_domain),
        .version = STR(SLIPWAY_VERSION),
        .pipeline_id = pl->id,
        .pipeline_iid = pl->iid,
        .created_at = pl->created_at,
        .source = pl->source,
        .sha = pl->sha,
        .before_sha = pl->before_sha,
        .ref = pl->ref,
        .tag = pl->tag,
        .ref_protected = pl->protected_ref,
        .pipeline_name = pl->name,
        .commit_message = pf->commit_message,
        .commit_author = pf->commit_author,
        .commit_time = pf->commit_time,
        .tag_message = pf->tag_message,
    };
    struct user u;
    if (!user_id)
        return 0;
    int rc = user_get(tx, a, user_id, &u, e);
    if (rc == E_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    ret->user_id = u.id;
    ret->user_login = u.username;
    ret->user_name = u.name;
    ret->user_email = u.email;
    return 0;
}

static int read_project(struct making *m, int64_t project_id, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(m->en->cfg.store, &tx, e));
    TRY(project_get(&tx, m->a, project_id, &m->project, e));
    return access_ref_protected(&tx, m->a, project_id, m->pl.tag, m->pl.ref, &m->pl.protected_ref,
                                NULL, e);
}

static bool says_skip(struct str message)
{
    static const char *const WORDS[] = {"[skip ci]", "[ci skip]", "[skip-ci]", "[ci-skip]"};
    for (size_t i = 0; i < ARRAY_SIZE(WORDS); i++)
        for (size_t at = 0; at + strlen(WORDS[i]) <= message.n; at++)
            if (str_ieq(str_n(message.p + at, strlen(WORDS[i])), str_of(WORDS[i])))
                return true;
    return false;
}

// The commit and its configuration. A message of any size is cut: it goes into every job.
static int read_git(struct making *m, struct err *e)
{
    const struct ci_engine_config *cfg = &m->en->cfg;
    struct pipeline_facts *f = &m->facts;
    TRY(cfg->commit(cfg->git_ctx, m->project.id, m->pl.sha, m->a, &f->commit_message,
                    &f->commit_author, &f->commit_time, e));
    f->commit_message = str_head(f->commit_message, KIB(32));
    int64_t committed;
    if (clock_parse_rfc3339(f->commit_time, &committed))
        m->pl.committed_at = committed;
    struct str rest = f->commit_message, title;
    str_cut(&rest, '\n', &title);
    m->pl.commit_title = str_head(str_trim(title), 255);
    m->skip |= says_skip(f->commit_message);
    m->config_path = m->project.ci_config_path.n ? m->project.ci_config_path : STR(CONFIG_FILE);
    _autobuf_ struct buf text = BUF_INIT(CONFIG_MAX + 1);
    int rc = cfg->fetch(cfg->git_ctx, m->project.id, m->pl.sha, m->config_path, &text, e);
    if (rc == E_NOTFOUND)
        return 0;
    m->too_large = rc == E_LIMIT || !buf_ok(&text);
    if (rc < 0 && !m->too_large)
        return rc;
    m->config = arena_str(m->a, buf_str(&text));
    return 0;
}

static int make_plan(struct making *m, struct err *e)
{
    struct ci_var *stored, *vars;
    size_t nstored, npre, n;
    struct ci_facts f;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(m->en->cfg.store, &tx, e));
    TRY(engine_stored_vars(&tx, m->a, m->project.id, m->pl.protected_ref, &stored, &nstored, e));
    TRY(engine_facts(m->en, &tx, m->a, &m->project, &m->pl, &m->facts, m->pl.user_id, &f, e));
    tx_done(&tx);
    f.created_at = clock_wall_ms();
    struct ci_var *pre = ci_predefined_pipeline(m->a, &f, &npre);
    vars = vars_join(m->a, pre, npre, stored, nstored, &n);
    vars = vars_join(m->a, vars, n, m->given, m->ngiven, &n);
    struct ci_context ctx = {.ref = m->pl.ref,
                             .tag = m->pl.tag,
                             .source = m->pl.source,
                             .project_path = m->project.full_path,
                             .vars = vars,
                             .nvars = n};
    if (m->too_large) {
        m->plan = (struct ci_plan){0};
        ci_problems_add(m->a, &m->plan.errors, NULL, (struct yaml_pos){0, 1, 1}, "",
                        "the file is larger than 2 MiB");
        return 0;
    }
    // What is wrong is in plan.errors: a pipeline that failed, not a failure to make one.
    if (ci_plan(m->a, m->config, &ctx, &m->plan) == 0 && m->plan.name.n) {
        vars = vars_join(m->a, vars, n,
                         &(struct ci_var){.key = STR(" name"), .value = m->plan.name}, 1, &n);
        vars = ci_vars_resolve(m->a, vars, n, true, &n);
        for (size_t i = 0; i < n; i++)
            if (str_is(vars[i].key, " name"))
                m->pl.name = str_head(vars[i].value, 255);
    }
    return 0;
}

static struct str problem_lines(struct making *m, const struct ci_problems *ps)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(256));
    for (size_t i = 0; i < ps->n; i++) {
        const struct ci_problem *p = &ps->list[i];
        buf_addf(&b, "%s%" PRISTR ":%u:%u: ", i ? "\n" : "", STRARG(m->config_path), p->pos.line,
                 p->pos.col);
        buf_addf(&b, "%" PRISTR "%s%" PRISTR "%s%" PRISTR, STRARG(p->path), p->path.n ? ": " : "",
                 STRARG(p->msg), p->expected.n ? "; " : "", STRARG(p->expected));
    }
    if (ps->left_out)
        buf_addf(&b, "\n%" PRISTR ":1:1: and %zu more", STRARG(m->config_path), ps->left_out);
    return arena_str(m->a, buf_str(&b));
}

static struct str join_comma(struct arena *a, const struct ci_lines *lines)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(16));
    for (size_t i = 0; i < lines->n; i++)
        buf_addf(&b, "%s%" PRISTR, i ? "," : "", STRARG(lines->list[i]));
    return arena_str(a, buf_str(&b));
}

static enum job_when when_row(enum ci_when w)
{
    static const enum job_when MAP[] = {
        [CI_ON_SUCCESS] = WHEN_ON_SUCCESS, [CI_ON_FAILURE] = WHEN_ON_FAILURE,
        [CI_ALWAYS] = WHEN_ALWAYS,         [CI_MANUAL_START] = WHEN_MANUAL,
        [CI_DELAYED] = WHEN_DELAYED,       [CI_NEVER] = WHEN_NEVER,
    };
    return MAP[w];
}

static int insert_job(struct making *m, struct tx *tx, size_t i, int64_t now, struct err *e)
{
    const struct ci_plan_job *p = &m->plan.jobs[i];
    struct job_need *needs = ARENA_ARRAY(m->a, struct job_need, p->nneeds);
    for (size_t k = 0; k < p->nneeds; k++)
        needs[k] =
            (struct job_need){m->plan.jobs[p->needs[k].job].name, p->needs[k].artifacts, false};
    struct job j = {
        .pipeline_id = m->pl.id,
        .project_id = m->project.id,
        .name = p->name,
        .stage = p->stage,
        .stage_idx = p->stage_index,
        .position = (int)i,
        .status = CI_CREATED,
        .when = when_row(p->when),
        .allow_failure = p->allow_failure,
        .dag = p->dag,
        .interruptible = p->interruptible,
        .retry_max = p->cfg->retry_max,
        .retry_when = join_comma(m->a, &p->cfg->retry_when),
        .ref = m->pl.ref,
        .tag = m->pl.tag,
        .protected_ref = m->pl.protected_ref,
        .sha = m->pl.sha,
        .timeout_s = p->timeout_s,
        .user_id = m->pl.user_id,
        .coverage_regex = p->cfg->coverage,
        .spec = p->options,
        .needs = needs,
        .nneeds = p->nneeds,
        .tags = p->tags.list,
        .ntags = p->tags.n,
    };
    return job_insert(tx, &j, now, e);
}

// A newer pipeline of a branch ends older ones, unless a job has begun that may not be interrupted.
static int supersede_one(struct tx *tx, struct arena *a, int64_t id, int64_t now, struct err *e)
{
    struct str config, vars;
    struct pipeline_facts f;
    struct job *rows;
    size_t n;
    TRY(pipeline_config(tx, a, id, &config, &vars, e));
    TRY(facts_from_json(a, config, &f, e));
    TRY(job_list_pipeline(tx, a, id, false, &rows, &n, e));
    bool only = f.on_new_commit == CI_CANCEL_INTERRUPTIBLE;
    for (size_t i = 0; i < n && !only; i++)
        if (rows[i].started_at && !rows[i].interruptible)
            return 0;
    TRY(engine_cancel_all(tx, a, id, only, now, e));
    return engine_process(tx, a, id, now, e);
}

static int supersede(struct making *m, struct tx *tx, int64_t now, struct err *e)
{
    int64_t *ids;
    size_t n;
    if (!m->project.auto_cancel_pending || m->pl.tag || !str_is(m->pl.source, "push"))
        return 0;
    TRY(pipeline_supersedable(tx, m->a, m->project.id, m->pl.ref, m->pl.id, &ids, &n, e));
    for (size_t i = 0; i < n; i++)
        TRY(supersede_one(tx, m->a, ids[i], now, e));
    return 0;
}

static int insert_all(struct making *m, struct tx *tx, struct err *e)
{
    int64_t now = clock_wall_ms();
    bool failed = m->plan.errors.n > 0;
    struct pipeline *pl = &m->pl;
    pl->project_id = m->project.id;
    pl->status = m->skip ? CI_SKIPPED : failed ? CI_FAILED : CI_CREATED;
    pl->coverage = -1;
    pl->duration_ms = -1;
    if (failed && !m->skip) {
        pl->failure_reason = STR("config_error");
        pl->yaml_errors = problem_lines(m, &m->plan.errors);
    }
    pl->warnings = problem_lines(m, &m->plan.warnings);
    m->facts.on_job_failure_all = m->plan.on_job_failure_all;
    m->facts.on_new_commit = m->plan.on_new_commit;
    pl->cancel_on_new_commit =
        m->project.auto_cancel_pending && m->plan.on_new_commit != CI_CANCEL_NONE;
    pl->variables = vars_to_json(m->a, m->given, m->ngiven);
    pl->config = facts_to_json(m->a, &m->facts, &m->plan.stages);
    TRY(pipeline_insert(tx, pl, e));
    if (m->skip || failed)
        return 0;
    for (size_t i = 0; i < m->plan.njobs; i++)
        TRY(insert_job(m, tx, i, now, e));
    TRY(supersede(m, tx, now, e));
    return engine_process(tx, m->a, pl->id, now, e);
}

static bool is_zero(struct str sha)
{
    for (size_t i = 0; i < sha.n; i++)
        if (sha.p[i] != '0')
            return false;
    return true;
}

// "refs/heads/main" -> "main"; false for what makes no pipeline.
static bool short_ref(struct str ref, struct str *ret, bool *ret_tag)
{
    *ret_tag = str_starts(ref, STR("refs/tags/"));
    if (!*ret_tag && !str_starts(ref, STR("refs/heads/")))
        return false;
    *ret = str_from(ref, *ret_tag ? 10 : 11);
    return ret->n > 0;
}

// Marks the event in the transaction that makes its pipeline: each event makes one.
static int commit_push(struct making *m, int64_t event_id, bool make, int64_t *ret_id,
                       struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(m->en->cfg.store, &tx, e));
    if (event_id)
        TRY(push_event_handled(&tx, event_id, clock_wall_ms(), e));
    if (make)
        TRY(insert_all(m, &tx, e));
    TRY(tx_commit(&tx, e));
    *ret_id = make ? m->pl.id : 0;
    return 0;
}

static int decide_push(struct making *m, const struct ci_push *p, bool *ret_make, struct err *e)
{
    *ret_make = false;
    if (is_zero(p->after) || !short_ref(p->ref, &m->pl.ref, &m->pl.tag))
        return 0;
    int rc = read_project(m, p->project_id, e);
    if (rc == E_NOTFOUND)
        return 0; // deleted meanwhile
    if (rc < 0)
        return rc;
    if (!m->project.ci_enabled || m->project.archived)
        return 0;
    rc = read_git(m, e);
    if (rc == E_NOTFOUND)
        return 0; // the commit is gone: overwritten or pruned meanwhile
    if (rc < 0)
        return rc;
    if (!m->config.p)
        return 0;
    if (m->skip) {
        *ret_make = true;
        return 0;
    }
    TRY(make_plan(m, e));
    *ret_make = m->plan.errors.n || m->plan.njobs;
    return 0;
}

int ci_engine_push(struct ci_engine *en, const struct ci_push *p, int64_t *ret_id, struct err *e)
{
    _autoarena_ struct arena a;
    bool make;
    arena_init(&a, ENGINE_ARENA);
    *ret_id = 0;
    struct making m = {
        .en = en,
        .a = &a,
        .given = p->vars,
        .ngiven = p->nvars,
        .skip = p->skip,
        .pl = {.sha = p->after,
               .before_sha = p->before,
               .source = STR("push"),
               .user_id = p->user_id,
               .push_event_id = p->event_id},
    };
    int rc = decide_push(&m, p, &make, e);
    if (rc == E_LIMIT || rc == E_BUSY || rc == E_AGAIN)
        return rc;
    if (rc < 0) {
        // Trying again would not help: people see what went wrong instead of nothing.
        m.config_path = STR(CONFIG_FILE);
        m.plan = (struct ci_plan){0};
        ci_problems_add(&a, &m.plan.errors, NULL, (struct yaml_pos){0, 1, 1}, "",
                        "the commit could not be read: %s", e ? e->msg : "");
        make = m.project.id != 0;
    }
    return commit_push(&m, p->event_id, make, ret_id, e);
}

// Push options, one per line: "ci.skip", "ci.variable=NAME=value".
static void read_options(struct arena *a, struct str options, struct ci_push *p)
{
    struct ci_var *vars = ARENA_ARRAY(a, struct ci_var, 50);
    for (struct str rest = options, line; rest.p && str_cut(&rest, '\n', &line);) {
        struct str value = line, key;
        if (str_is(line, "ci.skip") || str_is(line, "ci.skip=true"))
            p->skip = true;
        if (!str_starts(line, STR("ci.variable=")) || p->nvars == 50)
            continue;
        value = str_from(line, 12);
        if (str_cut(&value, '=', &key) && key.n && value.p)
            vars[p->nvars++] =
                (struct ci_var){.key = key, .value = value, .level = CI_VAR_PIPELINE};
    }
    p->vars = vars;
}

static int next_event(struct ci_engine *en, struct arena *a, struct push_event *ret, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(en->cfg.store, &tx, e));
    return push_event_next(&tx, a, ret, e);
}

int ci_engine_take_pushes(struct ci_engine *en, size_t most, size_t *ret_n, struct err *e)
{
    for (*ret_n = 0; *ret_n < most; ++*ret_n) {
        _autoarena_ struct arena a;
        struct push_event ev;
        int64_t id;
        arena_init(&a, MIB(16));
        int rc = next_event(en, &a, &ev, e);
        if (rc == E_NOTFOUND)
            return 0;
        if (rc < 0)
            return rc;
        struct ci_push p = {.event_id = ev.id,
                            .project_id = ev.project_id,
                            .user_id = ev.user_id,
                            .ref = ev.r.ref,
                            .before = ev.r.old_sha,
                            .after = ev.r.new_sha};
        read_options(&a, ev.options, &p);
        rc = ci_engine_push(en, &p, &id, e);
        if (rc < 0 && rc != E_CONFLICT) // another thread took it
            return rc;
    }
    return 0;
}

static int none(struct making *m, struct err *e)
{
    if (!m->config.p)
        return err_set(e, E_INVALID,
                       "there is no %" PRISTR " at this commit; add one to the repository",
                       STRARG(m->config_path));
    return err_set(e, E_INVALID, "no pipeline: %" PRISTR, STRARG(m->plan.none_because));
}

int ci_engine_create(struct ci_engine *en, int64_t project_id, int64_t user_id, struct str ref,
                     struct str source, const struct ci_var *vars, size_t nvars, int64_t *ret_id,
                     struct err *e)
{
    _autoarena_ struct arena a;
    char sha[65] = "";
    arena_init(&a, ENGINE_ARENA);
    struct ci_var *given = ARENA_ARRAY(&a, struct ci_var, nvars);
    for (size_t i = 0; i < nvars; i++) {
        given[i] = vars[i];
        given[i].level = CI_VAR_PIPELINE;
    }
    struct making m = {.en = en,
                       .a = &a,
                       .given = given,
                       .ngiven = nvars,
                       .pl = {.source = source, .user_id = user_id, .ref = ref}};
    bool tag = str_starts(ref, STR("refs/tags/"));
    if (tag || str_starts(ref, STR("refs/heads/")))
        m.pl.ref = str_from(ref, tag ? 10 : 11);
    int rc = en->cfg.resolve(en->cfg.git_ctx, project_id, ref, sha, &m.pl.tag, e);
    if (rc == E_NOTFOUND)
        return err_set(e, E_INVALID, "there is no branch or tag `%" PRISTR "`", STRARG(ref));
    if (rc < 0)
        return rc;
    m.pl.sha = str_of(sha);
    TRY(read_project(&m, project_id, e));
    if (!m.project.ci_enabled || m.project.archived)
        return err_set(e, E_INVALID, "pipelines are switched off in this project");
    TRY(read_git(&m, e));
    m.skip = false; // asked for by a person
    if (!m.config.p)
        return none(&m, e);
    TRY(make_plan(&m, e));
    if (!m.plan.errors.n && !m.plan.njobs)
        return none(&m, e);
    return commit_push(&m, 0, true, ret_id, e);
}
