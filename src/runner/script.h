// SPDX-License-Identifier: Apache-2.0
// The text around a job: shell scripts made from the lines of .gitlab-ci.yml, and what the log
// shows besides their output (sections, colours, echoed commands), in the forms that people and log
// viewers know from GitLab.
#pragma once

#include "base/buf.h"

#define SCRIPT_BOLD_RED    "\x1b[31;1m"
#define SCRIPT_BOLD_GREEN  "\x1b[32;1m"
#define SCRIPT_BOLD_YELLOW "\x1b[33;1m"
#define SCRIPT_BOLD_CYAN   "\x1b[36;1m"
#define SCRIPT_RESET       "\x1b[0;m"

// "section_start:UNIX:NAME\r\x1b[0K" and "section_end:..."; NAME is [A-Za-z0-9_.-].
void script_section(struct buf *to, bool start, int64_t unix_s, const char *name);

// Appends `s` as one shell word.
void script_quote(struct buf *to, struct str s);

// One shell script that echoes each command in green and runs it, ending at the first failure.
// `bash`: pipefail may be used. `trace`: set -x (CI_DEBUG_TRACE).
void script_step(struct buf *to, const struct str *lines, size_t n, bool bash, bool trace);

// http://user:secret@host/path -> the URL without credentials and "user:secret".
// False when it is no http(s) URL; the output buffers are then untouched.
bool script_split_url(struct str url, struct buf *ret_url, struct buf *ret_userinfo);

struct script_sources {
    struct str url; // without credentials
    struct str sha, ref;
    const struct str *refspecs;
    size_t nrefspecs;
    int64_t depth;
    struct str fetch_flags, clean_flags, submodules; // expanded; "" = default or none
    bool checkout;
    bool keep_untracked;
};
// The script of the get_sources stage: makes or reuses the repository in the working folder, with
// as few processes as it takes. Credentials come from the environment, never from .git/config.
void script_get_sources(struct buf *to, const struct script_sources *s);
