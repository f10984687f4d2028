/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the data plane counts: connections and bytes of each service, and how busy the workers are.
 *
 * Thread: as said per function. */
#include "net/net-private.h"

#include "metrics/metrics.h"

#define SERVICES   16        /* the last is for all that come later */
#define BLOCKED_NS 100000000 /* a worker in one request for so long waits for something */

static const LaresMetric connections_total = {
    "lares_connections_accepted_total", LARES_METRIC_COUNTER, FALSE, "Connections that were accepted.", {"protocol"}};
static const LaresMetric workers = {
    "lares_workers", LARES_METRIC_GAUGE, FALSE, "Worker threads by what they do.", {"state"}};
static const LaresMetric memory = {"lares_peer_memory_bytes",
                                   LARES_METRIC_GAUGE,
                                   FALSE,
                                   "What half requests and unread replies of peers take.",
                                   {NULL}};
static const LaresMetric *const collected[] = {&lares_metric_connections, &workers, &memory, NULL};

/* Main thread. */
static const char *names[SERVICES];
static LaresMeter *bytes, *accepted;

guint
lares_net_service_place(const char *name)
{
    guint i = 0;
    while (i + 1 < SERVICES && names[i] && !g_str_equal(names[i], name))
        i++;
    if (names[i])
        return i;
    names[i] = i + 1 < SERVICES ? g_intern_string(name) : "other";
    if (bytes) {
        lares_meter_name(bytes, 2 * i, (const char *[]){names[i], "received"});
        lares_meter_name(bytes, 2 * i + 1, (const char *[]){names[i], "sent"});
    }
    if (accepted)
        lares_meter_name(accepted, i, &names[i]);
    return i;
}

/* Any thread. */
void
lares_net_count_bytes(const LaresListener *listener, gboolean sent, uint64_t n)
{
    lares_meter_add(bytes, 2 * listener->counted + (sent ? 1 : 0), n);
}

/* Any thread. */
void
lares_net_count_connection(const LaresListener *listener)
{
    lares_meter_add(accepted, listener->counted, 1);
}

/* ---- States --------------------------------------------------------------------------------------------------------
 */

static void
collect_connections(LaresNet *net, LaresSamples *samples)
{
    guint n[SERVICES] = {0};
    g_mutex_lock(&net->lock);
    for (const LaresListener *l = net->listeners; l; l = l->next)
        n[l->counted] += l->connections.length;
    g_mutex_unlock(&net->lock);
    for (guint i = 0; i < SERVICES && names[i]; i++)
        lares_samples_add(samples, &lares_metric_connections, &names[i], n[i]);
}

static void
collect_workers(LaresNet *net, LaresSamples *samples)
{
    static const char *const states[] = {"idle", "busy", "blocked"};
    guint total, blocked = 0, idle = (guint)MAX(g_atomic_int_get(&net->idle), 0);
    gint64 now = lares_net_clock();
    g_mutex_lock(&net->lock);
    total = net->n_workers;
    for (guint i = 0; i < net->workers->len; i++) {
        gint64 since = __atomic_load_n(&((LaresWorker *)net->workers->pdata[i])->since, __ATOMIC_RELAXED);
        blocked += since && now - since > BLOCKED_NS;
    }
    g_mutex_unlock(&net->lock);
    idle = MIN(idle, total);
    blocked = MIN(blocked, total - idle);
    lares_samples_add(samples, &workers, &states[0], idle);
    lares_samples_add(samples, &workers, &states[1], total - idle - blocked);
    lares_samples_add(samples, &workers, &states[2], blocked);
}

static void
collect(LaresSamples *samples, gpointer host)
{
    LaresNet *net = lares_host_net(host);
    if (!net)
        return;
    collect_connections(net, samples);
    collect_workers(net, samples);
    lares_samples_add(samples, &memory, NULL, (double)__atomic_load_n(&net->memory, __ATOMIC_RELAXED));
}

gboolean
lares_net_add_metrics(LaresHost *host, GError **error)
{
    static const char *nobody[2 * 2 * SERVICES];
    bytes = lares_meter_new(&lares_metric_network_bytes, nobody, 2 * SERVICES, error);
    accepted = bytes ? lares_meter_new(&connections_total, nobody, SERVICES, error) : NULL;
    return accepted && lares_metrics_collect(collected, collect, host, error);
}
