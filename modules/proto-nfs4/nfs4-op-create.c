/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CREATE: directories, symbolic links and special files.
 *
 * Spec: RFC 7530 16.4, RFC 8881 18.4 */
#include "nfs4-attr.h"
#include "nfs4-ops.h"

/* createtype4; a regular file is OPEN's business (BADTYPE). */
static uint32_t
get_type(Nfs4Compound *c, LaresCreate *how)
{
    size_t len;
    const uint8_t *target;
    switch (lares_get_u32(c->in)) {
    case NF4LNK:
        target = lares_get_opaque(c->in, lares_reader_left(c->in), &len);
        how->type = LARES_TYPE_SYMLINK;
        if (c->in->failed)
            return NFS4ERR_BADXDR;
        how->target = lares_arena_strndup(c->arena, target, len);
        if (len > NFS4_MAX_LINK)
            return NFS4ERR_NAMETOOLONG;
        return len == 0 || memchr(target, 0, len) ? NFS4ERR_INVAL : NFS4_OK;
    case NF4BLK:
        how->type = LARES_TYPE_BLOCK;
        break;
    case NF4CHR:
        how->type = LARES_TYPE_CHARACTER;
        break;
    case NF4SOCK:
        how->type = LARES_TYPE_SOCKET;
        return NFS4_OK;
    case NF4FIFO:
        how->type = LARES_TYPE_FIFO;
        return NFS4_OK;
    case NF4DIR:
        how->type = LARES_TYPE_DIRECTORY;
        return NFS4_OK;
    default:
        return NFS4ERR_BADTYPE;
    }
    how->rdev_major = lares_get_u32(c->in);
    how->rdev_minor = lares_get_u32(c->in);
    return NFS4_OK;
}

static uint32_t
create(Nfs4Compound *c, const char *name, LaresCreate *how, Nfs4SetAttrs *attrs)
{
    LaresObject made = {NULL, NULL};
    LaresChangeInfo info = {0};
    if (attrs->set.mask & LARES_ATTR_SIZE)
        return NFS4ERR_INVAL;
    nfs4_fattr_settle(c, &c->current, attrs);
    how->attrs = attrs->set;
    how->acl = attrs->acl;
    how->exclusive = TRUE;
    c->serial = TRUE;
    LaresStatus status = lares_files_create(c->files, &c->caller, &c->current, name, how, &made, &info);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    nfs4_fattr_created(attrs);
    nfs4_set_current(c, &made);
    nfs4_put_change_info(c->out, &info);
    nfs4_bitmap_put(c->out, &attrs->done);
    return NFS4_OK;
}

NFS4_OP(create)
{
    LaresCreate how = {0};
    Nfs4SetAttrs attrs;
    const uint8_t *bytes;
    const char *name;
    size_t len;
    uint32_t type_error = get_type(c, &how);
    if (type_error == NFS4ERR_BADTYPE || type_error == NFS4ERR_BADXDR)
        return type_error;
    nfs4_get_name_bytes(c->in, &bytes, &len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_need_directory(c, &c->current);
    if (status == NFS4_OK)
        status = nfs4_check_name(c, bytes, len, &name);
    if (status == NFS4_OK)
        status = type_error;
    if (status != NFS4_OK)
        return status;
    status = nfs4_fattr_decode(c, NFS4_FATTR_CREATE, &attrs);
    if (status != NFS4_OK)
        return status;
    status = create(c, name, &how, &attrs);
    nfs4_fattr_clear(&attrs);
    return status;
}
