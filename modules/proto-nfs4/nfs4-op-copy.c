/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* COPY within this server: done when it is answered, as RFC 7862 4.3 lets a server choose.
 *
 * Spec: RFC 7862 15.2 */
#include "nfs4-io.h"
#include "nfs4-ops.h"

typedef struct {
    Nfs4Stateid from, to;
    uint64_t from_offset, to_offset, count;
    uint32_t n_servers;
} Args;

static gboolean
get_args(LaresReader *in, Args *a)
{
    nfs4_get_stateid(in, &a->from);
    nfs4_get_stateid(in, &a->to);
    a->from_offset = lares_get_u64(in);
    a->to_offset = lares_get_u64(in);
    a->count = lares_get_u64(in);
    lares_get_bool(in); /* consecutive: it always is */
    lares_get_bool(in); /* synchronous: it always is */
    a->n_servers = lares_get_u32(in);
    return !in->failed;
}

/* RFC 7862 15.2.3: a source beyond its end and an overlap within one file are invalid; 0 means to the end. */
static uint32_t
check_range(Nfs4Compound *c, Args *a)
{
    LaresAttrs attrs = {0};
    LaresStatus status = lares_files_getattr(c->files, &c->caller, &c->saved, LARES_ATTR_SIZE, &attrs, NULL);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    if (a->from_offset > attrs.size || a->from_offset + a->count < a->from_offset ||
        a->to_offset + a->count < a->to_offset)
        return NFS4ERR_INVAL;
    uint64_t there = attrs.size - a->from_offset;
    if (a->count == 0 || a->count > there)
        a->count = there;
    if (c->saved.node == c->current.node && a->from_offset < a->to_offset + a->count &&
        a->to_offset < a->from_offset + a->count)
        return NFS4ERR_INVAL;
    a->count = MIN(a->count, NFS4_MAX_COPY);
    return NFS4_OK;
}

static uint32_t
copy(Nfs4Compound *c, LaresIo *from, LaresIo *to, Args *a)
{
    uint64_t done = 0;
    uint32_t status = check_range(c, a);
    if (status == NFS4_OK && a->count > 0)
        status = nfs4_status(c, lares_files_copy(c->files, from, a->from_offset, to, a->to_offset, a->count, &done));
    if (status != NFS4_OK)
        return status;
    lares_put_u32(c->out, 0); /* no callback id: it is finished */
    lares_put_u64(c->out, done);
    lares_put_u32(c->out, UNSTABLE4);
    nfs4_put_write_verifier(c->out, c->service);
    lares_put_u32(c->out, 1);
    lares_put_u32(c->out, 1);
    return NFS4_OK;
}

NFS4_OP(copy)
{
    Args a;
    LaresIo from, to;
    if (!get_args(c->in, &a))
        return NFS4ERR_BADXDR;
    if (a.n_servers > 0)
        return NFS4ERR_NOTSUPP; /* from another server */
    uint32_t status = nfs4_io_begin(c, &c->saved, &a.from, LARES_ACCESS_READ, &from);
    if (status != NFS4_OK)
        return status;
    status = nfs4_io_begin(c, &c->current, &a.to, LARES_ACCESS_WRITE, &to);
    if (status == NFS4_OK) {
        status = copy(c, &from, &to, &a);
        lares_files_io_end(&to);
    }
    lares_files_io_end(&from);
    return status;
}
