/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* READ: large ones go from the page cache to the socket, others are read straight into the reply.
 *
 * Spec: RFC 7530 16.23, RFC 8881 18.22 */
#include "nfs4-io.h"
#include "nfs4-metrics.h"
#include "nfs4-ops.h"

/* Below this a copy is cheaper than the system calls around a file range. */
#define RANGE_MIN (16u * 1024u)

static void
release_file(gpointer file)
{
    lares_file_unref(file);
}

/* Tries to answer with a range of the file. FALSE: read it instead. */
static gboolean
add_range(Nfs4Compound *c, LaresIo *io, uint64_t offset, size_t want, uint32_t *status)
{
    int fd;
    size_t there;
    gboolean eof;
    *status = nfs4_status(c, lares_files_read_range(c->files, io, offset, want, &fd, &there, &eof));
    if (*status != NFS4_OK)
        return TRUE;
    if (fd < 0 || there < RANGE_MIN || nfs4_reply_left(c) < there + 16)
        return FALSE;
    lares_put_u32(c->out, eof != FALSE);
    lares_put_u32(c->out, (uint32_t)there);
    nfs4_count_bytes(FALSE, there);
    return lares_reply_add_range(c->reply, fd, offset, there, -there & 3, release_file, lares_file_ref(io->file));
}

/* 4.0 may answer less than asked; with a session the reply must not be larger than agreed (RFC 8881 2.10.6.4). */
static uint32_t
read_in(Nfs4Compound *c, LaresIo *io, uint64_t offset, size_t want)
{
    size_t at = c->out->len, done = 0;
    gboolean eof = FALSE;
    size_t left = nfs4_reply_left(c);
    if (left < 8)
        return nfs4_reply_room(c, 8);
    size_t take = MIN(want, (left - 8) & ~(size_t)3);
    lares_put_u32(c->out, 0);
    lares_put_u32(c->out, 0);
    uint8_t *space = lares_put_space(c->out, (take + 3) & ~(size_t)3);
    if (!space)
        return NFS4ERR_SERVERFAULT;
    LaresStatus status = lares_files_read(c->files, io, offset, space, take, &done, &eof);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    if (done == take && take < want && !eof && c->minor > 0)
        return nfs4_reply_room(c, 8 + want);
    memset(space + done, 0, -done & 3);
    lares_writer_rewind(c->out, at + 8 + ((done + 3) & ~(size_t)3));
    lares_patch_u32(c->out, at, eof != FALSE);
    lares_patch_u32(c->out, at + 4, (uint32_t)done);
    nfs4_count_bytes(FALSE, done);
    return NFS4_OK;
}

NFS4_OP(read)
{
    Nfs4Stateid stateid;
    LaresIo io;
    nfs4_get_stateid(c->in, &stateid);
    uint64_t offset = lares_get_u64(c->in);
    size_t want = lares_get_u32(c->in);
    want = MIN(want, c->service->settings.max_io);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_io_begin(c, &c->current, &stateid, LARES_ACCESS_READ, &io);
    if (status != NFS4_OK)
        return status;
    gboolean range = c->allow_ranges && !c->cachethis && want >= RANGE_MIN && offset <= INT64_MAX &&
                     c->reply->n_ranges < LARES_REPLY_MAX_RANGES;
    if (!range || !add_range(c, &io, offset, want, &status))
        status = read_in(c, &io, offset, want);
    lares_files_io_end(&io);
    return status;
}
