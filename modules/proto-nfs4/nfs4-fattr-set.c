/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes' values on their way in, and setting them.
 *
 * Spec: RFC 7530 5.8, 16.32; RFC 8881 5.8, 6.4.1, 18.30; RFC 8275 5 */
#include "nfs4-fattr.h"
#include "nfs4-named.h"

#define GET(name) uint32_t nfs4_fattr_get_##name(G_GNUC_UNUSED Nfs4Compound *c, LaresReader *in, Nfs4SetAttrs *attrs)

GET(size)
{
    attrs->set.size = lares_get_u64(in);
    attrs->set.mask |= LARES_ATTR_SIZE;
    return attrs->set.size > INT64_MAX ? NFS4ERR_FBIG : NFS4_OK;
}

/* RFC 8881 6.2.4: other bits must be refused. */
GET(mode)
{
    attrs->set.mode = lares_get_u32(in);
    attrs->set.mask |= LARES_ATTR_MODE;
    return attrs->set.mode & ~NFS4_MODE_MASK ? NFS4ERR_INVAL : NFS4_OK;
}

GET(mode_umask)
{
    attrs->raw_mode = lares_get_u32(in);
    attrs->umask = lares_get_u32(in);
    attrs->has_umask = TRUE;
    attrs->set.mode = attrs->raw_mode & ~attrs->umask;
    attrs->set.mask |= LARES_ATTR_MODE;
    return (attrs->raw_mode & ~NFS4_MODE_MASK) || (attrs->umask & ~0777u) ? NFS4ERR_INVAL : NFS4_OK;
}

typedef LaresStatus (*ToId)(LaresDirectory *directory, const char *name, size_t len, uint32_t *id);

static uint32_t
get_principal(Nfs4Compound *c, LaresReader *in, ToId to_id, uint32_t *id)
{
    size_t len;
    const uint8_t *name = lares_get_opaque(in, lares_reader_left(in), &len);
    if (in->failed)
        return NFS4ERR_BADXDR;
    if (len == 0 || !g_utf8_validate_len((const char *)name, len, NULL))
        return NFS4ERR_INVAL;
    if (len > NFS4_MAX_OWNER)
        return NFS4ERR_BADOWNER;
    return nfs4_status(c, to_id(c->service->directory, (const char *)name, len, id));
}

GET(owner)
{
    attrs->set.mask |= LARES_ATTR_UID;
    return get_principal(c, in, lares_directory_owner_id, &attrs->set.uid);
}

GET(owner_group)
{
    attrs->set.mask |= LARES_ATTR_GID;
    return get_principal(c, in, lares_directory_group_id, &attrs->set.gid);
}

static uint32_t
get_time(LaresReader *in, LaresTime *time)
{
    time->sec = (int64_t)lares_get_u64(in);
    time->nsec = lares_get_u32(in);
    return time->nsec > 999999999 ? NFS4ERR_INVAL : NFS4_OK;
}

/* settime4: the server's clock or a time of the client's. */
static uint32_t
get_settime(LaresReader *in, LaresTime *time, uint32_t *mask, uint32_t bit, uint32_t now_bit)
{
    switch (lares_get_u32(in)) {
    case SET_TO_SERVER_TIME4:
        *mask |= now_bit;
        return NFS4_OK;
    case SET_TO_CLIENT_TIME4:
        *mask |= bit;
        return get_time(in, time);
    default:
        return NFS4ERR_BADXDR;
    }
}

GET(time_access_set)
{
    return get_settime(in, &attrs->set.atime, &attrs->set.mask, LARES_ATTR_ATIME, LARES_SET_ATIME_NOW);
}

GET(time_modify_set)
{
    return get_settime(in, &attrs->set.mtime, &attrs->set.mask, LARES_ATTR_MTIME, LARES_SET_MTIME_NOW);
}

GET(time_create)
{
    attrs->set.mask |= LARES_ATTR_BTIME;
    return get_time(in, &attrs->set.btime);
}

/* ---- Setting ---------------------------------------------------------------------------------------------------- */

void
nfs4_fattr_clear(Nfs4SetAttrs *attrs)
{
    lares_acl_free(attrs->acl);
    attrs->acl = NULL;
}

void
nfs4_fattr_only_own(Nfs4SetAttrs *attrs)
{
    Nfs4Bitmap own = {{0}};
    nfs4_bitmap_set(&own, FATTR4_SIZE);
    nfs4_bitmap_set(&own, FATTR4_TIME_ACCESS_SET);
    nfs4_bitmap_set(&own, FATTR4_TIME_MODIFY_SET);
    for (uint32_t i = 0; i < NFS4_BITMAP; i++)
        attrs->asked.word[i] &= own.word[i];
}

void
nfs4_fattr_created(Nfs4SetAttrs *attrs)
{
    attrs->done = attrs->asked;
}

gboolean
nfs4_fattr_inherits(Nfs4Compound *c, const LaresObject *dir)
{
    LaresAcl *parent = NULL;
    gboolean found = FALSE;
    if (lares_files_get_acl(c->files, &c->caller, dir, &parent) != LARES_OK)
        return FALSE;
    for (uint32_t i = 0; i < parent->n && !found; i++)
        found = (parent->ace[i].flags & (LARES_ACE_FILE_INHERIT | LARES_ACE_DIRECTORY_INHERIT)) != 0;
    lares_acl_free(parent);
    return found;
}

void
nfs4_fattr_settle(Nfs4Compound *c, const LaresObject *dir, Nfs4SetAttrs *attrs)
{
    if (attrs->has_umask && !attrs->acl && nfs4_fattr_inherits(c, dir))
        attrs->set.mode = attrs->raw_mode;
}

/* An attribute the table knows and this store cannot set is an unsupported attribute. */
static uint32_t
set_status(const Nfs4Compound *c, LaresStatus status)
{
    return status == LARES_NOTSUPP ? NFS4ERR_ATTRNOTSUPP : nfs4_status(c, status);
}

/* Mode before ACL: RFC 8881 6.4.1.3. */
uint32_t
nfs4_fattr_apply(Nfs4Compound *c, const LaresObject *object, LaresFile *file, Nfs4SetAttrs *attrs)
{
    if (attrs->acl && nfs4_of(c, object))
        return NFS4ERR_PERM; /* who may do what is said of the object that it belongs to */
    if (attrs->set.mask) {
        uint32_t status = set_status(c, nfs4_files_setattr(c, object, file, &attrs->set));
        if (status != NFS4_OK)
            return status;
        attrs->done = attrs->asked;
        attrs->done.word[FATTR4_ACL / 32] &= ~(1u << FATTR4_ACL);
    }
    if (attrs->acl) {
        uint32_t status = set_status(c, lares_files_set_acl(c->files, &c->caller, object, attrs->acl));
        if (status != NFS4_OK)
            return status;
        nfs4_bitmap_set(&attrs->done, FATTR4_ACL);
    }
    return NFS4_OK;
}
