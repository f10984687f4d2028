/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CLONE: shares the blocks of two files.
 *
 * Spec: RFC 7862 15.13 */
#include "nfs4-io.h"
#include "nfs4-ops.h"

NFS4_OP(clone)
{
    Nfs4Stateid from_id, to_id;
    LaresIo from, to;
    nfs4_get_stateid(c->in, &from_id);
    nfs4_get_stateid(c->in, &to_id);
    uint64_t from_offset = lares_get_u64(c->in);
    uint64_t to_offset = lares_get_u64(c->in);
    uint64_t count = lares_get_u64(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_io_begin(c, &c->saved, &from_id, LARES_ACCESS_READ, &from);
    if (status != NFS4_OK)
        return status;
    status = nfs4_io_begin(c, &c->current, &to_id, LARES_ACCESS_WRITE, &to);
    if (status == NFS4_OK) {
        status = nfs4_status(c, lares_files_clone(c->files, &from, from_offset, &to, to_offset, count));
        lares_files_io_end(&to);
    }
    lares_files_io_end(&from);
    return status;
}
