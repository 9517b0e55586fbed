// SPDX-License-Identifier: Apache-2.0
// Names that people choose: paths, emails, patterns of protected refs. What is accepted must be
// safe to put into addresses and onto a disk; matching must end and agree with itself.
#include "forge/access.h"
#include "forge/account.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    struct str all = str_n((const char *)data, size), rest = all, head;
    str_cut(&rest, '\n', &head);

    for (int top = 0; top < 2; top++)
        if (path_check(head, top, &e) == 0) {
            must(head.n >= 1 && head.n <= 255 && !str_has_control(head));
            must(str_find(head, '/') < 0 && str_search(head, STR("..")) < 0);
            must(!str_is(head, ".") && head.p[0] != '-');
        }
    if (email_check(head, &e) == 0)
        must(str_is_utf8(head) && !str_has_control(head) && str_find(head, '<') < 0);
    if (variable_key_check(head, &e) == 0)
        must(!str_has_control(head) && str_find(head, '=') < 0);
    if (variable_maskable(head, true))
        must(str_find(head, '\n') < 0 && head.n >= 8);
    must(!variable_maskable(head, false) || variable_maskable(head, true));

    if (head.n <= 512 && rest.n <= 512) {
        bool fits = protection_matches(head, rest);
        if (str_find(head, '*') < 0)
            must(fits == str_eq(head, rest));
        must(protection_matches(STR("*"), rest));
        must(!environment_matches(head, STR_NONE) || str_is(head, "*"));
    }
    return 0;
}
