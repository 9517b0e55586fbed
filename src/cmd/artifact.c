// SPDX-License-Identifier: Apache-2.0
// `slipway artifact pack|unpack`: what the runner starts inside a job's sandbox to pack the job's
// files and to unpack those of earlier jobs. Hidden: a stage of the runner, not a tool.
#include "runner/artifact.h"
#include "cmd/cmd.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOTHING = 3 }; // build.c knows it as PACK_NOTHING

static int fail(const struct err *e)
{
    fprintf(stderr, "ERROR: %s\n", e->msg);
    return 1;
}

// The names of files Git does not know, ignored ones too, each ended by NUL.
static int list_untracked(struct buf *to, struct err *e)
{
    int out[2];
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot make a pipe");
    char *const argv[] = {(char *)"git", (char *)"ls-files", (char *)"--others", (char *)"-z",
                          NULL};
    posix_spawn_file_actions_t acts;
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_adddup2(&acts, out[1], 1);
    pid_t pid;
    int rc = posix_spawnp(&pid, "git", &acts, NULL, argv, environ), st = 0;
    posix_spawn_file_actions_destroy(&acts);
    close(out[1]);
    char part[65536];
    ssize_t n;
    while (rc == 0 && (n = read(out[0], part, sizeof(part))) > 0)
        buf_add(to, str_n(part, (size_t)n));
    close(out[0]);
    if (rc)
        return err_errno(e, rc, "cannot run git");
    while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
        continue;
    return st == 0 && buf_ok(to) ? 0 : err_set(e, E_IO, "git ls-files failed");
}

static int pack(int argc, char **argv)
{
    char root[4096];
    struct buf untracked = BUF_INIT(MIB(64)), notes = BUF_INIT(MIB(4));
    const char **exclude = NEW_ARRAY(const char *, (size_t)argc + 1);
    struct artifact_pack p = {.exclude = exclude, .root = getcwd(root, sizeof(root)) ? root : ""};
    struct err e = ERR_INIT;
    size_t nexclude = 0, files = 0;
    int i = 0, rc = 0;
    for (; i < argc && strcmp(argv[i], "--") != 0 && rc == 0; i++) {
        if (!strcmp(argv[i], "--untracked")) {
            rc = list_untracked(&untracked, &e);
            p.untracked = untracked.p;
            p.untracked_n = untracked.n;
        } else if (!strcmp(argv[i], "--format") && i + 1 < argc) {
            i++;
            p.format = !strcmp(argv[i], "gzip")  ? ARTIFACT_GZIP
                       : !strcmp(argv[i], "raw") ? ARTIFACT_RAW
                                                 : ARTIFACT_ZIP;
        } else if (!strcmp(argv[i], "--exclude") && i + 1 < argc)
            exclude[nexclude++] = argv[++i];
        else
            rc = err_set(&e, E_INVALID, "unknown argument '%s'", argv[i]);
    }
    p.paths = (const char *const *)(argv + MIN(i + 1, argc));
    if (rc == 0)
        rc = artifact_pack(&p, STDOUT_FILENO, &files, &notes, &e);
    fputs(notes.p, stderr);
    buf_done(&notes);
    buf_done(&untracked);
    free(exclude);
    if (rc < 0)
        return fail(&e);
    return files ? 0 : NOTHING;
}

static int unpack(void)
{
    struct err e = ERR_INIT;
    struct artifact_limits limits = {GIB(16), 1000000};
    size_t files;
    int root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = root < 0 ? err_errno(&e, errno, "cannot open the build folder")
                      : artifact_unpack(STDIN_FILENO, root, &limits, &files, &e);
    return rc < 0 ? fail(&e) : 0;
}

int cmd_artifact(int argc, char **argv)
{
    umask(022);
    if (argc >= 2 && !strcmp(argv[1], "pack"))
        return pack(argc - 2, argv + 2);
    if (argc == 2 && !strcmp(argv[1], "unpack"))
        return unpack();
    fputs("usage: slipway artifact pack|unpack (started by the runner inside a job's sandbox)\n",
          stderr);
    return 2;
}
