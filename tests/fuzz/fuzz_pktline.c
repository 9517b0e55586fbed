// SPDX-License-Identifier: Apache-2.0
// pkt-line framing and what is read from it without a git process: whatever comes, parsing ends,
// stays inside the input and says the same when the input arrives in two parts.
#include "codec/pktline.h"
#include "git/lsrefs.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(struct str in, int *ret_rc)
{
    size_t n = 0;
    for (;;) {
        struct pkt p;
        size_t used;
        struct err e;
        *ret_rc = pkt_parse(in, &p, &used, &e);
        if (*ret_rc < 0)
            return n;
        if (used < 4 || used > in.n || p.data.n > used)
            abort();
        in = str_from(in, used);
        n++;
    }
}

static int swallow(void *ctx, struct str piece, struct err *e)
{
    *(size_t *)ctx += piece.n;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n((const char *)data, size);
    int whole_rc, part_rc;
    size_t whole = count(in, &whole_rc);
    size_t part = count(str_head(in, size / 2), &part_rc);
    if (part > whole || (part_rc == E_INVALID && whole_rc != E_INVALID))
        abort();
    struct git_ref items[] = {{STR("refs/heads/main"),
                               STR("1111111111111111111111111111111111111111"), STR_NONE, STR_NONE},
                              {STR("refs/tags/v1"), STR("2222222222222222222222222222222222222222"),
                               STR("1111111111111111111111111111111111111111"), STR_NONE}};
    struct git_refs refs = {items, ARRAY_SIZE(items), STR("refs/heads/main"), items[0].sha};
    size_t out = 0;
    if (lsrefs_is(in) && lsrefs_answer(&refs, in, swallow, &out, NULL) == 0 && out < 4)
        abort();
    return 0;
}
