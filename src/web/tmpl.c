// SPDX-License-Identifier: Apache-2.0
// The template engine: a parser that turns each source into a flat list of operations with jumps,
// and a renderer that walks it. Escaping is the default and raw output needs a value that was made
// as markup. The server's start-up thread parses, worker threads render.
#include "web/tmpl.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <time.h>

enum op_type { OP_TEXT, OP_VALUE, OP_RAW, OP_SECTION, OP_INVERTED, OP_END, OP_PARTIAL };

struct op {
    enum op_type type;
    struct str arg;    // text, path or partial name
    struct str filter; // empty: none
    bool literal;      // arg is the value itself
    bool optional;     // absent counts as empty
    size_t end;        // sections: index of their OP_END
    int line;
};

struct tmpl {
    char *name;
    struct op *ops;
    size_t n, cap;
};

struct tmpl_set {
    struct map templates; // struct tmpl *
    struct map icons;     // struct str *
};

enum { DEPTH_MAX = 24 };

struct tmpl_set *tmpl_set_new(void)
{
    return NEW(struct tmpl_set);
}

static void tmpl_free(struct tmpl *t)
{
    free(t->name);
    free(t->ops);
    free(t);
}

void tmpl_set_free(struct tmpl_set *set)
{
    if (!set)
        return;
    map_each (item, &set->templates)
        tmpl_free(item->value);
    map_each (item, &set->icons)
        free(item->value);
    map_done(&set->templates);
    map_done(&set->icons);
    free(set);
}

void tmpl_add_icon(struct tmpl_set *set, struct str name, struct str svg)
{
    struct str *s = NEW(struct str);
    *s = str_trim(svg);
    free(map_set(&set->icons, name, s));
}

bool tmpl_has(const struct tmpl_set *set, struct str name)
{
    return map_has(&set->templates, name);
}

// ---- parsing

// Where in the markup the reader stands, to know where an insertion may be.
struct where {
    enum { IN_TEXT, IN_TAG, IN_QUOTES } state;
};

static void where_move(struct where *w, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (w->state == IN_TEXT && c == '<')
            w->state = IN_TAG;
        else if (w->state == IN_TAG && c == '>')
            w->state = IN_TEXT;
        else if (w->state == IN_TAG && c == '"')
            w->state = IN_QUOTES;
        else if (w->state == IN_QUOTES && c == '"')
            w->state = IN_TAG;
    }
}

static struct op *op_add(struct tmpl *t, enum op_type type, struct str arg, int line)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 32;
        t->ops = mem_grow(t->ops, t->cap, sizeof(*t->ops));
    }
    t->ops[t->n] = (struct op){.type = type, .arg = arg, .line = line};
    return &t->ops[t->n++];
}

static bool filter_known(struct str f)
{
    static const char *const NAMES[] = {"time", "date", "icon", "size", "path", "query", "ms"};
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
        if (str_is(f, NAMES[i]))
            return true;
    return false;
}

static int parse_value(struct tmpl *t, enum op_type type, struct str tag, int line, struct err *e)
{
    struct str path = STR_NONE, rest = tag;
    str_cut(&rest, '|', &path);
    path = str_trim(path);
    struct op *op = op_add(t, type, path, line);
    op->filter = str_trim(rest);
    if (op->filter.n && !filter_known(op->filter))
        return err_set(e, E_INVALID, "%s:%d: there is no filter '%" PRISTR "'", t->name, line,
                       STRARG(op->filter));
    if (path.n >= 2 && path.p[0] == '\'' && path.p[path.n - 1] == '\'') {
        op->literal = true;
        op->arg = str_n(path.p + 1, path.n - 2);
    } else if (path.n && path.p[path.n - 1] == '?') {
        op->optional = true;
        op->arg = str_head(path, path.n - 1);
    }
    if (!op->arg.n)
        return err_set(e, E_INVALID, "%s:%d: an empty tag", t->name, line);
    return 0;
}

struct parser {
    struct tmpl *t;
    struct str src;
    size_t at;
    int line;
    struct where where;
    size_t open[DEPTH_MAX];
    size_t depth;
};

static int parse_section(struct parser *p, char kind, struct str tag, struct err *e)
{
    struct tmpl *t = p->t;
    if (kind != '/') {
        if (p->depth == DEPTH_MAX)
            return err_set(e, E_LIMIT, "%s:%d: sections nest too deep", t->name, p->line);
        p->open[p->depth++] = t->n;
        return parse_value(t, kind == '#' ? OP_SECTION : OP_INVERTED, tag, p->line, e);
    }
    struct str name = tag;
    if (name.n && name.p[name.n - 1] == '?')
        name.n--;
    if (!p->depth || !str_eq(t->ops[p->open[p->depth - 1]].arg, name))
        return err_set(e, E_INVALID, "%s:%d: {{/%" PRISTR "}} closes nothing", t->name, p->line,
                       STRARG(tag));
    t->ops[p->open[--p->depth]].end = t->n;
    op_add(t, OP_END, name, p->line);
    return 0;
}

static int parse_tag(struct parser *p, struct str tag, bool raw, struct err *e)
{
    struct tmpl *t = p->t;
    char kind = tag.n ? tag.p[0] : 0;
    struct str body = str_trim(str_from(tag, 1));
    switch (kind) {
    case '!':
        return 0;
    case '>':
        op_add(t, OP_PARTIAL, body, p->line);
        return 0;
    case '#':
    case '^':
    case '/':
        return parse_section(p, kind, body, e);
    default:
        break;
    }
    if (p->where.state == IN_TAG || (raw && p->where.state == IN_QUOTES))
        return err_set(e, E_INVALID,
                       "%s:%d: {{%" PRISTR "}} stands in a tag outside of double quotes", t->name,
                       p->line, STRARG(tag));
    return parse_value(t, raw ? OP_RAW : OP_VALUE, tag, p->line, e);
}

static void parse_text(struct parser *p, size_t to)
{
    struct str text = str_n(p->src.p + p->at, to - p->at);
    if (text.n)
        op_add(p->t, OP_TEXT, text, p->line);
    where_move(&p->where, text);
    for (size_t i = 0; i < text.n; i++)
        p->line += text.p[i] == '\n';
    p->at = to;
}

// A comment or section tag alone on its line takes the line with it.
static void swallow_line(struct parser *p, struct str tag, size_t tag_start)
{
    if (!tag.n || !strchr("!#^/>", tag.p[0]))
        return;
    size_t from = tag_start;
    while (from && (p->src.p[from - 1] == ' ' || p->src.p[from - 1] == '\t'))
        from--;
    if (from && p->src.p[from - 1] != '\n')
        return;
    if (p->at < p->src.n && p->src.p[p->at] == '\n') {
        p->at++;
        p->line++;
    }
}

static int parse(struct tmpl *t, struct str src, struct err *e)
{
    struct parser p = {.t = t, .src = src, .line = 1};
    for (;;) {
        struct str rest = str_from(src, p.at);
        ptrdiff_t open = rest.n ? str_search(rest, STR("{{")) : -1;
        if (open < 0)
            break;
        parse_text(&p, p.at + (size_t)open);
        size_t start = p.at;
        rest = str_from(src, p.at);
        bool raw = str_starts(rest, STR("{{{"));
        struct str close = raw ? STR("}}}") : STR("}}");
        ptrdiff_t end = str_search(rest, close);
        if (end < 0)
            return err_set(e, E_INVALID, "%s:%d: a tag is not closed", t->name, p.line);
        struct str tag = str_trim(str_n(rest.p + close.n, (size_t)end - close.n));
        int r = parse_tag(&p, tag, raw, e);
        if (r)
            return r;
        p.at += (size_t)end + close.n;
        swallow_line(&p, tag, start);
    }
    parse_text(&p, src.n);
    if (p.depth)
        return err_set(e, E_INVALID, "%s:%d: {{#%" PRISTR "}} is not closed", t->name,
                       t->ops[p.open[p.depth - 1]].line, STRARG(t->ops[p.open[p.depth - 1]].arg));
    return 0;
}

int tmpl_add(struct tmpl_set *set, struct str name, struct str source, struct err *e)
{
    struct tmpl *t = NEW(struct tmpl);
    t->name = str_dup(name);
    int r = parse(t, source, e);
    if (r) {
        tmpl_free(t);
        return r;
    }
    struct tmpl *old = map_set(&set->templates, name, t);
    if (old)
        tmpl_free(old);
    return 0;
}

int tmpl_check(const struct tmpl_set *set, struct err *e)
{
    map_each (item, &set->templates) {
        const struct tmpl *t = item->value;
        for (size_t i = 0; i < t->n; i++) {
            const struct op *op = &t->ops[i];
            if (op->type == OP_PARTIAL && !tmpl_has(set, op->arg))
                return err_set(e, E_INVALID, "%s:%d: there is no template '%" PRISTR "'", t->name,
                               op->line, STRARG(op->arg));
            if (op->literal && str_is(op->filter, "icon") && !map_has(&set->icons, op->arg))
                return err_set(e, E_INVALID, "%s:%d: there is no icon '%" PRISTR "'", t->name,
                               op->line, STRARG(op->arg));
        }
    }
    return 0;
}

// ---- words

static void one_age(struct buf *out, int64_t n, const char *unit)
{
    buf_addf(out, "%lld %s%s ago", (long long)n, unit, n == 1 ? "" : "s");
}

void tmpl_age(struct buf *out, int64_t wall_ms, int64_t now_ms)
{
    int64_t s = (now_ms - wall_ms) / 1000;
    if (s < -60)
        buf_adds(out, "in the future");
    else if (s < 10)
        buf_adds(out, "just now");
    else if (s < 60)
        one_age(out, s, "second");
    else if (s < 3600)
        one_age(out, s / 60, "minute");
    else if (s < 86400)
        one_age(out, s / 3600, "hour");
    else if (s < 30 * 86400)
        one_age(out, s / 86400, "day");
    else if (s < 365 * 86400)
        one_age(out, s / (30 * 86400), "month");
    else
        one_age(out, s / (365 * 86400), "year");
}

void tmpl_size(struct buf *out, int64_t bytes)
{
    static const char *const UNITS[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) {
        buf_addf(out, "%lld B", (long long)bytes);
        return;
    }
    double v = (double)bytes / 1024;
    size_t u = 0;
    while (v >= 1024 && u + 1 < ARRAY_SIZE(UNITS)) {
        v /= 1024;
        u++;
    }
    buf_addf(out, v < 10 ? "%.1f %s" : "%.0f %s", v, UNITS[u]);
}

void tmpl_duration(struct buf *out, int64_t ms)
{
    int64_t s = ms / 1000;
    if (ms < 0)
        buf_adds(out, "0 s");
    else if (ms < 10000)
        buf_addf(out, "%.1f s", (double)ms / 1000);
    else if (s < 60)
        buf_addf(out, "%lld s", (long long)s);
    else if (s < 3600)
        buf_addf(out, "%lld m %02lld s", (long long)(s / 60), (long long)(s % 60));
    else
        buf_addf(out, "%lld h %02lld m", (long long)(s / 3600), (long long)(s / 60 % 60));
}

void tmpl_percent(struct buf *out, struct str s, bool keep_slash)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~' || (keep_slash && c == '/');
        if (plain)
            buf_addc(out, (char)c);
        else
            buf_addf(out, "%%%02X", c);
    }
}

// ---- rendering

struct frame {
    const struct val *v;
    const struct frame *up;
};

struct render {
    const struct tmpl_set *set;
    int64_t now_ms;
    struct buf *out;
    struct err *e;
    int depth;
};

static const struct val *lookup(const struct frame *f, struct str path)
{
    if (str_is(path, "."))
        return f->v;
    struct str first = STR_NONE, rest = path;
    str_cut(&rest, '.', &first);
    const struct val *v = NULL;
    for (; f && !v; f = f->up)
        v = val_get(f->v, first);
    while (v && rest.p) {
        struct str key = STR_NONE;
        str_cut(&rest, '.', &key);
        v = val_get(v, key);
    }
    return v;
}

static void put_time(struct render *r, int64_t ms, bool age)
{
    char iso[CLOCK_RFC3339_SIZE];
    clock_rfc3339(ms, iso);
    struct str date = str_n(iso, MIN(strlen(iso), (size_t)10));
    buf_addf(r->out, "<time datetime=\"%s\" title=\"%" PRISTR " %.8s UTC\">", iso, STRARG(date),
             iso + 11);
    if (age)
        tmpl_age(r->out, ms, r->now_ms);
    else
        buf_add(r->out, date);
    buf_adds(r->out, "</time>");
}

static int filtered(struct render *r, const struct tmpl *t, const struct op *op,
                    const struct val *v)
{
    struct str f = op->filter;
    bool number = v->type == VAL_INT, text = v->type == VAL_STR;
    if (str_is(f, "icon") && text) {
        const struct str *svg = map_get(&r->set->icons, v->str);
        if (!svg)
            return err_set(r->e, E_INVALID, "%s:%d: there is no icon '%" PRISTR "'", t->name,
                           op->line, STRARG(v->str));
        buf_add(r->out, *svg);
    } else if (str_is(f, "time") && number) {
        put_time(r, v->num, true);
    } else if (str_is(f, "date") && number) {
        put_time(r, v->num, false);
    } else if (str_is(f, "size") && number) {
        tmpl_size(r->out, v->num);
    } else if (str_is(f, "ms") && number) {
        tmpl_duration(r->out, v->num);
    } else if (str_is(f, "path") && text) {
        tmpl_percent(r->out, v->str, true);
    } else if (str_is(f, "query") && text) {
        tmpl_percent(r->out, v->str, false);
    } else {
        return err_set(r->e, E_INVALID,
                       "%s:%d: '%" PRISTR "' has not the type that %" PRISTR " needs", t->name,
                       op->line, STRARG(op->arg), STRARG(f));
    }
    return 0;
}

static int put_value(struct render *r, const struct tmpl *t, const struct op *op,
                     const struct val *v)
{
    if (op->filter.n)
        return filtered(r, t, op, v);
    bool raw = op->type == OP_RAW;
    if (raw != (v->type == VAL_HTML))
        return err_set(r->e, E_INVALID, "%s:%d: '%" PRISTR "' %s", t->name, op->line,
                       STRARG(op->arg), raw ? "is not markup" : "is markup: write {{{ }}}");
    switch (v->type) {
    case VAL_STR:
        text_html(r->out, v->str);
        return 0;
    case VAL_HTML:
        buf_add(r->out, v->str);
        return 0;
    case VAL_INT:
        buf_addf(r->out, "%lld", (long long)v->num);
        return 0;
    default:
        return err_set(r->e, E_INVALID, "%s:%d: '%" PRISTR "' is no text", t->name, op->line,
                       STRARG(op->arg));
    }
}

static int run(struct render *r, const struct tmpl *t, size_t from, size_t to,
               const struct frame *f);

static int section(struct render *r, const struct tmpl *t, size_t at, const struct frame *f,
                   const struct val *v)
{
    const struct op *op = &t->ops[at];
    bool truthy = v && val_truthy(v);
    if (op->type == OP_INVERTED)
        return truthy ? 0 : run(r, t, at + 1, op->end, f);
    if (!truthy)
        return 0;
    if (v->type == VAL_MAP)
        return run(r, t, at + 1, op->end, &(struct frame){v, f});
    if (v->type != VAL_LIST)
        return run(r, t, at + 1, op->end, f);
    for (const struct val *item = v->first; item; item = item->next) {
        int e = run(r, t, at + 1, op->end, &(struct frame){item, f});
        if (e)
            return e;
    }
    return 0;
}

static int partial(struct render *r, const struct op *op, const struct frame *f)
{
    const struct tmpl *part = map_get(&r->set->templates, op->arg);
    if (!part || r->depth == DEPTH_MAX)
        return err_set(r->e, E_INVALID, "template '%" PRISTR "' is %s", STRARG(op->arg),
                       part ? "nested too deep" : "missing");
    r->depth++;
    int e = run(r, part, 0, part->n, f);
    r->depth--;
    return e;
}

static int run(struct render *r, const struct tmpl *t, size_t from, size_t to,
               const struct frame *f)
{
    for (size_t i = from; i < to; i++) {
        const struct op *op = &t->ops[i];
        if (op->type == OP_TEXT) {
            buf_add(r->out, op->arg);
            continue;
        }
        if (op->type == OP_END)
            continue;
        int e;
        if (op->type == OP_PARTIAL) {
            e = partial(r, op, f);
        } else {
            struct val lit = {.type = VAL_STR, .str = op->arg};
            const struct val *v = op->literal ? &lit : lookup(f, op->arg);
            if (!v && !op->optional)
                return err_set(r->e, E_INVALID, "%s:%d: '%" PRISTR "' is not set", t->name,
                               op->line, STRARG(op->arg));
            if (op->type == OP_SECTION || op->type == OP_INVERTED) {
                e = section(r, t, i, f, v);
                i = op->end;
            } else {
                e = v ? put_value(r, t, op, v) : 0;
            }
        }
        if (e)
            return e;
    }
    return 0;
}

int tmpl_render(const struct tmpl_set *set, struct str name, const struct val *root, int64_t now_ms,
                struct buf *out, struct err *e)
{
    const struct tmpl *t = map_get(&set->templates, name);
    if (!t)
        return err_set(e, E_NOTFOUND, "there is no template '%" PRISTR "'", STRARG(name));
    struct render r = {.set = set, .now_ms = now_ms, .out = out, .e = e};
    int code = run(&r, t, 0, t->n, &(struct frame){root, NULL});
    if (!code && !buf_ok(out))
        code = err_set(e, E_LIMIT, "the page '%" PRISTR "' is larger than its limit", STRARG(name));
    return code;
}
