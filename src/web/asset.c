// SPDX-License-Identifier: Apache-2.0
// Finds embedded files. There are a few dozen, so a scan is as good as a table. Pure.
#include "web/asset.h"

const struct asset *asset_find(struct str name)
{
    for (size_t i = 0; i < NASSETS; i++)
        if (str_eq(ASSETS[i].name, name))
            return &ASSETS[i];
    return NULL;
}
