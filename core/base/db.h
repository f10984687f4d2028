/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thin helper over SQLite: one file in WAL mode, one schema version per room, statements prepared once.
 *
 * Rooms that share a file open it each for themselves; SQLite's own locking joins them. A change that returned TRUE is
 * on disk (synchronous=FULL).
 *
 * Thread: a LaresDb has a recursive lock that every function takes; hold it with lares_db_lock() while stepping through
 * rows or around a transaction. */
#pragma once

#include <lares/types.h>
#include <sqlite3.h>

G_BEGIN_DECLS

typedef struct _LaresDb LaresDb;

/* Opens or makes the file (0600, never through a symbolic link). LARES_ERROR_FAILED names path and reason. */
LaresDb *lares_db_open(const char *path, GError **error);
void lares_db_close(LaresDb *db);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresDb, lares_db_close)

/* Brings the tables of `room` up to date: steps[i] leads from version i to i + 1; NULL-ended, append-only. A file
 * written by a newer server is refused. */
gboolean lares_db_migrate(LaresDb *db, const char *room, const char *const *steps, GError **error);

void lares_db_lock(LaresDb *db);
void lares_db_unlock(LaresDb *db);

/* Runs one change. `types` has a letter per bound value: 's' const char * (may be NULL), 'i' gint64. */
gboolean lares_db_run(LaresDb *db, GError **error, const char *sql, const char *types, ...);
/* Starts a query, bound like lares_db_run(); step it with lares_db_next(). With the lock held. NULL with error. */
sqlite3_stmt *lares_db_query(LaresDb *db, GError **error, const char *sql, const char *types, ...);
/* TRUE: a row is there. FALSE: the end (or an error, then `error` is set); the statement is given back. */
gboolean lares_db_next(LaresDb *db, sqlite3_stmt *stmt, GError **error);
/* Gives a statement back before its end. */
void lares_db_done(sqlite3_stmt *stmt);
gint64 lares_db_last_id(LaresDb *db);

/* A write transaction; begin takes the lock, commit and rollback release it. A failed commit has rolled back. */
gboolean lares_db_begin(LaresDb *db, GError **error);
gboolean lares_db_commit(LaresDb *db, GError **error);
void lares_db_rollback(LaresDb *db);

static inline const char *
lares_db_text(sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    return text ? text : "";
}

G_END_DECLS
