// SPDX-License-Identifier: Apache-2.0
// The predefined variables, from facts that somebody else gathered. Names and meanings are
// GitLab's; what the runner alone knows (CI_PROJECT_DIR, CI_BUILDS_DIR, CI_JOB_STATUS, ...) it sets
// itself. Pure; everything is in the caller's arena.
#include "ci/variables.h"
#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>

#define MAX_VARS 120

struct list {
    struct arena *a;
    struct ci_var *vars;
    size_t n;
};

static void add(struct list *l, const char *key, struct str value)
{
    BUG_ON(l->n == MAX_VARS);
    l->vars[l->n++] = (struct ci_var){
        .key = str_of(key), .value = value.p ? value : STR(""), .level = CI_VAR_PREDEFINED};
}

static void add_some(struct list *l, const char *key, struct str value)
{
    if (value.n)
        add(l, key, value);
}

static void add_int(struct list *l, const char *key, int64_t v)
{
    add(l, key, arena_strf(l->a, "%" PRId64, v));
}

static void add_secret(struct list *l, const char *key, struct str value)
{
    add(l, key, value);
    l->vars[l->n - 1].masked = l->vars[l->n - 1].hidden = true;
}

static struct str slug(struct arena *a, struct str s)
{
    _autobuf_ struct buf b = BUF_INIT(64);
    text_slug(&b, s);
    return arena_str(a, buf_str(&b));
}

static struct str first_part(struct str path)
{
    ptrdiff_t slash = str_find(path, '/');
    return slash < 0 ? path : str_head(path, (size_t)slash);
}

struct url {
    struct str scheme, host, port; // host without the port
};

static struct url split_url(struct str s)
{
    struct url u = {STR("http"), STR_NONE, STR_NONE};
    bool tls = str_starts(s, STR("https://"));
    ptrdiff_t at = str_search(s, STR("://"));
    if (at >= 0) {
        u.scheme = str_head(s, (size_t)at);
        s = str_from(s, (size_t)at + 3);
    }
    u.host = first_part(s);
    ptrdiff_t colon = str_rfind(u.host, ':');
    u.port = tls ? STR("443") : STR("80");
    if (colon >= 0 && str_find(str_from(u.host, (size_t)colon), ']') < 0) {
        u.port = str_from(u.host, (size_t)colon + 1);
        u.host = str_head(u.host, (size_t)colon);
    }
    return u;
}

static void add_server(struct list *l, const struct ci_facts *f)
{
    struct url u = split_url(f->external_url);
    struct str rest = f->version, part;
    static const char *const PARTS[] = {"CI_SERVER_VERSION_MAJOR", "CI_SERVER_VERSION_MINOR",
                                        "CI_SERVER_VERSION_PATCH"};
    add(l, "CI", STR("true"));
    add(l, "GITLAB_CI", STR("true"));
    add(l, "CI_API_V4_URL", arena_strf(l->a, "%" PRISTR "/api/v4", STRARG(f->external_url)));
    add(l, "CI_SERVER_NAME", STR("Slipway"));
    add(l, "CI_SERVER_URL", f->external_url);
    add(l, "CI_SERVER_PROTOCOL", u.scheme);
    add(l, "CI_SERVER_HOST", u.host);
    add(l, "CI_SERVER_PORT", u.port);
    add(l, "CI_SERVER_FQDN",
        str_is(u.port, "80") || str_is(u.port, "443")
            ? u.host
            : arena_strf(l->a, "%" PRISTR ":%" PRISTR, STRARG(u.host), STRARG(u.port)));
    add(l, "CI_SERVER_VERSION", f->version);
    for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++)
        add(l, PARTS[i], str_cut(&rest, '.', &part) ? part : STR("0"));
    add(l, "CI_SERVER_REVISION", STR(""));
    add(l, "GITLAB_FEATURES", STR(""));
}

static void add_project(struct list *l, const struct ci_facts *f)
{
    struct url u = split_url(f->external_url);
    struct str path = f->project_path;
    ptrdiff_t slash = str_rfind(path, '/');
    struct str root = first_part(path), below = str_from(path, root.n + 1);
    add_int(l, "CI_PROJECT_ID", f->project_id);
    add(l, "CI_PROJECT_NAME", slash < 0 ? path : str_from(path, (size_t)slash + 1));
    add(l, "CI_PROJECT_TITLE", f->project_name);
    add(l, "CI_PROJECT_DESCRIPTION", f->description);
    add(l, "CI_PROJECT_PATH", path);
    add(l, "CI_PROJECT_PATH_SLUG", slug(l->a, path));
    add(l, "CI_PROJECT_NAMESPACE", f->namespace_path);
    add_int(l, "CI_PROJECT_NAMESPACE_ID", f->namespace_id);
    add(l, "CI_PROJECT_ROOT_NAMESPACE", root);
    add(l, "CI_PROJECT_URL",
        arena_strf(l->a, "%" PRISTR "/%" PRISTR, STRARG(f->external_url), STRARG(path)));
    add(l, "CI_PROJECT_VISIBILITY", f->visibility);
    add(l, "CI_DEFAULT_BRANCH", f->default_branch);
    add(l, "CI_CONFIG_PATH", f->config_path.n ? f->config_path : STR(".gitlab-ci.yml"));
    if (!f->pages_domain.n)
        return;
    add(l, "CI_PAGES_DOMAIN", f->pages_domain);
    add(l, "CI_PAGES_URL",
        arena_strf(l->a, "%" PRISTR "://%" PRISTR ".%" PRISTR "/%" PRISTR, STRARG(u.scheme),
                   STRARG(root), STRARG(f->pages_domain), STRARG(below)));
}

// Title: the first line; description: what follows the blank line, or all when the title is long.
static void add_message(struct list *l, struct str message)
{
    struct str rest = message, title;
    str_cut(&rest, '\n', &title);
    add(l, "CI_COMMIT_MESSAGE", message);
    add(l, "CI_COMMIT_TITLE", str_trim(title));
    add(l, "CI_COMMIT_DESCRIPTION", title.n < 100 ? str_trim(rest) : message);
}

static void add_commit(struct list *l, const struct ci_facts *f)
{
    add(l, "CI_COMMIT_SHA", f->sha);
    add(l, "CI_COMMIT_SHORT_SHA", str_head(f->sha, 8));
    add(l, "CI_COMMIT_BEFORE_SHA",
        f->before_sha.n ? f->before_sha : STR("0000000000000000000000000000000000000000"));
    add(l, "CI_COMMIT_REF_NAME", f->ref);
    add(l, "CI_COMMIT_REF_SLUG", slug(l->a, f->ref));
    add(l, "CI_COMMIT_REF_PROTECTED", f->ref_protected ? STR("true") : STR("false"));
    add(l, f->tag ? "CI_COMMIT_TAG" : "CI_COMMIT_BRANCH", f->ref);
    if (f->tag)
        add(l, "CI_COMMIT_TAG_MESSAGE", f->tag_message);
    add_message(l, f->commit_message);
    add(l, "CI_COMMIT_AUTHOR", f->commit_author);
    add(l, "CI_COMMIT_TIMESTAMP", f->commit_time);
}

static void add_pipeline(struct list *l, const struct ci_facts *f)
{
    char time[CLOCK_RFC3339_SIZE];
    add(l, "CI_PIPELINE_SOURCE", f->source);
    if (f->created_at)
        add(l, "CI_PIPELINE_CREATED_AT",
            arena_strf(l->a, "%s", clock_rfc3339(f->created_at, time)));
    add_some(l, "CI_PIPELINE_NAME", f->pipeline_name);
    if (str_is(f->source, "trigger"))
        add(l, "CI_PIPELINE_TRIGGERED", STR("true"));
    if (!f->pipeline_id)
        return;
    add_int(l, "CI_PIPELINE_ID", f->pipeline_id);
    add_int(l, "CI_PIPELINE_IID", f->pipeline_iid);
    add(l, "CI_PIPELINE_URL",
        arena_strf(l->a, "%" PRISTR "/%" PRISTR "/-/pipelines/%" PRId64, STRARG(f->external_url),
                   STRARG(f->project_path), f->pipeline_id));
}

static void add_user(struct list *l, const struct ci_facts *f)
{
    if (!f->user_id)
        return;
    add_int(l, "GITLAB_USER_ID", f->user_id);
    add(l, "GITLAB_USER_LOGIN", f->user_login);
    add(l, "GITLAB_USER_NAME", f->user_name);
    add(l, "GITLAB_USER_EMAIL", f->user_email);
}

static struct list start(struct arena *a)
{
    return (struct list){a, ARENA_ARRAY(a, struct ci_var, MAX_VARS), 0};
}

static void add_all(struct list *l, const struct ci_facts *f)
{
    add_server(l, f);
    add_project(l, f);
    add_commit(l, f);
    add_pipeline(l, f);
    add_user(l, f);
}

struct ci_var *ci_predefined_pipeline(struct arena *a, const struct ci_facts *f, size_t *ret_n)
{
    struct list l = start(a);
    add_all(&l, f);
    *ret_n = l.n;
    return l.vars;
}

static void add_runner(struct list *l, const struct ci_facts *f)
{
    if (!f->runner_id)
        return;
    add_int(l, "CI_RUNNER_ID", f->runner_id);
    add(l, "CI_RUNNER_DESCRIPTION", f->runner_description);
    add(l, "CI_RUNNER_TAGS", f->runner_tags);
    add(l, "CI_RUNNER_SHORT_TOKEN", f->runner_short_token);
}

// "job 1/5" and "job: [a]" belong to the group "job".
static struct str group_name(struct str name)
{
    ptrdiff_t colon = str_search(name, STR(": ["));
    if (colon > 0 && name.p[name.n - 1] == ']')
        return str_head(name, (size_t)colon);
    size_t n = name.n;
    while (n && (name.p[n - 1] == '/' || (name.p[n - 1] >= '0' && name.p[n - 1] <= '9')))
        n--;
    bool counted = n < name.n && n && name.p[n - 1] == ' ' && str_find(str_from(name, n), '/') > 0;
    return counted ? str_trim(str_head(name, n)) : name;
}

struct ci_var *ci_predefined_job(struct arena *a, const struct ci_facts *f, size_t *ret_n)
{
    struct list l = start(a);
    char time[CLOCK_RFC3339_SIZE];
    struct url u = split_url(f->external_url);
    add_all(&l, f);
    add_int(&l, "CI_JOB_ID", f->job_id);
    add(&l, "CI_JOB_NAME", f->job_name);
    add(&l, "CI_JOB_NAME_SLUG", slug(a, f->job_name));
    add(&l, "CI_JOB_GROUP_NAME", group_name(f->job_name));
    add(&l, "CI_JOB_STAGE", f->job_stage);
    add_some(&l, "CI_JOB_IMAGE", f->job_image);
    if (f->job_manual)
        add(&l, "CI_JOB_MANUAL", STR("true"));
    if (f->job_started_at)
        add(&l, "CI_JOB_STARTED_AT", arena_strf(a, "%s", clock_rfc3339(f->job_started_at, time)));
    if (f->job_timeout_s)
        add_int(&l, "CI_JOB_TIMEOUT", f->job_timeout_s);
    add(&l, "CI_JOB_URL",
        arena_strf(a, "%" PRISTR "/%" PRISTR "/-/jobs/%" PRId64, STRARG(f->external_url),
                   STRARG(f->project_path), f->job_id));
    add_secret(&l, "CI_JOB_TOKEN", f->job_token);
    add(&l, "CI_REPOSITORY_URL",
        arena_strf(a, "%" PRISTR "://gitlab-ci-token:%" PRISTR "@%" PRISTR "/%" PRISTR ".git",
                   STRARG(u.scheme), STRARG(f->job_token),
                   STRARG(str_from(f->external_url, u.scheme.n + 3)), STRARG(f->project_path)));
    l.vars[l.n - 1].hidden = true;
    add(&l, "CI_NODE_TOTAL", STR("1"));
    add_runner(&l, f);
    *ret_n = l.n;
    return l.vars;
}
