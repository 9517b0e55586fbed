// SPDX-License-Identifier: Apache-2.0
// Reads zip archives (PKWARE APPNOTE 6.3, stored and deflated entries, zip64) that strangers made.
// Opening checks the whole directory before anything is believed: names, sizes, offsets, kinds.
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct zip_entry {
    struct str name; // clean: relative, no "..", no control bytes; folders end with '/'
    uint64_t size, packed, offset; // offset of the local header
    uint32_t crc32;
    uint16_t method; // 0 or 8
    uint16_t mode;   // Unix permission bits, 0 when unknown
    bool folder;
};

struct zip {
    int fd;                    // borrowed
    struct zip_entry *entries; // sorted by name
    size_t n;
    uint64_t total; // bytes of all entries, unpacked
};
#define ZIP_ENTRIES_MAX   200000
#define ZIP_NAME_MAX      4096
#define ZIP_DIRECTORY_MAX MIB(64)

// E_INVALID with a sentence that names the entry: not a zip, damaged, encrypted, an absolute name,
// a "..", a link or device, control bytes, a name twice, entries that overlap or lie outside,
// too many entries. Entries and names live until zip_close.
int zip_open(int fd, struct zip *ret, struct err *e) MUST_USE;
void zip_close(struct zip *z); // frees, leaves the fd
static inline void zip_closep(struct zip *z)
{
    zip_close(z);
}
const struct zip_entry *zip_find(const struct zip *z, struct str name);
// Unpacks into `sink` piece by piece; E_INVALID when the data is not what the directory says (size,
// CRC).
int zip_read(const struct zip *z, const struct zip_entry *entry,
             int (*sink)(void *ctx, struct str piece, struct err *e), void *ctx,
             struct err *e) MUST_USE;
// The same, appended to `to`. E_LIMIT: more than `to` may hold.
int zip_extract(const struct zip *z, const struct zip_entry *entry, struct buf *to,
                struct err *e) MUST_USE;
