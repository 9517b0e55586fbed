// SPDX-License-Identifier: Apache-2.0
// The store's handle: one writing connection behind a lock, and a reading connection for each
// thread that reads. Threads keep their reader until they end; then it waits in a list for the next
// thread. Wakes of a write are collected with the transaction and delivered after its commit.
#include "store/store.h"

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

struct wakes {
    struct map topics;
};

struct store {
    const struct db_driver *driver;
    char *folder, *db_path;
    int folder_fd;
    unsigned flags;
    size_t nstmts;
    int version;
    unsigned char key[SEAL_KEY_SIZE];

    pthread_mutex_t writer_lock; // held from store_write() to the end of that transaction
    struct db *writer;           // NULL when read-only

    pthread_mutex_t list_lock; // guards `all` and `idle`
    struct db *all;            // every reader, through next
    struct db *idle;           // readers of no thread, through next_idle
    pthread_key_t reader;      // this thread's

    void (*wake)(void *ctx, const char *topic);
    void *wake_ctx;
};

// ---- opening ----

static void reader_give_back(void *value)
{
    struct db *db = value;
    struct store *s = db->store;
    pthread_mutex_lock(&s->list_lock);
    db->next_idle = s->idle;
    s->idle = db;
    pthread_mutex_unlock(&s->list_lock);
}

static int reader_new(struct store *s, struct db **ret, struct err *e)
{
    TRY(s->driver->open(s->db_path, DB_READER, s->nstmts, ret, e));
    (*ret)->store = s;
    pthread_mutex_lock(&s->list_lock);
    (*ret)->next = s->all;
    s->all = *ret;
    pthread_mutex_unlock(&s->list_lock);
    return 0;
}

// One server per folder. The lock is the kernel's, on the folder itself: it leaves no file behind
// and ends with the process, however that ends.
static int lock_folder(struct store *s, struct err *e)
{
    if (flock(s->folder_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return err_set(e, E_BUSY, "another server uses %s; stop it first", s->folder);
    return err_errno(e, errno, "cannot lock %s", s->folder);
}

static int open_all(struct store *s, struct err *e)
{
    bool read_only = s->flags & STORE_READ_ONLY;

    TRY(folder_open(s->folder, !read_only, &s->folder_fd, e));
    if (s->flags & STORE_SERVER)
        TRY(lock_folder(s, e));
    if (read_only) {
        struct db *db;
        TRY(reader_new(s, &db, e));
        reader_give_back(db);
        TRY(store_migrate(db, true, &s->version, e));
    } else {
        unsigned how = DB_CREATE | (s->flags & STORE_SYNC_NORMAL ? 0 : DB_SYNC_FULL);
        TRY(s->driver->open(s->db_path, how, s->nstmts, &s->writer, e));
        s->writer->store = s;
        TRY(store_migrate(s->writer, false, &s->version, e));
    }
    return seal_open(s, s->key, !read_only, e);
}

int store_open(const char *folder, unsigned flags, struct store **ret, struct err *e)
{
    struct store *s = NEW(struct store);
    struct buf path = BUF_INIT(4096);
    buf_addf(&path, "%s/slipway.db", folder);
    if (!buf_ok(&path)) {
        buf_done(&path);
        free(s);
        return err_set(e, E_INVALID, "the state folder's path is too long");
    }
    s->driver = &sqlite_driver;
    s->folder = str_dup(str_of(folder));
    s->db_path = buf_take(&path);
    s->folder_fd = -1;
    s->flags = flags;
    s->nstmts = db_stmts(NULL);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&s->writer_lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_mutex_init(&s->list_lock, NULL);
    BUG_ON(pthread_key_create(&s->reader, reader_give_back) != 0);

    int rc = open_all(s, e);
    if (rc < 0) {
        store_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    pthread_key_delete(s->reader);
    while (s->all) {
        struct db *db = s->all;
        BUG_ON(db->taken);
        s->all = db->next;
        s->driver->close(db);
    }
    // The last connection to close folds the log back into the database.
    if (s->writer)
        s->driver->close(s->writer);
    if (s->folder_fd >= 0)
        close(s->folder_fd);
    pthread_mutex_destroy(&s->writer_lock);
    pthread_mutex_destroy(&s->list_lock);
    mem_wipe(s->key, sizeof(s->key));
    free(s->folder);
    free(s->db_path);
    free(s);
}

const char *store_folder(const struct store *s)
{
    return s->folder;
}

int store_folder_fd(const struct store *s)
{
    return s->folder_fd;
}

int store_schema_version(const struct store *s)
{
    return s->version;
}

int store_schema_newest(void)
{
    return (int)store_nmigrations;
}

const unsigned char *store_key(const struct store *s)
{
    return s->key;
}

// ---- transactions ----

static int reader_take(struct store *s, struct db **ret, struct err *e)
{
    struct db *mine = pthread_getspecific(s->reader), *db = NULL;
    if (mine && !mine->taken) {
        *ret = mine;
        return 0;
    }
    pthread_mutex_lock(&s->list_lock);
    if (s->idle) {
        db = s->idle;
        s->idle = db->next_idle;
    }
    pthread_mutex_unlock(&s->list_lock);
    if (!db)
        TRY(reader_new(s, &db, e));
    // A second read within the first gets a reader of its own, for that long.
    if (!mine)
        pthread_setspecific(s->reader, db);
    *ret = db;
    return 0;
}

static void reader_end(struct store *s, struct db *db)
{
    db->taken = false;
    if (pthread_getspecific(s->reader) != db)
        reader_give_back(db);
}

int store_read(struct store *s, struct tx *ret, struct err *e)
{
    struct db *db;
    BUG_ON(ret->db);
    TRY(reader_take(s, &db, e));
    db->taken = true;
    int rc = db->driver->begin(db, false, e);
    if (rc < 0) {
        reader_end(s, db);
        return rc;
    }
    *ret = (struct tx){.store = s, .db = db};
    return 0;
}

int store_write(struct store *s, struct tx *ret, struct err *e)
{
    BUG_ON(ret->db);
    if (!s->writer)
        return err_set(e, E_INVALID, "the store was opened for reading only");
    if (pthread_mutex_lock(&s->writer_lock) == EDEADLK)
        BUG("a thread began a write transaction within another one");
    int rc = s->writer->driver->begin(s->writer, true, e);
    if (rc < 0) {
        pthread_mutex_unlock(&s->writer_lock);
        return rc;
    }
    *ret = (struct tx){.store = s, .db = s->writer, .write = true};
    return 0;
}

static void wakes_free(struct wakes *w)
{
    if (!w)
        return;
    map_done(&w->topics);
    free(w);
}

static void deliver(struct store *s, struct wakes *w)
{
    if (!w)
        return;
    if (s->wake)
        map_each (item, &w->topics)
            s->wake(s->wake_ctx, item->key.p);
    wakes_free(w);
}

int tx_commit(struct tx *tx, struct err *e)
{
    struct store *s = tx->store;
    BUG_ON(!tx->db);
    if (tx->write && tx->failed) {
        tx_done(tx);
        if (e && e->code)
            return e->code;
        return err_set(e, E_IO, "database: an earlier statement of this change failed");
    }
    int rc = tx->db->driver->commit(tx->db, e);
    if (rc < 0) {
        tx_done(tx);
        return rc;
    }
    struct wakes *w = tx->wakes;
    if (tx->write)
        pthread_mutex_unlock(&s->writer_lock);
    else
        reader_end(s, tx->db);
    *tx = TX_NONE;
    deliver(s, w);
    return 0;
}

void tx_done(struct tx *tx)
{
    if (!tx->db)
        return;
    struct store *s = tx->store;
    tx->db->driver->rollback(tx->db);
    if (tx->write)
        pthread_mutex_unlock(&s->writer_lock);
    else
        reader_end(s, tx->db);
    wakes_free(tx->wakes);
    *tx = TX_NONE;
}

// ---- wakes ----

void store_on_wake(struct store *s, void (*wake)(void *ctx, const char *topic), void *ctx)
{
    s->wake = wake;
    s->wake_ctx = ctx;
}

void tx_wake(struct tx *tx, const char *fmt, ...)
{
    BUG_ON(!tx->write);
    char topic[80];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(topic, sizeof(topic), fmt, ap);
    va_end(ap);
    BUG_ON(n < 0 || (size_t)n >= sizeof(topic));
    if (!tx->wakes)
        tx->wakes = NEW(struct wakes);
    map_set(&tx->wakes->topics, str_n(topic, (size_t)n), tx);
}

// ---- the whole database ----

int store_backup(struct store *s, const char *path, struct err *e)
{
    // A connection of its own: the copy takes long, and a reader's snapshot must not.
    struct db *db;
    TRY(s->driver->open(s->db_path, DB_READER, s->nstmts, &db, e));
    int rc = s->driver->backup(db, path, e);
    s->driver->close(db);
    return rc;
}

int store_check(struct store *s, struct err *e)
{
    struct db *db;
    TRY(s->driver->open(s->db_path, DB_READER, s->nstmts, &db, e));
    int rc = s->driver->check(db, e);
    s->driver->close(db);
    return rc;
}
