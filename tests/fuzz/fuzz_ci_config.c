// SPDX-License-Identifier: Apache-2.0
// Any bytes as a configuration: a plan, or errors that have a text; never both, never neither.
#include "ci/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct ci_var vars[] = {{.key = STR("CI_COMMIT_BRANCH"), .value = STR("main")},
                                   {.key = STR("A"), .value = STR("x"), .level = CI_VAR_PROJECT}};
    const struct ci_context ctx = {
        .ref = STR("main"), .source = STR("push"), .vars = vars, .nvars = ARRAY_SIZE(vars)};
    if (n > KIB(64))
        return 0;
    _autoarena_ struct arena a;
    struct ci_plan plan;
    arena_init(&a, n % 2 ? MIB(1) : CI_ARENA_BYTES); // too small a one is an error, not the end
    int rc = ci_plan(&a, str_n((const char *)data, n), &ctx, &plan);
    BUG_ON((rc != 0) != (plan.errors.n != 0));
    for (size_t i = 0; i < plan.errors.n; i++)
        BUG_ON(!plan.errors.list[i].msg.n);
    BUG_ON(!rc && !plan.njobs && !plan.none_because.n);
    for (size_t i = 0; !rc && i < plan.njobs; i++)
        for (size_t k = 0; k < plan.jobs[i].nneeds; k++)
            BUG_ON(plan.jobs[i].needs[k].job >= plan.njobs);
    return 0;
}
