// SPDX-License-Identifier: Apache-2.0
// Content types by file name. Pure.
#pragma once

#include "base/str.h"

// The type of the file `name` by its last extension (any case), with a charset for text;
// "application/octet-stream" when it is not known. Never NULL, static.
const char *mime_type(struct str name);
// True for types that compress well, whose answers vary with Accept-Encoding.
bool mime_is_text(const char *type);
