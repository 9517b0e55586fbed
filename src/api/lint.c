// SPDX-License-Identifier: Apache-2.0
// Checks a pipeline configuration without starting anything: the text given, or the file of a ref.
// The language is src/ci's pure half. Runs in request workers.
#include "api/repo.h"
#include "api/tables.h"
#include "ci/plan.h"

static void problems(struct jout *j, const char *key, const struct ci_problems *list)
{
    jout_key(j, key);
    jout_array(j);
    for (size_t i = 0; i < list->n; i++) {
        _autobuf_ struct buf text = BUF_INIT(KIB(8));
        ci_problem_text(&list->list[i], &text);
        jout_str(j, buf_str(&text));
    }
    jout_end_array(j);
}

static void job(struct jout *j, const struct ci_plan_job *one)
{
    jout_object(j);
    jout_kstr(j, "name", one->name);
    jout_kstr(j, "stage", one->stage);
    jout_kcstr(j, "when", ci_when_name(one->when));
    jout_kbool(j, "allow_failure", one->allow_failure);
    jout_key(j, "tag_list");
    jout_array(j);
    for (size_t i = 0; i < one->tags.n; i++)
        jout_str(j, one->tags.list[i]);
    jout_end_array(j);
    jout_end_object(j);
}

static int check(struct api_req *r, struct str text)
{
    struct ci_plan plan = {0};
    struct str ref = req_str(r, "ref", r->project.default_branch);
    struct ci_var vars[] = {
        {.key = STR("CI_COMMIT_BRANCH"), .value = ref},
        {.key = STR("CI_COMMIT_REF_NAME"), .value = ref},
        {.key = STR("CI_DEFAULT_BRANCH"), .value = r->project.default_branch},
        {.key = STR("CI_PIPELINE_SOURCE"), .value = STR("push")},
        {.key = STR("CI_PROJECT_PATH"), .value = r->project.full_path},
    };
    struct ci_context ctx = {.ref = ref,
                             .source = STR("push"),
                             .project_path = r->project.full_path,
                             .vars = vars,
                             .nvars = ARRAY_SIZE(vars)};
    int rc = ci_plan(r->a, text, &ctx, &plan);
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_kbool(j, "valid", rc == 0);
    problems(j, "errors", &plan.errors);
    problems(j, "warnings", &plan.warnings);
    jout_key(j, "merged_yaml");
    if (rc == 0)
        jout_str(j, text);
    else
        jout_null(j);
    jout_key(j, "includes");
    jout_array(j);
    jout_end_array(j);
    if (req_bool(r, "include_jobs", false)) {
        jout_key(j, "jobs");
        jout_array(j);
        for (size_t i = 0; rc == 0 && i < plan.njobs; i++)
            job(j, &plan.jobs[i]);
        jout_end_array(j);
    }
    jout_end_object(j);
    return reply_status(r, 200);
}

static int lint_post(struct api_req *r)
{
    req_end_read(r);
    return check(r, req_str(r, "content", STR_NONE));
}

static int lint_get(struct api_req *r)
{
    _autorepo_ struct git_repo *repo = NULL;
    const char *sha;
    struct git_blob blob;
    if (repo_open(r, &repo) < 0)
        return HTTP_DONE;
    struct str ref = req_str(r, "content_ref", req_str(r, "sha", req_str(r, "ref", STR_NONE)));
    if (repo_resolve(r, repo, ref, &sha) < 0)
        return reply_404(r, "Commit");
    struct str path =
        r->project.ci_config_path.n ? r->project.ci_config_path : STR(".gitlab-ci.yml");
    int rc = git_read_blob(repo, str_of(sha), path, MIB(2), r->a, &blob, &r->e);
    if (rc == E_NOTFOUND || rc == E_INVALID)
        return reply_404(r, "Files");
    REQ_TRY(r, rc, "Files");
    return check(r, blob.data);
}

#define JOBS OPT("include_jobs", BOOL, "List the jobs there would be.")

static const struct route routes[] = {
    ROUTE(POST, "/projects/:id/ci/lint", lint_post, API, DEVELOPER, .reply = "lint", .status = 200,
          .doc = "Check a configuration.", .body_max = MIB(4),
          PARAMS(REQ("content", STR, "The text of the file.", .max = MIB(2)),
                 OPT("ref", STR, "As if pushed to this branch.", .max = 1024),
                 OPT("dry_run", BOOL, "Accepted; rules are always applied."), JOBS)),
    ROUTE(GET, "/projects/:id/ci/lint", lint_get, READ_API, REPORTER, .reply = "lint",
          .doc = "Check the configuration of a commit.",
          PARAMS(OPT("content_ref", STR, "Branch, tag or commit of the file.", .max = 1024),
                 OPT("sha", STR, "The older name of content_ref.", .max = 1024),
                 OPT("ref", STR, "As if pushed to this branch.", .max = 1024),
                 OPT("dry_run", BOOL, "Accepted; rules are always applied."), JOBS)),
};
const struct route_table lint_table = ROUTE_TABLE("CI lint", routes);
