// SPDX-License-Identifier: Apache-2.0
// Responses of any bytes, as answers to GET, HEAD or CONNECT: the parser stays within them, and
// says the same however they are split. The first byte chooses method and split.
#include "../unit/codec/http1_lib.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const methods[] = {"GET", "HEAD", "CONNECT", "POST"};
    if (n < 1 || n > KIB(48))
        return 0;
    const char *method = methods[data[0] & 3];
    struct str in = str_n((const char *)data + 1, n - 1);
    struct http1_parser p;
    struct transcript whole, split;
    http1_response_init(&p, &HTTP1_LIMITS_DEFAULT);
    transcribe(&whole, &p, in, 0, method);
    http1_response_init(&p, &HTTP1_LIMITS_DEFAULT);
    transcribe(&split, &p, in, (size_t)(data[0] >> 2) + 1 + n / 512, method);
    BUG_ON(!str_eq(buf_str(&whole.text), buf_str(&split.text)));
    buf_done(&whole.text);
    buf_done(&split.text);
    return 0;
}
