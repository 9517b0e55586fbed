// SPDX-License-Identifier: Apache-2.0
// Renders lines of files and of differences. Written as strings, not through templates: a page may
// hold a hundred thousand of them. Pure.
#include "web/source.h"

#include "base/text.h"

static size_t char_len(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    if (c < 0x80)
        return c >= 0x20 || c == '\t' ? 1 : 0;
    size_t n = c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!n || n > s.n || !str_is_utf8(str_head(s, n)))
        return 0;
    // Characters that reorder what stands around them could make code read otherwise than it runs.
    if (n == 3 && c == 0xe2) {
        unsigned char b = (unsigned char)s.p[1], d = (unsigned char)s.p[2];
        if ((b == 0x80 && d >= 0xaa && d <= 0xae) || (b == 0x81 && d >= 0xa6 && d <= 0xa9))
            return 0;
    }
    return n;
}

// How many bytes at a bad place become one replacement.
static size_t bad_len(struct str s)
{
    return s.n >= 3 && (unsigned char)s.p[0] == 0xe2 && str_is_utf8(str_head(s, 3)) ? 3 : 1;
}

void source_escape(struct str s, struct buf *out)
{
    size_t from = 0, i = 0;
    while (i < s.n) {
        size_t n = char_len(str_from(s, i));
        if (n) {
            i += n;
            continue;
        }
        text_html(out, str_n(s.p + from, i - from));
        buf_adds(out, "\xef\xbf\xbd");
        i += bad_len(str_from(s, i));
        from = i;
    }
    text_html(out, str_from(s, from));
}

static struct str without_cr(struct str s)
{
    return s.n && s.p[s.n - 1] == '\r' ? str_head(s, s.n - 1) : s;
}

void source_html(struct str text, struct buf *out)
{
    unsigned line = 0;
    struct str rest = text, one;
    buf_adds(out,
             "<div class=\"code\" role=\"region\" aria-label=\"File content\" tabindex=\"0\">\n");
    while (rest.n && str_cut(&rest, '\n', &one)) {
        line++;
        buf_addf(out, "<div class=\"cl\" id=\"L%u\"><a href=\"#L%u\" tabindex=\"-1\">%u</a><code>",
                 line, line, line);
        source_escape(without_cr(one), out);
        buf_adds(out, "</code></div>\n");
    }
    buf_adds(out, "</div>\n");
}

static void number(const char *anchor, char side, int n, struct buf *out)
{
    if (!n) {
        buf_adds(out, "<td class=\"dn\"></td>");
        return;
    }
    buf_addf(out, "<td class=\"dn\" id=\"%s%c%d\"><a href=\"#%s%c%d\" tabindex=\"-1\">%d</a></td>",
             anchor, side, n, anchor, side, n, n);
}

static void diff_line(const struct git_diff_line *l, const char *anchor, struct buf *out)
{
    const char *kind = l->origin == '+' ? "add" : l->origin == '-' ? "del" : "ctx";
    buf_addf(out, "<tr class=\"%s\">", l->origin == '\\' ? "note" : kind);
    number(anchor, 'L', l->old_no, out);
    number(anchor, 'R', l->new_no, out);
    buf_addf(out, "<td class=\"ds\">%c</td><td class=\"dt\"><code>", l->origin);
    if (l->origin == '\\')
        buf_adds(out, "No newline at end of file");
    else
        source_escape(without_cr(l->text), out);
    buf_adds(out, "</code></td></tr>\n");
}

void source_diff_html(const struct git_diff_file *f, const char *anchor, struct buf *out)
{
    buf_adds(out, "<table class=\"diff\"><tbody>\n");
    for (size_t h = 0; h < f->nhunks; h++) {
        const struct git_diff_hunk *k = &f->hunks[h];
        buf_addf(
            out,
            "<tr class=\"hunk\"><td colspan=\"3\"></td><td class=\"dt\"><code>@@ -%d,%d +%d,%d "
            "@@ ",
            k->old_start, k->old_lines, k->new_start, k->new_lines);
        source_escape(str_trim(k->header), out);
        buf_adds(out, "</code></td></tr>\n");
        for (size_t i = 0; i < k->nlines; i++)
            diff_line(&k->lines[i], anchor, out);
    }
    buf_adds(out, "</tbody></table>\n");
}
