/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The SQLite helper: versions, transactions, and files it must not touch. */
#include "base/db.h"

#include <glib/gstdio.h>
#include <unistd.h>

static char *
make_folder(void)
{
    return g_dir_make_tmp("lares-db-XXXXXX", NULL);
}

static void
clean(char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_remove(path);
    }
    g_rmdir(folder);
    g_free(folder);
}

static gint64
count(LaresDb *db, const char *sql)
{
    gint64 n = -1;
    lares_db_lock(db);
    sqlite3_stmt *q = lares_db_query(db, NULL, sql, NULL);
    if (q && lares_db_next(db, q, NULL)) {
        n = sqlite3_column_int64(q, 0);
        lares_db_done(q);
    }
    lares_db_unlock(db);
    return n;
}

static void
test_migrations(void)
{
    static const char *const v1[] = {"CREATE TABLE a(x INTEGER);", NULL};
    static const char *const v2[] = {"CREATE TABLE a(x INTEGER);", "ALTER TABLE a ADD COLUMN y TEXT;", NULL};
    static const char *const broken[] = {"CREATE TABLE a(x INTEGER);", "ALTER TABLE a ADD COLUMN y TEXT;",
                                         "CREATE TABLE b(x); nonsense;", NULL};
    char *folder = make_folder();
    g_autofree char *file = g_build_filename(folder, "t.db", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(LaresDb) db = lares_db_open(file, &error);
    g_assert_no_error(error);
    g_assert_true(lares_db_migrate(db, "room", v1, &error));
    g_assert_true(lares_db_run(db, &error, "INSERT INTO a(x) VALUES(?1)", "i", (gint64)7));
    g_assert_true(lares_db_migrate(db, "room", v2, &error));
    g_assert_true(lares_db_migrate(db, "room", v2, &error));
    g_assert_true(lares_db_run(db, &error, "UPDATE a SET y=?1", "s", "kept"));
    g_assert_no_error(error);
    /* A step that fails leaves nothing behind. */
    g_assert_false(lares_db_migrate(db, "room", broken, &error));
    g_clear_error(&error);
    g_assert_cmpint(count(db, "SELECT count(*) FROM sqlite_master WHERE name='b'"), ==, 0);
    /* An older server does not touch a newer one's tables. */
    g_assert_false(lares_db_migrate(db, "room", v1, &error));
    g_assert_nonnull(strstr(error->message, "newer"));
    g_clear_error(&error);
    g_assert_true(lares_db_migrate(db, "other", v1 + 1, &error));
    clean(folder);
}

static gint64
size_of(const char *folder, const char *leaf)
{
    g_autofree char *path = g_build_filename(folder, leaf, NULL);
    GStatBuf st;
    return g_stat(path, &st) == 0 ? (gint64)st.st_size : 0;
}

/* A start that changes nothing waits for no disk. */
static void
test_same_version_writes_nothing(void)
{
    static const char *const v1[] = {"CREATE TABLE a(x INTEGER);", NULL};
    char *folder = make_folder();
    g_autofree char *file = g_build_filename(folder, "t.db", NULL);
    g_autoptr(GError) error = NULL;
    LaresDb *first = lares_db_open(file, &error);
    g_assert_no_error(error);
    g_assert_true(lares_db_migrate(first, "room", v1, &error));
    lares_db_close(first);
    g_assert_cmpint(size_of(folder, "t.db-wal"), ==, 0);
    g_autoptr(LaresDb) db = lares_db_open(file, &error);
    g_assert_no_error(error);
    g_assert_true(lares_db_migrate(db, "room", v1, &error));
    g_assert_no_error(error);
    g_assert_cmpint(size_of(folder, "t.db-wal"), ==, 0);
    clean(folder);
}

static void
test_transactions(void)
{
    static const char *const v1[] = {"CREATE TABLE a(x INTEGER PRIMARY KEY);", NULL};
    char *folder = make_folder();
    g_autofree char *file = g_build_filename(folder, "t.db", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(LaresDb) db = lares_db_open(file, NULL);
    g_autoptr(LaresDb) other = lares_db_open(file, NULL);
    g_assert_true(lares_db_migrate(db, "room", v1, NULL));
    g_assert_true(lares_db_begin(db, NULL));
    g_assert_true(lares_db_run(db, NULL, "INSERT INTO a(x) VALUES(1)", NULL));
    lares_db_rollback(db);
    g_assert_cmpint(count(db, "SELECT count(*) FROM a"), ==, 0);
    g_assert_true(lares_db_begin(db, NULL));
    g_assert_true(lares_db_run(db, NULL, "INSERT INTO a(x) VALUES(1)", NULL));
    g_assert_cmpint(count(other, "SELECT count(*) FROM a"), ==, 0);
    g_assert_true(lares_db_commit(db, NULL));
    g_assert_cmpint(count(other, "SELECT count(*) FROM a"), ==, 1);
    g_assert_false(lares_db_run(db, &error, "INSERT INTO a(x) VALUES(1)", NULL));
    g_clear_error(&error);
    g_assert_false(lares_db_run(db, &error, "INSERT INTO a(x) VALUES(?1)", NULL)); /* a value is missing */
    clean(folder);
}

static void
test_files_it_refuses(void)
{
    char *folder = make_folder();
    g_autofree char *target = g_build_filename(folder, "target", NULL);
    g_autofree char *link_path = g_build_filename(folder, "link.db", NULL);
    g_autofree char *garbage = g_build_filename(folder, "garbage.db", NULL);
    g_autofree char *nowhere = g_build_filename(folder, "no", "such.db", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(symlink(target, link_path), ==, 0);
    g_assert_null(lares_db_open(link_path, &error));
    g_assert_nonnull(strstr(error->message, link_path));
    g_clear_error(&error);
    g_assert_null(lares_db_open(nowhere, &error));
    g_clear_error(&error);
    g_assert_null(lares_db_open(folder, &error));
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(garbage, "this is not a database, whatever its name says ......", -1, NULL));
    g_assert_null(lares_db_open(garbage, &error));
    g_assert_nonnull(error);
    clean(folder);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/db/migrations", test_migrations);
    g_test_add_func("/db/same-version-writes-nothing", test_same_version_writes_nothing);
    g_test_add_func("/db/transactions", test_transactions);
    g_test_add_func("/db/refused", test_files_it_refuses);
    return g_test_run();
}
