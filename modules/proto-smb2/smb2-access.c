/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Access masks: generic rights, what a caller may have, what an open means to the core.
 *
 * The bits of LARES_MASK_* are those of [MS-DTYP] 2.4.3, so an ACL's answer is the wire's.
 *
 * Spec: [MS-SMB2] 3.3.5.9, 2.2.13.1; [MS-FSA] 2.1.5.1.2.1. */
#include "smb2-open.h"

#define DATA_WRITES (SMB2_FILE_WRITE_DATA | SMB2_FILE_APPEND_DATA)
#define CHANGES                                                                                                        \
    (DATA_WRITES | SMB2_FILE_WRITE_EA | SMB2_FILE_WRITE_ATTRIBUTES | SMB2_FILE_DELETE_CHILD | SMB2_DELETE |            \
     SMB2_WRITE_DAC | SMB2_WRITE_OWNER)

uint32_t
smb2_map_generic(uint32_t access)
{
    uint32_t mapped = access & ~(SMB2_GENERIC_ALL | SMB2_GENERIC_EXECUTE | SMB2_GENERIC_WRITE | SMB2_GENERIC_READ);
    if (access & SMB2_GENERIC_READ)
        mapped |= SMB2_FILE_GENERIC_READ;
    if (access & SMB2_GENERIC_WRITE)
        mapped |= SMB2_FILE_GENERIC_WRITE;
    if (access & SMB2_GENERIC_EXECUTE)
        mapped |= SMB2_FILE_GENERIC_EXECUTE;
    if (access & SMB2_GENERIC_ALL)
        mapped |= SMB2_FILE_ALL_ACCESS;
    return mapped;
}

/* What mode bits mean to Windows, which asks for everything at once where it reads and writes: who may read a file may
 * run it (the client does), who may write it may change its attributes, and its owner may do all that is left. The file
 * system still judges each of these when it is done. An ACL that was set is taken as it is. */
static uint32_t
round_up(uint32_t mask, gboolean owner, gboolean directory)
{
    if (mask & SMB2_FILE_READ_DATA)
        mask |= SMB2_FILE_READ_EA | (directory ? 0 : SMB2_FILE_EXECUTE);
    if (mask & SMB2_FILE_WRITE_DATA)
        mask |= SMB2_FILE_APPEND_DATA | SMB2_FILE_WRITE_EA | SMB2_FILE_WRITE_ATTRIBUTES | SMB2_FILE_DELETE_CHILD;
    if (owner)
        mask |= SMB2_WRITE_DAC | SMB2_WRITE_OWNER | SMB2_FILE_WRITE_ATTRIBUTES;
    return mask;
}

void
smb2_round_up_acl(LaresAcl *acl, uint32_t mode, gboolean directory)
{
    g_autoptr(LaresAcl) plain = lares_acl_from_mode(mode, directory);
    if (!lares_acl_equal(acl, plain))
        return;
    for (guint i = 0; i < acl->n; i++)
        if (acl->ace[i].type == LARES_ACE_ALLOW)
            acl->ace[i].mask = round_up(acl->ace[i].mask, acl->ace[i].who == LARES_WHO_OWNER, directory);
}

static uint32_t
allowed_by_acl(Smb2Op *op, const LaresObject *object, uint32_t *mask, LaresAttrs *of)
{
    LaresAttrs attrs;
    LaresCred cred;
    LaresAcl *acl = NULL;
    lares_share_cred(object->share, op->caller.identity, op->caller.flavor, &cred);
    gboolean directory = object->node->type == LARES_TYPE_DIRECTORY;
    LaresStatus status = lares_files_getattr(op->service->files, &op->caller, object,
                                             LARES_ATTR_MODE | LARES_ATTR_UID | LARES_ATTR_GID, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    *of = attrs;
    if (cred.uid == 0) {
        *mask = SMB2_FILE_ALL_ACCESS;
        return STATUS_SUCCESS;
    }
    status = lares_files_get_acl(op->service->files, &op->caller, object, &acl);
    if (status != LARES_OK)
        acl = lares_acl_from_mode(attrs.mode, directory);
    *mask = lares_acl_allowed(acl, attrs.uid, attrs.gid, cred.uid, cred.gid, cred.groups, cred.n_groups,
                              SMB2_FILE_ALL_ACCESS);
    g_autoptr(LaresAcl) plain = lares_acl_from_mode(attrs.mode, directory);
    gboolean owner = attrs.uid == cred.uid, by_mode = lares_acl_equal(acl, plain);
    if (by_mode)
        *mask = round_up(*mask, owner, directory);
    lares_acl_free(acl);
    if (owner && (by_mode || !smb2_security_limits_owner(op, object)))
        *mask |= SMB2_WRITE_DAC;
    *mask |= SMB2_READ_CONTROL | SMB2_SYNCHRONIZE | SMB2_FILE_READ_ATTRIBUTES;
    return STATUS_SUCCESS;
}

/* In a sticky folder only the owner of an entry and the folder's own may take it away. */
static gboolean
is_kept_by_sticky(Smb2Op *op, const LaresAttrs *folder, const LaresAttrs *entry, const LaresObject *object)
{
    LaresCred cred;
    if (!(folder->mode & 01000))
        return FALSE;
    lares_share_cred(object->share, op->caller.identity, op->caller.flavor, &cred);
    return cred.uid != 0 && cred.uid != folder->uid && cred.uid != entry->uid;
}

uint32_t
smb2_maximal_access(Smb2Op *op, const LaresObject *object, const LaresObject *parent, uint32_t *maximal)
{
    LaresAttrs entry, folder;
    uint32_t above = 0;
    uint32_t status = allowed_by_acl(op, object, maximal, &entry);
    if (status == STATUS_SUCCESS && parent && parent->node)
        status = allowed_by_acl(op, parent, &above, &folder);
    if (above && is_kept_by_sticky(op, &folder, &entry, object))
        above = 0;
    if (status != STATUS_SUCCESS)
        return status;
    /* A name belongs to its directory (POSIX), or the object's ACL lets go of it (NFSv4, Windows). */
    if (above & SMB2_FILE_DELETE_CHILD)
        *maximal |= SMB2_DELETE;
    if (object->share->read_only)
        *maximal &= ~CHANGES;
    *maximal &= op->tree->maximal_access;
    return STATUS_SUCCESS;
}

uint32_t
smb2_access_modes(uint32_t granted)
{
    uint32_t modes = 0;
    if (granted & (SMB2_FILE_READ_DATA | SMB2_FILE_EXECUTE))
        modes |= LARES_ACCESS_READ;
    if (granted & DATA_WRITES)
        modes |= LARES_ACCESS_WRITE;
    if (granted & SMB2_DELETE)
        modes |= LARES_ACCESS_DELETE;
    return modes;
}

uint32_t
smb2_access_io(uint32_t granted)
{
    return smb2_access_modes(granted) & (LARES_ACCESS_READ | LARES_ACCESS_WRITE);
}

uint32_t
smb2_deny_modes(uint32_t share_access)
{
    uint32_t deny = 0;
    if (!(share_access & SMB2_SHARE_READ))
        deny |= LARES_DENY_READ;
    if (!(share_access & SMB2_SHARE_WRITE))
        deny |= LARES_DENY_WRITE;
    if (!(share_access & SMB2_SHARE_DELETE))
        deny |= LARES_DENY_DELETE;
    return deny;
}

uint32_t
smb2_attributes(const LaresObject *object, const LaresDos *dos)
{
    gboolean directory = object->node->type == LARES_TYPE_DIRECTORY;
    uint32_t attributes = dos->set ? dos->attributes : directory ? 0 : SMB2_ATTR_ARCHIVE;
    if (directory)
        attributes = (attributes | SMB2_ATTR_DIRECTORY) & ~SMB2_ATTR_NORMAL;
    if (object->node->type == LARES_TYPE_SYMLINK)
        attributes |= SMB2_ATTR_REPARSE_POINT;
    return attributes ? attributes : SMB2_ATTR_NORMAL;
}

uint32_t
smb2_object_attributes(Smb2Op *op, const LaresObject *object, uint32_t *attributes)
{
    LaresAttrs attrs;
    LaresDos dos;
    LaresStatus status = lares_files_getattr(op->service->files, &op->caller, object, LARES_ATTR_STAT, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    lares_files_get_dos(op->service->files, object, NULL, &attrs, &dos);
    *attributes = smb2_attributes(object, &dos);
    return STATUS_SUCCESS;
}
