// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "edge/conditional.h"

// 784111777 = Sun, 06 Nov 1994 08:49:37 GMT
#define AT     "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER  "Sun, 06 Nov 1994 08:49:38 GMT"
static const struct representation R = {STR("\"e,1\""), 784111777000 + 400, 1000};

struct row {
    const char *what;
    struct conditions c;
    int status;
    int64_t first, length;
};

static void run(const struct row *rows, size_t n, const struct representation *r)
{
    for (size_t i = 0; i < n; i++) {
        struct verdict v = conditional_decide(&rows[i].c, r);
        if (v.status != rows[i].status || v.first != rows[i].first || v.length != rows[i].length)
            fail_msg("%s: %d %lld+%lld", rows[i].what, v.status, (long long)v.first,
                     (long long)v.length);
    }
}

static void preconditions_in_their_order(void **state)
{
    (void)state;
    const struct row ROWS[] = {
        {"nothing", {0}, 200, 0, 1000},
        {"match", {.if_none_match = STR("\"e,1\"")}, 304, 0, 0},
        {"star", {.if_none_match = STR("*")}, 304, 0, 0},
        {"weak match", {.if_none_match = STR("W/\"e,1\"")}, 304, 0, 0},
        {"in a list", {.if_none_match = STR("\"x\", W/\"y\" ,\"e,1\"")}, 304, 0, 0},
        {"no match", {.if_none_match = STR("\"x\", \"e\", \"1\"")}, 200, 0, 1000},
        {"malformed", {.if_none_match = STR("e,1")}, 200, 0, 1000},
        {"same second", {.if_modified_since = STR(AT)}, 304, 0, 0},
        {"older copy", {.if_modified_since = STR(BEFORE)}, 200, 0, 1000},
        {"newer copy", {.if_modified_since = STR(AFTER)}, 304, 0, 0},
        {"bad date", {.if_modified_since = STR("yesterday")}, 200, 0, 1000},
        {"tag wins over date",
         {.if_none_match = STR("\"x\""), .if_modified_since = STR(AFTER)},
         200,
         0,
         1000},
        {"if-match holds", {.if_match = STR("\"e,1\"")}, 200, 0, 1000},
        {"if-match is strong", {.if_match = STR("W/\"e,1\"")}, 412, 0, 0},
        {"if-match fails", {.if_match = STR("\"x\"")}, 412, 0, 0},
        {"unmodified since", {.if_unmodified_since = STR(AT)}, 200, 0, 1000},
        {"modified since", {.if_unmodified_since = STR(BEFORE)}, 412, 0, 0},
        {"if-match wins over date",
         {.if_match = STR("\"e,1\""), .if_unmodified_since = STR(BEFORE)},
         200,
         0,
         1000},
        {"if-match before if-none-match",
         {.if_match = STR("\"x\""), .if_none_match = STR("\"e,1\"")},
         412,
         0,
         0},
        {"304 before range", {.if_none_match = STR("*"), .range = STR("bytes=0-1")}, 304, 0, 0},
    };
    run(ROWS, ARRAY_SIZE(ROWS), &R);
}

static void ranges(void **state)
{
    (void)state;
    const struct row ROWS[] = {
        {"first bytes", {.range = STR("bytes=0-99")}, 206, 0, 100},
        {"one byte", {.range = STR("bytes=999-999")}, 206, 999, 1},
        {"to the end", {.range = STR("bytes=990-")}, 206, 990, 10},
        {"past the end is cut", {.range = STR("bytes=990-5000")}, 206, 990, 10},
        {"suffix", {.range = STR("bytes=-10")}, 206, 990, 10},
        {"suffix over the size", {.range = STR("bytes=-5000")}, 206, 0, 1000},
        {"suffix of nothing", {.range = STR("bytes=-0")}, 416, 0, 0},
        {"beyond", {.range = STR("bytes=1000-")}, 416, 0, 0},
        {"beyond 64 bits", {.range = STR("bytes=99999999999999999999-")}, 416, 0, 0},
        {"end beyond 64 bits", {.range = STR("bytes=1-99999999999999999999")}, 206, 1, 999},
        {"any case", {.range = STR("Bytes=0-0")}, 206, 0, 1},
        {"backwards", {.range = STR("bytes=5-4")}, 200, 0, 1000},
        {"several", {.range = STR("bytes=0-1,3-4")}, 200, 0, 1000},
        {"other unit", {.range = STR("lines=0-1")}, 200, 0, 1000},
        {"nonsense", {.range = STR("bytes=a-b")}, 200, 0, 1000},
        {"sign", {.range = STR("bytes=+1-2")}, 200, 0, 1000},
        {"dash only", {.range = STR("bytes=-")}, 200, 0, 1000},
        {"nothing", {.range = STR("bytes=")}, 200, 0, 1000},
        {"HEAD", {.head = true, .range = STR("bytes=0-1")}, 200, 0, 1000},
        {"If-Range same", {.range = STR("bytes=0-1"), .if_range = STR("\"e,1\"")}, 206, 0, 2},
        {"If-Range other", {.range = STR("bytes=0-1"), .if_range = STR("\"x\"")}, 200, 0, 1000},
        {"If-Range weak", {.range = STR("bytes=0-1"), .if_range = STR("W/\"e,1\"")}, 200, 0, 1000},
        {"If-Range date", {.range = STR("bytes=0-1"), .if_range = STR(AT)}, 206, 0, 2},
        {"If-Range later", {.range = STR("bytes=0-1"), .if_range = STR(AFTER)}, 200, 0, 1000},
        {"If-Range other and beyond",
         {.range = STR("bytes=2000-"), .if_range = STR("\"x\"")},
         200,
         0,
         1000},
    };
    run(ROWS, ARRAY_SIZE(ROWS), &R);
    const struct representation EMPTY = {STR("\"0\""), 0, 0};
    const struct row NONE[] = {
        {"whole of nothing", {0}, 200, 0, 0},
        {"first of nothing", {.range = STR("bytes=0-0")}, 416, 0, 0},
        {"last of nothing", {.range = STR("bytes=-1")}, 416, 0, 0},
    };
    run(NONE, ARRAY_SIZE(NONE), &EMPTY);
}

static void encodings(void **state)
{
    (void)state;
    assert_int_equal(accept_encoding_quality(STR("gzip, br"), STR("gzip")), 1000);
    assert_int_equal(accept_encoding_quality(STR("gzip;q=0.5, br"), STR("gzip")), 500);
    assert_int_equal(accept_encoding_quality(STR("gzip;q=0"), STR("gzip")), 0);
    assert_int_equal(accept_encoding_quality(STR("*;q=0.125"), STR("gzip")), 125);
    assert_int_equal(accept_encoding_quality(STR("gzip;q=0, *"), STR("gzip")), 0);
    assert_int_equal(accept_encoding_quality(STR("identity"), STR("gzip")), 0);
    assert_int_equal(accept_encoding_quality(STR("gzip ; q=1.5"), STR("gzip")), 0);
    assert_int_equal(accept_encoding_quality(STR("GZIP; Q=1.0"), STR("gzip")), 1000);
    assert_int_equal(accept_encoding_quality(STR(""), STR("gzip")), 0);
}

RUN_TESTS(cmocka_unit_test(preconditions_in_their_order), cmocka_unit_test(ranges),
          cmocka_unit_test(encodings))
