// SPDX-License-Identifier: Apache-2.0
// The template parser and renderer: any source is an error or renders within its limits.
#include "web/tmpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > KIB(8))
        return 0;
    struct arena a;
    arena_init(&a, MIB(4));
    struct val *root = val_map(&a);
    val_cstr(root, "x", "<b>");
    val_int(root, "n", 12345678);
    val_html(root, "h", STR("<i>"));
    struct val *list = val_list(root, "l");
    val_cstr(val_push(list), "y", "1");
    val_cstr(val_push(list), "y", "2");
    struct tmpl_set *set = tmpl_set_new();
    tmpl_add_icon(set, STR("i"), STR("<svg></svg>"));
    struct err e;
    struct buf out = BUF_INIT(KIB(256));
    if (!tmpl_add(set, STR("t"), str_n((const char *)data, n), &e) && !tmpl_check(set, &e) &&
        tmpl_render(set, STR("t"), root, 1767225600000, &out, &e) && !e.msg[0])
        BUG("an error without words");
    buf_done(&out);
    tmpl_set_free(set);
    arena_done(&a);
    return 0;
}
