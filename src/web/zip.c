// SPDX-License-Identifier: Apache-2.0
// A zip reader for the artifacts pages (APPNOTE 6.3: stored and deflated entries, zip64). It reads
// the directory at the archive's end into memory, within a ceiling, and never trusts a number
// without comparing it to the archive's size. Any thread.
#include "web/zip.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

enum {
    DIRECTORY_MAX = 16 << 20,
    END_SIZE = 22,
    END_SEARCH = 65535 + END_SIZE,
    END64_LOCATOR = 20,
    END64_SIZE = 56,
    ENTRY_SIZE = 46,
    LOCAL_SIZE = 30,
    CHUNK = 64 << 10,
};

static uint16_t u16(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint16_t)(u[0] | u[1] << 8);
}
static uint32_t u32(const char *p)
{
    return (uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16;
}
static uint64_t u64(const char *p)
{
    return (uint64_t)u32(p) | (uint64_t)u32(p + 4) << 32;
}

static int broken(struct err *e)
{
    return err_set(e, E_INVALID, "the zip archive is damaged");
}

static int read_full(int fd, char *p, size_t n, int64_t at, struct err *e)
{
    while (n) {
        ssize_t got = pread(fd, p, n, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "reading a zip archive");
        if (got == 0)
            return broken(e);
        p += got;
        n -= (size_t)got;
        at += got;
    }
    return 0;
}

struct directory {
    char *bytes; // heap
    size_t n;
};

static void directory_done(struct directory *d)
{
    free(d->bytes);
}

static int read_directory(int fd, int64_t size, struct directory *ret, struct err *e)
{
    if (size < END_SIZE)
        return broken(e);
    struct buf tail = BUF_INIT(END_SEARCH);
    size_t n = (size_t)MIN(size, (int64_t)END_SEARCH);
    char *p = buf_reserve(&tail, n);
    BUG_ON(!p); // n is within the ceiling
    int r = read_full(fd, p, n, size - (int64_t)n, e);
    uint64_t at = 0, length = 0;
    bool found = false;
    for (size_t i = n - END_SIZE + 1; !r && i-- > 0;) {
        if (u32(p + i) != 0x06054b50)
            continue;
        found = true;
        length = u32(p + i + 12);
        at = u32(p + i + 16);
        char end64[END64_SIZE] = {0};
        bool big = length == UINT32_MAX || at == UINT32_MAX || u16(p + i + 10) == UINT16_MAX;
        if (big && i >= END64_LOCATOR && u32(p + i - END64_LOCATOR) == 0x07064b50) {
            uint64_t where = u64(p + i - END64_LOCATOR + 8);
            if (where > (uint64_t)size || (uint64_t)size - where < END64_SIZE)
                r = broken(e);
            else
                r = read_full(fd, end64, END64_SIZE, (int64_t)where, e);
            if (!r && u32(end64) != 0x06064b50)
                r = broken(e);
            if (!r) {
                length = u64(end64 + 40);
                at = u64(end64 + 48);
            }
        }
        break;
    }
    buf_done(&tail);
    if (r)
        return r;
    if (!found || at > (uint64_t)size || length > (uint64_t)size - at)
        return broken(e);
    if (length > DIRECTORY_MAX)
        return err_set(e, E_LIMIT, "the archive holds too many files to list");
    struct buf dir = BUF_INIT(DIRECTORY_MAX);
    p = buf_reserve(&dir, length + 1);
    r = p ? read_full(fd, p, length, (int64_t)at, e) : broken(e);
    if (r || !length) {
        buf_done(&dir);
        return r;
    }
    buf_commit(&dir, length);
    ret->bytes = buf_take(&dir);
    ret->n = length;
    return 0;
}

struct raw_entry {
    struct str name;
    uint16_t method, flags;
    uint64_t packed, size, at;
};

// The next entry at *pos; E_NOTFOUND at the end.
static int next_entry(const struct directory *d, size_t *pos, struct raw_entry *ret, struct err *e)
{
    if (*pos == d->n)
        return E_NOTFOUND;
    if (d->n - *pos < ENTRY_SIZE || u32(d->bytes + *pos) != 0x02014b50)
        return broken(e);
    const char *p = d->bytes + *pos;
    size_t name = u16(p + 28), extra = u16(p + 30), comment = u16(p + 32);
    if (d->n - *pos - ENTRY_SIZE < name + extra + comment)
        return broken(e);
    *ret = (struct raw_entry){
        .name = str_n(p + ENTRY_SIZE, name),
        .flags = u16(p + 8),
        .method = u16(p + 10),
        .packed = u32(p + 20),
        .size = u32(p + 24),
        .at = u32(p + 42),
    };
    const char *x = p + ENTRY_SIZE + name, *x_end = x + extra;
    while (x_end - x >= 4) {
        size_t n = u16(x + 2);
        const char *body = x + 4;
        if ((size_t)(x_end - body) < n)
            break;
        if (u16(x) == 1) {
            uint64_t *want[] = {&ret->size, &ret->packed, &ret->at};
            for (size_t i = 0; i < ARRAY_SIZE(want); i++)
                if (*want[i] == UINT32_MAX && n >= 8) {
                    *want[i] = u64(body);
                    body += 8;
                    n -= 8;
                }
            break;
        }
        x = body + n;
    }
    *pos += ENTRY_SIZE + name + extra + comment;
    return 0;
}

static bool safe_name(struct str name)
{
    if (!name.n || name.n > 4096 || name.p[0] == '/' || name.p[name.n - 1] == '/' ||
        str_has_control(name) || str_find(name, '\\') >= 0 || !str_is_utf8(name))
        return false;
    struct str rest = name, part;
    while (rest.p && str_cut(&rest, '/', &part))
        if (!part.n || str_is(part, ".") || str_is(part, ".."))
            return false;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct zip_entry *)a)->name, ((const struct zip_entry *)b)->name);
}

int zip_list(int fd, int64_t size, size_t max, struct arena *a, struct zip_entry **ret,
             size_t *ret_n, struct err *e)
{
    _cleanup_(directory_done) struct directory d = {0};
    int r = read_directory(fd, size, &d, e);
    if (r)
        return r;
    struct raw_entry raw = {0};
    size_t total = 0;
    for (size_t pos = 0; total < max && !(r = next_entry(&d, &pos, &raw, e));)
        total++;
    if (r && r != E_NOTFOUND)
        return r;
    struct zip_entry *list = ARENA_ARRAY(a, struct zip_entry, total + 1);
    size_t n = 0, pos = 0;
    while (n < total && !next_entry(&d, &pos, &raw, e))
        if (safe_name(raw.name))
            list[n++] = (struct zip_entry){arena_str(a, raw.name),
                                           (int64_t)MIN(raw.size, (uint64_t)INT64_MAX)};
    qsort(list, n, sizeof(*list), by_name);
    *ret = list;
    *ret_n = n;
    return 0;
}

static int unpack(int fd, const struct raw_entry *entry, int64_t at, struct buf *to, struct err *e)
{
    z_stream z = {0};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return err_set(e, E_LIMIT, "no memory to unpack");
    struct buf in = BUF_INIT(CHUNK);
    uint64_t left = entry->packed;
    int r = 0, state = Z_OK;
    while (!r && state != Z_STREAM_END) {
        if (!z.avail_in) {
            size_t n = (size_t)MIN(left, (uint64_t)CHUNK);
            buf_clear(&in);
            char *p = n ? buf_reserve(&in, n) : NULL;
            r = p ? read_full(fd, p, n, at, e) : broken(e);
            if (r)
                break;
            z.next_in = (unsigned char *)p;
            z.avail_in = (unsigned)n;
            left -= n;
            at += (int64_t)n;
        }
        char *out = buf_reserve(to, CHUNK);
        if (!out) {
            r = err_set(e, E_LIMIT, "The file is too large to show; download the archive.");
            break;
        }
        z.next_out = (unsigned char *)out;
        z.avail_out = CHUNK;
        state = inflate(&z, Z_NO_FLUSH);
        buf_commit(to, CHUNK - z.avail_out);
        if (state != Z_OK && state != Z_STREAM_END)
            r = broken(e);
    }
    inflateEnd(&z);
    buf_done(&in);
    return r;
}

static int store_bytes(int fd, const struct raw_entry *entry, int64_t at, struct buf *to,
                       struct err *e)
{
    char *p = entry->size ? buf_reserve(to, entry->size) : NULL;
    if (!entry->size)
        return 0;
    if (!p)
        return err_set(e, E_LIMIT, "The file is too large to show; download the archive.");
    int r = read_full(fd, p, entry->size, at, e);
    if (!r)
        buf_commit(to, entry->size);
    return r;
}

int zip_extract(int fd, int64_t size, struct str name, struct buf *to, struct err *e)
{
    _cleanup_(directory_done) struct directory d = {0};
    int r = read_directory(fd, size, &d, e);
    struct raw_entry raw = {0};
    for (size_t pos = 0; !r;) {
        r = next_entry(&d, &pos, &raw, e);
        if (r == E_NOTFOUND)
            return err_set(e, r, "There is no such file in the archive.");
        if (!r && str_eq(raw.name, name) && safe_name(name))
            break;
    }
    if (r)
        return r;
    char local[LOCAL_SIZE];
    if (raw.at > (uint64_t)size || (uint64_t)size - raw.at < LOCAL_SIZE)
        return broken(e);
    r = read_full(fd, local, LOCAL_SIZE, (int64_t)raw.at, e);
    if (r)
        return r;
    uint64_t at = raw.at + LOCAL_SIZE + u16(local + 26) + u16(local + 28);
    if (u32(local) != 0x04034b50 || (raw.flags & 1) || at > (uint64_t)size ||
        raw.packed > (uint64_t)size - at)
        return broken(e);
    if (raw.method == 8)
        return unpack(fd, &raw, (int64_t)at, to, e);
    if (raw.method == 0 && raw.size == raw.packed)
        return store_bytes(fd, &raw, (int64_t)at, to, e);
    return err_set(e, E_INVALID,
                   "The file is packed in a way that cannot be shown; download the "
                   "archive.");
}
