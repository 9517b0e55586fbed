// SPDX-License-Identifier: Apache-2.0
// The refs of a repository read without a git process, whole and into memory: loose files over
// packed-refs. Nothing is mapped or kept open, so that a repository on a shared filesystem never
// shows what was replaced (a held or mapped packed-refs makes other hosts' answers stale).
//
// A snapshot is immutable and counted; any thread may read it. The cache keeps one per repository
// and hands it out again while packed-refs is the same file (inode, size, ctime) and no folder
// below refs/ changed. On network filesystems loose refs are read anew each time.
#pragma once

#include "base/err.h"
#include "base/str.h"

struct git_ref {
    struct str name;   // full
    struct str sha;    // 40 hex digits
    struct str peeled; // what an annotated tag finally means; empty for everything else
    struct str symref; // the ref it names; empty for plain refs
};

struct git_refs {
    const struct git_ref *items; // sorted by name
    size_t n;
    struct str head;     // what HEAD names ("refs/heads/main"); empty when detached
    struct str head_sha; // where HEAD leads; empty while that branch does not exist
};

#define GIT_REFS_FILE_MAX MIB(256) // bytes of packed-refs, and of loose refs together: E_LIMIT

// Reads now. Free with git_refs_unref. E_NOTFOUND: no repository; E_BUSY: the filesystem kept
// answering with stale handles, try again later.
int git_refs_read(const char *path, struct git_refs **ret, struct err *e) MUST_USE;
void git_refs_unref(struct git_refs *s); // NULL is allowed; any thread
static inline void git_refs_unrefp(struct git_refs **s)
{
    git_refs_unref(*s);
}
#define _autorefs_ _cleanup_(git_refs_unrefp)

// The index of the first ref whose name is not less than `prefix`.
size_t git_refs_seek(const struct git_refs *s, struct str prefix);
// NULL when there is no such ref.
const struct git_ref *git_refs_find(const struct git_refs *s, struct str name);

// Looks up one ref without listing all: E_NOTFOUND when it does not exist. `sha` gets 40 digits and
// a NUL. Follows symbolic refs.
int git_ref_lookup(const char *path, struct str name, char sha[41], struct err *e) MUST_USE;

struct git_refs_cache;
// Keeps at most `max_refs` refs in all snapshots together; the least recently used go first.
struct git_refs_cache *git_refs_cache_new(size_t max_refs) MUST_USE;
void git_refs_cache_free(struct git_refs_cache *c); // NULL is allowed
// Any thread. The result is as new as what a git process started now would see.
int git_refs_cached(struct git_refs_cache *c, const char *path, struct git_refs **ret,
                    struct err *e) MUST_USE;

// The same through one cache that the whole process shares: what src/git itself reads with.
int git_refs_now(const char *path, struct git_refs **ret, struct err *e) MUST_USE;
