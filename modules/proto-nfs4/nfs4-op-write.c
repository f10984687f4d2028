/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WRITE: straight from the record to the file.
 *
 * Spec: RFC 7530 16.36, RFC 8881 18.32 */
#include "nfs4-io.h"
#include "nfs4-metrics.h"
#include "nfs4-ops.h"

NFS4_OP(write)
{
    static const LaresStable stable_of[] = {LARES_STABLE_NONE, LARES_STABLE_DATA, LARES_STABLE_FILE};
    Nfs4Stateid stateid;
    LaresIo io;
    size_t len, done = 0;
    nfs4_get_stateid(c->in, &stateid);
    uint64_t offset = lares_get_u64(c->in);
    uint32_t stable = lares_get_u32(c->in);
    const uint8_t *data = lares_get_opaque(c->in, NFS4_MAX_RECORD, &len);
    if (c->in->failed || stable > FILE_SYNC4)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_io_begin(c, &c->current, &stateid, LARES_ACCESS_WRITE, &io);
    if (status != NFS4_OK)
        return status;
    if (len > 0) {
        struct iovec iov = {(void *)(uintptr_t)data, len};
        status = nfs4_status(c, lares_files_write(c->files, &io, offset, &iov, 1, stable_of[stable], &done));
    }
    lares_files_io_end(&io);
    if (status == NFS4ERR_IO)
        nfs4_writes_lost(c->service);
    if (status != NFS4_OK)
        return status;
    nfs4_count_bytes(TRUE, done);
    lares_put_u32(c->out, (uint32_t)done);
    lares_put_u32(c->out, stable);
    nfs4_put_write_verifier(c->out, c->service);
    return NFS4_OK;
}
