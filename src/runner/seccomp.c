// SPDX-License-Identifier: Apache-2.0
// The syscalls that no build needs and that have been ways out of sandboxes. A deny-list on
// purpose: jobs run arbitrary tools, and the walls are namespaces, an unprivileged user and
// no_new_privs; the filter takes away the kernel's rarely used doors behind those. Built once,
// handed to each sandbox.
#include "runner/sandbox.h"

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const REFUSED[] = {
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "setns",
    "unshare",
    "swapon",
    "swapoff",
    "reboot",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "open_by_handle_at",
    "name_to_handle_at",
    "acct",
    "quotactl",
    "quotactl_fd",
    "lookup_dcookie",
    "ioperm",
    "iopl",
    "nfsservctl",
    "vm86",
    "vm86old",
    "modify_ldt",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "stime",
    "syslog",
    "vhangup",
    "uselib",
    "ustat",
    "sysfs",
    "_sysctl",
    "process_vm_writev",
    "kcmp",
    "fanotify_init",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "move_pages",
    "migrate_pages",
    "mbind",
    "set_mempolicy",
    "memfd_secret",
    "pidfd_getfd",
    "process_madvise",
};

static int add(scmp_filter_ctx ctx, const char *name, uint32_t action)
{
    int nr = seccomp_syscall_resolve_name(name);
    return nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, action, nr, 0);
}

static int rules(scmp_filter_ctx ctx)
{
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(REFUSED) && rc == 0; i++)
        rc = add(ctx, REFUSED[i], SCMP_ACT_ERRNO(EPERM));
    // clone3 hides its flags behind a pointer; ENOSYS makes C libraries use clone.
    if (rc == 0)
        rc = add(ctx, "clone3", SCMP_ACT_ERRNO(ENOSYS));
    static const uint64_t SPACES[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                      CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};
    for (size_t i = 0; i < ARRAY_SIZE(SPACES) && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, SPACES[i], SPACES[i]));
    // Typing into somebody's terminal.
    static const uint64_t IOCTLS[] = {TIOCSTI, TIOCLINUX};
    for (size_t i = 0; i < ARRAY_SIZE(IOCTLS) && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, IOCTLS[i]));
    return rc;
}

static int export_to(scmp_filter_ctx ctx, struct buf *to, struct err *e)
{
    int fd = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "cannot build the syscall filter");
    int rc = seccomp_export_bpf(ctx, fd);
    if (rc < 0) {
        close(fd);
        return err_errno(e, -rc, "cannot build the syscall filter");
    }
    char part[4096];
    ssize_t n;
    for (off_t at = 0; (n = pread(fd, part, sizeof(part), at)) > 0; at += n)
        buf_add(to, str_n(part, (size_t)n));
    close(fd);
    return buf_ok(to) && to->n ? 0 : err_set(e, E_IO, "cannot read the syscall filter back");
}

int seccomp_build(struct buf *to, struct err *e)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx)
        return err_set(e, E_IO, "cannot build the syscall filter");
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
#ifdef __x86_64__
    // 32-bit programs run under the same rules; other ABIs (x32) end the process.
    if (rc == 0)
        rc = seccomp_arch_add(ctx, SCMP_ARCH_X86);
#endif
    if (rc == 0)
        rc = rules(ctx);
    if (rc < 0)
        rc = err_errno(e, -rc, "cannot build the syscall filter");
    else
        rc = export_to(ctx, to, e);
    seccomp_release(ctx);
    return rc;
}
