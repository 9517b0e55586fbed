// SPDX-License-Identifier: Apache-2.0
// URLs of any bytes: no path that passes the check decodes to something that climbs out; what is
// encoded decodes to itself; parsing stays within the bytes.
#include "codec/url.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void safe_segment(struct str seg)
{
    BUG_ON(seg.n == 0 || str_has_control(seg) || !str_is_utf8(seg) || str_find(seg, '\\') >= 0);
    for (struct str rest = seg, part; str_cut(&rest, '/', &part);)
        BUG_ON(str_eq(part, STR("..")) || str_eq(part, STR(".")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > KIB(16))
        return 0;
    char *copy = malloc(n + !n);
    memcpy(copy, data, n);
    struct str in = str_n(copy, n);
    struct err e;
    _autoarena_ struct arena a;
    arena_init(&a, MIB(4));

    struct url_path path;
    if (url_path_split(in, &a, &path, &e) == 0) {
        BUG_ON(url_path_check(in, &e) < 0);
        for (size_t i = 0; i < path.n; i++)
            safe_segment(path.seg[i]);
    }

    _autobuf_ struct buf coded = BUF_INIT(MIB(1)), plain = BUF_INIT(MIB(1));
    url_encode(&coded, in);
    bool has_nul = n && memchr(copy, 0, n);
    int rc = url_decode(&plain, buf_str(&coded), true, &e);
    BUG_ON(has_nul != (rc < 0));
    BUG_ON(!has_nul && !str_eq(buf_str(&plain), in));

    for (struct str rest = in, k, v; url_query_next(&rest, &k, &v);) {
        struct str value;
        (void)url_query_get(in, k, &a, &value);
        if (a.total > MIB(2))
            break;
    }
    struct url u;
    if (url_parse(in, &u, &e) == 0)
        BUG_ON(u.host.n == 0 || u.path.p[0] != '/');
    free(copy);
    return 0;
}
