// SPDX-License-Identifier: Apache-2.0
// Artifacts as rows; the bytes are a file in the state folder (store/blob.h), written, synced and
// renamed before the row is inserted.
#pragma once

#include "store/store.h"

struct artifact {
    int64_t id, job_id, project_id;
    struct str type;   // "archive", "metadata", "junit", "dotenv" ...
    struct str format; // "zip", "gzip", "raw"
    struct str file_name;
    struct str path; // below the state folder
    int64_t size;
    struct str sha256; // hex
    struct str access; // "": as the project says; "all", "developer", "maintainer", "none"
    int64_t created_at;
    int64_t expire_at; // 0: never
    bool keep;         // "keep" was pressed: does not expire
};

// "artifacts/<project>/<job>/<type>-<random>.<format>": a fresh path below the state folder.
struct str artifact_new_path(struct arena *a, int64_t project_id, int64_t job_id, struct str type,
                             struct str format);
// Replaces an earlier one of the same job and type, whose file goes to the trash list.
int artifact_insert(struct tx *tx, struct artifact *f, struct err *e) MUST_USE;
// E_NOTFOUND also when expired at `now`.
int artifact_get(struct tx *tx, struct arena *a, int64_t job_id, struct str type, int64_t now,
                 struct artifact *ret, struct err *e) MUST_USE;
int artifact_list(struct tx *tx, struct arena *a, int64_t job_id, struct artifact **ret,
                  size_t *ret_n, struct err *e) MUST_USE;
// Of all jobs of a pipeline, by job id.
int artifact_list_pipeline(struct tx *tx, struct arena *a, int64_t pipeline_id,
                           struct artifact **ret, size_t *ret_n, struct err *e) MUST_USE;
// All of a job: never expire.
int artifact_keep(struct tx *tx, int64_t job_id, struct err *e) MUST_USE;
int artifact_delete_job(struct tx *tx, int64_t job_id, struct err *e) MUST_USE;
// Removes up to `max` expired rows (those of the latest successful pipeline of a ref stay when the
// project says so); files go to the trash list. Returns how many.
int64_t artifact_sweep(struct tx *tx, int64_t now, int max, struct err *e) MUST_USE;
// Sum of sizes in a project.
int artifact_usage(struct tx *tx, int64_t project_id, int64_t *ret, struct err *e) MUST_USE;
