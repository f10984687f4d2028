/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the server counts, as Prometheus reads it (GET /metrics, verb `metrics`); docs/metrics.md lists all of it.
 *
 * A metric is constant data: a name, a kind, the names of its labels. A meter is a fixed number of its series, whose
 * label values are told once, when it is made: whoever counts names a series by its index, so that nothing is looked
 * up, hashed, locked or allocated. Each thread counts in cells of its own; they are added up when somebody reads them.
 * What is a state rather than a count (a gauge) is asked for at that moment (lares_metrics_collect).
 *
 * Names have the form "lares_…", base units (seconds, bytes) at their end, and "_total" behind those for counters only.
 * Several modules may have series of one metric; they must say the same of it. Label values come from tables, never
 * from a peer: there are bounds on series, and what is over them is refused or left out.
 *
 * Thread: metrics, meters and collectors are made in the main thread, in load(), and stay for the life of the process;
 * those of a load() that fails are forgotten. Counting from any thread. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

typedef enum { LARES_METRIC_COUNTER, LARES_METRIC_GAUGE, LARES_METRIC_HISTOGRAM } LaresMetricKind;

#define LARES_METRIC_MAX_LABELS  4
#define LARES_METRIC_MAX_SERIES  4096 /* of one meter */
#define LARES_METRIC_MAX_SAMPLES 1024 /* of one gauge of one collector */

typedef struct {
    const char *name; /* "lares_example_logins_total" */
    LaresMetricKind kind;
    gboolean sparse;                             /* series that never counted anything are left out */
    const char *help;                            /* one line */
    const char *labels[LARES_METRIC_MAX_LABELS]; /* their names; NULL behind the last */
} LaresMetric;

typedef struct _LaresMeter LaresMeter;

/* `n` series of a counter or histogram. `values`: their label values, series after series, as many for each as the
 * metric has labels (copied); a series whose first value is NULL is never shown. NULL when the metric has no labels and
 * `n` is 1. LARES_ERROR_MODULE: something about it is not allowed; LARES_ERROR_EXISTS: somebody has such a series. */
LARES_API LaresMeter *lares_meter_new(const LaresMetric *metric, const char *const *values, guint n, GError **error);
/* A counter. A meter that is NULL and a series that is not there count nothing. */
LARES_API void lares_meter_add(LaresMeter *meter, guint series, uint64_t n);
/* A histogram of durations. */
LARES_API void lares_meter_observe(LaresMeter *meter, guint series, uint64_t nanoseconds);

/* ---- What is asked for when somebody reads ------------------------------------------------------------------------
 */

typedef struct _LaresSamples LaresSamples;
/* Main thread. */
typedef void (*LaresCollectFunc)(LaresSamples *samples, gpointer user);

/* `metrics` (ended by NULL) are the ones that `collect` adds samples of: gauges, or counters that are kept elsewhere.
 */
LARES_API gboolean lares_metrics_collect(const LaresMetric *const *metrics, LaresCollectFunc collect, gpointer user,
                                         GError **error);
/* `values`: one for each label (copied); NULL where there is none. */
LARES_API void lares_samples_add(LaresSamples *samples, const LaresMetric *metric, const char *const *values,
                                 double value);

/* ---- Operations of a protocol -------------------------------------------------------------------------------------
 */

/* What became of an operation. */
typedef enum {
    LARES_OUTCOME_OK,
    LARES_OUTCOME_CLIENT, /* what was asked for cannot be: no such file, bad arguments */
    LARES_OUTCOME_DENIED, /* the caller may not */
    LARES_OUTCOME_BUSY,   /* somebody else is in the way, or it is too early: later it may work */
    LARES_OUTCOME_SERVER, /* the server or its storage failed, or has no room */
    LARES_OUTCOME_LAST
} LaresOutcome;
/* The usual class of a status; a protocol may know better. */
LARES_API LaresOutcome lares_outcome(LaresStatus status);

typedef struct _LaresOperations LaresOperations;
/* Series of lares_operations_total and lares_request_duration_seconds for the operations `names` (NULL: not one) of a
 * protocol ("nfs4"), which are numbered by their places. */
LARES_API LaresOperations *lares_operations_new(const char *protocol, const char *const *names, guint n,
                                                GError **error);
LARES_API void lares_operations_count(LaresOperations *operations, guint operation, LaresOutcome outcome);
/* One request, under the name of what it was about. A service on the data plane leaves this to its workers and says so
 * in LaresRequest.operations. */
LARES_API void lares_operations_time(LaresOperations *operations, guint operation, uint64_t nanoseconds);

/* ---- What every protocol may have series of; label "protocol" first ---------------------------------------------- */

LARES_API extern const LaresMetric lares_metric_sessions;          /* gauge */
LARES_API extern const LaresMetric lares_metric_connections;       /* gauge; of data-plane services by core/net */
LARES_API extern const LaresMetric lares_metric_file_bytes;        /* counter; "direction": "read", "written" */
LARES_API extern const LaresMetric lares_metric_network_bytes;     /* counter; "direction": "received", "sent" */
LARES_API extern const LaresMetric lares_metric_contexts;          /* gauge: security contexts that are kept */
LARES_API extern const LaresMetric lares_metric_context_evictions; /* counter */
LARES_API extern const LaresMetric lares_metric_ticket_expiry;     /* gauge: wall-clock second of the soonest */

G_END_DECLS
