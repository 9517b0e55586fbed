// SPDX-License-Identifier: Apache-2.0
// The surroundings in which the git program runs: nothing of the host's configuration, nothing of
// our own environment but PATH, and settings that hold whatever a repository's own file says.
#pragma once

#include "base/arena.h"

struct git_setting {
    const char *key, *value; // "receive.denyNonFastForwards", "true"
};

// A NULL-terminated environment for struct spawn_options. `protocol`: what GIT_PROTOCOL gets, NULL
// for none. The settings outrank every file.
const char *const *git_env(struct arena *a, const char *protocol, const struct git_setting *extra,
                           size_t n) MUST_USE;
// A value of the Git-Protocol header that is safe to hand on: "version=2" and key=value lists of
// letters, digits and ":=.-_/", 256 bytes at most.
bool git_protocol_ok(struct str value);
// 0, 1 or 2: the highest "version=" in the value.
int git_protocol_version(struct str value);
