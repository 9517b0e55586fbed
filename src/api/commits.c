// SPDX-License-Identifier: Apache-2.0
// Commits: history, one commit, its difference, the refs that hold it. Runs in request workers.
#include "api/repo.h"
#include "api/shapes.h"
#include "api/tables.h"

static int commit_index(struct api_req *r)
{
    _autorepo_ struct git_repo *repo = NULL;
    const char *sha;
    struct git_log log;
    if (repo_open(r, &repo) < 0)
        return HTTP_DONE;
    struct str ref = req_str(r, "ref_name", STR_NONE);
    int rc = repo_resolve(r, repo, ref, &sha);
    if (rc == E_NOTFOUND && !ref.n) { // nothing was pushed yet
        jout_array(reply_begin(r));
        jout_end_array(&r->j);
        reply_page_open(r, false);
        return reply_end(r);
    }
    if (rc == E_INVALID)
        rc = E_NOTFOUND;
    r->e.code = rc;
    REQ_TRY(r, rc, "Commit");
    struct git_log_query q = {
        .sha = str_of(sha),
        .path = req_str(r, "path", STR("")),
        .offset = (size_t)(r->page.page - 1) * r->page.per_page,
        .limit = r->page.per_page,
    };
    REQ_TRY(r, git_log(repo, &q, r->a, &log, &r->e), "Commit");
    struct jout *j = reply_begin(r);
    jout_array(j);
    for (size_t i = 0; i < log.n; i++)
        shape_commit(r, j, &log.items[i]);
    jout_end_array(j);
    reply_page_open(r, log.more);
    return reply_end(r);
}

static bool find(struct api_req *r, struct git_repo *repo, struct git_commit *ret)
{
    const char *sha;
    int rc = repo_resolve(r, repo, r->path[1], &sha);
    if (rc == 0)
        rc = git_commit_get(repo, str_of(sha), r->a, ret, &r->e);
    if (rc == 0)
        return true;
    if (rc == E_INVALID || rc == E_NOTFOUND)
        reply_404(r, "Commit");
    else
        reply_err(r, "Commit");
    return false;
}

// Only counts are wanted: many lines, hardly any of their text.
static const struct git_diff_limits STATS_LIMITS = {.max_files = 10000,
                                                    .max_lines = 200000,
                                                    .max_file_lines = 100000,
                                                    .max_line_bytes = 1,
                                                    .context = -1};

static int commit_show(struct api_req *r)
{
    _autorepo_ struct git_repo *repo = NULL;
    struct git_commit c;
    struct git_diff diff = {0};
    struct pipeline p;
    if (repo_open(r, &repo) < 0 || !find(r, repo, &c))
        return HTTP_DONE;
    bool stats = req_bool(r, "stats", true);
    if (stats && git_diff_commit(repo, str_of(c.sha), &STATS_LIMITS, r->a, &diff, &r->e) < 0)
        return reply_err(r, "Commit");
    REQ_TRY(r, req_read(r, &r->e), NULL);
    struct pipeline_filter f = {.project_id = r->project.id, .sha = str_of(c.sha), .tag = -1};
    struct page page = {.page = 1, .per_page = 1};
    struct pipeline *list;
    size_t n;
    REQ_TRY(r, pipeline_list(&r->tx, r->a, &f, &page, &list, &n, &r->e), NULL);
    if (n)
        p = list[0];
    struct jout *j = reply_begin(r);
    shape_commit_open(r, j, &c);
    if (stats) {
        jout_key(j, "stats");
        jout_object(j);
        jout_kint(j, "additions", diff.added);
        jout_kint(j, "deletions", diff.deleted);
        jout_kint(j, "total", diff.added + diff.deleted);
        jout_end_object(j);
    }
    jout_kcstr(j, "status", n ? ci_status_name(p.status) : NULL);
    jout_kint(j, "project_id", r->project.id);
    jout_key(j, "last_pipeline");
    if (n)
        shape_pipeline_basic(r, j, &p);
    else
        jout_null(j);
    jout_end_object(j);
    return reply_end(r);
}

static int commit_diff(struct api_req *r)
{
    _autorepo_ struct git_repo *repo = NULL;
    struct git_commit c;
    struct git_diff diff;
    if (repo_open(r, &repo) < 0 || !find(r, repo, &c))
        return HTTP_DONE;
    REQ_TRY(r, git_diff_commit(repo, str_of(c.sha), &REPO_DIFF_LIMITS, r->a, &diff, &r->e),
            "Commit");
    size_t from = (size_t)(r->page.page - 1) * r->page.per_page;
    repo_write_diffs(r, reply_begin(r), &diff, from, from + r->page.per_page);
    r->page.total = (int64_t)diff.n;
    reply_page(r);
    return reply_end(r);
}

#define REFS_LOOKED_AT 200

// Branches and tags that hold the commit; bounded, since each costs a walk.
static int refs_of(struct api_req *r, struct git_repo *repo, const struct git_commit *c, bool tags,
                   struct jout *j)
{
    struct git_ref_query q = {.tags = tags, .limit = REFS_LOOKED_AT};
    struct git_ref_list list;
    TRY(git_refs_list(repo, &q, r->a, &list, &r->e));
    for (size_t i = 0; i < list.n; i++) {
        bool inside = false;
        if (git_is_ancestor(repo, str_of(c->sha), str_of(list.items[i].sha), &inside, NULL) < 0 ||
            !inside)
            continue;
        jout_object(j);
        jout_kcstr(j, "type", tags ? "tag" : "branch");
        jout_kcstr(j, "name", list.items[i].name);
        jout_end_object(j);
        r->page.total++;
    }
    return 0;
}

static int commit_refs(struct api_req *r)
{
    _autorepo_ struct git_repo *repo = NULL;
    struct git_commit c;
    if (repo_open(r, &repo) < 0 || !find(r, repo, &c))
        return HTTP_DONE;
    struct str type = req_str(r, "type", STR("all"));
    struct jout *j = reply_begin(r);
    jout_array(j);
    if (!str_is(type, "tag"))
        REQ_TRY(r, refs_of(r, repo, &c, false, j), "Commit");
    if (!str_is(type, "branch"))
        REQ_TRY(r, refs_of(r, repo, &c, true, j), "Commit");
    jout_end_array(j);
    return reply_end(r);
}

static const struct route routes[] = {
    ROUTE(GET, "/projects/:id/repository/commits", commit_index, READ_REPO, GUEST,
          .reply = "commit[]", .paged = true, .doc = "List commits, newest first.",
          PARAMS(OPT("ref_name", STR, "Branch, tag or commit to start from.", .max = 1024),
                 OPT("path", STR, "Only those that touched it.", .max = 4096),
                 OPT("with_stats", BOOL, "Accepted."), OPT("all", BOOL, "Accepted."))),
    ROUTE(GET, "/projects/:id/repository/commits/:sha", commit_show, READ_REPO, GUEST,
          .reply = "commit", .doc = "Show a commit, by sha, branch or tag.",
          PARAMS(OPT("stats", BOOL, "Count changed lines; true when missing."))),
    ROUTE(GET, "/projects/:id/repository/commits/:sha/diff", commit_diff, READ_REPO, GUEST,
          .reply = "diff[]", .paged = true, .doc = "Show what a commit changed.",
          PARAMS(OPT("unidiff", BOOL, "Accepted."))),
    ROUTE(GET, "/projects/:id/repository/commits/:sha/refs", commit_refs, READ_REPO, GUEST,
          .reply = "commit_ref[]", .doc = "List branches and tags that hold a commit.",
          PARAMS(OPT("type", STR, "Which.", .values = "branch|tag|all"))),
};
const struct route_table commit_table = ROUTE_TABLE("Commits", routes);
