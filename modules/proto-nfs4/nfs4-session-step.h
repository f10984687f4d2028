/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The step of one slot, pure: see the table in nfs4-session.c. */
#pragma once

#include <glib.h>
#include <stdint.h>

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
