/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes a realm and removes it: everything is in a directory of another name before and after, and one
 * rename makes it STATE/realm or takes that away, so that after a crash there is either a whole realm or none.
 *
 * Locks: STATE/realm.lock keeps creations and removals apart.
 */
#include "realm.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNFINISHED "realm.new-"
/* 256 bits: as strong as the AES key that is derived from it. */
#define MASTER_BYTES 32

static gboolean
fail_errno(const char *what, GError **error)
{
    g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s: %s", what, g_strerror(errno));
    return FALSE;
}

/* The directories made here are flat. */
static void
remove_flat(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *leaf;

    while (dir && (leaf = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, leaf, NULL);
        g_unlink(file);
    }
    g_rmdir(path);
}

static void
remove_unfinished(const char *state_dir)
{
    g_autoptr(GDir) dir = g_dir_open(state_dir, 0, NULL);
    const char *leaf;

    while (dir && (leaf = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(state_dir, leaf, NULL);
        if (g_str_has_prefix(leaf, UNFINISHED))
            remove_flat(path);
    }
}

/*
 * kdb5_util is the only way to make a database: the library has no public call for it. The master
 * password is random, used once and forgotten; the stash keeps the key.
 */
static gboolean
make_database(const RealmConf *conf, const RealmPrograms *programs, GError **error)
{
    const char *argv[] = {
        realm_program(programs ? programs->kdb5_util : NULL, LARES_KDB5_UTIL), "-r", conf->name, "create", "-s", NULL};
    g_auto(GStrv) env = realm_conf_environ(conf);
    guint8 random[MASTER_BYTES];
    char input[2 * (2 * MASTER_BYTES + 1) + 1];
    char *p = input;
    GString *output = NULL;
    gboolean good;

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return fail_errno("getrandom", error);
    /* Twice: it asks again to be sure. */
    for (int round = 0; round < 2; round++) {
        for (gsize i = 0; i < sizeof random; i++)
            p += sprintf(p, "%02x", random[i]);
        *p++ = '\n';
    }
    good = realm_spawn(argv, env, input, (gsize)(p - input), TRUE, &output, error);
    explicit_bzero(random, sizeof random);
    explicit_bzero(input, sizeof input);
    if (good)
        realm_wipe_string(output);
    return good;
}

/* Everything that makes a realm whole, inside the unfinished directory. */
static gboolean
fill(const RealmConf *conf, const char *unfinished, const RealmPrograms *programs, GError **error)
{
    g_autoptr(RealmConf) work = realm_conf_copy(conf);

    g_free(work->dir);
    work->dir = g_strdup(unfinished);
    if (!realm_conf_render(work, unfinished, error) || !make_database(work, programs, error) ||
        !realm_prepare(work, programs, error))
        return FALSE;
    work->created = work->rotated = g_get_real_time() / G_USEC_PER_SEC;
    /* The files that name the directory are written last, with the name it will have. */
    return realm_service_sync(work, programs, error) && realm_conf_save(work, error) &&
           realm_conf_render(conf, unfinished, error);
}

/* A realm that was reported as made is there after a power cut. */
static gboolean
sync_folder(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean good = fd >= 0 && fsync(fd) == 0;

    if (!good)
        fail_errno(path, error);
    if (fd >= 0)
        close(fd);
    return good;
}

static gboolean
publish(const RealmConf *conf, const char *state_dir, const char *unfinished, GError **error)
{
    int fd = open(unfinished, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean good = fd >= 0 && syncfs(fd) == 0;

    if (fd >= 0)
        close(fd);
    if (!good)
        return fail_errno(unfinished, error);
    /* An empty directory may be in the way; a filled one that is no realm of ours is left alone. */
    if (rename(unfinished, conf->dir) != 0)
        return fail_errno(conf->dir, error);
    return sync_folder(state_dir, error);
}

static gboolean
create_locked(const RealmConf *conf, const char *state_dir, const RealmPrograms *programs, gboolean *created,
              GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(RealmConf) present = realm_conf_load(state_dir, &local);
    g_autofree char *unfinished = g_build_filename(state_dir, UNFINISHED "XXXXXX", NULL);

    if (present && strcmp(present->name, conf->name) == 0)
        return TRUE;
    if (present) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_EXISTS,
                    "this server has the realm %s already; a second one (%s) needs another server", present->name,
                    conf->name);
        return FALSE;
    }
    if (!g_error_matches(local, REALM_ERROR, REALM_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    remove_unfinished(state_dir);
    if (!g_mkdtemp_full(unfinished, 0700))
        return fail_errno(unfinished, error);
    if (!fill(conf, unfinished, programs, error) || !publish(conf, state_dir, unfinished, error)) {
        remove_flat(unfinished);
        return FALSE;
    }
    *created = TRUE;
    return TRUE;
}

/* A descriptor whose end gives the lock up; -1 with an error. */
static int
take_lock(const char *state_dir, GError **error)
{
    g_autofree char *path = g_build_filename(state_dir, "realm.lock", NULL);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (lock >= 0 && flock(lock, LOCK_EX) == 0)
        return lock;
    fail_errno(path, error);
    if (lock >= 0)
        close(lock);
    return -1;
}

gboolean
realm_create(const RealmConf *conf, const RealmPrograms *programs, gboolean *created, GError **error)
{
    g_autofree char *state_dir = g_path_get_dirname(conf->dir);
    gboolean good;
    int lock;

    *created = FALSE;
    if (!realm_conf_check(conf, error))
        return FALSE;
    if (g_mkdir_with_parents(state_dir, 0700) != 0)
        return fail_errno(state_dir, error);
    lock = take_lock(state_dir, error);
    if (lock < 0)
        return FALSE;
    good = create_locked(conf, state_dir, programs, created, error);
    close(lock);
    return good;
}

gboolean
realm_remove(const RealmConf *conf, GError **error)
{
    g_autofree char *state_dir = g_path_get_dirname(conf->dir);
    g_autofree char *away = g_build_filename(state_dir, UNFINISHED "XXXXXX", NULL);
    int lock = take_lock(state_dir, error);
    gboolean good;

    if (lock < 0)
        return FALSE;
    good = g_mkdtemp_full(away, 0700) != NULL && rename(conf->dir, away) == 0;
    if (!good) {
        fail_errno(conf->dir, error);
        g_rmdir(away);
    } else {
        /* From here on there is no realm; a crash before the end of this leaves files, which go at the next start. */
        remove_unfinished(state_dir);
        good = sync_folder(state_dir, error);
    }
    close(lock);
    return good;
}

void
realm_clean_up(const char *state_dir)
{
    int lock;

    if (!g_file_test(state_dir, G_FILE_TEST_IS_DIR))
        return;
    lock = take_lock(state_dir, NULL);
    if (lock < 0)
        return;
    remove_unfinished(state_dir);
    close(lock);
}
