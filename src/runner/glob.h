// SPDX-License-Identifier: Apache-2.0
// The patterns of `artifacts:paths` and `artifacts:exclude`: `*` and `?` do not cross '/', `**` as
// a whole component matches any number of components (none too), [abc] [!abc] [a-z], {this,that}.
// Names that begin with a dot are nothing special.
#pragma once

#include "base/str.h"

// True when the whole path fits. Work is bounded; a pattern that would need too much never fits.
bool glob_match(struct str pattern, struct str path);

// The leading components of a pattern that contain no wildcard, e.g. "a/b" of "a/b/*.o".
struct str glob_literal_part(struct str pattern);
bool glob_is_literal(struct str pattern);
