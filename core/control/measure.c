/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verb `metrics`, and what the server as a whole tells there.
 *
 * Thread: main. */
#include "control/control-private.h"

#include "base/log.h"
#include "metrics/metrics.h"
#include "module/host-private.h"

#include <lares-config.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const LaresMetric build_info = {
    "lares_build_info", LARES_METRIC_GAUGE, FALSE, "1, with the version of the server.", {"version", "abi"}};
static const LaresMetric uptime = {
    "lares_uptime_seconds", LARES_METRIC_GAUGE, FALSE, "How long the server has been running.", {NULL}};
static const LaresMetric memory = {
    "lares_memory_resident_bytes", LARES_METRIC_GAUGE, FALSE, "Memory of the process.", {NULL}};
static const LaresMetric cpu = {
    "lares_cpu_seconds_total", LARES_METRIC_COUNTER, FALSE, "Processor time of the process.", {NULL}};
static const LaresMetric modules = {"lares_module_up",
                                    LARES_METRIC_GAUGE,
                                    FALSE,
                                    "1 for each module that is loaded, 0 for one that should be and is not.",
                                    {"module"}};
static const LaresMetric protocols = {"lares_protocol_up",
                                      LARES_METRIC_GAUGE,
                                      FALSE,
                                      "1 for each protocol that is served, 0 for one that should be and is not.",
                                      {"protocol"}};
static const LaresMetric shares = {
    "lares_shares", LARES_METRIC_GAUGE, FALSE, "Shares by what clients can do with them.", {"state"}};
static const LaresMetric messages = {
    "lares_log_messages_total", LARES_METRIC_COUNTER, FALSE, "Lines of the log about errors and warnings.", {"level"}};
static const LaresMetric *const metrics[] = {&build_info, &uptime, &memory,   &cpu, &modules,
                                             &protocols,  &shares, &messages, NULL};

gint64
lares_control_resident_bytes(void)
{
    g_autofree char *statm = NULL;
    if (!g_file_get_contents("/proc/self/statm", &statm, NULL, NULL))
        return 0;
    const char *second = strchr(statm, ' ');
    return second ? g_ascii_strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE) : 0;
}

static void
collect_process(LaresHost *host, LaresSamples *samples)
{
    g_autofree char *abi = g_strdup_printf("%d.%d", LARES_ABI_MAJOR, LARES_ABI_MINOR);
    struct timespec used = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    lares_samples_add(samples, &build_info, (const char *[]){LARES_VERSION, abi}, 1);
    lares_samples_add(samples, &uptime, NULL, (double)(g_get_monotonic_time() - host->started) / G_USEC_PER_SEC);
    lares_samples_add(samples, &memory, NULL, (double)lares_control_resident_bytes());
    lares_samples_add(samples, &cpu, NULL, (double)used.tv_sec + (double)used.tv_nsec / 1e9);
}

static void
collect_modules(LaresHost *host, LaresSamples *samples)
{
    for (guint i = 0; i < host->modules->len; i++) {
        const LaresHostModule *m = host->modules->pdata[i];
        const char *name = m->name;
        if (m->state == LARES_MODULE_LOADED || m->reason)
            lares_samples_add(samples, &modules, &name, m->state == LARES_MODULE_LOADED && !m->reason);
        for (guint j = 0; m->protocols && j < m->protocols->len; j++) {
            const LaresHostProtocol *p = m->protocols->pdata[j];
            const char *protocol = lares_protocol_get_name(p->protocol);
            if (p->running || p->reason)
                lares_samples_add(samples, &protocols, &protocol, p->running);
        }
    }
}

static void
collect_shares(LaresHost *host, LaresSamples *samples)
{
    static const char *const states[] = {"available", "unavailable", "disabled"};
    g_autoptr(GPtrArray) all = lares_shares_list(host->shares);
    guint n[3] = {0};
    for (guint i = 0; i < all->len; i++) {
        LaresShare *share = all->pdata[i];
        n[!share->enabled ? 2 : share->store ? 0 : 1]++;
    }
    for (guint i = 0; i < 3; i++)
        lares_samples_add(samples, &shares, &states[i], n[i]);
}

static void
collect(LaresSamples *samples, gpointer user)
{
    static const char *const levels[] = {[LARES_LOG_ERROR] = "error", [LARES_LOG_WARNING] = "warning"};
    LaresHost *host = user;
    collect_process(host, samples);
    collect_modules(host, samples);
    collect_shares(host, samples);
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++)
        lares_samples_add(samples, &messages, &levels[i], (double)lares_log_count((LaresLogLevel)i));
}

static GVariant *
do_metrics(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    GVariantDict d;
    g_autofree char *text = lares_metrics_text();
    g_variant_dict_init(&d, NULL);
    g_variant_dict_insert(&d, "type", "s", LARES_METRICS_TYPE);
    g_variant_dict_insert(&d, "text", "s", text);
    return g_variant_dict_end(&d);
}

static const LaresVerb verbs[] = {
    {"metrics", LARES_RIGHT_READ, "What the server counts, in Prometheus' text format.", NULL, do_metrics}, {NULL}};

gboolean
lares_control_add_measure(LaresControl *control, GError **error)
{
    return lares_control_add(control, verbs, NULL, error) &&
           lares_metrics_collect(metrics, collect, control->host, error);
}
