// SPDX-License-Identifier: Apache-2.0
// Reads a configuration: the YAML text, the transformations of its tree, the sections at the top,
// every job, and last what only the whole shows (stages, needs, circles). Pure; all it makes lives
// in the caller's arena.
#include "ci/reader.h"

#define MAX_JOB_NAME 255
#define MAX_JOBS     10000
#define READ_COST    600

// Keys at the top of a file that are not jobs.
static const struct ci_key GLOBALS[] = {
    {"default", true}, {"stages", true},        {"variables", true},    {"workflow", true},
    {"image", true},   {"before_script", true}, {"after_script", true}, {"include", false},
    {"spec", false},   {"services", false},     {"cache", false},
};
static const char *const RESERVED[] = {"types", "true", "false", "nil"};

// A job takes two values of the tree at least, and usually four.
_Static_assert(sizeof(struct ci_job) <= 2 * READ_COST, "READ_COST covers a job");

static bool is_global(struct str key)
{
    for (size_t i = 0; i < ARRAY_SIZE(GLOBALS); i++)
        if (str_is(key, GLOBALS[i].name))
            return true;
    return false;
}

static void add_stage(struct ci_lines *stages, struct str name)
{
    for (size_t i = 0; i < stages->n; i++)
        if (str_eq(stages->list[i], name))
            return;
    stages->list[stages->n++] = name;
}

static void read_stage_names(struct reader *r, const struct path *at, const struct yaml_node *n,
                             int depth, struct ci_lines *to)
{
    for (uint32_t i = 0; i < n->n; i++) {
        struct path here = {at, STR_NONE, i};
        struct str name;
        if (n->items[i]->kind == YAML_LIST && depth < 10) {
            read_stage_names(r, &here, n->items[i], depth + 1, to);
        } else if (ci_read_str(r, &here, n->items[i], &name)) {
            if (!name.n)
                PROBLEM(r, &here, n->items[i]->pos, NULL, "a stage needs a name");
            else if (!str_is(name, ".pre") && !str_is(name, ".post"))
                add_stage(to, name);
        }
    }
}

static void read_stages(struct reader *r)
{
    static const char *const DEFAULTS[] = {"build", "test", "deploy"};
    const struct yaml_node *n = yaml_get(r->root, "stages");
    struct path at = {NULL, STR("stages"), 0};
    if (n && !yaml_is_null(n) && n->kind != YAML_LIST)
        PROBLEM(r, &at, n->pos, "expected a list of names", "this is %s", yaml_type_name(n));
    bool given = n && n->kind == YAML_LIST;
    struct ci_lines *stages = &r->c->stages;
    stages->list = ARENA_ARRAY(r->a, struct str, (given ? n->weight : 3) + 2);
    stages->set = given;
    add_stage(stages, STR(".pre"));
    if (given)
        read_stage_names(r, &at, n, 0, stages);
    for (size_t i = 0; !given && i < ARRAY_SIZE(DEFAULTS); i++)
        add_stage(stages, str_of(DEFAULTS[i]));
    add_stage(stages, STR(".post"));
}

static const struct ci_key AUTO_CANCEL_KEYS[] = {{"on_new_commit", true}, {"on_job_failure", true}};

static void read_auto_cancel(struct reader *r, const struct path *at, const struct yaml_node *n)
{
    static const char *const NEW_COMMIT[] = {"conservative", "interruptible", "none"};
    if (!ci_read_map(r, at, n))
        return;
    for (uint32_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        struct path here = {at, p->key->text, 0};
        struct str value;
        if (!ci_check_key(r, at, p, AUTO_CANCEL_KEYS, ARRAY_SIZE(AUTO_CANCEL_KEYS),
                          "`auto_cancel`") ||
            !ci_read_str(r, &here, p->value, &value))
            continue;
        if (str_is(p->key->text, "on_job_failure")) {
            r->c->on_job_failure_all = str_is(value, "all");
            if (!str_is(value, "all") && !str_is(value, "none"))
                PROBLEM(r, &here, p->value->pos, "expected `all` or `none`",
                        "`%" PRISTR "` is not a value of it", STRARG(str_head(value, 60)));
            continue;
        }
        int found = -1;
        for (int k = 0; k < (int)ARRAY_SIZE(NEW_COMMIT); k++)
            if (str_is(value, NEW_COMMIT[k]))
                found = k;
        if (found < 0)
            PROBLEM(r, &here, p->value->pos, "expected `conservative`, `interruptible` or `none`",
                    "`%" PRISTR "` is not a value of it", STRARG(str_head(value, 60)));
        else
            r->c->on_new_commit = found;
    }
}

static const struct ci_key WORKFLOW_KEYS[] = {
    {"rules", true}, {"name", true}, {"auto_cancel", true}};

static void read_workflow(struct reader *r)
{
    const struct yaml_node *n = yaml_get(r->root, "workflow");
    struct path at = {NULL, STR("workflow"), 0};
    if (!n || yaml_is_null(n) || !ci_read_map(r, &at, n))
        return;
    r->c->has_workflow = true;
    for (uint32_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        struct path here = {&at, p->key->text, 0};
        if (!ci_check_key(r, &at, p, WORKFLOW_KEYS, ARRAY_SIZE(WORKFLOW_KEYS), "`workflow`") ||
            yaml_is_null(p->value))
            continue;
        if (str_is(p->key->text, "rules"))
            ci_read_rules(r, &here, p->value, true, &r->c->workflow);
        else if (str_is(p->key->text, "name"))
            (void)!ci_read_str(r, &here, p->value, &r->c->workflow_name);
        else
            read_auto_cancel(r, &here, p->value);
    }
}

static void read_defaults(struct reader *r)
{
    static const char *const OLD[] = {"image", "before_script", "after_script"};
    const struct yaml_node *n = yaml_get(r->root, "default");
    struct path at = {NULL, STR("default"), 0};
    if (n && !yaml_is_null(n) && ci_read_map(r, &at, n))
        ci_read_job(r, &at, n, true, &r->defaults);
    for (size_t i = 0; i < ARRAY_SIZE(OLD); i++) {
        struct yaml_pair *p = yaml_pair(r->root, str_of(OLD[i]));
        if (!p || yaml_is_null(p->value))
            continue;
        struct path here = {NULL, p->key->text, 0};
        if (n && yaml_get(n, OLD[i]))
            PROBLEM(r, &here, p->key->pos, "keep the one in `default`",
                    "`%s` stands at the top of the file and in `default`", OLD[i]);
        else
            ci_read_default_key(r, NULL, p, &r->defaults);
    }
}

static void read_globals(struct reader *r)
{
    read_stages(r);
    struct yaml_node *vars = yaml_get(r->root, "variables");
    struct path at = {NULL, STR("variables"), 0};
    if (vars && !yaml_is_null(vars))
        ci_read_variables(r, &at, vars, true, &r->c->variables);
    read_workflow(r);
    read_defaults(r);
    for (uint32_t i = 0; i < r->root->n; i++)
        if (is_global(r->root->pairs[i].key->text))
            (void)!ci_check_key(r, NULL, &r->root->pairs[i], GLOBALS, ARRAY_SIZE(GLOBALS),
                                "a file");
}

// A key that is neither a section nor a map: perhaps a section misspelt.
static void not_a_job(struct reader *r, const struct yaml_pair *p)
{
    const char *words[ARRAY_SIZE(GLOBALS) + 1];
    for (size_t i = 0; i < ARRAY_SIZE(GLOBALS); i++)
        words[i] = GLOBALS[i].name;
    words[ARRAY_SIZE(GLOBALS)] = NULL;
    const char *near = ci_near(p->key->text, words);
    char hint[100] = "expected a map with `script`";
    if (near)
        snprintf(hint, sizeof(hint), "did you mean `%s`?", near);
    struct path at = {NULL, p->key->text, 0};
    PROBLEM(r, &at, p->key->pos, hint, "`%" PRISTR "` is neither a keyword nor a job: it is %s",
            STRARG(str_head(p->key->text, 60)), yaml_type_name(p->value));
}

static bool name_ok(struct reader *r, const struct yaml_pair *p)
{
    struct str name = p->key->text;
    const char *why = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(RESERVED); i++)
        if (str_is(name, RESERVED[i]))
            why = "is a reserved word and cannot be the name of a job";
    if (!name.n)
        why = "cannot be the name of a job: it is empty";
    else if (name.n > MAX_JOB_NAME)
        why = "cannot be the name of a job: it has more than 255 bytes";
    else if (str_has_control(name) || !str_is_utf8(name))
        why = "cannot be the name of a job: it holds control characters";
    if (why) {
        struct path at = {NULL, name, 0};
        PROBLEM(r, &at, p->key->pos, str_is(name, "types") ? "use `stages`" : NULL,
                "`%" PRISTR "` %s", STRARG(str_head(name, 60)), why);
    }
    return !why;
}

static int stage_index(const struct ci_config *c, struct str name)
{
    for (size_t i = 0; i < c->stages.n; i++)
        if (str_eq(c->stages.list[i], name))
            return (int)i;
    return -1;
}

static void check_stage(struct reader *r, const struct path *job, struct ci_job *j)
{
    if (!j->stage.n)
        j->stage = STR("test");
    j->stage_index = stage_index(r->c, j->stage);
    if (j->stage_index >= 0)
        return;
    _autobuf_ struct buf names = BUF_INIT(400);
    buf_adds(&names, "the stages are");
    for (size_t i = 0; i < r->c->stages.n; i++)
        buf_addf(&names, "%s %" PRISTR, i ? "," : "", STRARG(r->c->stages.list[i]));
    struct path at = {job, STR("stage"), 0};
    const struct yaml_node *n = j->node[CI_KW_STAGE];
    PROBLEM(r, &at, n ? n->pos : j->pos, names.p, "there is no stage `%" PRISTR "`",
            STRARG(str_head(j->stage, 60)));
    j->stage_index = 0;
}

static void check_pages(struct reader *r, struct ci_job *j)
{
    if (str_is(j->name, "pages") && !j->node[CI_KW_PAGES])
        j->is_pages = true;
    if (!j->is_pages)
        return;
    if (!j->publish.n)
        j->publish = STR("public");
    struct ci_lines *paths = &j->artifacts.paths;
    if (!j->node[CI_KW_PAGES])
        return;
    for (size_t i = 0; i < paths->n; i++)
        if (str_eq(paths->list[i], j->publish))
            return;
    struct str *list = ARENA_ARRAY(r->a, struct str, paths->n + 1);
    for (size_t i = 0; i < paths->n; i++)
        list[i] = paths->list[i];
    list[paths->n] = j->publish;
    *paths = (struct ci_lines){list, paths->n + 1, true};
    j->artifacts.set = true;
}

static void read_jobs(struct reader *r)
{
    r->c->jobs = ARENA_ARRAY(r->a, struct ci_job, MIN(r->root->n, (uint32_t)MAX_JOBS));
    for (uint32_t i = 0; i < r->root->n; i++) {
        const struct yaml_pair *p = &r->root->pairs[i];
        struct str name = p->key->text;
        if (is_global(name) || (name.n && name.p[0] == '.'))
            continue;
        if (!name_ok(r, p))
            continue;
        if (p->value->kind != YAML_MAP) {
            not_a_job(r, p);
            continue;
        }
        if (r->c->njobs == MAX_JOBS) {
            PROBLEM(r, NULL, p->key->pos, NULL, "the file has more than %d jobs", MAX_JOBS);
            return;
        }
        struct ci_job *j = &r->c->jobs[r->c->njobs++];
        struct path at = {NULL, name, 0};
        j->name = name;
        j->pos = p->key->pos;
        ci_read_job(r, &at, p->value, false, j);
        ci_job_inherit(j, &r->defaults);
        check_stage(r, &at, j);
        check_pages(r, j);
        map_set(&r->jobs, name, j);
    }
    if (!r->c->njobs && !r->errors->n)
        PROBLEM(r, NULL, r->root->pos, "add a job with `script`",
                "the file has no visible job; names that begin with a dot are hidden");
}

static void check_need(struct reader *r, const struct path *at, const struct ci_job *j,
                       struct str name, struct yaml_pos pos, const char *verb, bool optional)
{
    const struct ci_job *other = map_get(&r->jobs, name);
    if (!other) {
        if (optional)
            return;
        struct yaml_pair *hidden = map_get(&r->top, name);
        PROBLEM(r, at, pos, NULL, "the job %s `%" PRISTR "`, %s", verb, STRARG(str_head(name, 100)),
                hidden && name.p[0] == '.' ? "which is hidden" : "which does not exist");
    } else if (other == j) {
        PROBLEM(r, at, pos, NULL, "the job %s itself", verb);
    } else if (other->stage_index > j->stage_index) {
        PROBLEM(r, at, pos, NULL, "the job %s `%" PRISTR "` of the later stage `%" PRISTR "`", verb,
                STRARG(str_head(name, 100)), STRARG(str_head(other->stage, 60)));
    }
}

static bool needs_job(const struct ci_job *j, struct str name)
{
    for (size_t i = 0; i < j->nneeds; i++)
        if (str_eq(j->needs[i].job, name))
            return true;
    return false;
}

static void check_links(struct reader *r, const struct ci_job *j)
{
    struct path job = {NULL, j->name, 0};
    for (size_t i = 0; i < j->nneeds; i++) {
        struct path needs = {&job, STR("needs"), 0}, at = {&needs, STR_NONE, i};
        check_need(r, &at, j, j->needs[i].job, j->needs[i].pos, "needs", j->needs[i].optional);
    }
    for (size_t i = 0; j->has_dependencies && i < j->dependencies.n; i++) {
        struct path deps = {&job, STR("dependencies"), 0}, at = {&deps, STR_NONE, i};
        struct str name = j->dependencies.list[i];
        struct yaml_pos pos = j->node[CI_KW_DEPENDENCIES]->items[i]->pos;
        if (j->has_needs && !needs_job(j, name))
            PROBLEM(r, &at, pos, "add it to `needs`",
                    "`%" PRISTR "` is a dependency but not needed", STRARG(str_head(name, 100)));
        else
            check_need(r, &at, j, name, pos, "depends on", false);
    }
}

// Needs may go round only within a stage. Depth first with a stack of our own: chains are as long
// as the file.
struct visit {
    struct ci_job *job;
    size_t next;
};

static void report_circle(struct reader *r, const struct visit *stack, size_t depth,
                          const struct ci_job *again)
{
    _autobuf_ struct buf names = BUF_INIT(500);
    size_t from = depth;
    while (from && stack[from - 1].job != again)
        from--;
    for (size_t i = from ? from - 1 : 0; i < depth; i++)
        buf_addf(&names, "%.60s -> ", stack[i].job->name.p);
    buf_addf(&names, "%.60s", again->name.p);
    const struct ci_job *last = stack[depth - 1].job;
    struct path job = {NULL, last->name, 0}, at = {&job, STR("needs"), 0};
    PROBLEM(r, &at, last->needs[stack[depth - 1].next - 1].pos, NULL,
            "jobs need each other in a circle: %s", names.p);
}

static void check_circles(struct reader *r)
{
    size_t n = r->c->njobs, depth = 0;
    struct visit *stack = ARENA_ARRAY(r->a, struct visit, n + 1);
    uint8_t *state = ARENA_ARRAY(r->a, uint8_t, n + 1); // 0 new, 1 open, 2 done
    for (size_t i = 0; i < n; i++) {
        if (state[i])
            continue;
        stack[depth++] = (struct visit){&r->c->jobs[i], 0};
        state[i] = 1;
        while (depth) {
            struct visit *v = &stack[depth - 1];
            if (v->next == v->job->nneeds) {
                state[v->job - r->c->jobs] = 2;
                depth--;
                continue;
            }
            struct ci_job *to = map_get(&r->jobs, v->job->needs[v->next++].job);
            if (!to || to == v->job)
                continue;
            if (state[to - r->c->jobs] == 1) {
                report_circle(r, stack, depth, to);
            } else if (!state[to - r->c->jobs]) {
                state[to - r->c->jobs] = 1;
                stack[depth++] = (struct visit){to, 0};
            }
        }
    }
}

static int pick_root(struct reader *r, const struct yaml_doc *doc)
{
    struct yaml_pos start = {0, 1, 1};
    size_t at = 0;
    if (doc->nroots > 1 && yaml_get(doc->roots[0], "spec"))
        PROBLEM(r, NULL, doc->roots[0]->pos, NULL,
                "`spec` is a GitLab keyword that Slipway does not support yet");
    else if (doc->nroots > 1)
        WARNING(r, NULL, doc->roots[1]->pos, NULL,
                "the file holds %zu documents; only the first one counts", doc->nroots);
    if (!doc->nroots || yaml_is_null(doc->roots[at])) {
        PROBLEM(r, NULL, start, "expected at least one job with `script`", "the file is empty");
        return E_INVALID;
    }
    r->root = doc->roots[at];
    if (r->root->kind != YAML_MAP) {
        PROBLEM(r, NULL, r->root->pos, "expected a map of keywords and jobs", "the file is %s",
                yaml_type_name(r->root));
        return E_INVALID;
    }
    return r->errors->n ? E_INVALID : 0;
}

static void read_all(struct reader *r)
{
    for (uint32_t i = 0; i < r->root->n; i++)
        map_set(&r->top, r->root->pairs[i].key->text, &r->root->pairs[i]);
    ci_tree_extend(r);
    ci_tree_reference(r);
    r->c->root = r->root;
    // What reading takes at most per value of the tree; aliases and extends count as written out.
    if (!ci_room(r, NULL, r->root->pos, READ_COST * (uint64_t)r->root->weight))
        return;
    read_globals(r);
    read_jobs(r);
    for (size_t i = 0; i < r->c->njobs; i++)
        check_links(r, &r->c->jobs[i]);
    check_circles(r);
}

static int by_position(const void *a, const void *b)
{
    const struct ci_problem *p = a, *q = b;
    if (p->pos.line != q->pos.line)
        return p->pos.line < q->pos.line ? -1 : 1;
    return p->pos.col < q->pos.col ? -1 : p->pos.col > q->pos.col;
}

int ci_config_parse(struct arena *a, struct str text, struct ci_config **ret,
                    struct ci_problems *errors, struct ci_problems *warnings)
{
    struct reader r = {.a = a,
                       .errors = errors,
                       .warnings = warnings,
                       .top = MAP_INIT,
                       .jobs = MAP_INIT,
                       .exprs = MAP_INIT};
    *ret = NULL;
    struct yaml_doc doc;
    struct err e;
    int rc = yaml_parse(a, text, 0, NULL, &doc, &e);
    for (size_t i = 0; i < doc.nwarnings; i++)
        WARNING(&r, NULL, doc.warnings[i].pos, NULL, "%" PRISTR, STRARG(doc.warnings[i].msg));
    if (rc) {
        PROBLEM(&r, NULL, doc.error, NULL, "%s", e.msg);
        return rc;
    }
    rc = pick_root(&r, &doc);
    if (rc)
        return rc;
    r.c = ARENA_NEW(a, struct ci_config);
    read_all(&r);
    map_done(&r.top);
    map_done(&r.jobs);
    map_done(&r.exprs);
    *ret = r.c;
    if (!errors->n)
        return 0;
    qsort(errors->list, errors->n, sizeof(*errors->list), by_position);
    return E_INVALID;
}

const struct ci_job *ci_config_job(const struct ci_config *c, struct str name)
{
    for (size_t i = 0; i < c->njobs; i++)
        if (str_eq(c->jobs[i].name, name))
            return &c->jobs[i];
    return NULL;
}
