// SPDX-License-Identifier: Apache-2.0
// The key that seals values in the database, and SHA-256 for secrets that are only compared.
// The key is made once, on the first start; a database whose key is gone is refused at the door
// instead of failing later, value by value.
#include "store/seal.h"

#include "base/mem.h"
#include "base/text.h"
#include "store/db.h"
#include "store/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#define KEY_PATH "secrets/store.key"

_Static_assert(SEAL_KEY_SIZE == crypto_secretbox_KEYBYTES, "key size");
_Static_assert(SHA256_SIZE == crypto_hash_sha256_BYTES, "hash size");

STORE_STMT(SEAL_CHECK_GET, "SELECT value FROM settings WHERE key = 'seal_check'");
STORE_STMT(SEAL_CHECK_SET,
           "INSERT INTO settings (key, value) VALUES ('seal_check', $1) ON CONFLICT DO NOTHING");

struct str sha256(struct str secret, unsigned char out[SHA256_SIZE])
{
    crypto_hash_sha256(out, (const unsigned char *)(secret.p ? secret.p : ""), secret.n);
    return str_n((const char *)out, SHA256_SIZE);
}

struct str store_seal(struct store *s, struct arena *a, struct str plain)
{
    size_t n = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + plain.n;
    unsigned char *out = arena_alloc(a, n, 1);
    randombytes_buf(out, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(out + crypto_secretbox_NONCEBYTES,
                          (const unsigned char *)(plain.p ? plain.p : ""), plain.n, out,
                          store_key(s));
    return str_n((const char *)out, n);
}

int store_unseal(struct store *s, struct arena *a, struct str sealed, struct str *ret,
                 struct err *e)
{
    size_t head = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
    if (sealed.n < head)
        return err_set(e, E_INVALID, "a sealed value is cut short");
    const unsigned char *in = (const unsigned char *)sealed.p;
    unsigned char *out = arena_alloc(a, sealed.n - head + 1, 1);
    if (crypto_secretbox_open_easy(out, in + crypto_secretbox_NONCEBYTES,
                                   sealed.n - crypto_secretbox_NONCEBYTES, in, store_key(s)) != 0)
        return err_set(e, E_INVALID, "a sealed value was changed, or sealed with another key");
    *ret = str_n((const char *)out, sealed.n - head);
    return 0;
}

static int key_read(int root, unsigned char key[SEAL_KEY_SIZE], struct err *e)
{
    int at = -1;
    char name[256];
    TRY(folder_walk(root, STR(KEY_PATH), false, &at, name, e));
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc = fd < 0 ? err_errno(e, errno, "cannot read " KEY_PATH) : 0;
    close(at);
    if (rc < 0)
        return rc;
    unsigned char bytes[SEAL_KEY_SIZE + 1];
    ssize_t n = read(fd, bytes, sizeof(bytes));
    close(fd);
    if (n == SEAL_KEY_SIZE)
        memcpy(key, bytes, SEAL_KEY_SIZE);
    else
        rc = err_set(e, E_INVALID, KEY_PATH " is not %d bytes long; restore it from a backup",
                     SEAL_KEY_SIZE);
    mem_wipe(bytes, sizeof(bytes));
    return rc;
}

static int key_make(struct store *s, struct err *e)
{
    unsigned char fresh[SEAL_KEY_SIZE];
    randombytes_buf(fresh, sizeof(fresh));
    int rc = folder_write_file(store_folder_fd(s), STR(KEY_PATH),
                               str_n((const char *)fresh, sizeof(fresh)), false, e);
    mem_wipe(fresh, sizeof(fresh));
    return rc == E_CONFLICT ? 0 : rc;
}

static int check_get(struct store *s, struct arena *a, struct str *ret, struct err *e)
{
    _autotx_ struct tx tx = TX_NONE;
    _autorows_ struct rows r = ROWS_NONE;
    _autobuf_ struct buf bytes = BUF_INIT(KIB(1));
    *ret = STR_NONE;
    TRY(store_read(s, &tx, e));
    TRY(rows_open(&r, &tx, &SEAL_CHECK_GET, NOARGS, e));
    int rc = rows_next(&r, e);
    if (rc <= 0)
        return rc;
    if (!text_unhex(&bytes, row_peek(&r, 0)))
        return err_set(e, E_INVALID, "the setting seal_check is damaged");
    *ret = arena_str(a, buf_str(&bytes));
    return 0;
}

static int check_set(struct store *s, struct arena *a, struct err *e)
{
    _autobuf_ struct buf hex = BUF_INIT(KIB(1));
    text_hex(&hex, store_seal(s, a, STR("slipway")));
    _autotx_ struct tx tx = TX_NONE;
    TRY(store_write(s, &tx, e));
    int64_t n = db_run(&tx, &SEAL_CHECK_SET, ARGS(S(buf_str(&hex))), e);
    if (n < 0)
        return (int)n;
    return tx_commit(&tx, e);
}

int seal_open(struct store *s, unsigned char key[SEAL_KEY_SIZE], bool create, struct err *e)
{
    _autoarena_ struct arena a;
    struct str check, plain;
    arena_init(&a, KIB(16));
    if (sodium_init() < 0)
        return err_set(e, E_IO, "the system gives no random numbers");
    TRY(check_get(s, &a, &check, e));
    int rc = key_read(store_folder_fd(s), key, e);
    if (rc == E_NOTFOUND && check.n)
        return err_set(e, E_INVALID,
                       KEY_PATH " is missing; restore it from the backup of this database");
    if (rc == E_NOTFOUND && create) {
        TRY(key_make(s, e));
        rc = key_read(store_folder_fd(s), key, e);
    }
    if (rc < 0)
        return rc;
    if (check.n && store_unseal(s, &a, check, &plain, NULL) < 0)
        return err_set(e, E_INVALID,
                       KEY_PATH " does not belong to this database; restore the key that was "
                                "backed up with it");
    return check.n || !create ? 0 : check_set(s, &a, e);
}
