// SPDX-License-Identifier: Apache-2.0
// What a template is filled from: a tree of maps, lists and scalars in a request's arena. Keys are
// literals; text is not copied, so it must live as long as the arena. Never freed one by one.
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum val_type { VAL_STR, VAL_HTML, VAL_INT, VAL_BOOL, VAL_MAP, VAL_LIST };

struct val {
    enum val_type type;
    struct arena *arena; // maps and lists: where their children come from
    struct str str;      // VAL_STR, VAL_HTML
    int64_t num;         // VAL_INT, VAL_BOOL
    const char *key;     // within a map
    struct val *first, *last, *next;
};

struct val *val_map(struct arena *a) MUST_USE;

// Set a key of a map; a key set twice counts as it was set last.
void val_str(struct val *map, const char *key, struct str s);
void val_cstr(struct val *map, const char *key, const char *cstr_or_null);
void val_strf(struct val *map, const char *key, const char *fmt, ...) PRINTF(3, 4);
// Markup made by a renderer of this folder: the only values that {{{x}}} lets through.
void val_html(struct val *map, const char *key, struct str markup);
void val_int(struct val *map, const char *key, int64_t n);
void val_bool(struct val *map, const char *key, bool b);

// A new map or list below `key`; both are filled after they are attached.
struct val *val_sub(struct val *map, const char *key);
struct val *val_list(struct val *map, const char *key);
// Appends a map, or a text, to a list.
struct val *val_push(struct val *list);
void val_push_str(struct val *list, struct str s);

// The child with that key, or NULL.
const struct val *val_get(const struct val *map, struct str key);
// What a section asks: non-empty text or list, non-zero number, true, any map.
bool val_truthy(const struct val *v);
