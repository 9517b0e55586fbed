// SPDX-License-Identifier: Apache-2.0
// The keywords of a job, one reading function each, in one table. Pure.
//
// To add a keyword: write its function, give its row in KEYWORDS that function (and a place in
// enum ci_keyword), read the value where it matters (plan.c, the engine), and add cases to
// tests/unit/ci/test_config.c.
#include "ci/reader.h"

#define MAX_NEEDS         50
#define MAX_NEEDS_NESTING 10
#define MAX_TAGS          50
#define WHENS_JOB                                                                                  \
    (1u << CI_ON_SUCCESS | 1u << CI_ON_FAILURE | 1u << CI_ALWAYS | 1u << CI_MANUAL_START |         \
     1u << CI_DELAYED)
#define WHENS_ARTIFACTS (1u << CI_ON_SUCCESS | 1u << CI_ON_FAILURE | 1u << CI_ALWAYS)

typedef void (*read_fn)(struct reader *r, const struct path *at, const struct yaml_node *n,
                        struct ci_job *j);

static void read_script(struct reader *r, const struct path *at, const struct yaml_node *n,
                        struct ci_job *j)
{
    if (ci_read_script(r, at, n, &j->script) && !j->script.n)
        PROBLEM(r, at, n->pos, "expected at least one command", "the script is empty");
}

static void read_before_script(struct reader *r, const struct path *at, const struct yaml_node *n,
                               struct ci_job *j)
{
    (void)!ci_read_script(r, at, n, &j->before_script);
}

static void read_after_script(struct reader *r, const struct path *at, const struct yaml_node *n,
                              struct ci_job *j)
{
    (void)!ci_read_script(r, at, n, &j->after_script);
}

static void read_stage(struct reader *r, const struct path *at, const struct yaml_node *n,
                       struct ci_job *j)
{
    (void)!ci_read_str(r, at, n, &j->stage);
}

static void read_variables(struct reader *r, const struct path *at, const struct yaml_node *n,
                           struct ci_job *j)
{
    ci_read_variables(r, at, n, false, &j->variables);
}

static void read_rules(struct reader *r, const struct path *at, const struct yaml_node *n,
                       struct ci_job *j)
{
    ci_read_rules(r, at, n, false, &j->rules);
}

static void read_only(struct reader *r, const struct path *at, const struct yaml_node *n,
                      struct ci_job *j)
{
    ci_read_policy(r, at, n, &j->only);
}

static void read_except(struct reader *r, const struct path *at, const struct yaml_node *n,
                        struct ci_job *j)
{
    ci_read_policy(r, at, n, &j->except);
}

static void read_when(struct reader *r, const struct path *at, const struct yaml_node *n,
                      struct ci_job *j)
{
    j->has_when = ci_read_when(r, at, n, WHENS_JOB, &j->when);
}

static const struct ci_key ALLOW_FAILURE_KEYS[] = {{"exit_codes", true}};

static void read_allow_failure(struct reader *r, const struct path *at, const struct yaml_node *n,
                               struct ci_job *j)
{
    if (n->kind != YAML_MAP) {
        j->has_allow_failure = ci_read_bool(r, at, n, &j->allow_failure);
        return;
    }
    j->has_allow_failure = true;
    for (uint32_t i = 0; i < n->n; i++) {
        struct path here = {at, n->pairs[i].key->text, 0};
        if (ci_check_key(r, at, &n->pairs[i], ALLOW_FAILURE_KEYS, ARRAY_SIZE(ALLOW_FAILURE_KEYS),
                         "`allow_failure`"))
            (void)!ci_read_ints(r, &here, n->pairs[i].value, &j->allow_exit_codes,
                                &j->nallow_exit_codes);
    }
    if (!n->n)
        PROBLEM(r, at, n->pos, "expected true, false or a map with `exit_codes`",
                "the map is empty");
}

static void retry_when(struct reader *r, const struct path *at, const struct yaml_node *n,
                       struct ci_job *j)
{
    if (!ci_read_strs(r, at, n, true, &j->retry_when))
        return;
    for (size_t i = 0; i < j->retry_when.n; i++) {
        if (ci_retry_when_known(j->retry_when.list[i]))
            continue;
        struct yaml_pos pos = n->kind == YAML_LIST ? n->items[i]->pos : n->pos;
        PROBLEM(r, at, pos, "expected a reason such as `script_failure` or `runner_system_failure`",
                "`%" PRISTR "` is not a reason to retry",
                STRARG(str_head(j->retry_when.list[i], 60)));
    }
}

static const struct ci_key RETRY_KEYS[] = {{"max", true}, {"when", true}, {"exit_codes", true}};

static void read_retry(struct reader *r, const struct path *at, const struct yaml_node *n,
                       struct ci_job *j)
{
    int64_t max = 0;
    if (n->kind != YAML_MAP) {
        if (ci_read_int(r, at, n, 0, CI_MAX_RETRY, &max))
            j->retry_max = (int)max;
        return;
    }
    for (uint32_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        struct path here = {at, p->key->text, 0};
        if (!ci_check_key(r, at, p, RETRY_KEYS, ARRAY_SIZE(RETRY_KEYS), "`retry`"))
            continue;
        if (str_is(p->key->text, "when"))
            retry_when(r, &here, p->value, j);
        else if (str_is(p->key->text, "exit_codes"))
            (void)!ci_read_ints(r, &here, p->value, &j->retry_exit_codes, &j->nretry_exit_codes);
        else if (ci_read_int(r, &here, p->value, 0, CI_MAX_RETRY, &max))
            j->retry_max = (int)max;
    }
}

static void read_timeout(struct reader *r, const struct path *at, const struct yaml_node *n,
                         struct ci_job *j)
{
    (void)!ci_read_duration(r, at, n, false, &j->timeout_s);
}

static void read_tags(struct reader *r, const struct path *at, const struct yaml_node *n,
                      struct ci_job *j)
{
    if (ci_read_strs(r, at, n, false, &j->tags) && j->tags.n > MAX_TAGS)
        PROBLEM(r, at, n->pos, NULL, "there are %zu tags, at most %d are allowed", j->tags.n,
                MAX_TAGS);
}

static void read_interruptible(struct reader *r, const struct path *at, const struct yaml_node *n,
                               struct ci_job *j)
{
    j->has_interruptible = ci_read_bool(r, at, n, &j->interruptible);
}

static void read_coverage(struct reader *r, const struct path *at, const struct yaml_node *n,
                          struct ci_job *j)
{
    struct str text;
    struct err e;
    if (!ci_read_str(r, at, n, &text))
        return;
    if (!ci_pattern_is(text))
        PROBLEM(r, at, n->pos, "expected a pattern such as `/Total: (\\d+)%/`",
                "`%" PRISTR "` does not stand between slashes", STRARG(str_head(text, 60)));
    else if (ci_pattern_check(text, &e))
        PROBLEM(r, at, n->pos, NULL, "%s", e.msg);
    else
        j->coverage = text;
}

static void read_image(struct reader *r, const struct path *at, const struct yaml_node *n,
                       struct ci_job *j)
{
    const struct yaml_node *name = n->kind == YAML_MAP ? yaml_get(n, "name") : n;
    if (n->kind == YAML_LIST || (n->kind == YAML_MAP && !name))
        PROBLEM(r, at, n->pos, "expected the image's name, or a map with `name`", "this is %s",
                n->kind == YAML_LIST ? "a list" : "a map without `name`");
    else
        (void)!ci_read_str(r, at, name, &j->image);
}

static const struct ci_key ARTIFACT_KEYS[] = {
    {"paths", true},   {"exclude", true},   {"untracked", true},  {"name", true},
    {"when", true},    {"expire_in", true}, {"expose_as", false}, {"public", false},
    {"access", false}, {"reports", false},
};

static void artifact_value(struct reader *r, const struct path *at, const struct yaml_pair *p,
                           struct ci_artifacts *f)
{
    const struct yaml_node *v = p->value;
    struct str key = p->key->text;
    if (str_is(key, "paths")) {
        (void)!ci_read_strs(r, at, v, false, &f->paths);
    } else if (str_is(key, "exclude")) {
        (void)!ci_read_strs(r, at, v, false, &f->exclude);
    } else if (str_is(key, "untracked")) {
        (void)!ci_read_bool(r, at, v, &f->untracked);
    } else if (str_is(key, "name")) {
        (void)!ci_read_str(r, at, v, &f->name);
    } else if (str_is(key, "when")) {
        (void)!ci_read_when(r, at, v, WHENS_ARTIFACTS, &f->when);
    } else if (ci_read_duration(r, at, v, true, &f->expire_s)) {
        f->expire_in = v->text;
    }
}

static void read_artifacts(struct reader *r, const struct path *at, const struct yaml_node *n,
                           struct ci_job *j)
{
    if (!ci_read_map(r, at, n))
        return;
    j->artifacts = (struct ci_artifacts){.set = true};
    for (uint32_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        struct path here = {at, p->key->text, 0};
        if (ci_check_key(r, at, p, ARTIFACT_KEYS, ARRAY_SIZE(ARTIFACT_KEYS), "`artifacts`") &&
            !yaml_is_null(p->value))
            artifact_value(r, &here, p, &j->artifacts);
    }
}

static const struct ci_key NEED_KEYS[] = {
    {"job", true},      {"artifacts", true}, {"optional", true},  {"parallel", false},
    {"project", false}, {"ref", false},      {"pipeline", false},
};

static bool need_map(struct reader *r, const struct path *at, const struct yaml_node *n,
                     struct ci_need *need)
{
    bool ok = true;
    for (uint32_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        struct path here = {at, p->key->text, 0};
        if (!ci_check_key(r, at, p, NEED_KEYS, ARRAY_SIZE(NEED_KEYS), "`needs`"))
            ok = false;
        else if (str_is(p->key->text, "job"))
            ok &= ci_read_str(r, &here, p->value, &need->job);
        else
            ok &=
                ci_read_bool(r, &here, p->value,
                             str_is(p->key->text, "optional") ? &need->optional : &need->artifacts);
    }
    if (ok && !need->job.n)
        PROBLEM(r, at, n->pos, "expected `job: name`", "it does not say which job is needed");
    return ok && need->job.n;
}

static void add_need(struct reader *r, const struct path *at, struct ci_need need, struct ci_job *j)
{
    for (size_t i = 0; i < j->nneeds; i++)
        if (str_eq(j->needs[i].job, need.job)) {
            PROBLEM(r, at, need.pos, NULL, "`%" PRISTR "` is needed twice",
                    STRARG(str_head(need.job, 100)));
            return;
        }
    j->needs[j->nneeds++] = need;
}

// Lists within the list come from `!reference`.
static void need_list(struct reader *r, const struct path *at, const struct yaml_node *n, int depth,
                      struct ci_job *j)
{
    for (uint32_t i = 0; i < n->n; i++) {
        struct path here = {at, STR_NONE, i};
        const struct yaml_node *item = n->items[i];
        struct ci_need need = {.artifacts = true, .pos = item->pos};
        if (item->kind == YAML_LIST && depth < MAX_NEEDS_NESTING)
            need_list(r, &here, item, depth + 1, j);
        else if (item->kind == YAML_MAP ? need_map(r, &here, item, &need)
                                        : ci_read_str(r, &here, item, &need.job))
            add_need(r, &here, need, j);
    }
}

static void read_needs(struct reader *r, const struct path *at, const struct yaml_node *n,
                       struct ci_job *j)
{
    if (n->kind == YAML_MAP && yaml_get(n, "pipeline")) {
        PROBLEM(r, at, n->pos, NULL,
                "`needs:pipeline` is a GitLab keyword that Slipway does not support yet");
        return;
    }
    if (n->kind != YAML_LIST) {
        PROBLEM(r, at, n->pos, "expected a list of jobs", "this is %s", yaml_type_name(n));
        return;
    }
    j->has_needs = true;
    j->needs = ARENA_ARRAY(r->a, struct ci_need, MIN(n->weight, (uint32_t)MAX_NEEDS));
    need_list(r, at, n, 0, j);
}

static void read_dependencies(struct reader *r, const struct path *at, const struct yaml_node *n,
                              struct ci_job *j)
{
    j->has_dependencies = ci_read_strs(r, at, n, false, &j->dependencies);
}

static const struct ci_key PAGES_KEYS[] = {
    {"publish", true}, {"path_prefix", false}, {"expire_in", false}};

static void read_pages(struct reader *r, const struct path *at, const struct yaml_node *n,
                       struct ci_job *j)
{
    bool on = true;
    if (n->kind == YAML_SCALAR) {
        if (ci_read_bool(r, at, n, &on))
            j->is_pages = on;
        return;
    }
    if (!ci_read_map(r, at, n))
        return;
    j->is_pages = true;
    for (uint32_t i = 0; i < n->n; i++) {
        struct path here = {at, n->pairs[i].key->text, 0};
        if (ci_check_key(r, at, &n->pairs[i], PAGES_KEYS, ARRAY_SIZE(PAGES_KEYS), "`pages`"))
            (void)!ci_read_str(r, &here, n->pairs[i].value, &j->publish);
    }
}

static void read_publish(struct reader *r, const struct path *at, const struct yaml_node *n,
                         struct ci_job *j)
{
    (void)!ci_read_str(r, at, n, &j->publish);
}

static void read_extends(struct reader *r, const struct path *at, const struct yaml_node *n,
                         struct ci_job *j)
{
    // tree.c has done it.
}

static const struct {
    const char *name;
    int kw; // enum ci_keyword; -1: not supported yet
    bool in_default, in_job;
    read_fn read;
} KEYWORDS[] = {
    {"after_script", CI_KW_AFTER_SCRIPT, true, true, read_after_script},
    {"allow_failure", CI_KW_ALLOW_FAILURE, false, true, read_allow_failure},
    {"artifacts", CI_KW_ARTIFACTS, true, true, read_artifacts},
    {"before_script", CI_KW_BEFORE_SCRIPT, true, true, read_before_script},
    {"coverage", CI_KW_COVERAGE, false, true, read_coverage},
    {"dependencies", CI_KW_DEPENDENCIES, false, true, read_dependencies},
    {"except", CI_KW_EXCEPT, false, true, read_except},
    {"extends", CI_KW_EXTENDS, false, true, read_extends},
    {"image", CI_KW_IMAGE, true, true, read_image},
    {"interruptible", CI_KW_INTERRUPTIBLE, true, true, read_interruptible},
    {"needs", CI_KW_NEEDS, false, true, read_needs},
    {"only", CI_KW_ONLY, false, true, read_only},
    {"pages", CI_KW_PAGES, false, true, read_pages},
    {"publish", CI_KW_PUBLISH, false, true, read_publish},
    {"retry", CI_KW_RETRY, true, true, read_retry},
    {"rules", CI_KW_RULES, false, true, read_rules},
    {"script", CI_KW_SCRIPT, false, true, read_script},
    {"stage", CI_KW_STAGE, false, true, read_stage},
    {"tags", CI_KW_TAGS, true, true, read_tags},
    {"timeout", CI_KW_TIMEOUT, true, true, read_timeout},
    {"variables", CI_KW_VARIABLES, false, true, read_variables},
    {"when", CI_KW_WHEN, false, true, read_when},
    {"cache", -1, true, true, NULL},
    {"dast_configuration", -1, false, true, NULL},
    {"environment", -1, false, true, NULL},
    {"hooks", -1, true, true, NULL},
    {"id_tokens", -1, true, true, NULL},
    {"identity", -1, true, true, NULL},
    {"inherit", -1, false, true, NULL},
    {"inputs", -1, false, true, NULL},
    {"manual_confirmation", -1, false, true, NULL},
    {"parallel", -1, false, true, NULL},
    {"release", -1, false, true, NULL},
    {"resource_group", -1, false, true, NULL},
    {"run", -1, false, true, NULL},
    {"secrets", -1, false, true, NULL},
    {"services", -1, true, true, NULL},
    {"start_in", -1, false, true, NULL},
    {"trigger", -1, false, true, NULL},
};

static void read_keyword(struct reader *r, const struct path *at, const struct yaml_pair *p,
                         bool defaults, struct ci_job *j)
{
    struct ci_key keys[ARRAY_SIZE(KEYWORDS)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(KEYWORDS); i++) {
        if (defaults ? !KEYWORDS[i].in_default : !KEYWORDS[i].in_job)
            continue;
        if (KEYWORDS[i].kw >= 0 && str_is(p->key->text, KEYWORDS[i].name)) {
            struct path here = {at, p->key->text, 0};
            if (yaml_is_null(p->value))
                return;
            j->node[KEYWORDS[i].kw] = p->value;
            KEYWORDS[i].read(r, &here, p->value, j);
            return;
        }
        keys[n++] = (struct ci_key){KEYWORDS[i].name, KEYWORDS[i].kw >= 0};
    }
    (void)!ci_check_key(r, at, p, keys, n, defaults ? "`default`" : "a job");
}

void ci_read_default_key(struct reader *r, const struct path *at, const struct yaml_pair *p,
                         struct ci_job *j)
{
    read_keyword(r, at, p, true, j);
}

static bool has_key(const struct yaml_node *n, const char *key)
{
    const struct yaml_node *v = yaml_get(n, key);
    return v && !yaml_is_null(v);
}

static void check_job(struct reader *r, const struct path *at, const struct yaml_node *n,
                      struct ci_job *j)
{
    if (!has_key(n, "script") && !has_key(n, "trigger") && !has_key(n, "run"))
        PROBLEM(r, at, j->pos, "expected `script:` with at least one command",
                "the job has no `script`");
    for (int kw = CI_KW_ONLY; kw == CI_KW_ONLY || kw == CI_KW_EXCEPT;
         kw = kw == CI_KW_ONLY ? CI_KW_EXCEPT : CI_KW_COUNT)
        if (j->rules.set && j->node[kw])
            PROBLEM(r, at, j->node[kw]->pos, NULL, "`%s` may not be used together with `rules`",
                    kw == CI_KW_ONLY ? "only" : "except");
}

void ci_read_job(struct reader *r, const struct path *at, const struct yaml_node *n, bool defaults,
                 struct ci_job *j)
{
    for (uint32_t i = 0; i < n->n; i++)
        read_keyword(r, at, &n->pairs[i], defaults, j);
    if (!defaults)
        check_job(r, at, n, j);
}

void ci_job_inherit(struct ci_job *j, const struct ci_job *d)
{
#define TAKE(kw, field)                                                                            \
    if (!j->node[kw] && d->node[kw])                                                               \
    j->field = d->field
    TAKE(CI_KW_AFTER_SCRIPT, after_script);
    TAKE(CI_KW_ARTIFACTS, artifacts);
    TAKE(CI_KW_BEFORE_SCRIPT, before_script);
    TAKE(CI_KW_IMAGE, image);
    TAKE(CI_KW_INTERRUPTIBLE, interruptible);
    TAKE(CI_KW_INTERRUPTIBLE, has_interruptible);
    TAKE(CI_KW_RETRY, retry_max);
    TAKE(CI_KW_RETRY, retry_when);
    TAKE(CI_KW_RETRY, retry_exit_codes);
    TAKE(CI_KW_RETRY, nretry_exit_codes);
    TAKE(CI_KW_TAGS, tags);
    TAKE(CI_KW_TIMEOUT, timeout_s);
#undef TAKE
    for (int kw = 0; kw < CI_KW_COUNT; kw++)
        if (!j->node[kw])
            j->node[kw] = d->node[kw];
}
