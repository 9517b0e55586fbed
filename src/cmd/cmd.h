// SPDX-License-Identifier: Apache-2.0
// The subcommands of `slipway`: one file each, one line each in the table of main.c.
#pragma once

#include "base/util.h"

struct cmd {
    const char *name;
    int (*run)(int argc, char **argv); // argv[0] is the subcommand; returns the exit status
    const char *summary;               // one line for `slipway help`; NULL: not listed
};

int cmd_up(int argc, char **argv);
int cmd_server(int argc, char **argv);
int cmd_admin(int argc, char **argv);
int cmd_backup(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_sample(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_edge(int argc, char **argv);
int cmd_runner(int argc, char **argv);
int cmd_sandbox(int argc, char **argv);
int cmd_artifact(int argc, char **argv);
