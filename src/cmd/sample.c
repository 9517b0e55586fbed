// SPDX-License-Identifier: Apache-2.0
// `slipway sample`: makes the sample project on a running platform the way a person would: a
// project through the API, a real `git push` over HTTP, a look at the pipeline and the page. Loads
// it once; afterwards it only prints the addresses.
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/role.h"
#include "net/http_client.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PIPELINE_WAIT_MS 60000

struct sample {
    const char *state, *url, *dir;
    char name[256]; // last part of the folder
    char password[200];
    char token[200];
    struct http_client *http;
};

static int read_line(const char *state, const char *name, char *out, size_t size, struct err *e)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", state, name);
    _autobuf_ struct buf b = BUF_INIT(size - 1);
    int rc = file_read(path, &b, e);
    if (rc < 0)
        return rc;
    struct str line = str_trim(buf_str(&b));
    snprintf(out, size, "%" PRISTR, STRARG(line));
    return 0;
}

// A token of one day, made by `slipway admin`, as an operator would make it.
static int make_token(struct sample *s, struct err *e)
{
    const char *argv[] = {"slipway", "admin",    "token",
                          "--state", s->state,   "--user",
                          "root",    "--scopes", "api,write_repository",
                          "--name",  "sample",   "--days",
                          "1",       NULL};
    struct spawn_options o = {.argv = argv, .program = spawn_self()};
    _autobuf_ struct buf out = BUF_INIT(sizeof(s->token) - 1), text = BUF_INIT(KIB(4));
    int code, rc = spawn_run(&o, STR_NONE, &out, &text, clock_ms() + 30000, &code, e);
    if (rc < 0)
        return rc;
    if (code)
        return err_set(e, E_IO, "%" PRISTR, STRARG(str_trim(buf_str(&text))));
    snprintf(s->token, sizeof(s->token), "%" PRISTR, STRARG(str_trim(buf_str(&out))));
    return 0;
}

// Calls the API. ret may be NULL; free it with json_decref.
static int call(struct sample *s, const char *method, const char *path, struct str body,
                int *ret_status, json_t **ret, struct err *e)
{
    char url[1000];
    snprintf(url, sizeof(url), "%s/api/v4/%s", s->url, path);
    struct http_client_field fields[] = {{STR("PRIVATE-TOKEN"), str_of(s->token)},
                                         {STR("Content-Type"), STR("application/json")}};
    struct http_client_request rq = {.method = method,
                                     .url = url,
                                     .fields = fields,
                                     .nfields = 2,
                                     .body = body,
                                     .has_body = body.n > 0,
                                     .timeout_ms = 30000};
    _autoresponse_ struct http_client_response r;
    http_client_response_init(&r, MIB(4));
    int rc = http_client_do(s->http, &rq, &r, e);
    if (rc < 0)
        return rc;
    *ret_status = r.status;
    if (ret)
        *ret = json_loadb(r.body.p, r.body.n, 0, NULL);
    return 0;
}

static int git(const char *cwd, const char *const *args, size_t n, struct err *e)
{
    const char *argv[20] = {"git",
                            "-c",
                            "user.name=Slipway",
                            "-c",
                            "user.email=slipway@localhost",
                            "-c",
                            "init.defaultBranch=main"};
    size_t at = 7;
    BUG_ON(n + at >= ARRAY_SIZE(argv));
    for (size_t i = 0; i < n; i++)
        argv[at++] = args[i];
    setenv("GIT_TERMINAL_PROMPT", "0", 1);
    struct spawn_options o = {.argv = argv, .cwd = cwd};
    _autobuf_ struct buf out = BUF_INIT(MIB(1));
    int code, rc = spawn_run(&o, STR_NONE, &out, &out, clock_ms() + 120000, &code, e);
    if (rc < 0)
        return rc;
    if (code)
        return err_set(e, E_IO, "git %s: %" PRISTR, args[0], STRARG(str_trim(buf_str(&out))));
    return 0;
}
#define GIT(cwd, e, ...)                                                                           \
    git(cwd, (const char *const[]){__VA_ARGS__},                                                   \
        sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), e)

static int push(struct sample *s, struct err *e)
{
    char work[] = "/tmp/slipway-sample-XXXXXX";
    if (!mkdtemp(work))
        return err_set(e, E_IO, "cannot make a folder in /tmp");
    char from[PATH_MAX + 4], remote[1000];
    snprintf(from, sizeof(from), "%s/.", s->dir);
    struct str rest = str_of(s->url), scheme = STR_NONE;
    str_cut(&rest, ':', &scheme);
    snprintf(remote, sizeof(remote), "%" PRISTR "://root:%s@%" PRISTR "/root/%s.git",
             STRARG(scheme), s->password, STRARG(str_from(rest, 2)), s->name);
    const char *copy[] = {"cp", "-r", from, work, NULL};
    struct spawn_options o = {.argv = copy};
    int code = 0, rc = spawn_run(&o, STR_NONE, NULL, NULL, clock_ms() + 30000, &code, e);
    if (rc == 0 && code)
        rc = err_set(e, E_NOTFOUND, "cannot copy %s", s->dir);
    if (rc == 0)
        rc = GIT(work, e, "init", "-q");
    if (rc == 0)
        rc = GIT(work, e, "add", "-A");
    if (rc == 0)
        rc = GIT(work, e, "commit", "-q", "-m", "Say hello");
    if (rc == 0)
        rc = GIT(work, e, "push", "-q", remote, "HEAD:refs/heads/main");
    (void)!dir_remove(work, NULL);
    return rc;
}

// The id of the newest pipeline and whether it has ended; 0 when there is none yet.
static int newest_pipeline(struct sample *s, int64_t project, int64_t *ret_id, char status[40],
                           struct err *e)
{
    char path[200];
    snprintf(path, sizeof(path), "projects/%" PRId64 "/pipelines?per_page=1", project);
    int http = 0;
    json_t *list = NULL;
    int rc = call(s, "GET", path, STR_NONE, &http, &list, e);
    if (rc < 0)
        return rc;
    json_t *first = json_array_get(list, 0);
    *ret_id = json_integer_value(json_object_get(first, "id"));
    const char *text = json_string_value(json_object_get(first, "status"));
    snprintf(status, 40, "%s", text ? text : "");
    json_decref(list);
    return 0;
}

static int wait_pipeline(struct sample *s, int64_t project, int64_t *ret_id, char status[40],
                         struct err *e)
{
    static const char *const ENDED[] = {"success", "failed", "canceled", "skipped", "manual"};
    int64_t until = clock_ms() + PIPELINE_WAIT_MS;
    for (;;) {
        int rc = newest_pipeline(s, project, ret_id, status, e);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < ARRAY_SIZE(ENDED); i++)
            if (!strcmp(status, ENDED[i]))
                return 0;
        if (clock_ms() > until)
            return 0;
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
}

static int load(struct sample *s, struct err *e)
{
    int rc = read_line(s->state, "secrets/initial-password", s->password, sizeof(s->password), e);
    if (rc < 0 || (rc = make_token(s, e)) < 0)
        return rc;
    char path[300];
    snprintf(path, sizeof(path), "projects/root%%2F%s", s->name);
    int http = 0;
    json_t *project = NULL;
    rc = call(s, "GET", path, STR_NONE, &http, &project, e);
    if (rc < 0)
        return rc;
    bool fresh = http == 404;
    if (fresh) {
        json_decref(project);
        char body[400];
        int n =
            snprintf(body, sizeof(body), "{\"name\":\"%s\",\"visibility\":\"public\"}", s->name);
        rc = call(s, "POST", "projects", str_n(body, (size_t)n), &http, &project, e);
        if (rc < 0)
            return rc;
    }
    int64_t id = json_integer_value(json_object_get(project, "id"));
    json_decref(project);
    if (http >= 300 || !id)
        return err_set(e, E_IO, "the API answered %d when asked for the project root/%s", http,
                       s->name);
    if (fresh && (rc = push(s, e)) < 0)
        return rc;
    printf("  Sample    %s/root/%s.git\n", s->url, s->name);
    fflush(stdout);
    int64_t pipeline = 0;
    char status[40] = "";
    rc = wait_pipeline(s, id, &pipeline, status, e);
    if (rc < 0)
        return rc;
    if (pipeline)
        printf("  Pipeline  %s/root/%s/-/pipelines/%" PRId64 "  (%s)\n", s->url, s->name, pipeline,
               status);
    snprintf(path, sizeof(path), "projects/%" PRId64 "/pages", id);
    json_t *site = NULL;
    rc = call(s, "GET", path, STR_NONE, &http, &site, e);
    if (rc < 0)
        return rc;
    const char *page = json_string_value(json_object_get(site, "url"));
    if (page)
        printf("  Page      %s%s\n", page, str_ends(str_of(page), STR("/")) ? "" : "/");
    json_decref(site);
    return 0;
}

int cmd_sample(int argc, char **argv)
{
    struct sample s = {.state = "var", .url = "http://localhost:8080"};
    const struct opt opts[] = {
        {"state", "DIR", "state folder of the running platform (default: var)", &s.state, NULL},
        {"url", "URL", "its address (default: http://localhost:8080)", &s.url, NULL},
    };
    int at = opt_parse(
        argc, argv,
        "[OPTION...] DIR\n\nMakes a project of the folder by the API and a git push, once.", opts,
        ARRAY_SIZE(opts));
    if (at < 0)
        return opt_exit(at);
    if (at + 1 != argc) {
        fprintf(stderr, "slipway sample: name one folder; see slipway sample --help\n");
        return 2;
    }
    char dir[PATH_MAX];
    if (!realpath(argv[at], dir)) {
        fprintf(stderr, "slipway sample: there is no folder %s\n", argv[at]);
        return 3;
    }
    s.dir = dir;
    struct str name = str_from(str_of(dir), (size_t)(str_rfind(str_of(dir), '/') + 1));
    snprintf(s.name, sizeof(s.name), "%" PRISTR, STRARG(name));
    s.http = http_client_new();
    struct err e = ERR_INIT;
    int rc = load(&s, &e);
    http_client_free(s.http);
    return rc < 0 ? cmd_fail("sample", &e) : 0;
}
