// SPDX-License-Identifier: Apache-2.0
// Finds the runner or the job that a token belongs to. Tokens are compared as hashes in the
// database; nothing of a secret is kept or shown. Runs in request workers within their read
// snapshot.
#include "api/runner_auth.h"

#include <sodium.h>

struct str secret_hash(struct str secret, struct secret_hash *into)
{
    crypto_hash_sha256(into->sha256, (const unsigned char *)(secret.p ? secret.p : ""), secret.n);
    return str_n((const char *)into->sha256, sizeof(into->sha256));
}

bool runner_authenticate(struct api_req *r, struct runner *ret)
{
    struct secret_hash h;
    struct str secret = http_header(r->http, "RUNNER-TOKEN");
    if (!secret.n)
        secret = req_str(r, "token", STR_NONE);
    int rc = secret.n ? runner_by_token(&r->tx, r->a, secret_hash(secret, &h), ret, &r->e)
                      : err_set(&r->e, E_NOTFOUND, "no token");
    if (rc == 0 && ret->token_expires_at && ret->token_expires_at <= r->now)
        rc = err_set(&r->e, E_NOTFOUND, "the token has expired");
    if (rc == 0)
        return true;
    if (rc == E_NOTFOUND)
        reply_forbidden(r, NULL);
    else
        reply_err(r, NULL);
    return false;
}

void job_status_headers(struct api_req *r, enum ci_status status)
{
    http_set(r->http, "Job-Status", str_of(ci_status_name(status)));
    http_set(r->http, "X-GitLab-Trace-Update-Interval", STR("1"));
}

bool job_authenticate(struct api_req *r, struct job *ret)
{
    struct secret_hash h;
    int64_t id = req_id(r, 0);
    struct str secret = http_header(r->http, "JOB-TOKEN");
    if (!secret.n)
        secret = req_str(r, "token", STR_NONE);
    if (!secret.n || !id) {
        reply_forbidden(r, NULL);
        return false;
    }
    bool mine = false;
    int rc = job_has_token(&r->tx, id, secret_hash(secret, &h), &mine, &r->e);
    if (rc == 0 && mine)
        rc = job_get(&r->tx, r->a, id, ret, &r->e);
    else if (rc == 0)
        rc = E_NOTFOUND;
    if (rc == E_NOTFOUND) {
        reply_forbidden(r, NULL);
        return false;
    }
    if (rc < 0) {
        reply_err(r, "Job");
        return false;
    }
    if (!ci_status_in(ret->status, CI_SET_ON_RUNNER)) {
        job_status_headers(r, ret->status);
        reply_forbidden(r, "Job is not running");
        return false;
    }
    return true;
}
