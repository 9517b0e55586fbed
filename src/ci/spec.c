// SPDX-License-Identifier: Apache-2.0
// The JSON that the engine keeps in rows: a job's options as plan.c wrote them, a pipeline's
// variables and facts. Reads only what this program wrote, but checks every type all the same: a
// database may be older or newer. Results live in the caller's arena. (Writing is in spec_write.c:
// jansson and the streaming writer share some names.)
#include "ci/engine_impl.h"

#include <jansson.h>

#define _autojson_ _cleanup_(json_put)
static void json_put(json_t **j)
{
    json_decref(*j);
}

static int load(struct str text, json_t **ret, struct err *e)
{
    json_error_t why;
    *ret = json_loadb(text.p ? text.p : "", text.n, JSON_ALLOW_NUL, &why);
    if (!*ret)
        return err_set(e, E_INVALID, "a stored configuration cannot be read: %s", why.text);
    return 0;
}

static struct str text_of(struct arena *a, const json_t *v)
{
    if (!json_is_string(v))
        return STR_NONE;
    return arena_str(a, str_n(json_string_value(v), json_string_length(v)));
}

static struct str get_text(struct arena *a, const json_t *o, const char *key)
{
    return text_of(a, json_object_get(o, key));
}

static bool get_bool(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static struct ci_lines get_lines(struct arena *a, const json_t *o, const char *key)
{
    const json_t *list = json_object_get(o, key);
    size_t n = json_array_size(list);
    struct ci_lines r = {ARENA_ARRAY(a, struct str, n), n, json_is_array(list)};
    for (size_t i = 0; i < n; i++)
        r.list[i] = text_of(a, json_array_get(list, i));
    return r;
}

static int64_t *get_ints(struct arena *a, const json_t *o, const char *key, size_t *ret_n)
{
    const json_t *list = json_object_get(o, key);
    *ret_n = json_array_size(list);
    int64_t *r = ARENA_ARRAY(a, int64_t, *ret_n);
    for (size_t i = 0; i < *ret_n; i++)
        r[i] = json_integer_value(json_array_get(list, i));
    return r;
}

static enum ci_var_level level_of(const json_t *v)
{
    const char *name = json_string_value(json_object_get(v, "level"));
    for (int l = CI_VAR_GLOBAL; name && l <= CI_VAR_RULES; l++)
        if (!strcmp(name, ci_var_level_name((enum ci_var_level)l)))
            return (enum ci_var_level)l;
    return CI_VAR_JOB;
}

static struct ci_var read_var(struct arena *a, const json_t *v, enum ci_var_level level)
{
    return (struct ci_var){.key = get_text(a, v, "key"),
                           .value = get_text(a, v, "value"),
                           .level = level,
                           .raw = get_bool(v, "raw"),
                           .file = get_bool(v, "file"),
                           .masked = get_bool(v, "masked"),
                           .hidden = get_bool(v, "hidden")};
}

static struct ci_artifacts read_artifacts(struct arena *a, const json_t *o)
{
    struct ci_artifacts f = {.set = json_is_object(o)};
    if (!f.set)
        return f;
    f.name = get_text(a, o, "name");
    f.untracked = get_bool(o, "untracked");
    f.paths = get_lines(a, o, "paths");
    f.exclude = get_lines(a, o, "exclude");
    f.expire_in = get_text(a, o, "expire_in");
    if (f.expire_in.n && !ci_duration(f.expire_in, &f.expire_s))
        f.expire_s = 0;
    if (!ci_when_parse(get_text(a, o, "when"), &f.when))
        f.when = CI_ON_SUCCESS;
    return f;
}

// before_script and script are one list for the runner.
static struct ci_lines read_script(struct arena *a, const json_t *o)
{
    struct ci_lines before = get_lines(a, o, "before_script"), script = get_lines(a, o, "script");
    struct ci_lines r = {ARENA_ARRAY(a, struct str, before.n + script.n), 0, true};
    for (size_t i = 0; i < before.n; i++)
        r.list[r.n++] = before.list[i];
    for (size_t i = 0; i < script.n; i++)
        r.list[r.n++] = script.list[i];
    return r;
}

int spec_parse(struct arena *a, struct str json, struct job_spec *ret, struct err *e)
{
    _autojson_ json_t *o = NULL;
    *ret = (struct job_spec){0};
    TRY(load(json, &o, e));
    const json_t *retry = json_object_get(o, "retry"), *vars = json_object_get(o, "variables");
    ret->script = read_script(a, o);
    ret->after_script = get_lines(a, o, "after_script");
    ret->notes = get_lines(a, o, "notes");
    ret->dependencies = get_lines(a, o, "dependencies");
    ret->has_dependencies = ret->dependencies.set;
    ret->artifacts = read_artifacts(a, json_object_get(o, "artifacts"));
    ret->image = get_text(a, o, "image");
    ret->retry_max = (int)json_integer_value(json_object_get(retry, "max"));
    ret->retry_when = get_lines(a, retry, "when");
    ret->retry_exit_codes = get_ints(a, retry, "exit_codes", &ret->nretry_exit_codes);
    ret->allow_exit_codes = get_ints(a, o, "allow_failure_exit_codes", &ret->nallow_exit_codes);
    size_t n = json_array_size(vars);
    ret->vars = ARENA_ARRAY(a, struct ci_var, n);
    for (size_t i = 0; i < n; i++)
        ret->vars[ret->nvars++] =
            read_var(a, json_array_get(vars, i), level_of(json_array_get(vars, i)));
    return 0;
}

int vars_from_json(struct arena *a, struct str json, enum ci_var_level level, struct ci_var **ret,
                   size_t *ret_n, struct err *e)
{
    _autojson_ json_t *list = NULL;
    *ret = NULL;
    *ret_n = 0;
    if (!json.n)
        return 0;
    TRY(load(json, &list, e));
    size_t n = json_array_size(list);
    *ret = ARENA_ARRAY(a, struct ci_var, n);
    for (size_t i = 0; i < n; i++)
        (*ret)[(*ret_n)++] = read_var(a, json_array_get(list, i), level);
    return 0;
}

int facts_from_json(struct arena *a, struct str json, struct pipeline_facts *ret, struct err *e)
{
    _autojson_ json_t *o = NULL;
    *ret = (struct pipeline_facts){0};
    if (!json.n)
        return 0;
    TRY(load(json, &o, e));
    ret->on_job_failure_all = get_bool(o, "on_job_failure_all");
    ret->on_new_commit = (int)json_integer_value(json_object_get(o, "on_new_commit"));
    ret->commit_message = get_text(a, o, "commit_message");
    ret->commit_author = get_text(a, o, "commit_author");
    ret->commit_time = get_text(a, o, "commit_time");
    ret->tag_message = get_text(a, o, "tag_message");
    return 0;
}
