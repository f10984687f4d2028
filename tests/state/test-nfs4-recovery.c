/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of clients that could not be deleted: what a client may reclaim after a crash is not given to others meanwhile,
 * and the deletion is tried again until it is done.
 *
 * Spec: RFC 7530 9.6.3.4.1, RFC 8881 8.4.2.1 */
#include "memstore.h"
#include "nfs4-state-private.h"
#include "nfs4talk.h"

#include <glib/gstdio.h>
#include <sqlite3.h>

/* A second look at the server's database. */
static sqlite3 *
database(Nfs4Rig *rig)
{
    sqlite3 *db;
    g_autofree char *path = g_build_filename(lares_host_state_dir(nfs4_rig_service(rig)->host), "nfs4.db", NULL);
    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    return db;
}

static void
sql(sqlite3 *db, const char *text)
{
    g_assert_cmpint(sqlite3_exec(db, text, NULL, NULL, NULL), ==, SQLITE_OK);
}

/* As a full disk would have it. */
static void
refuse_deletes(sqlite3 *db, gboolean refuse)
{
    sql(db, refuse ? "CREATE TRIGGER full BEFORE DELETE ON client BEGIN SELECT RAISE(ABORT, 'disk full'); END"
                   : "DROP TRIGGER full");
}

static int
count_rows(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    g_assert_cmpint(sqlite3_prepare_v2(db, "SELECT count(*) FROM client", -1, &stmt, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_step(stmt), ==, SQLITE_ROW);
    int n = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

static Nfs4Client *
client_of(Nfs4Rig *rig, const Talk *t)
{
    Nfs4Client *client;
    g_assert_cmpuint(nfs4_client_by_id(nfs4_rig_service(rig)->state, t->id, &client), ==, NFS4_OK);
    return client;
}

/* Its lease is over, and it has not been heard of. */
static void
fall_silent(Nfs4Client *client)
{
    __atomic_store_n(&client->renewed, nfs4_now() - 1000, __ATOMIC_SEQ_CST);
    g_mutex_lock(&client->lock);
    g_atomic_int_set(&client->courteous, TRUE);
    lares_holder_set_courteous(client->holder, TRUE);
    g_mutex_unlock(&client->lock);
}

/* Who is silent loses its locks to those who want them, once it cannot take them back any more. */
static void
test_conflict(void)
{
    Nfs4Rig *rig = nfs4_rig_new();
    Talk *silent = talk_as(rig, 1, "silent"), *other = talk_as(rig, 1, "other");
    sqlite3 *db = database(rig);
    Nfs4Stateid open, lock, theirs;
    g_assert_cmpuint(talk_open(silent, "o", 0, "f", &open), ==, NFS4_OK);
    g_assert_cmpuint(talk_lock(silent, "l", 0, 0, "f", &open, 0, 10, &lock), ==, NFS4_OK);
    g_assert_cmpuint(talk_open(other, "o", 0, "f", &theirs), ==, NFS4_OK);
    g_assert_cmpint(count_rows(db), ==, 2);
    Nfs4Client *client = client_of(rig, silent);
    fall_silent(client);
    refuse_deletes(db, TRUE);
    for (int i = 0; i < 3; i++)
        g_assert_cmpuint(talk_lock(other, "l", 0, 0, "f", &theirs, 5, 1, &lock), ==, NFS4ERR_DELAY);
    g_assert_true(g_atomic_int_get(&client->wanted));
    g_assert_false(g_atomic_int_get(&client->dead));
    g_assert_cmpint(count_rows(db), ==, 2);
    refuse_deletes(db, FALSE);
    nfs4_client_give_way(client); /* as the timer does */
    g_assert_true(g_atomic_int_get(&client->dead));
    g_assert_cmpint(count_rows(db), ==, 1);
    g_assert_cmpuint(talk_lock(other, "l", 0, 0, "f", &theirs, 5, 1, &lock), ==, NFS4_OK);
    nfs4_client_unref(client);
    sqlite3_close(db);
    talk_free(silent);
    talk_free(other);
    nfs4_rig_free(rig);
}

/* Who ends itself is gone at once; its row follows when it can, unless the same owner has come back. */
static void
test_retry(void)
{
    Nfs4Rig *rig = nfs4_rig_new();
    Nfs4State *state = nfs4_rig_service(rig)->state;
    Talk *gone = talk_as(rig, 1, "gone"), *back = talk_as(rig, 1, "back"), *again;
    sqlite3 *db = database(rig);
    Nfs4Stateid stateid;
    g_assert_cmpuint(talk_open(gone, "o", 0, "f", &stateid), ==, NFS4_OK);
    g_assert_cmpuint(talk_open(back, "o", 0, "f", &stateid), ==, NFS4_OK);
    refuse_deletes(db, TRUE);
    Talk *both[] = {gone, back};
    for (guint i = 0; i < G_N_ELEMENTS(both); i++) {
        Nfs4Client *client = client_of(rig, both[i]);
        nfs4_client_destroy(client, TRUE);
        nfs4_client_unref(client);
    }
    again = talk_as(rig, 1, "back");
    g_assert_cmpuint(talk_open(again, "o", 0, "f", &stateid), ==, NFS4_OK);
    nfs4_recovery_retry(state->recovery);
    g_assert_cmpint(count_rows(db), ==, 2);
    refuse_deletes(db, FALSE);
    nfs4_recovery_retry(state->recovery);
    g_assert_cmpint(count_rows(db), ==, 1);
    nfs4_recovery_retry(state->recovery);
    g_assert_cmpint(count_rows(db), ==, 1);
    sqlite3_close(db);
    talk_free(gone);
    talk_free(back);
    talk_free(again);
    nfs4_rig_free(rig);
}

/* Clients' names are for the server alone, whatever the umask, and so are the files that SQLite puts beside them. */
static void
test_modes(void)
{
    g_autofree char *dir = g_dir_make_tmp("recovery-XXXXXX", NULL);
    uint8_t id[16];
    mode_t before = umask(022);
    for (int round = 0; round < 2; round++) {
        g_autoptr(GError) error = NULL;
        Nfs4Recovery *recovery = nfs4_recovery_new(dir, 1, id, &error);
        g_assert_no_error(error);
        for (const char *const *name = (const char *const[]){"nfs4.db", "nfs4.db-wal", NULL}; *name; name++) {
            g_autofree char *path = g_build_filename(dir, *name, NULL);
            GStatBuf st;
            g_assert_cmpint(g_stat(path, &st), ==, 0);
            g_assert_cmphex(st.st_mode & 0777, ==, 0600);
        }
        nfs4_recovery_free(recovery);
        g_autofree char *path = g_build_filename(dir, "nfs4.db", NULL);
        g_assert_cmpint(g_chmod(path, 0644), ==, 0); /* as older servers left it */
        if (round == 1)
            g_assert_cmpint(g_unlink(path), ==, 0);
    }
    umask(before);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nfs4/recovery/conflict", test_conflict);
    g_test_add_func("/nfs4/recovery/retry", test_retry);
    g_test_add_func("/nfs4/recovery/modes", test_modes);
    return g_test_run();
}
