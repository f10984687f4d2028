/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All metrics in Prometheus' text format.
 *
 * Spec: https://prometheus.io/docs/instrumenting/exposition_formats (version 0.0.4)
 * Thread: main. */
#include "metrics/metrics-private.h"

#include <inttypes.h>
#include <lares/log.h>
#include <math.h>
#include <string.h>

/* What is printed of one metric: its samples, in the order in which they came. */
typedef struct {
    const LaresMetric *metric;
    GString *lines;
} Family;

struct _LaresSamples {
    GPtrArray *families; /* of Family */
    const LaresCollector *collector;
    guint n; /* samples of the collector so far */
};

static void
family_free(gpointer data)
{
    Family *family = data;
    g_string_free(family->lines, TRUE);
    g_free(family);
}

static Family *
family_of(GPtrArray *families, const LaresMetric *metric)
{
    for (guint i = 0; i < families->len; i++) {
        Family *family = families->pdata[i];
        if (g_str_equal(family->metric->name, metric->name))
            return family;
    }
    Family *family = g_new(Family, 1);
    *family = (Family){metric, g_string_new(NULL)};
    g_ptr_array_add(families, family);
    return family;
}

/* ---- Words ---------------------------------------------------------------------------------------------------------
 */

static void
put_escaped(GString *out, const char *text, gboolean quotes)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            g_string_append(out, "\\n");
        else if (*p == '\\' || (quotes && *p == '"'))
            g_string_append_printf(out, "\\%c", *p);
        else
            g_string_append_c(out, *p);
    }
}

/* "{a="x",le="0.1"}", or nothing. */
static void
put_labels(GString *out, const LaresMetric *metric, const char *const *values, const char *le)
{
    guint n = lares_metric_labels(metric);
    if (n == 0 && !le)
        return;
    g_string_append_c(out, '{');
    for (guint i = 0; i < n; i++) {
        g_autofree char *valid = g_utf8_make_valid(values[i], -1);
        g_string_append_printf(out, "%s%s=\"", i ? "," : "", metric->labels[i]);
        put_escaped(out, valid, TRUE);
        g_string_append_c(out, '"');
    }
    if (le)
        g_string_append_printf(out, "%sle=\"%s\"", n ? "," : "", le);
    g_string_append_c(out, '}');
}

static void
put_value(GString *out, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    if (isnan(value))
        g_string_append(out, " NaN\n");
    else if (isinf(value))
        g_string_append(out, value > 0 ? " +Inf\n" : " -Inf\n");
    else
        g_string_append_printf(out, " %s\n", g_ascii_formatd(text, sizeof text, "%.17g", value));
}

static const char *
seconds(char text[G_ASCII_DTOSTR_BUF_SIZE], uint64_t nanoseconds)
{
    return g_ascii_formatd(text, G_ASCII_DTOSTR_BUF_SIZE, "%.9g", (double)nanoseconds / 1e9);
}

/* ---- Samples -------------------------------------------------------------------------------------------------------
 */

static void
put_histogram(GString *out, const LaresMeter *meter, guint series, const char *const *values)
{
    const char *name = meter->metric->name;
    uint64_t count = 0;
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    for (guint i = 0; i <= LARES_HISTOGRAM_BOUNDS; i++) {
        count += lares_meter_read(meter, series, i);
        g_string_append_printf(out, "%s_bucket", name);
        put_labels(out, meter->metric, values,
                   i < LARES_HISTOGRAM_BOUNDS ? seconds(text, lares_histogram_bounds[i]) : "+Inf");
        g_string_append_printf(out, " %" PRIu64 "\n", count);
    }
    g_string_append_printf(out, "%s_sum", name);
    put_labels(out, meter->metric, values, NULL);
    uint64_t sum = lares_meter_read(meter, series, LARES_HISTOGRAM_CELLS - 1);
    g_string_append_printf(out, " %" PRIu64 ".%09" PRIu64 "\n", sum / 1000000000, sum % 1000000000);
    g_string_append_printf(out, "%s_count", name);
    put_labels(out, meter->metric, values, NULL);
    g_string_append_printf(out, " %" PRIu64 "\n", count);
}

static gboolean
has_counted(const LaresMeter *meter, guint series)
{
    for (guint i = 0; i < meter->width; i++)
        if (lares_meter_read(meter, series, i))
            return TRUE;
    return FALSE;
}

static void
put_meter(GString *out, const LaresMeter *meter)
{
    for (guint s = 0; s < meter->n_series; s++) {
        const char *const *values = (const char *const *)meter->values + (size_t)s * meter->n_labels;
        if (!lares_meter_has_values(meter, s) || (meter->metric->sparse && !has_counted(meter, s)))
            continue;
        if (meter->width > 1) {
            put_histogram(out, meter, s, values);
            continue;
        }
        g_string_append(out, meter->metric->name);
        put_labels(out, meter->metric, values, NULL);
        g_string_append_printf(out, " %" PRIu64 "\n", lares_meter_read(meter, s, 0));
    }
}

void
lares_samples_add(LaresSamples *samples, const LaresMetric *metric, const char *const *values, double value)
{
    const LaresMetric *const *known = samples->collector->metrics;
    while (*known && *known != metric)
        known++;
    g_return_if_fail(*known != NULL);
    if (samples->n++ >= LARES_METRIC_MAX_SAMPLES) {
        lares_log_limited(LARES_LOG_WARNING, "metrics", "%s has more than %d samples; the rest is left out",
                          metric->name, LARES_METRIC_MAX_SAMPLES);
        return;
    }
    GString *out = family_of(samples->families, metric)->lines;
    g_string_append(out, metric->name);
    put_labels(out, metric, values, NULL);
    put_value(out, value);
}

/* ---- All of it -----------------------------------------------------------------------------------------------------
 */

static gint
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(Family *const *)a)->metric->name, (*(Family *const *)b)->metric->name);
}

static void
take_collectors(GPtrArray *families)
{
    for (guint i = 0; lares_collectors && i < lares_collectors->len; i++) {
        const LaresCollector *collector = &g_array_index(lares_collectors, LaresCollector, i);
        LaresSamples samples = {families, collector, 0};
        for (const LaresMetric *const *m = collector->metrics; *m; m++)
            family_of(families, *m);
        collector->collect(&samples, collector->user);
    }
}

char *
lares_metrics_text(void)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    g_autoptr(GPtrArray) families = g_ptr_array_new_with_free_func(family_free);
    GString *out = g_string_new(NULL);
    for (guint i = 0; lares_meters && i < lares_meters->len; i++) {
        const LaresMeter *meter = lares_meters->pdata[i];
        put_meter(family_of(families, meter->metric)->lines, meter);
    }
    take_collectors(families);
    g_ptr_array_sort(families, by_name);
    for (guint i = 0; i < families->len; i++) {
        const Family *family = families->pdata[i];
        g_string_append_printf(out, "# HELP %s ", family->metric->name);
        put_escaped(out, family->metric->help, FALSE);
        g_string_append_printf(out, "\n# TYPE %s %s\n", family->metric->name, kinds[family->metric->kind]);
        g_string_append_len(out, family->lines->str, (gssize)family->lines->len);
    }
    return g_string_free(out, FALSE);
}
