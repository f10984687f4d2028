/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OPEN_DOWNGRADE: an open keeps less than it had.
 *
 * Spec: RFC 7530 16.19, RFC 8881 18.18 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

typedef struct {
    uint32_t access, deny;
} Modes;

/* The union of some of the modes that were given with OPENs? */
static gboolean
is_union_of_seen(uint32_t modes, uint8_t seen)
{
    uint32_t bits = 0;
    for (uint32_t m = 0; m < 4; m++) {
        if ((seen & 1u << m) && (m & ~modes) == 0)
            bits |= m;
    }
    return bits == modes;
}

static uint32_t
downgrade(Nfs4Compound *c, Nfs4Grant *grant, const Modes *modes)
{
    uint32_t access = lares_open_access(grant->open), deny = lares_open_deny(grant->open);
    if ((modes->access & ~access) || (modes->deny & ~deny))
        return NFS4ERR_INVAL;
    g_mutex_lock(&grant->client->lock);
    gboolean seen = is_union_of_seen(modes->access, grant->access_seen) &&
                    (modes->deny == 0 || is_union_of_seen(modes->deny, grant->deny_seen));
    if (seen) {
        /* Later downgrades choose among what is left. */
        for (uint32_t m = 0; m < 4; m++) {
            if (m & ~modes->access)
                grant->access_seen &= (uint8_t) ~(1u << m);
            if (m & ~modes->deny)
                grant->deny_seen &= (uint8_t) ~(1u << m);
        }
        grant->access_seen |= (uint8_t)(1u << modes->access);
        grant->deny_seen |= (uint8_t)(1u << modes->deny);
    }
    g_mutex_unlock(&grant->client->lock);
    if (!seen)
        return NFS4ERR_INVAL;
    lares_open_downgrade(grant->open, modes->access, modes->deny);
    Nfs4Stateid stateid = nfs4_grant_bump(grant);
    nfs4_put_stateid(c->out, &stateid);
    nfs4_set_current_stateid(c, &stateid);
    return NFS4_OK;
}

static uint32_t
run(Nfs4Compound *c, Nfs4Grant *grant)
{
    const Modes *modes = c->op_data;
    /* Judged inside of the owner's sequence: INVAL moves the seqid on (RFC 7530 9.1.7). */
    if (modes->access == 0 || modes->access > OPEN4_SHARE_ACCESS_BOTH || modes->deny > OPEN4_SHARE_DENY_BOTH)
        return NFS4ERR_INVAL;
    return downgrade(c, grant, modes);
}

uint32_t
nfs4_op_open_downgrade(Nfs4Compound *c)
{
    Nfs4Stateid stateid;
    Modes modes;
    nfs4_get_stateid(c->in, &stateid);
    uint32_t seqid = lares_get_u32(c->in);
    modes.access = lares_get_u32(c->in);
    modes.deny = lares_get_u32(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (c->minor > 0)
        modes.access &= 0xff;
    c->op_data = &modes;
    return nfs4_seqid_op(c, &stateid, seqid, NFS4_GRANT_OPEN, run);
}
