/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IO_ADVISE: heard and not followed; the empty answer says so.
 *
 * Spec: RFC 7862 15.5 */
#include "nfs4-attr.h"
#include "nfs4-io.h"
#include "nfs4-ops.h"

NFS4_OP(io_advise)
{
    Nfs4Stateid stateid;
    Nfs4Bitmap hints;
    LaresOpen *open = NULL;
    nfs4_get_stateid(c->in, &stateid);
    lares_get_u64(c->in);
    lares_get_u64(c->in);
    nfs4_bitmap_get(c->in, &hints, NULL);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_need_regular(c, &c->current);
    if (status == NFS4_OK)
        status = nfs4_state_io(c, &c->current, &stateid, 0, &open);
    if (open)
        lares_open_unref(open);
    if (status == NFS4_OK)
        lares_put_u32(c->out, 0);
    return status;
}
