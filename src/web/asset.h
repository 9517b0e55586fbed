// SPDX-License-Identifier: Apache-2.0
// The files of assets/, compiled in by scripts/embed.py.
#pragma once

#include "base/str.h"

struct asset {
    struct str name;  // "css/app.css", "templates/layout.html", "icons/check.svg"
    struct str bytes; // NUL-terminated behind its length
    struct str gzip;  // the same, compressed; empty for what no browser loads
};

extern const struct asset ASSETS[];
extern const size_t NASSETS;
// Changes with any byte that browsers load.
extern const char ASSETS_VERSION[];

// The asset, or NULL.
const struct asset *asset_find(struct str name);
