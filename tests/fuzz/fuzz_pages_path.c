// SPDX-License-Identifier: Apache-2.0
// Any bytes as the path of a page request: what is accepted has no way upwards, no control
// character, and survives being written out and read again.
#include "edge/site_path.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct site_path p, again;
    if (site_path_parse(str_n((const char *)data, size), &p, NULL))
        return 0;
    BUG_ON(p.p[p.n] != '\0' || strlen(p.p) != p.n);
    for (struct str rest = {p.p, p.n}, part; p.n && str_cut(&rest, '/', &part);)
        BUG_ON(part.n == 0 || str_is(part, ".") || str_is(part, "..") || str_has_control(part));
    size_t room = 3 * p.n + 3;
    char *out = malloc(room);
    if (!out)
        return 0;
    struct str location = {out, site_path_location(&p, out, room)};
    BUG_ON(location.n > 1 && location.p[1] == '/');
    if (location.n <= SITE_PATH_MAX) {
        BUG_ON(site_path_parse(location, &again, NULL) || strcmp(again.p, p.p) != 0);
        BUG_ON(!again.slash);
    }
    free(out);
    return 0;
}
