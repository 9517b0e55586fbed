// SPDX-License-Identifier: Apache-2.0
// Artifact patterns: "pattern\npath". Matching ends, whatever the pattern.
#include "runner/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_n((const char *)data, size < 2000 ? size : 2000), pattern;
    if (!str_cut(&rest, '\n', &pattern))
        return 0;
    glob_match(pattern, rest);
    struct str head = glob_literal_part(pattern);
    BUG_ON(!str_starts(pattern, head) || !glob_is_literal(head));
    return 0;
}
