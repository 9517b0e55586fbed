// SPDX-License-Identifier: Apache-2.0
// A project's settings: general, CI/CD variables, members. The rules are the forge's; these pages
// read fields, call it, and show its words when it refuses.
#include "web/view.h"

#include "forge/project.h"
#include "store/users.h"
#include "store/variables.h"

// ---- general

static int show_general(struct view *v, const char *problem)
{
    const struct project *p = &v->project;
    bool posted = v->form.n > 0;
    val_str(v->root, "form_name", posted ? view_form(v, "name") : p->name);
    val_str(v->root, "form_description", posted ? view_form(v, "description") : p->description);
    val_str(v->root, "form_branch", posted ? view_form(v, "default_branch") : p->default_branch);
    val_strf(v->root, "form_timeout", "%lld", (long long)p->build_timeout_s / 60);
    val_bool(v->root, "vis_private", p->visibility == VIS_PRIVATE);
    val_bool(v->root, "vis_internal", p->visibility == VIS_INTERNAL);
    val_bool(v->root, "vis_public", p->visibility == VIS_PUBLIC);
    val_bool(v->root, "public_jobs", p->public_jobs);
    val_bool(v->root, "auto_cancel", p->auto_cancel_pending);
    val_bool(v->root, "owner", v->level >= ACCESS_OWNER);
    if (problem)
        val_cstr(v->root, "problem", problem);
    return view_render(v, "settings", "Settings");
}

static int general_page(struct view *v)
{
    return show_general(v, NULL);
}

static int general_problem(struct view *v, const char *problem)
{
    http_status(v->c, 422);
    return show_general(v, problem);
}

static int general_form(struct view *v)
{
    struct project p = v->project;
    p.name = view_form(v, "name");
    p.description = view_form(v, "description");
    struct str branch = view_form(v, "default_branch");
    if (branch.n && !git_branch_name_ok(branch))
        return general_problem(v, "The default branch has no valid name.");
    if (branch.n)
        p.default_branch = branch;
    int64_t minutes;
    if (!str_to_i64(view_form(v, "timeout"), &minutes) || minutes < 1 || minutes > 43200)
        return general_problem(v, "The timeout is a number of minutes, at most 43200 (a month).");
    p.build_timeout_s = minutes * 60;
    p.public_jobs = view_checked(v, "public_jobs");
    p.auto_cancel_pending = view_checked(v, "auto_cancel");
    if (v->level >= ACCESS_OWNER && !visibility_parse(view_form(v, "visibility"), &p.visibility))
        return general_problem(v, "Choose who may see the project.");
    int r = project_change(v->w->ctx.forge, v->a, &v->who, &p, &v->e);
    if (r == E_INVALID || r == E_CONFLICT)
        return general_problem(v, v->e.msg);
    if (r)
        return r;
    return view_redirect(v, "%" PRISTR "/-/settings?notice=project_saved",
                         STRARG(view_project_url(v)));
}

static int remove_form(struct view *v)
{
    if (!str_eq(view_form(v, "confirm"), v->project.full_path))
        return general_problem(v, "To remove the project, type its full path exactly.");
    TRY(project_remove(v->w->ctx.forge, v->a, &v->who, v->project.id, &v->e));
    v->project.id = 0;
    return view_redirect(v, "/?notice=project_removed");
}

// ---- variables

static int fill_variables(struct view *v)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct page page = {.per_page = 100};
    struct variable *rows;
    size_t n;
    TRY(variable_list(&tx, v->a, v->project.id, 0, &page, &rows, &n, &v->e));
    val_bool(v->root, "any_variables", n > 0);
    struct val *list = val_list(v->root, "variables");
    for (size_t i = 0; i < n; i++) {
        struct val *row = val_push(list);
        val_int(row, "id", rows[i].id);
        val_str(row, "key", rows[i].key);
        val_str(row, "value", rows[i].hidden ? STR("") : rows[i].value);
        val_bool(row, "hidden", rows[i].hidden);
        val_bool(row, "file", rows[i].file);
        val_bool(row, "protected", rows[i].is_protected);
        val_bool(row, "masked", rows[i].masked);
        val_bool(row, "raw", rows[i].raw);
        bool all = str_is(rows[i].environment_scope, "*") || !rows[i].environment_scope.n;
        if (!all)
            val_str(row, "scope", rows[i].environment_scope);
        val_str(row, "description", rows[i].description);
    }
    return 0;
}

static int show_variables(struct view *v, const char *problem)
{
    TRY(fill_variables(v));
    val_str(v->root, "form_key", view_form(v, "key"));
    val_str(v->root, "form_value", view_form(v, "value"));
    val_bool(v->root, "form_protected", view_checked(v, "protected"));
    val_bool(v->root, "form_masked", view_checked(v, "masked"));
    val_bool(v->root, "form_file", view_checked(v, "file"));
    if (problem)
        val_cstr(v->root, "problem", problem);
    return view_render(v, "variables", "CI/CD variables");
}

static int variables_page(struct view *v)
{
    return show_variables(v, NULL);
}

static int variable_problem(struct view *v, const char *problem)
{
    http_status(v->c, 422);
    return show_variables(v, problem);
}

static struct str untrimmed(const struct view *v, const char *name)
{
    for (size_t i = 0; i < v->form.n; i++)
        if (str_is(v->form.fields[i].key, name))
            return v->form.fields[i].value;
    return STR_NONE;
}

static int variable_form(struct view *v)
{
    struct variable var = {
        .project_id = v->project.id,
        .key = view_form(v, "key"),
        .value = untrimmed(v, "value"),
        .file = view_checked(v, "file"),
        .is_protected = view_checked(v, "protected"),
        .masked = view_checked(v, "masked"),
        .environment_scope = STR("*"),
    };
    if (variable_key_check(var.key, &v->e))
        return variable_problem(v, v->e.msg);
    if (var.value.n > 10000)
        return variable_problem(v, "The value is longer than 10,000 bytes.");
    if (var.masked && !variable_maskable(var.value, false))
        return variable_problem(v, "The value cannot be masked: it needs one line of 8 characters "
                                   "or more, without spaces.");
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(v->w->ctx.store, &tx, &v->e));
    struct variable old;
    int r = variable_get(&tx, v->a, v->project.id, 0, var.key, STR("*"), &old, &v->e);
    if (!r) {
        var.id = old.id;
        var.description = old.description;
        var.raw = old.raw;
        r = variable_update(&tx, &var, &v->e);
    } else if (r == E_NOTFOUND) {
        r = variable_insert(&tx, &var, &v->e);
    }
    if (r)
        return r;
    TRY(tx_commit(&tx, &v->e));
    return view_redirect(v, "%" PRISTR "/-/settings/ci_cd?notice=variable_saved",
                         STRARG(view_project_url(v)));
}

static int variable_remove(struct view *v)
{
    int64_t id;
    TRY(view_id(v, 0, &id));
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(v->w->ctx.store, &tx, &v->e));
    struct page page = {.per_page = 100};
    struct variable *rows;
    size_t n;
    TRY(variable_list(&tx, v->a, v->project.id, 0, &page, &rows, &n, &v->e));
    bool own = false;
    for (size_t i = 0; i < n; i++)
        own = own || rows[i].id == id;
    if (!own)
        return err_set(&v->e, E_NOTFOUND, "There is no such variable in this project.");
    TRY(variable_delete(&tx, id, &v->e));
    TRY(tx_commit(&tx, &v->e));
    return view_redirect(v, "%" PRISTR "/-/settings/ci_cd?notice=variable_removed",
                         STRARG(view_project_url(v)));
}

// ---- members

static const int LEVELS[] = {ACCESS_GUEST, ACCESS_REPORTER, ACCESS_DEVELOPER, ACCESS_MAINTAINER,
                             ACCESS_OWNER};

static void fill_levels(struct view *v, struct val *to, int current)
{
    struct val *list = val_list(to, "levels");
    for (size_t i = 0; i < ARRAY_SIZE(LEVELS); i++) {
        if (LEVELS[i] > v->level)
            continue;
        struct val *row = val_push(list);
        val_int(row, "level", LEVELS[i]);
        val_cstr(row, "name", access_level_name(LEVELS[i]));
        val_bool(row, "on", LEVELS[i] == current);
    }
}

static int show_members(struct view *v, const char *problem)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(v->w->ctx.store, &tx, &v->e));
    struct page page = view_page(v, 50);
    struct member *rows;
    size_t n;
    struct str search = view_query(v, "search");
    TRY(member_list(&tx, v->a, v->project.id, 0, true, search, v->now, &page, &rows, &n, &v->e));
    struct val *list = val_list(v->root, "members");
    bool manage = v->level >= ACCESS_MAINTAINER;
    val_bool(v->root, "any_members", n > 0);
    ptrdiff_t slash = str_rfind(v->project.full_path, '/');
    val_str(v->root, "owner", slash < 0 ? STR_NONE : str_head(v->project.full_path, (size_t)slash));
    for (size_t i = 0; i < n; i++) {
        const struct member *m = &rows[i];
        struct val *row = val_push(list);
        val_int(row, "user_id", m->user_id);
        val_str(row, "username", m->username);
        val_str(row, "name", m->name.n ? m->name : m->username);
        val_cstr(row, "role", access_level_name(m->access_level));
        bool direct = m->project_id == v->project.id;
        val_bool(row, "direct", direct);
        val_bool(row, "blocked", m->blocked);
        val_bool(row, "me", m->user_id == v->who.user_id);
        val_bool(row, "editable", direct && manage && m->access_level <= v->level);
        val_int(row, "since", m->created_at);
        if (m->expires_at)
            val_int(row, "expires_at", m->expires_at);
        fill_levels(v, row, m->access_level);
    }
    val_bool(v->root, "manage", manage);
    val_str(v->root, "form_username", view_form(v, "username"));
    fill_levels(v, v->root, ACCESS_DEVELOPER);
    view_pager(v, &page);
    if (problem)
        val_cstr(v->root, "problem", problem);
    return view_render(v, "members", "Members");
}

static int members_page(struct view *v)
{
    return show_members(v, NULL);
}

static int member_problem(struct view *v, const char *problem)
{
    http_status(v->c, 422);
    return show_members(v, problem);
}

static int member_form(struct view *v)
{
    struct str name = view_form(v, "username");
    int64_t level;
    if (!str_to_i64(view_form(v, "access_level"), &level) || level < 0 || level > ACCESS_OWNER)
        return member_problem(v, "Choose a role.");
    if (name.n && name.p[0] == '@')
        name = str_from(name, 1);
    struct user u;
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_read(v->w->ctx.store, &tx, &v->e));
        int r = user_by_username(&tx, v->a, name, &u, &v->e);
        if (r == E_NOTFOUND)
            return member_problem(v, "There is no user of that name.");
        if (r)
            return r;
    }
    int r =
        member_change(v->w->ctx.forge, v->a, &v->who, v->project.id, 0, u.id, (int)level, 0, &v->e);
    if (r == E_INVALID || r == E_DENIED || r == E_CONFLICT)
        return member_problem(v, v->e.msg);
    if (r)
        return r;
    return view_redirect(v, "%" PRISTR "/-/project_members?notice=member_saved",
                         STRARG(view_project_url(v)));
}

static int member_remove_form(struct view *v)
{
    int64_t id;
    TRY(view_id(v, 0, &id));
    int r = member_drop(v->w->ctx.forge, v->a, &v->who, v->project.id, 0, id, &v->e);
    if (r == E_INVALID || r == E_DENIED || r == E_CONFLICT)
        return member_problem(v, v->e.msg);
    if (r)
        return r;
    return view_redirect(v, "%" PRISTR "/-/project_members?notice=member_removed",
                         STRARG(view_project_url(v)));
}

const struct view_route ROUTES_SETTINGS[] = {
    {"/settings", VIEW_SIGNED_IN, ACCESS_MAINTAINER, general_page, "settings"},
    {"/settings", VIEW_POST | VIEW_SIGNED_IN, ACCESS_MAINTAINER, general_form, "settings"},
    {"/settings/remove", VIEW_POST | VIEW_SIGNED_IN, ACCESS_OWNER, remove_form, "settings"},
    {"/settings/ci_cd", VIEW_SIGNED_IN, ACCESS_MAINTAINER, variables_page, "variables"},
    {"/settings/ci_cd", VIEW_POST | VIEW_SIGNED_IN, ACCESS_MAINTAINER, variable_form, "variables"},
    {"/settings/ci_cd/:id/remove", VIEW_POST | VIEW_SIGNED_IN, ACCESS_MAINTAINER, variable_remove,
     "variables"},
    {"/project_members", VIEW_SIGNED_IN, ACCESS_GUEST, members_page, "members"},
    {"/project_members", VIEW_POST | VIEW_SIGNED_IN, ACCESS_MAINTAINER, member_form, "members"},
    {"/project_members/:id/remove", VIEW_POST | VIEW_SIGNED_IN, ACCESS_MAINTAINER,
     member_remove_form, "members"},
    {NULL, 0, 0, NULL, NULL},
};
