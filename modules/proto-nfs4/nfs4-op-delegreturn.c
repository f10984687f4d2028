/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DELEGRETURN: no delegation is given, so no stateid is one.
 *
 * Spec: RFC 7530 16.8 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_delegreturn(Nfs4Compound *c)
{
    Nfs4Stateid stateid;
    nfs4_get_stateid(c->in, &stateid);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    Nfs4Grant *grant;
    return nfs4_grant_find(c, &stateid, 0, &grant);
}
