// SPDX-License-Identifier: Apache-2.0
// Writes rows of the store and objects of Git as the JSON that GitLab's clients know. Only formats:
// what may be shown was decided before. Called by handlers in their worker thread.
#include "api/shapes.h"

#include "base/clock.h"

#include <inttypes.h>

void shape_kdate(struct json_out *j, const char *key, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    json_key(j, key);
    if (wall_ms)
        json_str(j, str_head(str_of(clock_rfc3339(wall_ms, text)), 10));
    else
        json_null(j);
}

void shape_kopt(struct json_out *j, const char *key, struct str s)
{
    json_key(j, key);
    if (s.n)
        json_str(j, s);
    else
        json_null(j);
}

void shape_kseconds(struct json_out *j, const char *key, int64_t ms)
{
    json_key(j, key);
    if (ms >= 0)
        json_double(j, (double)ms / 1000.0);
    else
        json_null(j);
}

static void kurl(struct api_req *r, struct json_out *j, const char *key, struct str path,
                 const char *after)
{
    json_kstr(j, key, req_url(r, "/%" PRISTR "%s", STRARG(path), after));
}

// ---- people ----

static void user_basic_fields(struct api_req *r, struct json_out *j, const struct user *u)
{
    json_kint(j, "id", u->id);
    json_kstr(j, "username", u->username);
    json_kstr(j, "name", u->name);
    json_kcstr(j, "state", user_state_name(u->state));
    json_kbool(j, "locked", false);
    json_knull(j, "avatar_url");
    kurl(r, j, "web_url", u->username, "");
}

void shape_user_basic(struct api_req *r, struct json_out *j, const struct user *u)
{
    json_object(j);
    user_basic_fields(r, j, u);
    json_end_object(j);
}

void shape_user_ref(struct api_req *r, struct json_out *j, int64_t user_id)
{
    struct user u;
    if (user_id && user_get(&r->tx, r->a, user_id, &u, NULL) == 0)
        shape_user_basic(r, j, &u);
    else
        json_null(j);
}

void shape_user(struct api_req *r, struct json_out *j, const struct user *u, enum shape_view view)
{
    json_object(j);
    user_basic_fields(r, j, u);
    json_ktime(j, "created_at", u->created_at);
    json_kcstr(j, "bio", "");
    json_kcstr(j, "location", "");
    json_knull(j, "public_email");
    json_kbool(j, "bot", false);
    if (view != SHAPE_PUBLIC) {
        json_kstr(j, "email", u->email);
        json_kstr(j, "commit_email", u->email);
        shape_kdate(j, "last_activity_on", u->last_activity_at);
        json_ktime(j, "confirmed_at", u->created_at);
        json_key(j, "identities");
        json_array(j);
        json_end_array(j);
        json_kbool(j, "can_create_group", true);
        json_kbool(j, "can_create_project", true);
        json_kbool(j, "two_factor_enabled", false);
        json_kbool(j, "external", false);
        json_kbool(j, "private_profile", false);
        json_kint(j, "projects_limit", 100000);
        if (view == SHAPE_ADMIN || u->admin)
            json_kbool(j, "is_admin", u->admin);
        json_kint(j, "namespace_id", u->namespace_id);
    }
    json_end_object(j);
}

// ---- places ----

static void kparent(struct json_out *j, int64_t parent_id)
{
    json_key(j, "parent_id");
    if (parent_id)
        json_int(j, parent_id);
    else
        json_null(j);
}

void shape_namespace(struct api_req *r, struct json_out *j, const struct ns *n)
{
    json_object(j);
    json_kint(j, "id", n->id);
    json_kstr(j, "name", n->name);
    json_kstr(j, "path", n->path);
    json_kcstr(j, "kind", n->group ? "group" : "user");
    json_kstr(j, "full_path", n->full_path);
    kparent(j, n->parent_id);
    json_knull(j, "avatar_url");
    json_kstr(j, "web_url",
              n->group ? req_url(r, "/groups/%" PRISTR, STRARG(n->full_path))
                       : req_url(r, "/%" PRISTR, STRARG(n->full_path)));
    json_end_object(j);
}

void shape_group(struct api_req *r, struct json_out *j, const struct ns *n)
{
    json_object(j);
    json_kint(j, "id", n->id);
    json_kstr(j, "name", n->name);
    json_kstr(j, "path", n->path);
    json_kstr(j, "description", n->description);
    json_kcstr(j, "visibility", visibility_name(n->visibility));
    json_kstr(j, "full_name", n->full_name);
    json_kstr(j, "full_path", n->full_path);
    kparent(j, n->parent_id);
    json_knull(j, "avatar_url");
    json_kstr(j, "web_url", req_url(r, "/groups/%" PRISTR, STRARG(n->full_path)));
    json_ktime(j, "created_at", n->created_at);
    json_end_object(j);
}

static void project_namespace(struct api_req *r, struct json_out *j, const struct project *p)
{
    struct ns n = {.id = p->namespace_id,
                   .name = p->ns_name,
                   .path = p->ns_path,
                   .group = p->ns_group,
                   .full_path = p->ns_full_path,
                   .parent_id = p->ns_parent_id};
    json_key(j, "namespace");
    shape_namespace(r, j, &n);
}

static void project_links(struct api_req *r, struct json_out *j, const struct project *p)
{
    static const char *const links[][2] = {{"self", ""},
                                           {"repo_branches", "/repository/branches"},
                                           {"members", "/members"},
                                           {"events", "/events"}};
    json_key(j, "_links");
    json_object(j);
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        json_kstr(j, links[i][0], req_url(r, "/api/v4/projects/%" PRId64 "%s", p->id, links[i][1]));
    json_end_object(j);
}

static void project_access_entry(struct json_out *j, const char *key, int level)
{
    json_key(j, key);
    if (level <= 0) {
        json_null(j);
        return;
    }
    json_object(j);
    json_kint(j, "access_level", level);
    json_kint(j, "notification_level", 3);
    json_end_object(j);
}

void shape_project(struct api_req *r, struct json_out *j, const struct project *p)
{
    shape_project_level(r, j, p, -1);
}

void shape_project_level(struct api_req *r, struct json_out *j, const struct project *p, int level)
{
    json_object(j);
    json_kint(j, "id", p->id);
    json_kstr(j, "description", p->description);
    json_kstr(j, "name", p->name);
    json_kstr(j, "name_with_namespace", p->full_name);
    json_kstr(j, "path", p->path);
    json_kstr(j, "path_with_namespace", p->full_path);
    json_ktime(j, "created_at", p->created_at);
    shape_kopt(j, "default_branch", p->default_branch);
    json_key(j, "tag_list");
    json_array(j);
    json_end_array(j);
    json_key(j, "topics");
    json_array(j);
    json_end_array(j);
    json_knull(j, "ssh_url_to_repo");
    kurl(r, j, "http_url_to_repo", p->full_path, ".git");
    kurl(r, j, "web_url", p->full_path, "");
    json_knull(j, "readme_url");
    json_kint(j, "forks_count", 0);
    json_knull(j, "avatar_url");
    json_kint(j, "star_count", 0);
    json_ktime(j, "last_activity_at", p->last_activity_at ? p->last_activity_at : p->created_at);
    project_namespace(r, j, p);
    project_links(r, j, p);
    json_kbool(j, "packages_enabled", false);
    json_kbool(j, "empty_repo", p->empty_repo);
    json_kbool(j, "archived", p->archived);
    json_kcstr(j, "visibility", visibility_name(p->visibility));
    json_kbool(j, "issues_enabled", false);
    json_kbool(j, "merge_requests_enabled", false);
    json_kbool(j, "wiki_enabled", false);
    json_kbool(j, "jobs_enabled", p->ci_enabled);
    json_kbool(j, "snippets_enabled", false);
    json_kcstr(j, "builds_access_level", p->ci_enabled ? "enabled" : "disabled");
    json_kcstr(j, "repository_access_level", "enabled");
    json_kcstr(j, "pages_access_level", "public");
    json_kbool(j, "shared_runners_enabled", p->shared_runners);
    json_kbool(j, "group_runners_enabled", p->group_runners);
    json_kbool(j, "lfs_enabled", false);
    json_key(j, "creator_id");
    if (p->creator_id)
        json_int(j, p->creator_id);
    else
        json_null(j);
    json_kcstr(j, "import_status", "none");
    json_kint(j, "open_issues_count", 0);
    json_kint(j, "ci_default_git_depth", p->ci_git_depth);
    json_kbool(j, "public_jobs", p->public_jobs);
    json_kint(j, "build_timeout", p->build_timeout_s);
    json_kcstr(j, "auto_cancel_pending_pipelines", p->auto_cancel_pending ? "enabled" : "disabled");
    shape_kopt(j, "ci_config_path", p->ci_config_path);
    json_kbool(j, "keep_latest_artifact", p->keep_latest_artifact);
    if (level >= 0) {
        json_key(j, "permissions");
        json_object(j);
        project_access_entry(j, "project_access", level);
        project_access_entry(j, "group_access", 0);
        json_end_object(j);
    }
    json_end_object(j);
}

// ---- pipelines ----

static void pipeline_fields(struct api_req *r, struct json_out *j, const struct pipeline *p)
{
    json_kint(j, "id", p->id);
    json_kint(j, "iid", p->iid);
    json_kint(j, "project_id", p->project_id);
    json_kstr(j, "sha", p->sha);
    json_kstr(j, "ref", p->ref);
    json_kcstr(j, "status", ci_status_name(p->status));
    json_kstr(j, "source", p->source);
    json_ktime(j, "created_at", p->created_at);
    json_ktime(j, "updated_at", p->updated_at);
    json_kstr(j, "web_url",
              req_url(r, "/%" PRISTR "/-/pipelines/%" PRId64, STRARG(r->project.full_path), p->id));
    shape_kopt(j, "name", p->name);
}

void shape_pipeline_basic(struct api_req *r, struct json_out *j, const struct pipeline *p)
{
    json_object(j);
    pipeline_fields(r, j, p);
    json_end_object(j);
}

static void detailed_status(struct api_req *r, struct json_out *j, const struct pipeline *p)
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
    json_key(j, "detailed_status");
    json_object(j);
    json_kcstr(j, "icon", icon);
    json_kcstr(j, "text", name);
    json_kcstr(j, "label", label);
    json_kcstr(j, "group", group);
    json_kcstr(j, "tooltip", label);
    json_kbool(j, "has_details", true);
    char path[600];
    snprintf(path, sizeof(path), "/%" PRISTR "/-/pipelines/%" PRId64, STRARG(r->project.full_path),
             p->id);
    json_kcstr(j, "details_path", path);
    json_knull(j, "illustration");
    json_knull(j, "favicon");
    json_end_object(j);
}

void shape_pipeline(struct api_req *r, struct json_out *j, const struct pipeline *p)
{
    json_object(j);
    pipeline_fields(r, j, p);
    json_kstr(j, "before_sha", p->before_sha);
    json_kbool(j, "tag", p->tag);
    shape_kopt(j, "yaml_errors", p->yaml_errors);
    json_key(j, "user");
    shape_user_ref(r, j, p->user_id);
    json_ktime(j, "started_at", p->started_at);
    json_ktime(j, "finished_at", p->finished_at);
    json_ktime(j, "committed_at", p->committed_at);
    json_key(j, "duration");
    if (p->duration_ms > 0 && p->finished_at)
        json_int(j, p->duration_ms / 1000);
    else
        json_null(j);
    json_key(j, "queued_duration");
    if (p->started_at)
        json_int(j, p->queued_ms / 1000);
    else
        json_null(j);
    json_key(j, "coverage");
    if (p->coverage >= 0) {
        char text[32];
        snprintf(text, sizeof(text), "%.2f", p->coverage);
        json_cstr(j, text);
    } else {
        json_null(j);
    }
    detailed_status(r, j, p);
    json_kbool(j, "archived", false);
    shape_kopt(j, "failure_reason", p->failure_reason);
    json_key(j, "warnings");
    json_array(j);
    for (struct str rest = p->warnings, line; str_cut(&rest, '\n', &line);)
        if (line.n)
            json_str(j, line);
    json_end_array(j);
    json_end_object(j);
}

// ---- commits ----

void shape_commit_open(struct api_req *r, struct json_out *j, const struct git_commit *c)
{
    json_object(j);
    json_kcstr(j, "id", c->sha);
    json_kstr(j, "short_id", str_head(str_of(c->sha), GIT_SHORT_SHA));
    json_kcstr(j, "created_at", git_person_time(&c->committer, r->a));
    json_key(j, "parent_ids");
    json_array(j);
    for (size_t i = 0; i < c->nparents; i++)
        json_cstr(j, c->parents[i]);
    json_end_array(j);
    json_kstr(j, "title", c->title);
    json_kstr(j, "message", c->message);
    json_kstr(j, "author_name", c->author.name);
    json_kstr(j, "author_email", c->author.email);
    json_kcstr(j, "authored_date", git_person_time(&c->author, r->a));
    json_kstr(j, "committer_name", c->committer.name);
    json_kstr(j, "committer_email", c->committer.email);
    json_kcstr(j, "committed_date", git_person_time(&c->committer, r->a));
    json_key(j, "trailers");
    json_object(j);
    json_end_object(j);
    json_kstr(j, "web_url",
              req_url(r, "/%" PRISTR "/-/commit/%s", STRARG(r->project.full_path), c->sha));
}

void shape_commit(struct api_req *r, struct json_out *j, const struct git_commit *c)
{
    shape_commit_open(r, j, c);
    json_end_object(j);
}

// ---- jobs ----

void shape_jobs_done(struct shape_jobs *s)
{
    git_repo_close(s->repo);
    s->repo = NULL;
}

static void job_commit(struct api_req *r, struct json_out *j, const struct job *job,
                       struct shape_jobs *s)
{
    json_key(j, "commit");
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
        json_null(j);
}

static void job_artifacts(struct api_req *r, struct json_out *j, const struct job *job)
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
        json_key(j, "artifacts_file");
        json_object(j);
        json_kstr(j, "filename", list[i].file_name);
        json_kint(j, "size", list[i].size);
        json_end_object(j);
    }
    json_key(j, "artifacts");
    json_array(j);
    for (size_t i = 0; i < n; i++) {
        json_object(j);
        json_kstr(j, "file_type", list[i].type);
        json_kint(j, "size", list[i].size);
        json_kstr(j, "filename", list[i].file_name);
        shape_kopt(j, "file_format", list[i].format);
        json_end_object(j);
    }
    json_end_array(j);
    json_ktime(j, "artifacts_expire_at", expire_at);
}

static void job_user(struct api_req *r, struct json_out *j, const struct job *job,
                     struct shape_jobs *s)
{
    json_key(j, "user");
    if (job->user_id && s->user_id != job->user_id) {
        s->user_id = 0;
        if (user_get(&r->tx, r->a, job->user_id, &s->user, NULL) == 0)
            s->user_id = job->user_id;
    }
    if (job->user_id && s->user_id == job->user_id)
        shape_user_basic(r, j, &s->user);
    else
        json_null(j);
}

static void job_pipeline(struct api_req *r, struct json_out *j, const struct job *job,
                         struct shape_jobs *s)
{
    json_key(j, "pipeline");
    if (s->pipeline.id != job->pipeline_id &&
        pipeline_get(&r->tx, r->a, job->pipeline_id, &s->pipeline, NULL) < 0)
        s->pipeline = (struct pipeline){.id = job->pipeline_id,
                                        .project_id = job->project_id,
                                        .sha = job->sha,
                                        .ref = job->ref};
    shape_pipeline_basic(r, j, &s->pipeline);
}

static void job_runner(struct api_req *r, struct json_out *j, const struct job *job)
{
    struct runner one;
    json_key(j, "runner");
    if (job->runner_id && runner_get(&r->tx, r->a, job->runner_id, &one, NULL) == 0)
        shape_runner(r, j, &one);
    else
        json_null(j);
    json_key(j, "runner_manager");
    if (job->system_id.n) {
        json_object(j);
        json_kstr(j, "system_id", job->system_id);
        json_end_object(j);
    } else {
        json_null(j);
    }
}

void shape_job(struct api_req *r, struct json_out *j, const struct job *job, struct shape_jobs *s)
{
    json_object(j);
    json_kint(j, "id", job->id);
    json_kcstr(j, "status", ci_status_name(job->status));
    json_kstr(j, "stage", job->stage);
    json_kstr(j, "name", job->name);
    json_kstr(j, "ref", job->ref);
    json_kbool(j, "tag", job->tag);
    json_key(j, "coverage");
    if (job->coverage >= 0)
        json_double(j, job->coverage);
    else
        json_null(j);
    json_kbool(j, "allow_failure", job->allow_failure);
    json_ktime(j, "created_at", job->created_at);
    json_ktime(j, "started_at", job->started_at);
    json_ktime(j, "finished_at", job->finished_at);
    json_ktime(j, "erased_at", job->erased_at);
    int64_t end = job->finished_at ? job->finished_at : r->now;
    shape_kseconds(j, "duration", job->started_at ? MAX(end - job->started_at, 0) : -1);
    shape_kseconds(
        j, "queued_duration",
        job->queued_at ? MAX((job->started_at ? job->started_at : end) - job->queued_at, 0) : -1);
    job_user(r, j, job, s);
    job_commit(r, j, job, s);
    job_pipeline(r, j, job, s);
    json_kstr(j, "web_url",
              req_url(r, "/%" PRISTR "/-/jobs/%" PRId64, STRARG(r->project.full_path), job->id));
    json_key(j, "project");
    json_object(j);
    json_kbool(j, "ci_job_token_scope_enabled", false);
    json_end_object(j);
    if (job->failure_reason.n)
        json_kstr(j, "failure_reason", job->failure_reason);
    job_artifacts(r, j, job);
    job_runner(r, j, job);
    json_kbool(j, "archived", false);
    json_key(j, "tag_list");
    json_array(j);
    for (struct str rest = job->tag_list, tag; str_cut(&rest, ',', &tag);)
        if (tag.n)
            json_str(j, tag);
    json_end_array(j);
    json_end_object(j);
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

void shape_runner_fields(struct api_req *r, struct json_out *j, const struct runner *one)
{
    const char *status = runner_status(r, one);
    json_kint(j, "id", one->id);
    shape_kopt(j, "description", one->description);
    json_knull(j, "ip_address");
    json_kbool(j, "active", !one->paused);
    json_kbool(j, "paused", one->paused);
    json_kbool(j, "is_shared", one->type == RUNNER_INSTANCE);
    json_kcstr(j, "runner_type", runner_type_name(one->type));
    json_kcstr(j, "name", "slipway-runner");
    json_key(j, "online");
    if (one->contacted_at)
        json_bool(j, strcmp(status, "online") == 0);
    else
        json_null(j);
    json_ktime(j, "created_at", one->created_at);
    json_knull(j, "created_by");
    json_kcstr(j, "status", status);
    json_kcstr(j, "job_execution_status", "idle");
}

void shape_runner(struct api_req *r, struct json_out *j, const struct runner *one)
{
    json_object(j);
    shape_runner_fields(r, j, one);
    json_end_object(j);
}
