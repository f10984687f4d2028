/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The doctor's area "shares": folders that are there, what their file systems can keep, and ways to log in that exist.
 *
 * Thread: prepare in the main one, the check in its own. */
#include "share/shares-private.h"

#include <errno.h>
#include <lares/doctor.h>
#include <lares/host.h>
#include <string.h>
#include <sys/stat.h>

static gpointer
prepare(LaresHost *host, gpointer user)
{
    GPtrArray *shares = lares_shares_list(user);
    g_ptr_array_set_free_func(shares, (GDestroyNotify)lares_share_unref);
    return shares;
}

static void
release(gpointer material)
{
    g_ptr_array_unref(material);
}

static gboolean
is_usable(const LaresShare *share, const char *flavor)
{
    for (guint i = 0; i < share->n_flavors; i++)
        if (g_str_equal(share->flavor[i]->name, flavor))
            return TRUE;
    return FALSE;
}

static void
check_flavors(LaresDoctor *doctor, const LaresShare *share)
{
    gboolean proven = FALSE;
    for (char **sec = lares_share_full(share)->record->sec; *sec; sec++)
        if (!is_usable(share, *sec))
            lares_doctor_find(doctor, "flavor", share->n_flavors ? LARES_FINDING_WARNING : LARES_FINDING_ERROR,
                              "laresctl module list",
                              "The share %s allows logins by %s, which no loaded module offers%s.", share->name, *sec,
                              share->n_flavors ? "" : ": nobody can use it");
    for (guint i = 0; i < share->n_flavors; i++)
        proven = proven || share->flavor[i]->protection >= LARES_PROTECT_AUTHENTICATED;
    if (share->n_flavors && !proven) {
        g_autofree char *set = g_strdup_printf("laresctl share security set %s krb5p krb5i", share->name);
        lares_doctor_find(doctor, "unproven", LARES_FINDING_NOTE, set,
                          "The share %s believes clients who they are (sys): right for a trusted network only.",
                          share->name);
    }
}

static gboolean
check_folder(LaresDoctor *doctor, const LaresShare *share)
{
    struct stat st;
    g_autofree char *make =
        g_strdup_printf("mkdir -p %s  # or mount it; or: laresctl share remove %s", share->path, share->name);
    if (stat(share->path, &st) != 0) {
        lares_doctor_find(doctor, "folder", LARES_FINDING_ERROR, make,
                          "The folder %s of the share %s cannot be found: %s.", share->path, share->name,
                          g_strerror(errno));
        return FALSE;
    }
    if (!S_ISDIR(st.st_mode)) {
        g_autofree char *remove = g_strdup_printf("laresctl share remove %s", share->name);
        lares_doctor_find(doctor, "folder", LARES_FINDING_ERROR, remove,
                          "%s, which the share %s is to serve, is no folder.", share->path, share->name);
        return FALSE;
    }
    if (share->store)
        return TRUE;
    lares_doctor_find(doctor, "store", LARES_FINDING_ERROR, "laresctl reload",
                      "The folder %s of the share %s is there, but the server could not open it; its log says why.",
                      share->path, share->name);
    return FALSE;
}

static void
check_store(LaresDoctor *doctor, const LaresShare *share)
{
    LaresSpace space = {0};
    LaresNode *root = NULL;
    LaresStoreInterface *store = LARES_STORE_GET_IFACE(share->store);
    LaresStatus status = store->root(share->store, &root);
    if (status == LARES_OK)
        status = store->statfs(share->store, root, &space);
    g_clear_pointer(&root, lares_node_unref);
    if (status != LARES_OK) {
        g_autofree char *look = g_strdup_printf("ls -ld %s", share->path);
        lares_doctor_find(doctor, "broken", LARES_FINDING_ERROR, look,
                          "The folder %s of the share %s cannot be used (%s).", share->path, share->name,
                          lares_status_name(status));
        return;
    }
    if (!space.can_xattr)
        lares_doctor_find(
            doctor, "xattr", LARES_FINDING_WARNING, NULL,
            "The file system of %s (share %s) keeps no extended attributes: access lists and the marks of "
            "Windows and macOS are lost. ext4, xfs, btrfs and zfs keep them.",
            share->path, share->name);
    if (!store->handles_last || !store->handles_last(share->store))
        lares_doctor_find(
            doctor, "handles", LARES_FINDING_NOTE, NULL,
            "The file system of %s (share %s) gives no lasting handles, or the server may not use them "
            "(it does not run as root): a table in the state folder stands in, and a file that somebody moves "
            "behind the server's back has to be opened anew.",
            share->path, share->name);
    if (space.read_only && !share->read_only) {
        g_autofree char *set = g_strdup_printf("mount -o remount,rw %s  # or: laresctl share set %s --read-only yes",
                                               share->path, share->name);
        lares_doctor_find(doctor, "read-only", LARES_FINDING_WARNING, set,
                          "The file system of %s is mounted read-only, but the share %s is not: every change fails.",
                          share->path, share->name);
    }
    if (space.avail_bytes < space.total_bytes / 100) {
        g_autofree char *df = g_strdup_printf("df -h %s", share->path);
        lares_doctor_find(doctor, "space", LARES_FINDING_WARNING, df,
                          "The file system of %s (share %s) is full but for %" G_GUINT64_FORMAT " MiB.", share->path,
                          share->name, space.avail_bytes >> 20);
    }
}

static void
check(LaresDoctor *doctor, gpointer material)
{
    GPtrArray *shares = material;
    guint good = 0, enabled = 0;
    for (guint i = 0; i < shares->len && lares_doctor_left(doctor) > 0; i++) {
        const LaresShare *share = shares->pdata[i];
        if (!share->enabled)
            continue;
        enabled++;
        check_flavors(doctor, share);
        if (!check_folder(doctor, share))
            continue;
        check_store(doctor, share);
        good++;
    }
    if (enabled == 0)
        lares_doctor_find(doctor, "none", LARES_FINDING_NOTE, "laresctl share create NAME PATH",
                          "Nothing is shared yet.");
    else if (good > 0)
        lares_doctor_find(doctor, "folders", LARES_FINDING_OK, NULL, "%u of %u enabled shares have their folders.",
                          good, enabled);
}

const LaresCheck lares_shares_checks[] = {{"shares", "shares and their folders", prepare, release, check}, {NULL}};
