/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes of the tree: create, remove, rename, link. */
#include "files/files-private.h"
#include "state/state-private.h"

#include <string.h>

/* Do opens of others let this name go? What is not there is no question; `self` is who asks. *busy (may be NULL) gets
 * the node to wait for. */
static LaresStatus
may_go(const LaresObject *dir, const LaresCred *cred, const char *name, LaresOpen *self, uint64_t *seen,
       LaresNode **busy)
{
    g_autoptr(LaresNode) node = NULL;
    if (!lares_state_has_guards() ||
        STORE_IFACE(dir->share->store)->lookup(dir->share->store, cred, dir->node, name, &node) != LARES_OK)
        return LARES_OK;
    LaresStatus status = lares_state_name_may_go(node, self, seen);
    if (status == LARES_DELAY && busy)
        *busy = g_steal_pointer(&node);
    return status;
}

/* A directory that may be changed, and a name in it that may be used. */
static LaresStatus
check_name(const LaresObject *dir, const char *name)
{
    if (lares_files_is_hidden(name))
        return LARES_ACCESS;
    if (dir->node->type != LARES_TYPE_DIRECTORY)
        return LARES_NOTDIR;
    return lares_files_writable(dir);
}

LaresStatus
lares_files_create(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                   const LaresCreate *how, LaresObject *out, LaresChangeInfo *info)
{
    *out = (LaresObject){NULL, NULL};
    LaresStatus status = check_name(dir, name);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    gboolean created;
    LaresCreate plain = *how;
    plain.attrs.mask &= ~(uint32_t)LARES_ATTR_BTIME;
    lares_files_change_before(dir, info);
    status = STORE_IFACE(dir->share->store)
                 ->create(dir->share->store, &cred, dir->node, name, &plain, 0, &out->node, NULL, &created);
    lares_files_change_after(dir, info);
    if (status == LARES_OK) {
        out->share = lares_share_ref(dir->share);
        if (how->attrs.mask & LARES_ATTR_BTIME) /* it is there: a birth time that cannot be kept is no reason to undo */
            lares_files_set_birth(files, NULL, out, &how->attrs.btime);
        lares_files_changed(files, dir, name, LARES_CHANGE_ADDED,
                            how->type == LARES_TYPE_DIRECTORY ? LARES_FILTER_DIR_NAME : LARES_FILTER_FILE_NAME);
    } else {
        out->node = NULL;
    }
    return status;
}

LaresStatus
lares_files_remove(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                   LaresChangeInfo *info)
{
    LaresStatus status = check_name(dir, name);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    status = may_go(dir, &cred, name, NULL, NULL, NULL);
    if (status != LARES_OK)
        return status;
    LaresVictim victim;
    lares_files_victim(files, dir, &cred, name, &victim);
    lares_files_change_before(dir, info);
    status = STORE_IFACE(dir->share->store)->remove(dir->share->store, &cred, dir->node, name);
    lares_files_change_after(dir, info);
    if (status == LARES_OK)
        lares_files_changed(files, dir, name, LARES_CHANGE_REMOVED, lares_files_victim_filter(&victim));
    lares_files_victim_end(files, &victim, status == LARES_OK);
    return status;
}

static LaresStatus
rename_checked(LaresFiles *files, const LaresCaller *caller, LaresOpen *self, const LaresObject *from, const char *name,
               const LaresObject *to, const char *new_name, gboolean replace, uint64_t *seen, LaresNode **busy,
               LaresChangeInfo *from_info, LaresChangeInfo *to_info)
{
    LaresStatus status = check_name(from, name);
    if (status == LARES_OK)
        status = check_name(to, new_name);
    if (status == LARES_OK && from->share->id != to->share->id)
        status = LARES_XDEV;
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, from);
    status = may_go(from, &cred, name, self, seen, busy);
    if (status == LARES_OK && replace)
        status = may_go(to, &cred, new_name, self, seen, busy);
    if (status != LARES_OK)
        return status;
    LaresRenaming renaming;
    lares_files_renaming(files, &cred, from, name, to, new_name, &renaming);
    lares_files_change_before(from, from_info);
    lares_files_change_before(to, to_info);
    status = STORE_IFACE(from->share->store)
                 ->rename(from->share->store, &cred, from->node, name, to->node, new_name, replace);
    lares_files_change_after(from, from_info);
    lares_files_change_after(to, to_info);
    lares_files_renamed(files, &renaming, status == LARES_OK);
    return status;
}

LaresStatus
lares_files_rename(LaresFiles *files, const LaresCaller *caller, const LaresObject *from, const char *name,
                   const LaresObject *to, const char *new_name, LaresChangeInfo *from_info, LaresChangeInfo *to_info)
{
    return rename_checked(files, caller, NULL, from, name, to, new_name, TRUE, NULL, NULL, from_info, to_info);
}

LaresStatus
lares_files_rename_open(LaresFiles *files, const LaresCaller *caller, LaresOpen *self, const LaresObject *from,
                        const char *name, const LaresObject *to, const char *new_name, gboolean replace, uint64_t *seen,
                        LaresNode **busy)
{
    if (seen)
        *seen = 0;
    if (self && lares_state_own_conflict(self, to->node, LARES_ACCESS_WRITE, LARES_DENY_DELETE))
        return LARES_SHARE_DENIED;
    return rename_checked(files, caller, self, from, name, to, new_name, replace, seen, busy, NULL, NULL);
}

static LaresStatus
check_link(const LaresObject *object, const LaresObject *dir, const char *name)
{
    if (object->node->type == LARES_TYPE_DIRECTORY)
        return LARES_ISDIR;
    LaresStatus status = check_name(dir, name);
    return status == LARES_OK && object->share->id != dir->share->id ? LARES_XDEV : status;
}

/* A file has one more name. Where it was `listed` before (lares_leases_where()) its links are counted anew. */
static void
linked(LaresFiles *files, const LaresObject *dir, const char *name, gboolean named, uint64_t listed)
{
    lares_leases_names_moved();
    lares_files_changed(files, dir, name, LARES_CHANGE_ADDED, LARES_FILTER_FILE_NAME);
    if (named)
        lares_leases_dir_changed(listed);
}

LaresStatus
lares_files_link(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const LaresObject *dir,
                 const char *name, LaresChangeInfo *info)
{
    LaresStatus status = check_link(object, dir, name);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    uint64_t listed;
    gboolean named = lares_leases_where(object->node, &listed);
    lares_files_change_before(dir, info);
    status = STORE_IFACE(dir->share->store)->link(dir->share->store, &cred, object->node, dir->node, name);
    lares_files_change_after(dir, info);
    if (status == LARES_OK)
        linked(files, dir, name, named, listed);
    return status;
}

/* No store can link over a name: the link gets one of its own, and is renamed. */
static LaresStatus
link_over(const LaresObject *object, const LaresObject *dir, const LaresCred *cred, const char *name)
{
    const LaresStoreInterface *iface = STORE_IFACE(dir->share->store);
    const LaresCred server = lares_files_server_cred();
    char own[48];
    g_snprintf(own, sizeof own, ".lares-link-%08x%08x", g_random_int(), g_random_int());
    LaresStatus status = iface->link(dir->share->store, cred, object->node, dir->node, own);
    if (status != LARES_OK)
        return status;
    status = iface->rename(dir->share->store, cred, dir->node, own, dir->node, name, TRUE);
    /* It is still there where that failed, and where the name had become another link to the same file: rename() does
     * nothing then. */
    iface->remove(dir->share->store, &server, dir->node, own);
    return status;
}

LaresStatus
lares_files_link_replace(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                         const LaresObject *dir, const char *name, uint64_t *seen, LaresNode **busy)
{
    LaresStatus status = check_link(object, dir, name);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    status = may_go(dir, &cred, name, NULL, seen, busy);
    if (status != LARES_OK)
        return status;
    LaresVictim victim;
    lares_files_victim(files, dir, &cred, name, &victim);
    uint64_t listed;
    gboolean named = lares_leases_where(object->node, &listed);
    status = link_over(object, dir, &cred, name);
    if (status == LARES_OK) {
        lares_files_changed(files, dir, name, LARES_CHANGE_REMOVED, lares_files_victim_filter(&victim));
        linked(files, dir, name, named, listed);
    }
    lares_files_victim_end(files, &victim, status == LARES_OK);
    return status;
}
