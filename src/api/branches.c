// SPDX-License-Identifier: Apache-2.0
// Branches and tags: listing, making, deleting. Changes obey the same rules as a push and are
// recorded as one, so that pipelines follow. Runs in request workers.
#include "api/repo.h"
#include "api/shapes.h"
#include "api/tables.h"
#include "store/pushes.h"

// The caller's view of the project's protections, read once.
struct rules {
    struct protection *list;
    size_t n;
};

static int read_rules(struct api_req *r, bool tag, struct rules *ret)
{
    TRY(req_read(r, &r->e));
    TRY(protection_list(&r->tx, r->a, r->project.id, tag, &ret->list, &ret->n, &r->e));
    req_end_read(r);
    return 0;
}

static bool is_protected(const struct rules *rules, struct str name, int *ret_push, int *ret_merge)
{
    bool found = false;
    *ret_push = *ret_merge = 100;
    for (size_t i = 0; i < rules->n; i++) {
        const struct protection *p = &rules->list[i];
        if (!protection_matches(p->name, name))
            continue;
        found = true;
        if (p->push_level)
            *ret_push = MIN(*ret_push, p->push_level);
        if (p->merge_level)
            *ret_merge = MIN(*ret_merge, p->merge_level);
    }
    return found;
}

static void shape_branch(struct api_req *r, struct jout *j, const struct git_ref_item *b,
                         const struct rules *rules)
{
    int push, merge;
    bool guarded = is_protected(rules, str_of(b->name), &push, &merge);
    jout_object(j);
    jout_kcstr(j, "name", b->name);
    jout_key(j, "commit");
    shape_commit(r, j, &b->commit);
    jout_kbool(j, "merged", false);
    jout_kbool(j, "protected", guarded);
    jout_kbool(j, "developers_can_push", guarded && push <= (int)ROLE_DEVELOPER);
    jout_kbool(j, "developers_can_merge", guarded && merge <= (int)ROLE_DEVELOPER);
    jout_kbool(j, "can_push", r->level >= (guarded ? push : (int)ROLE_DEVELOPER));
    jout_kbool(j, "default", str_is(r->project.default_branch, b->name));
    jout_kstr(j, "web_url",
              req_url(r, "/%" PRISTR "/-/tree/%s", STRARG(r->project.full_path), b->name));
    jout_end_object(j);
}

static void shape_tag(struct api_req *r, struct jout *j, const struct git_ref_item *t,
                      const struct rules *rules)
{
    int push, merge;
    jout_object(j);
    jout_kcstr(j, "name", t->name);
    jout_kstr(j, "message", t->tag_message.p ? t->tag_message : STR(""));
    jout_kcstr(j, "target", t->tag_sha ? t->tag_sha : t->sha);
    jout_key(j, "commit");
    if (t->commit.sha && t->commit.sha[0])
        shape_commit(r, j, &t->commit);
    else
        jout_null(j);
    jout_knull(j, "release");
    jout_kbool(j, "protected", is_protected(rules, str_of(t->name), &push, &merge));
    jout_key(j, "created_at");
    if (t->tag_sha)
        jout_cstr(j, git_person_time(&t->tagger, r->a));
    else
        jout_null(j);
    jout_end_object(j);
}

static int ref_index(struct api_req *r, bool tags)
{
    _autorepo_ struct git_repo *repo = NULL;
    struct git_ref_list list;
    struct rules rules;
    if (repo_open(r, &repo) < 0)
        return HTTP_DONE;
    struct str order = req_str(r, "order_by", tags ? STR("updated") : STR("name"));
    bool ascending = str_is(req_str(r, "sort", tags ? STR("desc") : STR("asc")), "asc");
    struct git_ref_query q = {
        .tags = tags,
        .search = req_str(r, "search", STR_NONE),
        .order = str_is(order, "name") ? (ascending ? GIT_BY_NAME : GIT_BY_NAME_DESC)
                                       : (ascending ? GIT_BY_UPDATED_ASC : GIT_BY_UPDATED_DESC),
        .offset = (size_t)(r->page.page - 1) * r->page.per_page,
        .limit = r->page.per_page,
        .with_commits = true,
    };
    REQ_TRY(r, git_refs_list(repo, &q, r->a, &list, &r->e), NULL);
    REQ_TRY(r, read_rules(r, tags, &rules), NULL);
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < list.n; i++) {
        if (tags)
            shape_tag(r, j, &list.items[i], &rules);
        else
            shape_branch(r, j, &list.items[i], &rules);
    }
    jout_end_array(j);
    r->page.total = (int64_t)list.total;
    reply_page(r);
    return reply_end(r);
}

static int reply_ref(struct api_req *r, struct git_repo *repo, bool tag, struct str name,
                     int status)
{
    struct git_ref_item item;
    struct rules rules;
    REQ_TRY(r, git_ref_get(repo, tag, name, r->a, &item, &r->e), tag ? "Tag" : "Branch");
    if ((!item.commit.sha || !item.commit.sha[0]) &&
        git_commit_get(repo, str_of(item.sha), r->a, &item.commit, NULL) < 0 && !tag)
        return reply_404(r, "Branch");
    REQ_TRY(r, read_rules(r, tag, &rules), NULL);
    struct jout *j = reply_begin(r);
    if (tag)
        shape_tag(r, j, &item, &rules);
    else
        shape_branch(r, j, &item, &rules);
    return reply_status(r, status);
}

static int ref_show(struct api_req *r, bool tag)
{
    _autorepo_ struct git_repo *repo = NULL;
    if (repo_open(r, &repo) < 0)
        return HTTP_DONE;
    return reply_ref(r, repo, tag, r->path[1], 200);
}

// A change of one ref, as a push of it: asked of the rules, intended in the store, done in Git,
// recorded as an event. What a crash leaves in between is settled like any push.
static int move_ref(struct api_req *r, struct git_repo *repo, struct str ref, struct str old_sha,
                    struct str new_sha)
{
    struct str zero = STR(GIT_ZERO_SHA);
    bool create = str_eq(old_sha, zero), remove = str_eq(new_sha, zero);
    struct ref_change change = {.ref = ref,
                                .what = create   ? REF_CREATE
                                        : remove ? REF_DELETE
                                                 : REF_UPDATE};
    TRY(req_read(r, &r->e));
    TRY(access_push(&r->tx, &r->project, r->level, &change, &r->e));
    req_end_read(r);
    struct push_ref moved = {.ref = ref, .old_sha = old_sha, .new_sha = new_sha};
    int64_t push_id, event_id;
    {
        _autotx_ struct tx tx = TX_NONE;
        TRY(store_write(r->api->cfg.store, &tx, &r->e));
        TRY(push_begin(&tx, r->project.id, r->who.user_id, &moved, 1, STR_NONE, &push_id, &r->e));
        TRY(tx_commit(&tx, &r->e));
    }
    int rc =
        remove ? git_ref_delete(repo, ref, old_sha, &r->e) : git_ref_set(repo, ref, new_sha, &r->e);
    struct str title = STR_NONE;
    struct git_commit c;
    if (rc == 0 && !remove && git_commit_get(repo, new_sha, r->a, &c, NULL) == 0)
        title = c.title;
    struct err e2 = ERR_INIT;
    _autotx_ struct tx tx = TX_NONE;
    int rc2 = store_write(r->api->cfg.store, &tx, &e2);
    if (rc2 == 0)
        rc2 = push_finish(&tx, push_id, ref, rc == 0, new_sha, 0, title, &event_id, &e2);
    if (rc2 == 0)
        rc2 = tx_commit(&tx, &e2);
    if (rc == 0 && rc2 < 0 && rc2 != E_NOTFOUND) {
        r->e = e2;
        return rc2;
    }
    if (rc == 0 && rc2 == 0 && event_id && r->api->cfg.pushed)
        r->api->cfg.pushed(r->api->cfg.pushed_ctx, event_id);
    return rc;
}

static int ref_create(struct api_req *r, bool tag, struct str name, struct str from)
{
    _autorepo_ struct git_repo *repo = NULL;
    struct git_ref_item item;
    const char *sha;
    if (!git_branch_name_ok(name))
        return reply_message(r, 400, "%s name is invalid", tag ? "Tag" : "Branch");
    if (repo_open(r, &repo) < 0)
        return HTTP_DONE;
    if (git_ref_get(repo, tag, name, r->a, &item, NULL) == 0)
        return tag ? reply_message(r, 400, "Tag %" PRISTR " already exists", STRARG(name))
                   : reply_message(r, 400, "Branch already exists");
    int rc = repo_resolve(r, repo, from, &sha);
    if (rc == E_NOTFOUND || rc == E_INVALID)
        return tag ? reply_message(r, 400, "Target %" PRISTR " is invalid", STRARG(from))
                   : reply_message(r, 400, "Invalid reference name: %" PRISTR, STRARG(from));
    REQ_TRY(r, rc, "Ref");
    struct str ref = arena_strf(r->a, "refs/%s/%" PRISTR, tag ? "tags" : "heads", STRARG(name));
    REQ_TRY(r, move_ref(r, repo, ref, STR(GIT_ZERO_SHA), str_of(sha)), "Ref");
    return reply_ref(r, repo, tag, name, 201);
}

static int ref_delete(struct api_req *r, bool tag)
{
    _autorepo_ struct git_repo *repo = NULL;
    struct git_ref_item item;
    struct str name = r->path[1];
    if (repo_open(r, &repo) < 0)
        return HTTP_DONE;
    REQ_TRY(r, git_ref_get(repo, tag, name, r->a, &item, &r->e), tag ? "Tag" : "Branch");
    if (!tag && str_eq(name, r->project.default_branch))
        return reply_message(r, 403, "The default branch of a project cannot be deleted.");
    struct str old = str_of(item.tag_sha ? item.tag_sha : item.sha);
    REQ_TRY(r, move_ref(r, repo, str_of(item.ref), old, STR(GIT_ZERO_SHA)), "Ref");
    return reply_empty(r, 204);
}

static int branch_index(struct api_req *r)
{
    return ref_index(r, false);
}

static int branch_show(struct api_req *r)
{
    return ref_show(r, false);
}

static int branch_create(struct api_req *r)
{
    return ref_create(r, false, req_str(r, "branch", STR_NONE), req_str(r, "ref", STR_NONE));
}

static int branch_delete(struct api_req *r)
{
    return ref_delete(r, false);
}

static int tag_index(struct api_req *r)
{
    return ref_index(r, true);
}

static int tag_show(struct api_req *r)
{
    return ref_show(r, true);
}

static int tag_create(struct api_req *r)
{
    if (req_str(r, "message", STR_NONE).n)
        return reply_message(r, 400,
                             "annotated tags cannot be made here yet: leave `message` out, "
                             "or push the tag with git");
    return ref_create(r, true, req_str(r, "tag_name", STR_NONE), req_str(r, "ref", STR_NONE));
}

static int tag_delete(struct api_req *r)
{
    return ref_delete(r, true);
}

#define LIST_PARAMS                                                                                \
    PARAMS(OPT("search", STR, "Part of the name; ^start, end$.", .max = 255),                      \
           OPT("order_by", STR, "Order.", .values = "name|updated"),                               \
           OPT("sort", STR, "Direction.", .values = "asc|desc"))

static const struct route routes[] = {
    ROUTE(GET, "/projects/:id/repository/branches", branch_index, READ_REPO, GUEST,
          .reply = "branch[]", .paged = true, .doc = "List branches.", LIST_PARAMS),
    ROUTE(POST, "/projects/:id/repository/branches", branch_create, API, DEVELOPER,
          .reply = "branch", .doc = "Make a branch.",
          PARAMS(REQ("branch", STR, "Its name.", .max = 255),
                 REQ("ref", STR, "Branch, tag or commit it begins at.", .max = 1024))),
    ROUTE(GET, "/projects/:id/repository/branches/:branch", branch_show, READ_REPO, GUEST,
          .reply = "branch", .doc = "Show a branch."),
    ROUTE(DELETE, "/projects/:id/repository/branches/:branch", branch_delete, API, DEVELOPER,
          .status = 204, .doc = "Delete a branch."),
    ROUTE(GET, "/projects/:id/repository/tags", tag_index, READ_REPO, GUEST, .reply = "tag[]",
          .paged = true, .doc = "List tags.", LIST_PARAMS),
    ROUTE(POST, "/projects/:id/repository/tags", tag_create, API, DEVELOPER, .reply = "tag",
          .doc = "Make a tag.",
          PARAMS(REQ("tag_name", STR, "Its name.", .max = 255),
                 REQ("ref", STR, "Branch, tag or commit.", .max = 1024),
                 OPT("message", STR, "Not supported yet."))),
    ROUTE(GET, "/projects/:id/repository/tags/:tag_name", tag_show, READ_REPO, GUEST,
          .reply = "tag", .doc = "Show a tag."),
    ROUTE(DELETE, "/projects/:id/repository/tags/:tag_name", tag_delete, API, DEVELOPER,
          .status = 204, .doc = "Delete a tag."),
};
const struct route_table branch_table = ROUTE_TABLE("Branches and tags", routes);
