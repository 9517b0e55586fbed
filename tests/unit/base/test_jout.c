// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/jout.h"

static void writes_nested_values(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(4));
    struct jout j;
    jout_begin(&j, &b);
    jout_object(&j);
    jout_kint(&j, "id", -5);
    jout_key(&j, "list");
    jout_array(&j);
    jout_bool(&j, true);
    jout_null(&j);
    jout_object(&j);
    jout_end_object(&j);
    jout_array(&j);
    jout_end_array(&j);
    jout_end_array(&j);
    jout_ktime(&j, "at", 784111777123);
    jout_ktime(&j, "never", 0);
    jout_end_object(&j);
    assert_str(buf_str(&b), "{\"id\":-5,\"list\":[true,null,{},[]],\"at\":\"1994-11-06T08:49:37."
                            "123Z\",\"never\":null}");
}

static void escapes_and_repairs(void **state)
{
    _autobuf_ struct buf b = BUF_INIT(KIB(4));
    struct jout j;
    jout_begin(&j, &b);
    jout_str(&j, STR("a\"\\\n\x01\xc3\xa9\xff\xe2\x82"));
    assert_str(buf_str(&b), "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

RUN_TESTS(cmocka_unit_test(writes_nested_values), cmocka_unit_test(escapes_and_repairs))
