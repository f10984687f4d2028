/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LOCKT: would a lock be granted?
 *
 * Spec: RFC 7530 16.11, RFC 8881 18.11 */
#include "nfs4-lock.h"
#include "nfs4-ops.h"

static uint32_t
test(Nfs4Compound *c, Nfs4Client *client, const uint8_t *bytes, size_t len, const LaresRange *range)
{
    if (nfs4_recovery_in_grace(client->state->recovery))
        return NFS4ERR_GRACE;
    Nfs4Owner *owner = nfs4_owner_get(c, client, TRUE, bytes, len, FALSE);
    LaresLockOwner who = {.key = owner ? (gconstpointer)owner : (gconstpointer)range};
    LaresLockConflict conflict;
    g_autoptr(GBytes) name = NULL;
    LaresStatus status = lares_lock_test_named(c->current.node, &who, range, &conflict, &name);
    if (owner)
        nfs4_owner_unref(owner);
    if (status == LARES_DENIED) {
        nfs4_put_denied(c, &conflict, name);
        return NFS4ERR_DENIED;
    }
    return nfs4_lock_status(c, status);
}

uint32_t
nfs4_op_lockt(Nfs4Compound *c)
{
    LaresRange range;
    size_t len;
    nfs4_get_lock_type(c->in, &range.write);
    range.start = lares_get_u64(c->in);
    range.length = lares_get_u64(c->in);
    uint64_t clientid = lares_get_u64(c->in);
    const uint8_t *owner = lares_get_opaque(c->in, NFS4_OPAQUE_LIMIT, &len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_need_regular(c, &c->current);
    if (status == NFS4_OK)
        status = nfs4_check_range(range.start, range.length);
    if (status != NFS4_OK)
        return status;
    if (c->session)
        return test(c, c->session->client, owner, len, &range);
    Nfs4Client *client;
    status = nfs4_client_by_id(c->service->state, clientid, &client);
    if (status != NFS4_OK)
        return status;
    if (client->v40 && g_atomic_int_get(&client->confirmed)) {
        nfs4_client_renew(client);
        status = test(c, client, owner, len, &range);
    } else {
        status = NFS4ERR_STALE_CLIENTID; /* a 4.1 client speaks in its sessions */
    }
    nfs4_client_unref(client);
    return status;
}
