/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SQLite, opened the way a server needs it. */
#include "base/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 10000

struct _LaresDb {
    sqlite3 *handle;
    char *path;
    GRecMutex lock;
    GHashTable *statements; /* SQL text (constant) -> sqlite3_stmt */
};

static gboolean
fail(LaresDb *db, GError **error, const char *what)
{
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "database %s: %s: %s", db->path, what,
                db->handle ? sqlite3_errmsg(db->handle) : "not open");
    return FALSE;
}

static gboolean
exec(LaresDb *db, const char *sql, GError **error)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail(db, error, "statement failed");
    return TRUE;
}

/* SQLite makes its files with the umask's mode; WAL and shared memory files inherit the mode of the main one. */
static gboolean
make_file(const char *path, GError **error)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    int err = fd < 0 || fstat(fd, &st) < 0 ? errno : !S_ISREG(st.st_mode) ? EINVAL : 0;
    if (!err && (st.st_mode & 0777) != 0600 && fchmod(fd, 0600) < 0)
        err = errno;
    if (err) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "cannot open the database %s: %s", path, g_strerror(err));
        if (fd >= 0)
            close(fd);
        return FALSE;
    }
    close(fd);
    return TRUE;
}

static void
statement_free(gpointer stmt)
{
    sqlite3_finalize(stmt);
}

LaresDb *
lares_db_open(const char *path, GError **error)
{
    if (!make_file(path, error))
        return NULL;
    LaresDb *db = g_new0(LaresDb, 1);
    db->path = g_strdup(path);
    g_rec_mutex_init(&db->lock);
    db->statements = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, statement_free);
    /* SQLITE_OPEN_NOFOLLOW would refuse links in the directories above too; make_file() checked the file itself. */
    if (sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL) != SQLITE_OK) {
        fail(db, error, "cannot open");
        lares_db_close(db);
        return NULL;
    }
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    if (!exec(db, "PRAGMA journal_mode=WAL", error) || !exec(db, "PRAGMA synchronous=FULL", error) ||
        !exec(db, "PRAGMA foreign_keys=ON", error) ||
        !exec(db, "CREATE TABLE IF NOT EXISTS lares_schema(room TEXT PRIMARY KEY, version INTEGER NOT NULL)", error)) {
        lares_db_close(db);
        return NULL;
    }
    return db;
}

void
lares_db_close(LaresDb *db)
{
    if (!db)
        return;
    g_hash_table_unref(db->statements);
    sqlite3_close_v2(db->handle);
    g_rec_mutex_clear(&db->lock);
    g_free(db->path);
    g_free(db);
}

void
lares_db_lock(LaresDb *db)
{
    g_rec_mutex_lock(&db->lock);
}

void
lares_db_unlock(LaresDb *db)
{
    g_rec_mutex_unlock(&db->lock);
}

/* Statements are kept by their text's content, so a text must live as long as the program: SQL is constant here. */
static sqlite3_stmt *
prepare(LaresDb *db, const char *sql, GError **error)
{
    sqlite3_stmt *stmt = g_hash_table_lookup(db->statements, sql);
    if (stmt && !sqlite3_stmt_busy(stmt))
        return stmt;
    if (stmt) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "database %s: query nested in itself: %s", db->path, sql);
        return NULL;
    }
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK) {
        fail(db, error, sql);
        return NULL;
    }
    g_hash_table_insert(db->statements, (gpointer)sql, stmt);
    return stmt;
}

static gboolean
bind(LaresDb *db, sqlite3_stmt *stmt, const char *types, va_list args, GError **error)
{
    int n = 0;
    for (const char *t = types ? types : ""; *t; t++) {
        int rc;
        n++;
        if (*t == 's') {
            const char *text = va_arg(args, const char *);
            rc = text ? sqlite3_bind_text(stmt, n, text, -1, SQLITE_TRANSIENT) : sqlite3_bind_null(stmt, n);
        } else {
            rc = sqlite3_bind_int64(stmt, n, va_arg(args, gint64));
        }
        if (rc != SQLITE_OK)
            return fail(db, error, "cannot bind");
    }
    if (n != sqlite3_bind_parameter_count(stmt))
        return fail(db, error, "wrong number of values");
    return TRUE;
}

static sqlite3_stmt *
prepare_bound(LaresDb *db, const char *sql, const char *types, va_list args, GError **error)
{
    sqlite3_stmt *stmt = prepare(db, sql, error);
    if (stmt && !bind(db, stmt, types, args, error)) {
        lares_db_done(stmt);
        return NULL;
    }
    return stmt;
}

void
lares_db_done(sqlite3_stmt *stmt)
{
    if (stmt) {
        sqlite3_reset(stmt);
        sqlite3_clear_bindings(stmt);
    }
}

gboolean
lares_db_run(LaresDb *db, GError **error, const char *sql, const char *types, ...)
{
    va_list args;
    lares_db_lock(db);
    va_start(args, types);
    sqlite3_stmt *stmt = prepare_bound(db, sql, types, args, error);
    va_end(args);
    gboolean ok = FALSE;
    if (stmt) {
        int rc = sqlite3_step(stmt);
        ok = rc == SQLITE_DONE || rc == SQLITE_ROW;
        if (!ok)
            fail(db, error, sql);
        lares_db_done(stmt);
    }
    lares_db_unlock(db);
    return ok;
}

sqlite3_stmt *
lares_db_query(LaresDb *db, GError **error, const char *sql, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    sqlite3_stmt *stmt = prepare_bound(db, sql, types, args, error);
    va_end(args);
    return stmt;
}

gboolean
lares_db_next(LaresDb *db, sqlite3_stmt *stmt, GError **error)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return TRUE;
    if (rc != SQLITE_DONE)
        fail(db, error, "query failed");
    lares_db_done(stmt);
    return FALSE;
}

gint64
lares_db_last_id(LaresDb *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

gboolean
lares_db_begin(LaresDb *db, GError **error)
{
    lares_db_lock(db);
    if (exec(db, "BEGIN IMMEDIATE", error))
        return TRUE;
    lares_db_unlock(db);
    return FALSE;
}

gboolean
lares_db_commit(LaresDb *db, GError **error)
{
    gboolean ok = exec(db, "COMMIT", error);
    if (!ok)
        exec(db, "ROLLBACK", NULL);
    lares_db_unlock(db);
    return ok;
}

void
lares_db_rollback(LaresDb *db)
{
    exec(db, "ROLLBACK", NULL);
    lares_db_unlock(db);
}

static gboolean
current_version(LaresDb *db, const char *room, gint64 *version, GError **error)
{
    g_autoptr(GError) problem = NULL;
    sqlite3_stmt *stmt = lares_db_query(db, error, "SELECT version FROM lares_schema WHERE room=?1", "s", room);
    if (!stmt)
        return FALSE;
    *version = 0;
    if (lares_db_next(db, stmt, &problem)) {
        *version = sqlite3_column_int64(stmt, 0);
        lares_db_done(stmt);
    } else if (problem) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    return TRUE;
}

static gboolean
run_steps(LaresDb *db, const char *room, const char *const *steps, GError **error)
{
    gint64 version, newest = 0;
    while (steps[newest])
        newest++;
    if (!current_version(db, room, &version, error))
        return FALSE;
    if (version > newest) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED,
                    "database %s: the tables of %s have version %d, this server knows up to %d: it was written by a "
                    "newer Lares",
                    db->path, room, (int)version, (int)newest);
        return FALSE;
    }
    if (version == newest) /* nothing is written at a usual start, so no disk is waited for */
        return TRUE;
    for (; version < newest; version++) {
        if (!exec(db, steps[version], error))
            return FALSE;
    }
    return lares_db_run(db, error, "INSERT OR REPLACE INTO lares_schema(room, version) VALUES(?1, ?2)", "si", room,
                        newest);
}

gboolean
lares_db_migrate(LaresDb *db, const char *room, const char *const *steps, GError **error)
{
    if (!lares_db_begin(db, error))
        return FALSE;
    if (run_steps(db, room, steps, error))
        return lares_db_commit(db, error);
    lares_db_rollback(db);
    return FALSE;
}
