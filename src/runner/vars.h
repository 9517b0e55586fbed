// SPDX-License-Identifier: Apache-2.0
// The variables of a job as its commands will see them: later definitions win, references in
// values that are not raw are expanded, file variables become paths.
#pragma once

#include "base/arena.h"
#include "base/map.h"

struct var {
    struct str key, value;
    bool file, raw;
    int state; // expansion: 0 not yet, 1 in progress, 2 done
};

struct vars {
    struct arena *a;
    struct map by_key;    // -> struct var *
    struct str files_dir; // where file variables will lie
};

void vars_init(struct vars *v, struct arena *a, struct str files_dir);
void vars_done(struct vars *v);
// Keys that cannot stand in an environment (empty, '=' or NUL inside) are refused: false.
bool vars_set(struct vars *v, struct str key, struct str value, bool raw, bool file);
// Expands all values. `$X` and `${X}` of an unknown X become empty, `$$` becomes "$"; a value that
// refers to itself sees `base(key)` there (may return STR_NONE). Values of raw variables are
// inserted as they are.
void vars_expand(struct vars *v, struct str (*base)(struct str key));
// The expanded value (a path for file variables), or STR_NONE.
struct str vars_get(const struct vars *v, const char *key);
// Expands references in a text of its own with the (expanded) variables.
struct str vars_text(struct vars *v, struct str text);
