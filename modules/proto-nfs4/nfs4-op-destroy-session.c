/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DESTROY_SESSION.
 *
 * Spec: RFC 8881 18.37 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_destroy_session(Nfs4Compound *c)
{
    const uint8_t *id = lares_get_bytes(c->in, NFS4_SESSIONID);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    /* In a compound with a SEQUENCE of the same session it must be the last operation (18.37.3). */
    if (c->session && memcmp(c->session->id, id, NFS4_SESSIONID) == 0 && c->op_index + 1 != c->op_count)
        return NFS4ERR_NOT_ONLY_OP;
    Nfs4Session *session = nfs4_session_find(c->service->state, id);
    if (!session)
        return NFS4ERR_BADSESSION;
    uint32_t status = nfs4_client_check_cred(c, session->client);
    if (status == NFS4_OK)
        nfs4_session_destroy(session);
    nfs4_session_unref(session);
    return status;
}
