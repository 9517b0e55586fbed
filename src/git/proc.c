// SPDX-License-Identifier: Apache-2.0
// Builds the environment of git children. Configuration arrives as GIT_CONFIG_KEY_n, which counts
// as protected configuration: safe.directory and uploadpack.packObjectsHook are read from nowhere
// else.
#include "git/proc.h"

#include "base/str.h"

#include <stdlib.h>

static const struct git_setting ALWAYS[] = {
    {"safe.directory", "*"}, // repositories belong to us, also in a container with other user ids
    {"core.hooksPath", "/dev/null"},
    {"gc.auto", "0"},
    {"maintenance.auto", "false"},
    {"receive.autogc", "false"},
    // Refs are left out: git would sync them one by one. githttp/push.c syncs what a push moved.
    {"core.fsync", "objects,derived-metadata"},
    {"core.fsyncMethod", "batch"},
    {"advice.defaultBranchName", "false"},
};

const char *const *git_env(struct arena *a, const char *protocol, const struct git_setting *extra,
                           size_t n)
{
    size_t nalways = ARRAY_SIZE(ALWAYS), i = 0;
    const char **env = ARENA_ARRAY(a, const char *, 16 + 2 * (nalways + n));
    const char *path = getenv("PATH");
    env[i++] = arena_printf(a, "PATH=%s", path && *path ? path : "/usr/local/bin:/usr/bin:/bin");
    env[i++] = "HOME=/nonexistent";
    env[i++] = "LC_ALL=C.UTF-8";
    env[i++] = "TZ=UTC";
    env[i++] = "GIT_CONFIG_NOSYSTEM=1";
    env[i++] = "GIT_CONFIG_GLOBAL=/dev/null";
    env[i++] = "GIT_ATTR_NOSYSTEM=1";
    env[i++] = "GIT_TERMINAL_PROMPT=0";
    env[i++] = "GIT_NO_REPLACE_OBJECTS=1";
    env[i++] = "GIT_COMMITTER_NAME=Slipway"; // git refuses to write a reflog without a name
    env[i++] = "GIT_COMMITTER_EMAIL=slipway@localhost";
    if (protocol && *protocol)
        env[i++] = arena_printf(a, "GIT_PROTOCOL=%s", protocol);
    env[i++] = arena_printf(a, "GIT_CONFIG_COUNT=%zu", nalways + n);
    for (size_t k = 0; k < nalways + n; k++) {
        const struct git_setting *s = k < nalways ? &ALWAYS[k] : &extra[k - nalways];
        env[i++] = arena_printf(a, "GIT_CONFIG_KEY_%zu=%s", k, s->key);
        env[i++] = arena_printf(a, "GIT_CONFIG_VALUE_%zu=%s", k, s->value);
    }
    env[i] = NULL;
    return env;
}

bool git_protocol_ok(struct str value)
{
    if (value.n == 0 || value.n > 256)
        return false;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && !memchr(":=.-_/", c, 6))
            return false;
    }
    return true;
}

int git_protocol_version(struct str value)
{
    int version = 0;
    for (struct str rest = value, part; str_cut(&rest, ':', &part);) {
        if (str_is(part, "version=1"))
            version = MAX(version, 1);
        else if (str_is(part, "version=2"))
            version = MAX(version, 2);
    }
    return version;
}
