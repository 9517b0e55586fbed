// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "base/buf.h"
#include "runner/mask.h"

static struct mask *make(void)
{
    struct mask *m = mask_new();
    mask_secret(m, STR("secret"));
    mask_secret(m, STR("secret-longer"));
    mask_secret(m, STR("ecre"));
    mask_secret(m, STR("two\nlines"));
    mask_secret(m, STR("aaab"));
    mask_secret(m, STR(""));
    mask_prefix(m, STR("glpat-"));
    mask_prefix(m, STR("glpat-x-"));
    return m;
}

static const struct {
    const char *in, *out;
} CASES[] = {
    {"", ""},
    {"nothing here", "nothing here"},
    {"secret", "[MASKED]"},
    {"<secret>", "<[MASKED]>"},
    {"secretsecret", "[MASKED][MASKED]"},
    {"secret-longer", "[MASKED]"},
    {"secret-longe", "[MASKED]-longe"},
    {"secret-long secret-longer", "[MASKED]-long [MASKED]"},
    {"ssecret", "s[MASKED]"},
    {"secre", "s[MASKED]"},
    {"secr", "secr"},
    {"aaaaab", "aa[MASKED]"},
    {"one two\nlines three", "one [MASKED] three"},
    {"two\nline", "two\nline"},
    {"glpat-abc.def end", "glpat-[MASKED] end"},
    {"glpat- end", "glpat- end"},
    {"xglpat-abc", "xglpat-abc"},
    {"(glpat-abc)", "(glpat-[MASKED])"},
    {"glpat-x-12 glpat-x", "glpat-x-[MASKED] glpat-[MASKED]"},
    {"secret\nsecret\n", "[MASKED]\n[MASKED]\n"},
};

static void whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct mask *m = make();
        _autobuf_ struct buf out = BUF_INIT(4096);
        mask_feed(m, str_of(CASES[i].in), &out);
        mask_end(m, &out);
        assert_str(buf_str(&out), CASES[i].out);
        mask_free(m);
    }
}

// The prime property: any split gives what the whole gives.
static void split_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct str in = str_of(CASES[i].in);
        for (size_t a = 0; a <= in.n; a++)
            for (size_t b = a; b <= in.n; b++) {
                struct mask *m = make();
                _autobuf_ struct buf out = BUF_INIT(4096);
                mask_feed(m, str_head(in, a), &out);
                mask_feed(m, str_n(in.p + a, b - a), &out);
                mask_feed(m, str_n(in.p + b, in.n - b), &out);
                mask_end(m, &out);
                assert_str(buf_str(&out), CASES[i].out);
                mask_free(m);
            }
    }
}

static void nothing_is_held_without_need(void **state)
{
    (void)state;
    struct mask *m = make();
    _autobuf_ struct buf out = BUF_INIT(4096);
    mask_feed(m, STR("a line\n"), &out);
    assert_str(buf_str(&out), "a line\n");
    buf_clear(&out);
    mask_feed(m, STR("prompt sec"), &out);
    assert_str(buf_str(&out), "prompt ");
    buf_clear(&out);
    mask_feed(m, STR("ond"), &out);
    assert_str(buf_str(&out), "second");
    mask_free(m);
}

RUN_TESTS(cmocka_unit_test(whole), cmocka_unit_test(split_anywhere),
          cmocka_unit_test(nothing_is_held_without_need))
