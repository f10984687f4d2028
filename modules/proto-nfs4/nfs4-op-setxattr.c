/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SETXATTR: sets one extended attribute.
 *
 * Spec: RFC 8276 8.4.2 */
#include "nfs4-ops.h"
#include "nfs4-xattr.h"

NFS4_OP(setxattr)
{
    static const LaresXattrMode modes[] = {LARES_XATTR_EITHER, LARES_XATTR_CREATE, LARES_XATTR_REPLACE};
    const char *name;
    size_t len;
    LaresChangeInfo info = {0};
    uint32_t option = lares_get_u32(c->in);
    uint32_t status = nfs4_get_xattr_name(c, &name);
    if (status == NFS4ERR_BADXDR)
        return status;
    const uint8_t *value = lares_get_opaque(c->in, lares_reader_left(c->in), &len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (status != NFS4_OK)
        return status;
    if (option > SETXATTR4_REPLACE)
        return NFS4ERR_INVAL;
    if (len > NFS4_MAX_XATTR)
        return NFS4ERR_XATTR2BIG;
    status =
        nfs4_status(c, lares_files_setxattr(c->files, &c->caller, &c->current, name, value, len, modes[option], &info));
    if (status == NFS4_OK)
        nfs4_put_change_info(c->out, &info);
    return status;
}
