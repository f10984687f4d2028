/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of metrics: what it refuses, what it prints, and that no count is lost between threads. */
#include "metrics/metrics.h"

#include <string.h>

#define THREADS 90 /* more than there are slots */
#define ROUNDS  2000

static const LaresMetric things = {
    "lares_test_things_total", LARES_METRIC_COUNTER, FALSE, "Things; a \\ and\na new line.", {"kind", "name"}};
static const LaresMetric sparse = {"lares_test_rare_total", LARES_METRIC_COUNTER, TRUE, "Rare.", {"kind"}};
static const LaresMetric plain = {"lares_test_plain_total", LARES_METRIC_COUNTER, FALSE, "Plain.", {NULL}};
static const LaresMetric times = {"lares_test_seconds", LARES_METRIC_HISTOGRAM, FALSE, "Times.", {"kind"}};
static const LaresMetric level = {"lares_test_level", LARES_METRIC_GAUGE, FALSE, "Level.", {"kind"}};

static gboolean
prints(const char *line)
{
    g_autofree char *text = lares_metrics_text();
    g_autofree char *whole = g_strdup_printf("\n%s\n", line);
    g_autofree char *padded = g_strconcat("\n", text, NULL);
    return strstr(padded, whole) != NULL;
}

static gboolean
mentions(const char *word)
{
    g_autofree char *text = lares_metrics_text();
    return strstr(text, word) != NULL;
}

static void
refused(const LaresMetric *metric, const char *const *values, guint n, int code)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(lares_meter_new(metric, values, n, &error));
    g_assert_error(error, LARES_ERROR, code);
    g_assert_true(g_str_has_prefix(error->message, "metric "));
}

static void
test_refusals(void)
{
    static const char *const one[] = {"a"}, *const bad[] = {"\xff"}, *const two[] = {"a", NULL}, *const twice[] = {"b"};
#define BAD(...) refused(&(LaresMetric){__VA_ARGS__}, one, 1, LARES_ERROR_MODULE)
    BAD("other_things_total", LARES_METRIC_COUNTER, FALSE, "x", {"kind"});
    BAD("lares_Things_total", LARES_METRIC_COUNTER, FALSE, "x", {"kind"});
    BAD("lares_thi-ngs_total", LARES_METRIC_COUNTER, FALSE, "x", {"kind"});
    BAD(NULL, LARES_METRIC_COUNTER, FALSE, "x", {"kind"});
    BAD("lares_things", LARES_METRIC_COUNTER, FALSE, "x", {"kind"});
    BAD("lares_things_total", LARES_METRIC_HISTOGRAM, FALSE, "x", {"kind"});
    BAD("lares_things_total", LARES_METRIC_COUNTER, FALSE, "", {"kind"});
    BAD("lares_things_total", LARES_METRIC_COUNTER, FALSE, "x", {"le"});
    BAD("lares_things_total", LARES_METRIC_COUNTER, FALSE, "x", {"__name"});
    BAD("lares_things_total", LARES_METRIC_COUNTER, FALSE, "x", {"kind", "kind"});
    BAD("lares_level", LARES_METRIC_GAUGE, FALSE, "x", {"kind"});
    refused(&sparse, bad, 1, LARES_ERROR_MODULE);
    refused(&sparse, one, 0, LARES_ERROR_MODULE);
    refused(&sparse, NULL, 1, LARES_ERROR_MODULE);
    refused(&sparse, one, LARES_METRIC_MAX_SERIES + 1, LARES_ERROR_MODULE);
    refused(&things, two, 1, LARES_ERROR_MODULE); /* the second label has no value */
    refused(&plain, NULL, 2, LARES_ERROR_MODULE);
    g_assert_nonnull(lares_meter_new(&sparse, twice, 1, NULL));
    refused(&sparse, twice, 1, LARES_ERROR_EXISTS);
    refused(&(LaresMetric){"lares_test_rare_total", LARES_METRIC_COUNTER, TRUE, "Another.", {"kind"}}, one, 1,
            LARES_ERROR_EXISTS);
    refused(&(LaresMetric){"lares_test_rare", LARES_METRIC_HISTOGRAM, TRUE, "Rare.", {"kind"}}, one, 1,
            LARES_ERROR_EXISTS); /* but for its end, which other formats leave out, it is that one's name */
    g_assert_false(mentions("lares_things"));
}

static void
test_text(void)
{
    static const char *const values[] = {"a", "quote \" slash \\ line \n end", NULL, NULL, "b", "plain"};
    LaresMeter *meter = lares_meter_new(&things, values, 3, NULL);
    LaresMeter *bare = lares_meter_new(&plain, NULL, 1, NULL);
    g_assert_nonnull(meter);
    lares_meter_add(meter, 0, 2);
    lares_meter_add(meter, 0, 3);
    lares_meter_add(meter, 1, 7); /* has no values: never shown */
    lares_meter_add(meter, 3, 7); /* is not there */
    lares_meter_add(NULL, 0, 1);
    lares_meter_observe(meter, 0, 1); /* is no histogram */
    lares_meter_add(bare, 0, UINT64_C(1) << 60);
    g_assert_true(prints("# HELP lares_test_things_total Things; a \\\\ and\\na new line."));
    g_assert_true(prints("# TYPE lares_test_things_total counter"));
    g_assert_true(prints("lares_test_things_total{kind=\"a\",name=\"quote \\\" slash \\\\ line \\n end\"} 5"));
    g_assert_true(prints("lares_test_things_total{kind=\"b\",name=\"plain\"} 0"));
    g_assert_true(prints("lares_test_plain_total 1152921504606846976"));
    g_assert_false(mentions(" 7\n"));
    /* What never counted is left out of a sparse one, but its name is told. */
    static const char *const rare[] = {"never", "once"};
    LaresMeter *some = lares_meter_new(&sparse, rare, 2, NULL);
    lares_meter_add(some, 1, 1);
    g_assert_true(prints("# TYPE lares_test_rare_total counter"));
    g_assert_true(prints("lares_test_rare_total{kind=\"once\"} 1"));
    g_assert_false(mentions("never"));
    /* A series whose name comes later. */
    lares_meter_name(meter, 1, (const char *[]){"late", "one"});
    g_assert_true(prints("lares_test_things_total{kind=\"late\",name=\"one\"} 7"));
}

static void
test_histogram(void)
{
    static const char *const values[] = {"a"};
    LaresMeter *meter = lares_meter_new(&times, values, 1, NULL);
    lares_meter_observe(meter, 0, 0);
    lares_meter_observe(meter, 0, 25000);
    lares_meter_observe(meter, 0, 25001);
    lares_meter_observe(meter, 0, 1000000000);
    lares_meter_observe(meter, 0, UINT64_C(20000000000));
    g_assert_true(prints("# TYPE lares_test_seconds histogram"));
    g_assert_true(prints("lares_test_seconds_bucket{kind=\"a\",le=\"2.5e-05\"} 2"));
    g_assert_true(prints("lares_test_seconds_bucket{kind=\"a\",le=\"0.0001\"} 3"));
    g_assert_true(prints("lares_test_seconds_bucket{kind=\"a\",le=\"1\"} 4"));
    g_assert_true(prints("lares_test_seconds_bucket{kind=\"a\",le=\"10\"} 4"));
    g_assert_true(prints("lares_test_seconds_bucket{kind=\"a\",le=\"+Inf\"} 5"));
    g_assert_true(prints("lares_test_seconds_count{kind=\"a\"} 5"));
    g_assert_true(prints("lares_test_seconds_sum{kind=\"a\"} 21.000050001"));
}

static guint asked;

static void
collect(LaresSamples *samples, gpointer user)
{
    static const char *const kind = "x";
    asked++;
    lares_samples_add(samples, &level, &kind, -1.5);
    for (guint i = 0; i < GPOINTER_TO_UINT(user); i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);
        lares_samples_add(samples, &level, (const char *const *)&name, i);
    }
}

static void
test_collectors(void)
{
    static const LaresMetric *const metrics[] = {&level, NULL}, *const wrong[] = {&times, NULL};
    g_autoptr(GError) error = NULL;
    g_assert_false(lares_metrics_collect(wrong, collect, NULL, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_MODULE);
    LaresMetricsMark mark = lares_metrics_mark();
    g_assert_true(lares_metrics_collect(metrics, collect, GUINT_TO_POINTER(3), NULL));
    g_assert_true(prints("lares_test_level{kind=\"x\"} -1.5"));
    g_assert_true(prints("lares_test_level{kind=\"n2\"} 2"));
    /* What a load() that failed has left behind is not asked any more. */
    lares_metrics_forget(mark);
    guint before = asked;
    g_assert_false(mentions("lares_test_level"));
    g_assert_cmpuint(asked, ==, before);
    /* No collector prints without bound. */
    g_assert_true(lares_metrics_collect(metrics, collect, GUINT_TO_POINTER(5000), NULL));
    g_assert_true(mentions("kind=\"n1022\"}"));
    g_assert_false(mentions("kind=\"n1023\"}"));
    lares_metrics_forget(mark);
}

/* ---- Threads -------------------------------------------------------------------------------------------------------
 */

static LaresOperations *operations;
static gint ready; /* atomic */

static gpointer
count(gpointer data)
{
    g_atomic_int_inc(&ready);
    while (g_atomic_int_get(&ready) < THREADS) /* all at once, so that not all find a slot */
        g_thread_yield();
    for (guint i = 0; i < ROUNDS; i++) {
        lares_operations_count(operations, 1, LARES_OUTCOME_OK);
        lares_operations_count(operations, 2, (LaresOutcome)(i % LARES_OUTCOME_LAST));
        lares_operations_time(operations, 1, 1000);
    }
    return NULL;
}

static gboolean
prints_number(const char *series, guint64 n)
{
    g_autofree char *line = g_strdup_printf("%s %" G_GUINT64_FORMAT, series, n);
    return prints(line);
}

static void
test_threads(void)
{
    static const char *const names[] = {NULL, "ONE", "TWO"};
    GThread *threads[THREADS];
    operations = lares_operations_new("test", names, 3, NULL);
    g_assert_nonnull(operations);
    g_assert_null(lares_operations_new("test", names, 3, NULL));
    for (guint turn = 1; turn <= 2; turn++) { /* the second time in cells that others have left */
        g_atomic_int_set(&ready, 0);
        for (guint i = 0; i < THREADS; i++)
            threads[i] = g_thread_new("count", count, NULL);
        while (g_atomic_int_get(&ready) < THREADS)
            g_assert_true(mentions("lares_operations_total")); /* reading does not stop them */
        for (guint i = 0; i < THREADS; i++)
            g_thread_join(threads[i]);
        guint64 all = (guint64)turn * THREADS * ROUNDS;
#define OPERATION(name, outcome)                                                                                       \
    "lares_operations_total{protocol=\"test\",operation=\"" name "\",outcome=\"" outcome "\"}"
        g_assert_true(prints_number(OPERATION("ONE", "ok"), all));
        g_assert_true(prints_number(OPERATION("TWO", "ok"), all / 5));
        g_assert_true(prints_number(OPERATION("TWO", "server"), all / 5));
        g_assert_true(prints_number("lares_request_duration_seconds_count{protocol=\"test\",operation=\"ONE\"}", all));
        g_assert_true(prints_number(
            "lares_request_duration_seconds_bucket{protocol=\"test\",operation=\"ONE\",le=\"2.5e-05\"}", all));
    }
    g_assert_false(mentions("operation=\"TWO\",le=")); /* nobody told its time */
}

static void
test_outcomes(void)
{
    g_assert_cmpint(lares_outcome(LARES_OK), ==, LARES_OUTCOME_OK);
    g_assert_cmpint(lares_outcome(LARES_NOENT), ==, LARES_OUTCOME_CLIENT);
    g_assert_cmpint(lares_outcome(LARES_WRONGSEC), ==, LARES_OUTCOME_DENIED);
    g_assert_cmpint(lares_outcome(LARES_SHARE_DENIED), ==, LARES_OUTCOME_BUSY);
    g_assert_cmpint(lares_outcome(LARES_NOSPC), ==, LARES_OUTCOME_SERVER);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metrics/refusals", test_refusals);
    g_test_add_func("/metrics/text", test_text);
    g_test_add_func("/metrics/histogram", test_histogram);
    g_test_add_func("/metrics/collectors", test_collectors);
    g_test_add_func("/metrics/threads", test_threads);
    g_test_add_func("/metrics/outcomes", test_outcomes);
    return g_test_run();
}
