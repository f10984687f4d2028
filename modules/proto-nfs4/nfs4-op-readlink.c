/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* READLINK: what a symbolic link says.
 *
 * Spec: RFC 7530 16.25, RFC 8881 18.24 */
#include "nfs4-ops.h"

NFS4_OP(readlink)
{
    const char *target;
    size_t len;
    if (c->current.node->type != LARES_TYPE_SYMLINK)
        return nfs4_status(c, LARES_WRONG_TYPE);
    LaresStatus status = lares_files_readlink(c->files, &c->caller, &c->current, &target, &len);
    if (status == LARES_OK)
        lares_put_opaque(c->out, target, len);
    return nfs4_status(c, status);
}
