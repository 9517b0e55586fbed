// SPDX-License-Identifier: Apache-2.0
// Inside src/ci only: what the files that read a configuration share. A `struct reader` carries the
// arena and the lists of problems; a `struct path` is a linked list on the C stack that names the
// key being read, turned into text only when there is something to say about it.
#pragma once

#include "base/map.h"
#include "ci/config.h"

struct path {
    const struct path *up;
    struct str key; // p == NULL: an index
    size_t index;
};

struct reader {
    struct arena *a;
    struct ci_config *c;
    struct ci_problems *errors, *warnings;
    struct yaml_node *root;
    struct map top; // name -> struct yaml_pair *, of root
    struct ci_job defaults;
    struct map jobs;  // name -> struct ci_job *
    struct map exprs; // node -> struct ci_expr *: what aliases and extends share is parsed once
    bool full;        // the arena's ceiling was near; said so once
};

void ci_problems_add(struct arena *a, struct ci_problems *to, const struct path *at,
                     struct yaml_pos pos, const char *expected, const char *fmt, ...) PRINTF(6, 7);
// An error at `pos`; `expected` may be NULL.
#define PROBLEM(r, at, pos, expected, ...)                                                         \
    ci_problems_add((r)->a, (r)->errors, (at), (pos), (expected), __VA_ARGS__)
#define WARNING(r, at, pos, expected, ...)                                                         \
    ci_problems_add((r)->a, (r)->warnings, (at), (pos), (expected), __VA_ARGS__)

// Whether so many more bytes fit into the arena; the first time they do not it adds an error. The
// ceiling is the caller's, and passing it would end the process.
bool ci_room(struct reader *r, const struct path *at, struct yaml_pos pos, uint64_t bytes);

// The word of `words` (NULL-terminated) that `wrong` probably means, or NULL.
const char *ci_near(struct str wrong, const char *const *words);

// ---- tree.c: transformations ----

// Resolves `extends` in every entry of r->root, then every `!reference`. Adds errors.
void ci_tree_extend(struct reader *r);
void ci_tree_reference(struct reader *r);

// ---- values.c: single values, each adds an error and returns false when it does not fit ----

bool ci_read_str(struct reader *r, const struct path *at, const struct yaml_node *n,
                 struct str *ret);
bool ci_read_bool(struct reader *r, const struct path *at, const struct yaml_node *n, bool *ret);
bool ci_read_int(struct reader *r, const struct path *at, const struct yaml_node *n, int64_t least,
                 int64_t most, int64_t *ret);
// A list of strings; `one`: a single string is fine too.
bool ci_read_strs(struct reader *r, const struct path *at, const struct yaml_node *n, bool one,
                  struct ci_lines *ret);
bool ci_read_ints(struct reader *r, const struct path *at, const struct yaml_node *n, int64_t **ret,
                  size_t *ret_n);
// A script: a string, or strings in lists nested up to 10 levels.
bool ci_read_script(struct reader *r, const struct path *at, const struct yaml_node *n,
                    struct ci_lines *ret);
bool ci_read_duration(struct reader *r, const struct path *at, const struct yaml_node *n,
                      bool may_be_never, int64_t *ret_s);
bool ci_read_when(struct reader *r, const struct path *at, const struct yaml_node *n,
                  unsigned allowed, enum ci_when *ret);
bool ci_read_map(struct reader *r, const struct path *at, const struct yaml_node *n);
void ci_read_variables(struct reader *r, const struct path *at, const struct yaml_node *n,
                       bool global, struct ci_cfg_vars *ret);
struct ci_expr *ci_read_expr(struct reader *r, const struct path *at, const struct yaml_node *n,
                             struct str *ret_text);

// Says that a key is unknown (with a suggestion) or not supported yet.
struct ci_key {
    const char *name;
    bool supported;
};
// Looks `key` up; adds the error and returns false when it is unknown or not supported. `what`:
// "a job", "`artifacts`".
bool ci_check_key(struct reader *r, const struct path *at, const struct yaml_pair *p,
                  const struct ci_key *keys, size_t nkeys, const char *what);

// ---- job_keys.c, rules.c ----

// Reads one job's map into `j`; `defaults`: it is the `default` section.
void ci_read_job(struct reader *r, const struct path *at, const struct yaml_node *n, bool defaults,
                 struct ci_job *j);
void ci_read_default_key(struct reader *r, const struct path *at, const struct yaml_pair *p,
                         struct ci_job *j);
// Takes from the defaults what the job has not set.
void ci_job_inherit(struct ci_job *j, const struct ci_job *defaults);
void ci_read_rules(struct reader *r, const struct path *at, const struct yaml_node *n,
                   bool workflow, struct ci_rules *ret);
void ci_read_policy(struct reader *r, const struct path *at, const struct yaml_node *n,
                    struct ci_policy *ret);
