// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "runner/job.h"

static int parse(const char *json, struct arena *a, struct job *j, struct err *e)
{
    arena_init(a, MIB(4));
    return job_parse(str_of(json), a, j, e);
}

static void a_whole_job(void **state)
{
    (void)state;
    static const char JSON[] =
        "{\"id\":5,\"token\":\"t\",\"allow_git_fetch\":false,\"job_info\":{\"name\":\"n\","
        "\"project_id\":7,"
        "\"project_full_path\":\"g/"
        "p\",\"unknown\":[1]},\"git_info\":{\"repo_url\":\"u\",\"sha\":\"s\","
        "\"refspecs\":[\"a\",\"b\"],\"depth\":20},\"runner_info\":{\"timeout\":60},\"variables\":["
        "{\"key\":\"K\",\"value\":\"1\"},{\"key\":\"K\",\"value\":\"2\",\"masked\":true,\"raw\":"
        "true,\"file\":true}],"
        "\"steps\":[{\"name\":\"script\",\"script\":[\"x\",\"y\"]}],\"artifacts\":null,\"image\":{"
        "\"name\":\"i\"},"
        "\"dependencies\":[{\"id\":3,\"token\":\"d\",\"name\":\"m\",\"artifacts_file\":{"
        "\"filename\":\"f\",\"size\":9}}],"
        "\"features\":{\"trace_sections\":true,\"failure_reasons\":[\"unknown_failure\"]}}";
    struct arena a;
    struct job j;
    struct err e = ERR_INIT;
    assert_int_equal(parse(JSON, &a, &j, &e), 0);
    assert_int_equal(j.id, 5);
    assert_false(j.allow_git_fetch);
    assert_str(j.project_path, "g/p");
    assert_int_equal(j.nrefspecs, 2);
    assert_int_equal(j.depth, 20);
    assert_int_equal(j.timeout_s, 60);
    const struct job_var *v = job_var(&j, "K");
    assert_str(v->value, "2");
    assert_true(v->masked && v->raw && v->file);
    assert_int_equal(j.nsteps, 1);
    assert_str(j.steps[0].script[1], "y");
    assert_int_equal(j.nartifacts, 0);
    assert_true(j.has_image && j.trace_sections);
    assert_int_equal(j.deps[0].size, 9);
    assert_true(job_knows_reason(&j, "unknown_failure"));
    assert_true(job_knows_reason(&j, "script_failure"));
    assert_false(job_knows_reason(&j, "runner_interrupted"));
    arena_done(&a);
}

static void bad_jobs(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } CASES[] = {
        {"", "not JSON"},
        {"[]", "not a JSON object"},
        {"{\"token\":\"t\"}", "no id"},
        {"{\"id\":\"5\",\"token\":\"t\"}", "id has the wrong type"},
        {"{\"id\":5}", "no token"},
        {"{\"id\":5,\"token\":\"t\",\"steps\":{}}", "steps has the wrong type"},
        {"{\"id\":5,\"token\":\"t\",\"variables\":[{\"value\":\"x\"}]}", "variables[].key"},
        {"{\"id\":5,\"token\":\"t\",\"variables\":[3]}", "variables[].key"},
        {"{\"id\":5,\"token\":\"t\",\"steps\":[{\"name\":\"s\",\"script\":[1]}]}",
         "something else than text"},
        {"{\"id\":5,\"token\":\"t\",\"run\":\"[{}]\"}", "run:"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct arena a;
        struct job j;
        struct err e = ERR_INIT;
        assert_int_equal(parse(CASES[i].json, &a, &j, &e), E_INVALID);
        if (!strstr(e.msg, CASES[i].says))
            fail_msg("%s: says '%s', not '%s'", CASES[i].json, e.msg, CASES[i].says);
        arena_done(&a);
    }
}

RUN_TESTS(cmocka_unit_test(a_whole_job), cmocka_unit_test(bad_jobs))
