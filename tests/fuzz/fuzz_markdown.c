// SPDX-License-Identifier: Apache-2.0
// Documents of strangers: whatever they hold, no raw HTML and no dangerous address comes out.
#include "web/markdown.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool ready;
    if (!ready)
        markdown_init();
    ready = true;
    if (n > KIB(32))
        return 0;
    struct markdown_base base = {STR("/g/p/-/blob/main/"), STR("/g/p/-/raw/main/")};
    struct buf out = BUF_INIT(MIB(16));
    struct err e;
    int r = markdown_html(str_n((const char *)data, n), &base, &out, &e);
    static const char *const NEVER[] = {"<script",           "<iframe",      "<svg",
                                        "<object",           "<style",       "href=\"javascript:",
                                        "src=\"javascript:", "href=\"data:", "src=\"http",
                                        "href=\"vbscript:"};
    for (size_t i = 0; !r && i < ARRAY_SIZE(NEVER); i++)
        if (str_search(buf_str(&out), str_of(NEVER[i])) >= 0)
            abort();
    buf_done(&out);
    return 0;
}
