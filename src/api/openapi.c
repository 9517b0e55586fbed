// SPDX-License-Identifier: Apache-2.0
// Turns the route tables into an OpenAPI 3.0.3 document: one operation per route with its
// parameters, body, reply and security. Called once at start by the api object, and by tests.
#include "api/openapi.h"

#include "api/schema.h"
#include "base/jout.h"

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

static void write_type(struct jout *j, const struct param *p)
{
    static const struct {
        const char *type, *format;
    } plain[] = {
        [TYPE_STR] = {"string", NULL},      [TYPE_INT] = {"integer", "int64"},
        [TYPE_BOOL] = {"boolean", NULL},    [TYPE_TIME] = {"string", "date-time"},
        [TYPE_STRS] = {"array", NULL},      [TYPE_JSON] = {NULL, NULL},
        [TYPE_FILE] = {"string", "binary"},
    };
    jout_object(j);
    if (plain[p->type].type)
        jout_kcstr(j, "type", plain[p->type].type);
    if (plain[p->type].format)
        jout_kcstr(j, "format", plain[p->type].format);
    if (p->type == TYPE_STRS) {
        jout_key(j, "items");
        jout_object(j);
        jout_kcstr(j, "type", "string");
    }
    if (p->values) {
        jout_key(j, "enum");
        jout_array(j);
        for (struct str rest = str_of(p->values), one; str_cut(&rest, '|', &one);)
            jout_str(j, one);
        jout_end_array(j);
    }
    if (p->type == TYPE_STRS)
        jout_end_object(j);
    if (p->doc)
        jout_kcstr(j, "description", p->doc);
    jout_end_object(j);
}

static void write_parameter(struct jout *j, const char *in, struct str name, const char *doc,
                            bool required, const struct param *p)
{
    static const struct param integer = {.type = TYPE_INT}, text = {.type = TYPE_STR};
    jout_object(j);
    jout_kstr(j, "name", name);
    jout_kcstr(j, "in", in);
    jout_kbool(j, "required", required);
    if (doc)
        jout_kcstr(j, "description", doc);
    jout_key(j, "schema");
    bool number = !p && str_is(name, "page");
    write_type(j, p ? p : number || str_is(name, "per_page") ? &integer : &text);
    jout_end_object(j);
}

static void write_parameters(struct jout *j, const struct route *r)
{
    jout_key(j, "parameters");
    jout_array(j);
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
    jout_end_array(j);
}

static void write_body(struct jout *j, const struct route *r)
{
    if (!in_body(r) || !r->params)
        return;
    bool required = false, file = false;
    for (const struct param *p = r->params; p->name; p++) {
        required |= p->required;
        file |= p->type == TYPE_FILE;
    }
    jout_key(j, "requestBody");
    jout_object(j);
    jout_kbool(j, "required", required);
    jout_key(j, "content");
    jout_object(j);
    jout_key(j, file ? "multipart/form-data" : "application/json");
    jout_object(j);
    jout_key(j, "schema");
    jout_object(j);
    jout_kcstr(j, "type", "object");
    if (required) {
        jout_key(j, "required");
        jout_array(j);
        for (const struct param *p = r->params; p->name; p++)
            if (p->required)
                jout_cstr(j, p->name);
        jout_end_array(j);
    }
    jout_key(j, "properties");
    jout_object(j);
    for (const struct param *p = r->params; p->name; p++) {
        jout_key(j, p->name);
        write_type(j, p);
    }
    for (int i = 0; i < 5; i++)
        jout_end_object(j);
}

static void write_replies(struct jout *j, const struct route *r)
{
    int status = r->status ? r->status : (r->method == API_POST ? 201 : 200);
    char code[8];
    snprintf(code, sizeof(code), "%d", status);
    jout_key(j, "responses");
    jout_object(j);
    jout_key(j, code);
    jout_object(j);
    jout_kcstr(j, "description", status == 204 ? "Done; no content." : "Success.");
    if (r->reply || r->reply_type) {
        jout_key(j, "content");
        jout_object(j);
        jout_key(j, r->reply_type ? r->reply_type : "application/json");
        jout_object(j);
        jout_key(j, "schema");
        if (r->reply) {
            schema_write_type(j, r->reply);
        } else {
            jout_object(j);
            jout_kcstr(j, "type", "string");
            jout_kcstr(j, "format", "binary");
            jout_end_object(j);
        }
        jout_end_object(j);
        jout_end_object(j);
    }
    jout_end_object(j);
    jout_key(j, "default");
    jout_object(j);
    jout_kcstr(j, "description", "An error: a JSON object with `message` or `error`.");
    jout_end_object(j);
    jout_end_object(j);
}

static void write_operation(struct jout *j, const struct route *r, const char *tag)
{
    static const char *const lower[] = {"get", "post", "put", "patch", "delete"};
    jout_key(j, lower[r->method]);
    jout_object(j);
    jout_kcstr(j, "summary", r->doc);
    jout_key(j, "tags");
    jout_array(j);
    jout_cstr(j, tag);
    jout_end_array(j);
    jout_kcstr(j, "x-role", api_role_name(r->role));
    jout_kcstr(j, "x-scope", api_need_name(r->scope));
    if (r->scope != NEED_NONE) {
        jout_key(j, "security");
        jout_array(j);
        static const char *const schemes[] = {"private_token", "bearer", "job_token"};
        for (int i = 0; i < (r->job_token ? 3 : 2); i++) {
            jout_object(j);
            jout_key(j, schemes[i]);
            jout_array(j);
            jout_end_array(j);
            jout_end_object(j);
        }
        if (r->role == ROLE_ANYONE || (r->role < ROLE_ADMIN && r->method == API_GET)) {
            jout_object(j); // what is public needs no token
            jout_end_object(j);
        }
        jout_end_array(j);
    }
    write_parameters(j, r);
    write_body(j, r);
    write_replies(j, r);
    jout_end_object(j);
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

static void write_security(struct jout *j)
{
    static const struct {
        const char *id, *type, *name;
    } schemes[] = {{"private_token", "apiKey", "PRIVATE-TOKEN"},
                   {"job_token", "apiKey", "JOB-TOKEN"},
                   {"bearer", "http", NULL}};
    jout_key(j, "securitySchemes");
    jout_object(j);
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        jout_key(j, schemes[i].id);
        jout_object(j);
        jout_kcstr(j, "type", schemes[i].type);
        if (schemes[i].name) {
            jout_kcstr(j, "in", "header");
            jout_kcstr(j, "name", schemes[i].name);
        } else {
            jout_kcstr(j, "scheme", "bearer");
        }
        jout_end_object(j);
    }
    jout_end_object(j);
}

void openapi_write(const struct route_table *const *tables, size_t n, const char *external_url,
                   struct buf *to)
{
    struct jout out, *j = &out;
    jout_begin(j, to);
    jout_object(j);
    jout_kcstr(j, "openapi", "3.0.3");
    jout_key(j, "info");
    jout_object(j);
    jout_kcstr(j, "title", "Slipway REST API");
    jout_kcstr(j, "version", SLIPWAY_VERSION);
    jout_kcstr(j, "description",
               "GitLab's REST API v4, as far as Slipway has it. Lists take page and per_page.");
    jout_end_object(j);
    jout_key(j, "servers");
    jout_array(j);
    jout_object(j);
    char url[600];
    snprintf(url, sizeof(url), "%s/api/v4", external_url);
    jout_kcstr(j, "url", url);
    jout_end_object(j);
    jout_end_array(j);
    jout_key(j, "paths");
    jout_object(j);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            if (seen_before(tables, t, i))
                continue;
            const char *pattern = tables[t]->routes[i].pattern;
            _autobuf_ struct buf key = BUF_INIT(KIB(1));
            write_path_key(&key, pattern);
            jout_key(j, key.p);
            jout_object(j);
            for (size_t u = t; u < n; u++)
                for (size_t k = 0; k < tables[u]->n; k++)
                    if (strcmp(tables[u]->routes[k].pattern, pattern) == 0)
                        write_operation(j, &tables[u]->routes[k], tables[u]->title);
            jout_end_object(j);
        }
    }
    jout_end_object(j);
    jout_key(j, "components");
    jout_object(j);
    write_security(j);
    jout_key(j, "schemas");
    jout_object(j);
    for (const struct schema *s = api_schemas; s->name; s++) {
        jout_key(j, s->name);
        schema_write(j, s);
    }
    jout_end_object(j);
    jout_end_object(j);
    jout_end_object(j);
}
