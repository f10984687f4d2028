/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PUTROOTFH: the root of the name space.
 *
 * Spec: RFC 7530 16.22, RFC 8881 18.21 */
#include "nfs4-ops.h"

NFS4_OP(putrootfh)
{
    LaresObject root = {NULL, NULL};
    LaresStatus status = lares_files_root(c->files, &c->caller, &root);
    if (status == LARES_OK)
        nfs4_set_current(c, &root);
    return nfs4_status(c, status);
}
