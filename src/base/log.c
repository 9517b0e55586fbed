// SPDX-License-Identifier: Apache-2.0
// Formats one log line on the stack of whoever logs and writes it at once; lines of several threads
// and processes do not mix because each is a single write of less than 4 KiB.
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/jout.h"

#include <inttypes.h>
#include <unistd.h>

static const char *the_role = "slipway";
static enum log_level the_least = LOG_INFO;
static bool the_json;

static const char *const NAMES[] = {"debug", "info", "warn", "error"};

void log_init(const char *role, enum log_level least, bool json)
{
    the_role = role;
    the_least = least;
    the_json = json;
}

static bool plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == 0x7f)
            return false;
    return s.n > 0;
}

static void as_text(struct buf *b, enum log_level level, const char *time, const char *msg,
                    const struct log_field *f, size_t n)
{
    buf_addf(b, "%s %-5s %s: %s", time, NAMES[level], the_role, msg);
    for (const struct log_field *end = f + n; f < end; f++) {
        buf_addf(b, " %s=", f->key);
        if (f->type == LOG_INT) {
            buf_addf(b, "%" PRId64, f->num);
        } else if (plain(f->str)) {
            buf_add(b, f->str);
        } else {
            struct jout j;
            jout_begin(&j, b);
            jout_str(&j, f->str);
        }
    }
}

static void as_json(struct buf *b, enum log_level level, const char *time, const char *msg,
                    const struct log_field *f, size_t n)
{
    struct jout j;
    jout_begin(&j, b);
    jout_object(&j);
    jout_kcstr(&j, "time", time);
    jout_kcstr(&j, "level", NAMES[level]);
    jout_kcstr(&j, "role", the_role);
    jout_kcstr(&j, "msg", msg);
    for (const struct log_field *end = f + n; f < end; f++) {
        if (f->type == LOG_INT)
            jout_kint(&j, f->key, f->num);
        else
            jout_kstr(&j, f->key, str_head(f->str, 1000));
    }
    jout_end_object(&j);
}

void log_line(enum log_level level, const char *msg, const struct log_field *fields, size_t n)
{
    if (level < the_least)
        return;
    char time[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ms(), time);
    _autobuf_ struct buf line = BUF_INIT(4000);
    if (the_json)
        as_json(&line, level, time, msg, fields, n);
    else
        as_text(&line, level, time, msg, fields, n);
    line.full = false;
    buf_cut(&line, line.max - 1);
    buf_addc(&line, '\n');
    ssize_t wrote = write(STDERR_FILENO, line.p, line.n);
    (void)wrote;
}
