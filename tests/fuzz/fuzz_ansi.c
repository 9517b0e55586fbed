// SPDX-License-Identifier: Apache-2.0
// The log renderer: the first byte says where the log is cut in two. Both ways give the same, every
// tag that is opened is closed, and only tags of the renderer's own come out.
#include "web/ansi.h"

#include <stdlib.h>

static void render(struct str a, struct str b, enum ansi_shape shape, struct buf *out)
{
    struct ansi st;
    ansi_init(&st, shape);
    size_t used = ansi_feed(&st, a, b.n == 0, out);
    if (b.n)
        ansi_feed(&st, str_n(a.p + used, a.n - used + b.n), true, out);
    ansi_finish(&st, out);
}

// Every '<' begins one of ours.
static void check(struct str html)
{
    static const char *const OURS[] = {"<div ",
                                       "</div>",
                                       "<a class=\"n\" ",
                                       "</a>",
                                       "<span class=\"",
                                       "</span>",
                                       "<details class=\"sec\" ",
                                       "</details>",
                                       "<summary class=\"l\" ",
                                       "</summary>"};
    long depth[ARRAY_SIZE(OURS)] = {0};
    for (size_t i = 0; i < html.n; i++) {
        if (html.p[i] != '<')
            continue;
        size_t k = 0;
        while (k < ARRAY_SIZE(OURS) && !str_starts(str_from(html, i), str_of(OURS[k])))
            k++;
        if (k == ARRAY_SIZE(OURS))
            abort();
        depth[k / 2] += k % 2 ? -1 : 1;
        if (depth[k / 2] < 0)
            abort();
    }
    for (size_t k = 0; k < ARRAY_SIZE(OURS); k++)
        if (depth[k])
            abort();
    if (!str_is_utf8(html))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2 || n > KIB(64))
        return 0;
    struct str text = str_n((const char *)data + 1, n - 1);
    size_t cut = data[0] * text.n / 255;
    for (int shape = ANSI_NESTED; shape <= ANSI_FLAT; shape++) {
        struct buf whole = BUF_INIT(MIB(64)), parts = BUF_INIT(MIB(64));
        render(text, STR_NONE, (enum ansi_shape)shape, &whole);
        render(str_head(text, cut), str_from(text, cut), (enum ansi_shape)shape, &parts);
        if (!str_eq(buf_str(&whole), buf_str(&parts)))
            abort();
        check(buf_str(&whole));
        buf_done(&whole);
        buf_done(&parts);
    }
    return 0;
}
