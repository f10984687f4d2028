/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* BACKCHANNEL_CTL: how the server would have to authenticate its callbacks.
 *
 * Spec: RFC 8881 18.33 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

uint32_t
nfs4_op_backchannel_ctl(Nfs4Compound *c)
{
    uint32_t program = lares_get_u32(c->in);
    nfs4_skip_callback_sec_parms(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_client_check_cred(c, c->session->client);
    if (status != NFS4_OK)
        return status;
    g_mutex_lock(&c->session->lock);
    c->session->cb_program = program;
    g_mutex_unlock(&c->session->lock);
    return NFS4_OK;
}
