/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PUTFH: the current file by its handle. The loop checks the flavor as the following operation demands.
 *
 * Spec: RFC 7530 16.20, RFC 8881 18.19 */
#include "nfs4-named.h"
#include "nfs4-ops.h"

NFS4_OP(putfh)
{
    size_t len;
    const uint8_t *bytes = lares_get_opaque(c->in, NFS4_FHSIZE, &len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    return nfs4_put_handle(c, bytes, len);
}
