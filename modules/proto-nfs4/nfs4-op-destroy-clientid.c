/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DESTROY_CLIENTID: a client that has neither sessions nor state says good-bye.
 *
 * Spec: RFC 8881 18.50 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_destroy_clientid(Nfs4Compound *c)
{
    uint64_t id = lares_get_u64(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    Nfs4Client *client;
    uint32_t status = nfs4_client_by_id(c->service->state, id, &client);
    if (status != NFS4_OK)
        return status;
    g_mutex_lock(&client->lock);
    gboolean busy = client->sessions->len > 0 || g_hash_table_size(client->grants) > 0;
    g_mutex_unlock(&client->lock);
    if (client->v40)
        status = NFS4ERR_STALE_CLIENTID;
    else if (busy)
        status = NFS4ERR_CLIENTID_BUSY;
    else
        status = nfs4_client_check_cred(c, client);
    if (status == NFS4_OK)
        nfs4_client_destroy(client, TRUE);
    nfs4_client_unref(client);
    return status;
}
