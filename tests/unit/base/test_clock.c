// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/clock.h"

static void writes_and_reads_times(void **state)
{
    char out[CLOCK_RFC3339_SIZE];
    assert_string_equal(clock_rfc3339(784111777123, out), "1994-11-06T08:49:37.123Z");
    assert_string_equal(clock_http_date(784111777123, out), "Sun, 06 Nov 1994 08:49:37 GMT");
    int64_t ms;
    assert_true(clock_parse_rfc3339(STR("1994-11-06T08:49:37.123Z"), &ms));
    assert_int_equal(ms, 784111777123);
    assert_true(clock_parse_rfc3339(STR("1994-11-06T10:49:37.1234567+02:00"), &ms));
    assert_int_equal(ms, 784111777123);
    assert_true(clock_parse_rfc3339(STR("2024-02-29"), &ms));
    assert_int_equal(ms, 1709164800000);
    assert_true(clock_parse_http_date(STR("Sun, 06 Nov 1994 08:49:37 GMT"), &ms));
    assert_int_equal(ms, 784111777000);
    static const char *const bad[] = {
        "2023-02-29", "2024-13-01", "2024-01-01T24:00:00Z",  "2024-01-01T00:00:00",
        "2024-1-1",   "",           "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00Zx"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(clock_parse_rfc3339(str_of(bad[i]), &ms));
}

static void reads_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"250ms", 250}, {"25s", 25000},    {"1h30m", 5400000},
                {"90", 90000},  {"2d", 172800000}, {"0s", 0}};
    int64_t ms;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(clock_parse_duration(str_of(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {"", "s", "-1s", "1w", "1 s", "1.5s", "99999999999d", "3651d"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(clock_parse_duration(str_of(bad[i]), &ms));
}

RUN_TESTS(cmocka_unit_test(writes_and_reads_times), cmocka_unit_test(reads_durations))
