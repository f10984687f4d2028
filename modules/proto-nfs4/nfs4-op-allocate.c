/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ALLOCATE and DEALLOCATE: space for a range, or a hole.
 *
 * Spec: RFC 7862 15.1, 15.4 */
#include "nfs4-io.h"
#include "nfs4-ops.h"

static uint32_t
change_range(Nfs4Compound *c, gboolean deallocate)
{
    Nfs4Stateid stateid;
    LaresIo io;
    nfs4_get_stateid(c->in, &stateid);
    uint64_t offset = lares_get_u64(c->in);
    uint64_t length = lares_get_u64(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_io_begin(c, &c->current, &stateid, LARES_ACCESS_WRITE, &io);
    if (status != NFS4_OK)
        return status;
    if (length == 0 || offset + length < offset)
        status = NFS4ERR_INVAL;
    else
        status = nfs4_status(c, lares_files_allocate(c->files, &io, offset, length, deallocate));
    lares_files_io_end(&io);
    return status;
}

NFS4_OP(allocate)
{
    return change_range(c, FALSE);
}

NFS4_OP(deallocate)
{
    return change_range(c, TRUE);
}
