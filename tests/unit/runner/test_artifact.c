// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/clock.h"
#include "runner/artifact.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char path[64];
    int fd;
};

static int setup(void **state)
{
    static struct place p;
    memcpy(p.path, "/tmp/slipway-artifact-XXXXXX", 29);
    assert_non_null(mkdtemp(p.path));
    assert_int_equal(chdir(p.path), 0);
    p.fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    close(p->fd);
    assert_int_equal(chdir("/"), 0);
    char command[100];
    snprintf(command, sizeof(command), "rm -rf %s", p->path);
    char *const argv[] = {(char *)"sh", (char *)"-c", command, NULL};
    pid_t pid = fork();
    if (pid == 0)
        execvp("sh", argv);
    return 0;
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_file(const char *path, const char *want)
{
    char text[100] = "";
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(text, want);
}

struct entry {
    const char *name;
    mode_t type;
    const char *text; // content or a link's target
};

static int zip_of(const struct entry *list, size_t n)
{
    int fd = memfd_create("zip", MFD_CLOEXEC);
    struct archive *z = archive_write_new();
    archive_write_set_format_zip(z);
    archive_write_open_fd(z, fd);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, list[i].name);
        archive_entry_set_mode(e, list[i].type | 0644);
        if (list[i].type == S_IFLNK)
            archive_entry_set_symlink(e, list[i].text);
        bool file = list[i].type == S_IFREG;
        archive_entry_set_size(e, file ? (la_int64_t)strlen(list[i].text) : 0);
        archive_write_header(z, e);
        if (file)
            archive_write_data(z, list[i].text, strlen(list[i].text));
        archive_entry_free(e);
    }
    archive_write_close(z);
    archive_write_free(z);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static int unpack(struct place *p, const struct entry *list, size_t n, struct err *e)
{
    struct artifact_limits limits = {1000, 10};
    size_t files;
    int fd = zip_of(list, n);
    int rc = artifact_unpack(fd, p->fd, &limits, &files, e);
    close(fd);
    return rc;
}

static void there_and_back(void **state)
{
    struct place *p = *state;
    assert_int_equal(mkdir("d", 0755) + mkdir("d/e", 0755) + mkdir("out", 0755), 0);
    put_file("d/e/one", "1");
    put_file("d/two.o", "2");
    put_file("x.log", "l");
    assert_int_equal(symlink("two.o", "d/link") + chmod("d/e/one", 0755), 0);
    const char *const paths[] = {"d/", "./*.log", "none*", "../x", NULL}, *const exclude[] = {
                                                                              "**/*.o", NULL};
    struct artifact_pack pack = {.paths = paths, .exclude = exclude, .root = p->path};
    struct err e = ERR_INIT;
    _autobuf_ struct buf notes = BUF_INIT(4096);
    size_t files;
    int fd = memfd_create("zip", MFD_CLOEXEC);
    assert_int_equal(artifact_pack(&pack, fd, &files, &notes, &e), 0);
    assert_int_equal(files, 5); // d d/e d/e/one d/link x.log
    assert_non_null(strstr(notes.p, "d/: found 4 matching artifact files"));
    assert_non_null(strstr(notes.p, "WARNING: none*: no matching files"));
    assert_non_null(strstr(notes.p, "WARNING: ../x: outside of the build folder"));
    lseek(fd, 0, SEEK_SET);
    int out = open("out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct artifact_limits limits = {1000, 10};
    assert_int_equal(artifact_unpack(fd, out, &limits, &files, &e), 0);
    assert_file("out/d/e/one", "1");
    assert_file("out/x.log", "l");
    struct stat st;
    assert_int_equal(stat("out/d/e/one", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0755);
    assert_int_equal(lstat("out/d/link", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat("out/d/two.o", &st), -1);
    close(out);
    close(fd);
}

static void absolute_patterns_below_the_root(void **state)
{
    struct place *p = *state;
    put_file("x", "1");
    char inside[100];
    snprintf(inside, sizeof(inside), "%s/x", p->path);
    const char *const paths[] = {inside, "/etc/passwd", NULL};
    struct artifact_pack pack = {.paths = paths, .root = p->path};
    struct err e = ERR_INIT;
    _autobuf_ struct buf notes = BUF_INIT(4096);
    size_t files;
    int fd = memfd_create("zip", MFD_CLOEXEC);
    assert_int_equal(artifact_pack(&pack, fd, &files, &notes, &e), 0);
    assert_int_equal(files, 1);
    assert_non_null(strstr(notes.p, "/etc/passwd: outside"));
    close(fd);
}

static void hostile(void **state)
{
    struct place *p = *state;
    static const struct {
        struct entry list[2];
        const char *says;
    } CASES[] = {
        {{{"/abs", S_IFREG, "x"}}, "absolute"},
        {{{"../up", S_IFREG, "x"}}, "\"..\""},
        {{{"a/../../up", S_IFREG, "x"}}, "\"..\""},
        {{{"l", S_IFLNK, "/etc/passwd"}}, "leads outside"},
        {{{"a/l", S_IFLNK, "../../up"}}, "leads outside"},
        {{{"in", S_IFLNK, "sub"}, {"in/x", S_IFREG, "x"}}, "through a symbolic link"},
        {{{"f", S_IFREG, "x"}, {"f/x", S_IFREG, "x"}}, "through a symbolic link or a file"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct err e = ERR_INIT;
        size_t n = CASES[i].list[1].name ? 2 : 1;
        assert_int_equal(unpack(p, CASES[i].list, n, &e), E_INVALID);
        if (!strstr(e.msg, CASES[i].says))
            fail_msg("%s: says '%s'", CASES[i].list[0].name, e.msg);
    }
    assert_int_equal(access("../up", F_OK), -1);
}

static void a_link_that_lies_there_is_not_written_through(void **state)
{
    struct place *p = *state;
    put_file("victim", "old");
    assert_int_equal(symlink("victim", "f"), 0);
    struct err e = ERR_INIT;
    assert_int_equal(unpack(p, &(struct entry){"f", S_IFREG, "new"}, 1, &e), 0);
    assert_file("victim", "old");
    assert_file("f", "new");
}

static void limits_hold(void **state)
{
    struct place *p = *state;
    char text[1100];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct err e = ERR_INIT;
    assert_int_equal(unpack(p, &(struct entry){"big", S_IFREG, text}, 1, &e), E_LIMIT);
    struct entry many[11];
    char names[11][16];
    for (int i = 0; i < 11; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        many[i] = (struct entry){names[i], S_IFREG, "x"};
    }
    assert_int_equal(unpack(p, many, 11, &e), E_LIMIT);
}

static void cut_and_garbled(void **state)
{
    struct place *p = *state;
    struct entry one = {"f", S_IFREG, "content that is long enough"};
    int whole = zip_of(&one, 1);
    off_t size = lseek(whole, 0, SEEK_END);
    char bytes[4096];
    assert_true(size < (off_t)sizeof(bytes) && pread(whole, bytes, sizeof(bytes), 0) == size);
    close(whole);
    struct artifact_limits limits = {1000, 10};
    for (off_t cut = 0; cut < size; cut++) {
        int fd = memfd_create("zip", MFD_CLOEXEC);
        assert_int_equal(write(fd, bytes, (size_t)cut), cut);
        lseek(fd, 0, SEEK_SET);
        struct err e = ERR_INIT;
        size_t files;
        // What matters is that it ends and stays inside; most cuts are errors.
        int rc = artifact_unpack(fd, p->fd, &limits, &files, &e);
        assert_true(rc == 0 || e.msg[0]);
        close(fd);
    }
}

static void links(void **state)
{
    (void)state;
    assert_true(artifact_link_stays(STR("a/b/l"), STR("../x")));
    assert_true(artifact_link_stays(STR("a/b/l"), STR("../../x")));
    assert_false(artifact_link_stays(STR("a/b/l"), STR("../../../x")));
    assert_false(artifact_link_stays(STR("l"), STR("..")));
    assert_false(artifact_link_stays(STR("l"), STR("a/../../b/c")));
    assert_false(artifact_link_stays(STR("l"), STR("/x")));
    assert_false(artifact_link_stays(STR("l"), STR("")));
    assert_true(artifact_link_stays(STR("l"), STR("./x/../y")));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
RUN_TESTS(CASE(there_and_back), CASE(absolute_patterns_below_the_root), CASE(hostile),
          CASE(a_link_that_lies_there_is_not_written_through), CASE(limits_hold),
          CASE(cut_and_garbled), cmocka_unit_test(links))
