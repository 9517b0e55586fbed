// SPDX-License-Identifier: Apache-2.0
// Query, form and JSON parameters, and path decoding. The first byte chooses which.
#include "api/param.h"
#include "api/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct param decl[] = {
    REQ("name", STR, "", .max = 10), OPT("visibility", STR, "", .values = "private|public"),
    OPT("count", INT, ""),           OPT("flag", BOOL, ""),
    OPT("when", TIME, ""),           OPT("scopes", STRS, ""),
    OPT("info", JSON, ""),           {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1 || n > KIB(64))
        return 0;
    struct arena a;
    struct params p;
    struct str text = str_n((const char *)data + 1, n - 1), out;
    arena_init(&a, MIB(64));
    switch (data[0] % 4) {
    case 0:
        (void)!params_read(&p, decl, &a, text, STR_NONE, STR_NONE, NULL);
        break;
    case 1:
        (void)!params_read(&p, decl, &a, STR_NONE, STR("application/json"), text, NULL);
        break;
    case 2:
        (void)!params_read(&p, decl, &a, STR_NONE, STR("application/x-www-form-urlencoded"), text,
                           NULL);
        break;
    default:
        if (api_path_decode(&a, text, &out) == API_DECODE_OK)
            BUG_ON(str_has_control(out) || !str_is_utf8(out));
    }
    arena_done(&a);
    return 0;
}
