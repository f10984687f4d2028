/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SETCLIENTID_CONFIRM: the record counts from now on; an earlier incarnation's state ends.
 *
 * Spec: RFC 7530 16.34 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

/* The newest verifier, which retires the one before, or that one again. */
static gboolean
take_verifier(Nfs4Client *client, const uint8_t *verifier)
{
    g_mutex_lock(&client->lock);
    gboolean newest = memcmp(client->confirm_next, verifier, NFS4_VERIFIER_SIZE) == 0;
    gboolean right = newest || memcmp(client->confirm, verifier, NFS4_VERIFIER_SIZE) == 0;
    if (newest)
        memcpy(client->confirm, verifier, NFS4_VERIFIER_SIZE);
    g_mutex_unlock(&client->lock);
    return right;
}

uint32_t
nfs4_op_setclientid_confirm(Nfs4Compound *c)
{
    uint64_t id = lares_get_u64(c->in);
    const uint8_t *verifier = lares_get_bytes(c->in, NFS4_VERIFIER_SIZE);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    Nfs4Client *client;
    uint32_t status = nfs4_client_by_id(c->service->state, id, &client);
    if (status != NFS4_OK)
        return status;
    if (client->v40 && strcmp(client->principal, c->principal) != 0)
        status = NFS4ERR_CLID_INUSE;
    else if (!client->v40 || !take_verifier(client, verifier))
        status = NFS4ERR_STALE_CLIENTID;
    if (status == NFS4_OK) {
        nfs4_client_confirm(client);
        nfs4_client_renew(client);
    }
    nfs4_client_unref(client);
    return status;
}
