// SPDX-License-Identifier: Apache-2.0
// A job as any server might send it: read, then turned into the scripts that would run.
#include "base/buf.h"
#include "runner/job.h"
#include "runner/script.h"
#include "runner/vars.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct job j;
    struct err e = ERR_INIT;
    arena_init(&a, MIB(64));
    if (size < 100000 && job_parse(str_n((const char *)data, size), &a, &j, &e) == 0) {
        struct vars v;
        _autobuf_ struct buf text = BUF_INIT(MIB(16));
        vars_init(&v, &a, STR("/files"));
        for (size_t i = 0; i < j.nvars; i++)
            if (!vars_set(&v, j.vars[i].key, j.vars[i].value, j.vars[i].raw, j.vars[i].file))
                break;
        vars_expand(&v, NULL);
        for (size_t i = 0; i < j.nsteps; i++)
            script_step(&text, j.steps[i].script, j.steps[i].nscript, true, false);
        vars_done(&v);
    }
    arena_done(&a);
    return 0;
}
