/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of core/metrics. */
#pragma once

#include "metrics/metrics.h"

G_BEGIN_DECLS

/* Threads with cells of their own; those that come when all are taken share the first. */
#define LARES_METER_SLOTS 65
/* Upper bounds of a histogram's buckets; the last has none. */
#define LARES_HISTOGRAM_BOUNDS 12
#define LARES_HISTOGRAM_CELLS  (LARES_HISTOGRAM_BOUNDS + 2)           /* buckets, the one without a bound, the sum */
extern const uint64_t lares_histogram_bounds[LARES_HISTOGRAM_BOUNDS]; /* nanoseconds */

struct _LaresMeter {
    const LaresMetric *metric;
    guint n_series, n_labels;
    guint width;     /* cells of a series */
    size_t stride;   /* cells of a slot, whole cache lines */
    uint64_t *cells; /* of all slots; pages that nobody counted in take no memory */
    char **values;   /* n_series * n_labels; main thread */
};

/* The sum over all threads. */
uint64_t lares_meter_read(const LaresMeter *meter, guint series, guint cell);
gboolean lares_meter_has_values(const LaresMeter *meter, guint series);

typedef struct {
    const LaresMetric *const *metrics;
    LaresCollectFunc collect;
    gpointer user;
} LaresCollector;

extern GPtrArray *lares_meters;  /* of LaresMeter; NULL before the first */
extern GArray *lares_collectors; /* of LaresCollector; likewise */
guint lares_metric_labels(const LaresMetric *metric);

G_END_DECLS
