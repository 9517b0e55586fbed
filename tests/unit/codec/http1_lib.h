// SPDX-License-Identifier: Apache-2.0
// Runs the HTTP/1.1 parser over a message and writes down what it said, so that two runs can be
// compared. Shared by the unit test and the fuzz targets.
#pragma once

#include "base/buf.h"
#include "codec/http1.h"

#include <stdlib.h>
#include <string.h>

struct transcript {
    struct buf text;
    bool in_data; // adjacent pieces of a body are one line
    size_t messages;
};

static inline void tell(struct transcript *t, const char *what, struct str a, struct str b)
{
    buf_adds(&t->text, what);
    buf_add(&t->text, a);
    buf_adds(&t->text, "|");
    buf_add(&t->text, b);
    buf_adds(&t->text, "\n");
    t->in_data = false;
}

static inline void tell_head(struct transcript *t, const struct http1_head *h)
{
    tell(t, "HEAD ", h->method, h->target);
    tell(t, "path ", h->path, h->query);
    tell(t, "host ", h->host, h->upgrade);
    buf_addf(&t->text, "status %d 1.%d body %d %llu keep %d expect %d\n", h->status, h->minor,
             (int)h->body, (unsigned long long)h->length, h->keep_alive, h->expect_continue);
    for (size_t i = 0; i < h->nfields; i++) {
        buf_addf(&t->text, "%d%d", h->fields[i].id, h->fields[i].hop);
        tell(t, " field ", h->fields[i].name, h->fields[i].value);
    }
}

// Feeds the parser: `cut` tells how many more bytes to show at a time (0: all). The bytes shown are
// copied to fresh memory each time, so that reading beyond them is seen.
static inline void transcribe(struct transcript *t, struct http1_parser *p, struct str in,
                              size_t cut, const char *answers_to)
{
    struct http1_head *head = malloc(sizeof *head);
    t->text = BUF_INIT(MIB(16));
    t->in_data = false;
    t->messages = 0;
    size_t shown = cut ? MIN(cut, in.n) : in.n, at = 0;
    char *view = NULL;
    size_t view_at = 1, view_shown = 0;
    for (;;) {
        if (view_shown != shown || view_at > at || !view) {
            free(view);
            view = malloc(shown - at + !(shown - at));
            if (shown > at)
                memcpy(view, in.p + at, shown - at);
            view_at = at;
            view_shown = shown;
        }
        if (answers_to)
            http1_response_to(p, str_of(answers_to));
        struct http1_event ev = http1_next(p, head, str_n(view + (at - view_at), shown - at));
        if (ev.used > shown - at)
            abort();
        if (ev.type == HTTP1_HEAD) {
            tell_head(t, head);
        } else if (ev.type == HTTP1_DATA) {
            if (!t->in_data)
                buf_adds(&t->text, "DATA ");
            buf_add(&t->text, ev.data);
            t->in_data = true;
        } else if (ev.type == HTTP1_TRAILER) {
            if (t->in_data)
                buf_adds(&t->text, "\n");
            tell(t, "TRAILER ", ev.data, ev.value);
        } else if (ev.type == HTTP1_END) {
            if (t->in_data)
                buf_adds(&t->text, "\n");
            tell(t, "END ", STR_NONE, STR_NONE);
            t->messages++;
        } else if (ev.type == HTTP1_ERROR) {
            if (t->in_data)
                buf_adds(&t->text, "\n");
            buf_addf(&t->text, "ERROR %d %s\n", p->status, p->error);
            break;
        }
        at += ev.used;
        if (ev.type == HTTP1_MORE) {
            if (shown == in.n)
                break;
            shown = cut ? MIN(shown + cut, in.n) : in.n;
        }
    }
    struct http1_event end = http1_eof(p);
    if (t->in_data)
        buf_adds(&t->text, "\n");
    buf_addf(&t->text, "EOF %d %d\n", (int)end.type, p->status);
    free(view);
    free(head);
}
