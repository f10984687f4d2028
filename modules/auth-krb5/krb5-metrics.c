/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the module counts: the keytab in use, how old it is, and how reading it anew goes.
 *
 * Thread: main. */
#include "krb5-provider.h"

#include <lares/metrics.h>
#include <string.h>

#define MAX_PRINCIPALS 64

static const LaresMetric loaded = {"lares_keytab_loaded_timestamp_seconds",
                                   LARES_METRIC_GAUGE,
                                   FALSE,
                                   "When the keys in use were read from the keytab.",
                                   {NULL}};
static const LaresMetric keys = {"lares_keytab_keys", LARES_METRIC_GAUGE, FALSE, "Keys in use.", {NULL}};
static const LaresMetric kvno = {"lares_keytab_key_version",
                                 LARES_METRIC_GAUGE,
                                 FALSE,
                                 "The newest version of a service principal's key.",
                                 {"principal"}};
static const LaresMetric reloads = {"lares_keytab_reloads_total",
                                    LARES_METRIC_COUNTER,
                                    FALSE,
                                    "How often new keys were taken from the keytab.",
                                    {NULL}};
static const LaresMetric failures = {"lares_keytab_reload_failures_total",
                                     LARES_METRIC_COUNTER,
                                     FALSE,
                                     "How often the keytab could not be read.",
                                     {NULL}};
static const LaresMetric contexts = {
    "lares_kerberos_contexts", LARES_METRIC_GAUGE, FALSE, "Security contexts with tickets that are in use.", {NULL}};
static const LaresMetric replays = {"lares_kerberos_replay_cache_entries",
                                    LARES_METRIC_GAUGE,
                                    FALSE,
                                    "Authenticators that are remembered so that they work once only.",
                                    {NULL}};
static const LaresMetric *const metrics[] = {&loaded, &keys, &kvno, &reloads, &failures, &contexts, &replays, NULL};

/* The newest key of each principal; the entries of one need not stand together. */
static void
collect_versions(const Krb5Keytab *keytab, LaresSamples *samples)
{
    guint n = 0;
    for (guint i = 0; i < keytab->entries->len && n < MAX_PRINCIPALS; i++) {
        const Krb5KeytabEntry *entry = keytab->entries->pdata[i];
        const char *principal = entry->principal;
        gboolean told = FALSE;
        guint newest = entry->kvno;
        for (guint j = 0; j < keytab->entries->len; j++) {
            const Krb5KeytabEntry *other = keytab->entries->pdata[j];
            if (strcmp(other->principal, principal) != 0)
                continue;
            told |= j < i;
            newest = MAX(newest, other->kvno);
        }
        if (!told) {
            lares_samples_add(samples, &kvno, &principal, newest);
            n++;
        }
    }
}

static void
collect(LaresSamples *samples, gpointer user)
{
    Krb5Counts counts;
    g_autoptr(Krb5Keytab) keytab = lares_krb5_provider_look(user, &counts);
    lares_samples_add(samples, &reloads, NULL, counts.reloads);
    lares_samples_add(samples, &failures, NULL, counts.failures);
    lares_samples_add(samples, &contexts, NULL, counts.contexts);
    lares_samples_add(samples, &replays, NULL, counts.replays);
    lares_samples_add(samples, &keys, NULL, keytab != NULL ? keytab->entries->len : 0);
    if (keytab == NULL)
        return;
    lares_samples_add(samples, &loaded, NULL, (double)keytab->loaded);
    collect_versions(keytab, samples);
}

gboolean
lares_krb5_provider_add_metrics(LaresKrb5Provider *provider, GError **error)
{
    return lares_metrics_collect(metrics, collect, provider, error);
}
