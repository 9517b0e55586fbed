// SPDX-License-Identifier: Apache-2.0
// Where projects live: a user's own namespace, or groups, which nest. One table of routes keeps
// full paths unique across namespaces and projects, without regard to case.
#pragma once

#include "store/store.h"

#define NAMESPACE_DEPTH_MAX 20

enum visibility { VIS_PRIVATE = 0, VIS_INTERNAL = 10, VIS_PUBLIC = 20 };
const char *visibility_name(enum visibility v); // "private" ...
bool visibility_parse(struct str name, enum visibility *ret) MUST_USE;

struct ns {
    int64_t id;
    int64_t parent_id; // 0: top level
    bool group;        // false: a user's own
    int64_t owner_id;  // the user of a user's own namespace, else 0
    struct str path, name, full_path, full_name;
    struct str description;
    enum visibility visibility;
    int64_t created_at, updated_at;
};

// Needs parent_id, group, owner_id, path, name, description, visibility; fills the rest.
// E_CONFLICT when the full path is taken, E_NOTFOUND without the parent, E_LIMIT too deep.
int ns_insert(struct tx *tx, struct arena *a, struct ns *n, struct err *e) MUST_USE;
int ns_get(struct tx *tx, struct arena *a, int64_t id, struct ns *ret, struct err *e) MUST_USE;
int ns_by_path(struct tx *tx, struct arena *a, struct str full_path, struct ns *ret,
               struct err *e) MUST_USE;
// Writes name, description, visibility.
int ns_update(struct tx *tx, const struct ns *n, struct err *e) MUST_USE;
// E_CONFLICT while it has projects or subgroups.
int ns_delete(struct tx *tx, int64_t id, struct err *e) MUST_USE;

struct ns_filter {
    int64_t viewer_id; // only what this user may see; 0: public ones
    bool viewer_all;   // an administrator: everything
    int64_t parent_id; // subgroups of it; 0: any
    bool top_level_only;
    bool groups_only;
    struct str search;
    int64_t member_min; // only where the viewer has at least this level; 0: any
};
// By full path.
int ns_list(struct tx *tx, struct arena *a, const struct ns_filter *f, struct page *page,
            struct ns **ret, size_t *ret_n, struct err *e) MUST_USE;
