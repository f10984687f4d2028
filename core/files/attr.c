/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes, access, ACLs and extended attributes of an object. */
#include "files/files-private.h"
#include "share/pseudo.h"
#include "share/shares.h"
#include "state/state-private.h"

#include <lares/log.h>
#include <limits.h>

void
lares_files_change_before(const LaresObject *dir, LaresChangeInfo *info)
{
    LaresAttrs attrs = {0};
    if (!info)
        return;
    info->atomic = FALSE;
    if (STORE_IFACE(dir->share->store)->getattr(dir->share->store, dir->node, LARES_ATTR_CHANGE, &attrs) != LARES_OK)
        attrs.change = 0;
    info->before = attrs.change;
}

/* On a share with sync_metadata what the client is told is on the disk first. */
static void
settle(const LaresObject *object)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    if (!object->share->sync_metadata || !iface->sync)
        return;
    LaresStatus status = iface->sync(object->share->store, object->node);
    if (status != LARES_OK)
        lares_log_limited(LARES_LOG_ERROR, "files", "share %s: a change did not reach the disk: %s",
                          object->share->name, lares_status_name(status));
}

/* Never atomic: local programs change the same directories (RFC 7530 3.2.10 leaves the client to look again). */
void
lares_files_change_after(const LaresObject *dir, LaresChangeInfo *info)
{
    settle(dir);
    LaresAttrs attrs = {0};
    if (!info)
        return;
    if (STORE_IFACE(dir->share->store)->getattr(dir->share->store, dir->node, LARES_ATTR_CHANGE, &attrs) != LARES_OK)
        attrs.change = info->before + 1;
    info->after = attrs.change;
}

static LaresStatus
covered_fileid(LaresFiles *files, const LaresObject *object, uint64_t *fileid)
{
    LaresNode *covered;
    LaresStatus status = lares_pseudo_node_of_share(files->shares, object->share, &covered);
    if (status != LARES_OK)
        return status;
    *fileid = covered->fileid;
    lares_node_unref(covered);
    return LARES_OK;
}

LaresStatus
lares_files_getattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, uint32_t mask,
                    LaresAttrs *attrs, uint64_t *mounted_on)
{
    LaresStatus status = STORE_IFACE(object->share->store)->getattr(object->share->store, object->node, mask, attrs);
    if (status == LARES_STALE)
        lares_shares_suspect(files->shares);
    if (status != LARES_OK || !mounted_on)
        return status;
    *mounted_on = object->node->fileid;
    if (object->node->type == LARES_TYPE_DIRECTORY && lares_object_is_share_root(object))
        status = covered_fileid(files, object, mounted_on);
    return status;
}

static LaresStatus
set_size(const LaresObject *object, LaresFile *file, const LaresCred *cred, uint64_t size)
{
    if (object->node->type == LARES_TYPE_DIRECTORY)
        return LARES_ISDIR;
    if (object->node->type != LARES_TYPE_REGULAR)
        return LARES_INVAL;
    if (size > INT64_MAX)
        return LARES_FBIG;
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    if (file && iface->set_size)
        return iface->set_size(object->share->store, file, size);
    LaresStatus status = lares_state_io_allowed(object->node, LARES_ACCESS_WRITE, NULL);
    if (status == LARES_OK && lares_state_has_guards())
        status = lares_state_contend(object->node, NULL, LARES_CONTEND_WRITE, NULL);
    if (status != LARES_OK)
        return status;
    LaresSetAttrs only_size = {.mask = LARES_ATTR_SIZE, .size = size};
    return iface->setattr(object->share->store, cred, object->node, &only_size);
}

/* What watchers know a change of attributes by. */
static uint32_t
filter_of(uint32_t mask)
{
    uint32_t filter = 0;
    if (mask & LARES_ATTR_SIZE)
        filter |= LARES_FILTER_SIZE | LARES_FILTER_LAST_WRITE;
    if (mask & (LARES_ATTR_ATIME | LARES_SET_ATIME_NOW))
        filter |= LARES_FILTER_LAST_ACCESS;
    if (mask & (LARES_ATTR_MTIME | LARES_SET_MTIME_NOW))
        filter |= LARES_FILTER_LAST_WRITE;
    if (mask & LARES_ATTR_BTIME)
        filter |= LARES_FILTER_CREATION;
    if (mask & (LARES_ATTR_MODE | LARES_ATTR_UID | LARES_ATTR_GID))
        filter |= LARES_FILTER_SECURITY | LARES_FILTER_ATTRIBUTES;
    return filter;
}

LaresStatus
lares_files_setattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, LaresFile *file,
                    const LaresSetAttrs *set)
{
    LaresStatus status = lares_files_writable(object);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, object);
    LaresSetAttrs rest = *set;
    rest.mask &= ~(uint32_t)LARES_ATTR_BTIME;
    if (rest.mask & LARES_ATTR_SIZE) {
        status = set_size(object, file, &cred, set->size);
        rest.mask &= ~(uint32_t)LARES_ATTR_SIZE;
    }
    if (status == LARES_OK && rest.mask)
        status = STORE_IFACE(object->share->store)->setattr(object->share->store, &cred, object->node, &rest);
    if (status == LARES_OK && set->mask & LARES_ATTR_BTIME)
        status = lares_files_set_birth(files, &cred, object, &set->btime);
    if (status == LARES_OK) {
        settle(object);
        lares_files_object_changed(files, object, filter_of(set->mask));
    }
    return status;
}

LaresStatus
lares_files_access(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, uint32_t wanted,
                   uint32_t *allowed)
{
    LaresCred cred = lares_files_cred(caller, object);
    LaresStatus status =
        STORE_IFACE(object->share->store)->access(object->share->store, &cred, object->node, wanted, allowed);
    if (status == LARES_OK && lares_files_writable(object) != LARES_OK)
        *allowed &= ~(uint32_t)(LARES_ACCESS_WRITE | LARES_ACCESS_MODIFY | LARES_ACCESS_EXTEND | LARES_ACCESS_DELETE |
                                LARES_ACCESS_XAWRITE);
    return status;
}

LaresStatus
lares_files_readlink(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const char **target,
                     size_t *len)
{
    if (object->node->type != LARES_TYPE_SYMLINK)
        return LARES_INVAL;
    LaresCred cred = lares_files_cred(caller, object);
    char *buf = lares_arena_alloc(caller->arena, PATH_MAX);
    *target = buf;
    return STORE_IFACE(object->share->store)->readlink(object->share->store, &cred, object->node, buf, PATH_MAX, len);
}

LaresStatus
lares_files_statfs(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, LaresSpace *space)
{
    LaresStatus status = STORE_IFACE(object->share->store)->statfs(object->share->store, object->node, space);
    if (status == LARES_OK && object->share->read_only)
        space->read_only = TRUE;
    return status;
}

/* ---- Extended attributes ------------------------------------------------------------------------------------------
 */

LaresStatus
lares_files_getxattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const char *name,
                     uint8_t *buf, size_t size, size_t *len)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    if (!iface->getxattr)
        return LARES_NOTSUPP;
    LaresCred cred = lares_files_cred(caller, object);
    return iface->getxattr(object->share->store, &cred, object->node, name, buf, size, len);
}

LaresStatus
lares_files_setxattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const char *name,
                     const uint8_t *value, size_t len, LaresXattrMode mode, LaresChangeInfo *info)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    LaresStatus status = iface->setxattr ? lares_files_writable(object) : LARES_NOTSUPP;
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, object);
    lares_files_change_before(object, info);
    status = iface->setxattr(object->share->store, &cred, object->node, name, value, len, mode);
    lares_files_change_after(object, info);
    if (status == LARES_OK)
        lares_files_object_changed(files, object, LARES_FILTER_EA);
    return status;
}

LaresStatus
lares_files_removexattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const char *name,
                        LaresChangeInfo *info)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    LaresStatus status = iface->removexattr ? lares_files_writable(object) : LARES_NOTSUPP;
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, object);
    lares_files_change_before(object, info);
    status = iface->removexattr(object->share->store, &cred, object->node, name);
    lares_files_change_after(object, info);
    if (status == LARES_OK)
        lares_files_object_changed(files, object, LARES_FILTER_EA);
    return status;
}

LaresStatus
lares_files_listxattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, char *buf, size_t size,
                      size_t *len)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    if (!iface->listxattr)
        return LARES_NOTSUPP;
    LaresCred cred = lares_files_cred(caller, object);
    return iface->listxattr(object->share->store, &cred, object->node, buf, size, len);
}

/* ---- ACL ----------------------------------------------------------------------------------------------------------
 */

LaresStatus
lares_files_get_acl(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, LaresAcl **acl)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    return iface->get_acl ? iface->get_acl(object->share->store, object->node, acl) : LARES_NOTSUPP;
}

LaresStatus
lares_files_set_acl(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const LaresAcl *acl)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    LaresStatus status = iface->set_acl ? lares_files_writable(object) : LARES_NOTSUPP;
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, object);
    status = iface->set_acl(object->share->store, &cred, object->node, acl);
    if (status == LARES_OK)
        lares_files_object_changed(files, object, LARES_FILTER_SECURITY);
    return status;
}
