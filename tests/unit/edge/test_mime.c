// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "edge/mime.h"

static void types_by_extension(void **state)
{
    (void)state;
    static const struct {
        const char *name, *want;
    } CASES[] = {
        {"index.html", "text/html; charset=utf-8"},
        {"A.CSS", "text/css; charset=utf-8"},
        {"a.b.js", "text/javascript; charset=utf-8"},
        {"x.7z", "application/x-7z-compressed"},
        {"x.zst", "application/zstd"},
        {"x.png", "image/png"},
        {"x.svg", "image/svg+xml; charset=utf-8"},
        {"x.wasm", "application/wasm"},
        {"x.woff2", "font/woff2"},
        {"x.mjs", "text/javascript; charset=utf-8"},
        {"x.map", "application/json; charset=utf-8"},
        {"x.jsonld", "application/ld+json; charset=utf-8"},
        {"x.tiff", "image/tiff"},
        {"x.gz", "application/gzip"},
        {"x.cast", "application/x-asciicast"},
        {"README", "application/octet-stream"},
        {"x.", "application/octet-stream"},
        {"x.unknown", "application/octet-stream"},
        {"x.anextensionthatistoolong", "application/octet-stream"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++)
        assert_string_equal(mime_type(str_of(CASES[i].name)), CASES[i].want);
    assert_true(mime_is_text("text/html; charset=utf-8"));
    assert_false(mime_is_text("image/png"));
}

RUN_TESTS(cmocka_unit_test(types_by_extension))
