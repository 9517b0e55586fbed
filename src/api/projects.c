// SPDX-License-Identifier: Apache-2.0
// Projects: listing, making, changing, deleting. The rules are forge/project.h's. Runs in request
// workers.
#include "api/pages.h"
#include "api/shapes.h"
#include "api/tables.h"
#include "forge/project.h"

#define VISIBILITIES "private|internal|public"

static int project_get_(struct api_req *r)
{
    struct jout *j = reply_begin(r);
    shape_project_level(r, j, &r->project, req_signed_in(r) ? r->level : -1);
    return reply_end(r);
}

static enum project_order order_of(struct str name)
{
    if (str_is(name, "name"))
        return PROJECTS_BY_NAME;
    if (str_is(name, "path"))
        return PROJECTS_BY_PATH;
    if (str_is(name, "updated_at"))
        return PROJECTS_BY_UPDATED;
    if (str_is(name, "last_activity_at"))
        return PROJECTS_BY_ACTIVITY;
    return PROJECTS_BY_ID;
}

static int list_with(struct api_req *r, struct project_filter *f)
{
    enum visibility v;
    f->viewer_id = r->who.kind == ACTOR_USER ? r->who.user_id : 0;
    f->viewer_all = r->who.admin;
    f->search = req_str(r, "search", STR_NONE);
    f->search_namespaces = req_bool(r, "search_namespaces", false);
    f->membership = req_bool(r, "membership", false);
    f->owned = req_bool(r, "owned", false);
    f->min_access = req_int(r, "min_access_level", 0);
    if (req_has(r, "archived"))
        f->archived = req_bool(r, "archived", false);
    if (req_has(r, "visibility") && visibility_parse(req_str(r, "visibility", STR_NONE), &v))
        f->visibility = (int)v;
    f->order = order_of(req_str(r, "order_by", STR_NONE));
    f->ascending = str_is(req_str(r, "sort", STR_NONE), "asc");
    struct project *list;
    size_t n;
    REQ_TRY(r, project_list(&r->tx, r->a, f, &r->page, &list, &n, &r->e), NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < n; i++)
        shape_project(r, j, &list[i]);
    jout_end_array(j);
    reply_page(r);
    return reply_end(r);
}

static int project_index(struct api_req *r)
{
    struct project_filter f = PROJECT_FILTER_ALL;
    return list_with(r, &f);
}

static int group_projects(struct api_req *r)
{
    struct project_filter f = PROJECT_FILTER_ALL;
    f.namespace_id = r->group.id;
    f.include_subgroups = req_bool(r, "include_subgroups", false);
    return list_with(r, &f);
}

static int user_projects(struct api_req *r)
{
    struct user u;
    int64_t id = req_id(r, 0);
    REQ_TRY(r,
            id ? user_get(&r->tx, r->a, id, &u, &r->e)
               : user_by_username(&r->tx, r->a, r->path[0], &u, &r->e),
            "User");
    struct project_filter f = PROJECT_FILTER_ALL;
    f.namespace_id = u.namespace_id;
    return list_with(r, &f);
}

// GitLab words a taken path as a hash of messages per field, with status 400.
static int reply_taken(struct api_req *r)
{
    struct jout *j = reply_begin(r);
    jout_object(j);
    jout_key(j, "message");
    jout_object(j);
    static const char *const fields[] = {"project_namespace.name", "name", "path"};
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        jout_key(j, fields[i]);
        jout_array(j);
        jout_cstr(j, "has already been taken");
        jout_end_array(j);
    }
    jout_end_object(j);
    jout_end_object(j);
    return reply_status(r, 400);
}

static int create_for(struct api_req *r, const struct actor *who)
{
    struct project_new n = {
        .namespace_id = req_int(r, "namespace_id", 0),
        .name = req_str(r, "name", STR_NONE),
        .path = req_str(r, "path", STR_NONE),
        .description = req_str(r, "description", STR_NONE),
        .default_branch = req_str(r, "default_branch", STR_NONE),
        .visibility = -1,
    };
    enum visibility v;
    if (!n.name.n && !n.path.n)
        return reply_error(r, 400,
                           "name, path are missing, at least one parameter must be provided");
    if (visibility_parse(req_str(r, "visibility", STR_NONE), &v))
        n.visibility = (int)v;
    req_end_read(r);
    struct project p;
    int rc = project_create(r->api->cfg.forge, r->a, who, &n, &p, &r->e);
    if (rc == E_CONFLICT)
        return reply_taken(r);
    REQ_TRY(r, rc, "Namespace");
    shape_project(r, reply_begin(r), &p);
    return reply_end(r);
}

static int project_post(struct api_req *r)
{
    return create_for(r, &r->who);
}

static int project_post_user(struct api_req *r)
{
    struct user u;
    REQ_TRY(r, user_get(&r->tx, r->a, req_id(r, 0), &u, &r->e), "User");
    struct actor owner = {.kind = ACTOR_USER,
                          .user_id = u.id,
                          .username = u.username,
                          .name = u.name,
                          .email = u.email,
                          .admin = u.admin,
                          .scopes = SCOPE_ALL};
    return create_for(r, &owner);
}

static void apply_text(struct api_req *r, const char *name, struct str *to)
{
    const struct param_value *v = req_param(r, name);
    if (v->set)
        *to = v->null ? STR("") : v->s;
}

static int change(struct api_req *r)
{
    struct project *p = &r->project;
    req_end_read(r);
    REQ_TRY(r, project_change(r->api->cfg.forge, r->a, &r->who, p, &r->e), "Project");
    if (req_read(r, &r->e) < 0 || project_get(&r->tx, r->a, p->id, p, &r->e) < 0)
        return reply_err(r, "Project");
    return project_get_(r);
}

static int project_put(struct api_req *r)
{
    struct project *p = &r->project;
    enum visibility v;
    apply_text(r, "name", &p->name);
    apply_text(r, "description", &p->description);
    apply_text(r, "default_branch", &p->default_branch);
    apply_text(r, "ci_config_path", &p->ci_config_path);
    if (visibility_parse(req_str(r, "visibility", STR_NONE), &v))
        p->visibility = v;
    p->archived = req_bool(r, "archived", p->archived);
    p->public_jobs = req_bool(r, "public_jobs", p->public_jobs);
    p->keep_latest_artifact = req_bool(r, "keep_latest_artifact", p->keep_latest_artifact);
    p->shared_runners = req_bool(r, "shared_runners_enabled", p->shared_runners);
    p->group_runners = req_bool(r, "group_runners_enabled", p->group_runners);
    p->ci_git_depth = req_int(r, "ci_default_git_depth", p->ci_git_depth);
    p->build_timeout_s = req_int(r, "build_timeout", p->build_timeout_s);
    if (p->ci_git_depth < 0 || p->ci_git_depth > 1000)
        return reply_message(r, 400, "ci_default_git_depth must be between 0 and 1000");
    if (p->build_timeout_s < 600 || p->build_timeout_s > 30 * 86400)
        return reply_message(r, 400, "build_timeout must be between 600 seconds and 30 days");
    p->ci_enabled = req_bool(r, "jobs_enabled", p->ci_enabled);
    struct str level = req_str(r, "builds_access_level", STR_NONE);
    if (level.n)
        p->ci_enabled = !str_is(level, "disabled");
    struct str cancel = req_str(r, "auto_cancel_pending_pipelines", STR_NONE);
    if (cancel.n)
        p->auto_cancel_pending = str_is(cancel, "enabled");
    return change(r);
}

static int project_archive(struct api_req *r)
{
    r->project.archived = true;
    return change(r);
}

static int project_unarchive(struct api_req *r)
{
    r->project.archived = false;
    return change(r);
}

static int project_delete_(struct api_req *r)
{
    req_end_read(r);
    REQ_TRY(r, project_remove(r->api->cfg.forge, r->a, &r->who, r->project.id, &r->e), "Project");
    pages_unlink(r->api, r->project.full_path);
    reply_message(r, 202, "202 Accepted");
    return HTTP_DONE;
}

#define LIST_PARAMS                                                                                \
    OPT("search", STR, "In name, path or description."),                                           \
        OPT("search_namespaces", BOOL, "Search in the full path, too."),                           \
        OPT("membership", BOOL, "Only where you are a member."),                                   \
        OPT("owned", BOOL, "Only your own."),                                                      \
        OPT("min_access_level", INT, "Only where you have at least this level."),                  \
        OPT("archived", BOOL, "Only archived ones, or only others."),                              \
        OPT("visibility", STR, "Only these.", .values = VISIBILITIES),                             \
        OPT("simple", BOOL, "Accepted; all fields come anyway."),                                  \
        OPT("statistics", BOOL, "Accepted."),                                                      \
        OPT("order_by", STR, "Order by this field.",                                               \
            .values = "id|name|path|created_at|updated_at|last_activity_at|similarity"),           \
        OPT("sort", STR, "Direction.", .values = "asc|desc")

#define CREATE_PARAMS                                                                              \
    PARAMS(OPT("name", STR, "Name for people.", .max = 255),                                       \
           OPT("path", STR, "Name in addresses; made from the name when missing.", .max = 255),    \
           OPT("namespace_id", INT, "The group; your own namespace when missing."),                \
           OPT("description", STR, "What it is.", .max = 2000),                                    \
           OPT("visibility", STR, "Who sees it.", .values = VISIBILITIES),                         \
           OPT("default_branch", STR, "Name of the first branch.", .max = 255),                    \
           OPT("initialize_with_readme", BOOL, "Accepted; push the first commit instead."))

static const struct route routes[] = {
    ROUTE(GET, "/projects", project_index, READ_API, ANYONE, .reply = "project[]", .paged = true,
          .doc = "List the projects that you may see.", PARAMS(LIST_PARAMS)),
    ROUTE(POST, "/projects", project_post, API, USER, .reply = "project", .doc = "Make a project.",
          CREATE_PARAMS),
    ROUTE(POST, "/projects/user/:user_id", project_post_user, API, ADMIN, .reply = "project",
          .doc = "Make a project for a user.", CREATE_PARAMS),
    ROUTE(GET, "/projects/:id", project_get_, READ_API, GUEST, .reply = "project",
          .doc = "Show a project.",
          PARAMS(OPT("statistics", BOOL, "Accepted."), OPT("license", BOOL, "Accepted."))),
    ROUTE(PUT, "/projects/:id", project_put, API, MAINTAINER, .reply = "project",
          .doc = "Change a project.",
          PARAMS(OPT("name", STR, "Name for people.", .max = 255),
                 OPT("description", STR, "What it is.", .max = 2000),
                 OPT("default_branch", STR, "The default branch.", .max = 255),
                 OPT("visibility", STR, "Who sees it.", .values = VISIBILITIES),
                 OPT("archived", BOOL, "Read-only and out of the way."),
                 OPT("ci_config_path", STR, "Where the pipeline's file is.", .max = 255),
                 OPT("build_timeout", INT, "Longest time of a job, seconds."),
                 OPT("ci_default_git_depth", INT, "Commits that a job fetches; 0: all."),
                 OPT("public_jobs", BOOL, "Readers may see logs."),
                 OPT("jobs_enabled", BOOL, "Pipelines run."),
                 OPT("builds_access_level", STR, "Pipelines run.",
                     .values = "disabled|private|enabled"),
                 OPT("auto_cancel_pending_pipelines", STR, "A newer push cancels older pipelines.",
                     .values = "enabled|disabled"),
                 OPT("keep_latest_artifact", BOOL, "The newest artifacts of a ref do not expire."),
                 OPT("shared_runners_enabled", BOOL, "Instance runners may run jobs."),
                 OPT("group_runners_enabled", BOOL, "Group runners may run jobs."))),
    ROUTE(DELETE, "/projects/:id", project_delete_, API, OWNER, .status = 202,
          .doc = "Delete a project with everything in it."),
    ROUTE(POST, "/projects/:id/archive", project_archive, API, OWNER, .reply = "project",
          .doc = "Archive a project."),
    ROUTE(POST, "/projects/:id/unarchive", project_unarchive, API, OWNER, .reply = "project",
          .doc = "Take a project out of the archive."),
    ROUTE(GET, "/groups/:id/projects", group_projects, READ_API, GUEST, .reply = "project[]",
          .paged = true, .doc = "List a group's projects.",
          PARAMS(LIST_PARAMS, OPT("include_subgroups", BOOL, "Those of subgroups, too."))),
    ROUTE(GET, "/users/:user_id/projects", user_projects, READ_API, ANYONE, .reply = "project[]",
          .paged = true, .doc = "List a user's projects.", PARAMS(LIST_PARAMS)),
};
const struct route_table project_table = ROUTE_TABLE("Projects", routes);
