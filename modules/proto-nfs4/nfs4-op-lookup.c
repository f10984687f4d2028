/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LOOKUP: one name in the current directory.
 *
 * Spec: RFC 7530 16.13, RFC 8881 18.13, 2.6.3.1.1 */
#include "nfs4-named.h"
#include "nfs4-ops.h"

NFS4_OP(lookup)
{
    const char *name;
    LaresObject found = {NULL, NULL};
    uint32_t status = nfs4_get_name(c, &name);
    if (status == NFS4ERR_BADXDR)
        return status;
    uint32_t type = nfs4_need_directory(c, &c->current);
    if (type != NFS4_OK || status != NFS4_OK)
        return type != NFS4_OK ? type : status;
    /* A SECINFO_NO_NAME that follows asks for the flavors of just this object, so it must be reached. */
    uint32_t next = nfs4_next_op(c);
    gboolean asks = next <= OP_LAST && (nfs4_ops[next].flags & NFS4_IS_SECINFO);
    status = nfs4_status(c, nfs4_find(c, name, LARES_ACCESS_READ, !asks, &found));
    if (status == NFS4_OK) {
        nfs4_set_current_within(c, &found);
        c->current_unchecked = asks;
    }
    return status;
}
