/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What operations with a stateid begin with.
 *
 * Spec: RFC 7530 9.1.4, RFC 8881 8.2 */
#include "nfs4-io.h"
#include "nfs4-named.h"

uint32_t
nfs4_io_begin(Nfs4Compound *c, const LaresObject *object, const Nfs4Stateid *stateid, uint32_t access, LaresIo *io)
{
    LaresOpen *open = NULL;
    uint32_t status = nfs4_need_regular(c, object);
    if (status == NFS4_OK)
        status = nfs4_state_io(c, object, stateid, access, &open);
    if (status != NFS4_OK)
        return status;
    status = nfs4_status(c, nfs4_files_io_begin(c, object, open, access, io));
    if (open)
        lares_open_unref(open);
    return status;
}
