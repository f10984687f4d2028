/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DELEGPURGE: about delegations kept over a client's restart; none is ever given.
 *
 * Spec: RFC 7530 16.7 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_delegpurge(Nfs4Compound *c)
{
    lares_get_u64(c->in);
    return c->in->failed ? NFS4ERR_BADXDR : NFS4ERR_NOTSUPP;
}
