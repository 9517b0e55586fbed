// SPDX-License-Identifier: Apache-2.0
// Descriptors and files: whole reads and writes, durable replacement, folders, listeners.
// Every descriptor made here is close-on-exec. Any thread. Errors carry the path and the system's
// reason.
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

// For _cleanup_: closes *fd when it is not negative, keeps errno. An owned descriptor that is -1 is
// "none".
void fd_closep(int *fd);
#define _autofd_ _cleanup_(fd_closep)
// Closes and sets to -1.
static inline void fd_close(int *fd)
{
    fd_closep(fd);
    *fd = -1;
}
// Hands the descriptor out of a _autofd_ variable.
static inline int fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

int fd_set_nonblock(int fd, bool on, struct err *e) MUST_USE;
int fd_set_cloexec(int fd, bool on, struct err *e) MUST_USE;
// A close-on-exec pipe: read end, write end.
int fd_pipe(int *ret_read, int *ret_write, struct err *e) MUST_USE;

// Writes all of it to a blocking descriptor, across EINTR and short writes.
int fd_write_all(int fd, struct str s, struct err *e) MUST_USE;
int fd_pwrite_all(int fd, struct str s, int64_t offset, struct err *e) MUST_USE;
// Reads exactly n bytes; E_IO when the end comes earlier.
int fd_read_full(int fd, void *to, size_t n, struct err *e) MUST_USE;
// Reads to the end, up to the buffer's ceiling: E_LIMIT above it.
int fd_read_all(int fd, struct buf *into, struct err *e) MUST_USE;

// A whole file. E_NOTFOUND, E_LIMIT (larger than the buffer's ceiling), E_IO.
int file_read(const char *path, struct buf *into, struct err *e) MUST_USE;
int file_read_at(int dirfd, const char *path, struct buf *into, struct err *e) MUST_USE;

// Replaces the file durably: temporary file beside it, fsync, rename, fsync of the folder. After a
// crash at any moment the path holds the old or the new content, whole.
int file_replace(const char *path, struct str content, mode_t mode, struct err *e) MUST_USE;

// The same for content that is written piece by piece:
//   struct file_new f; file_new_open(&f, path, 0644, e); write to f.fd ...; file_new_commit(&f, e);
// file_new_abort (also through _autofilenew_) removes the temporary file unless it was committed.
struct file_new {
    int fd; // open for writing; -1 after commit or abort
    char path[4096];
    char temp[4096];
};
#define FILE_NEW_INIT ((struct file_new){.fd = -1})
int file_new_open(struct file_new *f, const char *path, mode_t mode, struct err *e) MUST_USE;
int file_new_commit(struct file_new *f, struct err *e) MUST_USE;
void file_new_abort(struct file_new *f);
#define _autofilenew_ _cleanup_(file_new_abort)

// fsync of the folder that holds `path` / of the folder `path` itself.
int file_sync_parent(const char *path, struct err *e) MUST_USE;
int dir_sync(const char *path, struct err *e) MUST_USE;

// Makes the folder and its parents; existing folders are fine.
int dir_make(const char *path, mode_t mode, struct err *e) MUST_USE;
// Removes a file or a whole tree under it, never following a symlink, on one filesystem only.
// E_NOTFOUND is not reported: what should be gone is gone. Folders without write permission are
// given it first (jobs leave such).
int dir_remove(const char *path, struct err *e) MUST_USE;
int dir_remove_at(int dirfd, const char *name, struct err *e) MUST_USE;

// Listeners: non-blocking, ready for accept4.
// host: numeric address ("127.0.0.1", "::1"). port 0: the kernel chooses, see fd_tcp_port.
int fd_listen_tcp(const char *host, uint16_t port, int *ret_fd, struct err *e) MUST_USE;
int fd_tcp_port(int fd, uint16_t *ret_port, struct err *e) MUST_USE;
// A socket file that nobody listens on any more (connect is refused) is replaced; one that
// answers is E_CONFLICT.
int fd_listen_unix(const char *path, mode_t mode, int *ret_fd, struct err *e) MUST_USE;
// Connected, blocking.
int fd_connect_unix(const char *path, int *ret_fd, struct err *e) MUST_USE;
int fd_connect_tcp(const char *host, uint16_t port, int *ret_fd, struct err *e) MUST_USE;
