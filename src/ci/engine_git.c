// SPDX-License-Identifier: Apache-2.0
// The engine's access to repositories, for a server that has them on its disk: finds the repository
// of a project and asks src/git. Any thread; opens what it needs per call.
#include "base/clock.h"
#include "ci/engine.h"
#include "forge/forge.h"
#include "git/read.h"
#include "store/projects.h"

static int open_repo(struct forge *f, struct arena *a, int64_t project_id, struct git_repo **ret,
                     struct err *e)
{
    struct project p;
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(f->store, &tx, e));
    TRY(project_get(&tx, a, project_id, &p, e));
    tx_done(&tx);
    return git_repo_open(forge_repo_path(f, a, p.storage).p, ret, e);
}

static int fetch(void *ctx, int64_t project_id, struct str sha, struct str path, struct buf *into,
                 struct err *e)
{
    _autoarena_ struct arena a;
    _autorepo_ struct git_repo *repo = NULL;
    struct git_blob blob;
    arena_init(&a, into->max + MIB(1));
    TRY(open_repo(ctx, &a, project_id, &repo, e));
    TRY(git_read_blob(repo, sha, path, into->max, &a, &blob, e));
    if (blob.truncated)
        return err_set(e, E_LIMIT, "%" PRISTR " is too large", STRARG(path));
    buf_add(into, blob.data);
    return 0;
}

static int resolve(void *ctx, int64_t project_id, struct str ref, char ret_sha[65], bool *ret_tag,
                   struct err *e)
{
    _autoarena_ struct arena a;
    _autorepo_ struct git_repo *repo = NULL;
    enum git_ref_kind kind;
    const char *sha;
    arena_init(&a, MIB(1));
    TRY(open_repo(ctx, &a, project_id, &repo, e));
    TRY(git_resolve(repo, ref, &a, &sha, &kind, e));
    bool tag = kind == GIT_KIND_TAG || str_starts(ref, STR("refs/tags/"));
    if (!tag && kind != GIT_KIND_BRANCH && !str_starts(ref, STR("refs/heads/")))
        return err_set(e, E_NOTFOUND, "there is no branch or tag `%" PRISTR "`", STRARG(ref));
    snprintf(ret_sha, 65, "%s", sha);
    *ret_tag = tag;
    return 0;
}

static int commit(void *ctx, int64_t project_id, struct str sha, struct arena *a,
                  struct str *ret_message, struct str *ret_author, struct str *ret_time,
                  struct err *e)
{
    _autorepo_ struct git_repo *repo = NULL;
    struct git_commit c;
    TRY(open_repo(ctx, a, project_id, &repo, e));
    TRY(git_commit_get(repo, sha, a, &c, e));
    *ret_message = c.message;
    *ret_author =
        arena_strf(a, "%" PRISTR " <%" PRISTR ">", STRARG(c.author.name), STRARG(c.author.email));
    *ret_time = str_of(git_person_time(&c.committer, a));
    return 0;
}

void ci_engine_use_git(struct ci_engine_config *cfg, struct forge *f)
{
    cfg->fetch = fetch;
    cfg->resolve = resolve;
    cfg->commit = commit;
    cfg->git_ctx = f;
}
