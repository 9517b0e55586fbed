// SPDX-License-Identifier: Apache-2.0
// Turns the route tables into an OpenAPI 3.0.3 document: one operation per route with its
// parameters, body, reply and security. Called once at start by the api object, and by tests.
#include "api/openapi.h"

#include "api/schema.h"
#include "base/json_write.h"

static bool in_body(const struct route *r)
{
    return r->method != API_GET && r->method != API_DELETE;
}

// "/projects/:id/jobs/*path" -> "/projects/{id}/jobs/{path}"
static void write_path_key(struct buf *b, const char *pattern)
{
    struct str rest = str_from(str_of(pattern), sizeof("/api/v4/") - 1), segment;
    if (!rest.n)
        buf_addc(b, '/');
    while (str_cut(&rest, '/', &segment)) {
        buf_addc(b, '/');
        bool param = segment.n && (segment.p[0] == ':' || segment.p[0] == '*');
        if (param)
            buf_addf(b, "{%" PRISTR "}", STRARG(str_from(segment, 1)));
        else
            buf_add(b, segment);
    }
}

static void write_type(struct json_out *j, const struct param *p)
{
    static const struct {
        const char *type, *format;
    } plain[] = {
        [TYPE_STR] = {"string", NULL},      [TYPE_INT] = {"integer", "int64"},
        [TYPE_BOOL] = {"boolean", NULL},    [TYPE_TIME] = {"string", "date-time"},
        [TYPE_STRS] = {"array", NULL},      [TYPE_JSON] = {NULL, NULL},
        [TYPE_FILE] = {"string", "binary"},
    };
    json_object(j);
    if (plain[p->type].type)
        json_kcstr(j, "type", plain[p->type].type);
    if (plain[p->type].format)
        json_kcstr(j, "format", plain[p->type].format);
    if (p->type == TYPE_STRS) {
        json_key(j, "items");
        json_object(j);
        json_kcstr(j, "type", "string");
    }
    if (p->values) {
        json_key(j, "enum");
        json_array(j);
        for (struct str rest = str_of(p->values), one; str_cut(&rest, '|', &one);)
            json_str(j, one);
        json_end_array(j);
    }
    if (p->type == TYPE_STRS)
        json_end_object(j);
    if (p->doc)
        json_kcstr(j, "description", p->doc);
    json_end_object(j);
}

static void write_parameter(struct json_out *j, const char *in, struct str name, const char *doc,
                            bool required, const struct param *p)
{
    static const struct param integer = {.type = TYPE_INT}, text = {.type = TYPE_STR};
    json_object(j);
    json_kstr(j, "name", name);
    json_kcstr(j, "in", in);
    json_kbool(j, "required", required);
    if (doc)
        json_kcstr(j, "description", doc);
    json_key(j, "schema");
    bool number = !p && str_is(name, "page");
    write_type(j, p ? p : number || str_is(name, "per_page") ? &integer : &text);
    json_end_object(j);
}

static void write_parameters(struct json_out *j, const struct route *r)
{
    json_key(j, "parameters");
    json_array(j);
    struct str rest = str_from(str_of(r->pattern), 1), segment;
    while (str_cut(&rest, '/', &segment))
        if (segment.n && (segment.p[0] == ':' || segment.p[0] == '*'))
            write_parameter(j, "path", str_from(segment, 1), NULL, true, NULL);
    for (const struct param *p = r->params; !in_body(r) && p && p->name; p++)
        write_parameter(j, "query", str_of(p->name), p->doc, p->required, p);
    if (r->paged) {
        write_parameter(j, "query", STR("page"), "Page, from 1.", false, NULL);
        write_parameter(j, "query", STR("per_page"), "Items on a page, at most 100.", false, NULL);
    }
    json_end_array(j);
}

static void write_body(struct json_out *j, const struct route *r)
{
    if (!in_body(r) || !r->params)
        return;
    bool required = false, file = false;
    for (const struct param *p = r->params; p->name; p++) {
        required |= p->required;
        file |= p->type == TYPE_FILE;
    }
    json_key(j, "requestBody");
    json_object(j);
    json_kbool(j, "required", required);
    json_key(j, "content");
    json_object(j);
    json_key(j, file ? "multipart/form-data" : "application/json");
    json_object(j);
    json_key(j, "schema");
    json_object(j);
    json_kcstr(j, "type", "object");
    if (required) {
        json_key(j, "required");
        json_array(j);
        for (const struct param *p = r->params; p->name; p++)
            if (p->required)
                json_cstr(j, p->name);
        json_end_array(j);
    }
    json_key(j, "properties");
    json_object(j);
    for (const struct param *p = r->params; p->name; p++) {
        json_key(j, p->name);
        write_type(j, p);
    }
    for (int i = 0; i < 5; i++)
        json_end_object(j);
}

static void write_replies(struct json_out *j, const struct route *r)
{
    int status = r->status ? r->status : (r->method == API_POST ? 201 : 200);
    char code[8];
    snprintf(code, sizeof(code), "%d", status);
    json_key(j, "responses");
    json_object(j);
    json_key(j, code);
    json_object(j);
    json_kcstr(j, "description", status == 204 ? "Done; no content." : "Success.");
    if (r->reply || r->reply_type) {
        json_key(j, "content");
        json_object(j);
        json_key(j, r->reply_type ? r->reply_type : "application/json");
        json_object(j);
        json_key(j, "schema");
        if (r->reply) {
            schema_write_type(j, r->reply);
        } else {
            json_object(j);
            json_kcstr(j, "type", "string");
            json_kcstr(j, "format", "binary");
            json_end_object(j);
        }
        json_end_object(j);
        json_end_object(j);
    }
    json_end_object(j);
    json_key(j, "default");
    json_object(j);
    json_kcstr(j, "description", "An error: a JSON object with `message` or `error`.");
    json_end_object(j);
    json_end_object(j);
}

static void write_operation(struct json_out *j, const struct route *r, const char *tag)
{
    static const char *const lower[] = {"get", "post", "put", "patch", "delete"};
    json_key(j, lower[r->method]);
    json_object(j);
    json_kcstr(j, "summary", r->doc);
    json_key(j, "tags");
    json_array(j);
    json_cstr(j, tag);
    json_end_array(j);
    json_kcstr(j, "x-role", api_role_name(r->role));
    json_kcstr(j, "x-scope", api_need_name(r->scope));
    if (r->scope != NEED_NONE) {
        json_key(j, "security");
        json_array(j);
        static const char *const schemes[] = {"private_token", "bearer", "job_token"};
        for (int i = 0; i < (r->job_token ? 3 : 2); i++) {
            json_object(j);
            json_key(j, schemes[i]);
            json_array(j);
            json_end_array(j);
            json_end_object(j);
        }
        if (r->role == ROLE_ANYONE || (r->role < ROLE_ADMIN && r->method == API_GET)) {
            json_object(j); // what is public needs no token
            json_end_object(j);
        }
        json_end_array(j);
    }
    write_parameters(j, r);
    write_body(j, r);
    write_replies(j, r);
    json_end_object(j);
}

// All routes of one path stand together, at the place of its first one.
static bool seen_before(const struct route_table *const *tables, size_t t, size_t i)
{
    const char *pattern = tables[t]->routes[i].pattern;
    for (size_t u = 0; u <= t; u++)
        for (size_t k = 0; k < (u == t ? i : tables[u]->n); k++)
            if (strcmp(tables[u]->routes[k].pattern, pattern) == 0)
                return true;
    return false;
}

static void write_security(struct json_out *j)
{
    static const struct {
        const char *id, *type, *name;
    } schemes[] = {{"private_token", "apiKey", "PRIVATE-TOKEN"},
                   {"job_token", "apiKey", "JOB-TOKEN"},
                   {"bearer", "http", NULL}};
    json_key(j, "securitySchemes");
    json_object(j);
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        json_key(j, schemes[i].id);
        json_object(j);
        json_kcstr(j, "type", schemes[i].type);
        if (schemes[i].name) {
            json_kcstr(j, "in", "header");
            json_kcstr(j, "name", schemes[i].name);
        } else {
            json_kcstr(j, "scheme", "bearer");
        }
        json_end_object(j);
    }
    json_end_object(j);
}

void openapi_write(const struct route_table *const *tables, size_t n, const char *external_url,
                   struct buf *to)
{
    struct json_out out, *j = &out;
    json_begin(j, to);
    json_object(j);
    json_kcstr(j, "openapi", "3.0.3");
    json_key(j, "info");
    json_object(j);
    json_kcstr(j, "title", "Slipway REST API");
    json_kcstr(j, "version", SLIPWAY_VERSION);
    json_kcstr(j, "description",
               "GitLab's REST API v4, as far as Slipway has it. Lists take page and per_page.");
    json_end_object(j);
    json_key(j, "servers");
    json_array(j);
    json_object(j);
    char url[600];
    snprintf(url, sizeof(url), "%s/api/v4", external_url);
    json_kcstr(j, "url", url);
    json_end_object(j);
    json_end_array(j);
    json_key(j, "paths");
    json_object(j);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            if (seen_before(tables, t, i))
                continue;
            const char *pattern = tables[t]->routes[i].pattern;
            _autobuf_ struct buf key = BUF_INIT(KIB(1));
            write_path_key(&key, pattern);
            json_key(j, key.p);
            json_object(j);
            for (size_t u = t; u < n; u++)
                for (size_t k = 0; k < tables[u]->n; k++)
                    if (strcmp(tables[u]->routes[k].pattern, pattern) == 0)
                        write_operation(j, &tables[u]->routes[k], tables[u]->title);
            json_end_object(j);
        }
    }
    json_end_object(j);
    json_key(j, "components");
    json_object(j);
    write_security(j);
    json_key(j, "schemas");
    json_object(j);
    for (const struct schema *s = api_schemas; s->name; s++) {
        json_key(j, s->name);
        schema_write(j, s);
    }
    json_end_object(j);
    json_end_object(j);
    json_end_object(j);
}
