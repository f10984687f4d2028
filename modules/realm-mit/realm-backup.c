/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps a dump of the database beside it: MIT's db2 has no journal, and a power cut in the middle of a
 * write can cost the file. The dump comes into place by a rename, so one whole copy is always there.
 *
 * docs/KERBEROS.md says how to bring it back.
 */
#include "realm.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The newest write to the database; db2 and lmdb name their files differently. */
static gint64
database_time(const RealmConf *conf)
{
    static const char *const leaves[] = {"principal", "principal.kadm5", "principal.mdb"};
    gint64 newest = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(leaves); i++) {
        g_autofree char *path = realm_conf_path(conf, leaves[i]);
        struct stat st;
        if (stat(path, &st) == 0)
            newest = MAX(newest, (gint64)st.st_mtim.tv_sec);
    }
    return newest;
}

static gboolean
sync_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gboolean good = fd >= 0 && fchmod(fd, 0600) == 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return good;
}

gboolean
realm_backup(const RealmConf *conf, const RealmPrograms *programs, GError **error)
{
    g_autofree char *path = realm_conf_path(conf, "backup.dump");
    g_autofree char *fresh = realm_conf_path(conf, "backup.dump.new");
    /* MIT marks a finished dump with an empty file; the rename does that here. */
    g_autofree char *mark = realm_conf_path(conf, "backup.dump.new.dump_ok");
    const char *const argv[] = {
        realm_program(programs ? programs->kdb5_util : NULL, LARES_KDB5_UTIL), "-r", conf->name, "dump", fresh, NULL};
    g_auto(GStrv) env = realm_conf_environ(conf);
    GString *output = NULL;
    struct stat st;

    if (stat(path, &st) == 0 && (gint64)st.st_mtim.tv_sec > database_time(conf))
        return TRUE;
    if (!realm_spawn(argv, env, "", 0, TRUE, &output, error))
        return FALSE;
    realm_wipe_string(output);
    g_unlink(mark);
    if (sync_file(fresh) && rename(fresh, path) == 0)
        return TRUE;
    g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
    return FALSE;
}
