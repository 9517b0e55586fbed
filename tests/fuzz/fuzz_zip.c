// SPDX-License-Identifier: Apache-2.0
// Zip archives of strangers: whatever the bytes, opening and reading them ends, within what was
// announced.
#include "store/zip.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int count(void *ctx, struct str piece, struct err *e)
{
    (void)e;
    *(uint64_t *)ctx += piece.n;
    return *(uint64_t *)ctx > MIB(4) ? E_LIMIT : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct zip z;
    int fd = memfd_create("zip", MFD_CLOEXEC);
    if (fd < 0 || (n && write(fd, data, n) != (ssize_t)n)) {
        close(fd);
        return 0;
    }
    if (zip_open(fd, &z, NULL) == 0) {
        for (size_t i = 0; i < z.n && i < 50; i++) {
            uint64_t got = 0;
            struct str name = z.entries[i].name;
            BUG_ON(name.p[0] == '/' || str_starts(name, STR("../")) ||
                   str_search(name, STR("/../")) >= 0);
            BUG_ON(zip_find(&z, name) != &z.entries[i]);
            (void)!zip_read(&z, &z.entries[i], count, &got, NULL);
            BUG_ON(got > z.entries[i].size);
        }
        zip_close(&z);
    }
    close(fd);
    return 0;
}
