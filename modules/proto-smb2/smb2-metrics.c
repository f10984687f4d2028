/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See smb2-metrics.h. */
#include "smb2-metrics.h"
#include "smb2-session.h"

LaresOperations *smb2_operations;
LaresMeter *smb2_bytes;

static const LaresMetric *const collected[] = {&lares_metric_sessions, &lares_metric_ticket_expiry, NULL};

LaresOutcome
smb2_outcome(uint32_t status)
{
    switch (status) {
    case STATUS_SUCCESS:
    case STATUS_NOTIFY_CLEANUP:
    case STATUS_NOTIFY_ENUM_DIR:
    case STATUS_BUFFER_OVERFLOW: /* there is more */
    case STATUS_NO_MORE_FILES:
    case STATUS_END_OF_FILE:
    case STATUS_MORE_PROCESSING_REQUIRED:
    case STATUS_CANCELLED: /* as the client wished */
        return LARES_OUTCOME_OK;
    case STATUS_ACCESS_DENIED:
    case STATUS_LOGON_FAILURE:
    case STATUS_WRONG_PASSWORD:
    case STATUS_ACCOUNT_DISABLED:
    case STATUS_PRIVILEGE_NOT_HELD:
    case STATUS_NETWORK_ACCESS_DENIED:
    case STATUS_MEDIA_WRITE_PROTECTED:
    case STATUS_INVALID_OWNER:
        return LARES_OUTCOME_DENIED;
    case STATUS_SHARING_VIOLATION:
    case STATUS_FILE_LOCK_CONFLICT:
    case STATUS_LOCK_NOT_GRANTED:
    case STATUS_DELETE_PENDING:
    case STATUS_CANNOT_DELETE:
    case STATUS_PIPE_BUSY:
    case STATUS_REQUEST_NOT_ACCEPTED:
        return LARES_OUTCOME_BUSY;
    case STATUS_UNSUCCESSFUL:
    case STATUS_DISK_FULL:
    case STATUS_INSUFFICIENT_RESOURCES:
    case STATUS_INTERNAL_ERROR:
    case STATUS_UNEXPECTED_IO_ERROR:
    case STATUS_IO_DEVICE_ERROR:
    case STATUS_IO_TIMEOUT:
        return LARES_OUTCOME_SERVER;
    default:
        return LARES_OUTCOME_CLIENT;
    }
}

/* A session keeps no security context behind its keys, but it ends with the ticket all the same. */
static void
collect(LaresSamples *samples, gpointer user)
{
    static const char *const name = "smb2";
    Smb2Service *service = *(Smb2Service *const *)user;
    guint sessions;
    if (!service)
        return;
    gint64 soonest = smb2_sessions_look(service, &sessions);
    lares_samples_add(samples, &lares_metric_sessions, &name, sessions);
    if (soonest != INT64_MAX)
        lares_samples_add(samples, &lares_metric_ticket_expiry, &name, (double)soonest);
}

gboolean
smb2_metrics_register(Smb2Service *const *service, GError **error)
{
    static const char *const bytes[] = {"smb2", "read", "smb2", "written"};
    const char *names[SMB2_N_COMMANDS + 1];
    for (guint i = 0; i < SMB2_N_COMMANDS; i++)
        names[i] = smb2_commands[i].name;
    names[SMB2_N_COMMANDS] = "UNKNOWN";
    smb2_operations = lares_operations_new("smb2", names, SMB2_N_COMMANDS + 1, error);
    if (smb2_operations)
        smb2_bytes = lares_meter_new(&lares_metric_file_bytes, bytes, 2, error);
    return smb2_bytes && lares_metrics_collect(collected, collect, (gpointer)service, error);
}
