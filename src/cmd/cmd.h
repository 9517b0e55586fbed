// SPDX-License-Identifier: Apache-2.0
// The subcommands of `slipway`: one file each, one line each in the table of main.c.
#pragma once

#include "base/util.h"

struct cmd {
    const char *name;
    int (*run)(int argc, char **argv); // argv[0] is the subcommand; returns the exit status
    const char *summary;               // one line for `slipway help`
};

int cmd_version(int argc, char **argv);
int cmd_edge(int argc, char **argv);
