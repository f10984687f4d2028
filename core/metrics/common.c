/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The metrics that several protocols share: operations by outcome, durations of requests, and what they keep. */
#include "metrics/metrics-private.h"

const LaresMetric lares_metric_sessions = {"lares_sessions",
                                           LARES_METRIC_GAUGE,
                                           FALSE,
                                           "Clients that are logged in, as session.list shows them.",
                                           {"protocol"}};
const LaresMetric lares_metric_connections = {
    "lares_connections", LARES_METRIC_GAUGE, FALSE, "Connections that are open.", {"protocol"}};
const LaresMetric lares_metric_file_bytes = {"lares_file_bytes_total",
                                             LARES_METRIC_COUNTER,
                                             FALSE,
                                             "Bytes of files that clients have read and written.",
                                             {"protocol", "direction"}};
const LaresMetric lares_metric_network_bytes = {"lares_network_bytes_total",
                                                LARES_METRIC_COUNTER,
                                                FALSE,
                                                "Bytes that came from and went to the network.",
                                                {"protocol", "direction"}};
const LaresMetric lares_metric_contexts = {
    "lares_security_contexts", LARES_METRIC_GAUGE, FALSE, "Established security contexts that are kept.", {"protocol"}};
const LaresMetric lares_metric_context_evictions = {"lares_security_context_evictions_total",
                                                    LARES_METRIC_COUNTER,
                                                    FALSE,
                                                    "Security contexts that had to make room for others.",
                                                    {"protocol"}};
const LaresMetric lares_metric_ticket_expiry = {"lares_ticket_expiry_timestamp_seconds",
                                                LARES_METRIC_GAUGE,
                                                FALSE,
                                                "When the first of the tickets that are in use ends.",
                                                {"protocol"}};

static const LaresMetric operations_total = {"lares_operations_total",
                                             LARES_METRIC_COUNTER,
                                             TRUE,
                                             "Operations by what became of them.",
                                             {"protocol", "operation", "outcome"}};
static const LaresMetric request_duration = {
    "lares_request_duration_seconds",
    LARES_METRIC_HISTOGRAM,
    TRUE,
    "Time from a request to its reply, under the name of the operation that it was about.",
    {"protocol", "operation"}};

static const char *const outcomes[LARES_OUTCOME_LAST] = {"ok", "client", "denied", "busy", "server"};

struct _LaresOperations {
    guint n;
    LaresMeter *count; /* operation after operation, each with all outcomes */
    LaresMeter *time;
};

LaresOutcome
lares_outcome(LaresStatus status)
{
    switch (status) {
    case LARES_OK:
    case LARES_SAME:
        return LARES_OUTCOME_OK;
    case LARES_PERM:
    case LARES_ACCESS:
    case LARES_ROFS:
    case LARES_WRONGSEC:
        return LARES_OUTCOME_DENIED;
    case LARES_DELAY:
    case LARES_DENIED:
    case LARES_LOCKED:
    case LARES_SHARE_DENIED:
    case LARES_GRACE:
    case LARES_FILE_OPEN:
    case LARES_TXTBSY:
    case LARES_LOCKS_HELD:
    case LARES_DELETE_PENDING:
        return LARES_OUTCOME_BUSY;
    case LARES_IO:
    case LARES_NOSPC:
    case LARES_DQUOT:
    case LARES_SERVERFAULT:
    case LARES_TOO_MANY:
        return LARES_OUTCOME_SERVER;
    default:
        return LARES_OUTCOME_CLIENT;
    }
}

LaresOperations *
lares_operations_new(const char *protocol, const char *const *names, guint n, GError **error)
{
    g_autofree const char **count = g_new0(const char *, 3 * (size_t)n * LARES_OUTCOME_LAST);
    g_autofree const char **time = g_new0(const char *, 2 * (size_t)n);
    LaresMetricsMark mark = lares_metrics_mark();
    for (guint i = 0; i < n; i++) {
        if (!names[i])
            continue;
        time[2 * i] = protocol;
        time[2 * i + 1] = names[i];
        for (guint o = 0; o < LARES_OUTCOME_LAST; o++) {
            const char **at = count + 3 * ((size_t)i * LARES_OUTCOME_LAST + o);
            at[0] = protocol;
            at[1] = names[i];
            at[2] = outcomes[o];
        }
    }
    LaresOperations operations = {n, lares_meter_new(&operations_total, count, n * LARES_OUTCOME_LAST, error), NULL};
    if (operations.count)
        operations.time = lares_meter_new(&request_duration, time, n, error);
    if (operations.time)
        return g_memdup2(&operations, sizeof operations);
    lares_metrics_forget(mark);
    return NULL;
}

void
lares_operations_count(LaresOperations *operations, guint operation, LaresOutcome outcome)
{
    if (operations && operation < operations->n && outcome < LARES_OUTCOME_LAST)
        lares_meter_add(operations->count, operation * LARES_OUTCOME_LAST + outcome, 1);
}

void
lares_operations_time(LaresOperations *operations, guint operation, uint64_t nanoseconds)
{
    if (operations)
        lares_meter_observe(operations->time, operation, nanoseconds);
}
