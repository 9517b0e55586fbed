// SPDX-License-Identifier: Apache-2.0
// `slipway-init --sandbox`: builds a job's sandbox from a description and runs one command in it.
//
// The caller (src/runner/sandbox.c) hands over descriptors:
//   0 1 2  the command's own
//   3      the description: records "KEY LENGTH\n" + LENGTH bytes + "\n", in a seekable file
//   4      where a failure to build the sandbox is told, as one line of text; nothing is written
//          there when the command was started
//   5      optional: the program to run when `execfd` is given
// Keys, each a string unless said otherwise (numbers are decimal):
//   mode     "sandbox", or "off": no namespaces, same uid, only supervision
//   parent   pid of the caller; the sandbox dies when that process does
//   arg env  the command and its environment, one record each
//   execfd   run descriptor 5 instead of looking up the first `arg`
//   cwd      folder to start in, as seen inside
//   root     an existing empty folder to build the new root on
//   uid gid  who the command runs as (ignored without privilege: then it is the caller, in a user
//            namespace)
//   user     login name of that uid inside
//   ro       a path of the system to show read-only; skipped when it does not exist
//   hide     a path to cover with nothing; skipped when it does not exist inside
//   bind     "SOURCE\nTARGET": a writable folder; TARGET's parents are made
//   file     "MODE PATH\n" + bytes: written as the job's user before the command starts
//   dir      a folder made writable for the job's user
//   tmpsize  bytes of the in-memory file system behind /tmp, /home, /dev/shm and /var/tmp
//   nproc fsize nofile   resource limits
//   cgroup   a cgroup.procs (or tasks) file to enter
//   seccomp  a BPF program (struct sock_filter[]), bytes
//   hostname
#pragma once

// Returns the command's status as reap_run does, or 125 when the sandbox could not be built.
int sandbox_main(void);
