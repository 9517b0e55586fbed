// SPDX-License-Identifier: Apache-2.0
// A server with the Git face alone, for tests: git_server STATE [GIT-PROGRAM]. The first start
// makes accounts, projects and tokens and writes them to STATE/seed as "name=value" lines; each
// start writes "port=N" to standard output when it listens, and "event ID REF OLD NEW" for each
// push event it hears of. It ends at SIGTERM or when its standard input ends.
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "forge/account.h"
#include "forge/auth.h"
#include "forge/project.h"
#include "git/repo.h"
#include "githttp/githttp.h"
#include "net/http_server.h"
#include "os/fd.h"
#include "store/pushes.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct forge forge;
static struct err err;

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) < 0) {                                                                          \
            fprintf(stderr, "%s: %s\n", #call, err.msg);                                           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

// Marks the event and prints it; one that somebody marked before is not printed again.
static void pushed(void *ctx, int64_t id)
{
    struct arena a;
    arena_init(&a, MIB(1));
    struct tx tx = TX_NONE;
    struct push_event ev;
    struct err e = ERR_INIT;
    if (store_write(forge.store, &tx, &e) == 0 && push_event_get(&tx, &a, id, &ev, &e) == 0 &&
        push_event_handled(&tx, id, clock_wall_ms(), &e) == 0 && tx_commit(&tx, &e) == 0) {
        printf("event %lld %" PRISTR " %" PRISTR " %" PRISTR " %lld %" PRISTR "\n", (long long)id,
               STRARG(ev.r.ref), STRARG(ev.r.old_sha), STRARG(ev.r.new_sha),
               (long long)ev.commit_count, STRARG(ev.options));
        fflush(stdout);
    }
    tx_done(&tx);
    arena_done(&a);
}

static struct user account(struct arena *a, const char *name, bool admin)
{
    struct account_new n = {.username = str_of(name), .name = str_of(name), .admin = admin};
    n.email = arena_strf(a, "%s@example.org", name);
    n.password = arena_strf(a, "pw-of-%s-1", name);
    struct user u;
    MUST(account_create(&forge, a, &n, &u, &err));
    return u;
}

static void token(FILE *out, const struct user *u, const char *name, unsigned scopes,
                  int64_t expires, bool revoke)
{
    struct actor who = {.kind = ACTOR_USER, .user_id = u->id, .scopes = SCOPE_ALL};
    struct token t;
    char secret[TOKEN_TEXT_SIZE];
    MUST(auth_token_create(&forge, &who, u->id, str_of(name), scopes, 0, &t, secret, &err));
    if (revoke)
        MUST(auth_token_revoke(&forge, &who, t.id, &err));
    fprintf(out, "%s=%s\n", name, secret);
}

static void seed(const char *state)
{
    char path[4096], done[4096];
    snprintf(path, sizeof(path), "%s/seed.new", state);
    snprintf(done, sizeof(done), "%s/seed", state);
    if (access(done, F_OK) == 0)
        return;
    struct arena a;
    arena_init(&a, MIB(16));
    FILE *out = fopen(path, "w");
    if (!out)
        exit(1);
    struct user root = account(&a, "root", true), owner = account(&a, "owner", false),
                dev = account(&a, "dev", false), reporter = account(&a, "reporter", false),
                guest = account(&a, "guest", false);
    account(&a, "stranger", false);
    struct actor who = {
        .kind = ACTOR_USER, .user_id = owner.id, .username = STR("owner"), .scopes = SCOPE_ALL};
    struct project p;
    struct project_new open_one = {.path = STR("open"), .visibility = VIS_PUBLIC};
    MUST(project_create(&forge, &a, &who, &open_one, &p, &err));
    struct project_new closed = {.path = STR("closed"), .visibility = VIS_PRIVATE};
    MUST(project_create(&forge, &a, &who, &closed, &p, &err));
    MUST(member_change(&forge, &a, &who, p.id, 0, dev.id, ACCESS_DEVELOPER, 0, &err));
    MUST(member_change(&forge, &a, &who, p.id, 0, reporter.id, ACCESS_REPORTER, 0, &err));
    MUST(member_change(&forge, &a, &who, p.id, 0, guest.id, ACCESS_GUEST, 0, &err));
    struct str repo = forge_repo_path(&forge, &a, p.storage);
    fprintf(out, "closed_repo=%" PRISTR "\n", STRARG(repo));
    struct project_new small = {.path = STR("small"), .visibility = VIS_PRIVATE};
    MUST(project_create(&forge, &a, &who, &small, &p, &err));
    struct tx tx = TX_NONE;
    MUST(store_write(forge.store, &tx, &err));
    p.repository_quota = (int64_t)MIB(2);
    MUST(project_update(&tx, &p, &err));
    MUST(tx_commit(&tx, &err));
    struct project_new old = {.path = STR("old"), .visibility = VIS_PUBLIC};
    MUST(project_create(&forge, &a, &who, &old, &p, &err));
    MUST(store_write(forge.store, &tx, &err));
    p.archived = true;
    MUST(project_update(&tx, &p, &err));
    MUST(tx_commit(&tx, &err));
    token(out, &owner, "owner_write", SCOPE_WRITE_REPOSITORY, 0, false);
    token(out, &owner, "owner_read", SCOPE_READ_REPOSITORY, 0, false);
    token(out, &owner, "owner_api", SCOPE_API, 0, false);
    token(out, &owner, "owner_user", SCOPE_READ_USER, 0, false);
    token(out, &owner, "owner_revoked", SCOPE_API, 0, true);
    (void)root;
    fclose(out);
    if (rename(path, done) < 0)
        exit(1);
    arena_done(&a);
}

static int handle(struct http_call *c, void *ctx)
{
    if (githttp_matches(http_path(c)))
        return githttp_handle(c, ctx);
    http_fail(c, 404, "not git");
    return HTTP_DONE;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    log_init("git-test", LOG_INFO, false);
    MUST(store_open(argv[1], STORE_SERVER, &forge.store, &err));
    forge.repo_create = git_repo_create;
    forge.password_fast = true;
    seed(argv[1]);
    struct githttp_config gc = {
        .forge = &forge,
        .git_program = argc > 2 ? argv[2] : NULL,
        .idle_ms = getenv("GIT_TEST_IDLE_MS") ? strtol(getenv("GIT_TEST_IDLE_MS"), NULL, 10) : 0,
        .max_push_bytes = (int64_t)MIB(256),
        .max_packs = 4,
        .pushed = pushed};
    struct githttp *g;
    MUST(githttp_new(&gc, &g, &err));
    int64_t wait_ms =
        getenv("GIT_TEST_WAIT_MS") ? strtol(getenv("GIT_TEST_WAIT_MS"), NULL, 10) : 20000;
    if (githttp_reconcile(g, wait_ms, &err) < 0)
        fprintf(stderr, "reconcile: %s\n", err.msg);
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.handler = handle;
    cfg.ctx = g;
    struct http_server *s;
    MUST(http_server_new(&cfg, &s, &err));
    MUST(http_server_listen_tcp(s, "127.0.0.1", 0, &err));
    MUST(http_server_start(s, &err));
    printf("port=%d\n", http_server_port(s));
    fflush(stdout);
    int signo;
    sigwait(&set, &signo);
    http_server_stop(s, 5000);
    http_server_free(s);
    githttp_free(g);
    store_close(forge.store);
    return 0;
}
