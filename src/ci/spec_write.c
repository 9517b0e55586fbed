// SPDX-License-Identifier: Apache-2.0
// Writes the JSON that the engine keeps in rows of pipelines; spec.c reads it. Pure; the text lives
// in the caller's arena.
#include "base/jout.h"
#include "ci/engine_impl.h"

struct str vars_to_json(struct arena *a, const struct ci_var *vars, size_t n)
{
    _autobuf_ struct buf b = BUF_INIT(MIB(16));
    struct jout j;
    jout_begin(&j, &b);
    jout_array(&j);
    for (size_t i = 0; i < n; i++) {
        jout_object(&j);
        jout_kstr(&j, "key", vars[i].key);
        jout_kstr(&j, "value", vars[i].value);
        jout_kbool(&j, "file", vars[i].file);
        jout_kbool(&j, "raw", vars[i].raw);
        jout_kbool(&j, "masked", vars[i].masked);
        jout_end_object(&j);
    }
    jout_end_array(&j);
    return arena_str(a, buf_str(&b));
}

struct str facts_to_json(struct arena *a, const struct pipeline_facts *f,
                         const struct ci_lines *stages)
{
    _autobuf_ struct buf b = BUF_INIT(MIB(16));
    struct jout j;
    jout_begin(&j, &b);
    jout_object(&j);
    jout_kbool(&j, "on_job_failure_all", f->on_job_failure_all);
    jout_kint(&j, "on_new_commit", f->on_new_commit);
    jout_kstr(&j, "commit_message", f->commit_message);
    jout_kstr(&j, "commit_author", f->commit_author);
    jout_kstr(&j, "commit_time", f->commit_time);
    jout_kstr(&j, "tag_message", f->tag_message);
    jout_key(&j, "stages");
    jout_array(&j);
    for (size_t i = 0; stages && i < stages->n; i++)
        jout_str(&j, stages->list[i]);
    jout_end_array(&j);
    jout_end_object(&j);
    return arena_str(a, buf_str(&b));
}
