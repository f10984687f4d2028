/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GETATTR: attributes of the current file.
 *
 * Spec: RFC 7530 16.7, RFC 8881 18.7 */
#include "nfs4-attr.h"
#include "nfs4-named.h"
#include "nfs4-ops.h"

NFS4_OP(getattr)
{
    Nfs4Bitmap want;
    nfs4_bitmap_get(c->in, &want, NULL);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_fattr_readable(c, &want);
    return status != NFS4_OK ? status : nfs4_fattr_encode(c, c->out, &c->current, nfs4_of(c, &c->current), &want);
}
