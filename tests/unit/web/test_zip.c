// SPDX-License-Identifier: Apache-2.0
// Archives that strangers made: good ones are read, hostile names are left out, and no cut or
// changed byte gives more than an error.
#include "../../lib/test.h"

#include "web/zip.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

struct entry {
    const char *name, *text;
    bool deflate;
};

static void put16(struct buf *b, unsigned v)
{
    buf_addc(b, (char)v);
    buf_addc(b, (char)(v >> 8));
}
static void put32(struct buf *b, uint32_t v)
{
    put16(b, v & 0xffff);
    put16(b, v >> 16);
}

static void build(const struct entry *list, size_t n, struct buf *z)
{
    struct buf dir = BUF_INIT(MIB(1));
    for (size_t i = 0; i < n; i++) {
        unsigned char packed[4096];
        size_t size = strlen(list[i].text), len = size;
        const char *data = list[i].text;
        if (list[i].deflate) {
            z_stream s = {0};
            assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
            s.next_in = (unsigned char *)(uintptr_t)data;
            s.avail_in = (unsigned)size;
            s.next_out = packed;
            s.avail_out = sizeof(packed);
            assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
            len = s.total_out;
            deflateEnd(&s);
            data = (const char *)packed;
        }
        uint32_t at = (uint32_t)z->n;
        for (int central = 0; central < 2; central++) {
            struct buf *b = central ? &dir : z;
            put32(b, central ? 0x02014b50 : 0x04034b50);
            if (central)
                put16(b, 20);
            put16(b, 20);
            put16(b, 0);
            put16(b, list[i].deflate ? 8 : 0);
            put32(b, 0);
            put32(b, 0);
            put32(b, (uint32_t)len);
            put32(b, (uint32_t)size);
            put16(b, (unsigned)strlen(list[i].name));
            put16(b, 0);
            if (central) {
                put16(b, 0);
                put32(b, 0);
                put32(b, 0);
                put32(b, at);
            }
            buf_adds(b, list[i].name);
            if (!central)
                buf_add(b, str_n(data, len));
        }
    }
    uint32_t at = (uint32_t)z->n, size = (uint32_t)dir.n;
    buf_add(z, buf_str(&dir));
    put32(z, 0x06054b50);
    put32(z, 0);
    put16(z, (unsigned)n);
    put16(z, (unsigned)n);
    put32(z, size);
    put32(z, at);
    put16(z, 0);
    buf_done(&dir);
}

static int file_of(struct str bytes)
{
    int fd = memfd_create("zip", 0);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
    return fd;
}

static const struct entry GOOD[] = {
    {"public/b.txt", "stored", false},
    {"public/a.txt", "deflated deflated deflated deflated", true},
    {"../../etc/passwd", "x", false},
    {"/etc/passwd", "x", false},
    {"a/../b", "x", false},
    {"a//b", "x", false},
    {"folder/", "", false},
    {"nl\nname", "x", false},
    {"back\\slash", "x", false},
};

static void test_list_and_read(void **state)
{
    (void)state;
    struct buf z = BUF_INIT(MIB(1)), text = BUF_INIT(KIB(256));
    build(GOOD, ARRAY_SIZE(GOOD), &z);
    int fd = file_of(buf_str(&z));
    struct arena a;
    arena_init(&a, MIB(1));
    struct zip_entry *list;
    size_t n;
    struct err e;
    assert_int_equal(zip_list(fd, (int64_t)z.n, 100, &a, &list, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_str(list[0].name, "public/a.txt");
    assert_str(list[1].name, "public/b.txt");
    assert_int_equal(list[1].size, 6);
    assert_int_equal(zip_extract(fd, (int64_t)z.n, STR("public/a.txt"), &text, &e), 0);
    assert_str(buf_str(&text), "deflated deflated deflated deflated");
    buf_clear(&text);
    assert_int_equal(zip_extract(fd, (int64_t)z.n, STR("public/b.txt"), &text, &e), 0);
    assert_str(buf_str(&text), "stored");
    assert_int_equal(zip_extract(fd, (int64_t)z.n, STR("../../etc/passwd"), &text, &e), E_NOTFOUND);
    assert_int_equal(zip_extract(fd, (int64_t)z.n, STR("none"), &text, &e), E_NOTFOUND);
    close(fd);
    arena_done(&a);
    buf_done(&z);
    buf_done(&text);
}

static void try_all(struct str bytes)
{
    int fd = file_of(bytes);
    struct arena a;
    arena_init(&a, MIB(32));
    struct zip_entry *list;
    size_t n = 0;
    struct err e;
    struct buf text = BUF_INIT(KIB(256));
    (void)!zip_list(fd, (int64_t)bytes.n, 100, &a, &list, &n, &e);
    (void)!zip_extract(fd, (int64_t)bytes.n, STR("public/a.txt"), &text, &e);
    buf_done(&text);
    arena_done(&a);
    close(fd);
}

static void test_damage(void **state)
{
    (void)state;
    struct buf z = BUF_INIT(MIB(1));
    build(GOOD, 2, &z);
    for (size_t cut = 0; cut < z.n; cut++)
        try_all(str_head(buf_str(&z), cut));
    for (size_t i = 0; i < z.n; i++)
        for (int k = 0; k < 3; k++) {
            static const char WITH[] = {0, (char)0xff, 0x7f};
            char old = z.p[i];
            z.p[i] = WITH[k];
            try_all(buf_str(&z));
            z.p[i] = old;
        }
    struct arena a;
    arena_init(&a, MIB(1));
    struct zip_entry *list;
    size_t n;
    struct err e;
    int fd = file_of(STR("this is not a zip archive at all, but long enough"));
    assert_int_equal(zip_list(fd, 49, 100, &a, &list, &n, &e), E_INVALID);
    close(fd);
    arena_done(&a);
    buf_done(&z);
}

static void test_bomb(void **state)
{
    (void)state;
    char *text = malloc(2000001);
    memset(text, 'x', 2000000);
    text[2000000] = 0;
    struct entry one = {"big", text, true};
    struct buf z = BUF_INIT(MIB(1)), out = BUF_INIT(KIB(512));
    build(&one, 1, &z);
    int fd = file_of(buf_str(&z));
    struct err e;
    assert_int_equal(zip_extract(fd, (int64_t)z.n, STR("big"), &out, &e), E_LIMIT);
    assert_true(out.cap <= KIB(512));
    close(fd);
    buf_done(&z);
    buf_done(&out);
    free(text);
}

RUN_TESTS(cmocka_unit_test(test_list_and_read), cmocka_unit_test(test_damage),
          cmocka_unit_test(test_bomb))
