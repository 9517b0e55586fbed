// SPDX-License-Identifier: Apache-2.0
// `slipway admin`: what an operator does on the machine itself, with the state folder and without
// the API: a token, a password, an account. Works while the platform runs.
#include "base/clock.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/role.h"
#include "forge/account.h"
#include "forge/auth.h"

#include <stdio.h>
#include <string.h>

struct admin {
    struct forge forge;
    struct arena arena;
};

static int open_forge(struct admin *ad, const char *state, struct err *e)
{
    arena_init(&ad->arena, MIB(4));
    return store_open(state, 0, &ad->forge.store, e);
}

static void close_forge(struct admin *ad)
{
    if (ad->forge.store)
        store_close(ad->forge.store);
    arena_done(&ad->arena);
}

static int find_user(struct admin *ad, const char *name, struct user *ret, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_read(ad->forge.store, &tx, e));
    int rc = user_by_username(&tx, &ad->arena, str_of(name), ret, e);
    if (rc == E_NOTFOUND)
        return err_set(e, E_NOTFOUND, "there is no user '%s'", name);
    return rc;
}

static int parse_scopes(const char *text, unsigned *ret, struct err *e)
{
    *ret = 0;
    for (struct str rest = str_of(text), one; str_cut(&rest, ',', &one);) {
        unsigned bit;
        if (!token_scope_parse(str_trim(one), &bit))
            return err_set(e, E_INVALID,
                           "--scopes: '%" PRISTR
                           "' is not a scope; scopes are api, read_api, read_user, "
                           "read_repository, write_repository, create_runner",
                           STRARG(one));
        *ret |= bit;
    }
    return 0;
}

static int token(int argc, char **argv)
{
    const char *state = "var", *user = "root", *scopes = "api", *name = "admin", *days = "0";
    const struct opt opts[] = {
        {"state", "DIR", "state folder (default: var)", &state, NULL},
        {"user", "NAME", "whose token (default: root)", &user, NULL},
        {"scopes", "LIST", "comma separated (default: api)", &scopes, NULL},
        {"name", "TEXT", "what it is for (default: admin)", &name, NULL},
        {"days", "N", "it expires after N days (default: 0, never)", &days, NULL},
    };
    int at =
        opt_parse_only(argc, argv, "[OPTION...]\n\nMakes a personal access token and prints it.",
                       opts, ARRAY_SIZE(opts));
    if (at < 0)
        return opt_exit(at);
    struct err e = ERR_INIT;
    struct admin ad = {0};
    struct user u;
    unsigned bits;
    uint64_t n;
    char secret[TOKEN_TEXT_SIZE];
    int rc = parse_scopes(scopes, &bits, &e);
    if (rc == 0 && (!str_to_u64(str_of(days), &n) || n > 36500))
        rc = err_set(&e, E_INVALID, "--days %s: want a number of days, at most 36500", days);
    if (rc == 0)
        rc = open_forge(&ad, state, &e);
    if (rc == 0)
        rc = find_user(&ad, user, &u, &e);
    if (rc == 0) {
        struct actor who = {
            .kind = ACTOR_USER, .user_id = u.id, .admin = u.admin, .scopes = SCOPE_ALL};
        struct token t;
        int64_t expires = n ? clock_wall_ms() + (int64_t)n * 86400000 : 0;
        rc = auth_token_create(&ad.forge, &who, u.id, str_of(name), bits, expires, &t, secret, &e);
    }
    if (rc == 0)
        printf("%s\n", secret);
    close_forge(&ad);
    return rc < 0 ? cmd_fail("admin token", &e) : 0;
}

// The password comes from standard input, so that no process list or shell history shows it.
static int read_password(struct buf *into, struct err *e)
{
    char line[PASSWORD_MAX + 2];
    if (!fgets(line, sizeof(line), stdin))
        return err_set(e, E_INVALID, "no password on standard input");
    buf_add(into, str_trim(str_of(line)));
    mem_wipe(line, sizeof(line));
    return 0;
}

static int password(int argc, char **argv)
{
    const char *state = "var", *user = "root";
    const struct opt opts[] = {
        {"state", "DIR", "state folder (default: var)", &state, NULL},
        {"user", "NAME", "whose password (default: root)", &user, NULL},
    };
    int at = opt_parse_only(
        argc, argv, "[OPTION...] <FILE\n\nSets a password, read as one line from standard input.",
        opts, ARRAY_SIZE(opts));
    if (at < 0)
        return opt_exit(at);
    struct err e = ERR_INIT;
    struct admin ad = {0};
    struct user u;
    _autobuf_ struct buf secret = BUF_INIT(PASSWORD_MAX + 2);
    int rc = read_password(&secret, &e);
    if (rc == 0)
        rc = open_forge(&ad, state, &e);
    if (rc == 0)
        rc = find_user(&ad, user, &u, &e);
    if (rc == 0)
        rc = account_set_password(&ad.forge, u.id, buf_str(&secret), &e);
    mem_wipe(secret.p, secret.n);
    close_forge(&ad);
    return rc < 0 ? cmd_fail("admin password", &e) : 0;
}

static int user_add(int argc, char **argv)
{
    const char *state = "var", *username = NULL, *name = "", *email = NULL;
    bool admin = false;
    const struct opt opts[] = {
        {"state", "DIR", "state folder (default: var)", &state, NULL},
        {"user", "NAME", "the new account's name", &username, NULL},
        {"full-name", "TEXT", "how it is shown (default: the name)", &name, NULL},
        {"email", "ADDRESS", "its mail address", &email, NULL},
        {"admin", NULL, "make it an administrator", NULL, &admin},
    };
    int at =
        opt_parse_only(argc, argv,
                       "--user NAME --email ADDRESS [OPTION...] <FILE\n\nMakes an account; its "
                       "password is read as one line from standard input.",
                       opts, ARRAY_SIZE(opts));
    if (at < 0)
        return opt_exit(at);
    if (!username || !email) {
        fprintf(
            stderr,
            "slipway admin user: --user and --email are needed; see slipway admin user --help\n");
        return 2;
    }
    struct err e = ERR_INIT;
    struct admin ad = {0};
    struct user u;
    _autobuf_ struct buf secret = BUF_INIT(PASSWORD_MAX + 2);
    int rc = read_password(&secret, &e);
    if (rc == 0)
        rc = open_forge(&ad, state, &e);
    if (rc == 0) {
        struct account_new n = {str_of(username), str_of(name), str_of(email), buf_str(&secret),
                                admin};
        rc = account_create(&ad.forge, &ad.arena, &n, &u, &e);
    }
    mem_wipe(secret.p, secret.n);
    if (rc == 0)
        printf("%lld\n", (long long)u.id);
    close_forge(&ad);
    return rc < 0 ? cmd_fail("admin user", &e) : 0;
}

int cmd_admin(int argc, char **argv)
{
    static const struct cmd ACTIONS[] = {
        {"token", token, "make a personal access token"},
        {"password", password, "set a password"},
        {"user", user_add, "make an account"},
    };
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(ACTIONS); i++)
        if (!strcmp(argv[1], ACTIONS[i].name)) {
            char full[40]; // what messages call it
            snprintf(full, sizeof(full), "admin %s", ACTIONS[i].name);
            argv[1] = full;
            return ACTIONS[i].run(argc - 1, argv + 1);
        }
    bool help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
    fprintf(help ? stdout : stderr, "usage: slipway admin ACTION [OPTION...]\n\nActions:\n");
    for (size_t i = 0; i < ARRAY_SIZE(ACTIONS); i++)
        fprintf(help ? stdout : stderr, "  %-10s %s\n", ACTIONS[i].name, ACTIONS[i].summary);
    return help ? 0 : 2;
}
