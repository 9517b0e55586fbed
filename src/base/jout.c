// SPDX-License-Identifier: Apache-2.0
// The streaming JSON writer: no tree, no allocation of its own.
#include "base/jout.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void jout_begin(struct jout *j, struct buf *to)
{
    *j = (struct jout){.to = to};
}

static uint64_t bit(const struct jout *j)
{
    return (uint64_t)1 << j->depth;
}

static void before_value(struct jout *j)
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

static void open_scope(struct jout *j, char c, bool array)
{
    before_value(j);
    buf_addc(j->to, c);
    BUG_ON(j->depth >= 62);
    j->depth++;
    j->has_item &= ~bit(j);
    j->is_array = array ? j->is_array | bit(j) : j->is_array & ~bit(j);
}

static void close_scope(struct jout *j, char c, bool array)
{
    BUG_ON(j->depth == 0 || j->after_key || array != !!(j->is_array & bit(j)));
    j->depth--;
    buf_addc(j->to, c);
}

void jout_object(struct jout *j)
{
    open_scope(j, '{', false);
}

void jout_end_object(struct jout *j)
{
    close_scope(j, '}', false);
}

void jout_array(struct jout *j)
{
    open_scope(j, '[', true);
}

void jout_end_array(struct jout *j)
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

void jout_key(struct jout *j, const char *key)
{
    BUG_ON(j->depth == 0 || j->after_key || (j->is_array & bit(j)));
    if (j->has_item & bit(j))
        buf_addc(j->to, ',');
    j->has_item |= bit(j);
    escaped(j->to, str_of(key));
    buf_addc(j->to, ':');
    j->after_key = true;
}

void jout_str(struct jout *j, struct str s)
{
    before_value(j);
    escaped(j->to, s);
}

void jout_cstr(struct jout *j, const char *cstr_or_null)
{
    if (cstr_or_null)
        jout_str(j, str_of(cstr_or_null));
    else
        jout_null(j);
}

void jout_int(struct jout *j, int64_t v)
{
    before_value(j);
    buf_addf(j->to, "%" PRId64, v);
}

void jout_double(struct jout *j, double v)
{
    if (!isfinite(v)) {
        jout_null(j);
        return;
    }
    before_value(j);
    buf_addf(j->to, "%.6g", v);
}

void jout_bool(struct jout *j, bool v)
{
    before_value(j);
    buf_adds(j->to, v ? "true" : "false");
}

void jout_null(struct jout *j)
{
    before_value(j);
    buf_adds(j->to, "null");
}

void jout_time(struct jout *j, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    jout_cstr(j, wall_ms ? clock_rfc3339(wall_ms, text) : NULL);
}

void jout_raw(struct jout *j, struct str json)
{
    before_value(j);
    buf_add(j->to, json);
}

void jout_kstr(struct jout *j, const char *key, struct str s)
{
    jout_key(j, key);
    jout_str(j, s);
}

void jout_kcstr(struct jout *j, const char *key, const char *cstr_or_null)
{
    jout_key(j, key);
    jout_cstr(j, cstr_or_null);
}

void jout_kint(struct jout *j, const char *key, int64_t v)
{
    jout_key(j, key);
    jout_int(j, v);
}

void jout_kbool(struct jout *j, const char *key, bool v)
{
    jout_key(j, key);
    jout_bool(j, v);
}

void jout_knull(struct jout *j, const char *key)
{
    jout_key(j, key);
    jout_null(j);
}

void jout_ktime(struct jout *j, const char *key, int64_t wall_ms)
{
    jout_key(j, key);
    jout_time(j, wall_ms);
}
