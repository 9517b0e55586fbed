// SPDX-License-Identifier: Apache-2.0
// YAML 1.1 text to a tree of nodes that know where they stand (file, line, column). The tree keeps
// what people wrote: plain and quoted scalars, tags such as `!reference`, duplicate keys (the last
// wins, a warning is kept). Aliases share the node of their anchor, so a tree is a directed graph
// without cycles; merge keys (`<<`) are resolved. Everything is bounded: bytes, depth, nodes, and
// the size the tree would have with every alias written out, so that walking it is safe.
// Pure; one thread per parse.
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum yaml_kind { YAML_SCALAR = 1, YAML_LIST, YAML_MAP };

// A place in a file. Lines and columns count from 1; line 0 means "nowhere".
struct yaml_pos {
    uint32_t file; // index that the caller gave to the file
    uint32_t line, col;
};

struct yaml_node;
struct yaml_pair {
    struct yaml_node *key; // a scalar
    struct yaml_node *value;
    bool merged; // came in through `<<`
};

struct yaml_node {
    uint8_t kind;    // enum yaml_kind
    bool plain;      // a scalar without quotes and without a block indicator
    uint32_t n;      // items or pairs
    uint32_t weight; // nodes in this tree with every alias written out
    uint32_t mark;   // free for whoever walks the tree; 0 at first
    struct yaml_pos pos;
    struct str tag;  // as written ("!reference"), empty when none
    struct str text; // scalar; NUL-terminated
    union {
        struct yaml_node **items; // YAML_LIST
        struct yaml_pair *pairs;  // YAML_MAP, in order of the file; keys are unique
    };
};

struct yaml_limits {
    size_t bytes;    // of the text
    uint32_t depth;  // of nesting
    uint32_t nodes;  // written in the text
    uint32_t weight; // with every alias written out
};
// 2 MiB, 100 levels, 200,000 nodes, 500,000 with aliases.
#define YAML_LIMITS_DEFAULT ((struct yaml_limits){MIB(2), 100, 200000, 500000})

struct yaml_note {
    struct yaml_pos pos;
    struct str msg;
};

#define YAML_MAX_DOCS 4
struct yaml_doc {
    struct yaml_node *roots[YAML_MAX_DOCS]; // one per document that the text holds
    size_t nroots;                          // 0 for an empty text
    struct yaml_note *warnings;             // duplicate keys
    size_t nwarnings;
    struct yaml_pos error; // where it went wrong, when yaml_parse failed
};

// Parses `text` into memory of `a`; `file` is put into each position. On failure returns E_INVALID
// (not YAML) or E_LIMIT (a limit was passed), sets doc->error, and `e->msg` says what is wrong
// without the position. Scalars are copied: `text` need not outlive the call. `limits` may be NULL.
int yaml_parse(struct arena *a, struct str text, uint32_t file, const struct yaml_limits *limits,
               struct yaml_doc *doc, struct err *e) MUST_USE;

// The value of `key` in a map, or NULL (also when `n` is NULL or not a map).
struct yaml_node *yaml_get(const struct yaml_node *n, const char *key);
struct yaml_pair *yaml_pair(const struct yaml_node *n, struct str key);

// How a scalar reads by YAML 1.1's rules as Ruby's Psych applies them. Quoted scalars and those
// with the tag !!str are strings always.
enum yaml_type { YAML_NULL, YAML_BOOL, YAML_INT, YAML_FLOAT, YAML_STR, YAML_IS_LIST, YAML_IS_MAP };
enum yaml_type yaml_type(const struct yaml_node *n); // NULL counts as YAML_NULL
// "null", "a boolean", "an integer", "a number", "a string", "a list", "a map"
const char *yaml_type_name(const struct yaml_node *n);
bool yaml_is_null(const struct yaml_node *n);
bool yaml_bool(const struct yaml_node *n, bool *ret) MUST_USE;
bool yaml_int(const struct yaml_node *n, int64_t *ret) MUST_USE;

// New nodes for whoever transforms trees (merging, extending). They take the position given.
struct yaml_node *yaml_new_scalar(struct arena *a, struct str text, struct yaml_pos pos);
struct yaml_node *yaml_new_list(struct arena *a, uint32_t n, struct yaml_pos pos);
struct yaml_node *yaml_new_map(struct arena *a, uint32_t n, struct yaml_pos pos);
// `over` laid over `base`: maps merge key by key, anything else is replaced. Neither is changed;
// the result may share their nodes. Either may be NULL.
struct yaml_node *yaml_merge(struct arena *a, struct yaml_node *base, struct yaml_node *over);

struct jout;
// The node as JSON with YAML's types (numbers that JSON cannot hold as strings).
void yaml_to_json(const struct yaml_node *n, struct jout *j);
