// SPDX-License-Identifier: Apache-2.0
// The runner protocol over libcurl. One easy handle is used again and again so that its connection
// stays open; every call sets all options it needs from a clean state. Owned by the thread that
// calls: the poller has one, each job has one for its trace and one for its files.
#include "runner/protocol.h"

#include "base/jout.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/utsname.h>
#include <unistd.h>

struct proto {
    struct proto_conf conf;
    CURL *curl;
    struct curl_slist *headers;
    curl_mime *mime;
    struct buf request;
    char error[CURL_ERROR_SIZE];
    const atomic_bool *stop;
    struct proto_answer *answer;
    int sink_fd; // where the body goes instead of the answer, or -1
    uint64_t sink_left;
    bool sink_full;
    int sink_errno;
    int source_fd;
};

void proto_global_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct proto *proto_new(const struct proto_conf *conf)
{
    struct proto *a = NEW(struct proto);
    a->conf = *conf;
    a->curl = curl_easy_init();
    BUG_ON(!a->curl);
    a->sink_fd = -1;
    buf_init(&a->request, MIB(4));
    return a;
}

static void forget_call(struct proto *a)
{
    curl_mime_free(a->mime);
    a->mime = NULL;
    curl_slist_free_all(a->headers);
    a->headers = NULL;
}

void proto_free(struct proto *a)
{
    if (!a)
        return;
    forget_call(a);
    curl_easy_cleanup(a->curl);
    buf_done(&a->request);
    free(a);
}

void proto_set_stop(struct proto *a, const atomic_bool *stop)
{
    a->stop = stop;
}

void proto_answer_done(struct proto_answer *r)
{
    buf_done(&r->body);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct proto *a = ctx;
    size_t len = size * n;
    long status = 0;
    curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
    if (a->sink_fd < 0 || status != 200) {
        buf_add(&a->answer->body, str_n(p, len));
        return buf_ok(&a->answer->body) ? len : 0;
    }
    if (len > a->sink_left) {
        a->sink_full = true;
        return 0;
    }
    a->sink_left -= len;
    for (size_t at = 0; at < len;) {
        ssize_t did = write(a->sink_fd, p + at, len - at);
        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0) {
            a->sink_errno = errno;
            return 0;
        }
        at += (size_t)did;
    }
    return len;
}

static void copy_text(char *out, size_t size, struct str v)
{
    size_t n = MIN(v.n, size - 1);
    memcpy(out, v.p, n);
    out[n] = '\0';
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct proto *a = ctx;
    struct proto_answer *r = a->answer;
    struct str line = str_n(p, size * n), name;
    if (str_starts(line, STR("HTTP/"))) {
        // A new answer begins (after 100 Continue): what an earlier one said is void.
        r->job_status[0] = r->last_update[0] = '\0';
        r->range_end = r->interval_s = -1;
    }
    if (!str_cut(&line, ':', &name) || !line.p)
        return size * n;
    struct str v = str_trim(line);
    uint64_t num = 0;
    if (str_ieq(name, STR("Job-Status")))
        copy_text(r->job_status, sizeof(r->job_status), v);
    else if (str_ieq(name, STR("X-GitLab-Last-Update")))
        copy_text(r->last_update, sizeof(r->last_update), v);
    else if (str_ieq(name, STR("X-GitLab-Trace-Update-Interval")) && str_to_u64(v, &num))
        r->interval_s = (int64_t)MIN(num, 900u);
    else if (str_ieq(name, STR("Retry-After")) && str_to_u64(v, &num))
        r->retry_after_s = (int64_t)MIN(num, 3600u);
    else if (str_ieq(name, STR("Range"))) {
        ptrdiff_t dash = str_find(v, '-');
        if (dash >= 0 && str_to_u64(str_from(v, (size_t)dash + 1), &num))
            r->range_end = (int64_t)MIN(num, (uint64_t)INT64_MAX);
    }
    return size * n;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    struct proto *a = ctx;
    (void)dt, (void)dn, (void)ut, (void)un;
    return a->stop && atomic_load(a->stop);
}

static void add_header(struct proto *a, const char *line)
{
    struct curl_slist *more = curl_slist_append(a->headers, line);
    BUG_ON(!more);
    a->headers = more;
}

static void add_headerf(struct proto *a, const char *fmt, ...) PRINTF(2, 3);
static void add_headerf(struct proto *a, const char *fmt, ...)
{
    struct buf line = BUF_INIT(KIB(8));
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&line, fmt, ap);
    va_end(ap);
    add_header(a, line.p);
    buf_done(&line);
}

// Brings the handle to a clean state for the next call to `path`.
static CURL *prepare(struct proto *a, const char *path, long timeout_s, struct proto_answer *ret)
{
    CURL *c = a->curl;
    forget_call(a);
    curl_easy_reset(c);
    buf_done(&ret->body);
    *ret = PROTO_ANSWER_INIT;
    a->answer = ret;
    a->error[0] = '\0';
    a->sink_fd = -1;
    a->sink_full = false;
    a->sink_errno = 0;

    struct buf url = BUF_INIT(KIB(16));
    struct str base = str_of(a->conf.url);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    buf_addf(&url, "%" PRISTR "/api/v4/%s", STRARG(base), path);
    curl_easy_setopt(c, CURLOPT_URL, url.p);
    buf_done(&url);
    if (a->conf.socket)
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, a->conf.socket);
    if (a->conf.ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, a->conf.ca_file);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, timeout_s);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, a->error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, a);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "slipway-runner " SLIPWAY_VERSION);
    // Proxies of the environment are for jobs; the server is where the operator said.
    curl_easy_setopt(c, CURLOPT_PROXY, a->conf.socket ? "" : NULL);
    add_header(a, "Expect:");
    return c;
}

static int finish(struct proto *a, CURLcode code, struct err *e)
{
    if (code == CURLE_OK) {
        curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &a->answer->status);
        return 0;
    }
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(e, E_AGAIN, "interrupted");
    if (a->sink_full)
        return err_set(e, E_LIMIT, "the server's answer is larger than allowed");
    if (a->sink_errno)
        return err_errno(e, a->sink_errno, "cannot store the server's answer");
    return err_set(e, E_IO, "no answer from %s: %s", a->conf.url,
                   a->error[0] ? a->error : curl_easy_strerror(code));
}

static int perform(struct proto *a, struct err *e)
{
    curl_easy_setopt(a->curl, CURLOPT_HTTPHEADER, a->headers);
    int rc = finish(a, curl_easy_perform(a->curl), e);
    forget_call(a);
    return rc;
}

static void set_json_body(struct proto *a)
{
    add_header(a, "Content-Type: application/json");
    add_header(a, "Accept: application/json");
    curl_easy_setopt(a->curl, CURLOPT_POSTFIELDSIZE, (long)a->request.n);
    curl_easy_setopt(a->curl, CURLOPT_POSTFIELDS, a->request.p);
}

static void json_info(struct jout *j, const struct proto_conf *conf)
{
    static const char *const FEATURES[] = {
        "variables",     "artifacts",         "upload_multiple_artifacts",
        "refspecs",      "masking",           "upload_raw_artifacts",
        "raw_variables", "artifacts_exclude", "multi_build_steps",
        "trace_reset",   "return_exit_code",  "trace_checksum",
        "trace_size",    "cancelable",        "cancel_gracefully"};
    struct utsname u;
    const char *machine = uname(&u) == 0 ? u.machine : "unknown";
    if (!strcmp(machine, "x86_64"))
        machine = "amd64";
    else if (!strcmp(machine, "aarch64"))
        machine = "arm64";
    jout_key(j, "info");
    jout_object(j);
    jout_kcstr(j, "name", "slipway-runner");
    jout_kcstr(j, "version", SLIPWAY_VERSION);
    jout_kcstr(j, "revision", SLIPWAY_VERSION);
    jout_kcstr(j, "platform", "linux");
    jout_kcstr(j, "architecture", machine);
    jout_kcstr(j, "executor", "shell");
    jout_kcstr(j, "shell", "bash");
    jout_key(j, "features");
    jout_object(j);
    for (size_t i = 0; i < ARRAY_SIZE(FEATURES); i++)
        jout_kbool(j, FEATURES[i], true);
    jout_end_object(j);
    jout_end_object(j);
    (void)conf;
}

static void runner_body(struct proto *a, const char *last_update)
{
    struct jout j;
    buf_clear(&a->request);
    jout_begin(&j, &a->request);
    jout_object(&j);
    jout_kcstr(&j, "token", a->conf.token);
    jout_kcstr(&j, "system_id", a->conf.system_id);
    if (last_update && *last_update)
        jout_kcstr(&j, "last_update", last_update);
    json_info(&j, &a->conf);
    jout_end_object(&j);
}

int proto_verify(struct proto *a, struct proto_answer *ret, struct err *e)
{
    prepare(a, "runners/verify", 30, ret);
    runner_body(a, NULL);
    add_headerf(a, "RUNNER-TOKEN: %s", a->conf.token);
    set_json_body(a);
    return perform(a, e);
}

int proto_register(struct proto *a, const char *registration_token, const char *description,
                   const char *tags, bool run_untagged, struct proto_answer *ret, struct err *e)
{
    prepare(a, "runners", 30, ret);
    struct jout j;
    buf_clear(&a->request);
    jout_begin(&j, &a->request);
    jout_object(&j);
    jout_kcstr(&j, "token", registration_token);
    jout_kcstr(&j, "description", description);
    jout_kcstr(&j, "tag_list", tags ? tags : "");
    jout_kbool(&j, "run_untagged", run_untagged);
    json_info(&j, &a->conf);
    jout_end_object(&j);
    set_json_body(a);
    return perform(a, e);
}

void *proto_request_start(struct proto *a, const char *last_update, struct proto_answer *ret)
{
    CURL *c = prepare(a, "jobs/request", 3600, ret);
    runner_body(a, last_update);
    add_headerf(a, "RUNNER-TOKEN: %s", a->conf.token);
    set_json_body(a);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, a->headers);
    return c;
}

int proto_request_finish(struct proto *a, int code, struct proto_answer *ret, struct err *e)
{
    BUG_ON(a->answer != ret);
    int rc = finish(a, (CURLcode)code, e);
    forget_call(a);
    return rc;
}

int proto_job_update(struct proto *a, int64_t id, const char *job_token,
                     const struct proto_update *u, struct proto_answer *ret, struct err *e)
{
    char path[64], checksum[32];
    snprintf(path, sizeof(path), "jobs/%lld", (long long)id);
    snprintf(checksum, sizeof(checksum), "crc32:%08x", u->crc32);
    CURL *c = prepare(a, path, 60, ret);
    struct jout j;
    buf_clear(&a->request);
    jout_begin(&j, &a->request);
    jout_object(&j);
    jout_kcstr(&j, "token", job_token);
    jout_kcstr(&j, "state", u->state);
    json_info(&j, &a->conf);
    if (!u->trace_unknown) {
        jout_kcstr(&j, "checksum", checksum);
        jout_key(&j, "output");
        jout_object(&j);
        jout_kcstr(&j, "checksum", checksum);
        jout_kint(&j, "bytesize", (int64_t)u->bytes);
        jout_end_object(&j);
    }
    if (u->exit_code >= 0)
        jout_kint(&j, "exit_code", u->exit_code);
    if (u->failure_reason)
        jout_kcstr(&j, "failure_reason", u->failure_reason);
    jout_end_object(&j);
    add_headerf(a, "JOB-TOKEN: %s", job_token);
    set_json_body(a);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, "PUT");
    return perform(a, e);
}

int proto_trace_patch(struct proto *a, int64_t id, const char *job_token, uint64_t offset,
                      struct str bytes, struct proto_answer *ret, struct err *e)
{
    BUG_ON(!bytes.n);
    char path[80];
    snprintf(path, sizeof(path), "jobs/%lld/trace?debug_trace=false", (long long)id);
    CURL *c = prepare(a, path, 60, ret);
    add_headerf(a, "JOB-TOKEN: %s", job_token);
    add_header(a, "Content-Type: text/plain");
    add_headerf(a, "Content-Range: %llu-%llu", (unsigned long long)offset,
                (unsigned long long)(offset + bytes.n - 1));
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)bytes.n);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, bytes.p);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, "PATCH");
    return perform(a, e);
}

static size_t on_source_read(char *p, size_t size, size_t n, void *ctx)
{
    struct proto *a = ctx;
    ssize_t got;
    do
        got = read(a->source_fd, p, size * n);
    while (got < 0 && errno == EINTR);
    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static int on_source_seek(void *ctx, curl_off_t offset, int origin)
{
    struct proto *a = ctx;
    return lseek(a->source_fd, (off_t)offset, origin) < 0 ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

static void add_query(struct proto *a, struct buf *to, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    char *escaped = curl_easy_escape(a->curl, value, 0);
    buf_addf(to, "%c%s=%s", str_find(buf_str(to), '?') < 0 ? '?' : '&', key,
             escaped ? escaped : "");
    curl_free(escaped);
}

int proto_artifact_upload(struct proto *a, int64_t id, const char *job_token, int fd,
                          const char *filename, const char *format, const char *type,
                          const char *expire_in, struct proto_answer *ret, struct err *e)
{
    off_t size = lseek(fd, 0, SEEK_END);
    if (size < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(e, errno, "cannot read the archive");
    struct buf path = BUF_INIT(KIB(8));
    buf_addf(&path, "jobs/%lld/artifacts", (long long)id);
    add_query(a, &path, "artifact_format", format);
    add_query(a, &path, "artifact_type", type);
    add_query(a, &path, "expire_in", expire_in);
    CURL *c = prepare(a, path.p, 3600, ret);
    buf_done(&path);
    add_headerf(a, "JOB-TOKEN: %s", job_token);
    a->source_fd = fd;
    a->mime = curl_mime_init(c);
    curl_mimepart *part = curl_mime_addpart(a->mime);
    curl_mime_name(part, "file");
    curl_mime_filename(part, filename);
    curl_mime_type(part, "application/octet-stream");
    curl_mime_data_cb(part, (curl_off_t)size, on_source_read, on_source_seek, NULL, a);
    curl_easy_setopt(c, CURLOPT_MIMEPOST, a->mime);
    return perform(a, e);
}

int proto_artifact_download(struct proto *a, int64_t id, const char *job_token, int fd,
                            uint64_t max, struct proto_answer *ret, struct err *e)
{
    if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(e, errno, "cannot empty the file for the archive");
    char path[80];
    snprintf(path, sizeof(path), "jobs/%lld/artifacts?direct_download=false", (long long)id);
    prepare(a, path, 3600, ret);
    add_headerf(a, "JOB-TOKEN: %s", job_token);
    a->sink_fd = fd;
    a->sink_left = max;
    return perform(a, e);
}
