/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the module counts: operations, durations of requests, bytes, sessions and security contexts.
 *
 * Thread: registering main, counting any. */
#pragma once

#include "nfs4-compound.h"

/* NULL before nfs4_metrics_register(): then nothing is counted. */
extern LaresOperations *nfs4_operations;
extern LaresMeter *nfs4_bytes;
extern LaresMeter *nfs4_evictions;

/* Places in nfs4_operations of what has no number of its own; the others stand at their numbers. */
#define NFS4_COUNT_ILLEGAL 0u
#define NFS4_COUNT_NULL    1u
#define NFS4_COUNT_NOTHING G_MAXUINT

/* In load(), once. `*service` is NULL while the protocol is stopped. */
gboolean nfs4_metrics_register(Nfs4Service *const *service, GError **error);

LaresOutcome nfs4_outcome(uint32_t status);

/* An operation is over. What the COMPOUND is about is the first operation that does more than to find the object. */
static inline void
nfs4_count_op(Nfs4Compound *c, uint32_t op, uint32_t status)
{
    guint place = op <= OP_LAST ? op : NFS4_COUNT_ILLEGAL;
    guint weight = op == OP_SEQUENCE || op == OP_PUTFH || op == OP_PUTROOTFH || op == OP_PUTPUBFH || op == OP_SAVEFH ||
                           op == OP_RESTOREFH
                       ? 1
                   : op == OP_GETFH   ? 2
                   : op == OP_GETATTR ? 3
                                      : 4;
    lares_operations_count(nfs4_operations, place, status == NFS4_OK ? LARES_OUTCOME_OK : nfs4_outcome(status));
    if (weight > c->about_weight) {
        c->about = place;
        c->about_weight = weight;
    }
}

static inline void
nfs4_count_bytes(gboolean written, uint64_t n)
{
    lares_meter_add(nfs4_bytes, written ? 1 : 0, n);
}
