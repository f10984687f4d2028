/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RECLAIM_COMPLETE: the client has taken back what it had.
 *
 * Spec: RFC 8881 18.51 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_reclaim_complete(Nfs4Compound *c)
{
    gboolean one_fs = lares_get_bool(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (one_fs) /* about a migrated file system: none ever is */
        return lares_object_is_set(&c->current) ? NFS4_OK : NFS4ERR_NOFILEHANDLE;
    Nfs4Client *client = c->session->client;
    g_mutex_lock(&client->lock);
    gboolean before = client->reclaim_complete;
    client->reclaim_complete = TRUE;
    g_mutex_unlock(&client->lock);
    if (before)
        return NFS4ERR_COMPLETE_ALREADY;
    nfs4_recovery_complete(client->state->recovery, client);
    return NFS4_OK;
}
