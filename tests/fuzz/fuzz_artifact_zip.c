// SPDX-License-Identifier: Apache-2.0
// Archives of strangers: list them and unpack each file they name.
#include "web/zip.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > KIB(256))
        return 0;
    int fd = memfd_create("zip", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        abort();
    struct arena a;
    arena_init(&a, MIB(64));
    struct zip_entry *list;
    size_t count;
    struct err e;
    if (!zip_list(fd, (int64_t)n, 50, &a, &list, &count, &e))
        for (size_t i = 0; i < count; i++) {
            if (list[i].name.p[0] == '/' || str_starts(list[i].name, STR("../")) ||
                str_search(list[i].name, STR("/../")) >= 0)
                abort();
            struct buf out = BUF_INIT(MIB(1));
            (void)!zip_extract(fd, (int64_t)n, list[i].name, &out, &e);
            buf_done(&out);
        }
    arena_done(&a);
    close(fd);
    return 0;
}
