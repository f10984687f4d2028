/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FREE_STATEID: a lock stateid without locks is given back.
 *
 * Spec: RFC 8881 18.38 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_free_stateid(Nfs4Compound *c)
{
    Nfs4Stateid stateid;
    nfs4_get_stateid(c->in, &stateid);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    Nfs4Grant *grant;
    uint32_t status = nfs4_grant_find(c, &stateid, NFS4_GRANT_OPEN | NFS4_GRANT_LOCK, &grant);
    if (status != NFS4_OK)
        return status;
    if (grant->kind == NFS4_GRANT_OPEN || lares_lock_held(grant->open, grant->owner))
        status = NFS4ERR_LOCKS_HELD;
    else
        nfs4_grant_drop(grant);
    nfs4_grant_unref(grant);
    return status;
}
