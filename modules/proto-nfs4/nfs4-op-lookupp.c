/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LOOKUPP: the parent of the current directory.
 *
 * Spec: RFC 7530 16.14, RFC 8881 18.14, 2.6.3.1.1.4 */
#include "nfs4-named.h"
#include "nfs4-ops.h"

NFS4_OP(lookupp)
{
    LaresObject parent = {NULL, NULL};
    uint32_t status = nfs4_need_directory(c, &c->current);
    if (status != NFS4_OK)
        return status;
    uint32_t next = nfs4_next_op(c);
    gboolean asks = next <= OP_LAST && (nfs4_ops[next].flags & NFS4_IS_SECINFO);
    status = nfs4_status(c, nfs4_find_parent(c, !asks, &parent));
    if (status == NFS4_OK) {
        nfs4_set_current(c, &parent);
        c->current_unchecked = asks;
    }
    return status;
}
