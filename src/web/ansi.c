// SPDX-License-Identifier: Apache-2.0
// The log renderer, a line at a time. Lines arrive raw from the runner and may hold anything: each
// byte is either text (escaped), part of a recognised sequence, or dropped. Pure; the caller owns
// state and output.
#include "web/ansi.h"

#include "base/text.h"

enum {
    BOLD = 1,
    DIM = 2,
    ITALIC = 4,
    UNDERLINE = 8,
    INVERSE = 16,
    STRIKE = 32,
    DURATION_WIDTH = 9
};

void ansi_init(struct ansi *a, enum ansi_shape shape)
{
    *a = (struct ansi){.shape = shape};
}

uint16_t ansi_save(const struct ansi *a)
{
    return (uint16_t)(a->fg | a->bg << 5 | a->flags << 10);
}

void ansi_restore(struct ansi *a, uint16_t saved)
{
    a->fg = (uint8_t)MIN(saved & 31, 16);
    a->bg = (uint8_t)MIN(saved >> 5 & 31, 16);
    a->flags = (uint8_t)(saved >> 10);
}

// ---- colours

// The palette colour (1..16) nearest to a hue: the sixteen have contrast on both themes, which an
// arbitrary colour has not.
static uint8_t nearest(int red, int green, int blue)
{
    int most = MAX(red, MAX(green, blue)), least = MIN(red, MIN(green, blue));
    if (most - least < 40)
        return most < 64 ? 1 : most < 140 ? 9 : most < 215 ? 8 : 16;
    int cut = least + (most - least) / 2;
    int base = (red > cut) | (green > cut) << 1 | (blue > cut) << 2;
    return (uint8_t)(1 + base + (most > 200 ? 8 : 0));
}

static uint8_t indexed(unsigned n)
{
    static const int LEVEL[] = {0, 95, 135, 175, 215, 255};
    if (n < 16)
        return (uint8_t)(n + 1);
    if (n >= 232) {
        int grey = 8 + 10 * ((int)MIN(n, 255u) - 232);
        return nearest(grey, grey, grey);
    }
    n -= 16;
    return nearest(LEVEL[n / 36], LEVEL[n / 6 % 6], LEVEL[n % 6]);
}

// 38;5;N and 38;2;R;G;B; returns how many parameters it took.
static size_t extended(const unsigned *p, size_t n, uint8_t *colour)
{
    if (n >= 2 && p[0] == 5) {
        *colour = indexed(p[1]);
        return 2;
    }
    if (n >= 4 && p[0] == 2) {
        *colour = nearest((int)MIN(p[1], 255u), (int)MIN(p[2], 255u), (int)MIN(p[3], 255u));
        return 4;
    }
    return n;
}

static void set_flag(struct ansi *a, unsigned p)
{
    static const uint8_t ON[] = {0, BOLD, DIM, ITALIC, UNDERLINE, 0, 0, INVERSE, 0, STRIKE};
    if (p < 10)
        a->flags |= ON[p];
    else if (p == 22)
        a->flags &= (uint8_t) ~(BOLD | DIM);
    else if (p > 22 && p < 30)
        a->flags &= (uint8_t)~ON[p - 20];
}

static void sgr(struct ansi *a, const unsigned *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned v = p[i];
        if (v == 0)
            a->fg = a->bg = a->flags = 0;
        else if (v < 30)
            set_flag(a, v);
        else if (v <= 37)
            a->fg = (uint8_t)(v - 29);
        else if (v == 38)
            i += extended(p + i + 1, n - i - 1, &a->fg);
        else if (v == 39)
            a->fg = 0;
        else if (v >= 40 && v <= 47)
            a->bg = (uint8_t)(v - 39);
        else if (v == 48)
            i += extended(p + i + 1, n - i - 1, &a->bg);
        else if (v == 49)
            a->bg = 0;
        else if (v >= 90 && v <= 97)
            a->fg = (uint8_t)(v - 81);
        else if (v >= 100 && v <= 107)
            a->bg = (uint8_t)(v - 91);
    }
}

// ---- one line

// Length of the escape sequence at s (s.p[0] is ESC); applies SGR.
static size_t escape(struct ansi *a, struct str s)
{
    if (s.n < 2)
        return s.n;
    char kind = s.p[1];
    if (kind == ']' || kind == 'P' || kind == '_' || kind == '^' || kind == 'X') {
        for (size_t i = 2; i < s.n; i++) {
            if (s.p[i] == 7)
                return i + 1;
            if (s.p[i] == 27)
                return i + 1 < s.n && s.p[i + 1] == '\\' ? i + 2 : i;
        }
        return s.n;
    }
    if (kind != '[')
        return kind >= 0x20 && kind < 0x30 ? MIN(s.n, (size_t)3) : 2;
    unsigned p[16] = {0};
    size_t np = 0, i = 2;
    bool private = false;
    for (; i < s.n && (unsigned char)s.p[i] >= 0x20 && (unsigned char)s.p[i] < 0x40; i++) {
        char c = s.p[i];
        if (c >= '0' && c <= '9')
            p[np] = MIN(p[np] * 10 + (unsigned)(c - '0'), 9999u);
        else if (c == ';' || c == ':')
            np = MIN(np + 1, ARRAY_SIZE(p) - 1);
        else
        private = true;
    }
    if (i < s.n && s.p[i] == 'm' && !private)
        sgr(a, p, np + 1);
    return i < s.n && (unsigned char)s.p[i] >= 0x40 && s.p[i] != 0x7f ? i + 1 : i;
}

static void span_open(const struct ansi *a, struct buf *out)
{
    uint8_t fg = a->fg, bg = a->bg;
    if (a->flags & INVERSE) {
        fg = a->bg ? a->bg : 17;
        bg = a->fg ? a->fg : 17;
    }
    buf_adds(out, "<span class=\"a");
    if (fg)
        buf_addf(out, " f%u", fg - 1u);
    if (bg)
        buf_addf(out, " b%u", bg - 1u);
    static const char *const NAMES[] = {" bold", " dim", " ital", " under", "", " strike"};
    for (unsigned i = 0; i < ARRAY_SIZE(NAMES); i++)
        if (a->flags & 1u << i)
            buf_adds(out, NAMES[i]);
    buf_adds(out, "\">");
}

// The bytes of one UTF-8 character at s, or 0 when malformed.
static size_t utf8_len(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : (c & 0xf0) == 0xe0    ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    return n && n <= s.n && str_is_utf8(str_head(s, n)) ? n : 0;
}

// Characters that reorder or hide what stands around them (U+202A..202E, U+2066..2069, U+200E/F).
static bool is_bidi(struct str c)
{
    if (c.n != 3 || (unsigned char)c.p[0] != 0xe2)
        return false;
    unsigned char b = (unsigned char)c.p[1], d = (unsigned char)c.p[2];
    return (b == 0x80 && (d == 0x8e || d == 0x8f || (d >= 0xaa && d <= 0xae))) ||
           (b == 0x81 && d >= 0xa6 && d <= 0xa9);
}

static void put_char(struct str c, struct buf *out)
{
    if (!c.n || is_bidi(c))
        buf_adds(out, "\xef\xbf\xbd");
    else
        text_html(out, c);
}

static void text(struct ansi *a, struct str s, struct buf *out)
{
    bool open = false;
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == 27) {
            uint16_t before = ansi_save(a);
            i += escape(a, str_from(s, i));
            if (open && ansi_save(a) != before) {
                buf_adds(out, "</span>");
                open = false;
            }
            continue;
        }
        if (c == 7 || c == 8 || c == 0x7f || (c < 0x20 && c != '\t')) {
            i++;
            continue;
        }
        if (!open && ansi_save(a)) {
            span_open(a, out);
            open = true;
        }
        size_t n = utf8_len(str_from(s, i));
        put_char(str_n(s.p + i, n), out);
        i += n ? n : 1;
    }
    if (open)
        buf_adds(out, "</span>");
}

// ---- sections

struct mark {
    bool end, collapsed;
    int64_t when;
    struct str name;
};

static bool is_mark(struct str s, struct mark *ret)
{
    struct mark m = {0};
    if (str_starts(s, STR("section_start:")))
        s = str_from(s, 14);
    else if (str_starts(s, STR("section_end:"))) {
        s = str_from(s, 12);
        m.end = true;
    } else
        return false;
    struct str when = STR_NONE;
    str_cut(&s, ':', &when);
    struct str name = s;
    ptrdiff_t options = str_find(s, '[');
    if (options >= 0) {
        name = str_head(s, (size_t)options);
        m.collapsed = str_search(str_from(s, (size_t)options), STR("collapsed=true")) >= 0;
    }
    if (!str_to_i64(when, &m.when) || !name.n || name.n >= 64)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return false;
    }
    m.name = name;
    *ret = m;
    return true;
}

static void duration(const struct ansi_section *s, int64_t end, char out[DURATION_WIDTH + 1])
{
    int64_t d = end - s->started;
    if (d < 0 || d > 359999)
        d = 0;
    if (d >= 3600)
        snprintf(out, DURATION_WIDTH + 1, "%02d:%02d:%02d", (int)(d / 3600), (int)(d / 60 % 60),
                 (int)(d % 60));
    else
        snprintf(out, DURATION_WIDTH + 1, "%02d:%02d", (int)(d / 60), (int)(d % 60));
}

static void close_top(struct ansi *a, int64_t when, struct buf *out)
{
    struct ansi_section *s = &a->sections[--a->nsections];
    char words[DURATION_WIDTH + 1];
    duration(s, when, words);
    if (a->shape == ANSI_FLAT) {
        buf_addf(out, "<div data-close=\"%s\" data-took=\"%s\"></div>\n", s->name, words);
        return;
    }
    size_t n = strlen(words);
    if (when && s->duration_at && s->duration_at + n <= out->n)
        memcpy(out->p + s->duration_at, words, n);
    buf_adds(out, "</details>\n");
}

static void section_end(struct ansi *a, const struct mark *m, struct buf *out)
{
    size_t i = a->nsections;
    while (i && !str_is(m->name, a->sections[i - 1].name))
        i--;
    if (!i) {
        // A flat stream that was resumed does not know what was opened before.
        if (a->shape == ANSI_FLAT)
            buf_addf(out, "<div data-close=\"%" PRISTR "\" data-at=\"%lld\"></div>\n",
                     STRARG(m->name), (long long)m->when);
        return;
    }
    while (a->nsections >= i)
        close_top(a, m->when, out);
}

static void line_html(struct ansi *a, struct str html, struct buf *out)
{
    unsigned long long n = ++a->line;
    if (a->shape == ANSI_NESTED)
        buf_addf(out, "<a class=\"n\" href=\"#L%llu\">%llu</a>", n, n);
    buf_adds(out, "<span class=\"t\">");
    buf_add(out, html);
    buf_adds(out, "</span>");
}

static void section_start(struct ansi *a, const struct mark *m, struct str html, struct buf *out)
{
    struct ansi_section *s = &a->sections[a->nsections++];
    *s = (struct ansi_section){.started = m->when};
    memcpy(s->name, m->name.p, m->name.n);
    char words[80];
    struct buf title = BUF_INIT(256);
    if (!html.n) {
        size_t n = 0;
        for (; n < m->name.n && n < sizeof(words); n++)
            words[n] = m->name.p[n] == '_' ? ' ' : m->name.p[n];
        text_html(&title, str_n(words, n));
        html = buf_str(&title);
    }
    if (a->shape == ANSI_FLAT) {
        buf_addf(out, "<div class=\"l\" data-open=\"%s\" data-collapsed=\"%d\" data-at=\"%lld\">",
                 s->name, m->collapsed, (long long)m->when);
        line_html(a, html, out);
        buf_adds(out, "</div>\n");
    } else {
        buf_addf(out,
                 "<details class=\"sec\" data-sec=\"%s\" data-at=\"%lld\"%s><summary class=\"l\" "
                 "id=\"L%llu\">",
                 s->name, (long long)m->when, m->collapsed ? "" : " open",
                 (unsigned long long)a->line + 1);
        line_html(a, html, out);
        buf_adds(out, "<span class=\"took\">");
        s->duration_at = out->n;
        buf_adds(out, "        </span></summary>\n");
    }
    buf_done(&title);
}

static void whole_line(struct ansi *a, struct str raw, struct buf *out)
{
    struct buf html = BUF_INIT(MIB(1));
    struct mark start = {0};
    bool visible = false, marks = false;
    for (struct str rest = raw, part; str_cut(&rest, '\r', &part);) {
        // GitLab writes ESC [ 0 K after each mark's carriage return.
        for (;;) {
            if (str_starts(part, STR("\033[0K")))
                part = str_from(part, 4);
            else if (str_starts(part, STR("\033[K")))
                part = str_from(part, 3);
            else
                break;
        }
        struct mark m;
        if (is_mark(part, &m)) {
            marks = true;
            if (m.end)
                section_end(a, &m, out);
            else if (a->nsections < ANSI_SECTIONS_MAX)
                start = m;
            continue;
        }
        if (!part.n)
            continue;
        buf_clear(&html);
        text(a, part, &html);
        visible = visible || html.n;
    }
    if (start.name.n) {
        section_start(a, &start, buf_str(&html), out);
    } else if (visible || !marks) {
        if (a->shape == ANSI_NESTED)
            buf_addf(out, "<div class=\"l\" id=\"L%llu\">", (unsigned long long)a->line + 1);
        else
            buf_adds(out, "<div class=\"l\">");
        line_html(a, buf_str(&html), out);
        buf_adds(out, "</div>\n");
    }
    buf_done(&html);
}

size_t ansi_feed(struct ansi *a, struct str bytes, bool end, struct buf *out)
{
    size_t at = 0;
    while (at < bytes.n) {
        struct str rest = str_from(bytes, at);
        ptrdiff_t nl = str_find(str_head(rest, ANSI_LINE_MAX), '\n');
        if (nl < 0 && rest.n < ANSI_LINE_MAX && !end)
            break;
        size_t n = nl >= 0 ? (size_t)nl : MIN(rest.n, (size_t)ANSI_LINE_MAX);
        whole_line(a, str_head(rest, n), out);
        at += n + (nl >= 0);
    }
    return at;
}

void ansi_finish(struct ansi *a, struct buf *out)
{
    while (a->nsections)
        close_top(a, 0, out);
}
