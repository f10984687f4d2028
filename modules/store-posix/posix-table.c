/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inode table: where an inode was last seen, for handles that the kernel cannot open for us.
 *
 * One SQLite file per share in the state directory. A row is written before its handle is given out; it survives a
 * killed process, and after a power cut what was lost is a stale handle, so nothing is synced.
 *
 * Locks: one mutex around the connection. */
#include "posix.h"

#include <sqlite3.h>

struct _PosixTable {
    GMutex lock;
    sqlite3 *db;
    sqlite3_stmt *put, *get, *drop;
};

static gboolean
prepare(PosixTable *table)
{
    static const char schema[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
                                 "CREATE TABLE IF NOT EXISTS inode (child BLOB PRIMARY KEY, parent BLOB NOT NULL,"
                                 " name BLOB NOT NULL) WITHOUT ROWID;";
    return sqlite3_exec(table->db, schema, NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(table->db, "INSERT OR REPLACE INTO inode VALUES (?, ?, ?)", -1, &table->put, NULL) ==
               SQLITE_OK &&
           sqlite3_prepare_v2(table->db, "SELECT parent, name FROM inode WHERE child = ?", -1, &table->get, NULL) ==
               SQLITE_OK &&
           sqlite3_prepare_v2(table->db, "DELETE FROM inode WHERE child = ?", -1, &table->drop, NULL) == SQLITE_OK;
}

PosixTable *
posix_table_open(const char *state_dir, const char *root_path, GError **error)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, root_path, -1);
    g_autofree char *base = g_strdup_printf("inodes-%.16s.db", sum);
    g_autofree char *path = g_build_filename(state_dir, base, NULL);
    PosixTable *table = g_new0(PosixTable, 1);
    g_mutex_init(&table->lock);
    /* Made here with a strict mode; SQLite gives its other files the same. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        close(fd);
    gboolean ok = sqlite3_open(path, &table->db) == SQLITE_OK && prepare(table);
    if (!ok) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED,
                    "%s: the kernel gives no file handles here, and the inode table cannot be used: %s", path,
                    sqlite3_errmsg(table->db));
        posix_table_close(table);
        return NULL;
    }
    sqlite3_busy_timeout(table->db, 1000);
    return table;
}

void
posix_table_close(PosixTable *table)
{
    sqlite3_finalize(table->put);
    sqlite3_finalize(table->get);
    sqlite3_finalize(table->drop);
    sqlite3_close(table->db);
    g_mutex_clear(&table->lock);
    g_free(table);
}

static void
run(PosixTable *table, sqlite3_stmt *statement)
{
    if (sqlite3_step(statement) != SQLITE_DONE)
        lares_log_limited(LARES_LOG_WARNING, "store-posix", "inode table: %s (handles may become stale at a restart)",
                          sqlite3_errmsg(table->db));
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

void
posix_table_put(PosixTable *table, const LaresHandle *child, const LaresHandle *parent, const char *name)
{
    g_mutex_lock(&table->lock);
    sqlite3_bind_blob(table->put, 1, child->bytes, child->len, SQLITE_STATIC);
    sqlite3_bind_blob(table->put, 2, parent->bytes, parent->len, SQLITE_STATIC);
    sqlite3_bind_blob(table->put, 3, name, (int)strlen(name), SQLITE_STATIC);
    run(table, table->put);
    g_mutex_unlock(&table->lock);
}

void
posix_table_remove(PosixTable *table, const LaresHandle *child)
{
    g_mutex_lock(&table->lock);
    sqlite3_bind_blob(table->drop, 1, child->bytes, child->len, SQLITE_STATIC);
    run(table, table->drop);
    g_mutex_unlock(&table->lock);
}

gboolean
posix_table_get(PosixTable *table, const LaresHandle *child, LaresHandle *parent, char **name)
{
    gboolean found = FALSE;
    g_mutex_lock(&table->lock);
    sqlite3_bind_blob(table->get, 1, child->bytes, child->len, SQLITE_STATIC);
    if (sqlite3_step(table->get) == SQLITE_ROW) {
        int bytes = sqlite3_column_bytes(table->get, 0);
        if (bytes > 0 && bytes <= LARES_HANDLE_MAX) {
            memset(parent, 0, sizeof *parent);
            parent->len = (uint8_t)bytes;
            memcpy(parent->bytes, sqlite3_column_blob(table->get, 0), (size_t)bytes);
            *name = g_strndup(sqlite3_column_blob(table->get, 1), (gsize)sqlite3_column_bytes(table->get, 1));
            found = posix_name_check(*name) == LARES_OK;
        }
    }
    sqlite3_reset(table->get);
    sqlite3_clear_bindings(table->get);
    g_mutex_unlock(&table->lock);
    return found;
}
