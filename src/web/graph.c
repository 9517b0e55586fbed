// SPDX-License-Identifier: Apache-2.0
// Draws the pipeline graph. Positions follow from stage and order alone, so a page that refreshes
// keeps its layout and only classes change. Pure.
#include "web/graph.h"

#include "base/text.h"

enum {
    BOX_W = 196,
    BOX_H = 36,
    GAP_X = 64,
    GAP_Y = 12,
    TOP = 36,
    PAD = 8,
    HEAD_GAP = 16,
    NAME_MAX_CHARS = 22
};

static int box_x(size_t stage)
{
    return PAD + (int)stage * (BOX_W + GAP_X);
}

static int box_y(size_t row)
{
    return TOP + HEAD_GAP + (int)row * (BOX_H + GAP_Y);
}

// Cuts a name to what a box holds, at a character's border.
static void short_name(struct str name, struct buf *out)
{
    size_t chars = 0, i = 0;
    for (; i < name.n; i++) {
        if (((unsigned char)name.p[i] & 0xc0) == 0x80)
            continue;
        if (chars == NAME_MAX_CHARS - 1 && name.n - i > 1)
            break;
        chars++;
    }
    text_html(out, str_head(name, i));
    if (i < name.n)
        buf_adds(out, "\xe2\x80\xa6");
}

static void edge(const struct graph_job *from, size_t from_row, const struct graph_job *to,
                 size_t to_row, struct buf *out)
{
    int x1 = box_x(from->stage) + BOX_W, y1 = box_y(from_row) + BOX_H / 2;
    int x2 = box_x(to->stage), y2 = box_y(to_row) + BOX_H / 2;
    const char *state = str_is(from->status, "success") ? " done" : "";
    if (to->stage == from->stage) {
        // Within a stage: a bow along the left side.
        x1 = box_x(from->stage);
        buf_addf(out, "<path class=\"edge%s\" d=\"M%d %d C%d %d %d %d %d %d\"/>\n", state, x1, y1,
                 x1 - 28, y1, x1 - 28, y2, x2, y2);
        return;
    }
    if (to->stage > from->stage + 1) {
        // Across stages: run in the gap below the boxes' line, so as not to cross names.
        int mid = x1 + GAP_X / 2, lane = y2 + (y2 >= y1 ? -1 : 1) * (BOX_H / 2 + GAP_Y / 2);
        int last = x2 - GAP_X / 2;
        buf_addf(
            out,
            "<path class=\"edge%s\" d=\"M%d %d C%d %d %d %d %d %d L%d %d C%d %d %d %d %d %d\"/>\n",
            state, x1, y1, mid, y1, x1 + 8, lane, mid + 16, lane, last - 16, lane, x2 - 8, lane,
            last, y2, x2, y2);
        return;
    }
    int bend = (x2 - x1) / 2;
    buf_addf(out, "<path class=\"edge%s\" d=\"M%d %d C%d %d %d %d %d %d\"/>\n", state, x1, y1,
             x1 + bend, y1, x2 - bend, y2, x2, y2);
}

static void box(const struct graph_job *j, size_t row, struct str icon, struct buf *out)
{
    int x = box_x(j->stage), y = box_y(row);
    buf_adds(out, "<a href=\"");
    text_html(out, j->href);
    buf_addf(out, "\" class=\"node s-%" PRISTR "%s\" data-job=\"%lld\" aria-label=\"",
             STRARG(j->status), j->allow_failure && str_is(j->status, "failed") ? " allowed" : "",
             (long long)j->id);
    text_html(out, j->name);
    buf_adds(out, ": ");
    text_html(out, j->status);
    buf_adds(out, j->allow_failure && str_is(j->status, "failed") ? ", allowed to fail\">" : "\">");
    buf_adds(out, "<title>");
    text_html(out, j->name);
    buf_adds(out, ": ");
    text_html(out, j->status);
    buf_addf(out, "</title><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"7\"/>", x, y,
             BOX_W, BOX_H);
    buf_addf(out,
             "<svg class=\"i\" x=\"%d\" y=\"%d\" width=\"16\" height=\"16\" viewBox=\"0 0 16 16\">",
             x + 11, y + 10);
    buf_add(out, icon);
    buf_addf(out, "</svg><text x=\"%d\" y=\"%d\">", x + 35, y + 23);
    short_name(j->name, out);
    buf_adds(out, "</text></a>\n");
}

void graph_svg(const struct str *stages, size_t nstages, const struct graph_job *jobs, size_t njobs,
               struct str (*icon)(void *ctx, struct str status), void *ctx, struct arena *a,
               struct buf *out)
{
    size_t *row = ARENA_ARRAY(a, size_t, njobs + 1);
    size_t *height = ARENA_ARRAY(a, size_t, nstages + 1);
    size_t tallest = 1;
    for (size_t i = 0; i < njobs; i++) {
        row[i] = height[jobs[i].stage]++;
        tallest = MAX(tallest, height[jobs[i].stage]);
    }
    int w = box_x(nstages ? nstages - 1 : 0) + BOX_W + PAD, h = box_y(tallest - 1) + BOX_H + PAD;
    buf_addf(out,
             "<svg class=\"graph\" xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
             "viewBox=\"0 0 %d %d\" role=\"group\" aria-label=\"Pipeline graph\">\n",
             w, h, w, h);
    for (size_t s = 0; s < nstages; s++) {
        int x = box_x(s);
        buf_addf(out, "<text class=\"stage\" x=\"%d\" y=\"%d\">", x + 2, TOP - 12);
        short_name(stages[s], out);
        buf_adds(out, "</text>\n");
        buf_addf(out, "<line class=\"rule\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", x,
                 TOP - 2, x + BOX_W, TOP - 2);
    }
    for (size_t i = 0; i < njobs; i++)
        for (size_t k = 0; k < jobs[i].nneeds; k++) {
            size_t from = jobs[i].needs[k];
            if (from < njobs)
                edge(&jobs[from], row[from], &jobs[i], row[i], out);
        }
    for (size_t i = 0; i < njobs; i++)
        box(&jobs[i], row[i], icon(ctx, jobs[i].status), out);
    buf_adds(out, "</svg>\n");
}
