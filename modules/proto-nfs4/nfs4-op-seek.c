/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SEEK: the next data or hole.
 *
 * Spec: RFC 7862 15.11 */
#include "nfs4-io.h"
#include "nfs4-ops.h"

NFS4_OP(seek)
{
    Nfs4Stateid stateid;
    LaresIo io;
    uint64_t found = 0;
    gboolean eof = FALSE;
    nfs4_get_stateid(c->in, &stateid);
    uint64_t offset = lares_get_u64(c->in);
    uint32_t what = lares_get_u32(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_io_begin(c, &c->current, &stateid, LARES_ACCESS_READ, &io);
    if (status != NFS4_OK)
        return status;
    if (what > NFS4_CONTENT_HOLE)
        status = NFS4ERR_UNION_NOTSUPP;
    else
        status = nfs4_status(c, lares_files_seek(c->files, &io,
                                                 what == NFS4_CONTENT_DATA ? LARES_SEEK_DATA : LARES_SEEK_HOLE, offset,
                                                 &found, &eof));
    lares_files_io_end(&io);
    if (status != NFS4_OK)
        return status;
    lares_put_u32(c->out, eof != FALSE);
    lares_put_u64(c->out, found);
    return NFS4_OK;
}
