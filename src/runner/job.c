// SPDX-License-Identifier: Apache-2.0
// Reads a job from the server's JSON. The server is trusted to name jobs but not to be free of
// bugs: every type is checked, and absent or null parts mean "none". Called by the thread that
// polls.
#include "runner/job.h"

#include <jansson.h>

struct reader {
    struct arena *a;
    struct err *e;
    int rc; // first failure; everything after it is skipped
};

static json_t *field(struct reader *r, json_t *o, const char *path, const char *key, json_type type,
                     bool must)
{
    json_t *v = json_object_get(o, key);
    if (r->rc < 0)
        return NULL;
    if (!v || json_is_null(v)) {
        if (must)
            r->rc = err_set(r->e, E_INVALID, "the job has no %s%s", path, key);
        return NULL;
    }
    bool boolean = type == JSON_TRUE && json_is_boolean(v);
    if (!boolean && json_typeof(v) != type) {
        r->rc = err_set(r->e, E_INVALID, "the job's %s%s has the wrong type", path, key);
        return NULL;
    }
    return v;
}

static struct str text(struct reader *r, json_t *v)
{
    return arena_str(r->a, str_n(json_string_value(v), json_string_length(v)));
}

static struct str get_str(struct reader *r, json_t *o, const char *path, const char *key, bool must)
{
    json_t *v = field(r, o, path, key, JSON_STRING, must);
    return v ? text(r, v) : STR("");
}

static int64_t get_int(struct reader *r, json_t *o, const char *path, const char *key, bool must)
{
    json_t *v = field(r, o, path, key, JSON_INTEGER, must);
    return v ? (int64_t)json_integer_value(v) : 0;
}

static bool get_bool(struct reader *r, json_t *o, const char *path, const char *key, bool otherwise)
{
    json_t *v = field(r, o, path, key, JSON_TRUE, false);
    return v ? json_is_true(v) : otherwise;
}

static json_t *get_list(struct reader *r, json_t *o, const char *path, const char *key,
                        size_t *ret_n)
{
    json_t *v = field(r, o, path, key, JSON_ARRAY, false);
    *ret_n = v ? json_array_size(v) : 0;
    return v;
}

static struct str *get_strs(struct reader *r, json_t *o, const char *path, const char *key,
                            size_t *ret_n)
{
    json_t *v = get_list(r, o, path, key, ret_n);
    struct str *out = ARENA_ARRAY(r->a, struct str, *ret_n + 1);
    for (size_t i = 0; i < *ret_n && r->rc == 0; i++) {
        json_t *item = json_array_get(v, i);
        if (!json_is_string(item))
            r->rc = err_set(r->e, E_INVALID, "the job's %s%s holds something else than text", path,
                            key);
        else
            out[i] = text(r, item);
    }
    return out;
}

static void read_vars(struct reader *r, json_t *root, struct job *j)
{
    json_t *list = get_list(r, root, "", "variables", &j->nvars);
    j->vars = ARENA_ARRAY(r->a, struct job_var, j->nvars + 1);
    for (size_t i = 0; i < j->nvars && r->rc == 0; i++) {
        json_t *o = json_array_get(list, i);
        j->vars[i] = (struct job_var){
            .key = get_str(r, o, "variables[].", "key", true),
            .value = get_str(r, o, "variables[].", "value", false),
            .is_public = get_bool(r, o, "variables[].", "public", false),
            .file = get_bool(r, o, "variables[].", "file", false),
            .masked = get_bool(r, o, "variables[].", "masked", false),
            .raw = get_bool(r, o, "variables[].", "raw", false),
        };
    }
}

static void read_steps(struct reader *r, json_t *root, struct job *j)
{
    json_t *list = get_list(r, root, "", "steps", &j->nsteps);
    j->steps = ARENA_ARRAY(r->a, struct job_step, j->nsteps + 1);
    for (size_t i = 0; i < j->nsteps && r->rc == 0; i++) {
        json_t *o = json_array_get(list, i);
        struct job_step *s = &j->steps[i];
        s->name = get_str(r, o, "steps[].", "name", true);
        s->script = get_strs(r, o, "steps[].", "script", &s->nscript);
        s->when = get_str(r, o, "steps[].", "when", false);
        s->timeout_s = get_int(r, o, "steps[].", "timeout", false);
        s->allow_failure = get_bool(r, o, "steps[].", "allow_failure", false);
    }
}

static void read_artifacts(struct reader *r, json_t *root, struct job *j)
{
    static const char P[] = "artifacts[].";
    json_t *list = get_list(r, root, "", "artifacts", &j->nartifacts);
    j->artifacts = ARENA_ARRAY(r->a, struct job_artifact, j->nartifacts + 1);
    for (size_t i = 0; i < j->nartifacts && r->rc == 0; i++) {
        json_t *o = json_array_get(list, i);
        struct job_artifact *a = &j->artifacts[i];
        a->name = get_str(r, o, P, "name", false);
        a->when = get_str(r, o, P, "when", false);
        a->type = get_str(r, o, P, "artifact_type", false);
        a->format = get_str(r, o, P, "artifact_format", false);
        a->expire_in = get_str(r, o, P, "expire_in", false);
        a->paths = get_strs(r, o, P, "paths", &a->npaths);
        a->exclude = get_strs(r, o, P, "exclude", &a->nexclude);
        a->untracked = get_bool(r, o, P, "untracked", false);
    }
}

static void read_dependencies(struct reader *r, json_t *root, struct job *j)
{
    static const char P[] = "dependencies[].";
    json_t *list = get_list(r, root, "", "dependencies", &j->ndeps);
    j->deps = ARENA_ARRAY(r->a, struct job_dependency, j->ndeps + 1);
    for (size_t i = 0; i < j->ndeps && r->rc == 0; i++) {
        json_t *o = json_array_get(list, i);
        json_t *file = field(r, o, P, "artifacts_file", JSON_OBJECT, false);
        j->deps[i] = (struct job_dependency){
            .id = get_int(r, o, P, "id", true),
            .token = get_str(r, o, P, "token", false),
            .name = get_str(r, o, P, "name", false),
            .filename = get_str(r, file, P, "filename", false),
            .size = get_int(r, file, P, "size", false),
        };
    }
}

static void read_all(struct reader *r, json_t *root, struct job *j)
{
    j->id = get_int(r, root, "", "id", true);
    j->token = get_str(r, root, "", "token", true);
    j->allow_git_fetch = get_bool(r, root, "", "allow_git_fetch", true);

    json_t *info = field(r, root, "", "job_info", JSON_OBJECT, false);
    j->name = get_str(r, info, "job_info.", "name", false);
    j->stage = get_str(r, info, "job_info.", "stage", false);
    j->project_id = get_int(r, info, "job_info.", "project_id", false);
    j->pipeline_id = get_int(r, info, "job_info.", "pipeline_id", false);
    j->project_name = get_str(r, info, "job_info.", "project_name", false);
    j->project_path = get_str(r, info, "job_info.", "project_full_path", false);

    json_t *git = field(r, root, "", "git_info", JSON_OBJECT, false);
    j->repo_url = get_str(r, git, "git_info.", "repo_url", false);
    j->ref = get_str(r, git, "git_info.", "ref", false);
    j->sha = get_str(r, git, "git_info.", "sha", false);
    j->before_sha = get_str(r, git, "git_info.", "before_sha", false);
    j->ref_type = get_str(r, git, "git_info.", "ref_type", false);
    j->refspecs = get_strs(r, git, "git_info.", "refspecs", &j->nrefspecs);
    j->depth = get_int(r, git, "git_info.", "depth", false);

    json_t *runner = field(r, root, "", "runner_info", JSON_OBJECT, false);
    j->timeout_s = get_int(r, runner, "runner_info.", "timeout", false);

    read_vars(r, root, j);
    read_steps(r, root, j);
    read_artifacts(r, root, j);
    read_dependencies(r, root, j);

    json_t *image = json_object_get(root, "image");
    const char *image_name = json_string_value(json_object_get(image, "name"));
    j->has_image = image_name && *image_name;
    j->has_services = json_array_size(json_object_get(root, "services")) > 0;
    j->has_cache = json_array_size(json_object_get(root, "cache")) > 0;
    const char *run = json_string_value(json_object_get(root, "run"));
    j->has_run = run && *run;

    json_t *features = field(r, root, "", "features", JSON_OBJECT, false);
    j->trace_sections = get_bool(r, features, "features.", "trace_sections", false);
    j->mask_prefixes =
        get_strs(r, features, "features.", "token_mask_prefixes", &j->nmask_prefixes);
    j->failure_reasons =
        get_strs(r, features, "features.", "failure_reasons", &j->nfailure_reasons);
}

int job_parse(struct str json, struct arena *a, struct job *ret, struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(json.p ? json.p : "", json.n, 0, &why);
    if (!root)
        return err_set(e, E_INVALID, "the job is not JSON: %s (line %d, column %d)", why.text,
                       why.line, why.column);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(e, E_INVALID, "the job is not a JSON object");
    }
    struct reader r = {a, e, 0};
    struct job j = {0};
    read_all(&r, root, &j);
    json_decref(root);
    if (r.rc == 0 && j.has_run)
        r.rc = err_set(e, E_INVALID, "the job uses `run:` steps, which this runner does not have");
    // What was read up to an error still tells which job to report it for.
    *ret = j;
    return r.rc;
}

const struct job_var *job_var(const struct job *j, const char *key)
{
    for (size_t i = j->nvars; i-- > 0;)
        if (str_is(j->vars[i].key, key))
            return &j->vars[i];
    return NULL;
}

bool job_knows_reason(const struct job *j, const char *reason)
{
    static const char *const ALWAYS[] = {"script_failure", "runner_system_failure",
                                         "job_execution_timeout"};
    for (size_t i = 0; i < ARRAY_SIZE(ALWAYS); i++)
        if (!strcmp(reason, ALWAYS[i]))
            return true;
    for (size_t i = 0; i < j->nfailure_reasons; i++)
        if (str_is(j->failure_reasons[i], reason))
            return true;
    return false;
}
