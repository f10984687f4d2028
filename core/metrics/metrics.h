/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of metrics as the daemon and the rooms of the core see it.
 *
 * Thread: main, except lares_meter_add() and its like. */
#pragma once

#include <lares/metrics.h>

G_BEGIN_DECLS

/* Everything in Prometheus' text format 0.0.4; new. */
char *lares_metrics_text(void);
#define LARES_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Where the registry is now, and back to there: what was made since is forgotten (not freed: it may still count). */
typedef struct {
    guint meters, collectors;
} LaresMetricsMark;
LaresMetricsMark lares_metrics_mark(void);
void lares_metrics_forget(LaresMetricsMark mark);

/* Gives a series that had no values its own, later. */
void lares_meter_name(LaresMeter *meter, guint series, const char *const *values);

G_END_DECLS
