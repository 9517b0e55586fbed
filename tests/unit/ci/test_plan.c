// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"
#include "base/mem.h"
#include "ci/plan.h"
#include "ci/variables.h"

#include <stdlib.h>
#include <time.h>

// Time of this process alone: other load on the machine does not count.
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static struct ci_var VARS[] = {
    {.key = STR("CI_COMMIT_BRANCH"), .value = STR("main")},
    {.key = STR("CI_PIPELINE_SOURCE"), .value = STR("push")},
    {.key = STR("CI_DEFAULT_BRANCH"), .value = STR("main")},
    {.key = STR("PROJECT"), .value = STR("project"), .level = CI_VAR_PROJECT},
    {.key = STR("GIVEN"), .value = STR("given"), .level = CI_VAR_PIPELINE},
};
static const struct ci_context MAIN = {.ref = STR("main"),
                                       .source = STR("push"),
                                       .project_path = STR("group/project"),
                                       .vars = VARS,
                                       .nvars = ARRAY_SIZE(VARS)};

// The plan as text: "stage/name[when,allow]<needs>" per job, or "none: why", or "error: ...".
static char *plan_text(struct arena *a, const char *config, const struct ci_context *ctx)
{
    struct ci_plan p;
    _autobuf_ struct buf b = BUF_INIT(KIB(64));
    if (ci_plan(a, str_of(config), ctx, &p)) {
        for (size_t i = 0; i < p.errors.n; i++)
            buf_addf(&b, "error: %u:%u %s: %s\n", p.errors.list[i].pos.line,
                     p.errors.list[i].pos.col, p.errors.list[i].path.p, p.errors.list[i].msg.p);
    } else if (!p.njobs) {
        buf_addf(&b, "none: %" PRISTR, STRARG(p.none_because));
    }
    for (size_t i = 0; !p.errors.n && i < p.njobs; i++) {
        const struct ci_plan_job *j = &p.jobs[i];
        buf_addf(&b, "%s%" PRISTR "/%" PRISTR, i ? " " : "", STRARG(j->stage), STRARG(j->name));
        if (j->when != CI_ON_SUCCESS || j->allow_failure)
            buf_addf(&b, "[%s%s]", ci_when_name(j->when), j->allow_failure ? ",allow" : "");
        for (size_t k = 0; k < j->nneeds; k++)
            buf_addf(&b, "<%" PRISTR "%s", STRARG(p.jobs[j->needs[k].job].name),
                     j->needs[k].artifacts ? "" : "-");
        if (j->dag && !j->nneeds)
            buf_adds(&b, "<");
    }
    return arena_dup(a, buf_str(&b));
}

static const struct ci_context TAG = {.ref = STR("v1.0"), .tag = true, .source = STR("push")};
static const struct ci_context MERGE = {.ref = STR("topic"), .source = STR("merge_request_event")};
static const struct ci_context WEB = {.ref = STR("main"), .source = STR("web")};

static const struct {
    const struct ci_context *ctx;
    const char *config, *want;
} CASES[] = {
    {&MAIN, "b: {script: x, stage: deploy}\na: {script: x}\nc: {script: x}\n",
     "test/a test/c deploy/b"},
    {&MAIN, "a: {script: x, stage: .post}\nb: {script: x, stage: .pre}\nc: {script: x}\n",
     ".pre/b test/c .post/a"},
    {&MAIN, "a: {script: x, stage: .pre}\n",
     "none: only jobs of the stages .pre and .post are left"},
    // when and allow_failure
    {&MAIN,
     "a: {script: x, when: manual}\nb: {script: x, when: manual, allow_failure: false}\n"
     "c: {script: x, when: always, allow_failure: true}\nd: {script: x, allow_failure: "
     "{exit_codes: 1}}\n",
     "test/a[manual,allow] test/b[manual] test/c[always,allow] test/d"},
    // rules: the first that matches decides; none: out; manual is blocking here
    {&MAIN,
     "a: {script: x, rules: [{if: $NOPE}, {if: $CI_COMMIT_BRANCH, when: manual}, {when: never}]}\n"
     "b: {script: x, rules: [{if: $NOPE}]}\n"
     "c: {script: x, rules: [{if: '$CI_COMMIT_BRANCH == \"main\"', when: never}, {when: always}]}\n"
     "d: {script: x, rules: [{when: on_failure}]}\n"
     "e: {script: x, when: manual, rules: [{if: $CI_COMMIT_BRANCH}]}\n"
     "f: {script: x, rules: [{when: manual, allow_failure: true}]}\n"
     "g: {script: x, allow_failure: true, rules: [{if: $CI_COMMIT_BRANCH}]}\n"
     "h: {script: x, rules: null}\n",
     "test/a[manual] test/d[on_failure] test/e[manual,allow] test/f[manual,allow] "
     "test/g[on_success,allow] test/h"},
    {&MAIN, "a: {script: x, rules: []}\n", "none: the rules of every job leave it out"},
    // what rules see: predefined < global < job < project < pipeline
    {&MAIN,
     "variables: {V: global, PROJECT: file, GIVEN: file, CI_DEFAULT_BRANCH: own}\n"
     "a: {script: x, variables: {V: job}, rules: [{if: '$V == \"job\"'}]}\n"
     "b: {script: x, rules: [{if: '$V == \"global\"'}]}\n"
     "c: {script: x, rules: [{if: '$PROJECT == \"project\" && $GIVEN == \"given\"'}]}\n"
     "d: {script: x, rules: [{if: '$CI_DEFAULT_BRANCH == \"own\"'}]}\n",
     "test/a test/b test/c test/d"},
    // workflow
    {&MAIN, "workflow: {rules: [{if: $NOPE}]}\na: {script: x}\n",
     "none: no rule of `workflow:rules` matches"},
    {&MAIN,
     "workflow:\n  rules:\n    - {if: $CI_COMMIT_BRANCH, when: never}\n    - when: always\na: "
     "{script: x}\n",
     "none: the rule of `workflow:rules` in line 3 says `when: never`"},
    {&MAIN,
     "workflow: {rules: [{if: $CI_COMMIT_BRANCH, variables: {W: set}}]}\n"
     "a: {script: x, rules: [{if: '$W == \"set\"'}]}\nb: {script: x, rules: [{if: '$W == "
     "null'}]}\n",
     "test/a"},
    // only, except
    {&MAIN,
     "a: {script: x, only: [main]}\nb: {script: x, only: [dev]}\nc: {script: x, only: [/^ma/]}\n"
     "d: {script: x, only: [/^MA/i]}\ne: {script: x, only: [/^MA/]}\nf: {script: x, only: "
     "[branches]}\n"
     "g: {script: x, only: [tags]}\nh: {script: x, only: [pushes]}\ni: {script: x, only: [web]}\n",
     "test/a test/c test/d test/f test/h"},
    {&MAIN,
     "a: {script: x, except: [main]}\nb: {script: x, except: [tags]}\nc: {script: x, except: "
     "[branches]}\n"
     "d: {script: x, only: [branches], except: [/^ma/]}\n",
     "test/b"},
    {&MAIN,
     "a: {script: x, only: [main@group/project]}\nb: {script: x, only: [main@other/project]}\n"
     "c: {script: x, only: [/^ma/@group/project]}\nd: {script: x, except: "
     "[branches@group/project]}\n",
     "test/a test/c"},
    {&MAIN,
     "a: {script: x, only: {variables: [$NOPE, $GIVEN]}}\nb: {script: x, only: {variables: "
     "[$NOPE]}}\n"
     "c: {script: x, only: {refs: [dev], variables: [$GIVEN]}}\nd: {script: x, except: {variables: "
     "[$GIVEN]}}\n",
     "test/a"},
    {&TAG,
     "a: {script: x}\nb: {script: x, only: [tags]}\nc: {script: x, only: [branches]}\n"
     "d: {script: x, only: [/^v\\d/]}\ne: {script: x, except: [tags]}\n",
     "test/a test/b test/d"},
    {&MERGE,
     "a: {script: x}\nb: {script: x, only: [merge_requests]}\nc: {script: x, rules: [{when: "
     "always}]}\n",
     "test/b test/c[always]"},
    {&MERGE, "workflow: {rules: [{when: always}]}\na: {script: x}\n", "test/a"},
    {&WEB,
     "a: {script: x, only: [web]}\nb: {script: x, only: [pushes]}\nc: {script: x, except: [web]}\n",
     "test/a"},
    // needs
    {&MAIN,
     "a: {script: x}\nb: {script: x, needs: [a, {job: c, artifacts: false}], stage: deploy}\nc: "
     "{script: x, needs: []}\n",
     "test/a test/c< deploy/b<a<c-"},
    {&MAIN, "a: {script: x, rules: [{when: never}]}\nb:\n  script: x\n  needs: [a]\n",
     "error: 4:11 b:needs: `a` is needed but its rules leave it out of this pipeline\n"},
    {&MAIN,
     "a: {script: x, rules: [{when: never}]}\nb: {script: x, needs: [{job: a, optional: true}]}\n",
     "test/b<"},
    // extends, references, anchors
    {&MAIN,
     ".r: {rules: [{if: $NOPE}]}\n.base: {stage: deploy, when: manual}\n"
     "a: {extends: .base, script: x}\nb: {script: x, rules: [!reference [.r, rules], {when: "
     "always}]}\n",
     "test/b[always] deploy/a[manual,allow]"},
};

static void test_plans(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        _autoarena_ struct arena a;
        arena_init(&a, CI_ARENA_BYTES);
        const char *got = plan_text(&a, CASES[i].config, CASES[i].ctx);
        if (strcmp(got, CASES[i].want) != 0) {
            print_error("---\n%s\ngot:  %s\nwant: %s\n", CASES[i].config, got, CASES[i].want);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void test_options(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    arena_init(&a, CI_ARENA_BYTES);
    struct ci_plan p;
    assert_int_equal(ci_plan(&a,
                             STR("a:\n"
                                 "  image: ruby:3\n"
                                 "  before_script: [b]\n"
                                 "  script: [s, [t]]\n"
                                 "  after_script: c\n"
                                 "  variables: {V: {value: x, expand: false}}\n"
                                 "  artifacts: {paths: [p], when: always, expire_in: 2 days}\n"
                                 "  retry: {max: 2, when: [script_failure], exit_codes: 7}\n"
                                 "  allow_failure: {exit_codes: [3]}\n"
                                 "  coverage: '/(\\d+)%/'\n"
                                 "  tags: [t1]\n"
                                 "  timeout: 90m\n"
                                 "  interruptible: true\n"
                                 "pages: {script: x, artifacts: {paths: [public]}}\n"),
                             &MAIN, &p),
                     0);
    const struct ci_plan_job *j = &p.jobs[0];
    assert_str(j->options,
               "{\"before_script\":[\"b\"],\"script\":[\"s\",\"t\"],\"after_script\":[\"c\"],"
               "\"artifacts\":{\"untracked\":false,\"paths\":[\"p\"],\"when\":\"always\","
               "\"expire_in\":\"2 days\"},"
               "\"retry\":{\"max\":2,\"when\":[\"script_failure\"],\"exit_codes\":[7]},"
               "\"allow_failure_exit_codes\":[3],\"coverage\":\"/(\\\\d+)%/\",\"image\":\"ruby:3\","
               "\"variables\":[{\"key\":\"V\",\"value\":\"x\",\"level\":\"job\",\"raw\":true,"
               "\"line\":6}],\"notes\":[\"`image: ruby:3` is ignored: Slipway runs jobs in its own "
               "sandbox on this machine\"]}");
    assert_int_equal(j->timeout_s, 5400);
    assert_true(j->interruptible);
    assert_str(j->tags.list[0], "t1");
    assert_int_equal(j->artifacts_expire_s, 172800);
    assert_true(p.jobs[1].is_pages);
    assert_true(str_search(p.jobs[1].options, STR("\"publish\":\"public\"")) > 0);
    assert_int_equal(p.stages.n, 1);
}

static struct str resolved(const struct ci_var *vars, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(vars[i].key, key))
            return vars[i].value;
    return STR_NONE;
}

static void test_resolve(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    arena_init(&a, MIB(16));
    const struct ci_var vars[] = {
        {.key = STR("A"), .value = STR("given"), .level = CI_VAR_PIPELINE},
        {.key = STR("A"), .value = STR("file"), .level = CI_VAR_JOB},
        {.key = STR("B"), .value = STR("$A-${A}-$NOPE-$$A"), .level = CI_VAR_JOB},
        {.key = STR("C"), .value = STR("$B"), .level = CI_VAR_GLOBAL},
        {.key = STR("RAW"), .value = STR("$A"), .level = CI_VAR_JOB, .raw = true},
        {.key = STR("USE"), .value = STR("<$RAW>"), .level = CI_VAR_JOB},
        {.key = STR("FILE"), .value = STR("secret"), .level = CI_VAR_PROJECT, .file = true},
        {.key = STR("F"), .value = STR("at $FILE"), .level = CI_VAR_JOB},
        {.key = STR("X"), .value = STR("x$Y"), .level = CI_VAR_JOB},
        {.key = STR("Y"), .value = STR("y$X"), .level = CI_VAR_JOB},
        {.key = STR("ODD"), .value = STR("$ ${ ${A $1 $"), .level = CI_VAR_JOB},
        {.key = STR("TWICE"), .value = STR("1"), .level = CI_VAR_JOB},
        {.key = STR("TWICE"), .value = STR("2"), .level = CI_VAR_JOB},
    };
    size_t n;
    struct ci_var *r = ci_vars_resolve(&a, vars, ARRAY_SIZE(vars), true, &n);
    assert_int_equal(n, 11);
    assert_str(resolved(r, n, "A"), "given");
    assert_str(resolved(r, n, "B"), "given-given-$NOPE-$$A");
    assert_str(resolved(r, n, "C"), "given-given-$NOPE-$$A");
    assert_str(resolved(r, n, "RAW"), "$A");
    assert_str(resolved(r, n, "USE"), "<$A>");
    assert_str(resolved(r, n, "F"), "at $FILE");
    assert_str(resolved(r, n, "X"), "xy$X");
    assert_str(resolved(r, n, "Y"), "yx$Y");
    assert_str(resolved(r, n, "ODD"), "$ ${ ${A $1 $");
    assert_str(resolved(r, n, "TWICE"), "2");
    assert_str(r[n - 1].key, "A"); // highest last
}

// Each doubles the next: 2^60 bytes if done to the end.
static void test_resolve_bomb(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    arena_init(&a, MIB(64));
    struct ci_var vars[60];
    for (int i = 0; i < 60; i++)
        vars[i] = (struct ci_var){.key = arena_strf(&a, "V%d", i),
                                  .value = i ? arena_strf(&a, "$V%d$V%d", i - 1, i - 1)
                                             : STR("0123456789"),
                                  .level = CI_VAR_JOB};
    size_t n;
    int64_t from = cpu_us();
    struct ci_var *r = ci_vars_resolve(&a, vars, 60, true, &n);
    assert_true(cpu_us() - from < 2000 * 1000);
    assert_int_equal(resolved(r, n, "V5").n, 320);
    assert_true(a.total < MIB(32));
}

static void test_predefined(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    arena_init(&a, MIB(1));
    struct ci_facts f = {.project_path = STR("Group/Sub/Project"),
                         .external_url = STR("https://git.example.org"),
                         .pages_domain = STR("pages.example.org"),
                         .version = STR("1.2.3"),
                         .ref = STR("v1"),
                         .tag = true,
                         .source = STR("push"),
                         .job_id = 7,
                         .job_name = STR("rspec 1/5"),
                         .commit_message = STR("one line")};
    size_t n;
    struct ci_var *v = ci_predefined_job(&a, &f, &n);
    assert_str(resolved(v, n, "CI_COMMIT_TAG"), "v1");
    assert_null(resolved(v, n, "CI_COMMIT_BRANCH").p);
    assert_str(resolved(v, n, "CI_PAGES_URL"), "https://Group.pages.example.org/Sub/Project");
    assert_str(resolved(v, n, "CI_SERVER_PORT"), "443");
    assert_str(resolved(v, n, "CI_SERVER_FQDN"), "git.example.org");
    assert_str(resolved(v, n, "CI_SERVER_VERSION_MINOR"), "2");
    assert_str(resolved(v, n, "CI_PROJECT_PATH_SLUG"), "group-sub-project");
    assert_str(resolved(v, n, "CI_PROJECT_NAME"), "Project");
    assert_str(resolved(v, n, "CI_JOB_GROUP_NAME"), "rspec");
    assert_str(resolved(v, n, "CI_COMMIT_TITLE"), "one line");
    assert_str(resolved(v, n, "CI_COMMIT_DESCRIPTION"), "");
    f.tag = false;
    v = ci_predefined_pipeline(&a, &f, &n);
    assert_str(resolved(v, n, "CI_COMMIT_BRANCH"), "v1");
    assert_null(resolved(v, n, "CI_JOB_ID").p);
}

// What one text stands for many times by alias costs memory in scripts, expressions and variables.
// A small arena (a request's) is enough to say no.
static void test_hostile_sharing(void **state)
{
    (void)state;
    struct buf text[5];
    for (size_t i = 0; i < ARRAY_SIZE(text); i++)
        text[i] = BUF_INIT(MIB(3));
    char *big = mem_zalloc(900001, 1);
    memset(big, 'x', 900000);
    buf_addf(&text[0], ".s: &s ['%s']\n", big);
    for (int i = 0; i < 1000; i++)
        buf_addf(&text[0], "j%d: {script: *s}\n", i);
    buf_addf(&text[1], ".e: &e $A == '%s'\nj: {script: x, rules: [", big);
    for (int i = 0; i < 2000; i++)
        buf_adds(&text[1], "{if: *e}, ");
    buf_adds(&text[1], "{when: never}]}\n");
    buf_adds(&text[2], "variables:\n");
    for (int i = 0; i < 900; i++)
        buf_addf(&text[2], "  V%d: '%.900s'\n", i, big);
    for (int i = 0; i < 900; i++)
        buf_addf(&text[2], "j%d: {script: x}\n", i);
    buf_adds(&text[3], ".r: &r [");
    for (int i = 0; i < 400; i++)
        buf_adds(&text[3], "{if: $A}, ");
    buf_adds(&text[3], "{when: always}]\n");
    for (int i = 0; i < 400; i++)
        buf_addf(&text[3], "j%d: {script: x, rules: *r}\n", i);
    buf_addf(&text[4], "j: {script: ['%s', '%s']}\n", big, big);
    static const char *const WANT[] = {"more memory", "", "more memory", "more memory", "1 MiB"};
    for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
        for (size_t room = MIB(64); room >= MIB(4); room /= 4) {
            _autoarena_ struct arena a;
            struct ci_plan p;
            arena_init(&a, room);
            assert_true(buf_ok(&text[i]));
            int64_t from = cpu_us();
            int rc = ci_plan(&a, buf_str(&text[i]), &MAIN, &p);
            assert_true(cpu_us() - from < 5000 * 1000);
            assert_true(!rc || p.errors.n);
            if (room == MIB(64) && WANT[i][0] &&
                (!p.errors.n || str_search(p.errors.list[0].msg, str_of(WANT[i])) < 0)) {
                print_error("text %zu: %s\n", i, p.errors.n ? p.errors.list[0].msg.p : "accepted");
                fail();
            }
        }
        buf_done(&text[i]);
    }
    free(big);
}

static void test_speed(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(MIB(1));
    buf_adds(&b, "variables: {A: b, C: d}\n.base: {tags: [x], before_script: [a, b, c]}\n");
    for (int i = 0; i < 500; i++)
        buf_addf(
            &b,
            "job %d:\n  extends: .base\n  stage: %s\n  script:\n    - make %d\n    - make test\n"
            "  rules:\n    - if: $CI_COMMIT_BRANCH == \"dev\"\n      when: manual\n"
            "    - if: $CI_PIPELINE_SOURCE == \"push\" && $CI_COMMIT_BRANCH =~ /^ma/\n%s",
            i, i % 2 ? "test" : "build", i, i % 2 ? "  needs: [job 0]\n" : "");
    int64_t best = INT64_MAX;
    for (int k = 0; k < 5; k++) {
        _autoarena_ struct arena a;
        arena_init(&a, CI_ARENA_BYTES);
        struct ci_plan p;
        int64_t from = cpu_us();
        assert_int_equal(ci_plan(&a, buf_str(&b), &MAIN, &p), 0);
        best = MIN(best, cpu_us() - from);
        assert_int_equal(p.njobs, 500);
    }
    print_message("500 jobs (%zu KB) planned in %.1f ms\n", b.n / 1000, (double)best / 1000.0);
    assert_true(best < 400 * 1000); // with sanitizers; bench/ has the real bar
    buf_done(&b);
}

RUN_TESTS(cmocka_unit_test(test_plans), cmocka_unit_test(test_options),
          cmocka_unit_test(test_resolve), cmocka_unit_test(test_resolve_bomb),
          cmocka_unit_test(test_predefined), cmocka_unit_test(test_hostile_sharing),
          cmocka_unit_test(test_speed))
