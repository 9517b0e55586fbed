// SPDX-License-Identifier: Apache-2.0
// Published sites: from a job's artifact to a folder that the edge serves.
//
// Layout below pages/: @store/<project id>/<job id>/public/... holds a deployment and never
// changes;
// @live/<top namespace in lower case>/<rest of the path> is a link to one, switched by rename.
#pragma once

#include "api/request.h"
#include "store/artifacts.h"
#include "store/jobs.h"

struct pages_limits {
    int64_t bytes; // unpacked
    int64_t files;
};
#define PAGES_LIMITS_DEFAULT ((struct pages_limits){(int64_t)GIB(1), 100000})

// Publishes what lies below `root` ("public") in the job's archive. E_INVALID: no such folder in
// it, or names that cannot be served; E_LIMIT: over a limit. Nothing of the live site changes on an
// error. No transaction may be open.
int pages_publish(const struct api *api, const struct job *job, const struct artifact *archive,
                  struct str project_path, struct str root, struct err *e) MUST_USE;
// Removes the link; the files go with the trash.
void pages_unlink(const struct api *api, struct str project_path);
// At start: each project's link points to its active deployment, whatever a crash left.
int pages_relink_all(const struct api *api, struct err *e) MUST_USE;
// "http://group.pages.localhost:8080/project"
struct str pages_url(struct api_req *r);
