// SPDX-License-Identifier: Apache-2.0
// Start and end of roles, and the option parser of all subcommands.
#include "cmd/role.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static enum log_level log_level_of(const char *text)
{
    static const char *const NAMES[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; text && i < ARRAY_SIZE(NAMES); i++)
        if (!strcmp(text, NAMES[i]))
            return (enum log_level)i;
    return LOG_INFO;
}

void role_start(const char *name)
{
    const char *format = getenv("SLIPWAY_LOG_FORMAT");
    log_init(name, log_level_of(getenv("SLIPWAY_LOG")), format && !strcmp(format, "json"));
    signal(SIGPIPE, SIG_IGN);
    if (getenv("SLIPWAY_READY_FD"))
        prctl(PR_SET_PDEATHSIG, SIGTERM);
}

void role_ready(void)
{
    const char *text = getenv("SLIPWAY_READY_FD");
    uint64_t fd;
    if (!text || !str_to_u64(str_of(text), &fd) || fd > INT32_MAX)
        return;
    // A supervisor that died before the parent-death signal was asked for shows here.
    if (write((int)fd, "1", 1) != 1)
        raise(SIGTERM);
    close((int)fd);
    unsetenv("SLIPWAY_READY_FD");
}

static sigset_t role_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

void role_block_signals(void)
{
    sigset_t set = role_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int role_wait_signal(void)
{
    sigset_t set = role_signals();
    int got = 0;
    while (sigwait(&set, &got) != 0)
        ;
    return got;
}

static void print_help(const char *command, const char *synopsis, const struct opt *opts, size_t n)
{
    printf("usage: slipway %s %s\n", command, synopsis);
    if (n && opts[0].name)
        printf("\nOptions:\n");
    for (size_t i = 0; i < n; i++) {
        if (!opts[i].name) {
            printf("\n%s:\n", opts[i].help);
            continue;
        }
        char left[60];
        snprintf(left, sizeof(left), "--%s%s%s", opts[i].name, opts[i].arg ? " " : "",
                 opts[i].arg ? opts[i].arg : "");
        printf("  %-26s %s\n", left, opts[i].help);
    }
    if (n)
        printf("\nEach option --some-name can also be given as SLIPWAY_SOME_NAME.\n");
}

static bool take(const struct opt *o, const char *value)
{
    if (!o->list) {
        *o->value = value;
        return true;
    }
    if (o->list->n == o->list->max)
        return false;
    o->list->items[o->list->n++] = value;
    return true;
}

static void from_environment(const struct opt *opts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!opts[i].name)
            continue;
        _autobuf_ struct buf name = BUF_INIT(200);
        buf_adds(&name, "SLIPWAY_");
        for (const char *c = opts[i].name; *c; c++)
            buf_addc(&name, *c == '-' ? '_' : (char)toupper((unsigned char)*c));
        const char *value = getenv(name.p);
        if (!value)
            continue;
        if (opts[i].flag)
            *opts[i].flag = value[0] && strcmp(value, "0") != 0;
        else
            (void)take(&opts[i], value); // a list has room for one
    }
}

static const struct opt *find(const struct opt *opts, size_t n, struct str name)
{
    for (size_t i = 0; i < n && str_starts(name, STR("--")); i++)
        if (opts[i].name && str_is(str_from(name, 2), opts[i].name))
            return &opts[i];
    return NULL;
}

int opt_parse(int argc, char **argv, const char *synopsis, const struct opt *opts, size_t n)
{
    from_environment(opts, n);
    int at = 1;
    for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
        if (!strcmp(argv[at], "--")) {
            at++;
            break;
        }
        if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h")) {
            print_help(argv[0], synopsis, opts, n);
            return -2;
        }
        struct str rest = str_of(argv[at]), name = STR_NONE;
        str_cut(&rest, '=', &name);
        const struct opt *o = find(opts, n, name);
        if (!o) {
            fprintf(stderr, "slipway %s: unknown option '%" PRISTR "'; see slipway %s --help\n",
                    argv[0], STRARG(name), argv[0]);
            return -1;
        }
        if (o->flag && !rest.p) {
            *o->flag = true;
            continue;
        }
        const char *value = rest.p ? rest.p : at + 1 < argc ? argv[++at] : NULL;
        if (o->flag || !value || !take(o, value)) {
            fprintf(stderr, "slipway %s: --%s %s; see slipway %s --help\n", argv[0], o->name,
                    o->flag  ? "takes no value"
                    : !value ? "needs a value"
                             : "is there too often",
                    argv[0]);
            return -1;
        }
    }
    return at;
}

int opt_parse_only(int argc, char **argv, const char *synopsis, const struct opt *opts, size_t n)
{
    int at = opt_parse(argc, argv, synopsis, opts, n);
    if (at < 0)
        return at;
    if (at == argc)
        return 0;
    fprintf(stderr, "slipway %s: unexpected argument '%s'; see slipway %s --help\n", argv[0],
            argv[at], argv[0]);
    return -1;
}

int opt_bad(const char *command, const char *option, const char *value, const char *want)
{
    fprintf(stderr, "slipway %s: --%s '%s' is not valid: want %s; see slipway %s --help\n", command,
            option, value, want, command);
    return -1;
}

int opt_number(const char *command, const char *option, const char *value, uint64_t least,
               uint64_t most, uint64_t *ret)
{
    char want[80];
    uint64_t n;
    snprintf(want, sizeof(want), "a number from %llu to %llu", (unsigned long long)least,
             (unsigned long long)most);
    if (!str_to_u64(str_of(value), &n) || n < least || n > most)
        return opt_bad(command, option, value, want);
    *ret = n;
    return 0;
}

int opt_size(const char *command, const char *option, const char *value, uint64_t *ret)
{
    static const char UNITS[] = "KMGT";
    struct str s = str_of(value);
    const char *unit = s.n ? strchr(UNITS, toupper((unsigned char)s.p[s.n - 1])) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - UNITS + 1) : 0;
    uint64_t n;
    if (!str_to_u64(unit ? str_head(s, s.n - 1) : s, &n) || n > (UINT64_MAX >> 1) >> shift)
        return opt_bad(command, option, value, "bytes, or a number with K, M, G or T");
    *ret = n << shift;
    return 0;
}

int opt_duration(const char *command, const char *option, const char *value, int64_t least_ms,
                 int64_t *ret_ms)
{
    int64_t ms;
    if (!clock_parse_duration(str_of(value), &ms) || ms < least_ms)
        return opt_bad(command, option, value,
                       least_ms ? "a time above 0, such as 500ms, 30s or 5m"
                                : "a time such as 500ms, 30s or 5m");
    *ret_ms = ms;
    return 0;
}

int cmd_fail(const char *command, const struct err *e)
{
    fprintf(stderr, "slipway %s: %s\n", command, e->msg);
    return err_exit_status(e->code);
}
