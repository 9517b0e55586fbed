// SPDX-License-Identifier: Apache-2.0
// Clocks and the few textual forms of time that the protocols use. Any thread.
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_ms(void)
{
    return clock_us() / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_wall_ms(void)
{
    return clock_wall_us() / 1000;
}

static struct tm utc(int64_t wall_ms)
{
    time_t t = (time_t)(wall_ms >= 0 ? wall_ms / 1000 : (wall_ms - 999) / 1000);
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm;
}

const char *clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE])
{
    struct tm tm = utc(wall_ms);
    int ms = (int)(((wall_ms % 1000) + 1000) % 1000);
    snprintf(out, CLOCK_RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100, (unsigned)ms % 1000);
    return out;
}

static const char DAYS[] = "SunMonTueWedThuFriSat";
static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

const char *clock_http_date(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE])
{
    struct tm tm = utc(wall_ms);
    snprintf(out, CLOCK_RFC3339_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
             DAYS + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100, MONTHS + 3 * tm.tm_mon,
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    return out;
}

// Takes exactly `n` digits off the front.
static bool digits(struct str *s, size_t n, int *ret)
{
    uint64_t v;
    if (s->n < n || !str_to_u64(str_head(*s, n), &v))
        return false;
    *ret = (int)v;
    *s = str_n(s->p + n, s->n - n);
    return true;
}

static bool literal(struct str *s, char c)
{
    if (!s->n || s->p[0] != c)
        return false;
    *s = str_n(s->p + 1, s->n - 1);
    return true;
}

static bool to_wall(int year, int month, int day, int h, int m, int sec, int64_t *ret_s)
{
    if (month < 1 || month > 12 || day < 1 || day > 31 || h > 23 || m > 59 || sec > 60)
        return false;
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    int64_t midnight = (int64_t)timegm(&tm);
    if (tm.tm_mday != day || tm.tm_mon != month - 1)
        return false;
    *ret_s = midnight + h * 3600 + m * 60 + sec;
    return true;
}

bool clock_parse_rfc3339(struct str s, int64_t *ret_wall_ms)
{
    int y, mo, d, h = 0, mi = 0, sec = 0, ms = 0, offset = 0;
    if (!digits(&s, 4, &y) || !literal(&s, '-') || !digits(&s, 2, &mo) || !literal(&s, '-') ||
        !digits(&s, 2, &d))
        return false;
    if (s.n) {
        if (!(literal(&s, 'T') || literal(&s, 't') || literal(&s, ' ')) || !digits(&s, 2, &h) ||
            !literal(&s, ':') || !digits(&s, 2, &mi) || !literal(&s, ':') || !digits(&s, 2, &sec))
            return false;
        if (literal(&s, '.')) {
            int place = 100, any = 0;
            for (int digit; digits(&s, 1, &digit); place /= 10, any = 1)
                ms += digit * place;
            if (!any)
                return false;
        }
        if (!literal(&s, 'Z') && !literal(&s, 'z')) {
            int sign = literal(&s, '+') ? 1 : literal(&s, '-') ? -1 : 0, oh, om;
            if (!sign || !digits(&s, 2, &oh) || !literal(&s, ':') || !digits(&s, 2, &om) ||
                oh > 23 || om > 59)
                return false;
            offset = sign * (oh * 3600 + om * 60);
        }
        if (s.n)
            return false;
    }
    int64_t seconds;
    if (!to_wall(y, mo, d, h, mi, sec, &seconds))
        return false;
    *ret_wall_ms = (seconds - offset) * 1000 + ms;
    return true;
}

bool clock_parse_http_date(struct str s, int64_t *ret_wall_ms)
{
    // Only IMF-fixdate: the obsolete forms (RFC 9110 5.6.7) are treated as no date at all.
    int d, y, h, mi, sec, month = 0;
    if (s.n != 29 || s.p[3] != ',')
        return false;
    s = str_from(s, 4);
    if (!literal(&s, ' ') || !digits(&s, 2, &d) || !literal(&s, ' '))
        return false;
    for (int i = 0; i < 12; i++)
        if (s.n > 3 && memcmp(s.p, MONTHS + 3 * i, 3) == 0)
            month = i + 1;
    s = str_from(s, 3);
    if (!month || !literal(&s, ' ') || !digits(&s, 4, &y) || !literal(&s, ' ') ||
        !digits(&s, 2, &h) || !literal(&s, ':') || !digits(&s, 2, &mi) || !literal(&s, ':') ||
        !digits(&s, 2, &sec) || !str_is(s, " GMT"))
        return false;
    int64_t seconds;
    if (!to_wall(y, month, d, h, mi, sec, &seconds))
        return false;
    *ret_wall_ms = seconds * 1000;
    return true;
}

bool clock_parse_duration(struct str s, int64_t *ret_ms)
{
    static const struct {
        struct str unit;
        int64_t ms;
    } UNITS[] = {{{"ms", 2}, 1},      {{"s", 1}, 1000},     {{"m", 1}, 60000},
                 {{"h", 1}, 3600000}, {{"d", 1}, 86400000}, {{"", 0}, 1000}};
    const int64_t most = (int64_t)3650 * 86400000;
    int64_t total = 0;
    if (!s.n)
        return false;
    while (s.n) {
        size_t n = 0, u;
        while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
            n++;
        uint64_t v;
        if (!str_to_u64(str_head(s, n), &v) || v > (uint64_t)most)
            return false;
        s = str_from(s, n);
        n = 0;
        while (n < s.n && s.p[n] >= 'a' && s.p[n] <= 'z')
            n++;
        for (u = 0; u < ARRAY_SIZE(UNITS); u++)
            if (str_eq(UNITS[u].unit, str_head(s, n)))
                break;
        if (u == ARRAY_SIZE(UNITS) || (int64_t)v > most / UNITS[u].ms)
            return false;
        s = str_from(s, n);
        total += (int64_t)v * UNITS[u].ms;
        if (total > most)
            return false;
    }
    *ret_ms = total;
    return true;
}
