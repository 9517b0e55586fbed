// SPDX-License-Identifier: Apache-2.0
// The subcommands of `slipway`: one file each, one line each in the table of main.c.
#pragma once

#include "base/util.h"

struct cmd {
    const char *name;
    int (*run)(int argc, char **argv); // argv[0] is the subcommand; returns the exit status
    const char *summary;               // one line for `slipway help`; NULL: not listed
};

int cmd_version(int argc, char **argv);
int cmd_runner(int argc, char **argv);
int cmd_sandbox(int argc, char **argv);
int cmd_artifact(int argc, char **argv);
