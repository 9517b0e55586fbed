// SPDX-License-Identifier: Apache-2.0
// Transformations of the configuration's tree before it is read: `extends` lays jobs over their
// parents, `!reference` puts in what it points to. Nodes keep their positions, so later errors name
// the line a value really came from. Sizes are checked as trees grow.
#include "ci/reader.h"

#define MAX_EXTENDS   11
#define MAX_REFERENCE 10
#define MAX_WEIGHT    500000u
#define MAX_MERGED    2000000u

enum { NEW_ENTRY, OPEN_ENTRY, DONE_ENTRY };

struct extend {
    struct reader *r;
    uint8_t *state;  // of each pair of the root
    uint64_t merged; // values laid over others so far
    bool full;
};

static struct yaml_node *resolve_extends(struct extend *x, struct yaml_pair *p, int depth);

static struct yaml_node *lay_over(struct extend *x, struct yaml_node *base, struct yaml_node *over,
                                  const struct path *at)
{
    x->merged += base ? (uint64_t)base->weight + over->weight : 0;
    if (x->merged > MAX_MERGED) {
        if (!x->full)
            PROBLEM(x->r, at, over->pos, NULL, "`extends` makes the configuration too large");
        x->full = true;
        return over;
    }
    // A merged level costs its pairs and a node.
    if (base && !ci_room(x->r, at, over->pos, 64 * ((uint64_t)base->weight + over->weight)))
        return over;
    return yaml_merge(x->r->a, base, over);
}

static struct yaml_node *parent_of(struct extend *x, const struct path *at,
                                   const struct yaml_node *name, int depth)
{
    struct reader *r = x->r;
    struct yaml_pair *p = map_get(&r->top, name->text);
    if (!p || p->value->kind != YAML_MAP) {
        PROBLEM(r, at, name->pos, NULL, "there is no job `%" PRISTR "` to extend",
                STRARG(str_head(name->text, 100)));
        return NULL;
    }
    if (x->state[p - r->root->pairs] == OPEN_ENTRY) {
        PROBLEM(r, at, name->pos, NULL, "`extends` goes round in a circle through `%" PRISTR "`",
                STRARG(str_head(name->text, 100)));
        return NULL;
    }
    if (depth >= MAX_EXTENDS) {
        PROBLEM(r, at, name->pos, NULL, "`extends` is nested deeper than %d levels", MAX_EXTENDS);
        return NULL;
    }
    return resolve_extends(x, p, depth + 1);
}

static struct yaml_node *resolve_extends(struct extend *x, struct yaml_pair *p, int depth)
{
    uint8_t *state = &x->state[p - x->r->root->pairs];
    struct yaml_node *n = p->value;
    struct yaml_node *names = yaml_get(n, "extends");
    if (*state == DONE_ENTRY || !names || yaml_is_null(names))
        return n;
    struct path job = {NULL, p->key->text, 0}, at = {&job, STR("extends"), 0};
    struct ci_lines unused;
    *state = OPEN_ENTRY;
    struct yaml_node *base = NULL;
    bool ok = ci_read_strs(x->r, &at, names, true, &unused);
    if (ok && names->kind == YAML_SCALAR)
        base = parent_of(x, &at, names, depth);
    for (uint32_t i = 0; ok && names->kind == YAML_LIST && i < names->n; i++) {
        struct yaml_node *parent = parent_of(x, &at, names->items[i], depth);
        if (parent)
            base = lay_over(x, base, parent, &at);
    }
    *state = DONE_ENTRY;
    if (base)
        p->value = lay_over(x, base, n, &at);
    return p->value;
}

void ci_tree_extend(struct reader *r)
{
    struct extend x = {.r = r, .state = ARENA_ARRAY(r->a, uint8_t, r->root->n)};
    for (uint32_t i = 0; i < r->root->n; i++)
        if (r->root->pairs[i].value->kind == YAML_MAP)
            resolve_extends(&x, &r->root->pairs[i], 0);
}

struct refs {
    struct reader *r;
    struct yaml_node *nothing; // in place of a reference that is wrong
    int depth;                 // of references within references
    bool full;
};

static struct yaml_node *walk(struct refs *x, const struct path *at, struct yaml_node *n);

// A key of a map, or a number in a list, from 0.
static struct yaml_node *child(struct yaml_node *n, const struct yaml_node *name)
{
    int64_t i;
    if (n->kind != YAML_LIST)
        return yaml_get(n, name->text.p);
    return yaml_int(name, &i) && i >= 0 && i < n->n ? n->items[i] : NULL;
}

// The target itself takes the reference's place: nobody changes nodes after this.
static struct yaml_node *follow(struct refs *x, const struct path *at, struct yaml_node *ref)
{
    struct reader *r = x->r;
    const char *expected = "write `!reference [job, keyword]`";
    bool ok = ref->kind == YAML_LIST && ref->n >= 1;
    for (uint32_t i = 0; ok && i < ref->n; i++)
        ok = ref->items[i]->kind == YAML_SCALAR;
    if (!ok) {
        PROBLEM(r, at, ref->pos, expected, "`!reference` takes a list of a job and its keywords");
        return x->nothing;
    }
    if (x->depth == MAX_REFERENCE) {
        PROBLEM(r, at, ref->pos, NULL,
                "`!reference` is nested deeper than %d levels or goes round in a circle",
                MAX_REFERENCE);
        return x->nothing;
    }
    struct yaml_pair *p = map_get(&r->top, ref->items[0]->text);
    struct yaml_node *to = p ? p->value : NULL;
    for (uint32_t i = 1; to && i < ref->n; i++)
        to = child(to, ref->items[i]);
    if (!to) {
        _autobuf_ struct buf names = BUF_INIT(300);
        for (uint32_t i = 0; i < ref->n; i++)
            buf_addf(&names, "%s%.80s", i ? ", " : "", ref->items[i]->text.p);
        PROBLEM(r, at, ref->pos, NULL, "`!reference [%s]` points to nothing", names.p);
        return x->nothing;
    }
    x->depth++;
    to = walk(x, at, to);
    x->depth--;
    return to;
}

static bool weigh(struct refs *x, const struct path *at, struct yaml_node *n, uint64_t weight)
{
    n->weight = (uint32_t)MIN(weight, (uint64_t)MAX_WEIGHT + 1);
    if (weight <= MAX_WEIGHT)
        return true;
    if (!x->full)
        PROBLEM(x->r, at, n->pos, NULL, "`!reference` makes the configuration too large");
    x->full = true;
    return false;
}

static void walk_kids(struct refs *x, const struct path *at, struct yaml_node *n)
{
    uint64_t weight = 1;
    for (uint32_t i = 0; i < n->n && !x->full; i++) {
        struct path here = {at, n->kind == YAML_MAP ? n->pairs[i].key->text : STR_NONE, i};
        struct yaml_node **kid = n->kind == YAML_MAP ? &n->pairs[i].value : &n->items[i];
        *kid = walk(x, &here, *kid);
        weight += (*kid)->weight + (n->kind == YAML_MAP);
    }
    if (!weigh(x, at, n, weight))
        n->n = 0;
}

static struct yaml_node *walk(struct refs *x, const struct path *at, struct yaml_node *n)
{
    if (str_is(n->tag, "!reference"))
        return follow(x, at, n);
    if (n->kind == YAML_SCALAR || n->mark == DONE_ENTRY)
        return n;
    if (n->mark == OPEN_ENTRY) {
        PROBLEM(x->r, at, n->pos, NULL, "`!reference` goes round in a circle");
        return x->nothing;
    }
    n->mark = OPEN_ENTRY;
    walk_kids(x, at, n);
    n->mark = DONE_ENTRY;
    return n;
}

void ci_tree_reference(struct reader *r)
{
    struct refs x = {.r = r, .nothing = yaml_new_list(r->a, 0, r->root->pos)};
    walk_kids(&x, NULL, r->root);
}
