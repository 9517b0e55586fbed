// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over every file of the folders given, so that a corpus is an ordinary test.
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    // An allocation of exactly the size lets the sanitizer see a read past the end.
    uint8_t *data = malloc((size_t)st.st_size + !st.st_size);
    ssize_t n = read(fd, data, (size_t)st.st_size);
    close(fd);
    if (n == st.st_size)
        LLVMFuzzerTestOneInput(data, (size_t)n);
    free(data);
    return n == st.st_size;
}

int main(int argc, char **argv)
{
    int count = 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d)
            continue;
        for (struct dirent *entry; (entry = readdir(d));)
            count += replay(dirfd(d), entry->d_name);
        closedir(d);
    }
    printf("%d inputs replayed\n", count);
    return count ? 0 : 77;
}
