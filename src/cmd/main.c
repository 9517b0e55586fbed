// SPDX-License-Identifier: Apache-2.0
// The one program: finds the subcommand in the table and runs it.
#include "cmd/cmd.h"

#include <stdio.h>
#include <string.h>

static const struct cmd COMMANDS[] = {
    {"up", cmd_up, "start the whole platform on this machine"},
    {"server", cmd_server, "repositories, accounts, pipelines, API and UI"},
    {"edge", cmd_edge, "the front door: routes by host, serves published pages"},
    {"admin", cmd_admin, "tokens, passwords and accounts, on the machine itself"},
    {"backup", cmd_backup, "write the whole state to one file, while it runs"},
    {"restore", cmd_restore, "make a state folder from a backup"},
    {"sample", cmd_sample, "load a sample project"},
    {"version", cmd_version, "print the version"},
    {"runner", cmd_runner, "run jobs for a server, each in a sandbox"},
    {"sandbox", cmd_sandbox, "check, try and time the jobs' sandbox"},
    {"artifact", cmd_artifact, NULL},
};

int cmd_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("slipway %s\n", SLIPWAY_VERSION);
    return 0;
}

static int usage(FILE *to)
{
    fprintf(to, "usage: slipway COMMAND [OPTION...]\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_SIZE(COMMANDS); i++)
        if (COMMANDS[i].summary)
            fprintf(to, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    fprintf(to, "\n`slipway COMMAND --help` tells more.\n");
    return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr);
    if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return usage(stdout);
    for (size_t i = 0; i < ARRAY_SIZE(COMMANDS); i++)
        if (!strcmp(argv[1], COMMANDS[i].name))
            return COMMANDS[i].run(argc - 1, argv + 1);
    fprintf(stderr, "slipway: there is no command '%s'; `slipway help` lists them\n", argv[1]);
    return 2;
}
