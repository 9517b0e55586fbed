// SPDX-License-Identifier: Apache-2.0
// Builds node trees from libyaml's events with a stack of its own, so nesting costs no C stack.
// Each limit is checked before the memory it guards is taken. The reading of scalars (YAML 1.1, as
// Ruby's Psych does it) is in yaml_scalar.c; the tree belongs to the caller's arena.
#include "codec/yaml.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <yaml.h>

struct frame {
    struct yaml_node *node;
    size_t from;  // first child in `kids`
    char *anchor; // NULL, or in the arena
};

struct parse {
    struct arena *a;
    uint32_t file;
    struct yaml_limits lim;
    struct yaml_doc *doc;
    struct err *e;
    int rc;                  // of new_node
    struct yaml_node **kids; // children of all open collections
    size_t nkids, kids_cap;
    struct frame *stack;
    size_t depth, stack_cap;
    struct map anchors;
    uint32_t nodes;
    uint64_t expanded; // nodes that aliases stand for
    size_t warnings_cap;
};

#define MAX_WARNINGS 50

static int fail(struct parse *p, struct yaml_pos pos, int code, const char *fmt, ...) PRINTF(4, 5);
static int fail(struct parse *p, struct yaml_pos pos, int code, const char *fmt, ...)
{
    char msg[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    p->doc->error = pos;
    return err_set(p->e, code, "%s", msg);
}

static struct yaml_pos pos_of(const struct parse *p, const yaml_mark_t *m)
{
    return (struct yaml_pos){p->file, (uint32_t)MIN(m->line + 1, (size_t)UINT32_MAX),
                             (uint32_t)MIN(m->column + 1, (size_t)UINT32_MAX)};
}

static int no_room(struct parse *p, struct yaml_pos pos)
{
    return fail(p, pos, E_LIMIT, "the file needs more memory than is allowed for it");
}

static void warn(struct parse *p, struct yaml_pos pos, const char *fmt, ...) PRINTF(3, 4);
static void warn(struct parse *p, struct yaml_pos pos, const char *fmt, ...)
{
    struct yaml_doc *d = p->doc;
    if (d->nwarnings >= MAX_WARNINGS || !arena_fits(p->a, KIB(8)))
        return;
    if (!d->warnings)
        d->warnings = ARENA_ARRAY(p->a, struct yaml_note, MAX_WARNINGS);
    char msg[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    d->warnings[d->nwarnings++] = (struct yaml_note){pos, arena_str(p->a, str_of(msg))};
}

static void push_kid(struct parse *p, struct yaml_node *n)
{
    if (p->nkids == p->kids_cap) {
        p->kids_cap = p->kids_cap ? p->kids_cap * 2 : 64;
        p->kids = mem_grow(p->kids, p->kids_cap, sizeof(*p->kids));
    }
    p->kids[p->nkids++] = n;
}

// NULL when a limit was passed; p->rc is the error then.
static struct yaml_node *new_node(struct parse *p, enum yaml_kind kind, struct yaml_pos pos,
                                  const yaml_char_t *tag)
{
    struct str t = str_of((const char *)tag);
    if (++p->nodes > p->lim.nodes) {
        p->rc = fail(p, pos, E_LIMIT, "the file has more than %u values", p->lim.nodes);
        return NULL;
    }
    if (!arena_fits(p->a, sizeof(struct yaml_node) + t.n + 64)) {
        p->rc = no_room(p, pos);
        return NULL;
    }
    struct yaml_node *n = ARENA_NEW(p->a, struct yaml_node);
    n->kind = (uint8_t)kind;
    n->pos = pos;
    n->weight = 1;
    if (t.n)
        n->tag = arena_str(p->a, t);
    return n;
}

static void set_anchor(struct parse *p, const char *anchor, struct yaml_node *n)
{
    if (anchor)
        map_set(&p->anchors, str_of(anchor), n);
}

// A finished node goes to the collection that is open, or becomes a document.
static int finish(struct parse *p, struct yaml_node *n)
{
    if (p->depth) {
        push_kid(p, n);
        return 0;
    }
    if (p->doc->nroots == YAML_MAX_DOCS)
        return fail(p, n->pos, E_LIMIT, "the file holds more than %d documents", YAML_MAX_DOCS);
    p->doc->roots[p->doc->nroots++] = n;
    return 0;
}

static int on_scalar(struct parse *p, const yaml_event_t *ev)
{
    struct yaml_pos pos = pos_of(p, &ev->start_mark);
    struct yaml_node *n = new_node(p, YAML_SCALAR, pos, ev->data.scalar.tag);
    if (!n)
        return p->rc;
    size_t len = ev->data.scalar.length;
    if (!arena_fits(p->a, len + 64))
        return no_room(p, pos);
    n->text = arena_str(p->a, str_n((const char *)ev->data.scalar.value, len));
    n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    set_anchor(p, (const char *)ev->data.scalar.anchor, n);
    return finish(p, n);
}

static int on_start(struct parse *p, const yaml_event_t *ev, enum yaml_kind kind)
{
    struct yaml_pos pos = pos_of(p, &ev->start_mark);
    bool list = kind == YAML_LIST;
    const yaml_char_t *tag = list ? ev->data.sequence_start.tag : ev->data.mapping_start.tag;
    const yaml_char_t *anchor =
        list ? ev->data.sequence_start.anchor : ev->data.mapping_start.anchor;
    if (p->depth >= p->lim.depth)
        return fail(p, pos, E_LIMIT, "values are nested deeper than %u levels", p->lim.depth);
    struct yaml_node *n = new_node(p, kind, pos, tag);
    if (!n)
        return p->rc;
    struct str name = str_of((const char *)anchor);
    if (!arena_fits(p->a, name.n + 64))
        return no_room(p, pos);
    if (p->depth == p->stack_cap) {
        p->stack_cap = p->stack_cap ? p->stack_cap * 2 : 32;
        p->stack = mem_grow(p->stack, p->stack_cap, sizeof(*p->stack));
    }
    p->stack[p->depth++] = (struct frame){n, p->nkids, anchor ? arena_dup(p->a, name) : NULL};
    return 0;
}

static int on_alias(struct parse *p, const yaml_event_t *ev)
{
    struct yaml_pos pos = pos_of(p, &ev->start_mark);
    const char *name = (const char *)ev->data.alias.anchor;
    for (size_t i = 0; i < p->depth; i++)
        if (p->stack[i].anchor && str_eq(str_of(p->stack[i].anchor), str_of(name)))
            return fail(p, pos, E_INVALID, "the alias `*%.100s` stands inside its own anchor",
                        name);
    struct yaml_node *n = map_get(&p->anchors, str_of(name));
    if (!n)
        return fail(
            p, pos, E_INVALID,
            "the alias `*%.100s` has no anchor; `&%.100s` must stand before it in this file", name,
            name);
    if (++p->nodes > p->lim.nodes)
        return fail(p, pos, E_LIMIT, "the file has more than %u values", p->lim.nodes);
    p->expanded += n->weight;
    if (p->expanded > p->lim.weight)
        return fail(p, pos, E_LIMIT,
                    "the file's aliases stand for more than %u values; write less by alias",
                    p->lim.weight);
    return finish(p, n);
}

static int set_weight(struct parse *p, struct yaml_node *n, uint64_t weight)
{
    if (weight > p->lim.weight)
        return fail(p, n->pos, E_LIMIT,
                    "the file has more than %u values when its aliases are written out",
                    p->lim.weight);
    n->weight = (uint32_t)weight;
    return 0;
}

static int end_list(struct parse *p, struct yaml_node *n, struct yaml_node **kids, size_t nkids)
{
    if (!arena_fits(p->a, nkids * sizeof(*kids) + 64))
        return no_room(p, n->pos);
    n->items = ARENA_ARRAY(p->a, struct yaml_node *, nkids);
    n->n = (uint32_t)nkids;
    uint64_t weight = 1;
    for (size_t i = 0; kids && i < nkids; i++) {
        n->items[i] = kids[i];
        weight += kids[i]->weight;
    }
    return set_weight(p, n, weight);
}

static bool is_merge_key(const struct yaml_node *key)
{
    return key->kind == YAML_SCALAR && str_is(key->text, "<<") &&
           !str_is(key->tag, "tag:yaml.org,2002:str");
}

// The map under construction: pairs with unique keys. Few keys are searched in line.
struct pairs {
    struct yaml_pair *list;
    size_t n;
    bool hashed;
    struct map index; // key -> &list[i], when hashed
};
#define FEW_KEYS 16

static struct yaml_pair *pairs_find(const struct pairs *ps, struct str key)
{
    if (ps->hashed)
        return map_get(&ps->index, key);
    for (size_t i = 0; i < ps->n; i++)
        if (str_eq(ps->list[i].key->text, key))
            return &ps->list[i];
    return NULL;
}

static void pairs_add(struct pairs *ps, struct yaml_pair pair)
{
    ps->list[ps->n] = pair;
    if (ps->hashed)
        map_set(&ps->index, pair.key->text, &ps->list[ps->n]);
    ps->n++;
}

// Merged pairs replace what stood above the merge key and yield to what stands below it: the order
// counts, as it does for GitLab.
static void merge_in(struct parse *p, struct pairs *ps, const struct yaml_node *from,
                     const struct yaml_node *at)
{
    for (uint32_t i = 0; i < from->n; i++) {
        struct yaml_pair pair = from->pairs[i];
        pair.merged = true;
        struct yaml_pair *old = pairs_find(ps, pair.key->text);
        if (!old) {
            pairs_add(ps, pair);
            continue;
        }
        if (!old->merged)
            warn(p, at->pos, "`%" PRISTR "` of line %u is replaced by this merge key below it",
                 STRARG(str_head(pair.key->text, 80)), old->key->pos.line);
        *old = pair;
    }
}

static int merge_key(struct parse *p, struct pairs *ps, const struct yaml_node *key,
                     const struct yaml_node *value)
{
    if (value->kind == YAML_MAP) {
        merge_in(p, ps, value, key);
        return 0;
    }
    bool ok = value->kind == YAML_LIST;
    for (uint32_t i = 0; ok && i < value->n; i++)
        ok = value->items[i]->kind == YAML_MAP;
    if (!ok)
        return fail(p, value->pos, E_INVALID,
                    "the merge key `<<` takes a map or a list of maps, this is %s",
                    yaml_type_name(value));
    // The first of the list wins among them.
    for (uint32_t i = value->n; i-- > 0;)
        merge_in(p, ps, value->items[i], key);
    return 0;
}

static int check_key(struct parse *p, struct yaml_node *key)
{
    if (key->kind != YAML_SCALAR)
        return fail(p, key->pos, E_INVALID, "a key must be a single value, this is %s",
                    yaml_type_name(key));
    return 0;
}

static size_t merged_count(struct yaml_node **kids, size_t nkids)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < nkids; i += 2) {
        if (!is_merge_key(kids[i]))
            continue;
        const struct yaml_node *v = kids[i + 1];
        for (uint32_t k = 0; v->kind == YAML_LIST && k < v->n; k++)
            n += v->items[k]->n;
        n += v->kind == YAML_MAP ? v->n : 0;
    }
    return n;
}

static int fill_pairs(struct parse *p, struct pairs *ps, struct yaml_node **kids, size_t nkids)
{
    for (size_t i = 0; i + 1 < nkids; i += 2) {
        struct yaml_node *key = kids[i], *value = kids[i + 1];
        int r = check_key(p, key);
        if (r)
            return r;
        if (is_merge_key(key)) {
            r = merge_key(p, ps, key, value);
            if (r)
                return r;
            continue;
        }
        struct yaml_pair *old = pairs_find(ps, key->text);
        if (!old) {
            pairs_add(ps, (struct yaml_pair){key, value, false});
            continue;
        }
        if (!old->merged)
            warn(p, key->pos, "`%" PRISTR "` is already there in line %u; the last one counts",
                 STRARG(str_head(key->text, 80)), old->key->pos.line);
        *old = (struct yaml_pair){key, value, false};
    }
    return 0;
}

static int end_map(struct parse *p, struct yaml_node *n, struct yaml_node **kids, size_t nkids)
{
    size_t room = nkids / 2 + merged_count(kids, nkids);
    if (room > p->lim.weight || !arena_fits(p->a, room * sizeof(struct yaml_pair) + 64))
        return no_room(p, n->pos);
    struct pairs ps = {.list = ARENA_ARRAY(p->a, struct yaml_pair, room),
                       .hashed = room > FEW_KEYS,
                       .index = MAP_INIT};
    int r = fill_pairs(p, &ps, kids, nkids);
    map_done(&ps.index);
    if (r)
        return r;
    n->pairs = ps.list;
    n->n = (uint32_t)ps.n;
    uint64_t weight = 1;
    for (size_t i = 0; i < ps.n; i++)
        weight += (uint64_t)ps.list[i].key->weight + ps.list[i].value->weight;
    return set_weight(p, n, weight);
}

static int on_end(struct parse *p)
{
    BUG_ON(!p->stack || !p->depth);
    struct frame f = p->stack[--p->depth];
    struct yaml_node **kids = p->nkids > f.from ? p->kids + f.from : NULL;
    size_t nkids = p->nkids - f.from;
    int r = f.node->kind == YAML_LIST ? end_list(p, f.node, kids, nkids)
                                      : end_map(p, f.node, kids, nkids);
    if (r)
        return r;
    p->nkids = f.from;
    set_anchor(p, f.anchor, f.node);
    return finish(p, f.node);
}

static int on_event(struct parse *p, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        map_done(&p->anchors);
        return 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(p, ev);
    case YAML_ALIAS_EVENT:
        return on_alias(p, ev);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(p, ev, YAML_LIST);
    case YAML_MAPPING_START_EVENT:
        return on_start(p, ev, YAML_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(p);
    default:
        return 0;
    }
}

static struct yaml_pos pos_at_offset(const struct parse *p, struct str text, size_t offset)
{
    struct yaml_pos pos = {p->file, 1, 1};
    for (size_t i = 0; i < offset && i < text.n; i++) {
        if (text.p[i] == '\n') {
            pos.line++;
            pos.col = 1;
        } else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
            pos.col++;
        }
    }
    return pos;
}

static int library_error(struct parse *p, const yaml_parser_t *y, struct str text)
{
    const char *what = y->problem ? y->problem : "cannot be read";
    if (y->error == YAML_MEMORY_ERROR)
        return fail(p, pos_of(p, &y->mark), E_LIMIT, "not enough memory");
    if (y->error == YAML_READER_ERROR)
        return fail(p, pos_at_offset(p, text, y->problem_offset), E_INVALID,
                    "not valid YAML: %s (byte 0x%02x)", what, (unsigned)y->problem_value & 0xff);
    if (y->context)
        return fail(p, pos_of(p, &y->problem_mark), E_INVALID,
                    "not valid YAML: %s %s that begins in line %zu", what, y->context,
                    y->context_mark.line + 1);
    return fail(p, pos_of(p, &y->problem_mark), E_INVALID, "not valid YAML: %s", what);
}

static int parse_all(struct parse *p, yaml_parser_t *y, struct str text)
{
    for (bool end = false; !end;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(y, &ev))
            return library_error(p, y, text);
        end = ev.type == YAML_STREAM_END_EVENT;
        int r = on_event(p, &ev);
        yaml_event_delete(&ev);
        if (r)
            return r;
    }
    return 0;
}

int yaml_parse(struct arena *a, struct str text, uint32_t file, const struct yaml_limits *limits,
               struct yaml_doc *doc, struct err *e)
{
    *doc = (struct yaml_doc){.error = {file, 0, 0}};
    struct parse p = {.a = a,
                      .file = file,
                      .lim = limits ? *limits : YAML_LIMITS_DEFAULT,
                      .doc = doc,
                      .e = e,
                      .anchors = MAP_INIT};
    if (text.n > p.lim.bytes)
        return fail(&p, (struct yaml_pos){file, 1, 1}, E_LIMIT,
                    "the file has %zu bytes, at most %zu are allowed", text.n, p.lim.bytes);
    yaml_parser_t y;
    if (!yaml_parser_initialize(&y))
        return fail(&p, (struct yaml_pos){file, 1, 1}, E_LIMIT, "not enough memory");
    yaml_parser_set_input_string(&y, (const unsigned char *)(text.p ? text.p : ""), text.n);
    int r = parse_all(&p, &y, text);
    yaml_parser_delete(&y);
    map_done(&p.anchors);
    free(p.kids);
    free(p.stack);
    return r;
}
