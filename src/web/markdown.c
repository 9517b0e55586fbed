// SPDX-License-Identifier: Apache-2.0
// Markdown through libcmark-gfm in its safe mode, with the tree walked in between to settle where
// links and images lead. Reentrant after markdown_init.
#include "web/markdown.h"

#include "web/tmpl.h"

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>
#include <stdlib.h>

enum { SOURCE_MAX = 1 << 20 };

void markdown_init(void)
{
    cmark_gfm_core_extensions_ensure_registered();
}

// The scheme's length when `url` has one ("https"), else 0.
static size_t scheme(struct str url)
{
    for (size_t i = 0; i < url.n; i++) {
        char c = url.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '+' || c == '-' || c == '.';
        if (c == ':')
            return i;
        if (!ok)
            return 0;
    }
    return 0;
}

static bool is_relative(struct str url)
{
    return url.n && url.p[0] != '/' && url.p[0] != '#' && url.p[0] != '?' && !scheme(url);
}

// base + relative with "." and ".." taken out; never above the first path segments of the base
// that name the project, because a ".." too many simply has nothing left to remove.
static void resolve(struct str base, struct str rel, struct buf *out)
{
    buf_add(out, base);
    size_t root = 0;
    ptrdiff_t dash = str_search(base, STR("/-/"));
    if (dash >= 0) {
        size_t at = (size_t)dash + 3;
        for (int parts = 0; at < base.n && parts < 2; at++)
            parts += base.p[at] == '/';
        root = at;
    }
    struct str path = rel, tail = STR_NONE;
    for (size_t i = 0; i < rel.n; i++)
        if (rel.p[i] == '#' || rel.p[i] == '?') {
            path = str_head(rel, i);
            tail = str_from(rel, i);
            break;
        }
    for (struct str part; str_cut(&path, '/', &part);) {
        if (str_is(part, "."))
            continue;
        if (str_is(part, "..")) {
            size_t n = out->n;
            while (n > root && out->p[n - 1] == '/')
                n--;
            while (n > root && out->p[n - 1] != '/')
                n--;
            buf_cut(out, n);
            continue;
        }
        buf_add(out, part);
        if (path.p)
            buf_addc(out, '/');
    }
    buf_add(out, tail);
}

static bool allowed(struct str url)
{
    size_t n = scheme(url);
    if (!n)
        return !str_starts(url, STR("//")) && !str_starts(url, STR("/\\")) && !str_has_control(url);
    struct str s = str_head(url, n);
    return str_ieq(s, STR("http")) || str_ieq(s, STR("https")) || str_ieq(s, STR("mailto"));
}

// Leaves the words of a link and takes the link away.
static void unwrap(cmark_node *link)
{
    for (cmark_node *child; (child = cmark_node_first_child(link));)
        if (!cmark_node_insert_before(link, child))
            break;
    cmark_node_free(link);
}

// False when the node is gone: it led somewhere it may not.
static bool settle(cmark_node *node, struct str base)
{
    struct str url = str_of(cmark_node_get_url(node));
    if (!allowed(url)) {
        unwrap(node);
        return false;
    }
    if (!is_relative(url) || !base.n)
        return true;
    struct buf b = BUF_INIT(KIB(64));
    resolve(base, url, &b);
    if (buf_ok(&b))
        cmark_node_set_url(node, b.p);
    buf_done(&b);
    return true;
}

// An image from another site becomes a link to it.
static void image_to_link(cmark_node *image)
{
    cmark_node *link = cmark_node_new(CMARK_NODE_LINK);
    cmark_node_set_url(link, cmark_node_get_url(image));
    if (!cmark_node_replace(image, link)) {
        cmark_node_free(link);
        return;
    }
    cmark_node *child = cmark_node_first_child(image);
    if (!child) {
        child = cmark_node_new(CMARK_NODE_TEXT);
        cmark_node_set_literal(child, cmark_node_get_url(image));
        cmark_node_append_child(link, child);
    }
    while ((child = cmark_node_first_child(image)) && cmark_node_append_child(link, child))
        ;
    cmark_node_free(image);
}

static void walk(cmark_node *doc, const struct markdown_base *base)
{
    cmark_iter *it = cmark_iter_new(doc);
    for (cmark_event_type ev; (ev = cmark_iter_next(it)) != CMARK_EVENT_DONE;) {
        cmark_node *node = cmark_iter_get_node(it);
        cmark_node_type type = cmark_node_get_type(node);
        if (ev != CMARK_EVENT_EXIT)
            continue;
        if (type == CMARK_NODE_LINK) {
            // The iterator has already moved past what is replaced here.
            (void)!settle(node, base ? base->link : STR_NONE);
        } else if (type == CMARK_NODE_IMAGE) {
            if (settle(node, base ? base->image : STR_NONE) &&
                scheme(str_of(cmark_node_get_url(node))))
                image_to_link(node);
        }
    }
    cmark_iter_free(it);
}

int markdown_html(struct str source, const struct markdown_base *base, struct buf *out,
                  struct err *e)
{
    if (source.n > SOURCE_MAX)
        return err_set(e, E_LIMIT, "the document is larger than %d bytes", SOURCE_MAX);
    int options = CMARK_OPT_VALIDATE_UTF8 | CMARK_OPT_GITHUB_PRE_LANG;
    cmark_parser *parser = cmark_parser_new(options);
    static const char *const NAMES[] = {"table", "strikethrough", "autolink", "tasklist"};
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
        cmark_syntax_extension *ext = cmark_find_syntax_extension(NAMES[i]);
        if (ext)
            cmark_parser_attach_syntax_extension(parser, ext);
    }
    cmark_parser_feed(parser, source.p ? source.p : "", source.n);
    cmark_node *doc = cmark_parser_finish(parser);
    walk(doc, base);
    char *html = cmark_render_html(doc, options, cmark_parser_get_syntax_extensions(parser));
    buf_adds(out, html);
    free(html);
    cmark_node_free(doc);
    cmark_parser_free(parser);
    return buf_ok(out) ? 0 : err_set(e, E_LIMIT, "the rendered document is too large");
}
