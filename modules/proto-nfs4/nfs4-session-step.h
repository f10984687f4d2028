/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The step of one slot, pure: see the table in nfs4-session.c. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

typedef enum { NFS4_SLOT_RUN, NFS4_SLOT_RETRY, NFS4_SLOT_BUSY, NFS4_SLOT_MISORDERED } Nfs4SlotStep;

static inline Nfs4SlotStep
nfs4_slot_step(gboolean busy, uint32_t last, uint32_t seqid)
{
    if (busy)
        return seqid == last ? NFS4_SLOT_BUSY : NFS4_SLOT_MISORDERED;
    if (seqid == last + 1)
        return NFS4_SLOT_RUN;
    return seqid == last ? NFS4_SLOT_RETRY : NFS4_SLOT_MISORDERED;
}

/* Bytes of a request that tell it from another one: its operations and their names stand in front. */
#define NFS4_DIGEST_BYTES 256u

/* A cheap digest, to tell a false retry (RFC 8881 2.10.6.1.3.1). No secret depends on it. */
static inline uint64_t
nfs4_digest(uint64_t seed, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t h = (seed ^ len) * UINT64_C(0x9e3779b97f4a7c15);
    for (len = MIN(len, NFS4_DIGEST_BYTES); len > 0;) {
        uint64_t word = 0;
        size_t n = MIN(len, sizeof word);
        memcpy(&word, bytes, n);
        h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
        bytes += n;
        len -= n;
    }
    return h;
}
