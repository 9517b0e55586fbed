// SPDX-License-Identifier: Apache-2.0
// Unpacking an archive from a stranger: it ends, and nothing appears outside of its folder.
#include "runner/artifact.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char outer[64];
static int root = -1;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void clean_up(void)
{
    nftw(outer, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void prepare(void)
{
    memcpy(outer, "/tmp/slipway-fuzz-XXXXXX", 25);
    char in[80];
    if (!mkdtemp(outer))
        BUG("cannot make a folder");
    atexit(clean_up);
    snprintf(in, sizeof(in), "%s/in", outer);
    if (mkdir(in, 0755) < 0)
        BUG("cannot make a folder");
    root = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (root < 0)
        prepare();
    int fd = memfd_create("zip", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        BUG("cannot hold the input");
    lseek(fd, 0, SEEK_SET);
    struct artifact_limits limits = {KIB(64), 20};
    struct err e = ERR_INIT;
    size_t files;
    int rc = artifact_unpack(fd, root, &limits, &files, &e);
    BUG_ON(rc < 0 && !e.msg[0]);
    close(fd);
    // Nothing appeared beside the root.
    DIR *d = opendir(outer);
    BUG_ON(!d);
    for (struct dirent *it; (it = readdir(d));)
        BUG_ON(strcmp(it->d_name, ".") && strcmp(it->d_name, "..") && strcmp(it->d_name, "in"));
    closedir(d);
    return 0;
}
