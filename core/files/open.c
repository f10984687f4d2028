/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening files: the store opens with the caller's credentials, the state says whether others mind. */
#include "files/files-private.h"
#include "state/state-private.h"

static LaresStatus
check_type(const LaresNode *node)
{
    switch (node->type) {
    case LARES_TYPE_REGULAR:
        return LARES_OK;
    case LARES_TYPE_DIRECTORY:
        return LARES_ISDIR;
    case LARES_TYPE_SYMLINK:
        return LARES_SYMLINK;
    default:
        return LARES_WRONG_TYPE;
    }
}

/* As when it is opened: who may execute a file may read it (store.h). */
LaresStatus
lares_files_may_use(const LaresCaller *caller, const LaresObject *object, const LaresOpen *open, uint32_t access)
{
    LaresCred cred = lares_files_cred(caller, object);
    uint32_t allowed = 0;
    if (G_LIKELY(lares_state_was_opened_by(open, cred.uid)))
        return LARES_OK;
    access &= LARES_ACCESS_READ | LARES_ACCESS_WRITE;
    LaresStatus status =
        STORE_IFACE(object->share->store)
            ->access(object->share->store, &cred, object->node, access | LARES_ACCESS_EXECUTE, &allowed);
    if (status != LARES_OK || (allowed & access) == access)
        return status;
    return access == LARES_ACCESS_READ && (allowed & LARES_ACCESS_EXECUTE) ? LARES_OK : LARES_ACCESS;
}

LaresStatus
lares_files_open(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, uint32_t access,
                 uint32_t deny, LaresHolder *holder, LaresOpen **open)
{
    LaresStatus status = check_type(object->node);
    if (status == LARES_OK && (access & LARES_ACCESS_WRITE))
        status = lares_files_writable(object);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, object);
    g_autoptr(LaresFile) file = NULL;
    status = STORE_IFACE(object->share->store)->open(object->share->store, &cred, object->node, access, &file);
    if (status != LARES_OK)
        return status;
    status = lares_state_open(holder, object->share, object->node, file, access, deny, open);
    if (status == LARES_OK)
        lares_state_opened_by(*open, cred.uid);
    return status;
}

/* A size given with a create counts for a file that was there too (RFC 7530 16.16.3), once nobody minds. */
static LaresStatus
truncate_existing(const LaresObject *object, LaresFile *file, const LaresCreate *how)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    if (!(how->attrs.mask & LARES_ATTR_SIZE) || !iface->set_size || !(file->access & LARES_ACCESS_WRITE))
        return LARES_OK;
    return iface->set_size(object->share->store, file, how->attrs.size);
}

LaresStatus
lares_files_open_create(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                        const LaresCreate *how, uint32_t access, uint32_t deny, LaresHolder *holder, LaresObject *out,
                        LaresOpen **open, gboolean *created, LaresChangeInfo *info)
{
    *out = (LaresObject){NULL, NULL};
    if (dir->node->type != LARES_TYPE_DIRECTORY)
        return LARES_NOTDIR;
    LaresStatus status = lares_files_is_hidden(name) ? LARES_ACCESS : lares_files_writable(dir);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    g_autoptr(LaresFile) file = NULL;
    LaresObject object = {NULL, NULL};
    LaresCreate plain = *how;
    plain.attrs.mask &= ~(uint32_t)LARES_ATTR_BTIME;
    lares_files_change_before(dir, info);
    status = STORE_IFACE(dir->share->store)
                 ->create(dir->share->store, &cred, dir->node, name, &plain, access, &object.node, &file, created);
    lares_files_change_after(dir, info);
    if (status != LARES_OK)
        return status;
    if (*created)
        lares_files_changed(files, dir, name, LARES_CHANGE_ADDED, LARES_FILTER_FILE_NAME);
    object.share = lares_share_ref(dir->share);
    if (*created && how->attrs.mask & LARES_ATTR_BTIME)
        lares_files_set_birth(files, NULL, &object, &how->attrs.btime);
    status = lares_state_open(holder, object.share, object.node, file, access, deny, open);
    if (status == LARES_OK)
        lares_state_opened_by(*open, cred.uid);
    if (status == LARES_OK && !*created)
        status = truncate_existing(&object, file, how);
    if (status != LARES_OK) {
        if (*open)
            lares_open_close(*open);
        g_clear_pointer(open, lares_open_unref);
        lares_object_clear(&object);
        return status;
    }
    *out = object;
    return LARES_OK;
}

LaresStatus
lares_files_open_upgrade(LaresFiles *files, const LaresCaller *caller, LaresOpen *open, uint32_t access, uint32_t deny)
{
    LaresObject object = {lares_open_share(open), lares_open_node(open)};
    uint32_t missing = access & ~lares_open_access(open);
    g_autoptr(LaresFile) file = NULL;
    if (missing & LARES_ACCESS_WRITE) {
        LaresStatus status = lares_files_writable(&object);
        if (status != LARES_OK)
            return status;
    }
    LaresStatus status = lares_files_may_use(caller, &object, open, access & ~missing);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, &object);
    if (missing) {
        status = STORE_IFACE(object.share->store)->open(object.share->store, &cred, object.node, missing, &file);
        if (status != LARES_OK)
            return status;
        lares_state_widened_by(open, cred.uid); /* before the file is there for others */
    }
    return lares_state_upgrade(open, file, access, deny);
}

/* ---- Opens that say more ----------------------------------------------------------------------------------------- */

static LaresStatus
register_open(const LaresCaller *caller, const LaresObject *object, LaresFile *file, LaresOpenHow *how,
              LaresHolder *holder, LaresOpen **open)
{
    LaresStatus status = lares_state_open_how(holder, object->share, object->node, file, how, open);
    if (status == LARES_OK)
        lares_state_opened_by(*open, lares_files_cred(caller, object).uid);
    return status;
}

/* The open told everybody before that what was there goes. */
static LaresStatus
throw_away(LaresFiles *files, const LaresObject *object, LaresFile *file, LaresOpen *open)
{
    LaresStore *store = object->share->store;
    LaresSetAttrs set = {.mask = LARES_ATTR_SIZE, .size = 0};
    LaresCred cred = {0, 0, NULL, 0};
    LaresStatus status = STORE_IFACE(store)->set_size ? STORE_IFACE(store)->set_size(store, file, 0)
                                                      : STORE_IFACE(store)->setattr(store, &cred, object->node, &set);
    if (status == LARES_OK)
        lares_files_node_changed(files, object->node, LARES_FILTER_SIZE | LARES_FILTER_LAST_WRITE);
    return status;
}

LaresStatus
lares_files_open_how(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, LaresOpenHow *how,
                     LaresHolder *holder, LaresOpen **open)
{
    LaresStatus status = how->io ? check_type(object->node) : LARES_OK;
    if (status == LARES_OK && how->access & (LARES_ACCESS_WRITE | LARES_ACCESS_DELETE))
        status = lares_files_writable(object);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, object);
    g_autoptr(LaresFile) file = NULL;
    *open = NULL;
    if (how->io)
        status = STORE_IFACE(object->share->store)->open(object->share->store, &cred, object->node, how->io, &file);
    if (status == LARES_OK)
        status = register_open(caller, object, file, how, holder, open);
    if (status == LARES_OK && how->overwrite && file)
        status = throw_away(files, object, file, *open);
    if (status != LARES_OK && *open) {
        lares_open_close(*open);
        g_clear_pointer(open, lares_open_unref);
    }
    return status;
}

LaresStatus
lares_files_create_how(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                       const LaresCreate *made, LaresOpenHow *how, LaresHolder *holder, LaresObject *out,
                       LaresOpen **open, gboolean *created, LaresChangeInfo *info)
{
    *out = (LaresObject){NULL, NULL};
    if (dir->node->type != LARES_TYPE_DIRECTORY)
        return LARES_NOTDIR;
    LaresStatus status = lares_files_is_hidden(name) ? LARES_ACCESS : lares_files_writable(dir);
    if (status == LARES_OK) /* before anything is made that would stay behind */
        status = lares_holder_may_open(holder);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    g_autoptr(LaresFile) file = NULL;
    LaresObject object = {lares_share_ref(dir->share), NULL};
    lares_files_change_before(dir, info);
    status = STORE_IFACE(dir->share->store)
                 ->create(dir->share->store, &cred, dir->node, name, made,
                          made->type == LARES_TYPE_REGULAR ? how->io : 0, &object.node, &file, created);
    lares_files_change_after(dir, info);
    if (status != LARES_OK)
        object.node = NULL;
    else if (*created)
        lares_files_changed(files, dir, name, LARES_CHANGE_ADDED,
                            made->type == LARES_TYPE_DIRECTORY ? LARES_FILTER_DIR_NAME : LARES_FILTER_FILE_NAME);
    if (status == LARES_OK)
        status = register_open(caller, &object, file, how, holder, open);
    if (status == LARES_OK)
        *out = object;
    else if (object.node)
        lares_object_clear(&object);
    else
        lares_share_unref(object.share);
    return status;
}
