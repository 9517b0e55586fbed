// SPDX-License-Identifier: Apache-2.0
// What every role does at its start and end, and how options are read the same way everywhere.
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <signal.h>

// Names the process for its logs, reads SLIPWAY_LOG (debug info warn error) and SLIPWAY_LOG_FORMAT
// (text json), ignores SIGPIPE, and asks the kernel for SIGTERM when the supervisor that started
// this role dies. Call first, with one thread.
void role_start(const char *name);

// Tells the supervisor, if there is one, that this role now serves. Call once.
void role_ready(void);

// Blocks the signals in this thread and those it starts later; role_wait_signal returns the next.
void role_block_signals(void);
int role_wait_signal(void); // SIGTERM, SIGINT or SIGHUP

// An option that may be repeated: room for `max` values.
struct opt_list {
    const char **items;
    size_t n, max;
};

// Long options: "--name VALUE", "--name=VALUE", "--flag". One table for each command makes the
// parser and the `--help` text. A row without a name is a heading of that text.
struct opt {
    const char *name;   // without "--"
    const char *arg;    // what the value is ("DIR"), NULL for a flag
    const char *help;   // one line, says the default
    const char **value; // set to the value; an environment variable SLIPWAY_<NAME> may set it first
    bool *flag;
    struct opt_list *list; // instead of `value`
};

// Returns the index of the first operand, or -1 after it printed a usage error, or -2 after --help.
int opt_parse(int argc, char **argv, const char *synopsis, const struct opt *opts, size_t n);
// The same for commands without operands: one is a usage error, and success is 0.
int opt_parse_only(int argc, char **argv, const char *synopsis, const struct opt *opts, size_t n);

// What options' values are. Each returns 0, or -1 after it printed a usage error, by opt_bad.
int opt_bad(const char *command, const char *option, const char *value, const char *want);
int opt_number(const char *command, const char *option, const char *value, uint64_t least,
               uint64_t most, uint64_t *ret);
int opt_size(const char *command, const char *option, const char *value, uint64_t *ret); // bytes
// least_ms: 0 or 1.
int opt_duration(const char *command, const char *option, const char *value, int64_t least_ms,
                 int64_t *ret_ms);
// Exit status for opt_parse's negative results: 2 for errors, 0 for help.
static inline int opt_exit(int rc)
{
    return rc == -2 ? 0 : 2;
}

// Prints "slipway COMMAND: message" to standard error and returns the exit status of the error.
int cmd_fail(const char *command, const struct err *e);
