// SPDX-License-Identifier: Apache-2.0
// Names to commits, commits, branches and tags. Objects come through libgit2, ref names through
// git/refs.h; the caller's thread owns the handle and its arena owns every result.
#include "git/repo_priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "git/refs.h"

#include <stdio.h>
#include <stdlib.h>

int git_oid_of(struct str sha, git_oid *ret, struct err *e)
{
    if (!git_sha_ok(sha) || git_oid_fromstrn(ret, sha.p, sha.n) < 0)
        return err_set(e, E_INVALID, "\"%" PRISTR "\" is not a commit id of 40 digits",
                       STRARG(str_head(sha, 80)));
    return 0;
}

const char *git_oid_text(const git_oid *oid, struct arena *a)
{
    char *hex = arena_alloc(a, GIT_OID_HEXSZ + 1, 1);
    git_oid_tostr(hex, GIT_OID_HEXSZ + 1, oid);
    return hex;
}

int git_commit_open(struct git_repo *r, struct str sha, lg_commit **ret, struct err *e)
{
    git_oid oid;
    int rc = git_oid_of(sha, &oid, e);
    if (rc < 0)
        return rc;
    rc = git_commit_lookup(ret, r->lg, &oid);
    return rc < 0 ? git_fail(rc, e, "cannot read commit %" PRISTR, STRARG(sha)) : 0;
}

// A page shows a hundred commits at once: what a hostile one says must fit a request's arena then.
#define MESSAGE_MAX KIB(64)
#define PERSON_MAX  KIB(1)

void git_person_fill(const git_signature *s, struct arena *a, struct git_person *ret)
{
    *ret = (struct git_person){0};
    if (!s)
        return;
    ret->name = arena_str(a, str_head(str_of(s->name), PERSON_MAX));
    ret->email = arena_str(a, str_head(str_of(s->email), PERSON_MAX));
    // Years that no calendar function can print come from broken or hostile commits.
    int64_t t = s->when.time;
    t = MIN(MAX(t, (int64_t)-62135596800), (int64_t)253402300799);
    ret->time_ms = t * 1000;
    ret->offset_min = s->when.offset > -1440 && s->when.offset < 1440 ? s->when.offset : 0;
}

const char *git_person_time(const struct git_person *p, struct arena *a)
{
    char utc[CLOCK_RFC3339_SIZE];
    clock_rfc3339(p->time_ms + (int64_t)p->offset_min * 60000, utc);
    int off = abs(p->offset_min);
    // The clock writes "...Z"; the local time of the zone carries the zone's offset instead.
    return arena_printf(a, "%.*s%c%02d:%02d", (int)(strlen(utc) - 1), utc,
                        p->offset_min < 0 ? '-' : '+', off / 60, off % 60);
}

static void split_message(struct git_commit *c, struct arena *a)
{
    struct str m = c->message;
    while (m.n && m.p[0] == '\n')
        m = str_from(m, 1);
    ptrdiff_t end = str_search(m, STR("\n\n"));
    struct str title = end < 0 ? m : str_head(m, (size_t)end);
    char *one = arena_dup(a, str_trim(title));
    for (char *p = one; *p; p++) {
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    }
    c->title = str_of(one);
    c->body = end < 0 ? STR("") : str_trim(str_from(m, (size_t)end + 2));
}

void git_commit_fill(lg_commit *lc, struct arena *a, struct git_commit *ret)
{
    *ret = (struct git_commit){0};
    ret->sha = git_oid_text(git_commit_id(lc), a);
    ret->tree = git_oid_text(git_commit_tree_id(lc), a);
    git_person_fill(git_commit_author(lc), a, &ret->author);
    git_person_fill(git_commit_committer(lc), a, &ret->committer);
    struct str message = str_of(git_commit_message(lc));
    ret->message = arena_str(a, str_head(message, MESSAGE_MAX));
    split_message(ret, a);
    ret->nparents = MIN(git_commit_parentcount(lc), 1000u);
    ret->parents = ARENA_ARRAY(a, const char *, ret->nparents + 1);
    for (size_t i = 0; i < ret->nparents; i++)
        ret->parents[i] = git_oid_text(git_commit_parent_id(lc, (unsigned)i), a);
}

int git_commit_get(struct git_repo *r, struct str sha, struct arena *a, struct git_commit *ret,
                   struct err *e)
{
    _lgfree_(commit) lg_commit *c = NULL;
    int rc = git_commit_open(r, sha, &c, e);
    if (rc == 0)
        git_commit_fill(c, a, ret);
    return rc;
}

// ---- names

// Any object to the commit behind it.
static int to_commit(struct git_repo *r, struct str sha, git_oid *ret, struct err *e)
{
    git_oid oid;
    int rc = git_oid_of(sha, &oid, e);
    if (rc < 0)
        return rc;
    _lgfree_(object) git_object *obj = NULL, *commit = NULL;
    rc = git_object_lookup(&obj, r->lg, &oid, GIT_OBJECT_ANY);
    if (rc < 0)
        return git_fail(rc, e, "cannot read object %" PRISTR, STRARG(sha));
    if (git_object_peel(&commit, obj, GIT_OBJECT_COMMIT) < 0)
        return err_set(e, E_NOTFOUND, "object %" PRISTR " is not a commit", STRARG(sha));
    git_oid_cpy(ret, git_object_id(commit));
    return 0;
}

static bool hex_only(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
    }
    return s.n > 0;
}

static int by_short_sha(struct git_repo *r, struct str rev, git_oid *ret, struct err *e)
{
    char hex[GIT_SHA_HEX + 1];
    snprintf(hex, sizeof(hex), "%" PRISTR, STRARG(rev));
    git_oid prefix, full;
    if (git_oid_fromstrn(&prefix, hex, rev.n) < 0)
        return err_set(e, E_NOTFOUND, "there is no commit %s", hex);
    _lgfree_(odb) git_odb *odb = NULL;
    int rc = git_repository_odb(&odb, r->lg);
    if (rc == 0)
        rc = git_odb_exists_prefix(&full, odb, &prefix, rev.n);
    if (rc < 0)
        return git_fail(rc, e, "cannot find commit %s", hex);
    return to_commit(r, str_of(git_oid_tostr_s(&full)), ret, e);
}

int git_resolve(struct git_repo *r, struct str rev, struct arena *a, const char **ret_sha,
                enum git_ref_kind *ret_kind, struct err *e)
{
    enum git_ref_kind kind_unused = GIT_KIND_OTHER;
    enum git_ref_kind *kind = ret_kind ? ret_kind : &kind_unused;
    if (rev.n > GIT_REF_NAME_MAX || memchr(rev.n ? rev.p : "", 0, rev.n))
        return err_set(e, E_NOTFOUND, "there is no such revision");
    git_oid oid;
    if (git_sha_ok(rev) && to_commit(r, rev, &oid, NULL) == 0) {
        *kind = GIT_KIND_COMMIT;
        *ret_sha = git_oid_text(&oid, a);
        return 0;
    }
    _autorefs_ struct git_refs *refs = NULL;
    int rc = git_refs_now(r->path, &refs, e);
    if (rc < 0)
        return rc;
    struct str sha = STR_NONE;
    if (rev.n == 0 || str_is(rev, "HEAD")) {
        sha = refs->head_sha;
        *kind = GIT_KIND_BRANCH;
        if (!sha.n)
            return err_set(e, E_NOTFOUND, "the repository has no commit on its default branch yet");
    } else if (str_starts(rev, STR("refs/"))) {
        const struct git_ref *ref = git_refs_find(refs, rev);
        sha = ref ? ref->sha : STR_NONE;
        *kind = str_starts(rev, STR("refs/heads/"))  ? GIT_KIND_BRANCH
                : str_starts(rev, STR("refs/tags/")) ? GIT_KIND_TAG
                                                     : GIT_KIND_OTHER;
    } else {
        const struct git_ref *ref =
            git_refs_find(refs, arena_strf(a, "refs/heads/%" PRISTR, STRARG(rev)));
        *kind = GIT_KIND_BRANCH;
        if (!ref) {
            ref = git_refs_find(refs, arena_strf(a, "refs/tags/%" PRISTR, STRARG(rev)));
            *kind = GIT_KIND_TAG;
        }
        sha = ref ? ref->sha : STR_NONE;
    }
    if (sha.n) {
        rc = to_commit(r, sha, &oid, e);
    } else if (rev.n >= 4 && rev.n < GIT_SHA_HEX && hex_only(rev)) {
        *kind = GIT_KIND_COMMIT;
        rc = by_short_sha(r, rev, &oid, e);
    } else {
        rc = err_set(e, E_NOTFOUND, "there is no branch, tag or commit \"%" PRISTR "\"",
                     STRARG(str_head(rev, 200)));
    }
    if (rc < 0)
        return rc;
    *ret_sha = git_oid_text(&oid, a);
    return 0;
}

// ---- branches and tags

static void item_of(const struct git_ref *ref, bool tag, struct arena *a, struct git_ref_item *ret)
{
    *ret = (struct git_ref_item){0};
    ret->ref = arena_dup(a, ref->name);
    ret->name = ret->ref + (tag ? strlen("refs/tags/") : strlen("refs/heads/"));
    ret->sha = arena_dup(a, ref->peeled.n ? ref->peeled : ref->sha);
    ret->tag_sha = ref->peeled.n ? arena_dup(a, ref->sha) : NULL;
}

static void item_details(struct git_repo *r, struct arena *a, struct git_ref_item *it)
{
    git_oid oid;
    git_tag *tag = NULL;
    if (it->tag_sha && git_oid_of(str_of(it->tag_sha), &oid, NULL) == 0 &&
        git_tag_lookup(&tag, r->lg, &oid) == 0) {
        it->tag_message =
            arena_str(a, str_head(str_trim(str_of(git_tag_message(tag))), MESSAGE_MAX));
        git_person_fill(git_tag_tagger(tag), a, &it->tagger);
        git_tag_free(tag);
    }
    if (git_commit_get(r, str_of(it->sha), a, &it->commit, NULL) < 0)
        it->commit = (struct git_commit){.sha = "", .tree = ""};
}

int git_ref_get(struct git_repo *r, bool tag, struct str name, struct arena *a,
                struct git_ref_item *ret, struct err *e)
{
    _autorefs_ struct git_refs *refs = NULL;
    int rc = git_refs_now(r->path, &refs, e);
    if (rc < 0)
        return rc;
    const struct git_ref *ref =
        name.n > GIT_REF_NAME_MAX
            ? NULL
            : git_refs_find(
                  refs, arena_strf(a, "refs/%s/%" PRISTR, tag ? "tags" : "heads", STRARG(name)));
    if (!ref)
        return err_set(e, E_NOTFOUND, "there is no %s \"%" PRISTR "\"", tag ? "tag" : "branch",
                       STRARG(str_head(name, 200)));
    item_of(ref, tag, a, ret);
    item_details(r, a, ret);
    return 0;
}

static bool name_matches(struct str name, struct str search)
{
    if (!search.n)
        return true;
    if (search.p[0] == '^')
        return str_starts(name, str_from(search, 1));
    if (search.p[search.n - 1] == '$')
        return str_ends(name, str_head(search, search.n - 1));
    return strcasestr(name.p, search.p) != NULL;
}

struct dated {
    const struct git_ref *ref;
    int64_t time;
};

static int by_time(const void *a, const void *b)
{
    const struct dated *x = a, *y = b;
    if (x->time != y->time)
        return x->time > y->time ? -1 : 1;
    return str_cmp(x->ref->name, y->ref->name);
}

static int64_t ref_time(struct git_repo *r, const struct git_ref *ref)
{
    git_oid oid;
    _lgfree_(commit) lg_commit *c = NULL;
    if (git_oid_of(ref->peeled.n ? ref->peeled : ref->sha, &oid, NULL) < 0 ||
        git_commit_lookup(&c, r->lg, &oid) < 0)
        return INT64_MIN;
    return git_commit_time(c);
}

int git_refs_list(struct git_repo *r, const struct git_ref_query *q, struct arena *a,
                  struct git_ref_list *ret, struct err *e)
{
    *ret = (struct git_ref_list){0};
    _autorefs_ struct git_refs *refs = NULL;
    int rc = git_refs_now(r->path, &refs, e);
    if (rc < 0)
        return rc;
    struct str prefix = q->tags ? STR("refs/tags/") : STR("refs/heads/");
    // NUL-terminated copies: the search is case-insensitive and there is no slice form of it.
    struct str search = q->search.n ? arena_str(a, str_head(q->search, 1024)) : STR_NONE;
    size_t from = git_refs_seek(refs, prefix), to = from;
    while (to < refs->n && str_starts(refs->items[to].name, prefix))
        to++;
    struct dated *match = NEW_ARRAY(struct dated, to - from + 1);
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        char name[GIT_REF_NAME_MAX + 1];
        struct str cut = str_from(refs->items[i].name, prefix.n);
        snprintf(name, sizeof(name), "%" PRISTR, STRARG(cut));
        if (name_matches(str_of(name), search))
            match[n++].ref = &refs->items[i];
    }
    if (q->order == GIT_BY_UPDATED_DESC || q->order == GIT_BY_UPDATED_ASC) {
        for (size_t i = 0; i < n; i++)
            match[i].time = ref_time(r, match[i].ref);
        qsort(match, n, sizeof(*match), by_time);
    }
    bool reverse = q->order == GIT_BY_UPDATED_ASC || q->order == GIT_BY_NAME_DESC;
    size_t limit = q->limit ? q->limit : 20;
    size_t begin = MIN(q->offset, n), count = MIN(limit, n - begin);
    ret->items = ARENA_ARRAY(a, struct git_ref_item, count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t at = reverse ? n - 1 - (begin + i) : begin + i;
        item_of(match[at].ref, q->tags, a, &ret->items[i]);
        if (q->with_commits)
            item_details(r, a, &ret->items[i]);
    }
    ret->n = count;
    ret->total = n;
    free(match);
    return 0;
}
