// SPDX-License-Identifier: Apache-2.0
// Pages that belong to no project: the list of projects, a namespace, a new project, runners, help.
#include "web/view.h"

#include "forge/account.h"
#include "forge/project.h"
#include "store/pipelines.h"
#include "store/runners.h"

static void fill_project_row(struct view *v, struct tx *tx, struct val *row,
                             const struct project *p)
{
    struct buf url = BUF_INIT(KIB(8));
    buf_addc(&url, '/');
    url_encode_path(&url, p->full_path);
    val_str(row, "url", arena_str(v->a, buf_str(&url)));
    buf_done(&url);
    val_str(row, "name", p->name);
    val_str(row, "ns", p->ns_full_path);
    val_str(row, "path", p->full_path);
    val_str(row, "description", p->description);
    val_cstr(row, "visibility", visibility_name(p->visibility));
    val_cstr(row, "visibility_icon",
             p->visibility == VIS_PUBLIC     ? "globe"
             : p->visibility == VIS_INTERNAL ? "shield"
                                             : "lock");
    val_int(row, "at", p->last_activity_at ? p->last_activity_at : p->created_at);
    struct pipeline last;
    struct err none;
    if (p->default_branch.n &&
        pipeline_latest(tx, v->a, p->id, p->default_branch, STR_NONE, 0, &last, &none) == 0) {
        struct val *ci = val_sub(row, "ci");
        view_status(ci, view_pipeline_state(tx, &last), false);
        val_int(ci, "id", last.id);
    }
}

static int list_projects(struct view *v, struct project_filter *f)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct page page = view_page(v, 30);
    struct project *p;
    size_t n;
    f->order = PROJECTS_BY_ACTIVITY;
    f->archived = 0;
    f->viewer_id = v->who.kind == ACTOR_USER ? v->who.user_id : 0;
    f->viewer_all = v->who.admin;
    f->search = view_query(v, "search");
    f->search_namespaces = true;
    TRY(project_list(&tx, v->a, f, &page, &p, &n, &v->e));
    struct val *list = val_list(v->root, "projects");
    for (size_t i = 0; i < n; i++)
        fill_project_row(v, &tx, val_push(list), &p[i]);
    val_bool(v->root, "any_projects", n > 0);
    val_str(v->root, "search", f->search);
    val_int(v->root, "total", page.total);
    view_pager(v, &page);
    return 0;
}

static int home(struct view *v)
{
    struct project_filter f = PROJECT_FILTER_ALL;
    bool mine = v->who.kind == ACTOR_USER && !str_is(view_query(v, "show"), "all");
    f.membership = mine;
    TRY(list_projects(v, &f));
    val_bool(v->root, "mine", mine);
    val_bool(v->root, "signed_in", v->who.kind == ACTOR_USER);
    return view_render(v, "projects", "Projects");
}

int view_namespace(struct view *v, struct str full_path)
{
    struct ns ns;
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(v->w->ctx.store, &tx, &v->e));
        TRY(access_ns_find(&tx, v->a, &v->who, full_path, ACCESS_NONE, &ns, NULL, &v->e));
    }
    struct project_filter f = PROJECT_FILTER_ALL;
    f.namespace_id = ns.id;
    f.include_subgroups = true;
    TRY(list_projects(v, &f));
    val_str(v->root, "ns_name", ns.name);
    val_str(v->root, "ns_path", ns.full_path);
    val_str(v->root, "ns_description", ns.description);
    val_bool(v->root, "group", ns.group);
    return view_render(v, "namespace", arena_dup(v->a, ns.name));
}

// ---- a new project

static int show_new(struct view *v, const char *problem)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct ns_filter f = {.viewer_id = v->who.user_id,
                          .viewer_all = false,
                          .groups_only = true,
                          .member_min = ACCESS_MAINTAINER};
    struct page page = {.per_page = 100};
    struct ns *ns;
    size_t n;
    TRY(ns_list(&tx, v->a, &f, &page, &ns, &n, &v->e));
    struct str chosen = view_form(v, "namespace_id");
    struct val *list = val_list(v->root, "namespaces");
    for (size_t i = 0; i < n; i++) {
        struct val *row = val_push(list);
        val_int(row, "id", ns[i].id);
        val_str(row, "path", ns[i].full_path);
        val_bool(row, "chosen", str_eq(chosen, arena_strf(v->a, "%lld", (long long)ns[i].id)));
    }
    val_str(v->root, "form_name", view_form(v, "name"));
    val_str(v->root, "form_path", view_form(v, "path"));
    val_str(v->root, "form_description", view_form(v, "description"));
    struct str vis = view_form(v, "visibility");
    val_bool(v->root, "vis_private", !vis.n || str_is(vis, "private"));
    val_bool(v->root, "vis_internal", str_is(vis, "internal"));
    val_bool(v->root, "vis_public", str_is(vis, "public"));
    if (problem)
        val_cstr(v->root, "problem", problem);
    return view_render(v, "project_new", "New project");
}

static int new_page(struct view *v)
{
    return show_new(v, NULL);
}

static int new_problem(struct view *v, const char *problem)
{
    http_status(v->c, 422);
    return show_new(v, problem);
}

static int new_form(struct view *v)
{
    enum visibility vis = VIS_PRIVATE;
    struct str words = view_form(v, "visibility"), ns = view_form(v, "namespace_id");
    int64_t ns_id = 0;
    if (words.n && !visibility_parse(words, &vis))
        return new_problem(v, "Choose who may see the project.");
    if (ns.n && !str_to_i64(ns, &ns_id))
        return new_problem(v, "Choose where the project belongs.");
    struct project_new n = {
        .namespace_id = ns_id,
        .name = view_form(v, "name"),
        .path = view_form(v, "path"),
        .description = view_form(v, "description"),
        .visibility = (int)vis,
    };
    if (!n.name.n && !n.path.n)
        return new_problem(v, "The project needs a name.");
    struct project p;
    int r = project_create(v->w->ctx.forge, v->a, &v->who, &n, &p, &v->e);
    if (r == E_INVALID || r == E_CONFLICT)
        return new_problem(v, v->e.msg);
    if (r)
        return r;
    v->project = p;
    struct str url = view_project_url(v);
    return view_redirect(v, "%" PRISTR "?notice=project_created", STRARG(url));
}

// ---- runners

static int runners_page(struct view *v)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct runner_filter f = {.type = -1, .paused = -1};
    struct page page = view_page(v, 50);
    struct runner *rows;
    size_t n;
    TRY(runner_list(&tx, v->a, &f, &page, &rows, &n, &v->e));
    val_bool(v->root, "any_runners", n > 0);
    struct val *list = val_list(v->root, "runners");
    for (size_t i = 0; i < n; i++) {
        const struct runner *r = &rows[i];
        struct val *row = val_push(list);
        val_int(row, "id", r->id);
        val_str(row, "token", r->short_token);
        val_str(row, "description", r->description);
        val_cstr(row, "type",
                 r->type == RUNNER_INSTANCE ? "instance"
                 : r->type == RUNNER_GROUP  ? "group"
                                            : "project");
        bool online = r->contacted_at && v->now - r->contacted_at < RUNNER_ONLINE_MS;
        val_cstr(row, "state",
                 r->paused         ? "paused"
                 : online          ? "online"
                 : r->contacted_at ? "offline"
                                   : "never seen");
        val_cstr(row, "state_icon", r->paused ? "s-manual" : online ? "s-success" : "s-skipped");
        val_cstr(row, "state_class", r->paused ? "manual" : online ? "success" : "skipped");
        val_bool(row, "untagged", r->run_untagged);
        struct val *tags = val_list(row, "tags");
        struct str rest = r->tag_list, tag;
        while (rest.n && str_cut(&rest, ',', &tag))
            val_push_str(tags, tag);
        if (r->contacted_at)
            val_int(row, "contacted_at", r->contacted_at);
        struct runner_manager *m;
        size_t nm;
        TRY(runner_manager_list(&tx, v->a, r->id, &m, &nm, &v->e));
        if (nm) {
            if (m[0].version.n)
                val_str(row, "version", m[0].version);
            if (m[0].executor.n)
                val_str(row, "executor", m[0].executor);
            if (m[0].platform.n)
                val_str(row, "platform",
                        arena_strf(v->a, "%" PRISTR "/%" PRISTR, STRARG(m[0].platform),
                                   STRARG(m[0].architecture)));
        }
    }
    view_pager(v, &page);
    return view_render(v, "runners", "Runners");
}

// ---- help

static int help(struct view *v)
{
    val_cstr(v->root, "url", v->w->external_url);
    struct val *list = val_list(v->root, "routes");
    const char *method, *path, *doc;
    for (size_t i = 0; v->w->ctx.api_route && v->w->ctx.api_route(i, &method, &path, &doc); i++) {
        struct val *row = val_push(list);
        val_cstr(row, "method", method);
        val_cstr(row, "path", path);
        val_cstr(row, "doc", doc);
    }
    val_bool(v->root, "any_routes", list->first != NULL);
    return view_render(v, "help", "Help");
}

const struct view_route ROUTES_SITE[] = {
    {"/", VIEW_GET, 0, home, NULL},
    {"/projects/new", VIEW_SIGNED_IN, 0, new_page, NULL},
    {"/projects", VIEW_POST | VIEW_SIGNED_IN, 0, new_form, NULL},
    {"/admin/runners", VIEW_ADMIN, 0, runners_page, NULL},
    {"/help", VIEW_GET, 0, help, NULL},
    {NULL, 0, 0, NULL, NULL},
};
