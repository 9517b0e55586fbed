// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "edge/site.h"
#include "edge/site_cache.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root_path[64];
static struct site_root root;

static void in_root(const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s", root_path, name);
}

static void folder(const char *name)
{
    char path[512];
    in_root(name, path);
    for (char *p = path + strlen(root_path) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0755);
        *p = '/';
    }
    mkdir(path, 0755);
}

static void file(const char *name, const char *text)
{
    char path[512];
    in_root(name, path);
    if (strchr(name, '/')) {
        *strrchr(path, '/') = '\0';
        folder(path + strlen(root_path) + 1);
        in_root(name, path);
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void publish(const char *live, const char *target)
{
    char path[512], temp[512];
    in_root(live, path);
    in_root("@temp", temp);
    assert_int_equal(symlink(target, temp), 0);
    assert_int_equal(rename(temp, path), 0);
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root_path, sizeof(root_path), "/tmp/test_site.XXXXXX");
    assert_non_null(mkdtemp(root_path));
    folder("@live/team/sub");
    file("@store/1/10/public/index.html", "ten");
    file("@store/1/10/public/docs/index.html", "docs");
    file("@store/1/10/public/about.html", "about");
    file("@store/1/10/public/style.css", "body{}");
    file("@store/1/10/public/style.css.gz", "squeezed");
    file("@store/1/10/public/style.css.br", "squeezed more");
    file("@store/1/10/public/404.html", "nothing here");
    file("@store/1/10/public/bare/file.txt", "x");
    file("@store/2/11/public/index.html", "nested");
    file("@store/3/12/public/index.html", "root site");
    file("@store/3/12/public/other/page.html", "other page");
    file("secret", "secret");
    char path[512];
    in_root("@store/1/10/public/out", path);
    assert_int_equal(symlink("../../../../secret", path), 0);
    in_root("@store/1/10/public/abs", path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    in_root("@store/1/10/public/in.html", path);
    assert_int_equal(symlink("about.html", path), 0);
    in_root("@store/1/10/public/fifo", path);
    assert_int_equal(mkfifo(path, 0644), 0);
    publish("@live/team/site", "../../@store/1/10/public");
    publish("@live/team/sub/deep", "../../../@store/2/11/public");
    publish("@live/team/team.pages.localhost", "../../@store/3/12/public");
    publish("@live/team/evil", "../../../../etc");
    publish("@live/team/evil2", "../../@store/../..");
    publish("@live/team/gone", "../../@store/9/9/public");
    return site_root_open(&root, root_path, NULL);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    site_root_close(&root);
    return nftw(root_path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char location[SITE_LOCATION_MAX];
static struct site_place place;

static enum site_found find(const char *url, struct str accept, struct site_file *f, char body[64])
{
    struct site_path p;
    enum site_found found;
    assert_int_equal(site_path_parse(str_of(url), &p, NULL), 0);
    assert_int_equal(site_find(&root, STR("team"), STR("team.pages.localhost"), &p, accept, &found,
                               f, &place, location, NULL),
                     0);
    body[0] = '\0';
    if (f->fd >= 0) {
        ssize_t n = read(f->fd, body, 63);
        body[n < 0 ? 0 : n] = '\0';
        close(f->fd);
    }
    return found;
}

static void files_by_url(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum site_found found;
        const char *body; // or the location
    } CASES[] = {
        {"/site/", SITE_FILE, "ten"},
        {"/site", SITE_REDIRECT, "/site/"},
        {"/site/index.html", SITE_FILE, "ten"},
        {"/site/docs", SITE_REDIRECT, "/site/docs/"},
        {"/site/docs/", SITE_FILE, "docs"},
        {"/site/about", SITE_FILE, "about"},
        {"/site/about.html", SITE_FILE, "about"},
        {"/site/about.html/", SITE_MISSING, "nothing here"},
        {"/site/bare", SITE_MISSING, "nothing here"},
        {"/site/bare/", SITE_MISSING, "nothing here"},
        {"/site/bare/file.txt", SITE_FILE, "x"},
        {"/site/in.html", SITE_FILE, "about"},
        {"/site/out", SITE_MISSING, "nothing here"},
        {"/site/abs", SITE_MISSING, "nothing here"},
        {"/site/fifo", SITE_MISSING, "nothing here"},
        {"/sub/deep/", SITE_FILE, "nested"},
        {"/sub/deep/none", SITE_MISSING, ""},
        {"/", SITE_FILE, "root site"},
        {"/other/page", SITE_FILE, "other page"},
        {"/sub/", SITE_MISSING, ""},
        {"/evil/passwd", SITE_MISSING, ""},
        {"/evil2/secret", SITE_MISSING, ""},
        {"/gone/", SITE_MISSING, ""},
        {"/team.pages.localhost/", SITE_FILE, "root site"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct site_file f;
        char body[64];
        enum site_found found = find(CASES[i].url, STR_NONE, &f, body);
        if (found != CASES[i].found ||
            strcmp(found == SITE_REDIRECT ? location : body, CASES[i].body) != 0)
            fail_msg("%s: %d \"%s\"", CASES[i].url, found, body);
    }
}

static void variants_by_accept_encoding(void **state)
{
    (void)state;
    struct site_file f;
    char body[64], plain_tag[SITE_ETAG_MAX];
    find("/site/style.css", STR_NONE, &f, body);
    assert_string_equal(body, "body{}");
    assert_null(f.encoding);
    assert_true(f.varies);
    memcpy(plain_tag, f.etag, sizeof(plain_tag));
    find("/site/style.css", STR("gzip"), &f, body);
    assert_string_equal(f.encoding, "gzip");
    assert_string_equal(body, "squeezed");
    assert_string_not_equal(plain_tag, f.etag);
    assert_string_equal(f.type, "text/css; charset=utf-8");
    find("/site/style.css", STR("gzip, br"), &f, body);
    assert_string_equal(f.encoding, "br");
    find("/site/style.css", STR("gzip, br;q=0.1, zstd"), &f, body);
    assert_string_equal(f.encoding, "gzip");
    find("/site/about.html", STR("gzip, br"), &f, body);
    assert_null(f.encoding);
}

static void swap_changes_the_tag(void **state)
{
    (void)state;
    struct site_file f, g;
    char body[64];
    find("/site/", STR_NONE, &f, body);
    file("@store/1/13/public/index.html", "new");
    publish("@live/team/site", "../../@store/1/13/public");
    assert_int_equal(find("/site/", STR_NONE, &g, body), SITE_FILE);
    assert_string_equal(body, "new");
    assert_string_not_equal(f.etag, g.etag);
    publish("@live/team/site", "../../@store/1/10/public");
}

static void kept_pages_live_as_long_as_their_publication(void **state)
{
    (void)state;
    struct site_cache cache = {0};
    struct site_file f;
    char body[64], text[SITE_CACHE_KEY];
    assert_int_equal(find("/site/docs/", STR_NONE, &f, body), SITE_FILE);
    assert_string_equal(place.path, "@live/team/site");
    assert_false(place.at_root);
    struct str key = {text, site_cache_key(text, STR("team"), STR("/site/docs/"), STR_NONE)};
    site_cache_put(&cache, key, &f, &place, "docs", 1000);
    const struct site_entry *e = site_cache_get(&cache, &root, key, 900000);
    assert_non_null(e);
    assert_memory_equal(e->body, "docs", 4);
    assert_string_equal(e->file.etag, f.etag);
    publish("@live/team/site", "../../@store/1/13/public");
    assert_null(site_cache_get(&cache, &root, key, 900000));
    publish("@live/team/site", "../../@store/1/10/public");
    assert_null(site_cache_get(&cache, &root, key, 900000));
    assert_int_equal(cache.bytes, 0);

    // a site at the root of its host may be covered by a newer project at any time
    assert_int_equal(find("/other/page", STR_NONE, &f, body), SITE_FILE);
    assert_string_equal(place.path, "@live/team/team.pages.localhost");
    assert_true(place.at_root);
    site_cache_put(&cache, key, &f, &place, "0123456789", 1000);
    assert_non_null(site_cache_get(&cache, &root, key, 1000 + SITE_CACHE_AGE_MS - 1));
    assert_null(site_cache_get(&cache, &root, key, 1000 + SITE_CACHE_AGE_MS));

    // the nested project's link is its own
    assert_int_equal(find("/sub/deep/", STR_NONE, &f, body), SITE_FILE);
    assert_string_equal(place.path, "@live/team/sub/deep");

    // never more than the ceiling
    char name[32];
    f.size = SITE_CACHE_FILE;
    char *large = calloc(1, SITE_CACHE_FILE);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "/%d", i);
        key.n = site_cache_key(text, STR("team"), str_of(name), STR_NONE);
        site_cache_put(&cache, key, &f, &place, large, 1000);
        assert_true(cache.bytes <= SITE_CACHE_BYTES);
    }
    assert_non_null(site_cache_get(&cache, &root, key, 1000));
    free(large);
    site_cache_done(&cache);
    assert_int_equal(site_cache_key(text, STR("team"), str_n(text, SITE_CACHE_KEY), STR_NONE), 0);
}

static void unknown_namespaces_have_nothing(void **state)
{
    (void)state;
    static const char *NAMES[] = {"other", "", "..", "."};
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
        struct site_path p;
        struct site_file f;
        enum site_found found;
        assert_int_equal(site_path_parse(STR("/site/"), &p, NULL), 0);
        assert_int_equal(site_find(&root, str_of(NAMES[i]), STR("x.pages.localhost"), &p, STR_NONE,
                                   &found, &f, &place, location, NULL),
                         0);
        assert_int_equal(found, SITE_MISSING);
        assert_int_equal(f.fd, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_by_url),
        cmocka_unit_test(variants_by_accept_encoding),
        cmocka_unit_test(swap_changes_the_tag),
        cmocka_unit_test(kept_pages_live_as_long_as_their_publication),
        cmocka_unit_test(unknown_namespaces_have_nothing),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
