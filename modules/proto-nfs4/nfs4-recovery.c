/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which clients had state when the server went down, and the grace period in which they may take it back.
 *
 * One row per client that holds state, written before its first open or lock is acknowledged and removed when the
 * client ends. At start the rows are those who may reclaim; a grace period runs if there are any and ends early when
 * every 4.1 client among them has sent RECLAIM_COMPLETE. At its end the rows of those who did not come back go.
 * Killed again in the grace period, nothing is lost: rows stay until they are confirmed again or given up.
 *
 * Spec: RFC 7530 9.6.2, RFC 8881 8.4.2
 * Thread: any. Locks: one mutex, a leaf; SQLite is used under it. */
#include "nfs4-state-private.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct _Nfs4Recovery {
    GMutex lock;
    sqlite3 *db;
    GHashTable *waiting; /* GBytes key -> itself: may reclaim and has not said that it is done */
    GHashTable *rows;    /* GBytes key -> number of the client of this process that wrote the row */
    GHashTable *owed;    /* likewise: of a client that ended, whose row could not be deleted */
    gint64 grace_end;    /* monotonic seconds; 0 when over */
    gint in_grace;       /* atomic mirror */
};

static GBytes *
key_of(gboolean v40, const uint8_t *owner, size_t len)
{
    GByteArray *bytes = g_byte_array_sized_new((guint)len + 1);
    uint8_t kind = v40 ? 0 : 1;
    g_byte_array_append(bytes, &kind, 1);
    g_byte_array_append(bytes, owner, (guint)len);
    return g_byte_array_free_to_bytes(bytes);
}

static gboolean
run(sqlite3 *db, const char *sql, GError **error)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "NFSv4 client records: %s", message ? message : "SQLite error");
    sqlite3_free(message);
    return FALSE;
}

static gboolean
load_server_id(sqlite3 *db, uint8_t id[16], GError **error)
{
    sqlite3_stmt *stmt = NULL;
    gboolean found = FALSE;
    if (sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE name = 'server-id'", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == 16) {
        memcpy(id, sqlite3_column_blob(stmt, 0), 16);
        found = TRUE;
    }
    sqlite3_finalize(stmt);
    if (found)
        return TRUE;
    if (RAND_bytes(id, 16) != 1) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "no random bytes");
        return FALSE;
    }
    gboolean ok =
        sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO meta VALUES ('server-id', ?)", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_bind_blob(stmt, 1, id, 16, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_DONE;
    sqlite3_finalize(stmt);
    if (!ok)
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "NFSv4 client records: %s", sqlite3_errmsg(db));
    return ok;
}

static gboolean
load_clients(Nfs4Recovery *recovery, GError **error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(recovery->db, "SELECT kind, owner FROM client", -1, &stmt, NULL) != SQLITE_OK) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "NFSv4 client records: %s", sqlite3_errmsg(recovery->db));
        return FALSE;
    }
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        GBytes *key = key_of(sqlite3_column_int(stmt, 0) == 0, sqlite3_column_blob(stmt, 1),
                             (size_t)sqlite3_column_bytes(stmt, 1));
        g_hash_table_add(recovery->waiting, key);
    }
    sqlite3_finalize(stmt);
    return TRUE;
}

/* Names and addresses of clients are nobody else's business. SQLite makes a file with the umask's mode; those beside it
 * inherit the mode of the main one. */
static gboolean
make_file(const char *path, GError **error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    gboolean ok = fd >= 0 && fchmod(fd, 0600) == 0;
    if (!ok)
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "cannot open %s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

Nfs4Recovery *
nfs4_recovery_new(const char *state_dir, guint grace_seconds, uint8_t server_id[16], GError **error)
{
    Nfs4Recovery *recovery = g_new0(Nfs4Recovery, 1);
    g_mutex_init(&recovery->lock);
    recovery->waiting = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    recovery->rows = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    recovery->owed = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    g_autofree char *path = g_build_filename(state_dir, "nfs4.db", NULL);
    if (!make_file(path, error)) {
        nfs4_recovery_free(recovery);
        return NULL;
    }
    if (sqlite3_open_v2(path, &recovery->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
                        NULL) != SQLITE_OK) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "cannot open %s: %s", path, sqlite3_errmsg(recovery->db));
        nfs4_recovery_free(recovery);
        return NULL;
    }
    sqlite3_busy_timeout(recovery->db, 5000);
    if (!run(recovery->db,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
             "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
             "CREATE TABLE IF NOT EXISTS client (kind INTEGER NOT NULL, owner BLOB NOT NULL, principal TEXT NOT NULL,"
             " address TEXT NOT NULL, PRIMARY KEY (kind, owner)) WITHOUT ROWID;",
             error) ||
        !load_server_id(recovery->db, server_id, error) || !load_clients(recovery, error)) {
        nfs4_recovery_free(recovery);
        return NULL;
    }
    guint n = g_hash_table_size(recovery->waiting);
    if (n) {
        recovery->grace_end = nfs4_now() + grace_seconds;
        recovery->in_grace = TRUE;
        lares_info("nfs4", "grace period of up to %u s: %u client%s may reclaim opens and locks", grace_seconds, n,
                   n == 1 ? "" : "s");
    }
    return recovery;
}

void
nfs4_recovery_free(Nfs4Recovery *recovery)
{
    if (!recovery)
        return;
    sqlite3_close_v2(recovery->db);
    g_hash_table_unref(recovery->waiting);
    g_hash_table_unref(recovery->rows);
    g_hash_table_unref(recovery->owed);
    g_mutex_clear(&recovery->lock);
    g_free(recovery);
}

gboolean
nfs4_recovery_in_grace(Nfs4Recovery *recovery)
{
    return g_atomic_int_get(&recovery->in_grace);
}

gboolean
nfs4_recovery_may_reclaim(Nfs4Recovery *recovery, const Nfs4Client *client)
{
    if (!nfs4_recovery_in_grace(recovery))
        return FALSE;
    g_autoptr(GBytes) key = key_of(client->v40, client->owner_id, client->owner_len);
    g_mutex_lock(&recovery->lock);
    gboolean may = g_hash_table_contains(recovery->waiting, key);
    g_mutex_unlock(&recovery->lock);
    return may;
}

/* ---- Rows -----------------------------------------------------------------------------------------------------------
 */

static gboolean
change_row(Nfs4Recovery *recovery, const char *sql, int kind, const void *owner, size_t len, const Nfs4Client *client)
{
    sqlite3_stmt *stmt = NULL;
    gboolean ok = sqlite3_prepare_v2(recovery->db, sql, -1, &stmt, NULL) == SQLITE_OK;
    ok = ok && sqlite3_bind_int(stmt, 1, kind) == SQLITE_OK;
    ok = ok && sqlite3_bind_blob(stmt, 2, len ? owner : "", (int)len, SQLITE_STATIC) == SQLITE_OK; /* never NULL */
    if (client) {
        ok = ok && sqlite3_bind_text(stmt, 3, client->principal, -1, SQLITE_STATIC) == SQLITE_OK;
        ok = ok && sqlite3_bind_text(stmt, 4, client->address, -1, SQLITE_STATIC) == SQLITE_OK;
    }
    ok = ok && sqlite3_step(stmt) == SQLITE_DONE;
    if (!ok)
        lares_log_limited(LARES_LOG_ERROR, "nfs4",
                          "client records cannot be written (%s): after a restart clients may lose locks",
                          sqlite3_errmsg(recovery->db));
    sqlite3_finalize(stmt);
    return ok;
}

/* A second first open waits here for the row of the first one. What could not be written is tried again next time. */
void
nfs4_recovery_record(Nfs4Recovery *recovery, Nfs4Client *client)
{
    g_mutex_lock(&recovery->lock);
    if (!g_atomic_int_get(&client->recorded) && !g_atomic_int_get(&client->dead) &&
        change_row(recovery, "INSERT OR REPLACE INTO client VALUES (?, ?, ?, ?)", client->v40 ? 0 : 1, client->owner_id,
                   client->owner_len, client)) {
        g_hash_table_replace(recovery->rows, key_of(client->v40, client->owner_id, client->owner_len),
                             GUINT_TO_POINTER(client->id));
        g_atomic_int_set(&client->recorded, TRUE);
    }
    g_mutex_unlock(&recovery->lock);
}

/* Lock held. */
static gboolean
delete_row(Nfs4Recovery *recovery, GBytes *key)
{
    size_t len;
    const uint8_t *bytes = g_bytes_get_data(key, &len);
    return change_row(recovery, "DELETE FROM client WHERE kind = ? AND owner = ?", bytes[0], bytes + 1, len - 1, NULL);
}

gboolean
nfs4_recovery_forget(Nfs4Recovery *recovery, const Nfs4Client *client, gboolean with_row)
{
    g_autoptr(GBytes) key = key_of(client->v40, client->owner_id, client->owner_len);
    gboolean ok = TRUE;
    g_mutex_lock(&recovery->lock);
    /* A newer client of the same owner may have written its own row by now. */
    if (g_hash_table_contains(recovery->rows, key) &&
        GPOINTER_TO_UINT(g_hash_table_lookup(recovery->rows, key)) == client->id) {
        ok = !with_row || delete_row(recovery, key);
        if (ok) {
            g_hash_table_remove(recovery->rows, key);
            g_hash_table_remove(recovery->owed, key);
        } else {
            g_hash_table_replace(recovery->owed, g_bytes_ref(key), GUINT_TO_POINTER(client->id));
        }
    }
    g_mutex_unlock(&recovery->lock);
    return ok;
}

void
nfs4_recovery_retry(Nfs4Recovery *recovery)
{
    GHashTableIter iter;
    gpointer key, number;
    g_mutex_lock(&recovery->lock);
    g_hash_table_iter_init(&iter, recovery->owed);
    while (g_hash_table_iter_next(&iter, &key, &number)) {
        if (g_hash_table_lookup(recovery->rows, key) == number) { /* else the row is a newer client's */
            if (!delete_row(recovery, key))
                break;
            g_hash_table_remove(recovery->rows, key);
        }
        g_hash_table_iter_remove(&iter);
    }
    g_mutex_unlock(&recovery->lock);
}

/* ---- The end of the grace period
 * -------------------------------------------------------------------------------------- */

/* Lock held. A row of an earlier process, which no client of this one has written. */
static void
delete_or_owe(Nfs4Recovery *recovery, GBytes *key)
{
    if (!delete_row(recovery, key))
        g_hash_table_replace(recovery->owed, g_bytes_ref(key), NULL); /* as g_hash_table_lookup() in `rows` */
}

/* Lock held. Those who are still waiting did not come: their rows go, unless they have written new ones (a 4.0 client
 * cannot say that it is done). */
static void
end_grace(Nfs4Recovery *recovery, const char *why)
{
    GHashTableIter iter;
    gpointer key;
    gboolean together = run(recovery->db, "BEGIN", NULL); /* one write for all; without it each is its own */
    g_hash_table_iter_init(&iter, recovery->waiting);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!g_hash_table_contains(recovery->rows, key))
            delete_or_owe(recovery, key);
    }
    if (together && !run(recovery->db, "COMMIT", NULL)) {
        run(recovery->db, "ROLLBACK", NULL);
        g_hash_table_iter_init(&iter, recovery->waiting);
        while (g_hash_table_iter_next(&iter, &key, NULL))
            g_hash_table_replace(recovery->owed, g_bytes_ref(key), NULL);
    }
    g_hash_table_remove_all(recovery->waiting);
    recovery->grace_end = 0;
    g_atomic_int_set(&recovery->in_grace, FALSE);
    lares_info("nfs4", "grace period is over: %s", why);
}

void
nfs4_recovery_complete(Nfs4Recovery *recovery, const Nfs4Client *client)
{
    if (!nfs4_recovery_in_grace(recovery))
        return;
    g_autoptr(GBytes) key = key_of(client->v40, client->owner_id, client->owner_len);
    g_mutex_lock(&recovery->lock);
    if (g_hash_table_remove(recovery->waiting, key)) {
        if (!g_hash_table_contains(recovery->rows, key)) /* it had nothing to take back any more */
            delete_or_owe(recovery, key);
    }
    if (recovery->grace_end && g_hash_table_size(recovery->waiting) == 0)
        end_grace(recovery, "every client has reclaimed");
    g_mutex_unlock(&recovery->lock);
}

gboolean
nfs4_recovery_is_due(Nfs4Recovery *recovery)
{
    g_mutex_lock(&recovery->lock);
    gboolean due = recovery->grace_end && nfs4_now() >= recovery->grace_end;
    g_mutex_unlock(&recovery->lock);
    return due;
}

void
nfs4_recovery_end(Nfs4Recovery *recovery)
{
    g_mutex_lock(&recovery->lock);
    if (recovery->grace_end)
        end_grace(recovery, "its time ran out");
    g_mutex_unlock(&recovery->lock);
}

guint
nfs4_recovery_waiting(Nfs4Recovery *recovery)
{
    g_mutex_lock(&recovery->lock);
    guint n = g_hash_table_size(recovery->waiting);
    g_mutex_unlock(&recovery->lock);
    return n;
}
