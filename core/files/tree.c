/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes of the tree: create, remove, rename, link. */
#include "files/files-private.h"

/* A directory that may be changed. */
static LaresStatus
check_dir(const LaresObject *dir)
{
    if (dir->node->type != LARES_TYPE_DIRECTORY)
        return LARES_NOTDIR;
    return lares_files_writable(dir);
}

LaresStatus
lares_files_create(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                   const LaresCreate *how, LaresObject *out, LaresChangeInfo *info)
{
    *out = (LaresObject){NULL, NULL};
    LaresStatus status = check_dir(dir);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    gboolean created;
    lares_files_change_before(dir, info);
    status = STORE_IFACE(dir->share->store)
                 ->create(dir->share->store, &cred, dir->node, name, how, 0, &out->node, NULL, &created);
    lares_files_change_after(dir, info);
    if (status == LARES_OK)
        out->share = lares_share_ref(dir->share);
    else
        out->node = NULL;
    return status;
}

LaresStatus
lares_files_remove(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                   LaresChangeInfo *info)
{
    LaresStatus status = check_dir(dir);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    lares_files_change_before(dir, info);
    status = STORE_IFACE(dir->share->store)->remove(dir->share->store, &cred, dir->node, name);
    lares_files_change_after(dir, info);
    return status;
}

LaresStatus
lares_files_rename(LaresFiles *files, const LaresCaller *caller, const LaresObject *from, const char *name,
                   const LaresObject *to, const char *new_name, LaresChangeInfo *from_info, LaresChangeInfo *to_info)
{
    LaresStatus status = check_dir(from);
    if (status == LARES_OK)
        status = check_dir(to);
    if (status == LARES_OK && from->share->id != to->share->id)
        status = LARES_XDEV;
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, from);
    lares_files_change_before(from, from_info);
    lares_files_change_before(to, to_info);
    status =
        STORE_IFACE(from->share->store)->rename(from->share->store, &cred, from->node, name, to->node, new_name, TRUE);
    lares_files_change_after(from, from_info);
    lares_files_change_after(to, to_info);
    return status;
}

LaresStatus
lares_files_link(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const LaresObject *dir,
                 const char *name, LaresChangeInfo *info)
{
    if (object->node->type == LARES_TYPE_DIRECTORY)
        return LARES_ISDIR;
    LaresStatus status = check_dir(dir);
    if (status == LARES_OK && object->share->id != dir->share->id)
        status = LARES_XDEV;
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    lares_files_change_before(dir, info);
    status = STORE_IFACE(dir->share->store)->link(dir->share->store, &cred, object->node, dir->node, name);
    lares_files_change_after(dir, info);
    return status;
}
