// SPDX-License-Identifier: Apache-2.0
// A server for tests: store, engine, Git and API on a loopback port, without roles, edge or UI.
// Usage: api_server STATE [POLL_MS]. Prints "port N", "token T", "runner R"; ends with its standard
// input.
#include "api/api.h"
#include "base/log.h"
#include "base/util.h"
#include "ci/engine.h"
#include "forge/account.h"
#include "forge/auth.h"
#include "git/repo.h"
#include "githttp/githttp.h"
#include "net/http_server.h"
#include "store/pushes.h"
#include "store/runners.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct server {
    struct store *store;
    struct forge forge;
    struct ci_engine *engine;
    struct githttp *git;
    struct api *api;
    struct http_server *http;
    _Atomic bool stop;
};

static int handle(struct http_call *c, void *ctx)
{
    struct server *s = ctx;
    if (api_matches(http_path(c)))
        return api_handle(c, s->api);
    return githttp_handle(c, s->git);
}

static void wake(void *ctx, const char *topic)
{
    struct server *s = ctx;
    if (s->http)
        http_server_wake(s->http, topic);
}

static void pushed(void *ctx, int64_t event_id)
{
    struct server *s = ctx;
    struct err e = ERR_INIT;
    struct push_event ev;
    _autoarena_ struct arena a;
    arena_init(&a, MIB(4));
    {
        _autotx_ struct tx tx = TX_NONE;
        if (store_read(s->store, &tx, &e) < 0 || push_event_get(&tx, &a, event_id, &ev, &e) < 0)
            return;
    }
    struct ci_push p = {.event_id = ev.id,
                        .project_id = ev.project_id,
                        .user_id = ev.user_id,
                        .ref = ev.r.ref,
                        .before = ev.r.old_sha,
                        .after = ev.r.new_sha};
    int64_t id;
    if (ci_engine_push(s->engine, &p, &id, &e) < 0)
        fprintf(stderr, "push: %s\n", e.msg);
}

static void *sweep(void *arg)
{
    struct server *s = arg;
    while (!s->stop) {
        int64_t next;
        (void)!ci_engine_sweep(s->engine, &next, NULL);
        usleep(200000);
    }
    return NULL;
}

static int make_people(struct server *s, struct err *e)
{
    _autoarena_ struct arena a;
    arena_init(&a, MIB(1));
    struct account_new n = {.username = STR("root"),
                            .name = STR("Administrator"),
                            .email = STR("root@example.org"),
                            .password = STR("correct horse 42"),
                            .admin = true};
    struct user u;
    TRY(account_create(&s->forge, &a, &n, &u, e));
    struct actor who = {.kind = ACTOR_USER, .user_id = u.id, .admin = true, .scopes = SCOPE_ALL};
    struct token t;
    char secret[TOKEN_TEXT_SIZE];
    TRY(auth_token_create(&s->forge, &who, u.id, STR("tests"), SCOPE_ALL, 0, &t, secret, e));
    printf("token %s\n", secret);
    unsigned char hash[32];
    struct runner r = {.type = RUNNER_INSTANCE, .run_untagged = true, .description = STR("tests")};
    token_make(TOKEN_RUNNER_PREFIX, secret, hash);
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(s->store, &tx, e));
    TRY(runner_insert(&tx, str_n((char *)hash, 32), &r, e));
    TRY(tx_commit(&tx, e));
    printf("runner %s\n", secret);
    return 0;
}

static int start(struct server *s, const char *state, int64_t poll_ms, struct err *e)
{
    static char repos[4096], url[64];
    snprintf(repos, sizeof(repos), "%s/repos", state);
    git_start();
    TRY(store_open(state, STORE_SERVER | STORE_SYNC_NORMAL, &s->store, e));
    mkdir(repos, 0700);
    s->forge =
        (struct forge){.store = s->store, .repo_create = git_repo_create, .password_fast = true};
    store_on_wake(s->store, wake, s);
    TRY(make_people(s, e));
    struct http_server_config h = HTTP_SERVER_DEFAULTS;
    h.handler = handle;
    h.ctx = s;
    TRY(http_server_new(&h, &s->http, e));
    TRY(http_server_listen_tcp(s->http, "127.0.0.1", 0, e));
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", http_server_port(s->http));
    struct ci_engine_config ci = {
        .store = s->store, .external_url = url, .pages_domain = "pages.localhost:8080"};
    ci_engine_use_git(&ci, &s->forge);
    TRY(ci_engine_new(&ci, &s->engine, e));
    struct githttp_config git = {.forge = &s->forge, .pushed = pushed, .ctx = s};
    TRY(githttp_new(&git, &s->git, e));
    struct api_ctx api = {.store = s->store,
                          .forge = &s->forge,
                          .engine = s->engine,
                          .state_dir = state,
                          .external_url = url,
                          .pages_domain = "pages.localhost:8080",
                          .pushed = pushed,
                          .pushed_ctx = s,
                          .poll_ms = poll_ms,
                          .artifact_max = (int64_t)MIB(4),
                          .trace_max = (int64_t)MIB(1)};
    TRY(api_new(&api, &s->api, e));
    TRY(http_server_start(s->http, e));
    printf("port %u\n", http_server_port(s->http));
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    static struct server s;
    struct err e = ERR_INIT;
    uint64_t poll_ms = 2000;
    if (argc < 2 || (argc > 2 && !str_to_u64(str_of(argv[2]), &poll_ms)))
        return 2;
    if (start(&s, argv[1], (int64_t)poll_ms, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    pthread_t sweeper;
    pthread_create(&sweeper, NULL, sweep, &s);
    char c;
    while (read(0, &c, 1) > 0)
        ;
    http_server_stop(s.http, 2000);
    s.stop = true;
    pthread_join(sweeper, NULL);
    api_free(s.api);
    githttp_free(s.git);
    ci_engine_free(s.engine);
    struct http_server *h = s.http;
    s.http = NULL;
    http_server_free(h);
    store_close(s.store);
    return 0;
}
