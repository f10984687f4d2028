/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RENEW: a 4.0 client says that it lives.
 *
 * Spec: RFC 7530 16.29 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_renew(Nfs4Compound *c)
{
    uint64_t id = lares_get_u64(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    Nfs4Client *client;
    uint32_t status = nfs4_client_by_id(c->service->state, id, &client);
    if (status != NFS4_OK)
        return status;
    if (!client->v40 || !g_atomic_int_get(&client->confirmed))
        status = NFS4ERR_STALE_CLIENTID;
    else if (nfs4_client_is_spoken_for(c, client))
        nfs4_client_renew(client);
    else
        status = NFS4ERR_ACCESS; /* a stranger would keep for ever what a dead client holds */
    nfs4_client_unref(client);
    return status;
}
