/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* BIND_CONN_TO_SESSION: this connection serves the session, in which directions.
 *
 * Spec: RFC 8881 18.34 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_bind_conn_to_session(Nfs4Compound *c)
{
    const uint8_t *id = lares_get_bytes(c->in, NFS4_SESSIONID);
    uint32_t direction = lares_get_u32(c->in);
    lares_get_bool(c->in); /* bctsa_use_conn_in_rdma_mode */
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (direction != CDFC4_FORE && direction != CDFC4_BACK && direction != CDFC4_FORE_OR_BOTH &&
        direction != CDFC4_BACK_OR_BOTH)
        return NFS4ERR_INVAL;
    Nfs4Session *session = nfs4_session_find(c->service->state, id);
    if (!session)
        return NFS4ERR_BADSESSION;
    uint32_t status = nfs4_client_check_cred(c, session->client);
    if (status == NFS4_OK) {
        gboolean back = direction != CDFC4_FORE;
        if (back) {
            g_atomic_pointer_set(&c->connection->state, c->service->state);
            g_mutex_lock(&session->lock);
            session->backchannel = lares_connection_id(c->connection->net);
            g_mutex_unlock(&session->lock);
        }
        nfs4_client_renew(session->client);
        lares_put_bytes(c->out, id, NFS4_SESSIONID);
        lares_put_u32(c->out, direction == CDFC4_BACK ? CDFS4_BACK : back ? CDFS4_BOTH : CDFS4_FORE);
        lares_put_u32(c->out, FALSE);
    }
    nfs4_session_unref(session);
    return status;
}
