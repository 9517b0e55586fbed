// SPDX-License-Identifier: Apache-2.0
// Runs one command of a job in a sandbox of its own. The work inside is slipway-init's
// (src/init/sandbox.h describes what it is told); this side finds that program, describes what a
// job may see, starts it and ends it. `struct sandbox_host` is made once before any thread and then
// only read; a `struct sandbox` belongs to the thread that started it, and that thread must live
// until sandbox_wait returned (the sandbox dies with it).
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdatomic.h>
#include <sys/types.h>

struct sandbox_mount {
    const char *from, *to;
};

struct sandbox_host {
    bool off;        // no isolation at all: the operator said so
    bool privileged; // we are root: jobs run as uids of their own
    int self_fd;     // this program, for stages that run it inside
    char *init_path;
    char *staging; // empty folder on which roots are built
    char *resolv;  // resolv.conf when it lies outside /etc
    struct buf seccomp;
    const char **shown; // paths of the system, NULL-terminated
    const char **hidden;
    struct cgroups *cgroups; // NULL: none usable
    char cgroup_note[200];   // why not
};

struct sandbox_host_opts {
    bool off;
    const char *init_path; // NULL: beside this program, then PATH
    const char *staging;
    const char *const *hide; // more to hide, NULL-terminated
    const char *const *show; // more to show
    const char *cgroup_name;
};

// Finds slipway-init, builds the syscall filter, looks at cgroups.
int sandbox_host_init(struct sandbox_host *h, const struct sandbox_host_opts *o,
                      struct err *e) MUST_USE;
void sandbox_host_done(struct sandbox_host *h);
// Starts `true` in a sandbox: 0, or what the kernel refuses and what to do about it.
int sandbox_check(const struct sandbox_host *h, struct err *e) MUST_USE;

struct sandbox_file {
    struct str path, bytes;
    unsigned mode;
};

struct sandbox_opts {
    const char *const *argv; // NULL-terminated
    const char *const *envp; // the whole environment
    bool self;               // run this very program (argv[0] is only its name)
    const char *cwd;         // inside
    uid_t uid;               // used when privileged; the group has the same number
    const struct sandbox_mount *binds;
    size_t nbinds;
    const char *const *dirs; // private writable folders, NULL-terminated or NULL
    const struct sandbox_file *files;
    size_t nfiles;
    uint64_t tmp_bytes, file_bytes;
    unsigned nproc, nofile;
    const char *cgroup; // a job's group from cgroups_make, or NULL
    const char *hostname;
    int in_fd, out_fd; // the command's input (-1: /dev/null) and output (-1: the pipe)
};

struct sandbox {
    pid_t pid;
    int out_fd; // read end: output and errors of the command, O_NONBLOCK
    int err_fd; // read end: why the sandbox could not be built
    bool off;
};

int sandbox_start(const struct sandbox_host *h, const struct sandbox_opts *o, struct sandbox *ret,
                  struct err *e) MUST_USE;
// Asks every process inside to end (SIGTERM), or ends them all.
void sandbox_signal(struct sandbox *s, bool kill_all);
// True when the command has ended; gives its status as a shell would, or the error of building the
// sandbox (*ret_status -1). Closes nothing.
bool sandbox_ended(struct sandbox *s, int *ret_status, struct err *e);
// Waits for that, then frees what the sandbox holds.
int sandbox_wait(struct sandbox *s, int *ret_status, struct err *e) MUST_USE;
void sandbox_close(struct sandbox *s);

// ---- cgroups: limits on a whole job, where they may be made
// --------------------------------------
struct cgroups;
// NULL with the reason in `why` when no controller is writable. Removes groups that a killed runner
// of the same name left.
struct cgroups *cgroups_open(const char *name, char *why, size_t why_size);
void cgroups_close(struct cgroups *c);
// Makes the job's groups; limits of 0 are not set.
void cgroups_make(const struct cgroups *c, const char *job, unsigned pids, uint64_t memory);
// The files to enter by, one call per index until false.
bool cgroups_entry(const struct cgroups *c, const char *job, size_t i, char *out, size_t size);
void cgroups_remove(const struct cgroups *c, const char *job);
// How often the kernel refused a process or ended one for memory in this job.
bool cgroups_oom(const struct cgroups *c, const char *job);

// The syscall filter as a BPF program.
int seccomp_build(struct buf *to, struct err *e) MUST_USE;
