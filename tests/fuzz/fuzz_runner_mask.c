// SPDX-License-Identifier: Apache-2.0
// Masking: whole equals split, and no secret comes through. The first bytes say where the secrets
// and the splits are.
#include "base/buf.h"
#include "runner/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mask *make(struct str a, struct str b)
{
    struct mask *m = mask_new();
    mask_secret(m, a);
    mask_secret(m, b);
    mask_prefix(m, STR("glpat-"));
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > 4096)
        return 0;
    struct str all = str_n((const char *)data + 3, size - 3);
    struct str a = str_head(all, data[0] % 16);
    struct str b = str_head(str_from(all, a.n), data[1] % 16);
    struct str text = str_from(all, a.n + b.n);
    _autobuf_ struct buf whole = BUF_INIT(MIB(1));
    _autobuf_ struct buf split = BUF_INIT(MIB(1));
    struct mask *m = make(a, b);
    mask_feed(m, text, &whole);
    mask_end(m, &whole);
    mask_free(m);
    m = make(a, b);
    size_t step = data[2] % 7 + 1u;
    for (size_t at = 0; at < text.n; at += step)
        mask_feed(m, str_head(str_from(text, at), step), &split);
    mask_end(m, &split);
    mask_free(m);
    BUG_ON(!str_eq(buf_str(&whole), buf_str(&split)));
    return 0;
}
