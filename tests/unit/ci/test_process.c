// SPDX-License-Identifier: Apache-2.0
#include "ci/plan.h"
#include "ci/process.h"
#include "corpus.h"

#define CASES "gitlab-state-machine"

struct run {
    struct arena a;
    struct ci_plan plan;
    struct ci_pjob *jobs;
    enum ci_status pipeline;
    enum ci_status stages[20];
    const char *file;
};

static size_t job_index(struct run *r, struct str name)
{
    for (size_t i = 0; i < r->plan.njobs; i++)
        if (str_eq(r->plan.jobs[i].name, name))
            return i;
    print_error("%s: no job %" PRISTR "\n", r->file, STRARG(name));
    fail();
    return 0;
}

static void advance(struct run *r)
{
    ci_process(r->jobs, r->plan.njobs);
    r->pipeline = ci_pipeline_status(r->jobs, r->plan.njobs, r->pipeline);
    for (size_t i = 0; i < r->plan.stages.n; i++)
        r->stages[i] = ci_stage_status(r->jobs, r->plan.njobs, (int)i, r->stages[i]);
}

static void start(struct run *r, struct str config)
{
    struct ci_context ctx = {.ref = STR("main"), .source = STR("push")};
    if (ci_plan(&r->a, config, &ctx, &r->plan)) {
        print_error("%s: %" PRISTR "\n", r->file, STRARG(r->plan.errors.list[0].msg));
        fail();
    }
    r->jobs = ARENA_ARRAY(&r->a, struct ci_pjob, r->plan.njobs);
    for (size_t i = 0; i < r->plan.njobs; i++) {
        const struct ci_plan_job *j = &r->plan.jobs[i];
        uint32_t *needs = ARENA_ARRAY(&r->a, uint32_t, j->nneeds);
        for (size_t k = 0; k < j->nneeds; k++)
            needs[k] = j->needs[k].job;
        r->jobs[i] = (struct ci_pjob){.status = CI_CREATED,
                                      .when = j->when,
                                      .allow_failure = j->allow_failure,
                                      .stage = j->stage_index,
                                      .dag = j->dag,
                                      .needs = needs,
                                      .nneeds = j->nneeds};
    }
    r->pipeline = CI_CREATED;
    advance(r);
}

static void expect_status(struct run *r, const char *when, const char *what, struct str name,
                          enum ci_status got, const struct yaml_node *want)
{
    if (str_is(want->text, ci_status_name(got)))
        return;
    print_error("%s, %s: %s %" PRISTR " is %s, want %s\n", r->file, when, what, STRARG(name),
                ci_status_name(got), want->text.p);
    fail();
}

static void expect(struct run *r, const char *when, const struct yaml_node *want)
{
    const struct yaml_node *jobs = yaml_get(want, "jobs"), *stages = yaml_get(want, "stages");
    expect_status(r, when, "pipeline", STR(""), r->pipeline, yaml_get(want, "pipeline"));
    assert_int_equal(jobs->n, r->plan.njobs);
    for (uint32_t i = 0; i < jobs->n; i++) {
        struct str name = jobs->pairs[i].key->text;
        expect_status(r, when, "job", name, r->jobs[job_index(r, name)].status,
                      jobs->pairs[i].value);
    }
    assert_int_equal(stages->n, r->plan.stages.n);
    for (uint32_t i = 0; i < stages->n; i++) {
        assert_true(str_eq(stages->pairs[i].key->text, r->plan.stages.list[i]));
        expect_status(r, when, "stage", stages->pairs[i].key->text, r->stages[i],
                      stages->pairs[i].value);
    }
}

static void apply(struct run *r, const char *event, size_t i)
{
    struct ci_pjob *j = &r->jobs[i];
    if (!strcmp(event, "success"))
        j->status = CI_SUCCESS;
    else if (!strcmp(event, "drop"))
        j->status = CI_FAILED;
    else if (!strcmp(event, "cancel"))
        j->status = CI_CANCELED;
    else if (!strcmp(event, "run"))
        j->status = CI_RUNNING;
    else
        j->status = CI_PENDING;
    if (!strcmp(event, "play") || !strcmp(event, "retry"))
        ci_process_reset_after(r->jobs, r->plan.njobs, i);
    if (j->status == CI_FAILED && !j->allow_failure && r->plan.on_job_failure_all)
        for (size_t k = 0; k < r->plan.njobs; k++)
            if (ci_status_is_cancelable(r->jobs[k].status))
                r->jobs[k].status = CI_CANCELED;
}

// Retry without a job: the whole pipeline.
static void retry_all(struct run *r)
{
    for (size_t i = 0; i < r->plan.njobs; i++)
        if (r->jobs[i].status == CI_FAILED || r->jobs[i].status == CI_CANCELED) {
            r->jobs[i].status = r->jobs[i].when == CI_MANUAL_START ? CI_MANUAL : CI_PENDING;
            ci_process_reset_after(r->jobs, r->plan.njobs, i);
        }
}

static void transition(struct run *r, const struct yaml_node *t, uint32_t number)
{
    const char *event = yaml_get(t, "event")->text.p;
    const struct yaml_node *names = yaml_get(t, "jobs");
    char when[100];
    snprintf(when, sizeof(when), "after transition %u (%s)", number + 1, event);
    if (!names)
        retry_all(r);
    for (uint32_t i = 0; names && i < names->n; i++)
        apply(r, event, job_index(r, names->items[i]->text));
    advance(r);
    expect(r, when, yaml_get(t, "expect"));
}

// The value of `config:` as a file of its own.
static struct str config_of(struct arena *a, struct str text)
{
    char *out = arena_alloc(a, text.n + 1, 1);
    size_t n = 0;
    bool in = false;
    for (struct str rest = text, line; str_cut(&rest, '\n', &line);) {
        if (line.n && line.p[0] != ' ') {
            in = str_starts(line, STR("config:"));
            continue;
        }
        if (!in)
            continue;
        line = str_from(line, 2);
        if (line.n)
            memcpy(out + n, line.p, line.n);
        n += line.n;
        out[n++] = '\n';
    }
    return str_n(out, n);
}

static void one_case(const char *folder, const char *name)
{
    struct run r = {.file = name};
    arena_init(&r.a, CI_ARENA_BYTES);
    struct str text = corpus_read(&r.a, arena_printf(&r.a, "%s/%s", folder, name));
    struct yaml_doc doc;
    struct err e;
    assert_int_equal(yaml_parse(&r.a, text, 0, NULL, &doc, &e), 0);
    struct str config = config_of(&r.a, text);
    // The language does not have `delayed` yet, the model has: see test_delayed.
    if (str_search(config, STR("when: delayed")) < 0) {
        start(&r, config);
        expect(&r, "at the start", yaml_get(yaml_get(doc.roots[0], "init"), "expect"));
        const struct yaml_node *ts = yaml_get(doc.roots[0], "transitions");
        for (uint32_t i = 0; i < ts->n; i++)
            transition(&r, ts->items[i], i);
    }
    arena_done(&r.a);
}

static void test_gitlab_cases(void **state)
{
    (void)state;
    const char *folder = corpus_path(CASES);
    DIR *d = opendir(folder);
    if (!d) {
        print_message("no corpus at %s: skipped\n", folder);
        skip();
    }
    int n = 0;
    for (struct dirent *entry; (entry = readdir(d));)
        if (str_ends(str_of(entry->d_name), STR(".yml"))) {
            one_case(folder, entry->d_name);
            n++;
        }
    closedir(d);
    assert_true(n >= 27);
}

static struct ci_composite set_of(const char *text)
{
    struct ci_composite c = {0};
    for (struct str rest = str_of(text), part; rest.n && str_cut(&rest, ' ', &part);) {
        enum ci_status s;
        bool allow = part.p[part.n - 1] == '?';
        assert_true(ci_status_parse(str_head(part, part.n - allow), &s));
        ci_composite_add(&c, s, allow);
    }
    return c;
}

static void test_composite(void **state)
{
    (void)state;
    static const struct {
        const char *set, *plain, *dag;
    } CASES_[] = {
        {"", "success", "success"},
        {"success", "success", "success"},
        {"success failed?", "success", "success"},
        {"success failed", "failed", "failed"},
        {"success skipped", "success", "skipped"},
        {"success manual?", "success", "skipped"},
        {"success manual", "manual", "pending"},
        {"created created", "created", "pending"},
        {"created success", "running", "pending"},
        {"pending created", "pending", "pending"},
        {"pending success", "running", "pending"},
        {"running failed", "running", "pending"},
        {"canceled success", "canceled", "canceled"},
        {"canceled failed", "failed", "failed"},
        {"skipped manual?", "skipped", "skipped"},
        {"canceling canceled", "canceling", "pending"},
        {"failed? created", "created", "pending"},
        {"failed created", "running", "pending"},
        {"scheduled success", "scheduled", "pending"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES_); i++) {
        struct ci_composite c = set_of(CASES_[i].set);
        assert_string_equal(ci_status_name(ci_composite_status(&c, false)), CASES_[i].plain);
        assert_string_equal(ci_status_name(ci_composite_status(&c, true)), CASES_[i].dag);
    }
}

static void test_warned(void **state)
{
    (void)state;
    struct ci_composite c = set_of("success failed?");
    assert_true(ci_composite_warned(&c));
    c = set_of("success canceled?");
    assert_false(ci_composite_warned(&c));
}

// A delayed job whose need was skipped is skipped; otherwise it is scheduled.
static void test_delayed(void **state)
{
    (void)state;
    const uint32_t needs[] = {1};
    struct ci_pjob jobs[] = {
        {.status = CI_FAILED, .stage = 0},
        {.status = CI_CREATED, .stage = 1},
        {.status = CI_CREATED,
         .stage = 2,
         .when = CI_DELAYED,
         .dag = true,
         .needs = needs,
         .nneeds = 1},
    };
    ci_process(jobs, 3);
    assert_int_equal(jobs[1].status, CI_SKIPPED);
    assert_int_equal(jobs[2].status, CI_SKIPPED);
    assert_int_equal(ci_pipeline_status(jobs, 3, CI_PENDING), CI_FAILED);
    jobs[1].status = CI_SUCCESS;
    jobs[2].status = CI_CREATED;
    ci_process(jobs, 3);
    assert_int_equal(jobs[2].status, CI_SCHEDULED);
}

// Each job needs the next one of the same stage: still one call.
static void test_long_chain(void **state)
{
    (void)state;
    enum { N = 300 };
    static struct ci_pjob jobs[N];
    static uint32_t needs[N];
    for (uint32_t i = 0; i < N; i++) {
        needs[i] = i + 1;
        jobs[i] = (struct ci_pjob){.status = i + 1 < N ? CI_CREATED : CI_FAILED,
                                   .dag = i + 1 < N,
                                   .needs = &needs[i],
                                   .nneeds = i + 1 < N};
    }
    assert_int_equal(ci_process(jobs, N), N - 1);
    assert_int_equal(jobs[0].status, CI_SKIPPED);
}

RUN_TESTS(cmocka_unit_test(test_gitlab_cases), cmocka_unit_test(test_composite),
          cmocka_unit_test(test_warned), cmocka_unit_test(test_delayed),
          cmocka_unit_test(test_long_chain))
