// SPDX-License-Identifier: Apache-2.0
// The declared shapes of replies, in GitLab's field names, and their JSON Schema form. Constant
// data, read by the OpenAPI writer and by tests; nothing at run time depends on it.
#include "api/schema.h"

#define SHAPE(name_, ...)                                                                          \
    {                                                                                              \
        .name = name_, .fields = (const struct schema_field[])                                     \
        {                                                                                          \
            __VA_ARGS__,                                                                           \
            {                                                                                      \
                0                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

const struct schema api_schemas[] = {
    SHAPE("version", {"version", "string"}, {"revision", "string"}, {"enterprise", "bool"},
          {"kas", "any"}),
    SHAPE("user_basic", {"id", "int"}, {"username", "string"}, {"name", "string"},
          {"state", "string"}, {"locked", "bool"}, {"avatar_url", "string?"},
          {"web_url", "string"}),
    SHAPE("user", {"id", "int"}, {"username", "string"}, {"name", "string"}, {"state", "string"},
          {"locked", "bool"}, {"avatar_url", "string?"}, {"web_url", "string"},
          {"created_at", "time"}, {"bio", "string"}, {"location", "string"},
          {"public_email", "string?"}, {"bot", "bool"}, {"email", "string~"},
          {"commit_email", "string~"}, {"last_activity_on", "date?~"}, {"confirmed_at", "time~"},
          {"identities", "any[]~"}, {"can_create_group", "bool~"}, {"can_create_project", "bool~"},
          {"two_factor_enabled", "bool~"}, {"external", "bool~"}, {"private_profile", "bool~"},
          {"projects_limit", "int~"}, {"is_admin", "bool~"}, {"namespace_id", "int~"}),
    SHAPE("token", {"id", "int"}, {"name", "string"}, {"description", "string?"},
          {"revoked", "bool"}, {"created_at", "time"}, {"scopes", "string[]"}, {"user_id", "int"},
          {"last_used_at", "time?"}, {"active", "bool"}, {"expires_at", "date?"},
          {"token", "string~"}),
    SHAPE("namespace", {"id", "int"}, {"name", "string"}, {"path", "string"}, {"kind", "string"},
          {"full_path", "string"}, {"parent_id", "int?"}, {"avatar_url", "string?"},
          {"web_url", "string"}),
    SHAPE("group", {"id", "int"}, {"name", "string"}, {"path", "string"}, {"description", "string"},
          {"visibility", "string"}, {"full_name", "string"}, {"full_path", "string"},
          {"parent_id", "int?"}, {"avatar_url", "string?"}, {"web_url", "string"},
          {"created_at", "time"}),
    SHAPE("access", {"access_level", "int"}, {"notification_level", "int"}),
    SHAPE("permissions", {"project_access", "access?"}, {"group_access", "access?"}),
    SHAPE("project_links", {"self", "string"}, {"repo_branches", "string"}, {"members", "string"},
          {"events", "string"}),
    SHAPE("project", {"id", "int"}, {"description", "string?"}, {"name", "string"},
          {"name_with_namespace", "string"}, {"path", "string"}, {"path_with_namespace", "string"},
          {"created_at", "time"}, {"default_branch", "string?"}, {"tag_list", "string[]"},
          {"topics", "string[]"}, {"ssh_url_to_repo", "string?"}, {"http_url_to_repo", "string"},
          {"web_url", "string"}, {"readme_url", "string?"}, {"forks_count", "int"},
          {"avatar_url", "string?"}, {"star_count", "int"}, {"last_activity_at", "time"},
          {"namespace", "namespace"}, {"_links", "project_links"}, {"packages_enabled", "bool"},
          {"empty_repo", "bool"}, {"archived", "bool"}, {"visibility", "string"},
          {"owner", "user_basic~"}, {"issues_enabled", "bool"}, {"merge_requests_enabled", "bool"},
          {"wiki_enabled", "bool"}, {"jobs_enabled", "bool"}, {"snippets_enabled", "bool"},
          {"builds_access_level", "string"}, {"repository_access_level", "string"},
          {"pages_access_level", "string"}, {"shared_runners_enabled", "bool"},
          {"group_runners_enabled", "bool"}, {"lfs_enabled", "bool"}, {"creator_id", "int?"},
          {"import_status", "string"}, {"open_issues_count", "int"},
          {"ci_default_git_depth", "int?"}, {"public_jobs", "bool"}, {"build_timeout", "int"},
          {"auto_cancel_pending_pipelines", "string"}, {"ci_config_path", "string?"},
          {"keep_latest_artifact", "bool"}, {"permissions", "permissions~"},
          {"statistics", "any~"}),
    SHAPE("member", {"id", "int"}, {"username", "string"}, {"name", "string"}, {"state", "string"},
          {"locked", "bool"}, {"avatar_url", "string?"}, {"web_url", "string"},
          {"access_level", "int"}, {"created_at", "time"}, {"expires_at", "date?"},
          {"membership_state", "string"}),
    SHAPE("tree_entry", {"id", "string"}, {"name", "string"}, {"type", "string"},
          {"path", "string"}, {"mode", "string"}),
    SHAPE("file", {"file_name", "string"}, {"file_path", "string"}, {"size", "int"},
          {"encoding", "string"}, {"content_sha256", "string"}, {"ref", "string"},
          {"blob_id", "string"}, {"commit_id", "string"}, {"last_commit_id", "string"},
          {"execute_filemode", "bool"}, {"content", "string"}),
    SHAPE("blob", {"size", "int"}, {"encoding", "string"}, {"content", "string"},
          {"sha", "string"}),
    SHAPE("commit", {"id", "string"}, {"short_id", "string"}, {"created_at", "time"},
          {"parent_ids", "string[]"}, {"title", "string"}, {"message", "string"},
          {"author_name", "string"}, {"author_email", "string"}, {"authored_date", "time"},
          {"committer_name", "string"}, {"committer_email", "string"}, {"committed_date", "time"},
          {"trailers", "any"}, {"web_url", "string"}, {"stats", "commit_stats~"},
          {"status", "string?~"}, {"project_id", "int~"}, {"last_pipeline", "pipeline_basic?~"}),
    SHAPE("commit_stats", {"additions", "int"}, {"deletions", "int"}, {"total", "int"}),
    SHAPE("commit_ref", {"type", "string"}, {"name", "string"}),
    SHAPE("diff", {"old_path", "string"}, {"new_path", "string"}, {"a_mode", "string"},
          {"b_mode", "string"}, {"diff", "string"}, {"new_file", "bool"}, {"renamed_file", "bool"},
          {"deleted_file", "bool"}, {"too_large", "bool"}),
    SHAPE("compare", {"commit", "commit?"}, {"commits", "commit[]"}, {"diffs", "diff[]"},
          {"compare_timeout", "bool"}, {"compare_same_ref", "bool"}, {"web_url", "string"}),
    SHAPE("branch", {"name", "string"}, {"commit", "commit"}, {"merged", "bool"},
          {"protected", "bool"}, {"developers_can_push", "bool"}, {"developers_can_merge", "bool"},
          {"can_push", "bool"}, {"default", "bool"}, {"web_url", "string"}),
    SHAPE("tag", {"name", "string"}, {"message", "string?"}, {"target", "string"},
          {"commit", "commit?"}, {"release", "any?"}, {"protected", "bool"},
          {"created_at", "time?"}),
    SHAPE("protection_level", {"id", "int"}, {"access_level", "int"},
          {"access_level_description", "string"}, {"user_id", "int?"}, {"group_id", "int?"}),
    SHAPE("protected_branch", {"id", "int"}, {"name", "string"},
          {"push_access_levels", "protection_level[]"},
          {"merge_access_levels", "protection_level[]"}, {"allow_force_push", "bool"},
          {"unprotect_access_levels", "protection_level[]"},
          {"code_owner_approval_required", "bool"}, {"inherited", "bool"}),
    SHAPE("variable", {"variable_type", "string"}, {"key", "string"}, {"value", "string?"},
          {"hidden", "bool"}, {"protected", "bool"}, {"masked", "bool"}, {"raw", "bool"},
          {"environment_scope", "string"}, {"description", "string?"}),
    SHAPE("pipeline_basic", {"id", "int"}, {"iid", "int"}, {"project_id", "int"}, {"sha", "string"},
          {"ref", "string"}, {"status", "string"}, {"source", "string"}, {"created_at", "time"},
          {"updated_at", "time"}, {"web_url", "string"}, {"name", "string?~"}),
    SHAPE("status", {"icon", "string"}, {"text", "string"}, {"label", "string"},
          {"group", "string"}, {"tooltip", "string"}, {"has_details", "bool"},
          {"details_path", "string"}, {"illustration", "any?"}, {"favicon", "string?"}),
    SHAPE("pipeline", {"id", "int"}, {"iid", "int"}, {"project_id", "int"}, {"sha", "string"},
          {"ref", "string"}, {"status", "string"}, {"source", "string"}, {"created_at", "time"},
          {"updated_at", "time"}, {"web_url", "string"}, {"name", "string?"},
          {"before_sha", "string"}, {"tag", "bool"}, {"yaml_errors", "string?"},
          {"user", "user_basic?"}, {"started_at", "time?"}, {"finished_at", "time?"},
          {"committed_at", "time?"}, {"duration", "int?"}, {"queued_duration", "int?"},
          {"coverage", "string?"}, {"detailed_status", "status"}, {"archived", "bool"},
          {"failure_reason", "string?"}, {"warnings", "string[]"}),
    SHAPE("pipeline_variable", {"variable_type", "string"}, {"key", "string"}, {"value", "string"},
          {"raw", "bool"}),
    SHAPE("artifacts_file", {"filename", "string"}, {"size", "int"}),
    SHAPE("artifact", {"file_type", "string"}, {"size", "int"}, {"filename", "string"},
          {"file_format", "string?"}),
    SHAPE("job_pipeline", {"id", "int"}, {"iid", "int"}, {"project_id", "int"}, {"sha", "string"},
          {"ref", "string"}, {"status", "string"}, {"source", "string"}, {"created_at", "time"},
          {"updated_at", "time"}, {"web_url", "string"}, {"name", "string?~"}),
    SHAPE("job_project", {"ci_job_token_scope_enabled", "bool"}),
    SHAPE("job", {"id", "int"}, {"status", "string"}, {"stage", "string"}, {"name", "string"},
          {"ref", "string"}, {"tag", "bool"}, {"coverage", "number?"}, {"allow_failure", "bool"},
          {"created_at", "time"}, {"started_at", "time?"}, {"finished_at", "time?"},
          {"erased_at", "time?"}, {"duration", "number?"}, {"queued_duration", "number?"},
          {"user", "user_basic?"}, {"commit", "commit?"}, {"pipeline", "job_pipeline"},
          {"web_url", "string"}, {"project", "job_project"}, {"failure_reason", "string~"},
          {"artifacts_file", "artifacts_file~"}, {"artifacts", "artifact[]"}, {"runner", "runner?"},
          {"runner_manager", "any?"}, {"artifacts_expire_at", "time?"}, {"archived", "bool"},
          {"tag_list", "string[]"}),
    SHAPE("runner", {"id", "int"}, {"description", "string?"}, {"ip_address", "string?"},
          {"active", "bool"}, {"paused", "bool"}, {"is_shared", "bool"}, {"runner_type", "string"},
          {"name", "string?"}, {"online", "bool?"}, {"created_at", "time"}, {"created_by", "any?"},
          {"status", "string"}, {"job_execution_status", "string"}),
    SHAPE("runner_details", {"id", "int"}, {"description", "string?"}, {"ip_address", "string?"},
          {"active", "bool"}, {"paused", "bool"}, {"is_shared", "bool"}, {"runner_type", "string"},
          {"name", "string?"}, {"online", "bool?"}, {"created_at", "time"}, {"created_by", "any?"},
          {"status", "string"}, {"job_execution_status", "string"}, {"tag_list", "string[]"},
          {"run_untagged", "bool"}, {"locked", "bool"}, {"maximum_timeout", "int?"},
          {"access_level", "string"}, {"version", "string?"}, {"revision", "string?"},
          {"platform", "string?"}, {"architecture", "string?"}, {"contacted_at", "time?"},
          {"maintenance_note", "string?"}, {"projects", "any[]"}, {"groups", "any[]"}),
    SHAPE("runner_token", {"id", "int"}, {"token", "string"}, {"token_expires_at", "time?"}),
    SHAPE("reset_token", {"token", "string"}, {"token_expires_at", "time?"}),
    SHAPE("job_payload", {"id", "int"}, {"token", "string"}, {"allow_git_fetch", "bool"},
          {"job_info", "any"}, {"git_info", "any"}, {"runner_info", "any"}, {"variables", "any[]"},
          {"steps", "any[]"}, {"image", "any?"}, {"services", "any[]"}, {"artifacts", "any[]?"},
          {"cache", "any[]"}, {"credentials", "any[]"}, {"dependencies", "any[]"},
          {"hooks", "any[]"}, {"features", "any"}, {"inputs", "any[]"}),
    SHAPE("pages", {"url", "string"}, {"is_unique_domain_enabled", "bool"}, {"force_https", "bool"},
          {"primary_domain", "string?"}, {"deployments", "pages_deployment[]"}),
    SHAPE("pages_deployment", {"created_at", "time"}, {"url", "string"}, {"path_prefix", "string?"},
          {"root_directory", "string"}, {"job_id", "int"}, {"files", "int"}, {"size", "int"}),
    SHAPE("lint", {"valid", "bool"}, {"errors", "string[]"}, {"warnings", "string[]"},
          {"merged_yaml", "string?"}, {"includes", "any[]"}, {"jobs", "any[]~"}),
    {0},
};

struct type_word {
    struct str word;
    bool list, null, absent;
};

static struct type_word type_parse(struct str type)
{
    struct type_word t = {.word = type};
    if (str_ends(t.word, STR("~"))) {
        t.absent = true;
        t.word.n--;
    }
    if (str_ends(t.word, STR("?"))) {
        t.null = true;
        t.word.n--;
    }
    if (str_ends(t.word, STR("[]"))) {
        t.list = true;
        t.word.n -= 2;
    }
    return t;
}

const struct schema *schema_find(struct str type)
{
    struct type_word t = type_parse(type);
    for (const struct schema *s = api_schemas; s->name; s++)
        if (str_is(t.word, s->name))
            return s;
    return NULL;
}

static void write_word(struct jout *j, struct str word, bool null)
{
    static const struct {
        const char *word, *type, *format;
    } plain[] = {
        {"int", "integer", "int64"},     {"number", "number", NULL}, {"string", "string", NULL},
        {"time", "string", "date-time"}, {"bool", "boolean", NULL},  {"date", "string", "date"},
    };
    jout_object(j);
    if (null)
        jout_kbool(j, "nullable", true);
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
        if (!str_is(word, plain[i].word))
            continue;
        jout_kcstr(j, "type", plain[i].type);
        if (plain[i].format)
            jout_kcstr(j, "format", plain[i].format);
        jout_end_object(j);
        return;
    }
    if (!str_is(word, "any")) {
        BUG_ON(!schema_find(word));
        char ref[120];
        snprintf(ref, sizeof(ref), "#/components/schemas/%" PRISTR, STRARG(word));
        if (null) { // a $ref stands alone in OpenAPI 3.0
            jout_key(j, "allOf");
            jout_array(j);
            jout_object(j);
            jout_kcstr(j, "$ref", ref);
            jout_end_object(j);
            jout_end_array(j);
        } else {
            jout_kcstr(j, "$ref", ref);
        }
    }
    jout_end_object(j);
}

void schema_write_type(struct jout *j, const char *type)
{
    struct type_word t = type_parse(str_of(type));
    if (!t.list) {
        write_word(j, t.word, t.null);
        return;
    }
    jout_object(j);
    if (t.null)
        jout_kbool(j, "nullable", true);
    jout_kcstr(j, "type", "array");
    jout_key(j, "items");
    write_word(j, t.word, false);
    jout_end_object(j);
}

void schema_write(struct jout *j, const struct schema *s)
{
    jout_object(j);
    jout_kcstr(j, "type", "object");
    jout_kbool(j, "additionalProperties", false);
    jout_key(j, "required");
    jout_array(j);
    for (const struct schema_field *f = s->fields; f->name; f++)
        if (!type_parse(str_of(f->type)).absent)
            jout_cstr(j, f->name);
    jout_end_array(j);
    jout_key(j, "properties");
    jout_object(j);
    for (const struct schema_field *f = s->fields; f->name; f++) {
        jout_key(j, f->name);
        schema_write_type(j, f->type);
    }
    jout_end_object(j);
    jout_end_object(j);
}
