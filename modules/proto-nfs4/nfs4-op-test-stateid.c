/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TEST_STATEID: which of these are still good?
 *
 * Spec: RFC 8881 18.48 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_test_stateid(Nfs4Compound *c)
{
    uint32_t n = lares_get_u32(c->in);
    if (c->in->failed || n > lares_reader_left(c->in) / NFS4_STATEID_SIZE)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_reply_room(c, 4 + (size_t)n * 4);
    if (status != NFS4_OK)
        return status;
    lares_put_u32(c->out, n);
    for (uint32_t i = 0; i < n; i++) {
        Nfs4Stateid stateid;
        nfs4_get_stateid(c->in, &stateid);
        lares_put_u32(c->out, nfs4_grant_test(c, &stateid));
    }
    return NFS4_OK;
}
