// SPDX-License-Identifier: Apache-2.0
// slipway-init, PID 1 for containers: runs one command, passes signals on to it, reaps every orphan
// and ends with the command's status. The runner starts the same program with --sandbox to build a
// job's sandbox first (sandbox.c). Static and tiny, one thread, no allocation.
#include "init/reap.h"
#include "init/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: slipway-init [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND as the first process of a container: passes signals on to it, reaps orphans\n"
    "and ends with its status (128 + signal when a signal ended it, 126 when it cannot be run,\n"
    "127 when it does not exist).\n";

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--sandbox"))
        return sandbox_main();
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        static const char text[] = "slipway-init " SLIPWAY_VERSION "\n";
        return write(1, text, sizeof(text) - 1) < 0;
    }
    bool help = argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
    int first = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;
    // Options are a later matter: an unknown one must not be taken for a command's name.
    if (help || argc <= first || (first == 1 && argv[1][0] == '-')) {
        if (write(help ? 1 : 2, USAGE, sizeof(USAGE) - 1) < 0)
            return 2;
        return help ? 0 : 2;
    }
    return reap_run(&(struct reap){.argv = argv + first, .envp = environ, .exec_fd = -1});
}
