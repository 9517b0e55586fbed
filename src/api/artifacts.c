// SPDX-License-Identifier: Apache-2.0
// Artifacts: runners upload and download them, people download archives and single files out of
// them. An upload streams to disk, is checked, made durable, and only then becomes a row. Runs in
// request workers.
#include "api/multipart.h"
#include "api/runner_auth.h"
#include "api/shapes.h"
#include "api/tables.h"
#include "base/text.h"
#include "ci/engine.h"
#include "os/fd.h"
#include "store/blob.h"
#include "store/zip.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <unistd.h>

// ---- upload ----

struct upload {
    struct api_req *r;
    struct job job;
    struct str type, format, expire_in, file_name;
    bool have_file, too_large;
    struct artifact row;
};

static int body_source(void *ctx, void *to, size_t n, size_t *ret_n, struct err *e)
{
    struct upload *u = ctx;
    int rc = http_read_body(u->r->http, to, n, ret_n, e);
    u->too_large |= rc == E_LIMIT;
    return rc;
}

static int read_field(struct multipart *m, struct buf *into, struct err *e)
{
    struct str piece;
    for (;;) {
        TRY(multipart_read(m, &piece, e));
        if (!piece.n)
            return buf_ok(into) ? 0 : err_set(e, E_INVALID, "a field of the form is too long");
        buf_add(into, piece);
    }
}

// Archives are looked at before anybody may download them.
static int check_archive(struct upload *u, const struct blob_writer *w, struct err *e)
{
    if (!str_is(u->format, "zip"))
        return 0;
    _cleanup_(fd_closep) int fd = openat(w->folder, w->temp, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, errno, "cannot read the upload again");
    _cleanup_(zip_closep) struct zip z;
    return zip_open(fd, &z, e);
}

static int receive_file(struct upload *u, struct multipart *m, struct err *e)
{
    struct api_req *r = u->r;
    crypto_hash_sha256_state hash;
    unsigned char digest[crypto_hash_sha256_BYTES];
    struct str path = artifact_new_path(r->a, u->job.project_id, u->job.id, u->type, u->format);
    _autoblob_ struct blob_writer w = BLOB_WRITER_NONE;
    TRY(blob_create(r->api->cfg.store, path, &w, e));
    crypto_hash_sha256_init(&hash);
    for (struct str piece;;) {
        TRY(multipart_read(m, &piece, e));
        if (!piece.n)
            break;
        u->too_large = w.size + (int64_t)piece.n > r->api->cfg.artifact_max;
        if (u->too_large)
            return err_set(e, E_LIMIT, "the artifact is larger than %" PRId64 " bytes",
                           r->api->cfg.artifact_max);
        TRY(blob_write(&w, piece, e));
        crypto_hash_sha256_update(&hash, (const unsigned char *)piece.p, piece.n);
    }
    crypto_hash_sha256_final(&hash, digest);
    TRY(check_archive(u, &w, e));
    _autobuf_ struct buf hex = BUF_INIT(128);
    text_hex(&hex, str_n((const char *)digest, sizeof(digest)));
    u->row = (struct artifact){
        .job_id = u->job.id,
        .project_id = u->job.project_id,
        .type = u->type,
        .format = u->format,
        .path = path,
        .size = w.size,
        .sha256 = arena_str(r->a, buf_str(&hex)),
    };
    return blob_commit(&w, e);
}

static bool name_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '_'))
            return false;
    return s.n > 0 && s.n <= 40;
}

static int receive(struct upload *u, struct err *e)
{
    struct multipart m;
    struct multipart_part part;
    bool more;
    struct api_req *r = u->r;
    TRY(multipart_init(&m, r->a, http_header(r->http, "Content-Type"), body_source, u, e));
    for (;;) {
        TRY(multipart_next(&m, r->a, &part, &more, e));
        if (!more)
            return u->have_file ? 0 : err_set(e, E_INVALID, "the form has no part `file`");
        if (str_is(part.name, "file")) {
            if (u->have_file)
                return err_set(e, E_INVALID, "the form has two parts `file`");
            u->have_file = true;
            struct str name = part.file_name;
            ptrdiff_t slash = str_rfind(name, '/');
            if (slash >= 0)
                name = str_from(name, (size_t)slash + 1);
            u->file_name = name.n && name.n <= 255 && str_is_utf8(name) && !str_has_control(name)
                               ? name
                               : STR("artifacts.zip");
            if (!name_ok(u->type) || !name_ok(u->format))
                return err_set(e, E_INVALID, "artifact_type or artifact_format is not known");
            TRY(receive_file(u, &m, e));
            continue;
        }
        _autobuf_ struct buf field = BUF_INIT(KIB(4));
        TRY(read_field(&m, &field, e));
        struct str *to = str_is(part.name, "artifact_type")     ? &u->type
                         : str_is(part.name, "artifact_format") ? &u->format
                         : str_is(part.name, "expire_in")       ? &u->expire_in
                                                                : NULL;
        if (to && !u->have_file)
            *to = arena_str(r->a, buf_str(&field));
    }
}

static int record(struct upload *u, struct err *e)
{
    struct api_req *r = u->r;
    u->row.file_name = u->file_name;
    u->row.expire_at = ci_engine_artifacts_expire_at(r->api->cfg.engine, u->expire_in);
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(r->api->cfg.store, &tx, e));
    struct job now;
    TRY(job_get(&tx, r->a, u->job.id, &now, e));
    if (!ci_status_in(now.status, CI_SET_ON_RUNNER))
        return err_set(e, E_DENIED, "Job is not running");
    TRY(artifact_insert(&tx, &u->row, e));
    return tx_commit(&tx, e);
}

static int artifact_post(struct api_req *r)
{
    struct upload u = {.r = r};
    if (!job_authenticate(r, &u.job))
        return HTTP_DONE;
    u.type = req_str(r, "artifact_type", STR("archive"));
    u.format = req_str(r, "artifact_format", str_is(u.type, "archive") ? STR("zip") : STR("gzip"));
    u.expire_in = req_str(r, "expire_in", STR_NONE);
    req_end_read(r);
    // The frame of the form around the file is small.
    int64_t max = r->api->cfg.artifact_max + (int64_t)KIB(64);
    job_status_headers(r, u.job.status);
    if (http_content_length(r->http) > max)
        return reply_message(r, 413, "413 the artifact is larger than %" PRId64 " bytes",
                             r->api->cfg.artifact_max);
    http_body_limit(r->http, max);
    int rc = receive(&u, &r->e);
    if (rc == 0)
        rc = record(&u, &r->e);
    if (rc < 0 && u.row.path.p)
        (void)!blob_remove(r->api->cfg.store, u.row.path, NULL);
    if (u.too_large)
        return reply_message(r, 413, "413 %s", r->e.msg);
    if (rc == E_LIMIT) { // the disk is full: the runner tries again later
        http_set(r->http, "Retry-After", STR("5"));
        return reply_message(r, 503, "503 %s", r->e.msg);
    }
    if (rc == E_INVALID)
        return reply_message(r, 400, "400 %s", r->e.msg);
    REQ_TRY(r, rc, "Job");
    char topic[40];
    snprintf(topic, sizeof(topic), "job:%" PRId64, u.job.id);
    http_server_wake(http_call_server(r->http), topic);
    return reply_message(r, 201, "201 Created");
}

// ---- download ----

static struct str attachment(struct api_req *r, struct str name)
{
    char *clean = arena_alloc(r->a, name.n + 1, 1);
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        clean[i] = c < 0x20 || c >= 0x7f || c == '"' || c == '\\' ? '_' : (char)c;
    }
    return arena_strf(r->a, "attachment; filename=\"%s\"", clean);
}

// What strangers made is never shown as a page of this host.
static void set_download_headers(struct api_req *r, struct str name)
{
    http_set(r->http, "Content-Disposition", attachment(r, name));
    http_set(r->http, "X-Content-Type-Options", STR("nosniff"));
    http_set(r->http, "Content-Security-Policy", STR("sandbox; default-src 'none'"));
}

static int send_archive(struct api_req *r, int64_t job_id)
{
    struct artifact f;
    REQ_TRY(r, artifact_get(&r->tx, r->a, job_id, STR("archive"), r->now, &f, &r->e), NULL);
    req_end_read(r);
    _cleanup_(fd_closep) int fd = -1;
    int64_t size;
    REQ_TRY(r, blob_open(r->api->cfg.store, f.path, &fd, &size, &r->e), NULL);
    set_download_headers(r, f.file_name);
    REQ_TRY(r, http_send_file(r->http, "application/zip", fd, 0, size, &r->e), NULL);
    return HTTP_DONE;
}

// With the token of the job itself or of another running job of the same project, as `needs` has
// it.
static int runner_download(struct api_req *r)
{
    struct secret_hash h;
    struct job asking, job;
    struct str secret = http_header(r->http, "JOB-TOKEN");
    if (!secret.n)
        secret = req_str(r, "token", STR_NONE);
    if (!secret.n)
        return reply_message(r, 401, "401 Unauthorized");
    int rc = job_by_token(&r->tx, r->a, secret_hash(secret, &h), &asking, &r->e);
    if (rc == E_NOTFOUND)
        return reply_forbidden(r, NULL);
    REQ_TRY(r, rc, "Job");
    REQ_TRY(r, job_get(&r->tx, r->a, req_id(r, 0), &job, &r->e), "Job");
    if (job.project_id != asking.project_id)
        return reply_404(r, "Job");
    return send_archive(r, job.id);
}

// The job of path parameter `i` in r->project, when the caller may see its artifacts.
static int find_job(struct api_req *r, size_t i, struct job *ret)
{
    int rc = job_get(&r->tx, r->a, req_id(r, i), ret, &r->e);
    if (rc == 0 && ret->project_id != r->project.id)
        rc = err_set(&r->e, E_NOTFOUND, "no such job in this project");
    return rc;
}

static bool may_read(struct api_req *r)
{
    return r->level >= ROLE_REPORTER || r->project.public_jobs;
}

static int job_artifacts(struct api_req *r)
{
    struct job job;
    if (!may_read(r))
        return reply_forbidden(r, NULL);
    REQ_TRY(r, find_job(r, 1, &job), "Job");
    return send_archive(r, job.id);
}

struct sender {
    struct http_call *http;
};

static int send_piece(void *ctx, struct str piece, struct err *e)
{
    struct sender *s = ctx;
    return http_write(s->http, piece, e);
}

static int send_entry(struct api_req *r, int64_t job_id, struct str path)
{
    struct artifact f;
    REQ_TRY(r, artifact_get(&r->tx, r->a, job_id, STR("archive"), r->now, &f, &r->e), NULL);
    req_end_read(r);
    _cleanup_(fd_closep) int fd = -1;
    int64_t size;
    REQ_TRY(r, blob_open(r->api->cfg.store, f.path, &fd, &size, &r->e), NULL);
    _cleanup_(zip_closep) struct zip z;
    REQ_TRY(r, zip_open(fd, &z, &r->e), NULL);
    const struct zip_entry *entry = zip_find(&z, path);
    if (!entry || entry->folder)
        return reply_404(r, "File");
    ptrdiff_t slash = str_rfind(path, '/');
    set_download_headers(r, slash >= 0 ? str_from(path, (size_t)slash + 1) : path);
    http_length(r->http, entry->size);
    if (http_begin(r->http, "application/octet-stream", &r->e) < 0)
        return HTTP_DONE;
    if (http_method_is(r->http, "HEAD"))
        return HTTP_DONE;
    struct sender s = {.http = r->http};
    if (zip_read(&z, entry, send_piece, &s, &r->e) < 0)
        http_abort(r->http); // the status is gone: a cut answer must not look whole
    return HTTP_DONE;
}

static int job_artifact_file(struct api_req *r)
{
    struct job job;
    if (!may_read(r))
        return reply_forbidden(r, NULL);
    REQ_TRY(r, find_job(r, 1, &job), "Job");
    return send_entry(r, job.id, r->path[2]);
}

static int find_latest(struct api_req *r, struct job *ret)
{
    return job_latest_success(&r->tx, r->a, r->project.id, r->path[1], req_str(r, "job", STR_NONE),
                              ret, &r->e);
}

static int ref_download(struct api_req *r)
{
    struct job job;
    if (!may_read(r))
        return reply_forbidden(r, NULL);
    REQ_TRY(r, find_latest(r, &job), "Job");
    return send_archive(r, job.id);
}

static int ref_file(struct api_req *r)
{
    struct job job;
    if (!may_read(r))
        return reply_forbidden(r, NULL);
    REQ_TRY(r, find_latest(r, &job), "Job");
    return send_entry(r, job.id, r->path[2]);
}

static int change_artifacts(struct api_req *r, const struct job *job, bool keep)
{
    req_end_read(r);
    _autotx_ struct tx tx = TX_NONE;
    int rc = store_write(r->api->cfg.store, &tx, &r->e);
    if (rc == 0)
        rc = keep ? artifact_keep(&tx, job->id, &r->e) : artifact_delete_job(&tx, job->id, &r->e);
    return rc == 0 ? tx_commit(&tx, &r->e) : rc;
}

static int artifacts_keep(struct api_req *r)
{
    struct job job;
    struct artifact f;
    REQ_TRY(r, find_job(r, 1, &job), "Job");
    REQ_TRY(r, artifact_get(&r->tx, r->a, job.id, STR("archive"), r->now, &f, &r->e), NULL);
    REQ_TRY(r, change_artifacts(r, &job, true), "Job");
    REQ_TRY(r, req_read(r, &r->e), NULL);
    struct shape_jobs shared = {0};
    shape_job(r, reply_begin(r), &job, &shared);
    shape_jobs_done(&shared);
    return reply_status(r, 200);
}

static int artifacts_delete(struct api_req *r)
{
    struct job job;
    REQ_TRY(r, find_job(r, 1, &job), "Job");
    REQ_TRY(r, change_artifacts(r, &job, false), "Job");
    return reply_empty(r, 204);
}

#define ZIP    .reply_type = "application/zip"
#define OCTETS .reply_type = "application/octet-stream"
#define BY_REF PARAMS(REQ("job", STR, "The job's name.", .max = 255))

static const struct route routes[] = {
    ROUTE(POST, "/jobs/:job_id/artifacts", artifact_post, NONE, ANYONE, .raw_body = true,
          .doc = "Upload artifacts (job token, multipart with a part `file`).",
          PARAMS(OPT("token", STR, "The job's token."), OPT("file", FILE, "The bytes."),
                 OPT("artifact_format", STR, "zip, gzip or raw.", .max = 40),
                 OPT("artifact_type", STR, "archive, junit, ...", .max = 40),
                 OPT("expire_in", STR, "\"1 week\", \"never\".", .max = 100))),
    ROUTE(GET, "/jobs/:job_id/artifacts", runner_download, NONE, ANYONE, ZIP,
          .doc = "Download artifacts (job token).",
          PARAMS(OPT("token", STR, "The job's token."),
                 OPT("direct_download", BOOL, "Accepted; the bytes come from here."))),
    ROUTE(GET, "/projects/:id/jobs/:job_id/artifacts", job_artifacts, READ_API, GUEST, ZIP,
          .job_token = true, .doc = "Download a job's artifacts."),
    ROUTE(GET, "/projects/:id/jobs/:job_id/artifacts/*artifact_path", job_artifact_file, READ_API,
          GUEST, OCTETS, .job_token = true, .doc = "Download one file out of a job's artifacts."),
    ROUTE(GET, "/projects/:id/jobs/artifacts/:ref_name/download", ref_download, READ_API, GUEST,
          ZIP, .job_token = true,
          .doc = "Download the artifacts of the newest successful job of a ref.", BY_REF),
    ROUTE(GET, "/projects/:id/jobs/artifacts/:ref_name/raw/*artifact_path", ref_file, READ_API,
          GUEST, OCTETS, .job_token = true,
          .doc = "Download one file out of the newest artifacts of a ref.", BY_REF),
    ROUTE(POST, "/projects/:id/jobs/:job_id/artifacts/keep", artifacts_keep, API, DEVELOPER,
          .reply = "job", .status = 200, .doc = "Keep a job's artifacts: they do not expire."),
    ROUTE(DELETE, "/projects/:id/jobs/:job_id/artifacts", artifacts_delete, API, MAINTAINER,
          .status = 204, .doc = "Delete a job's artifacts."),
};
const struct route_table artifact_table = ROUTE_TABLE("Artifacts", routes);
