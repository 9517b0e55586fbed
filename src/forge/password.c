// SPDX-License-Identifier: Apache-2.0
// Argon2id through libsodium. Checking an unknown name does the same work as a known one, against a
// hash made once per process. At most PASSWORD_AT_ONCE run at a time, so that a burst of sign-ins
// takes time instead of memory.
#include "forge/password.h"

#include "base/mem.h"
#include "forge/account.h"

#include <pthread.h>
#include <sodium.h>

#define PASSWORD_AT_ONCE 2

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_free = PTHREAD_COND_INITIALIZER;
static int gate_in;

static pthread_once_t nobody_once[2] = {PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT};
static char nobody[2][PASSWORD_HASH_SIZE];

_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES, "room for a hash");

static void gate_enter(void)
{
    pthread_mutex_lock(&gate_lock);
    while (gate_in >= PASSWORD_AT_ONCE)
        pthread_cond_wait(&gate_free, &gate_lock);
    gate_in++;
    pthread_mutex_unlock(&gate_lock);
}

static void gate_leave(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_in--;
    pthread_cond_signal(&gate_free);
    pthread_mutex_unlock(&gate_lock);
}

static int hash(bool fast, struct str password, char out[PASSWORD_HASH_SIZE])
{
    return crypto_pwhash_str_alg(out, password.p ? password.p : "", password.n,
                                 fast ? crypto_pwhash_OPSLIMIT_MIN : PASSWORD_PASSES,
                                 fast ? crypto_pwhash_MEMLIMIT_MIN : PASSWORD_MEMORY,
                                 crypto_pwhash_ALG_ARGON2ID13);
}

static void make_nobody(void)
{
    (void)!hash(false, STR("nobody has this"), nobody[0]);
}

static void make_nobody_fast(void)
{
    (void)!hash(true, STR("nobody has this"), nobody[1]);
}

int password_hash(const struct forge *f, struct str password, char out[PASSWORD_HASH_SIZE],
                  struct err *e)
{
    gate_enter();
    int rc = hash(f->password_fast, password, out);
    gate_leave();
    return rc == 0 ? 0 : err_set(e, E_LIMIT, "not enough memory to check a password; try again");
}

bool password_verify(const struct forge *f, struct str password, struct str hash_text)
{
    char text[PASSWORD_HASH_SIZE] = "";
    bool known = hash_text.n > 0 && hash_text.n < sizeof(text);
    gate_enter();
    pthread_once(&nobody_once[f->password_fast], f->password_fast ? make_nobody_fast : make_nobody);
    const char *against = nobody[f->password_fast];
    if (known) {
        memcpy(text, hash_text.p, hash_text.n);
        against = text;
    }
    bool ok = crypto_pwhash_str_verify(against, password.p ? password.p : "", password.n) == 0;
    gate_leave();
    mem_wipe(text, sizeof(text));
    return ok && known;
}
