/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PUTPUBFH: the public file handle is the root, as RFC 8881 18.20.3 allows.
 *
 * Spec: RFC 7530 16.21, RFC 8881 18.20 */
#include "nfs4-ops.h"

NFS4_OP(putpubfh)
{
    return nfs4_op_putrootfh(c);
}
