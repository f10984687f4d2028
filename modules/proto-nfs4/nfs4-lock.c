/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What LOCK, LOCKT and LOCKU share. */
#include "nfs4-lock.h"

gboolean
nfs4_get_lock_type(LaresReader *in, gboolean *write)
{
    uint32_t type = lares_get_u32(in);
    *write = type == WRITE_LT || type == WRITEW_LT;
    if (type < READ_LT || type > WRITEW_LT)
        in->failed = TRUE;
    return !in->failed;
}

uint32_t
nfs4_check_range(uint64_t start, uint64_t length)
{
    if (length == 0 || (length != UINT64_MAX && length > UINT64_MAX - start))
        return NFS4ERR_INVAL;
    return NFS4_OK;
}

uint32_t
nfs4_lock_status(const Nfs4Compound *c, LaresStatus status)
{
    if (status == LARES_BAD_RANGE) /* RFC 7530 16.10.4: a range past 2^64 is no range at all */
        return NFS4ERR_INVAL;
    return nfs4_status(c, status);
}

void
nfs4_put_denied(Nfs4Compound *c, const LaresLockConflict *conflict, GBytes *owner)
{
    gsize len;
    const uint8_t *name = g_bytes_get_data(owner, &len);
    lares_put_u64(c->out, conflict->range.start);
    lares_put_u64(c->out, conflict->range.length);
    lares_put_u32(c->out, conflict->range.write ? WRITE_LT : READ_LT);
    lares_put_u64(c->out, conflict->client);
    lares_put_opaque(c->out, name, len);
    c->keep_body = TRUE;
}
