// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/json_write.h"

static void writes_nested_values(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(4));
    struct json_out j;
    json_begin(&j, &b);
    json_object(&j);
    json_kint(&j, "id", -5);
    json_key(&j, "list");
    json_array(&j);
    json_bool(&j, true);
    json_null(&j);
    json_object(&j);
    json_end_object(&j);
    json_array(&j);
    json_end_array(&j);
    json_end_array(&j);
    json_ktime(&j, "at", 784111777123);
    json_ktime(&j, "never", 0);
    json_end_object(&j);
    assert_str(buf_str(&b), "{\"id\":-5,\"list\":[true,null,{},[]],\"at\":\"1994-11-06T08:49:37."
                            "123Z\",\"never\":null}");
}

static void escapes_and_repairs(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(4));
    struct json_out j;
    json_begin(&j, &b);
    json_str(&j, STR("a\"\\\n\x01\xc3\xa9\xff\xe2\x82"));
    assert_str(buf_str(&b), "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

RUN_TESTS(cmocka_unit_test(writes_nested_values), cmocka_unit_test(escapes_and_repairs))
