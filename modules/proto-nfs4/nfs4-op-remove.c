/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* REMOVE: a name of the current directory.
 *
 * Spec: RFC 7530 16.26, RFC 8881 18.25 */
#include "nfs4-named.h"
#include "nfs4-ops.h"

NFS4_OP(remove)
{
    const char *name;
    LaresChangeInfo info = {0};
    uint32_t status = nfs4_get_name(c, &name);
    if (status == NFS4ERR_BADXDR)
        return status;
    uint32_t type = nfs4_need_directory(c, &c->current);
    if (type != NFS4_OK || status != NFS4_OK)
        return type != NFS4_OK ? type : status;
    c->serial = TRUE;
    status = nfs4_status(c, nfs4_remove(c, name, &info));
    if (status == NFS4_OK)
        nfs4_put_change_info(c->out, &info);
    return status;
}
