// SPDX-License-Identifier: Apache-2.0
// Writes the JSON that the engine keeps in rows of pipelines; spec.c reads it. Pure; the text lives
// in the caller's arena.
#include "base/json_write.h"
#include "ci/engine_impl.h"

struct str vars_to_json(struct arena *a, const struct ci_var *vars, size_t n)
{
    _autobuf_ struct buf b = BUF_INIT(MIB(16));
    struct json_out j;
    json_begin(&j, &b);
    json_array(&j);
    for (size_t i = 0; i < n; i++) {
        json_object(&j);
        json_kstr(&j, "key", vars[i].key);
        json_kstr(&j, "value", vars[i].value);
        json_kbool(&j, "file", vars[i].file);
        json_kbool(&j, "raw", vars[i].raw);
        json_kbool(&j, "masked", vars[i].masked);
        json_end_object(&j);
    }
    json_end_array(&j);
    return arena_str(a, buf_str(&b));
}

struct str facts_to_json(struct arena *a, const struct pipeline_facts *f,
                         const struct ci_lines *stages)
{
    _autobuf_ struct buf b = BUF_INIT(MIB(16));
    struct json_out j;
    json_begin(&j, &b);
    json_object(&j);
    json_kbool(&j, "on_job_failure_all", f->on_job_failure_all);
    json_kint(&j, "on_new_commit", f->on_new_commit);
    json_kstr(&j, "commit_message", f->commit_message);
    json_kstr(&j, "commit_author", f->commit_author);
    json_kstr(&j, "commit_time", f->commit_time);
    json_kstr(&j, "tag_message", f->tag_message);
    json_key(&j, "stages");
    json_array(&j);
    for (size_t i = 0; stages && i < stages->n; i++)
        json_str(&j, stages->list[i]);
    json_end_array(&j);
    json_end_object(&j);
    return arena_str(a, buf_str(&b));
}
