/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a login method has to keep of a user, in the database only: read when somebody logs in, never in the tables that
 * are in memory for everybody.
 *
 * Locks: a change goes through lares_directory_begin(); reading takes the database's lock. */
#include "identity/directory-private.h"

#include <lares/log.h>
#include <string.h>

#define SECRET_MAX 256

static gboolean
user_exists(LaresDirectory *d, const char *name)
{
    LaresUserCopy copy;
    LaresNssEntry entry;
    return lares_directory_copy_user(d, name, &copy) ||
           (lares_nss_user_by_name(d->nss, name, &entry) == LARES_NSS_FOUND && g_str_equal(entry.name, name) &&
            lares_directory_host_uid_allowed(d, entry.id));
}

static gboolean
set_secret(LaresDirectory *d, const char *user, const char *kind, const uint8_t *bytes, size_t len, GError **error)
{
    if (len == 0)
        return lares_db_run(d->db, error, "DELETE FROM secrets WHERE user=?1 AND kind=?2", "ss", user, kind);
    char hex[2 * SECRET_MAX + 1];
    for (size_t i = 0; i < len; i++)
        g_snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    gboolean ok = lares_db_run(d->db, error, "INSERT OR REPLACE INTO secrets(user, kind, value) VALUES(?1, ?2, ?3)",
                               "sss", user, kind, hex);
    explicit_bzero(hex, sizeof hex);
    return ok;
}

gboolean
lares_directory_set_secret(LaresDirectory *d, const char *user, const char *kind, const uint8_t *bytes, size_t len,
                           GError **error)
{
    if (len > SECRET_MAX || !user_exists(d, user)) {
        g_set_error(error, LARES_ERROR, len > SECRET_MAX ? LARES_ERROR_INVALID : LARES_ERROR_NOT_FOUND,
                    len > SECRET_MAX ? "user %s: the secret is too long" : "user %s is not in the directory", user);
        return FALSE;
    }
    return lares_directory_begin(d, error) &&
           lares_directory_end(d, set_secret(d, user, kind, bytes, len, error), error);
}

static size_t
from_hex(const char *hex, uint8_t *to, size_t size)
{
    size_t n = 0;
    for (; hex[0] && hex[1] && n < size; hex += 2)
        to[n++] = (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
    return n;
}

LaresStatus
lares_directory_get_secret(LaresDirectory *d, const char *user, const char *kind, uint8_t *bytes, size_t *len)
{
    g_autoptr(GError) error = NULL;
    size_t size = *len;
    *len = 0;
    lares_db_lock(d->db);
    sqlite3_stmt *q =
        lares_db_query(d->db, &error, "SELECT value FROM secrets WHERE user=?1 AND kind=?2", "ss", user, kind);
    if (q && lares_db_next(d->db, q, &error)) {
        *len = from_hex(lares_db_text(q, 0), bytes, size);
        lares_db_done(q);
    }
    lares_db_unlock(d->db);
    if (error) {
        lares_log_limited(LARES_LOG_ERROR, "identity", "%s", error->message);
        return LARES_SERVERFAULT;
    }
    if (*len > 0)
        return LARES_OK;
    return user_exists(d, user) ? LARES_ACCESS : LARES_NOENT;
}

GPtrArray *
lares_directory_secret_users(LaresDirectory *d, const char *kind)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    lares_db_lock(d->db);
    sqlite3_stmt *q = lares_db_query(d->db, &error, "SELECT user FROM secrets WHERE kind=?1 ORDER BY user", "s", kind);
    while (q && lares_db_next(d->db, q, &error))
        g_ptr_array_add(names, g_strdup(lares_db_text(q, 0)));
    lares_db_unlock(d->db);
    return names;
}
