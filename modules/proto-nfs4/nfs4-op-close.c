/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CLOSE: the open and its locks end.
 *
 * Spec: RFC 7530 16.2, RFC 8881 18.2 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

static uint32_t
close_grant(Nfs4Compound *c, Nfs4Grant *grant)
{
    Nfs4Stateid stateid;
    if (c->minor > 0) { /* RFC 8881 18.2.4: one that nobody can use by mistake */
        stateid = (Nfs4Stateid){.seqid = UINT32_MAX};
    } else {
        stateid = nfs4_grant_bump(grant);
        nfs4_owner_closed(grant->owner, grant->key);
    }
    nfs4_grant_drop(grant);
    nfs4_put_stateid(c->out, &stateid);
    nfs4_set_current_stateid(c, &stateid);
    return NFS4_OK;
}

uint32_t
nfs4_op_close(Nfs4Compound *c)
{
    uint32_t seqid = lares_get_u32(c->in);
    Nfs4Stateid stateid;
    nfs4_get_stateid(c->in, &stateid);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    return nfs4_seqid_op(c, &stateid, seqid, NFS4_GRANT_OPEN, close_grant);
}
