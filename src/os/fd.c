// SPDX-License-Identifier: Apache-2.0
// Descriptors: whole reads and writes, pipes, listeners and connections. Every function works on
// its arguments alone, so any thread may call it. Files and folders are in file.c.
#include "os/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void fd_closep(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno;
    close(*fd);
    errno = saved;
}

static int set_flag(int fd, int get, int set, int flag, bool on, struct err *e)
{
    int flags = fcntl(fd, get);
    if (flags < 0)
        return err_errno(e, errno, "cannot read the flags of descriptor %d", fd);
    int wanted = on ? flags | flag : flags & ~flag;
    if (wanted != flags && fcntl(fd, set, wanted) < 0)
        return err_errno(e, errno, "cannot set the flags of descriptor %d", fd);
    return 0;
}

int fd_set_nonblock(int fd, bool on, struct err *e)
{
    return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on, e);
}

int fd_set_cloexec(int fd, bool on, struct err *e)
{
    return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on, e);
}

int fd_pipe(int *ret_read, int *ret_write, struct err *e)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot make a pipe");
    *ret_read = p[0];
    *ret_write = p[1];
    return 0;
}

int fd_write_all(int fd, struct str s, struct err *e)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot write to descriptor %d", fd);
        s = str_from(s, (size_t)n);
    }
    return 0;
}

int fd_pwrite_all(int fd, struct str s, int64_t offset, struct err *e)
{
    while (s.n > 0) {
        ssize_t n = pwrite(fd, s.p, s.n, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot write to descriptor %d", fd);
        offset += n;
        s = str_from(s, (size_t)n);
    }
    return 0;
}

int fd_read_full(int fd, void *to, size_t n, struct err *e)
{
    char *p = to;
    while (n > 0) {
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "cannot read from descriptor %d", fd);
        if (got == 0)
            return err_set(e, E_IO, "the input ended %zu bytes too early", n);
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

int fd_read_all(int fd, struct buf *into, struct err *e)
{
    for (;;) {
        size_t room = MIN(KIB(64), into->max - into->n);
        char spare = 0;
        char *to = room ? buf_reserve(into, room) : &spare;
        ssize_t got = read(fd, to, room ? room : 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "cannot read from descriptor %d", fd);
        if (got == 0)
            return 0;
        if (room == 0)
            return err_set(e, E_LIMIT, "the input is larger than %zu bytes", into->max);
        buf_commit(into, (size_t)got);
    }
}

// sockaddr of a numeric address; the length, or 0.
static socklen_t numeric_addr(const char *host, uint16_t port, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof *v6;
    }
    return 0;
}

int fd_listen_tcp(const char *host, uint16_t port, int *ret_fd, struct err *e)
{
    struct sockaddr_storage sa;
    socklen_t len = numeric_addr(host, port, &sa);
    if (!len)
        return err_set(e, E_INVALID, "cannot listen on \"%s\": not a numeric address", host);
    _autofd_ int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0)
        return err_errno(e, errno, "cannot make a socket");
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, 1024) < 0)
        return err_errno(e, errno, "cannot listen on %s port %u", host, port);
    *ret_fd = fd_take(&fd);
    return 0;
}

int fd_tcp_port(int fd, uint16_t *ret_port, struct err *e)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return err_errno(e, errno, "cannot read the address of descriptor %d", fd);
    if (sa.ss_family == AF_INET)
        *ret_port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
    else if (sa.ss_family == AF_INET6)
        *ret_port = ntohs(((struct sockaddr_in6 *)&sa)->sin6_port);
    else
        return err_set(e, E_INVALID, "descriptor %d is not a TCP socket", fd);
    return 0;
}

static int unix_addr(const char *path, struct sockaddr_un *ret, struct err *e)
{
    memset(ret, 0, sizeof *ret);
    ret->sun_family = AF_UNIX;
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof ret->sun_path)
        return err_set(e, E_LIMIT, "socket path \"%s\" has %zu bytes; 1 to %zu are possible", path,
                       n, sizeof ret->sun_path - 1);
    memcpy(ret->sun_path, path, n);
    return 0;
}

int fd_listen_unix(const char *path, mode_t mode, int *ret_fd, struct err *e)
{
    struct sockaddr_un sa;
    int rc = unix_addr(path, &sa, e);
    if (rc < 0)
        return rc;
    _autofd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, errno, "cannot make a socket");
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        struct stat st;
        if (errno != EADDRINUSE || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
            return err_errno(e, errno, "cannot listen on %s", path);
        _autofd_ int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (probe < 0)
            return err_errno(e, errno, "cannot make a socket");
        if (connect(probe, (struct sockaddr *)&sa, sizeof sa) == 0 || errno != ECONNREFUSED)
            return err_set(e, E_CONFLICT, "cannot listen on %s: another process does", path);
        // Nobody listens: its owner died without removing it.
        if (unlink(path) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
            return err_errno(e, errno, "cannot replace the stale socket %s", path);
    }
    if (chmod(path, mode) < 0 || listen(fd, 1024) < 0)
        return err_errno(e, errno, "cannot listen on %s", path);
    *ret_fd = fd_take(&fd);
    return 0;
}

static int connect_to(int fd, const struct sockaddr *sa, socklen_t len)
{
    int rc;
    do {
        rc = connect(fd, sa, len);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

int fd_connect_unix(const char *path, int *ret_fd, struct err *e)
{
    struct sockaddr_un sa;
    int rc = unix_addr(path, &sa, e);
    if (rc < 0)
        return rc;
    _autofd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect_to(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        return err_errno(e, errno, "cannot connect to %s", path);
    *ret_fd = fd_take(&fd);
    return 0;
}

int fd_connect_tcp(const char *host, uint16_t port, int *ret_fd, struct err *e)
{
    struct sockaddr_storage sa;
    socklen_t len = numeric_addr(host, port, &sa);
    if (!len)
        return err_set(e, E_INVALID, "cannot connect to \"%s\": not a numeric address", host);
    _autofd_ int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0 || connect_to(fd, (struct sockaddr *)&sa, len) < 0)
        return err_errno(e, errno, "cannot connect to %s port %u", host, port);
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = fd_take(&fd);
    return 0;
}
