// SPDX-License-Identifier: Apache-2.0
// Writes rows of the store and objects of Git as the JSON that GitLab's clients know. Only formats:
// what may be shown was decided before. Called by handlers in their worker thread.
#include "api/shapes.h"

#include "base/clock.h"

#include <inttypes.h>

void shape_kdate(struct jout *j, const char *key, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    jout_key(j, key);
    if (wall_ms)
        jout_str(j, str_head(str_of(clock_rfc3339(wall_ms, text)), 10));
    else
        jout_null(j);
}

void shape_kopt(struct jout *j, const char *key, struct str s)
{
    jout_key(j, key);
    if (s.n)
        jout_str(j, s);
    else
        jout_null(j);
}

void shape_kseconds(struct jout *j, const char *key, int64_t ms)
{
    jout_key(j, key);
    if (ms >= 0)
        jout_double(j, (double)ms / 1000.0);
    else
        jout_null(j);
}

static void kurl(struct api_req *r, struct jout *j, const char *key, struct str path,
                 const char *after)
{
    jout_kstr(j, key, req_url(r, "/%" PRISTR "%s", STRARG(path), after));
}

// ---- people ----

static void user_basic_fields(struct api_req *r, struct jout *j, const struct user *u)
{
    jout_kint(j, "id", u->id);
    jout_kstr(j, "username", u->username);
    jout_kstr(j, "name", u->name);
    jout_kcstr(j, "state", user_state_name(u->state));
    jout_kbool(j, "locked", false);
    jout_knull(j, "avatar_url");
    kurl(r, j, "web_url", u->username, "");
}

void shape_user_basic(struct api_req *r, struct jout *j, const struct user *u)
{
    jout_object(j);
    user_basic_fields(r, j, u);
    jout_end_object(j);
}

void shape_user_ref(struct api_req *r, struct jout *j, int64_t user_id)
{
    struct user u;
    if (user_id && user_get(&r->tx, r->a, user_id, &u, NULL) == 0)
        shape_user_basic(r, j, &u);
    else
        jout_null(j);
}

void shape_user(struct api_req *r, struct jout *j, const struct user *u, enum shape_view view)
{
    jout_object(j);
    user_basic_fields(r, j, u);
    jout_ktime(j, "created_at", u->created_at);
    jout_kcstr(j, "bio", "");
    jout_kcstr(j, "location", "");
    jout_knull(j, "public_email");
    jout_kbool(j, "bot", false);
    if (view != SHAPE_PUBLIC) {
        jout_kstr(j, "email", u->email);
        jout_kstr(j, "commit_email", u->email);
        shape_kdate(j, "last_activity_on", u->last_activity_at);
        jout_ktime(j, "confirmed_at", u->created_at);
        jout_key(j, "identities");
        jout_array(j);
        jout_end_array(j);
        jout_kbool(j, "can_create_group", true);
        jout_kbool(j, "can_create_project", true);
        jout_kbool(j, "two_factor_enabled", false);
        jout_kbool(j, "external", false);
        jout_kbool(j, "private_profile", false);
        jout_kint(j, "projects_limit", 100000);
        if (view == SHAPE_ADMIN || u->admin)
            jout_kbool(j, "is_admin", u->admin);
        jout_kint(j, "namespace_id", u->namespace_id);
    }
    jout_end_object(j);
}

// ---- places ----

static void kparent(struct jout *j, int64_t parent_id)
{
    jout_key(j, "parent_id");
    if (parent_id)
        jout_int(j, parent_id);
    else
        jout_null(j);
}

void shape_namespace(struct api_req *r, struct jout *j, const struct ns *n)
{
    jout_object(j);
    jout_kint(j, "id", n->id);
    jout_kstr(j, "name", n->name);
    jout_kstr(j, "path", n->path);
    jout_kcstr(j, "kind", n->group ? "group" : "user");
    jout_kstr(j, "full_path", n->full_path);
    kparent(j, n->parent_id);
    jout_knull(j, "avatar_url");
    jout_kstr(j, "web_url",
              n->group ? req_url(r, "/groups/%" PRISTR, STRARG(n->full_path))
                       : req_url(r, "/%" PRISTR, STRARG(n->full_path)));
    jout_end_object(j);
}

void shape_group(struct api_req *r, struct jout *j, const struct ns *n)
{
    jout_object(j);
    jout_kint(j, "id", n->id);
    jout_kstr(j, "name", n->name);
    jout_kstr(j, "path", n->path);
    jout_kstr(j, "description", n->description);
    jout_kcstr(j, "visibility", visibility_name(n->visibility));
    jout_kstr(j, "full_name", n->full_name);
    jout_kstr(j, "full_path", n->full_path);
    kparent(j, n->parent_id);
    jout_knull(j, "avatar_url");
    jout_kstr(j, "web_url", req_url(r, "/groups/%" PRISTR, STRARG(n->full_path)));
    jout_ktime(j, "created_at", n->created_at);
    jout_end_object(j);
}

static void project_namespace(struct api_req *r, struct jout *j, const struct project *p)
{
    struct ns n = {.id = p->namespace_id,
                   .name = p->ns_name,
                   .path = p->ns_path,
                   .group = p->ns_group,
                   .full_path = p->ns_full_path,
                   .parent_id = p->ns_parent_id};
    jout_key(j, "namespace");
    shape_namespace(r, j, &n);
}

static void project_links(struct api_req *r, struct jout *j, const struct project *p)
{
    static const char *const links[][2] = {{"self", ""},
                                           {"repo_branches", "/repository/branches"},
                                           {"members", "/members"},
                                           {"events", "/events"}};
    jout_key(j, "_links");
    jout_object(j);
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        jout_kstr(j, links[i][0], req_url(r, "/api/v4/projects/%" PRId64 "%s", p->id, links[i][1]));
    jout_end_object(j);
}

static void project_access_entry(struct jout *j, const char *key, int level)
{
    jout_key(j, key);
    if (level <= 0) {
        jout_null(j);
        return;
    }
    jout_object(j);
    jout_kint(j, "access_level", level);
    jout_kint(j, "notification_level", 3);
    jout_end_object(j);
}

void shape_project(struct api_req *r, struct jout *j, const struct project *p)
{
    shape_project_level(r, j, p, -1);
}

void shape_project_level(struct api_req *r, struct jout *j, const struct project *p, int level)
{
    jout_object(j);
    jout_kint(j, "id", p->id);
    jout_kstr(j, "description", p->description);
    jout_kstr(j, "name", p->name);
    jout_kstr(j, "name_with_namespace", p->full_name);
    jout_kstr(j, "path", p->path);
    jout_kstr(j, "path_with_namespace", p->full_path);
    jout_ktime(j, "created_at", p->created_at);
    shape_kopt(j, "default_branch", p->default_branch);
    jout_key(j, "tag_list");
    jout_array(j);
    jout_end_array(j);
    jout_key(j, "topics");
    jout_array(j);
    jout_end_array(j);
    jout_knull(j, "ssh_url_to_repo");
    kurl(r, j, "http_url_to_repo", p->full_path, ".git");
    kurl(r, j, "web_url", p->full_path, "");
    jout_knull(j, "readme_url");
    jout_kint(j, "forks_count", 0);
    jout_knull(j, "avatar_url");
    jout_kint(j, "star_count", 0);
    jout_ktime(j, "last_activity_at", p->last_activity_at ? p->last_activity_at : p->created_at);
    project_namespace(r, j, p);
    project_links(r, j, p);
    jout_kbool(j, "packages_enabled", false);
    jout_kbool(j, "empty_repo", p->empty_repo);
    jout_kbool(j, "archived", p->archived);
    jout_kcstr(j, "visibility", visibility_name(p->visibility));
    jout_kbool(j, "issues_enabled", false);
    jout_kbool(j, "merge_requests_enabled", false);
    jout_kbool(j, "wiki_enabled", false);
    jout_kbool(j, "jobs_enabled", p->ci_enabled);
    jout_kbool(j, "snippets_enabled", false);
    jout_kcstr(j, "builds_access_level", p->ci_enabled ? "enabled" : "disabled");
    jout_kcstr(j, "repository_access_level", "enabled");
    jout_kcstr(j, "pages_access_level", "public");
    jout_kbool(j, "shared_runners_enabled", p->shared_runners);
    jout_kbool(j, "group_runners_enabled", p->group_runners);
    jout_kbool(j, "lfs_enabled", false);
    jout_key(j, "creator_id");
    if (p->creator_id)
        jout_int(j, p->creator_id);
    else
        jout_null(j);
    jout_kcstr(j, "import_status", "none");
    jout_kint(j, "open_issues_count", 0);
    jout_kint(j, "ci_default_git_depth", p->ci_git_depth);
    jout_kbool(j, "public_jobs", p->public_jobs);
    jout_kint(j, "build_timeout", p->build_timeout_s);
    jout_kcstr(j, "auto_cancel_pending_pipelines", p->auto_cancel_pending ? "enabled" : "disabled");
    shape_kopt(j, "ci_config_path", p->ci_config_path);
    jout_kbool(j, "keep_latest_artifact", p->keep_latest_artifact);
    if (level >= 0) {
        jout_key(j, "permissions");
        jout_object(j);
        project_access_entry(j, "project_access", level);
        project_access_entry(j, "group_access", 0);
        jout_end_object(j);
    }
    jout_end_object(j);
}

// ---- pipelines ----

static void pipeline_fields(struct api_req *r, struct jout *j, const struct pipeline *p)
{
    jout_kint(j, "id", p->id);
    jout_kint(j, "iid", p->iid);
    jout_kint(j, "project_id", p->project_id);
    jout_kstr(j, "sha", p->sha);
    jout_kstr(j, "ref", p->ref);
    jout_kcstr(j, "status", ci_status_name(p->status));
    jout_kstr(j, "source", p->source);
    jout_ktime(j, "created_at", p->created_at);
    jout_ktime(j, "updated_at", p->updated_at);
    jout_kstr(j, "web_url",
              req_url(r, "/%" PRISTR "/-/pipelines/%" PRId64, STRARG(r->project.full_path), p->id));
    shape_kopt(j, "name", p->name);
}

void shape_pipeline_basic(struct api_req *r, struct jout *j, const struct pipeline *p)
{
    jout_object(j);
    pipeline_fields(r, j, p);
    jout_end_object(j);
}

static void detailed_status(struct api_req *r, struct jout *j, const struct pipeline *p)
{
    const char *name = ci_status_name(p->status), *label = name, *group = name;
    bool warned = false;
    if (p->status == CI_SUCCESS)
        label = pipeline_warned(&r->tx, p->id, &warned, NULL) == 0 && warned
                    ? "passed with warnings"
                    : "passed";
    if (warned)
        group = "success-with-warnings";
    char icon[48];
    snprintf(icon, sizeof(icon), "status_%s", warned ? "warning" : name);
    jout_key(j, "detailed_status");
    jout_object(j);
    jout_kcstr(j, "icon", icon);
    jout_kcstr(j, "text", name);
    jout_kcstr(j, "label", label);
    jout_kcstr(j, "group", group);
    jout_kcstr(j, "tooltip", label);
    jout_kbool(j, "has_details", true);
    char path[600];
    snprintf(path, sizeof(path), "/%" PRISTR "/-/pipelines/%" PRId64, STRARG(r->project.full_path),
             p->id);
    jout_kcstr(j, "details_path", path);
    jout_knull(j, "illustration");
    jout_knull(j, "favicon");
    jout_end_object(j);
}

void shape_pipeline(struct api_req *r, struct jout *j, const struct pipeline *p)
{
    jout_object(j);
    pipeline_fields(r, j, p);
    jout_kstr(j, "before_sha", p->before_sha);
    jout_kbool(j, "tag", p->tag);
    shape_kopt(j, "yaml_errors", p->yaml_errors);
    jout_key(j, "user");
    shape_user_ref(r, j, p->user_id);
    jout_ktime(j, "started_at", p->started_at);
    jout_ktime(j, "finished_at", p->finished_at);
    jout_ktime(j, "committed_at", p->committed_at);
    jout_key(j, "duration");
    if (p->duration_ms > 0 && p->finished_at)
        jout_int(j, p->duration_ms / 1000);
    else
        jout_null(j);
    jout_key(j, "queued_duration");
    if (p->started_at)
        jout_int(j, p->queued_ms / 1000);
    else
        jout_null(j);
    jout_key(j, "coverage");
    if (p->coverage >= 0) {
        char text[32];
        snprintf(text, sizeof(text), "%.2f", p->coverage);
        jout_cstr(j, text);
    } else {
        jout_null(j);
    }
    detailed_status(r, j, p);
    jout_kbool(j, "archived", false);
    shape_kopt(j, "failure_reason", p->failure_reason);
    jout_key(j, "warnings");
    jout_array(j);
    for (struct str rest = p->warnings, line; str_cut(&rest, '\n', &line);)
        if (line.n)
            jout_str(j, line);
    jout_end_array(j);
    jout_end_object(j);
}

// ---- commits ----

void shape_commit_open(struct api_req *r, struct jout *j, const struct git_commit *c)
{
    jout_object(j);
    jout_kcstr(j, "id", c->sha);
    jout_kstr(j, "short_id", str_head(str_of(c->sha), GIT_SHORT_SHA));
    jout_kcstr(j, "created_at", git_person_time(&c->committer, r->a));
    jout_key(j, "parent_ids");
    jout_array(j);
    for (size_t i = 0; i < c->nparents; i++)
        jout_cstr(j, c->parents[i]);
    jout_end_array(j);
    jout_kstr(j, "title", c->title);
    jout_kstr(j, "message", c->message);
    jout_kstr(j, "author_name", c->author.name);
    jout_kstr(j, "author_email", c->author.email);
    jout_kcstr(j, "authored_date", git_person_time(&c->author, r->a));
    jout_kstr(j, "committer_name", c->committer.name);
    jout_kstr(j, "committer_email", c->committer.email);
    jout_kcstr(j, "committed_date", git_person_time(&c->committer, r->a));
    jout_key(j, "trailers");
    jout_object(j);
    jout_end_object(j);
    jout_kstr(j, "web_url",
              req_url(r, "/%" PRISTR "/-/commit/%s", STRARG(r->project.full_path), c->sha));
}

void shape_commit(struct api_req *r, struct jout *j, const struct git_commit *c)
{
    shape_commit_open(r, j, c);
    jout_end_object(j);
}

// ---- jobs ----

void shape_jobs_done(struct shape_jobs *s)
{
    git_repo_close(s->repo);
    s->repo = NULL;
}

static void job_commit(struct api_req *r, struct jout *j, const struct job *job,
                       struct shape_jobs *s)
{
    jout_key(j, "commit");
    if (!s->repo_tried) {
        s->repo_tried = true;
        if (git_repo_open(req_repo_path(r), &s->repo, NULL) < 0)
            s->repo = NULL;
    }
    if (s->repo && !str_eq(s->sha, job->sha)) {
        s->sha = job->sha;
        s->commit_ok = git_commit_get(s->repo, job->sha, r->a, &s->commit, NULL) == 0;
    }
    if (s->repo && s->commit_ok)
        shape_commit(r, j, &s->commit);
    else
        jout_null(j);
}

static void job_artifacts(struct api_req *r, struct jout *j, const struct job *job)
{
    struct artifact *list;
    size_t n = 0;
    int64_t expire_at = 0;
    if (artifact_list(&r->tx, r->a, job->id, &list, &n, NULL) < 0)
        n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!str_is(list[i].type, "archive"))
            continue;
        expire_at = list[i].keep ? 0 : list[i].expire_at;
        jout_key(j, "artifacts_file");
        jout_object(j);
        jout_kstr(j, "filename", list[i].file_name);
        jout_kint(j, "size", list[i].size);
        jout_end_object(j);
    }
    jout_key(j, "artifacts");
    jout_array(j);
    for (size_t i = 0; i < n; i++) {
        jout_object(j);
        jout_kstr(j, "file_type", list[i].type);
        jout_kint(j, "size", list[i].size);
        jout_kstr(j, "filename", list[i].file_name);
        shape_kopt(j, "file_format", list[i].format);
        jout_end_object(j);
    }
    jout_end_array(j);
    jout_ktime(j, "artifacts_expire_at", expire_at);
}

static void job_user(struct api_req *r, struct jout *j, const struct job *job, struct shape_jobs *s)
{
    jout_key(j, "user");
    if (job->user_id && s->user_id != job->user_id) {
        s->user_id = 0;
        if (user_get(&r->tx, r->a, job->user_id, &s->user, NULL) == 0)
            s->user_id = job->user_id;
    }
    if (job->user_id && s->user_id == job->user_id)
        shape_user_basic(r, j, &s->user);
    else
        jout_null(j);
}

static void job_pipeline(struct api_req *r, struct jout *j, const struct job *job,
                         struct shape_jobs *s)
{
    jout_key(j, "pipeline");
    if (s->pipeline.id != job->pipeline_id &&
        pipeline_get(&r->tx, r->a, job->pipeline_id, &s->pipeline, NULL) < 0)
        s->pipeline = (struct pipeline){.id = job->pipeline_id,
                                        .project_id = job->project_id,
                                        .sha = job->sha,
                                        .ref = job->ref};
    shape_pipeline_basic(r, j, &s->pipeline);
}

static void job_runner(struct api_req *r, struct jout *j, const struct job *job)
{
    struct runner one;
    jout_key(j, "runner");
    if (job->runner_id && runner_get(&r->tx, r->a, job->runner_id, &one, NULL) == 0)
        shape_runner(r, j, &one);
    else
        jout_null(j);
    jout_key(j, "runner_manager");
    if (job->system_id.n) {
        jout_object(j);
        jout_kstr(j, "system_id", job->system_id);
        jout_end_object(j);
    } else {
        jout_null(j);
    }
}

void shape_job(struct api_req *r, struct jout *j, const struct job *job, struct shape_jobs *s)
{
    jout_object(j);
    jout_kint(j, "id", job->id);
    jout_kcstr(j, "status", ci_status_name(job->status));
    jout_kstr(j, "stage", job->stage);
    jout_kstr(j, "name", job->name);
    jout_kstr(j, "ref", job->ref);
    jout_kbool(j, "tag", job->tag);
    jout_key(j, "coverage");
    if (job->coverage >= 0)
        jout_double(j, job->coverage);
    else
        jout_null(j);
    jout_kbool(j, "allow_failure", job->allow_failure);
    jout_ktime(j, "created_at", job->created_at);
    jout_ktime(j, "started_at", job->started_at);
    jout_ktime(j, "finished_at", job->finished_at);
    jout_ktime(j, "erased_at", job->erased_at);
    int64_t end = job->finished_at ? job->finished_at : r->now;
    shape_kseconds(j, "duration", job->started_at ? MAX(end - job->started_at, 0) : -1);
    shape_kseconds(
        j, "queued_duration",
        job->queued_at ? MAX((job->started_at ? job->started_at : end) - job->queued_at, 0) : -1);
    job_user(r, j, job, s);
    job_commit(r, j, job, s);
    job_pipeline(r, j, job, s);
    jout_kstr(j, "web_url",
              req_url(r, "/%" PRISTR "/-/jobs/%" PRId64, STRARG(r->project.full_path), job->id));
    jout_key(j, "project");
    jout_object(j);
    jout_kbool(j, "ci_job_token_scope_enabled", false);
    jout_end_object(j);
    if (job->failure_reason.n)
        jout_kstr(j, "failure_reason", job->failure_reason);
    job_artifacts(r, j, job);
    job_runner(r, j, job);
    jout_kbool(j, "archived", false);
    jout_key(j, "tag_list");
    jout_array(j);
    for (struct str rest = job->tag_list, tag; str_cut(&rest, ',', &tag);)
        if (tag.n)
            jout_str(j, tag);
    jout_end_array(j);
    jout_end_object(j);
}

// ---- runners ----

static const char *runner_status(const struct api_req *r, const struct runner *one)
{
    if (!one->contacted_at)
        return "never_contacted";
    if (r->now - one->contacted_at < RUNNER_ONLINE_MS)
        return "online";
    return r->now - one->contacted_at < RUNNER_STALE_MS ? "offline" : "stale";
}

void shape_runner_fields(struct api_req *r, struct jout *j, const struct runner *one)
{
    const char *status = runner_status(r, one);
    jout_kint(j, "id", one->id);
    shape_kopt(j, "description", one->description);
    jout_knull(j, "ip_address");
    jout_kbool(j, "active", !one->paused);
    jout_kbool(j, "paused", one->paused);
    jout_kbool(j, "is_shared", one->type == RUNNER_INSTANCE);
    jout_kcstr(j, "runner_type", runner_type_name(one->type));
    jout_kcstr(j, "name", "slipway-runner");
    jout_key(j, "online");
    if (one->contacted_at)
        jout_bool(j, strcmp(status, "online") == 0);
    else
        jout_null(j);
    jout_ktime(j, "created_at", one->created_at);
    jout_knull(j, "created_by");
    jout_kcstr(j, "status", status);
    jout_kcstr(j, "job_execution_status", "idle");
}

void shape_runner(struct api_req *r, struct jout *j, const struct runner *one)
{
    jout_object(j);
    shape_runner_fields(r, j, one);
    jout_end_object(j);
}
