/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RELEASE_LOCKOWNER: a 4.0 client will not use this lock owner again.
 *
 * Spec: RFC 7530 16.37 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_release_lockowner(Nfs4Compound *c)
{
    size_t len;
    uint64_t clientid = lares_get_u64(c->in);
    const uint8_t *bytes = lares_get_opaque(c->in, NFS4_OPAQUE_LIMIT, &len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    Nfs4Client *client;
    uint32_t status = nfs4_client_by_id(c->service->state, clientid, &client);
    if (status != NFS4_OK)
        return status;
    Nfs4Owner *owner = NULL;
    if (client->v40) /* 4.1's have sessions to say so */
        owner = nfs4_owner_get(client, TRUE, bytes, len, FALSE);
    else
        status = NFS4ERR_STALE_CLIENTID;
    if (owner) {
        status = nfs4_owner_release(owner);
        nfs4_owner_unref(owner);
    }
    nfs4_client_unref(client);
    return status;
}
