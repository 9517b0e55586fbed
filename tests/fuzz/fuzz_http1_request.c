// SPDX-License-Identifier: Apache-2.0
// Requests of any bytes: the parser stays within them, and says the same however they are split.
// The first byte chooses the split.
#include "../unit/codec/http1_lib.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1 || n > KIB(48))
        return 0;
    struct str in = str_n((const char *)data + 1, n - 1);
    struct http1_parser p;
    struct transcript whole, split;
    http1_request_init(&p, &HTTP1_LIMITS_DEFAULT);
    transcribe(&whole, &p, in, 0, NULL);
    http1_request_init(&p, &HTTP1_LIMITS_DEFAULT);
    transcribe(&split, &p, in, data[0] % 64 + 1 + n / 512, NULL);
    BUG_ON(!str_eq(buf_str(&whole.text), buf_str(&split.text)));
    buf_done(&whole.text);
    buf_done(&split.text);
    return 0;
}
