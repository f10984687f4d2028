/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OPEN_CONFIRM: a 4.0 open owner that was new proves that its first OPEN was no old duplicate.
 *
 * Spec: RFC 7530 16.18 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

static uint32_t
confirm(Nfs4Compound *c, Nfs4Grant *grant)
{
    if (grant->owner->confirmed)
        return NFS4ERR_BAD_STATEID;
    grant->owner->confirmed = TRUE;
    Nfs4Stateid stateid = nfs4_grant_bump(grant);
    nfs4_put_stateid(c->out, &stateid);
    return NFS4_OK;
}

uint32_t
nfs4_op_open_confirm(Nfs4Compound *c)
{
    Nfs4Stateid stateid;
    nfs4_get_stateid(c->in, &stateid);
    uint32_t seqid = lares_get_u32(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_need_regular(c, &c->current);
    return status != NFS4_OK ? status : nfs4_seqid_op(c, &stateid, seqid, NFS4_GRANT_OPEN, confirm);
}
