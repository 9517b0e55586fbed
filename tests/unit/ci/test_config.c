// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"
#include "ci/config.h"

#include <time.h>

// Time of this process alone: other load on the machine does not count.
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

// Each problem of `text` as "LINE:COLUMN path: message; expected", one per line.
static char *problems(struct arena *a, const char *text, bool warnings)
{
    struct ci_problems errors = {0}, notes = {0};
    struct ci_config *c;
    int rc = ci_config_parse(a, str_of(text), &c, &errors, &notes);
    assert_true(rc ? errors.n > 0 : !errors.n && c);
    _autobuf_ struct buf b = BUF_INIT(MIB(1));
    const struct ci_problems *ps = warnings ? &notes : &errors;
    for (size_t i = 0; i < ps->n; i++)
        buf_addf(&b, "%s%u:%u %s: %s%s%s", i ? "\n" : "", ps->list[i].pos.line, ps->list[i].pos.col,
                 ps->list[i].path.p, ps->list[i].msg.p, ps->list[i].expected.n ? "; " : "",
                 ps->list[i].expected.p);
    return arena_dup(a, buf_str(&b));
}

static const struct {
    const char *text;
    const char *want; // what the list of errors begins with or holds; "" for none
} ERRORS[] = {
    // the file
    {"", "1:1 : the file is empty"},
    {"# nothing\n", "1:1 : the file is empty"},
    {"- a\n", "1:1 : the file is a list; expected a map"},
    {"just text\n", "1:1 : the file is a string"},
    {"a: [1\n", "not valid YAML"},
    {"a: 'x\n", "not valid YAML"},
    {"a:\n\tb: 1\n", "2:1 : not valid YAML"},
    {"a: *nope\n", "1:4 : the alias `*nope` has no anchor"},
    {"x: &a [*a]\n", "1:8 : the alias `*a` stands inside its own anchor"},
    {"a: \"\\xff\x01\"\n", "1:9 : not valid YAML: control characters are not allowed"},
    {"stages: [a]\n", "1:1 : the file has no visible job"},
    {".a: {script: x}\n", "1:1 : the file has no visible job"},
    {"spec: {}\n---\na: {script: x}\n",
     "`spec` is a GitLab keyword that Slipway does not support yet"},
    // sections that are not there yet, or not at all
    {"include: a.yml\na: {script: x}\n",
     "1:1 : `include` is a GitLab keyword that Slipway does not support yet"},
    {"services: [x]\na: {script: x}\n", "1:1 : `services` is a GitLab keyword"},
    {"cache: {}\na: {script: x}\n", "1:1 : `cache` is a GitLab keyword"},
    {"stagess: [a]\na: {script: x}\n",
     "1:1 stagess: `stagess` is neither a keyword nor a job: it is a list; did you mean `stages`?"},
    {"foo: 1\na: {script: x}\n", "1:1 foo: `foo` is neither a keyword nor a job: it is an integer; "
                                 "expected a map with `script`"},
    {"types: [a]\na: {script: x}\n", "1:1 types: `types` is a reserved word"},
    {"nil: {script: x}\n", "1:1 nil: `nil` is a reserved word"},
    {"\"\": {script: x}\n", "1:1 : `` cannot be the name of a job: it is empty"},
    // stages
    {"stages: build\na: {script: x}\n", "1:9 stages: this is a string; expected a list of names"},
    {"stages: [1]\na: {script: x}\n", "1:10 stages[1]: this is an integer; expected a string"},
    {"stages: [build]\na: {script: x}\n",
     "2:1 a:stage: there is no stage `test`; the stages are .pre, build, .post"},
    {"a:\n  stage: biuld\n  script: x\n",
     "2:10 a:stage: there is no stage `biuld`; the stages are .pre, build, test, deploy, .post"},
    {"a:\n  stage: [test]\n  script: x\n", "2:10 a:stage: this is a list; expected a string"},
    // script
    {"a:\n  stage: test\n",
     "1:1 a: the job has no `script`; expected `script:` with at least one command"},
    {"a:\n  script:\n", "1:1 a: the job has no `script`"},
    {"a:\n  script: []\n", "2:11 a:script: the script is empty"},
    {"a:\n  script: 5\n", "2:11 a:script: this is an integer; expected a string"},
    {"a:\n  script:\n    - echo: foo\n",
     "3:7 a:script[1]: this is a map; expected a command; a line that holds"},
    {"a:\n  script:\n    - echo\n    - true\n",
     "4:7 a:script[2]: this is a boolean; expected a string; put it in quotes"},
    {"a:\n  script: {x: y}\n", "2:11 a:script: this is a map; expected a command or a list"},
    {"a: {script: [[[[[[[[[[[[x]]]]]]]]]]]]}\n", "lists in a script may be nested 10 levels deep"},
    {"a:\n  script: x\n  before_script: {}\n", "3:18 a:before_script: this is a map"},
    // keywords
    {"a:\n  scirpt: x\n  script: y\n",
     "2:3 a: `scirpt` is not a keyword of a job; did you mean `script`?"},
    {"a:\n  Script: x\n", "2:3 a: `Script` is not a keyword of a job; did you mean `script`?"},
    {"a:\n  allow-failure: true\n  script: y\n",
     "2:3 a: `allow-failure` is not a keyword of a job; did you mean `allow_failure`?"},
    {"a:\n  foobarbaz: 1\n  script: y\n", "2:3 a: `foobarbaz` is not a keyword of a job"},
    {"a:\n  cache: {}\n  script: y\n",
     "2:3 a: `cache` is a GitLab keyword that Slipway does not support yet"},
    {"a:\n  parallel: 3\n  script: y\n",
     "`parallel` is a GitLab keyword that Slipway does not support yet"},
    {"a:\n  trigger: x\n",
     "2:3 a: `trigger` is a GitLab keyword that Slipway does not support yet"},
    {"default: {parallel: 3}\na: {script: y}\n",
     "1:11 default: `parallel` is not a keyword of `default`"},
    {"default: {cache: {}}\na: {script: y}\n", "1:11 default: `cache` is a GitLab keyword"},
    {"default: []\na: {script: y}\n", "1:10 default: this is a list; expected a map"},
    {"default: {image: a}\nimage: b\na: {script: y}\n",
     "2:1 image: `image` stands at the top of the file and in `default`"},
    // variables
    {"variables: [a]\na: {script: y}\n", "1:12 variables: this is a list; expected a map"},
    {"variables: {A: [1]}\na: {script: y}\n",
     "1:16 variables:A: this is a list; expected a string"},
    {"variables: {A: true}\na: {script: y}\n",
     "1:16 variables:A: this is a boolean; expected a string; put it in quotes"},
    {"variables: {A: 1.10}\na: {script: y}\n",
     "1:16 variables:A: this is a number; expected a string; put it in quotes"},
    {"variables: {A: {valu: x}}\na: {script: y}\n",
     "`valu` is not a keyword of a variable; did you mean `value`?"},
    {"variables: {A: {options: [x], value: x}}\na: {script: y}\n", "`options` is a GitLab keyword"},
    {"a: {script: y, variables: {A: {description: x, value: x}}}\n",
     "`description` is for variables at the top"},
    {"a: {script: y, variables: {A: {expand: no}}}\n", "the variable has no `value`"},
    {"variables: {A=B: x}\na: {script: y}\n", "this cannot be the name of a variable"},
    // rules
    {"a:\n  script: x\n  rules: {if: $A}\n",
     "3:10 a:rules: this is a map; expected a list of rules"},
    {"a:\n  script: x\n  rules: [$A]\n",
     "3:11 a:rules[1]: this is a string; expected a map with `if` or `when`"},
    {"a:\n  script: x\n  rules:\n    - if: $A ==\n",
     "4:11 a:rules[1]:if: the expression is wrong at character 6: expected a variable, a text, a "
     "pattern or `null`, found the end"},
    {"a:\n  script: x\n  rules:\n    - if: '${A}'\n", "write `$NAME`"},
    {"a:\n  script: x\n  rules:\n    - changes: [x]\n",
     "4:7 a:rules[1]: `changes` is a GitLab keyword that Slipway does not support yet"},
    {"a:\n  script: x\n  rules:\n    - exists: [x]\n", "`exists` is a GitLab keyword"},
    {"a:\n  script: x\n  rules:\n    - wen: never\n",
     "`wen` is not a keyword of a rule; did you mean `when`?"},
    {"a:\n  script: x\n  rules:\n    - when: sometimes\n",
     "4:13 a:rules[1]:when: `sometimes` is not a value of `when` here; expected one of "
     "`on_success`, `on_failure`, `always`, `manual`, `never`"},
    {"a:\n  script: x\n  rules:\n    - allow_failure: 3\n",
     "a:rules[1]:allow_failure: this is an integer; expected true or false"},
    {"a:\n  script: x\n  rules: [{}]\n", "a:rules[1]: the rule is empty"},
    {"a:\n  script: x\n  only: [main]\n  rules: [{when: always}]\n",
     "3:9 a: `only` may not be used together with `rules`"},
    {"a:\n  script: x\n  rules: [{when: always}]\n  except: [main]\n",
     "`except` may not be used together with `rules`"},
    // only, except
    {"a:\n  script: x\n  only: main\n", "3:9 a:only: this is a string; expected a list of refs"},
    {"a:\n  script: x\n  only: [/(x/]\n", "3:10 a:only[1]: `/(x/` is not a regular expression"},
    {"a:\n  script: x\n  only: {kubernetes: active}\n", "`kubernetes` is a GitLab keyword"},
    {"a:\n  script: x\n  except: {variables: ['$A = 1']}\n",
     "the expression is wrong at character 4"},
    {"a:\n  script: x\n  except: {}\n", "a:except: the map is empty"},
    // when, allow_failure, retry, timeout, tags
    {"a:\n  script: x\n  when: never\n", "3:9 a:when: `never` is not a value of `when` here"},
    {"a:\n  script: x\n  when: delayed\n",
     "`when: delayed` is a GitLab value that Slipway does not support yet"},
    {"a:\n  script: x\n  allow_failure: maybe\n",
     "3:18 a:allow_failure: this is a string; expected true or false"},
    {"a:\n  script: x\n  allow_failure: {exit_codes: [x]}\n",
     "a:allow_failure:exit_codes[1]: this is a string; expected a whole number"},
    {"a:\n  script: x\n  allow_failure: {codes: 1}\n",
     "`codes` is not a keyword of `allow_failure`"},
    {"a:\n  script: x\n  retry: 3\n", "3:10 a:retry: the number must be between 0 and 2"},
    {"a:\n  script: x\n  retry: often\n", "a:retry: this is a string; expected a whole number"},
    {"a:\n  script: x\n  retry: {max: 2, when: [bad_luck]}\n",
     "a:retry:when: `bad_luck` is not a reason to retry"},
    {"a:\n  script: x\n  timeout: soon\n",
     "3:12 a:timeout: `soon` is not a duration; expected a duration such as `30 min`"},
    {"a:\n  script: x\n  timeout: never\n", "`never` is not a duration"},
    {"a:\n  script: x\n  timeout: -5 min\n", "is not a duration"},
    {"a:\n  script: x\n  tags: fast\n", "3:9 a:tags: this is a string; expected a list of strings"},
    {"a:\n  script: x\n  interruptible: 1\n",
     "a:interruptible: this is an integer; expected true or false"},
    {"a:\n  script: x\n  coverage: 'x'\n", "3:13 a:coverage: `x` does not stand between slashes"},
    {"a:\n  script: x\n  coverage: '/(/'\n", "is not a regular expression"},
    {"a:\n  script: x\n  image: [a]\n", "a:image: this is a list; expected the image's name"},
    // artifacts
    {"a:\n  script: x\n  artifacts: dist\n", "3:14 a:artifacts: this is a string; expected a map"},
    {"a:\n  script: x\n  artifacts: {path: [x]}\n",
     "3:15 a:artifacts: `path` is not a keyword of `artifacts`; did you mean `paths`?"},
    {"a:\n  script: x\n  artifacts: {paths: x}\n",
     "a:artifacts:paths: this is a string; expected a list of strings"},
    {"a:\n  script: x\n  artifacts: {reports: {junit: x}}\n", "`reports` is a GitLab keyword"},
    {"a:\n  script: x\n  artifacts: {when: manual}\n",
     "`manual` is not a value of `when` here; expected one of `on_success`, `on_failure`, "
     "`always`"},
    {"a:\n  script: x\n  artifacts: {expire_in: 2 moons}\n",
     "`2 moons` is not a duration; expected a duration such as `30 min`, `1h 30m`, `2 days` or "
     "`never`"},
    // needs
    {"a:\n  script: x\n  needs: b\n", "3:10 a:needs: this is a string; expected a list of jobs"},
    {"a:\n  script: x\n  needs: [b]\n", "3:11 a:needs[1]: the job needs `b`, which does not exist"},
    {".b: {script: x}\na:\n  script: x\n  needs: [.b]\n", "the job needs `.b`, which is hidden"},
    {"a:\n  script: x\n  needs: [a]\n", "3:11 a:needs[1]: the job needs itself"},
    {"a:\n  script: x\n  needs: [b, b]\nb: {script: x}\n", "3:14 a:needs[2]: `b` is needed twice"},
    {"a:\n  script: x\n  needs: [b]\nb: {script: x, stage: deploy}\n",
     "a:needs[1]: the job needs `b` of the later stage `deploy`"},
    {"a: {script: x, needs: [b]}\nb: {script: x, needs: [c]}\nc: {script: x, needs: [a]}\n",
     "3:24 c:needs: jobs need each other in a circle: a -> b -> c -> a"},
    {"a:\n  script: x\n  needs: [{artifacts: true}]\n",
     "it does not say which job is needed; expected `job: name`"},
    {"a:\n  script: x\n  needs: [{job: b, parallel: x}]\nb: {script: x}\n",
     "`parallel` is a GitLab keyword"},
    {"a:\n  script: x\n  needs: {pipeline: x}\n", "`needs:pipeline` is a GitLab keyword"},
    {"a:\n  script: x\n  dependencies: [b]\n",
     "3:18 a:dependencies[1]: the job depends on `b`, which does not exist"},
    {"a:\n  script: x\n  needs: []\n  dependencies: [b]\nb: {script: x}\n",
     "`b` is a dependency but not needed; add it to `needs`"},
    // workflow
    {"workflow: {rule: []}\na: {script: x}\n",
     "1:12 workflow: `rule` is not a keyword of `workflow`; did you mean `rules`?"},
    {"workflow: {rules: [{when: manual}]}\na: {script: x}\n",
     "`manual` is not a value of `when` here; expected one of `always`, `never`"},
    {"workflow: {rules: [{allow_failure: true}]}\na: {script: x}\n",
     "`allow_failure` is not a keyword of a workflow rule"},
    {"workflow: {auto_cancel: {on_new_commit: maybe}}\na: {script: x}\n",
     "expected `conservative`, `interruptible` or `none`"},
    // extends, !reference
    {"a: {extends: .b, script: x}\n", "1:14 a:extends: there is no job `.b` to extend"},
    {".a: {extends: .b}\n.b: {extends: .a}\nc: {extends: .a, script: x}\n",
     "`extends` goes round in a circle"},
    {"a: {extends: 5, script: x}\n", "1:14 a:extends: this is an integer; expected a string"},
    {"a: {script: !reference [.b, script]}\n",
     "1:13 a:script: `!reference [.b, script]` points to nothing"},
    {"a: {script: !reference x}\n",
     "`!reference` takes a list of a job and its keywords; write `!reference [job, keyword]`"},
    {".a: {s: !reference [.b, s]}\n.b: {s: !reference [.a, s]}\nc: {script: [!reference [.a, "
     "s]]}\n",
     "goes round in a circle"},
    // the position is where the value really stands
    {".base:\n  tags: oops\na:\n  extends: .base\n  script: x\n", "2:9 a:tags: this is a string"},
    {".x: &x\n  retry: 9\na:\n  <<: *x\n  script: x\n",
     "2:10 a:retry: the number must be between 0 and 2"},
    // pages
    {"pages:\n  script: x\n  pages: {path_prefix: x}\n", "`path_prefix` is a GitLab keyword"},
    {"a:\n  script: x\n  pages: 5\n", "a:pages: this is an integer; expected true or false"},
};

static void test_errors(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ERRORS); i++) {
        _autoarena_ struct arena a;
        arena_init(&a, CI_ARENA_BYTES);
        const char *got = problems(&a, ERRORS[i].text, false);
        if (!strstr(got, ERRORS[i].want)) {
            print_error("---\n%s\ngot:  %s\nwant: %s\n", ERRORS[i].text, got, ERRORS[i].want);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static const char *const VALID[] = {
    "a: {script: x}\n",
    "a: {script: [x, [y, [z]]]}\n",
    "---\na: {script: x}\n",
    "stages: [[build], [test, [x]]]\na: {stage: x, script: x}\n",
    "stages: [.post, test, .pre, test]\na: {stage: .pre, script: x}\nb: {script: x}\n",
    "image: ruby\nbefore_script: [a]\nafter_script: a\na: {script: x}\n",
    "default: {image: {name: x, entrypoint: ['']}, tags: [a], retry: 2, timeout: 1h, "
    "interruptible: true}\na: {script: x}\n",
    "variables: {A: x, B: 5, C: {value: y, description: z, expand: false}, D: '', E: {description: "
    "d}}\na: {script: x}\n",
    "a: {script: x, rules: [{if: $A, when: manual, allow_failure: true, variables: {B: c}}, "
    "[{when: never}]]}\n",
    "a: {script: x, rules: []}\nb: {script: x, rules: null}\n",
    "a: {script: x, only: [branches, tags, /^v/i, main@group/project], except: {refs: [x], "
    "variables: [$A]}}\n",
    "a: {script: x, allow_failure: {exit_codes: 137}}\nb: {script: x, allow_failure: {exit_codes: "
    "[1, 2]}}\n",
    "a: {script: x, retry: {max: 1, when: script_failure, exit_codes: [1]}}\n",
    "a: {script: x, timeout: 3600}\nb: {script: x, timeout: 1h30}\n",
    "a: {script: x, needs: [b, {job: c, artifacts: false, optional: true}, {job: gone, optional: "
    "true}]}\nb: {script: x}\nc: {script: x}\n",
    "a: {script: x, artifacts: {paths: [a], exclude: [b], untracked: false, name: n, when: always, "
    "expire_in: never}}\n",
    "a: {script: x, coverage: '/(\\d+)%/'}\n",
    "pages: {script: x, publish: site}\nb: {script: x, pages: {publish: dist}}\nc: {script: x, "
    "pages: true}\n",
    ".a: {script: x}\nb: {extends: .a}\nc: {extends: [.a, b], stage: test}\n",
    ".a: &a {script: x}\nb: *a\nc: {<<: *a, tags: [x]}\nd: {<<: [*a, {tags: [y]}]}\n",
    ".s: {script: [a, b], rules: [{if: $A}]}\nc: {script: [x, !reference [.s, script], y], rules: "
    "[!reference [.s, rules]]}\n",
    "workflow: {name: n, rules: [{if: $A, variables: {B: c}}, {when: never}], auto_cancel: "
    "{on_new_commit: none, on_job_failure: all}}\na: {script: x}\n",
    "a: {script: x, stage: null, tags: null, needs: null}\n",
    ".hidden: 5\n.other: [x]\na: {script: x}\n",
    "\"job name with: colon\": {script: x}\n",
    "a: {script: x, dependencies: []}\n",
    "a: {stage: build, script: x}\nb: {script: x, dependencies: [a]}\n",
};

static void test_valid(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < ARRAY_SIZE(VALID); i++) {
        _autoarena_ struct arena a;
        arena_init(&a, CI_ARENA_BYTES);
        const char *got = problems(&a, VALID[i], false);
        if (got[0]) {
            print_error("---\n%s\ngot: %s\n", VALID[i], got);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

// Every mistake of a file at once, in its order.
static void test_all_at_once(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    arena_init(&a, CI_ARENA_BYTES);
    const char *got = problems(&a,
                               "stages: [build]\n"
                               "one:\n"
                               "  stage: tset\n"
                               "  script: x\n"
                               "  retry: 7\n"
                               "two:\n"
                               "  stage: build\n"
                               "  needs: [three]\n",
                               false);
    assert_string_equal(
        got, "3:10 one:stage: there is no stage `tset`; the stages are .pre, build, .post\n"
             "5:10 one:retry: the number must be between 0 and 2\n"
             "6:1 two: the job has no `script`; expected `script:` with at least one command\n"
             "8:11 two:needs[1]: the job needs `three`, which does not exist");
}

// What many jobs share is reported once.
static void test_shared_mistake_once(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    arena_init(&a, CI_ARENA_BYTES);
    const char *got = problems(&a,
                               ".b:\n  retry: 9\na: {extends: .b, script: x}\n"
                               "c: {extends: .b, script: x}\n",
                               false);
    assert_string_equal(got, "2:10 a:retry: the number must be between 0 and 2");
}

static void test_warnings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } CASES[] = {
        {"a: {script: x}\na: {script: y}\n",
         "2:1 : `a` is already there in line 1; the last one counts"},
        {".x: &x {script: y}\na: {script: x, <<: *x}\n",
         "2:16 : `script` of line 2 is replaced by this merge key below it"},
        {"variables: {T: 22:22}\na: {script: x}\n",
         "1:16 variables:T: `22:22` is the number 1342 in YAML; put it in quotes"},
        {"variables: {T: 0777}\na: {script: x}\n", "is the number 511 in YAML"},
        {"a: {script: x}\n---\nb: {script: y}\n",
         "the file holds 2 documents; only the first one counts"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        _autoarena_ struct arena a;
        arena_init(&a, CI_ARENA_BYTES);
        assert_string_equal(problems(&a, CASES[i].text, false), "");
        const char *got = problems(&a, CASES[i].text, true);
        if (!strstr(got, CASES[i].want)) {
            print_error("got %s\nwant %s\n", got, CASES[i].want);
            fail();
        }
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want; // -2: not one
    } CASES[] = {
        {"45", 45},
        {"1h30", 5400},
        {"1h 30m", 5400},
        {"1:30", 90},
        {"1:02:03", 3723},
        {"2 days", 172800},
        {"1 week", 604800},
        {"1 month", 2592000},
        {"1 year", 31557600},
        {"never", -1},
        {"3 mins 4 sec", 184},
        {"2h20min", 8400},
        {"1.5 hours", 5400},
        {"1 day and 2 hrs", 93600},
        {"", -2},
        {"x", -2},
        {"1 parsec", -2},
        {"-5", -2},
        {"1h 5x", -2},
        {"99999999999999 y", -2},
        {"5000 years", -2},
        {"1::2", -2},
        {"10m", 600},
        {"30 days", 2592000},
        {"6 mos 1 day", 15638400},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        int64_t got = -2;
        if (!ci_duration(str_of(CASES[i].text), &got))
            got = -2;
        if (got != CASES[i].want) {
            print_error("%s: %lld, want %lld\n", CASES[i].text, (long long)got,
                        (long long)CASES[i].want);
            fail();
        }
    }
}

static char *repeat(const char *unit, size_t n, const char *head, const char *tail)
{
    struct buf b = BUF_INIT(MIB(40));
    buf_adds(&b, head);
    for (size_t i = 0; i < n; i++)
        buf_adds(&b, unit);
    buf_adds(&b, tail);
    return buf_take(&b);
}

// Files made to hurt are refused quickly, with a reason, and without much memory.
static void test_hostile(void **state)
{
    (void)state;
    struct buf laughs = BUF_INIT(MIB(1)), refs = BUF_INIT(MIB(1)), ext = BUF_INIT(MIB(2));
    buf_adds(&laughs, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    buf_adds(&refs, ".r0: {s: [x, x, x, x, x, x, x, x, x, x]}\n");
    for (int i = 1; i < 10; i++) {
        buf_addf(&laughs, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i,
                 i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        buf_addf(&refs, ".r%d: {s: [", i);
        for (int k = 0; k < 10; k++)
            buf_addf(&refs, "%s!reference [.r%d, s]", k ? ", " : "", i - 1);
        buf_adds(&refs, "]}\n");
    }
    buf_adds(&refs, "job: {script: !reference [.r9, s]}\n");
    buf_adds(&ext, ".p:\n");
    for (int i = 0; i < 3000; i++)
        buf_addf(&ext, "  k%d: x\n", i);
    for (int i = 0; i < 3000; i++)
        buf_addf(&ext, "j%d: {extends: .p, script: x}\n", i);
    char *texts[] = {
        repeat("# ten megabytes of this\n", 10u << 20 >> 3, "a: {script: x}\n", ""),
        repeat("[", 10000, "a: ", ""),
        repeat("{a: ", 10000, "a: ", ""),
        repeat("- ", 10000, "a:\n  ", ""),
        buf_take(&laughs),
        buf_take(&refs),
        buf_take(&ext),
        repeat("- x\n", 300000, "a:\n", ""),
        repeat("x: *a\n", 3, "<<: &a {<<: {<<: {<<: {}}}}\n", ""),
        repeat("a", 300, "", ": {script: x}\n"),
    };
    static const char *const WANT[] = {
        "bytes, at most", "nested deeper", "nested deeper",
        "nested deeper",  "aliases",       "too large",
        "too large",      "more than",     "",
        "255 bytes",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        int64_t from = cpu_us();
        _autoarena_ struct arena a;
        arena_init(&a, CI_ARENA_BYTES);
        const char *got = problems(&a, texts[i], false);
        int64_t took = (cpu_us() - from) / 1000;
        if (!strstr(got, WANT[i]) || took > 3000 || a.total > MIB(150)) {
            print_error("text %zu: %lld ms, %zu bytes: %.300s\n", i, (long long)took, a.total, got);
            fail();
        }
        free(texts[i]);
    }
}

static void test_values(void **state)
{
    (void)state;
    _autoarena_ struct arena a;
    arena_init(&a, CI_ARENA_BYTES);
    struct ci_problems errors = {0}, warnings = {0};
    struct ci_config *c;
    assert_int_equal(
        ci_config_parse(&a,
                        STR("default: {tags: [d], retry: 1, before_script: [setup]}\n"
                            ".p: {variables: {A: p, B: p}, artifacts: {paths: [p], name: n}}\n"
                            "one:\n"
                            "  extends: .p\n"
                            "  variables: {B: own}\n"
                            "  artifacts: {paths: [own]}\n"
                            "  tags: [own]\n"
                            "  script: x\n"
                            "pages: {script: x, before_script: [], pages: true}\n"),
                        &c, &errors, &warnings),
        0);
    assert_int_equal(c->njobs, 2);
    const struct ci_job *j = ci_config_job(c, STR("one"));
    assert_int_equal(j->variables.n, 2);
    assert_str(j->variables.list[0].value, "p");
    assert_str(j->variables.list[1].value, "own");
    assert_int_equal(j->variables.list[0].pos.line, 2);
    assert_int_equal(j->variables.list[1].pos.line, 5);
    assert_int_equal(j->artifacts.paths.n, 1);
    assert_str(j->artifacts.paths.list[0], "own");
    assert_str(j->artifacts.name, "n");
    assert_str(j->tags.list[0], "own");
    assert_int_equal(j->retry_max, 1);
    assert_str(j->before_script.list[0], "setup");
    assert_int_equal(j->node[CI_KW_RETRY]->pos.line, 1);
    const struct ci_job *p = ci_config_job(c, STR("pages"));
    assert_true(p->is_pages);
    assert_int_equal(p->before_script.n, 0);
    assert_str(p->tags.list[0], "d");
    assert_str(p->artifacts.paths.list[0], "public");
    assert_null(ci_config_job(c, STR(".p")));
}

RUN_TESTS(cmocka_unit_test(test_errors), cmocka_unit_test(test_valid),
          cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_shared_mistake_once),
          cmocka_unit_test(test_warnings), cmocka_unit_test(test_durations),
          cmocka_unit_test(test_hostile), cmocka_unit_test(test_values))
