// SPDX-License-Identifier: Apache-2.0
// Archives that strangers made: good ones are read, hostile ones are refused with the entry's name,
// and no cut or changed byte gives more than an error.
#include "base/mem.h"
#include "store/zip.h"

#include "../../lib/test.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

// A small writer, so that archives can be wrong in one place only.
struct maker {
    struct buf file, directory;
    unsigned entries;
};

static void put(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_addc(b, i < 8 ? (char)(v >> (8 * i)) : 0); // fields may be filled up with zeros
}

static void add(struct maker *m, const char *name, size_t nname, struct str data, unsigned mode,
                bool deflated)
{
    unsigned char packed[4096];
    size_t offset = m->file.n, npacked = data.n;
    uint32_t crc = (uint32_t)crc32(0, (const unsigned char *)data.p, (uInt)data.n);
    if (deflated) {
        z_stream z = {.next_in = (unsigned char *)(uintptr_t)data.p,
                      .avail_in = (uInt)data.n,
                      .next_out = packed,
                      .avail_out = sizeof(packed)};
        deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        npacked = z.total_out;
        deflateEnd(&z);
    }
    put(&m->file, 0x04034b50, 4);
    put(&m->file, 0, 22);
    put(&m->file, nname, 2);
    put(&m->file, 0, 2);
    buf_add(&m->file, str_n(name, nname));
    buf_add(&m->file, deflated ? str_n((char *)packed, npacked) : data);
    put(&m->directory, 0x02014b50, 4);
    put(&m->directory, 0x0314, 2);
    put(&m->directory, 0, 4);
    put(&m->directory, deflated ? 8 : 0, 2);
    put(&m->directory, 0, 4);
    put(&m->directory, crc, 4);
    put(&m->directory, npacked, 4);
    put(&m->directory, data.n, 4);
    put(&m->directory, nname, 2);
    put(&m->directory, 0, 8);
    put(&m->directory, (uint64_t)mode << 16, 4);
    put(&m->directory, offset, 4);
    buf_add(&m->directory, str_n(name, nname));
    m->entries++;
}

static int finish(struct maker *m)
{
    size_t at = m->file.n;
    buf_add(&m->file, buf_str(&m->directory));
    put(&m->file, 0x06054b50, 4);
    put(&m->file, 0, 4);
    put(&m->file, m->entries, 2);
    put(&m->file, m->entries, 2);
    put(&m->file, m->directory.n, 4);
    put(&m->file, at, 4);
    put(&m->file, 0, 2);
    int fd = memfd_create("zip", 0);
    assert_int_equal(write(fd, m->file.p, m->file.n), (ssize_t)m->file.n);
    return fd;
}

static struct maker maker(void)
{
    return (struct maker){BUF_INIT(MIB(4)), BUF_INIT(MIB(4)), 0};
}

static void maker_done(struct maker *m)
{
    buf_done(&m->file);
    buf_done(&m->directory);
}

static int collect(void *ctx, struct str piece, struct err *e)
{
    (void)e;
    buf_add(ctx, piece);
    return 0;
}

static void reads_what_it_says(void **state)
{
    _cleanup_(maker_done) struct maker m = maker();
    struct str text = STR("hello hello hello hello hello hello");
    add(&m, "public/", 7, STR(""), S_IFDIR | 0755, false);
    add(&m, "public/run.sh", 13, text, S_IFREG | 0755, false);
    add(&m, "public/index.html", 17, text, S_IFREG | 0644, true);
    int fd = finish(&m);
    struct zip z;
    struct err e = ERR_INIT;
    assert_int_equal(zip_open(fd, &z, &e), 0);
    assert_int_equal(z.n, 3);
    assert_int_equal(z.total, 2 * text.n);
    assert_str(z.entries[0].name, "public/");
    assert_true(z.entries[0].folder);
    assert_str(z.entries[1].name, "public/index.html");
    assert_str(z.entries[2].name, "public/run.sh");
    for (size_t i = 0; i < z.n; i++)
        assert_ptr_equal(zip_find(&z, z.entries[i].name), &z.entries[i]);
    assert_null(zip_find(&z, STR("nothing")));
    assert_null(zip_find(&z, STR("../../etc/passwd")));
    assert_null(zip_find(&z, STR("")));
    for (size_t i = 1; i < z.n; i++) {
        _autobuf_ struct buf out = BUF_INIT(KIB(4));
        assert_int_equal(zip_read(&z, &z.entries[i], collect, &out, &e), 0);
        assert_true(str_eq(buf_str(&out), text));
    }
    assert_int_equal(zip_find(&z, STR("public/run.sh"))->mode, 0755);
    zip_close(&z);
    close(fd);
}

static void refuses(const char *name, size_t n, unsigned mode, const char *why)
{
    _cleanup_(maker_done) struct maker m = maker();
    add(&m, "fine", 4, STR("x"), S_IFREG | 0644, false);
    add(&m, name, n, STR("x"), mode, false);
    int fd = finish(&m);
    struct zip z;
    struct err e = ERR_INIT;
    assert_int_equal(zip_open(fd, &z, &e), E_INVALID);
    if (!strstr(e.msg, why))
        fail_msg("\"%s\" does not say \"%s\"", e.msg, why);
    close(fd);
}

static void refuses_hostile_entries(void **state)
{
    refuses("/etc/passwd", 11, S_IFREG | 0644, "relative");
    refuses("../x", 4, S_IFREG | 0644, "'..'");
    refuses("a/../../x", 9, S_IFREG | 0644, "'..'");
    refuses("a//x", 4, S_IFREG | 0644, "empty");
    refuses("./x", 3, S_IFREG | 0644, "'.'");
    refuses("..", 2, S_IFREG | 0644, "'..'");
    refuses("C:/x", 4, S_IFREG | 0644, "relative");
    refuses("a\\..\\x", 6, S_IFREG | 0644, "relative");
    refuses("a\0b", 3, S_IFREG | 0644, "control");
    refuses("a\nb", 3, S_IFREG | 0644, "control");
    refuses("\xff", 1, S_IFREG | 0644, "UTF-8");
    refuses("link", 4, S_IFLNK | 0777, "symbolic link");
    refuses("pipe", 4, S_IFIFO | 0644, "neither");
    refuses("device", 6, S_IFBLK | 0644, "neither");
    refuses("fine", 4, S_IFREG | 0644, "twice");
    refuses("", 0, S_IFREG | 0644, "name");
}

// Whatever one byte of an archive is changed to, opening and reading it ends, without a crash.
static void survives_any_damage(void **state)
{
    _cleanup_(maker_done) struct maker m = maker();
    add(&m, "a/b.txt", 7, STR("some text some text some text"), S_IFREG | 0644, true);
    add(&m, "c", 1, STR("more"), S_IFREG | 0644, false);
    int fd = finish(&m);
    for (size_t at = 0; at < m.file.n; at++) {
        for (int v = 0; v < 256; v += 15) {
            char c = (char)v;
            assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
            struct zip z;
            if (zip_open(fd, &z, NULL) == 0) {
                for (size_t i = 0; i < z.n; i++) {
                    _autobuf_ struct buf out = BUF_INIT(KIB(4));
                    (void)!zip_read(&z, &z.entries[i], collect, &out, NULL);
                }
                zip_close(&z);
            }
        }
        assert_int_equal(pwrite(fd, m.file.p + at, 1, (off_t)at), 1);
    }
    for (size_t n = m.file.n; n-- > 0;) {
        struct zip z;
        assert_int_equal(ftruncate(fd, (off_t)n), 0);
        assert_int_equal(zip_open(fd, &z, NULL), E_INVALID);
    }
    close(fd);
}

// Two entries over the same bytes: the trick of bombs that unpack to petabytes.
static void refuses_overlaps_and_lies(void **state)
{
    _cleanup_(maker_done) struct maker m = maker();
    struct err e = ERR_INIT;
    struct zip z;
    add(&m, "one", 3, STR("data"), S_IFREG | 0644, false);
    struct buf twice = BUF_INIT(KIB(4));
    buf_add(&twice, buf_str(&m.directory));
    buf_add(&m.directory, buf_str(&twice));
    m.directory.p[m.directory.n - 1] = 'f';
    m.entries = 2;
    int fd = finish(&m);
    assert_int_equal(zip_open(fd, &z, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "overlaps"));
    close(fd);
    buf_done(&twice);

    // The directory says 10 bytes, the data unpack to more.
    _cleanup_(maker_done) struct maker lie = maker();
    add(&lie, "big", 3, STR("0123456789012345678901234567890123456789"), S_IFREG | 0644, true);
    lie.directory.p[24] = 10;
    fd = finish(&lie);
    assert_int_equal(zip_open(fd, &z, &e), 0);
    _autobuf_ struct buf out = BUF_INIT(KIB(4));
    assert_int_equal(zip_read(&z, &z.entries[0], collect, &out, &e), E_INVALID);
    assert_true(out.n <= 10);
    zip_close(&z);
    close(fd);
}

static void nothing_in_it(void **state)
{
    _cleanup_(maker_done) struct maker m = maker();
    struct zip z;
    struct err e = ERR_INIT;
    int fd = finish(&m);
    assert_int_equal(zip_open(fd, &z, &e), 0);
    assert_int_equal(z.n, 0);
    assert_null(zip_find(&z, STR("a")));
    zip_close(&z);
    close(fd);
    fd = memfd_create("zip", 0);
    assert_int_equal(write(fd, "this is not a zip archive at all, but long enough", 49), 49);
    assert_int_equal(zip_open(fd, &z, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "not a zip archive"));
    close(fd);
}

// A file that unpacks to more than the reader wants takes no more memory than it allowed.
static void extracts_within_a_ceiling(void **state)
{
    _cleanup_(maker_done) struct maker m = maker();
    char *text = mem_zalloc(2000000, 1);
    struct zip z;
    struct err e = ERR_INIT;
    add(&m, "big", 3, str_n(text, 2000000), S_IFREG | 0644, true);
    int fd = finish(&m);
    assert_int_equal(zip_open(fd, &z, &e), 0);
    _autobuf_ struct buf small = BUF_INIT(KIB(512)), enough = BUF_INIT(2000000);
    assert_int_equal(zip_extract(&z, &z.entries[0], &small, &e), E_LIMIT);
    assert_true(small.cap <= KIB(512));
    assert_int_equal(zip_extract(&z, &z.entries[0], &enough, &e), 0);
    assert_true(str_eq(buf_str(&enough), str_n(text, 2000000)));
    zip_close(&z);
    close(fd);
    free(text);
}

RUN_TESTS(cmocka_unit_test(reads_what_it_says), cmocka_unit_test(refuses_hostile_entries),
          cmocka_unit_test(survives_any_damage), cmocka_unit_test(refuses_overlaps_and_lies),
          cmocka_unit_test(nothing_in_it), cmocka_unit_test(extracts_within_a_ceiling))
