/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See nfs4-metrics.h. */
#include "nfs4-metrics.h"
#include "nfs4-gss.h"
#include "nfs4-state.h"

LaresOperations *nfs4_operations;
LaresMeter *nfs4_bytes;
LaresMeter *nfs4_evictions;

static const LaresMetric *const collected[] = {&lares_metric_sessions, &lares_metric_contexts,
                                               &lares_metric_ticket_expiry, NULL};

LaresOutcome
nfs4_outcome(uint32_t status)
{
    switch (status) {
    case NFS4_OK:
    case NFS4ERR_SAME: /* what VERIFY and NVERIFY are there for */
    case NFS4ERR_NOT_SAME:
        return LARES_OUTCOME_OK;
    case NFS4ERR_PERM:
    case NFS4ERR_ACCESS:
    case NFS4ERR_ROFS:
    case NFS4ERR_WRONGSEC:
    case NFS4ERR_WRONG_CRED:
        return LARES_OUTCOME_DENIED;
    case NFS4ERR_DELAY:
    case NFS4ERR_GRACE:
    case NFS4ERR_LOCKED:
    case NFS4ERR_DENIED:
    case NFS4ERR_SHARE_DENIED:
    case NFS4ERR_FILE_OPEN:
    case NFS4ERR_LOCKS_HELD:
        return LARES_OUTCOME_BUSY;
    case NFS4ERR_IO:
    case NFS4ERR_NOSPC:
    case NFS4ERR_DQUOT:
    case NFS4ERR_SERVERFAULT:
    case NFS4ERR_RESOURCE:
        return LARES_OUTCOME_SERVER;
    default:
        return LARES_OUTCOME_CLIENT;
    }
}

static void
collect(LaresSamples *samples, gpointer user)
{
    static const char *const name = "nfs4";
    Nfs4Service *service = *(Nfs4Service *const *)user;
    if (!service)
        return;
    guint n;
    gint64 soonest = nfs4_gss_table_look(service->gss, &n);
    lares_samples_add(samples, &lares_metric_sessions, &name, nfs4_state_count_clients(service->state));
    lares_samples_add(samples, &lares_metric_contexts, &name, n);
    if (soonest != INT64_MAX)
        lares_samples_add(samples, &lares_metric_ticket_expiry, &name, (double)soonest);
}

gboolean
nfs4_metrics_register(Nfs4Service *const *service, GError **error)
{
    static const char *const bytes[] = {"nfs4", "read", "nfs4", "written"};
    static const char *const self = "nfs4";
    const char *names[OP_LAST + 1] = {[NFS4_COUNT_ILLEGAL] = "ILLEGAL", [NFS4_COUNT_NULL] = "NULL"};
    for (guint op = OP_ACCESS; op <= OP_LAST; op++)
        names[op] = nfs4_ops[op].name;
    nfs4_operations = lares_operations_new("nfs4", names, OP_LAST + 1, error);
    if (nfs4_operations)
        nfs4_bytes = lares_meter_new(&lares_metric_file_bytes, bytes, 2, error);
    if (nfs4_bytes)
        nfs4_evictions = lares_meter_new(&lares_metric_context_evictions, &self, 1, error);
    return nfs4_evictions && lares_metrics_collect(collected, collect, (gpointer)service, error);
}
