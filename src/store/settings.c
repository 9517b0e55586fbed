// SPDX-License-Identifier: Apache-2.0
// Settings of the instance, one row per name. Stateless.
#include "store/settings.h"

#include "store/rows.h"

STORE_STMT(SETTING_GET, "SELECT value FROM settings WHERE key = $1");
STORE_STMT(SETTING_SET, "INSERT INTO settings (key, value) VALUES ($1, $2)"
                        " ON CONFLICT (key) DO UPDATE SET value = excluded.value");
STORE_STMT(SETTING_DELETE, "DELETE FROM settings WHERE key = $1");

int setting_get(struct tx *tx, struct arena *a, const char *key, struct str *ret, struct err *e)
{
    _autorows_ struct rows r = ROWS_NONE;
    TRY(rows_open(&r, tx, &SETTING_GET, ARGS(S(str_of(key))), e));
    int rc = rows_next(&r, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, E_NOTFOUND, "setting %s is not set", key);
    *ret = row_text(&r, 0, a);
    return 0;
}

int setting_set(struct tx *tx, const char *key, struct str value, struct err *e)
{
    int64_t n = db_run(tx, &SETTING_SET, ARGS(S(str_of(key)), S(value)), e);
    return n < 0 ? (int)n : 0;
}

int setting_delete(struct tx *tx, const char *key, struct err *e)
{
    return db_one(tx, &SETTING_DELETE, ARGS(S(str_of(key))), "setting", e);
}
