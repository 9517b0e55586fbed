// SPDX-License-Identifier: Apache-2.0
// The head of a push: hostile bytes never make a command with a bad ref name or id, and the result
// does not depend on how the input was cut.
#include "git/receive.h"
#include "git/repo.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(struct receive_head *h, struct str in, size_t step, size_t *ret_used)
{
    *ret_used = 0;
    for (size_t have = 0;;) {
        size_t used;
        struct err e;
        int rc = receive_parse(h, str_n(in.p + *ret_used, have - *ret_used), &used, &e);
        *ret_used += used;
        if (*ret_used > in.n)
            abort();
        if (rc != E_AGAIN || have == in.n)
            return rc;
        have = MIN(in.n, have + step);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n((const char *)data, size);
    struct arena a, b;
    arena_init(&a, MIB(64));
    arena_init(&b, MIB(64));
    struct receive_head whole, cut;
    receive_head_init(&whole, &a);
    receive_head_init(&cut, &b);
    size_t used_whole, used_cut;
    int rc_whole = parse(&whole, in, MAX(size, (size_t)1), &used_whole);
    int rc_cut = parse(&cut, in, 1 + size / 7, &used_cut);
    if (rc_whole != rc_cut || whole.n != cut.n || (rc_whole == 0 && used_whole != used_cut))
        abort();
    for (size_t i = 0; i < whole.n; i++) {
        const struct receive_command *c = &whole.commands[i];
        if (!git_ref_name_ok(c->ref) || !git_sha_ok(c->old_sha) || !git_sha_ok(c->new_sha) ||
            !str_eq(c->ref, cut.commands[i].ref))
            abort();
    }
    if (rc_whole == 0) {
        const char **reasons = ARENA_ARRAY(&a, const char *, whole.n + 1);
        struct buf out = BUF_INIT(MIB(8));
        receive_refuse(&whole, reasons, STR("no"), &out);
        buf_done(&out);
    }
    receive_head_done(&whole);
    receive_head_done(&cut);
    arena_done(&a);
    arena_done(&b);
    return 0;
}
