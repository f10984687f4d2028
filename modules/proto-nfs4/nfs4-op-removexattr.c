/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* REMOVEXATTR: removes one extended attribute.
 *
 * Spec: RFC 8276 8.4.4 */
#include "nfs4-ops.h"
#include "nfs4-xattr.h"

NFS4_OP(removexattr)
{
    const char *name;
    LaresChangeInfo info = {0};
    uint32_t status = nfs4_get_xattr_name(c, &name);
    if (status != NFS4_OK)
        return status;
    status = nfs4_status(c, lares_files_removexattr(c->files, &c->caller, &c->current, name, &info));
    if (status == NFS4_OK)
        nfs4_put_change_info(c->out, &info);
    return status;
}
