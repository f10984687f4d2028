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
        owner = nfs4_owner_get(c, client, TRUE, bytes, len, FALSE);
    else
        status = NFS4ERR_STALE_CLIENTID;
    if (owner) {
        /* The lock owner's own user, or who speaks for the client: Linux does it in a thread of the kernel. */
        gboolean own = __atomic_load_n(&owner->uid, __ATOMIC_RELAXED) == c->caller.identity->uid ||
                       c->caller.identity->uid == client->uid || strcmp(c->principal, client->principal) == 0;
        status = own ? nfs4_owner_release(owner) : NFS4ERR_ACCESS;
        nfs4_owner_unref(owner);
    }
    nfs4_client_unref(client);
    return status;
}
