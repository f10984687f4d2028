/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GETXATTR: the value of one extended attribute.
 *
 * Spec: RFC 8276 8.4.1 */
#include "nfs4-ops.h"
#include "nfs4-xattr.h"

uint32_t
nfs4_get_xattr_name(Nfs4Compound *c, const char **name)
{
    size_t len;
    const uint8_t *bytes = lares_get_opaque(c->in, lares_reader_left(c->in), &len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (len == 0 || !g_utf8_validate_len((const char *)bytes, len, NULL))
        return NFS4ERR_INVAL;
    if (len > NFS4_MAX_XATTR_NAME)
        return NFS4ERR_NAMETOOLONG;
    *name = lares_arena_strndup(c->arena, bytes, len);
    return NFS4_OK;
}

NFS4_OP(getxattr)
{
    const char *name;
    size_t len = 0;
    uint32_t status = nfs4_get_xattr_name(c, &name);
    if (status != NFS4_OK)
        return status;
    uint8_t *value = lares_arena_alloc(c->arena, NFS4_MAX_XATTR);
    LaresStatus result = lares_files_getxattr(c->files, &c->caller, &c->current, name, value, NFS4_MAX_XATTR, &len);
    if (result == LARES_TOOSMALL)
        return NFS4ERR_XATTR2BIG;
    if (result != LARES_OK)
        return nfs4_status(c, result);
    lares_put_opaque(c->out, value, len);
    return NFS4_OK;
}
