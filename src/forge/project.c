// SPDX-License-Identifier: Apache-2.0
// Making, changing and deleting projects, groups and memberships by the rules. A repository is made
// before the row that names it; a crash in between leaves a stray folder, which the sweep at start
// removes. Stateless.
#include "forge/project.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "forge/account.h"
#include "store/blob.h"
#include "store/events.h"
#include "store/users.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int note(struct tx *tx, const struct actor *who, const char *action, const char *type,
                int64_t target, int64_t project_id, int64_t namespace_id, struct str details,
                struct err *e)
{
    struct event ev = {.audit = true,
                       .action = str_of(action),
                       .author_id = who->user_id,
                       .project_id = project_id,
                       .namespace_id = namespace_id,
                       .target_type = str_of(type),
                       .target_id = target,
                       .details = details};
    return event_insert(tx, &ev, e);
}

static int check_text(struct str name, struct str description, struct err *e)
{
    if (name.n == 0 || name.n > 255 || !str_is_utf8(name) || str_has_control(name))
        return err_set(e, E_INVALID, "name must be 1 to 255 characters without control characters");
    if (description.n > 2000 || !str_is_utf8(description))
        return err_set(e, E_INVALID, "description is too long (maximum is 2000 characters)");
    return 0;
}

// A path made from a name: "My Project!" -> "my-project".
static struct str path_from_name(struct arena *a, struct str name)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(1));
    text_slug(&b, str_head(name, 255));
    return arena_str(a, buf_str(&b));
}

static struct str new_storage(struct arena *a)
{
    unsigned char random[32];
    _autobuf_ struct buf hex = BUF_INIT(128);
    BUG_ON(getrandom(random, sizeof(random), 0) != sizeof(random));
    text_hex(&hex, str_n((const char *)random, sizeof(random)));
    return arena_strf(a, "@hashed/%.2s/%.2s/%s", hex.p, hex.p + 2, hex.p);
}

// Where the actor may put a project: one's own namespace, or a group as Maintainer.
static int find_home(struct tx *tx, struct arena *a, const struct actor *who, int64_t namespace_id,
                     struct ns *ret, struct err *e)
{
    int level;
    TRY(ns_get(tx, a, namespace_id, ret, e));
    TRY(access_ns(tx, who, ret, &level, e));
    if (level == ACCESS_NONE && ret->visibility == VIS_PRIVATE)
        return err_set(e, E_NOTFOUND, "404 Namespace Not Found");
    if (level < ACCESS_MAINTAINER)
        return err_set(e, E_DENIED, "403 Forbidden: making this needs the role Maintainer there");
    return 0;
}

static int own_namespace(struct tx *tx, struct arena *a, const struct actor *who, int64_t *ret,
                         struct err *e)
{
    struct user u;
    TRY(user_get(tx, a, who->user_id, &u, e));
    *ret = u.namespace_id;
    return 0;
}

// ---- projects ----

static int plan(struct forge *f, struct arena *a, const struct actor *who,
                const struct project_new *n, struct project *p, struct err *e)
{
    if (who->kind != ACTOR_USER)
        return err_set(e, E_DENIED, "403 Forbidden: only a user can make a project");
    project_defaults(p);
    p->path = n->path.n ? n->path : path_from_name(a, n->name);
    p->name = n->name.n ? n->name : n->path;
    p->description = n->description;
    p->visibility = n->visibility < 0 ? VIS_PRIVATE : (enum visibility)n->visibility;
    p->default_branch = n->default_branch.n ? n->default_branch : STR("main");
    p->creator_id = who->user_id;
    p->namespace_id = n->namespace_id;
    TRY(check_text(p->name, p->description, e));
    TRY(path_check(p->path, false, e));

    _autotx_ struct tx tx = TX_NONE;
    struct ns home = {0};
    struct project taken;
    TRY(store_read(f->store, &tx, e));
    if (!p->namespace_id)
        TRY(own_namespace(&tx, a, who, &p->namespace_id, e));
    TRY(find_home(&tx, a, who, p->namespace_id, &home, e));
    if (home.group && home.visibility < p->visibility)
        return err_set(e, E_INVALID, "visibility_level %s is not allowed in a %s group",
                       visibility_name(p->visibility), visibility_name(home.visibility));
    // Asked again by the unique index; here it saves making a repository for nothing.
    struct str full =
        arena_strf(a, "%" PRISTR "/%" PRISTR, STRARG(home.full_path), STRARG(p->path));
    int rc = project_by_path(&tx, a, full, &taken, e);
    if (rc == 0)
        return err_set(e, E_CONFLICT, "path has already been taken");
    return rc == E_NOTFOUND ? 0 : rc;
}

static int insert(struct forge *f, struct arena *a, const struct actor *who, struct project *p,
                  struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    struct ns home = {0};
    TRY(store_write(f->store, &tx, e));
    TRY(find_home(&tx, a, who, p->namespace_id, &home, e));
    TRY(project_insert(&tx, a, p, e));
    struct protection rule = {.project_id = p->id,
                              .name = p->default_branch,
                              .push_level = ACCESS_MAINTAINER,
                              .merge_level = ACCESS_MAINTAINER};
    TRY(protection_insert(&tx, &rule, e));
    TRY(note(&tx, who, "project_created", "Project", p->id, p->id, p->namespace_id, p->full_path,
             e));
    return tx_commit(&tx, e);
}

int project_create(struct forge *f, struct arena *a, const struct actor *who,
                   const struct project_new *n, struct project *ret, struct err *e)
{
    struct project p = {0};
    TRY(plan(f, a, who, n, &p, e));
    p.storage = new_storage(a);
    struct str repo = forge_repo_path(f, a, p.storage);
    struct str below = arena_strf(a, "repos/%" PRISTR ".git", STRARG(p.storage));
    int rc = f->repo_create ? f->repo_create(repo.p, p.default_branch, e) : 0;
    if (rc == 0)
        rc = insert(f, a, who, &p, e);
    if (rc < 0) {
        struct err ignored = ERR_INIT;
        (void)!blob_remove(f->store, below, &ignored);
        return rc;
    }
    *ret = p;
    return 0;
}

int project_remove(struct forge *f, struct arena *a, const struct actor *who, int64_t id,
                   struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    struct project p = {0};
    TRY(store_write(f->store, &tx, e));
    TRY(access_project_get(&tx, a, who, id, ACCESS_OWNER, &p, NULL, e));
    TRY(project_delete(&tx, a, id, e));
    TRY(note(&tx, who, "project_deleted", "Project", id, id, p.namespace_id, p.full_path, e));
    return tx_commit(&tx, e);
}

int project_change(struct forge *f, struct arena *a, const struct actor *who,
                   const struct project *p, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    struct project was;
    struct ns home = {0};
    int level;
    TRY(check_text(p->name, p->description, e));
    if (p->build_timeout_s < 600 || p->build_timeout_s > 30 * 86400)
        return err_set(e, E_INVALID, "build_timeout must be between 10 minutes and 1 month");
    if (p->ci_git_depth < 0 || p->ci_git_depth > 1000)
        return err_set(e, E_INVALID, "ci_default_git_depth must be between 0 and 1000");
    TRY(store_write(f->store, &tx, e));
    TRY(access_project_get(&tx, a, who, p->id, ACCESS_MAINTAINER, &was, &level, e));
    if ((was.visibility != p->visibility || was.archived != p->archived) && level < ACCESS_OWNER)
        return err_set(e, E_DENIED, "403 Forbidden: visibility and archiving need the role Owner");
    if (was.repository_quota != p->repository_quota && !who->admin)
        return err_set(e, E_DENIED, "403 Forbidden: the quota is set by an administrator");
    TRY(ns_get(&tx, a, was.namespace_id, &home, e));
    if (home.group && home.visibility < p->visibility && p->visibility != was.visibility)
        return err_set(e, E_INVALID, "visibility_level %s is not allowed in a %s group",
                       visibility_name(p->visibility), visibility_name(home.visibility));
    TRY(project_update(&tx, p, e));
    if (!str_eq(p->path, was.path)) {
        TRY(path_check(p->path, false, e));
        TRY(project_set_path(&tx, a, p->id, p->path, e));
    }
    TRY(note(&tx, who, "project_changed", "Project", p->id, p->id, p->namespace_id, p->full_path,
             e));
    return tx_commit(&tx, e);
}

// ---- stray repositories ----

struct sweep {
    struct forge *f;
    struct tx *tx;
    struct arena *a;
    int64_t removed;
};

static int sweep_repo(struct sweep *w, struct str below, struct err *e)
{
    bool known;
    struct str storage = str_head(below, below.n - 4);
    TRY(project_storage_known(w->tx, storage, &known, e));
    if (known)
        return 0;
    w->removed++;
    return blob_remove(w->f->store, arena_strf(w->a, "repos/%" PRISTR, STRARG(below)), e);
}

// repos/ is two levels of short folders below @hashed, then "<name>.git".
static int sweep_folder(struct sweep *w, struct str below, int depth, struct err *e)
{
    struct str path =
        arena_strf(w->a, "%s/repos/%" PRISTR, store_folder(w->f->store), STRARG(below));
    DIR *dir = opendir(path.p);
    if (!dir)
        return 0;
    int rc = 0;
    for (struct dirent *d; rc == 0 && (d = readdir(dir));) {
        struct str name = str_of(d->d_name);
        if (name.p[0] == '.')
            continue;
        struct str next = arena_strf(w->a, "%" PRISTR "/%s", STRARG(below), d->d_name);
        if (depth < 2)
            rc = sweep_folder(w, next, depth + 1, e);
        else if (str_ends(name, STR(".git")))
            rc = sweep_repo(w, next, e);
    }
    closedir(dir);
    return rc;
}

int64_t project_sweep_repos(struct forge *f, struct err *e)
{
    _autoarena_ struct arena a;
    _autotx_ struct tx tx = TX_NONE;
    struct sweep w = {.f = f, .tx = &tx, .a = &a};
    arena_init(&a, GIB(1));
    TRY(store_read(f->store, &tx, e));
    TRY(sweep_folder(&w, STR("@hashed"), 0, e));
    return w.removed;
}

// ---- groups ----

int group_create(struct forge *f, struct arena *a, const struct actor *who,
                 const struct group_new *n, struct ns *ret, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    if (who->kind != ACTOR_USER)
        return err_set(e, E_DENIED, "403 Forbidden: only a user can make a group");
    TRY(check_text(n->name, n->description, e));
    TRY(path_check(n->path, n->parent_id == 0, e));
    struct ns g = {.parent_id = n->parent_id,
                   .group = true,
                   .path = n->path,
                   .name = n->name,
                   .description = n->description,
                   .visibility = n->visibility < 0 ? VIS_PRIVATE : (enum visibility)n->visibility};
    TRY(store_write(f->store, &tx, e));
    if (n->parent_id) {
        struct ns parent;
        TRY(find_home(&tx, a, who, n->parent_id, &parent, e));
        if (!parent.group)
            return err_set(e, E_INVALID, "parent_id must be a group");
        if (parent.visibility < g.visibility)
            return err_set(e, E_INVALID, "visibility_level %s is not allowed in a %s group",
                           visibility_name(g.visibility), visibility_name(parent.visibility));
    }
    TRY(ns_insert(&tx, a, &g, e));
    struct member m = {.user_id = who->user_id,
                       .namespace_id = g.id,
                       .access_level = ACCESS_OWNER,
                       .created_by = who->user_id};
    TRY(member_set(&tx, &m, e));
    TRY(note(&tx, who, "group_created", "Group", g.id, 0, g.id, g.full_path, e));
    TRY(ns_get(&tx, a, g.id, ret, e));
    return tx_commit(&tx, e);
}

int group_remove(struct forge *f, struct arena *a, const struct actor *who, int64_t id,
                 struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    struct ns g;
    TRY(store_write(f->store, &tx, e));
    TRY(access_ns_find(&tx, a, who, arena_strf(a, "%lld", (long long)id), ACCESS_OWNER, &g, NULL,
                       e));
    if (!g.group)
        return err_set(e, E_INVALID, "a user's own namespace cannot be deleted");
    TRY(ns_delete(&tx, id, e));
    TRY(note(&tx, who, "group_deleted", "Group", id, 0, id, g.full_path, e));
    return tx_commit(&tx, e);
}

// ---- members ----

// The actor's level at the place, which must allow managing members.
static int manage(struct tx *tx, struct arena *a, const struct actor *who, int64_t project_id,
                  int64_t namespace_id, int *ret_level, struct err *e)
{
    struct project p = {0};
    struct ns n = {0};
    if (project_id)
        return access_project_get(tx, a, who, project_id, ACCESS_MAINTAINER, &p, ret_level, e);
    TRY(access_ns_find(tx, a, who, arena_strf(a, "%lld", (long long)namespace_id), ACCESS_OWNER, &n,
                       ret_level, e));
    return n.group ? 0 : err_set(e, E_INVALID, "a user's own namespace has no members");
}

static int keep_an_owner(struct tx *tx, struct arena *a, int64_t namespace_id, int64_t leaving,
                         struct err *e)
{
    struct member *m;
    size_t n;
    // By level: the owners are on the first page, if there are any.
    struct page page = {.per_page = 2};
    TRY(member_list(tx, a, 0, namespace_id, false, STR_NONE, clock_wall_ms(), &page, &m, &n, e));
    for (size_t i = 0; i < n; i++)
        if (m[i].access_level == ACCESS_OWNER && m[i].user_id != leaving)
            return 0;
    struct ns g;
    TRY(ns_get(tx, a, namespace_id, &g, e));
    return g.parent_id ? 0 : err_set(e, E_DENIED, "403 Forbidden: the last owner must stay");
}

static bool known_level(int level)
{
    return level == ACCESS_MINIMAL ||
           (level >= ACCESS_GUEST && level <= ACCESS_OWNER && level % 10 == 0);
}

int member_change(struct forge *f, struct arena *a, const struct actor *who, int64_t project_id,
                  int64_t namespace_id, int64_t user_id, int level, int64_t expires_at,
                  struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    struct member was = {0};
    int mine;
    if (!known_level(level) || (project_id && level == ACCESS_MINIMAL))
        return err_set(e, E_INVALID, "access_level does not have a valid value");
    if (expires_at && expires_at <= clock_wall_ms())
        return err_set(e, E_INVALID, "expires_at must be in the future");
    TRY(store_write(f->store, &tx, e));
    TRY(manage(&tx, a, who, project_id, namespace_id, &mine, e));
    int rc = member_get(&tx, a, project_id, namespace_id, user_id, &was, e);
    if (rc < 0 && rc != E_NOTFOUND)
        return rc;
    if (level > mine || was.access_level > mine)
        return err_set(e, E_DENIED, "403 Forbidden: nobody gives or takes more than they have");
    if (namespace_id && was.access_level == ACCESS_OWNER && level < ACCESS_OWNER)
        TRY(keep_an_owner(&tx, a, namespace_id, user_id, e));
    struct member m = {.user_id = user_id,
                       .project_id = project_id,
                       .namespace_id = namespace_id,
                       .access_level = level,
                       .expires_at = expires_at,
                       .created_by = who->user_id};
    TRY(member_set(&tx, &m, e));
    TRY(note(&tx, who, "member_changed", "User", user_id, project_id, namespace_id,
             str_of(access_level_name(level)), e));
    return tx_commit(&tx, e);
}

int member_drop(struct forge *f, struct arena *a, const struct actor *who, int64_t project_id,
                int64_t namespace_id, int64_t user_id, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    struct member was;
    int mine = ACCESS_NONE;
    TRY(store_write(f->store, &tx, e));
    // Anybody may leave.
    if (who->kind != ACTOR_USER || who->user_id != user_id)
        TRY(manage(&tx, a, who, project_id, namespace_id, &mine, e));
    else
        mine = ACCESS_OWNER;
    TRY(member_get(&tx, a, project_id, namespace_id, user_id, &was, e));
    if (was.access_level > mine)
        return err_set(e, E_DENIED, "403 Forbidden: nobody gives or takes more than they have");
    if (namespace_id && was.access_level == ACCESS_OWNER)
        TRY(keep_an_owner(&tx, a, namespace_id, user_id, e));
    TRY(member_remove(&tx, project_id, namespace_id, user_id, e));
    TRY(note(&tx, who, "member_removed", "User", user_id, project_id, namespace_id, STR(""), e));
    return tx_commit(&tx, e);
}
