// SPDX-License-Identifier: Apache-2.0
// The store: everything the platform remembers, as rows, behind one handle that all threads share.
//
// Threads. `struct store` may be used by any thread at any time. A `struct tx` belongs to the
// thread that began it, from begin to end. Each thread reads through a connection of its own; there
// is one writer at a time, so write transactions are short: no network, no child process, no
// waiting inside one.
//
// How a caller looks:
//     _autotx_ struct tx tx = TX_NONE;
//     TRY(store_write(store, &tx, e));
//     TRY(project_update(&tx, &p, e));
//     return tx_commit(&tx, e);            // leaving without it rolls back
//
// Reads are short too: while one is open the write-ahead log cannot be folded into the database, so
// end it before sending a large answer or waiting for anything.
//
// Rows. Every area has one header (users.h, projects.h, ...) with plain structs and functions that
// take the transaction first. Texts in rows are NUL-terminated copies in the arena that the caller
// passed; a text that is absent is empty with p == NULL or "". Times are wall milliseconds, 0 =
// never.
//
// Errors. E_NOTFOUND: no such row. E_CONFLICT: a unique name is taken, or the row is no longer in
// the state the call needs. E_INVALID: a value that the schema refuses. E_LIMIT: the disk is full
// (nothing of the transaction was kept; it works again once there is room). E_BUSY: another
// process kept the database locked for STORE_BUSY_MS. E_IO: the disk or the database failed.
//
// What survives. A transaction whose tx_commit() returned 0 survives kill -9 of this process in
// either mode; with STORE_SYNC_FULL (the default) also a power cut, at one fsync per commit. With
// STORE_SYNC_NORMAL a power cut may take back the latest commits, never corrupt or reorder them.
#pragma once

#include "base/arena.h"
#include "base/err.h"

#define STORE_BUSY_MS          10000 // how long a statement waits for a lock of another process
#define STORE_PER_PAGE_DEFAULT 20
#define STORE_PER_PAGE_MAX     100

struct store;
struct db;
struct wakes;

enum store_flags {
    STORE_SERVER = 1,      // be the one server of this folder: E_BUSY when another process is
    STORE_SYNC_NORMAL = 2, // see above
    STORE_READ_ONLY = 4,   // never create, migrate or write; E_INVALID when the schema is older
};

// Opens <folder>/slipway.db; makes the folder (0700) and its secrets, and migrates, when needed.
// A database of a newer Slipway is refused with E_INVALID. Free with store_close().
int store_open(const char *folder, unsigned flags, struct store **ret, struct err *e) MUST_USE;
// No transaction may be open in any thread.
void store_close(struct store *s);
const char *store_folder(const struct store *s);
// Descriptor of the state folder; belongs to the store.
int store_folder_fd(const struct store *s);
// The number of the newest migration applied.
int store_schema_version(const struct store *s);
int store_schema_newest(void);

// A consistent copy of the running database at `path` (0600; must not exist). Rows are written
// after the files they name: copy the database first, then artifacts/, traces/, repos/ and pages/.
int store_backup(struct store *s, const char *path, struct err *e) MUST_USE;
// Runs the database's own integrity check; E_IO with its first finding.
int store_check(struct store *s, struct err *e) MUST_USE;

struct tx {
    struct store *store; // NULL when not open
    struct db *db;
    struct wakes *wakes;
    bool write;
    bool failed; // a write failed on the disk: commit refuses
};
#define TX_NONE ((struct tx){0})

// A snapshot that later commits do not change.
int store_read(struct store *s, struct tx *ret, struct err *e) MUST_USE;
// Waits for the writer's turn. A thread must not begin a second write while it holds one (a bug,
// ends the process); a read beside it is fine but does not see the uncommitted rows.
int store_write(struct store *s, struct tx *ret, struct err *e) MUST_USE;
// Ends a read, or makes a write durable. After an error nothing of the write was kept.
int tx_commit(struct tx *tx, struct err *e) MUST_USE;
// Ends without keeping anything; does nothing when already ended.
void tx_done(struct tx *tx);
#define _autotx_ _cleanup_(tx_done)

// Wakes. Whoever waits for a change is woken after the commit that made it, never before, and not
// at all when it is rolled back. `wake` runs in the committing thread after the writer's lock is
// freed; it must be quick and must not use the store. Set it once, before other threads begin.
void store_on_wake(struct store *s, void (*wake)(void *ctx, const char *topic), void *ctx);
// Topics: "runners", "job:<id>", "pipeline:<id>", "pushes" (a push event was inserted). The areas
// wake these themselves where their header says so. Repeats within a transaction count once.
void tx_wake(struct tx *tx, const char *fmt, ...) PRINTF(2, 3);

// One page of a list, as GitLab's REST counts them.
struct page {
    uint32_t page;     // in: from 1 (0 means 1)
    uint32_t per_page; // in: 1 .. STORE_PER_PAGE_MAX (0 means STORE_PER_PAGE_DEFAULT)
    int64_t total;     // out: rows on all pages together
};

// For `if (rc < 0) return rc;` after each step.
#define TRY(call)                                                                                  \
    do {                                                                                           \
        int try_rc_ = (call);                                                                      \
        if (try_rc_ < 0)                                                                           \
            return try_rc_;                                                                        \
    } while (0)
