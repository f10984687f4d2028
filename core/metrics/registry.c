/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which metrics there are: what is registered is checked here, once, so that what is printed is right.
 *
 * Spec: https://prometheus.io/docs/concepts/data_model, https://prometheus.io/docs/practices/naming
 * Thread: main. */
#include "metrics/metrics-private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_METERS     256
#define MAX_COLLECTORS 64
#define LINE           8 /* cells of a cache line */

GPtrArray *lares_meters;
GArray *lares_collectors;

static gboolean
refuse(GError **error, LaresError code, const LaresMetric *metric, const char *why)
{
    g_set_error(error, LARES_ERROR, code, "metric %s: %s", metric->name ? metric->name : "(no name)", why);
    return FALSE;
}

guint
lares_metric_labels(const LaresMetric *metric)
{
    guint n = 0;
    while (n < LARES_METRIC_MAX_LABELS && metric->labels[n])
        n++;
    return n;
}

static gboolean
is_word(const char *text)
{
    return text && g_ascii_islower(text[0]) && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/* Why a metric cannot be; NULL when it can. */
static const char *
fault_of(const LaresMetric *metric)
{
    if (!is_word(metric->name) || !g_str_has_prefix(metric->name, "lares_"))
        return "a name is \"lares_\" with lower case letters, digits and '_' behind it";
    if ((metric->kind == LARES_METRIC_COUNTER) != g_str_has_suffix(metric->name, "_total"))
        return "names of counters, and no others, end in \"_total\"";
    if (!metric->help || !*metric->help)
        return "it has no help";
    if (metric->kind > LARES_METRIC_HISTOGRAM)
        return "it is of no known kind";
    for (guint i = 0; i < lares_metric_labels(metric); i++) {
        if (!is_word(metric->labels[i]) || g_str_has_prefix(metric->labels[i], "__") ||
            g_str_equal(metric->labels[i], "le"))
            return "a label's name is lower case letters, digits and '_', and not \"le\"";
        for (guint j = 0; j < i; j++)
            if (g_str_equal(metric->labels[i], metric->labels[j]))
                return "two of its labels have one name";
    }
    return NULL;
}

static gboolean
is_same(const LaresMetric *a, const LaresMetric *b)
{
    guint n = lares_metric_labels(a);
    gboolean same = a->kind == b->kind && g_str_equal(a->help, b->help) && lares_metric_labels(b) == n;
    for (guint i = 0; same && i < n; i++)
        same = g_str_equal(a->labels[i], b->labels[i]);
    return same;
}

/* Other formats have the same name for a counter and for what it counts without "_total". */
static gboolean
share_a_name(const LaresMetric *a, const LaresMetric *b)
{
    size_t n = strlen(a->name), m = strlen(b->name);
    n -= g_str_has_suffix(a->name, "_total") ? strlen("_total") : 0;
    m -= g_str_has_suffix(b->name, "_total") ? strlen("_total") : 0;
    return n == m && memcmp(a->name, b->name, n) == 0;
}

/* A metric of this name that says something else. */
static gboolean
contradicts(const LaresMetric *metric)
{
    for (guint i = 0; lares_meters && i < lares_meters->len; i++) {
        const LaresMetric *other = ((LaresMeter *)lares_meters->pdata[i])->metric;
        if (share_a_name(other, metric) && !is_same(other, metric))
            return TRUE;
    }
    for (guint i = 0; lares_collectors && i < lares_collectors->len; i++)
        for (const LaresMetric *const *m = g_array_index(lares_collectors, LaresCollector, i).metrics; *m; m++)
            if (share_a_name(*m, metric) && !is_same(*m, metric))
                return TRUE;
    return FALSE;
}

static gboolean
check_metric(const LaresMetric *metric, GError **error)
{
    const char *fault = fault_of(metric);
    if (fault)
        return refuse(error, LARES_ERROR_MODULE, metric, fault);
    if (contradicts(metric))
        return refuse(error, LARES_ERROR_EXISTS, metric,
                      "there is another one of this name, which says something else");
    return TRUE;
}

/* ---- Meters --------------------------------------------------------------------------------------------------------
 */

gboolean
lares_meter_has_values(const LaresMeter *meter, guint series)
{
    return meter->n_labels == 0 || meter->values[(size_t)series * meter->n_labels];
}

static gboolean
has_series(const LaresMetric *metric, const char *const *values, guint n_labels)
{
    for (guint i = 0; lares_meters && i < lares_meters->len; i++) {
        const LaresMeter *meter = lares_meters->pdata[i];
        if (!g_str_equal(meter->metric->name, metric->name))
            continue;
        for (guint s = 0; s < meter->n_series; s++) {
            gboolean same = lares_meter_has_values(meter, s);
            for (guint l = 0; same && l < n_labels; l++)
                same = g_str_equal(meter->values[(size_t)s * n_labels + l], values[l]);
            if (same)
                return TRUE;
        }
    }
    return FALSE;
}

static gboolean
check_series(const LaresMetric *metric, const char *const *values, guint n, GError **error)
{
    guint n_labels = lares_metric_labels(metric);
    if (metric->kind == LARES_METRIC_GAUGE)
        return refuse(error, LARES_ERROR_MODULE, metric, "a gauge is asked for (lares_metrics_collect), not counted");
    if (n == 0 || n > LARES_METRIC_MAX_SERIES || (n_labels == 0 && n != 1) || (n_labels > 0 && !values))
        return refuse(error, LARES_ERROR_MODULE, metric, "its number of series is not allowed");
    if (lares_meters && lares_meters->len >= MAX_METERS)
        return refuse(error, LARES_ERROR_MODULE, metric, "there are too many meters");
    for (guint s = 0; s < n; s++) {
        const char *const *own = values ? values + (size_t)s * n_labels : NULL;
        if (n_labels && !own[0])
            continue;
        for (guint l = 0; l < n_labels; l++)
            if (!own[l] || !g_utf8_validate(own[l], -1, NULL))
                return refuse(error, LARES_ERROR_MODULE, metric, "a label's value is missing, or no UTF-8");
        if (has_series(metric, own, n_labels))
            return refuse(error, LARES_ERROR_EXISTS, metric, "somebody counts the same already");
    }
    return TRUE;
}

LaresMeter *
lares_meter_new(const LaresMetric *metric, const char *const *values, guint n, GError **error)
{
    if (!check_metric(metric, error) || !check_series(metric, values, n, error))
        return NULL;
    guint n_labels = lares_metric_labels(metric),
          width = metric->kind == LARES_METRIC_HISTOGRAM ? LARES_HISTOGRAM_CELLS : 1;
    size_t stride = ((size_t)n * width + LINE - 1) / LINE * LINE;
    void *cells = mmap(NULL, stride * LARES_METER_SLOTS * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (cells == MAP_FAILED) {
        refuse(error, LARES_ERROR_FAILED, metric, g_strerror(errno));
        return NULL;
    }
    LaresMeter *meter = g_new(LaresMeter, 1);
    *meter = (LaresMeter){metric, n, n_labels, width, stride, cells, g_new0(char *, (size_t)n *n_labels + 1)};
    for (size_t i = 0; i < (size_t)n * n_labels; i++)
        meter->values[i] = g_strdup(values[i]);
    if (!lares_meters)
        lares_meters = g_ptr_array_new();
    g_ptr_array_add(lares_meters, meter);
    return meter;
}

void
lares_meter_name(LaresMeter *meter, guint series, const char *const *values)
{
    g_return_if_fail(series < meter->n_series && !lares_meter_has_values(meter, series));
    for (guint l = 0; l < meter->n_labels; l++)
        meter->values[(size_t)series * meter->n_labels + l] = g_utf8_make_valid(values[l], -1);
}

/* ---- Collectors ----------------------------------------------------------------------------------------------------
 */

gboolean
lares_metrics_collect(const LaresMetric *const *metrics, LaresCollectFunc collect, gpointer user, GError **error)
{
    LaresCollector collector = {metrics, collect, user};
    for (const LaresMetric *const *m = metrics; *m; m++) {
        if ((*m)->kind == LARES_METRIC_HISTOGRAM)
            return refuse(error, LARES_ERROR_MODULE, *m, "a histogram is counted (lares_meter_new), not asked for");
        if (!check_metric(*m, error))
            return FALSE;
        if (lares_collectors && lares_collectors->len >= MAX_COLLECTORS)
            return refuse(error, LARES_ERROR_MODULE, *m, "there are too many collectors");
    }
    if (!lares_collectors)
        lares_collectors = g_array_new(FALSE, FALSE, sizeof(LaresCollector));
    g_array_append_val(lares_collectors, collector);
    return TRUE;
}

/* ---- A load() that fails -------------------------------------------------------------------------------------------
 */

LaresMetricsMark
lares_metrics_mark(void)
{
    return (LaresMetricsMark){lares_meters ? lares_meters->len : 0, lares_collectors ? lares_collectors->len : 0};
}

void
lares_metrics_forget(LaresMetricsMark mark)
{
    if (lares_meters && lares_meters->len > mark.meters)
        g_ptr_array_set_size(lares_meters, (gint)mark.meters);
    if (lares_collectors && lares_collectors->len > mark.collectors)
        g_array_set_size(lares_collectors, mark.collectors);
}
