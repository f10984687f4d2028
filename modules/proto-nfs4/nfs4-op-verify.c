/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VERIFY: goes on only when the attributes are the same.
 *
 * Spec: RFC 7530 16.35, RFC 8881 18.31 */
#include "nfs4-attr.h"
#include "nfs4-ops.h"

NFS4_OP(verify)
{
    uint32_t status = nfs4_fattr_compare(c);
    return status == NFS4ERR_SAME ? NFS4_OK : status;
}
