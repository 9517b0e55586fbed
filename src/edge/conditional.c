// SPDX-License-Identifier: Apache-2.0
// Decides between the whole, a part, "you have it already" and "not what you meant". The order of
// the checks is the one of RFC 9110 13.2.2, and anything malformed counts as absent, so that a bad
// header costs a full answer and never a wrong one. Pure.
#include "edge/conditional.h"

#include "base/clock.h"

bool etag_listed(struct str list, struct str etag, bool weak)
{
    list = str_trim(list);
    if (str_is(list, "*"))
        return true;
    // Tags may hold commas, so the list is read tag by tag and not split.
    while (list.n) {
        bool is_weak = str_starts(list, STR("W/"));
        struct str tag = is_weak ? str_from(list, 2) : list;
        if (tag.n < 2 || tag.p[0] != '"')
            return false;
        ptrdiff_t end = str_find(str_from(tag, 1), '"');
        if (end < 0)
            return false;
        if (str_eq(str_head(tag, (size_t)end + 2), etag) && (weak || !is_weak))
            return true;
        list = str_trim(str_from(tag, (size_t)end + 2));
        if (list.n && list.p[0] != ',')
            return false;
        while (list.n && (list.p[0] == ',' || list.p[0] == ' ' || list.p[0] == '\t'))
            list = str_from(list, 1);
    }
    return false;
}

// Compares in whole seconds, which is all a date header can say.
static bool newer_than(int64_t mtime_ms, int64_t date_ms)
{
    return mtime_ms / 1000 > date_ms / 1000;
}

static bool if_range_holds(struct str value, const struct representation *r)
{
    int64_t date;
    value = str_trim(value);
    if (value.n && value.p[0] == '"')
        return str_eq(value, r->etag);
    return clock_parse_http_date(value, &date) && date / 1000 == r->mtime_ms / 1000;
}

// A position too large for 64 bits is beyond every end: it is read as INT64_MAX.
static bool range_number(struct str s, int64_t *ret)
{
    uint64_t v;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    *ret = str_to_u64(s, &v) && v <= INT64_MAX ? (int64_t)v : INT64_MAX;
    return true;
}

static struct verdict whole(const struct representation *r)
{
    return (struct verdict){200, 0, r->size};
}

static struct verdict decide_range(struct str range, const struct representation *r)
{
    if (range.n < 6 || !str_ieq(str_head(range, 6), STR("bytes=")))
        return whole(r);
    struct str spec = str_trim(str_from(range, 6));
    if (str_find(spec, ',') >= 0)
        return whole(r);
    ptrdiff_t dash = str_find(spec, '-');
    if (dash < 0)
        return whole(r);
    struct str a = str_head(spec, (size_t)dash), b = str_from(spec, (size_t)dash + 1);
    int64_t first = 0, last = 0;
    if (a.n == 0) { // the last `n` bytes
        if (!range_number(b, &last))
            return whole(r);
        if (last == 0 || r->size == 0)
            return (struct verdict){416, 0, 0};
        int64_t n = MIN(last, r->size);
        return (struct verdict){206, r->size - n, n};
    }
    if (!range_number(a, &first) || (b.n && !range_number(b, &last)))
        return whole(r);
    if (b.n == 0)
        last = INT64_MAX;
    if (last < first)
        return whole(r);
    if (first >= r->size)
        return (struct verdict){416, 0, 0};
    last = MIN(last, r->size - 1);
    return (struct verdict){206, first, last - first + 1};
}

struct verdict conditional_decide(const struct conditions *c, const struct representation *r)
{
    int64_t date;
    if (c->if_match.p) {
        if (!etag_listed(c->if_match, r->etag, false))
            return (struct verdict){412, 0, 0};
    } else if (c->if_unmodified_since.p &&
               clock_parse_http_date(str_trim(c->if_unmodified_since), &date) &&
               newer_than(r->mtime_ms, date)) {
        return (struct verdict){412, 0, 0};
    }
    if (c->if_none_match.p) {
        if (etag_listed(c->if_none_match, r->etag, true))
            return (struct verdict){304, 0, 0};
    } else if (c->if_modified_since.p &&
               clock_parse_http_date(str_trim(c->if_modified_since), &date) &&
               !newer_than(r->mtime_ms, date)) {
        return (struct verdict){304, 0, 0};
    }
    if (!c->range.p || c->head || (c->if_range.p && !if_range_holds(c->if_range, r)))
        return whole(r);
    return decide_range(str_trim(c->range), r);
}

// "0", "1", "0.5", "0.125": at most three decimals (RFC 9110 12.4.2); -1 when malformed.
static int parse_quality(struct str s)
{
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return -1;
    int q = s.p[0] == '1' ? 1000 : 0, unit = 100;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        q += (s.p[i] - '0') * unit;
    }
    return q > 1000 ? -1 : q;
}

int accept_encoding_quality(struct str header, struct str coding)
{
    int star = 0;
    for (struct str rest = header, item; str_cut(&rest, ',', &item);) {
        struct str params = item, name;
        if (!str_cut(&params, ';', &name))
            continue;
        int q = 1000;
        struct str p = str_trim(params);
        if (p.n) {
            if (p.n < 2 || (p.p[0] != 'q' && p.p[0] != 'Q') || p.p[1] != '=')
                continue;
            q = parse_quality(str_from(p, 2));
            if (q < 0)
                continue;
        }
        name = str_trim(name);
        if (str_ieq(name, coding))
            return q;
        if (str_is(name, "*"))
            star = q;
    }
    return star;
}
