// SPDX-License-Identifier: Apache-2.0
// Published sites on disk. Layout below the pages folder:
//
//   @live/<namespace>/<rest/of/project/path>   symlink to ../(../)*@store/<project>/<job>/public
//   @store/<project>/<job>/public/...          one publication; never changes once it is linked
//
// Whoever publishes makes the store folder first, then renames a new symlink over the old one; so a
// request sees one publication or the next, never a mixture. <namespace> is in lower case.
// Any thread; the lookups block on the disk.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "edge/site_path.h"

struct site_root {
    int fd; // the pages folder
};

// Opens the folder. Not an error later when it is empty or its @live does not exist yet.
int site_root_open(struct site_root *r, const char *path, struct err *e) MUST_USE;
void site_root_close(struct site_root *r);

#define SITE_ETAG_MAX     100
#define SITE_LOCATION_MAX (3 * SITE_PATH_MAX + 3)

enum site_found {
    SITE_FILE,     // `fd` and what follows describe it
    SITE_REDIRECT, // a folder named without its slash: `location`
    SITE_MISSING,  // nothing there; when fd >= 0, it is the site's own 404.html
};

struct site_file {
    int fd; // the caller closes it; -1: none
    int64_t size, mtime_ms;
    const char *type;     // static
    const char *encoding; // "gzip", "br", "zstd", or NULL: as it is
    bool varies;          // the answer depends on Accept-Encoding
    char etag[SITE_ETAG_MAX];
};

#define SITE_LINK_MAX 512

// Where a file came from: while readlink(path) below the pages folder still gives `link`, the same
// lookup finds the same file.
struct site_place {
    char path[SITE_LINK_MAX]; // "@live/team/project"; empty: not told (too long)
    char link[SITE_LINK_MAX]; // as readlink gives it
    bool at_root;             // the site answers for its whole host
};

// Looks `path` up in the sites of `ns`: the longest project prefix wins; a project whose own name
// is `host` (the whole name, "<namespace>.pages.localhost") stands at the root. `accept_encoding`
// is the request's header (p == NULL: none) and picks a precompressed variant beside the file. On
// SITE_REDIRECT `location` (SITE_LOCATION_MAX bytes) holds the path to go to. Errors: E_IO, E_LIMIT
// (descriptors).
int site_find(const struct site_root *r, struct str ns, struct str host,
              const struct site_path *path, struct str accept_encoding, enum site_found *ret,
              struct site_file *ret_file, struct site_place *ret_place, char *location,
              struct err *e) MUST_USE;
