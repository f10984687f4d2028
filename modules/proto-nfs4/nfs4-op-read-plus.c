/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* READ_PLUS: a READ whose holes are only described.
 *
 * Spec: RFC 7862 15.10 */
#include "nfs4-io.h"
#include "nfs4-metrics.h"
#include "nfs4-ops.h"

/* Segments of one answer; behind them a client asks again. */
#define MAX_SEGMENTS 32u
#define DATA_HEADER  16u
#define HOLE_SIZE    20u

typedef struct {
    Nfs4Compound *c;
    LaresIo *io;
    uint64_t at, end; /* of the file, still to be described */
    uint64_t size;
    uint32_t segments;
} Plus;

static uint32_t
put_hole(Plus *p, uint64_t until)
{
    LaresWriter *out = p->c->out;
    uint32_t status = nfs4_reply_room(p->c, HOLE_SIZE);
    if (status != NFS4_OK)
        return status;
    lares_put_u32(out, NFS4_CONTENT_HOLE);
    lares_put_u64(out, p->at);
    lares_put_u64(out, until - p->at);
    p->at = until;
    p->segments++;
    return NFS4_OK;
}

static uint32_t
put_data(Plus *p, uint64_t until)
{
    LaresWriter *out = p->c->out;
    size_t want = (size_t)(until - p->at), done = 0;
    gboolean eof;
    size_t left = nfs4_reply_left(p->c);
    if (left < DATA_HEADER + want + 3)
        return nfs4_reply_room(p->c, DATA_HEADER + want + 3);
    size_t start = out->len;
    lares_put_u32(out, NFS4_CONTENT_DATA);
    lares_put_u64(out, p->at);
    lares_put_u32(out, 0);
    uint8_t *space = lares_put_space(out, (want + 3) & ~(size_t)3);
    if (!space)
        return NFS4ERR_SERVERFAULT;
    LaresStatus status = lares_files_read(p->c->files, p->io, p->at, space, want, &done, &eof);
    if (status != LARES_OK)
        return nfs4_status(p->c, status);
    memset(space + done, 0, -done & 3);
    lares_writer_rewind(out, start + DATA_HEADER + ((done + 3) & ~(size_t)3));
    lares_patch_u32(out, start + 12, (uint32_t)done);
    p->segments++;
    p->at += done;
    nfs4_count_bytes(FALSE, done);
    if (done < want) /* it was truncated meanwhile */
        p->size = p->end = p->at;
    return NFS4_OK;
}

/* The end of the data that begins at p->at, or the end of the hole when *hole. */
static uint64_t
next_boundary(Plus *p, gboolean *hole)
{
    uint64_t found;
    gboolean eof;
    *hole = FALSE;
    LaresStatus status = lares_files_seek(p->c->files, p->io, LARES_SEEK_DATA, p->at, &found, &eof);
    if (status == LARES_OK && eof)
        found = p->end;
    if (status == LARES_OK && found > p->at) {
        *hole = TRUE;
        return MIN(found, p->end);
    }
    if (status == LARES_OK && p->segments + 1 < MAX_SEGMENTS)
        status = lares_files_seek(p->c->files, p->io, LARES_SEEK_HOLE, p->at, &found, &eof);
    return status == LARES_OK && found > p->at ? MIN(found, p->end) : p->end;
}

static uint32_t
put_contents(Plus *p)
{
    uint32_t status = NFS4_OK;
    while (status == NFS4_OK && p->at < p->end && p->segments < MAX_SEGMENTS) {
        gboolean hole;
        uint64_t until = next_boundary(p, &hole);
        status = hole ? put_hole(p, until) : put_data(p, until);
    }
    return status;
}

static uint32_t
read_plus(Nfs4Compound *c, LaresIo *io, uint64_t offset, uint32_t count)
{
    LaresAttrs attrs = {0};
    LaresStatus status = lares_files_getattr(c->files, &c->caller, &c->current, LARES_ATTR_SIZE, &attrs, NULL);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    uint64_t want = MIN(count, c->service->settings.max_io);
    Plus p = {.c = c, .io = io, .at = offset, .size = attrs.size};
    p.end = offset >= p.size ? offset : MIN(p.size, offset + want);
    size_t start = c->out->len;
    lares_put_u32(c->out, 0);
    lares_put_u32(c->out, 0);
    uint32_t error = put_contents(&p);
    lares_patch_u32(c->out, start, p.at >= p.size);
    lares_patch_u32(c->out, start + 4, p.segments);
    return error;
}

NFS4_OP(read_plus)
{
    Nfs4Stateid stateid;
    LaresIo io;
    nfs4_get_stateid(c->in, &stateid);
    uint64_t offset = lares_get_u64(c->in);
    uint32_t count = lares_get_u32(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_io_begin(c, &c->current, &stateid, LARES_ACCESS_READ, &io);
    if (status != NFS4_OK)
        return status;
    status = read_plus(c, &io, offset, count);
    lares_files_io_end(&io);
    return status;
}
