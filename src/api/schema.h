// SPDX-License-Identifier: Apache-2.0
// The shapes of replies, declared once: OpenAPI shows them, and end-to-end tests compare every
// recorded reply with them. A field's type is one word: int number string bool time date any, or a
// shape's name; then
// "[]" for a list of it, "?" when it may be null, "~" when it may be absent, in this order.
//
// To add a reply: write shape_x() in shapes.c (or the face) and its line here, with the same
// fields.
#pragma once

#include "base/jout.h"

struct schema_field {
    const char *name, *type;
};
struct schema {
    const char *name;
    const struct schema_field *fields; // ends with an empty one
};
extern const struct schema api_schemas[]; // ends with an empty one

// Writes the JSON Schema (as OpenAPI 3.0 has it) of a type in the notation above.
void schema_write_type(struct jout *j, const char *type);
void schema_write(struct jout *j, const struct schema *s);
// NULL when there is none of that name ("pipeline[]" finds "pipeline").
const struct schema *schema_find(struct str type);
