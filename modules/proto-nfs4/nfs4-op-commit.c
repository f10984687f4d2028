/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* COMMIT: makes unstable writes durable.
 *
 * Spec: RFC 7530 16.3, RFC 8881 18.3 */
#include "nfs4-named.h"
#include "nfs4-ops.h"

/* COMMIT carries no stateid: any descriptor of the file will do, also when its mode shuts the caller out by now. */
static LaresStatus
begin(Nfs4Compound *c, LaresIo *io)
{
    LaresStatus status = nfs4_files_io_begin(c, &c->current, NULL, 0, io);
    if (status == LARES_ACCESS)
        status = nfs4_files_io_begin(c, &c->current, NULL, LARES_ACCESS_WRITE, io);
    if (status == LARES_ACCESS || status == LARES_LOCKED)
        status = nfs4_files_io_begin(c, &c->current, NULL, LARES_ACCESS_READ, io);
    return status;
}

NFS4_OP(commit)
{
    LaresIo io;
    uint64_t offset = lares_get_u64(c->in);
    uint32_t count = lares_get_u32(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t error = nfs4_need_regular(c, &c->current);
    if (error != NFS4_OK)
        return error;
    if (offset + count < offset)
        return NFS4ERR_INVAL;
    LaresStatus status = begin(c, &io);
    if (status == LARES_OK) {
        status = lares_files_commit(c->files, &io, offset, count);
        lares_files_io_end(&io);
    }
    if (status == LARES_IO)
        nfs4_writes_lost(c->service);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    nfs4_put_write_verifier(c->out, c->service);
    return NFS4_OK;
}
