/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GETFH: the current file handle.
 *
 * Spec: RFC 7530 16.8, RFC 8881 18.8 */
#include "nfs4-named.h"
#include "nfs4-ops.h"

NFS4_OP(getfh)
{
    uint8_t handle[LARES_WIRE_HANDLE_MAX];
    lares_put_opaque(c->out, handle, nfs4_current_handle(c, handle));
    return NFS4_OK;
}
