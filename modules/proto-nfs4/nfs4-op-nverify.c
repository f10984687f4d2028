/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NVERIFY: goes on only when the attributes differ.
 *
 * Spec: RFC 7530 16.15, RFC 8881 18.15 */
#include "nfs4-attr.h"
#include "nfs4-ops.h"

NFS4_OP(nverify)
{
    uint32_t status = nfs4_fattr_compare(c);
    return status == NFS4ERR_NOT_SAME ? NFS4_OK : status;
}
