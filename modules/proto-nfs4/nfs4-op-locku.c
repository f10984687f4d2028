/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LOCKU: a range is given back.
 *
 * Spec: RFC 7530 16.12, RFC 8881 18.12 */
#include "nfs4-lock.h"
#include "nfs4-ops.h"

static uint32_t
unlock(Nfs4Compound *c, Nfs4Grant *grant)
{
    const LaresRange *range = c->op_data;
    LaresLockOwner who = nfs4_owner_for_lock(grant->owner);
    uint32_t status = nfs4_check_range(range->start, range->length);
    if (status == NFS4_OK)
        status = nfs4_lock_status(c, lares_lock_clear(grant->open, &who, range->start, range->length));
    if (status == NFS4_OK) {
        Nfs4Stateid stateid = nfs4_grant_bump(grant);
        nfs4_put_stateid(c->out, &stateid);
        nfs4_set_current_stateid(c, &stateid);
    }
    return status;
}

uint32_t
nfs4_op_locku(Nfs4Compound *c)
{
    LaresRange range;
    Nfs4Stateid stateid;
    nfs4_get_lock_type(c->in, &range.write);
    uint32_t seqid = lares_get_u32(c->in);
    nfs4_get_stateid(c->in, &stateid);
    range.start = lares_get_u64(c->in);
    range.length = lares_get_u64(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    c->op_data = &range;
    return nfs4_seqid_op(c, &stateid, seqid, NFS4_GRANT_LOCK, unlock);
}
