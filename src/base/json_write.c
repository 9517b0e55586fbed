// SPDX-License-Identifier: Apache-2.0
// The streaming JSON writer: no tree, no allocation of its own.
#include "base/json_write.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void json_begin(struct json_out *j, struct buf *to)
{
    *j = (struct json_out){.to = to};
}

static uint64_t bit(const struct json_out *j)
{
    return (uint64_t)1 << j->depth;
}

static void before_value(struct json_out *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    BUG_ON(j->depth && !(j->is_array & bit(j)));
    if (j->has_item & bit(j))
        buf_addc(j->to, ',');
    j->has_item |= bit(j);
}

static void open_scope(struct json_out *j, char c, bool array)
{
    before_value(j);
    buf_addc(j->to, c);
    BUG_ON(j->depth >= 62);
    j->depth++;
    j->has_item &= ~bit(j);
    j->is_array = array ? j->is_array | bit(j) : j->is_array & ~bit(j);
}

static void close_scope(struct json_out *j, char c, bool array)
{
    BUG_ON(j->depth == 0 || j->after_key || array != !!(j->is_array & bit(j)));
    j->depth--;
    buf_addc(j->to, c);
}

void json_object(struct json_out *j)
{
    open_scope(j, '{', false);
}

void json_end_object(struct json_out *j)
{
    close_scope(j, '}', false);
}

void json_array(struct json_out *j)
{
    open_scope(j, '[', true);
}

void json_end_array(struct json_out *j)
{
    close_scope(j, ']', true);
}

// Length of the UTF-8 sequence at the front, or 0 when it is malformed.
static size_t utf8_len(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return n <= s.n && str_is_utf8(str_n(s.p, n)) ? n : 0;
}

static void escaped(struct buf *b, struct str s)
{
    buf_addc(b, '"');
    size_t from = 0, i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t n = utf8_len(str_from(s, i));
        if (c >= 0x80 && n) {
            i += n;
            continue;
        }
        buf_add(b, str_n(s.p + from, i - from));
        if (c >= 0x80)
            buf_adds(b, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\')
            buf_addf(b, "\\%c", c);
        else if (c == '\n')
            buf_adds(b, "\\n");
        else if (c == '\t')
            buf_adds(b, "\\t");
        else if (c == '\r')
            buf_adds(b, "\\r");
        else
            buf_addf(b, "\\u%04x", c);
        from = ++i;
    }
    buf_add(b, str_from(s, from));
    buf_addc(b, '"');
}

void json_key(struct json_out *j, const char *key)
{
    BUG_ON(j->depth == 0 || j->after_key || (j->is_array & bit(j)));
    if (j->has_item & bit(j))
        buf_addc(j->to, ',');
    j->has_item |= bit(j);
    escaped(j->to, str_of(key));
    buf_addc(j->to, ':');
    j->after_key = true;
}

void json_str(struct json_out *j, struct str s)
{
    before_value(j);
    escaped(j->to, s);
}

void json_cstr(struct json_out *j, const char *cstr_or_null)
{
    if (cstr_or_null)
        json_str(j, str_of(cstr_or_null));
    else
        json_null(j);
}

void json_int(struct json_out *j, int64_t v)
{
    before_value(j);
    buf_addf(j->to, "%" PRId64, v);
}

void json_double(struct json_out *j, double v)
{
    if (!isfinite(v)) {
        json_null(j);
        return;
    }
    before_value(j);
    buf_addf(j->to, "%.6g", v);
}

void json_bool(struct json_out *j, bool v)
{
    before_value(j);
    buf_adds(j->to, v ? "true" : "false");
}

void json_null(struct json_out *j)
{
    before_value(j);
    buf_adds(j->to, "null");
}

void json_time(struct json_out *j, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    json_cstr(j, wall_ms ? clock_rfc3339(wall_ms, text) : NULL);
}

void json_raw(struct json_out *j, struct str json)
{
    before_value(j);
    buf_add(j->to, json);
}

void json_kstr(struct json_out *j, const char *key, struct str s)
{
    json_key(j, key);
    json_str(j, s);
}

void json_kcstr(struct json_out *j, const char *key, const char *cstr_or_null)
{
    json_key(j, key);
    json_cstr(j, cstr_or_null);
}

void json_kint(struct json_out *j, const char *key, int64_t v)
{
    json_key(j, key);
    json_int(j, v);
}

void json_kbool(struct json_out *j, const char *key, bool v)
{
    json_key(j, key);
    json_bool(j, v);
}

void json_knull(struct json_out *j, const char *key)
{
    json_key(j, key);
    json_null(j);
}

void json_ktime(struct json_out *j, const char *key, int64_t wall_ms)
{
    json_key(j, key);
    json_time(j, wall_ms);
}
