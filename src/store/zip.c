// SPDX-License-Identifier: Apache-2.0
// Reads zip files written by strangers: every number is checked against the file before it is used,
// and only the central directory is believed (local headers give offsets alone). No writing, no
// extraction to disk here: the caller's sink decides what becomes of the bytes. Thread-free: one
// owner per struct.
#include "store/zip.h"

#include "base/mem.h"
#include "store/store.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define EOCD_SIZE      22
#define EOCD64_SIZE    56
#define LOCATOR64_SIZE 20
#define CENTRAL_SIZE   46
#define LOCAL_SIZE     30

static uint16_t le16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const unsigned char *p)
{
    return (uint32_t)le16(p) | (uint32_t)le16(p + 2) << 16;
}

static uint64_t le64(const unsigned char *p)
{
    return (uint64_t)le32(p) | (uint64_t)le32(p + 4) << 32;
}

static int read_at(int fd, uint64_t offset, void *to, size_t n, struct err *e)
{
    size_t got = 0;
    while (got < n) {
        ssize_t k = pread(fd, (char *)to + got, n - got, (off_t)(offset + got));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_errno(e, errno, "cannot read the archive");
        if (k == 0)
            return err_set(e, E_INVALID, "the archive is cut off");
        got += (size_t)k;
    }
    return 0;
}

struct directory {
    uint64_t offset, size, count;
};

static int find_directory64(int fd, uint64_t eocd, struct directory *d, struct err *e)
{
    unsigned char locator[LOCATOR64_SIZE], end[EOCD64_SIZE];
    if (eocd < LOCATOR64_SIZE)
        return err_set(e, E_INVALID, "the archive's zip64 record is missing");
    TRY(read_at(fd, eocd - LOCATOR64_SIZE, locator, sizeof(locator), e));
    if (le32(locator) != 0x07064b50)
        return err_set(e, E_INVALID, "the archive's zip64 record is missing");
    uint64_t at = le64(locator + 8);
    if (at > eocd || eocd - at < EOCD64_SIZE)
        return err_set(e, E_INVALID, "the archive's zip64 record lies outside of it");
    TRY(read_at(fd, at, end, sizeof(end), e));
    if (le32(end) != 0x06064b50)
        return err_set(e, E_INVALID, "the archive's zip64 record is damaged");
    d->count = le64(end + 32);
    d->size = le64(end + 40);
    d->offset = le64(end + 48);
    return 0;
}

static int find_directory(int fd, uint64_t file_size, struct directory *d, struct err *e)
{
    unsigned char tail[EOCD_SIZE + 65535];
    size_t n = (size_t)MIN(file_size, sizeof(tail));
    if (n < EOCD_SIZE)
        return err_set(e, E_INVALID, "this is not a zip archive: it is only %zu bytes long", n);
    TRY(read_at(fd, file_size - n, tail, n, e));
    for (size_t i = n - EOCD_SIZE + 1; i-- > 0;) {
        const unsigned char *p = tail + i;
        if (le32(p) != 0x06054b50 || i + EOCD_SIZE + le16(p + 20) != n)
            continue;
        uint64_t eocd = file_size - n + i;
        if (le16(p + 4) != 0 && le16(p + 4) != 0xffff)
            return err_set(e, E_INVALID, "archives in several volumes are not supported");
        *d =
            (struct directory){.offset = le32(p + 16), .size = le32(p + 12), .count = le16(p + 10)};
        if (d->offset == 0xffffffff || d->size == 0xffffffff || d->count == 0xffff)
            TRY(find_directory64(fd, eocd, d, e));
        if (d->offset > eocd || d->size > eocd - d->offset)
            return err_set(e, E_INVALID, "the archive's directory lies outside of it");
        return 0;
    }
    return err_set(e, E_INVALID, "this is not a zip archive: it has no directory at its end");
}

// "name" for messages: cut, and controls replaced.
static const char *show(struct str name, char out[120])
{
    size_t n = MIN(name.n, (size_t)119);
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f ? '?' : name.p[i];
    out[n] = 0;
    return out;
}

static int check_name(struct str name, struct err *e)
{
    char text[120];
    if (name.n == 0 || name.n > ZIP_NAME_MAX)
        return err_set(e, E_INVALID, "the archive has an entry with a name of %zu bytes", name.n);
    if (str_has_control(name) || !str_is_utf8(name))
        return err_set(e, E_INVALID,
                       "entry \"%s\": control characters, or a name that is not UTF-8",
                       show(name, text));
    if (name.p[0] == '/' || str_find(name, '\\') >= 0 ||
        (name.n > 1 && name.p[1] == ':' &&
         ((name.p[0] | 0x20) >= 'a' && (name.p[0] | 0x20) <= 'z')))
        return err_set(e, E_INVALID, "entry \"%s\": the name must be relative, with '/' only",
                       show(name, text));
    struct str body = name;
    if (body.p[body.n - 1] == '/')
        body.n--;
    for (struct str rest = body, part; str_cut(&rest, '/', &part);) {
        if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
            return err_set(e, E_INVALID, "entry \"%s\": the name has an empty, '.' or '..' part",
                           show(name, text));
        if (part.n > 255)
            return err_set(e, E_INVALID,
                           "entry \"%s\": a part of the name is longer than 255 bytes",
                           show(name, text));
    }
    return 0;
}

// Fields that did not fit into 32 bits stand in extra field 1, in this order, only those.
static int read_extra64(const unsigned char *extra, size_t n, struct zip_entry *z, struct err *e)
{
    while (n >= 4) {
        size_t len = le16(extra + 2);
        if (len > n - 4)
            break;
        if (le16(extra) == 1) {
            const unsigned char *p = extra + 4;
            uint64_t *fields[] = {&z->size, &z->packed, &z->offset};
            for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                if (*fields[i] != 0xffffffff)
                    continue;
                if (len < 8)
                    return err_set(e, E_INVALID, "the archive's zip64 fields are cut off");
                *fields[i] = le64(p);
                p += 8;
                len -= 8;
            }
            return 0;
        }
        extra += 4 + len;
        n -= 4 + len;
    }
    return err_set(e, E_INVALID, "the archive's zip64 fields are missing");
}

static int check_kind(const unsigned char *p, struct zip_entry *z, struct err *e)
{
    char text[120];
    unsigned made_by = p[5];
    uint32_t mode = le32(p + 38) >> 16;
    z->folder = z->name.p[z->name.n - 1] == '/';
    if (le16(p + 8) & 1)
        return err_set(e, E_INVALID, "entry \"%s\" is encrypted", show(z->name, text));
    // Whatever system the archive says it comes from: a link is refused.
    if ((mode & S_IFMT) == S_IFLNK)
        return err_set(e, E_INVALID, "entry \"%s\" is a symbolic link: links are not accepted",
                       show(z->name, text));
    if (made_by == 3 && (mode & S_IFMT) != 0 && (mode & S_IFMT) != S_IFREG &&
        (mode & S_IFMT) != S_IFDIR)
        return err_set(e, E_INVALID, "entry \"%s\" is neither a file nor a folder",
                       show(z->name, text));
    if (made_by == 3 && (mode & S_IFMT) == S_IFDIR && !z->folder)
        return err_set(e, E_INVALID, "entry \"%s\" is a folder whose name lacks the final '/'",
                       show(z->name, text));
    z->mode = made_by == 3 ? (uint16_t)(mode & 0777) : 0;
    if (z->folder) {
        if (z->size)
            return err_set(e, E_INVALID, "entry \"%s\" is a folder with content",
                           show(z->name, text));
        return 0;
    }
    if (z->method != 0 && z->method != 8)
        return err_set(e, E_INVALID,
                       "entry \"%s\" is packed with method %u: only deflate and "
                       "stored are supported",
                       show(z->name, text), z->method);
    if (z->method == 0 && z->size != z->packed)
        return err_set(e, E_INVALID, "entry \"%s\": its two sizes differ", show(z->name, text));
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct zip_entry *)a)->name, ((const struct zip_entry *)b)->name);
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = (*(const struct zip_entry *const *)a)->offset,
             y = (*(const struct zip_entry *const *)b)->offset;
    return x < y ? -1 : x > y;
}

static int check_twice(const struct zip *z, struct err *e)
{
    char text[120];
    for (size_t i = 1; i < z->n; i++)
        if (str_eq(z->entries[i - 1].name, z->entries[i].name))
            return err_set(e, E_INVALID, "entry \"%s\" is there twice",
                           show(z->entries[i].name, text));
    return 0;
}

// Entries that share bytes make an archive of kilobytes unpack to petabytes.
static int check_overlap(const struct zip *z, uint64_t directory, struct err *e)
{
    _autofree_ const struct zip_entry **sorted = NEW_ARRAY(const struct zip_entry *, z->n + 1);
    char text[120];
    for (size_t i = 0; i < z->n; i++)
        sorted[i] = &z->entries[i];
    qsort(sorted, z->n, sizeof(*sorted), by_offset);
    uint64_t free_from = 0;
    for (size_t i = 0; i < z->n; i++) {
        const struct zip_entry *one = sorted[i];
        uint64_t room = one->offset <= directory ? directory - one->offset : 0;
        if (one->offset < free_from || room < LOCAL_SIZE || room - LOCAL_SIZE < one->packed)
            return err_set(e, E_INVALID,
                           "entry \"%s\" overlaps another one or lies outside of the archive",
                           show(one->name, text));
        free_from = one->offset + LOCAL_SIZE + one->packed;
    }
    return 0;
}

static int read_entries(struct zip *z, const struct directory *d, unsigned char *bytes,
                        struct err *e)
{
    size_t at = 0;
    char text[120];
    for (size_t i = 0; i < d->count; i++) {
        const unsigned char *p = bytes + at;
        if (d->size - at < CENTRAL_SIZE || le32(p) != 0x02014b50)
            return err_set(e, E_INVALID, "the archive's directory is damaged at entry %zu", i + 1);
        size_t nname = le16(p + 28), nextra = le16(p + 30), ncomment = le16(p + 32);
        if (d->size - at - CENTRAL_SIZE < nname + nextra + ncomment)
            return err_set(e, E_INVALID, "the archive's directory is damaged at entry %zu", i + 1);
        struct zip_entry *one = &z->entries[i];
        *one = (struct zip_entry){
            .name = str_n((const char *)p + CENTRAL_SIZE, nname),
            .size = le32(p + 24),
            .packed = le32(p + 20),
            .offset = le32(p + 42),
            .crc32 = le32(p + 16),
            .method = le16(p + 10),
        };
        if (one->size == 0xffffffff || one->packed == 0xffffffff || one->offset == 0xffffffff)
            TRY(read_extra64(p + CENTRAL_SIZE + nname, nextra, one, e));
        TRY(check_name(one->name, e));
        TRY(check_kind(p, one, e));
        if (one->size > UINT64_MAX / 2 - z->total)
            return err_set(e, E_INVALID, "entry \"%s\": impossible size", show(one->name, text));
        z->total += one->size;
        z->n++;
        at += CENTRAL_SIZE + nname + nextra + ncomment;
    }
    qsort(z->entries, z->n, sizeof(*z->entries), by_name);
    TRY(check_twice(z, e));
    return check_overlap(z, d->offset, e);
}

int zip_open(int fd, struct zip *ret, struct err *e)
{
    struct stat st;
    struct directory d = {0};
    *ret = (struct zip){.fd = fd};
    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot read the archive");
    TRY(find_directory(fd, (uint64_t)st.st_size, &d, e));
    if (d.count > ZIP_ENTRIES_MAX || d.size > ZIP_DIRECTORY_MAX)
        return err_set(e, E_INVALID, "the archive has more than %d entries", ZIP_ENTRIES_MAX);
    if (d.count > d.size / CENTRAL_SIZE)
        return err_set(e, E_INVALID, "the archive's directory is shorter than its entries need");
    // One block: the entries, then the directory's bytes that the names point into.
    size_t entries = (d.count + 1) * sizeof(struct zip_entry);
    char *block = mem_zalloc(entries + (size_t)d.size + 1, 1);
    ret->entries = (struct zip_entry *)(void *)block;
    int rc = read_at(fd, d.offset, block + entries, (size_t)d.size, e);
    if (rc == 0)
        rc = read_entries(ret, &d, (unsigned char *)block + entries, e);
    if (rc < 0)
        zip_close(ret);
    return rc;
}

void zip_close(struct zip *z)
{
    free(z->entries);
    *z = (struct zip){.fd = -1};
}

const struct zip_entry *zip_find(const struct zip *z, struct str name)
{
    const struct zip_entry wanted = {.name = name};
    return z->n ? bsearch(&wanted, z->entries, z->n, sizeof(wanted), by_name) : NULL;
}

struct unpack {
    const struct zip_entry *entry;
    int (*sink)(void *ctx, struct str piece, struct err *e);
    void *ctx;
    uint64_t written;
    uint32_t crc;
};

static int unpack_out(struct unpack *u, const unsigned char *p, size_t n, struct err *e)
{
    char text[120];
    if (n > u->entry->size - u->written)
        return err_set(e, E_INVALID, "entry \"%s\" is larger than the archive says",
                       show(u->entry->name, text));
    u->crc = (uint32_t)crc32(u->crc, p, (uInt)n);
    u->written += n;
    return u->sink(u->ctx, str_n((const char *)p, n), e);
}

static int unpack_deflate(struct unpack *u, int fd, uint64_t at, struct err *e)
{
    unsigned char in[16384], out[65536];
    z_stream zs = {0};
    char text[120];
    if (inflateInit2(&zs, -MAX_WBITS) != Z_OK)
        return err_set(e, E_IO, "cannot begin to unpack");
    uint64_t left = u->entry->packed;
    int rc = 0, z = Z_OK;
    while (rc == 0 && z != Z_STREAM_END) {
        if (zs.avail_in == 0 && left) {
            size_t n = (size_t)MIN(left, sizeof(in));
            rc = read_at(fd, at, in, n, e);
            if (rc < 0)
                break;
            zs.next_in = in;
            zs.avail_in = (uInt)n;
            at += n;
            left -= n;
        }
        zs.next_out = out;
        zs.avail_out = sizeof(out);
        z = inflate(&zs, Z_NO_FLUSH);
        size_t n = sizeof(out) - zs.avail_out;
        if ((z != Z_OK && z != Z_STREAM_END) ||
            (z == Z_OK && n == 0 && zs.avail_in == 0 && !left)) {
            rc = err_set(e, E_INVALID, "entry \"%s\" is damaged", show(u->entry->name, text));
            break;
        }
        if (n)
            rc = unpack_out(u, out, n, e);
    }
    inflateEnd(&zs);
    return rc;
}

static int unpack_stored(struct unpack *u, int fd, uint64_t at, struct err *e)
{
    unsigned char piece[65536];
    uint64_t left = u->entry->packed;
    while (left) {
        size_t n = (size_t)MIN(left, sizeof(piece));
        TRY(read_at(fd, at, piece, n, e));
        TRY(unpack_out(u, piece, n, e));
        at += n;
        left -= n;
    }
    return 0;
}

int zip_read(const struct zip *z, const struct zip_entry *entry,
             int (*sink)(void *ctx, struct str piece, struct err *e), void *ctx, struct err *e)
{
    unsigned char local[LOCAL_SIZE];
    char text[120];
    if (entry->folder)
        return err_set(e, E_INVALID, "entry \"%s\" is a folder", show(entry->name, text));
    TRY(read_at(z->fd, entry->offset, local, sizeof(local), e));
    if (le32(local) != 0x04034b50)
        return err_set(e, E_INVALID, "entry \"%s\" is damaged", show(entry->name, text));
    uint64_t at = entry->offset + LOCAL_SIZE + le16(local + 26) + le16(local + 28);
    struct unpack u = {.entry = entry, .sink = sink, .ctx = ctx};
    TRY(entry->method ? unpack_deflate(&u, z->fd, at, e) : unpack_stored(&u, z->fd, at, e));
    if (u.written != entry->size || u.crc != entry->crc32)
        return err_set(e, E_INVALID, "entry \"%s\" is damaged: its checksum does not fit",
                       show(entry->name, text));
    return 0;
}

static int append(void *ctx, struct str piece, struct err *e)
{
    struct buf *to = ctx;
    buf_add(to, piece);
    return buf_ok(to) ? 0 : err_set(e, E_LIMIT, "the entry has more than %zu bytes", to->max);
}

int zip_extract(const struct zip *z, const struct zip_entry *entry, struct buf *to, struct err *e)
{
    return zip_read(z, entry, append, to, e);
}
