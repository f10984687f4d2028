/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logins by protocol, flavor and what became of them.
 *
 * A login is rare beside the requests that follow it: one lock for all of it.
 *
 * Thread: any. Locks: a leaf. */
#include "auth/registry.h"

#include "metrics/metrics.h"

#define ROWS_MAX 128 /* protocols times flavors; what comes later is counted in the last one */

static const char *const classes[LARES_REFUSED_LAST] = {
    [LARES_REFUSED_OTHER] = "other",         [LARES_REFUSED_CREDENTIAL] = "credential",
    [LARES_REFUSED_EXPIRED] = "expired",     [LARES_REFUSED_REPLAY] = "replay",
    [LARES_REFUSED_CLOCK] = "clock",         [LARES_REFUSED_NO_KEY] = "no_key",
    [LARES_REFUSED_MALFORMED] = "malformed", [LARES_REFUSED_DISABLED] = "disabled",
    [LARES_REFUSED_NO_USER] = "no_user",     [LARES_REFUSED_POLICY] = "policy",
    [LARES_REFUSED_LIMIT] = "limit",         [LARES_REFUSED_UNAVAILABLE] = "unavailable",
};

typedef struct {
    char protocol[17], flavor[33];
    guint64 accepted;
    guint64 refused[LARES_REFUSED_LAST];
} Row;

static GMutex counting;
static Row rows[ROWS_MAX];
static guint n_rows;

/* The names of flavors are those of the registry, and the few words of the protocols for what is none of these. */
static const char *
flavor_word(const char *flavor)
{
    static const char *const others[] = {"spnego", "token", "peer", NULL};
    return flavor && (lares_flavor_by_name(flavor) || g_strv_contains(others, flavor)) ? flavor : "unknown";
}

/* Locked. */
static Row *
row_of(const char *protocol, const char *flavor)
{
    guint i = 0;
    while (i < n_rows && !(g_str_equal(rows[i].protocol, protocol) && g_str_equal(rows[i].flavor, flavor)))
        i++;
    if (i < n_rows)
        return &rows[i];
    if (n_rows == ROWS_MAX)
        return &rows[ROWS_MAX - 1];
    if (n_rows == ROWS_MAX - 1)
        protocol = flavor = "other";
    g_strlcpy(rows[i].protocol, protocol, sizeof rows[i].protocol);
    g_strlcpy(rows[i].flavor, flavor, sizeof rows[i].flavor);
    n_rows++;
    return &rows[i];
}

void
lares_auth_count_accepted(const char *flavor, const char *protocol)
{
    const char *word = flavor_word(flavor);
    g_mutex_lock(&counting);
    row_of(protocol, word)->accepted++;
    g_mutex_unlock(&counting);
}

void
lares_auth_count_refused(const char *flavor, const char *protocol, LaresRefused class_)
{
    const char *word = flavor_word(flavor);
    g_mutex_lock(&counting);
    row_of(protocol, word)->refused[class_ < LARES_REFUSED_LAST ? class_ : LARES_REFUSED_OTHER]++;
    g_mutex_unlock(&counting);
}

static guint64
all_refused(const Row *row)
{
    guint64 n = 0;
    for (guint i = 0; i < LARES_REFUSED_LAST; i++)
        n += row->refused[i];
    return n;
}

/* ---- For /metrics --------------------------------------------------------------------------------------------------
 */

static const LaresMetric attempts = {
    "lares_auth_attempts_total", LARES_METRIC_COUNTER, FALSE, "Logins that were judged.", {"protocol", "flavor"}};
static const LaresMetric successes = {
    "lares_auth_successes_total", LARES_METRIC_COUNTER, FALSE, "Logins that were accepted.", {"protocol", "flavor"}};
static const LaresMetric failures = {"lares_auth_failures_total",
                                     LARES_METRIC_COUNTER,
                                     FALSE,
                                     "Logins that were refused, by the class of the reason.",
                                     {"protocol", "flavor", "reason"}};
static const LaresMetric *const metrics[] = {&attempts, &successes, &failures, NULL};

static void
collect(LaresSamples *samples, gpointer user)
{
    g_mutex_lock(&counting);
    g_autofree Row *copy = g_memdup2(rows, sizeof rows);
    guint n = n_rows;
    g_mutex_unlock(&counting);
    for (guint i = 0; i < n; i++) {
        const char *values[] = {copy[i].protocol, copy[i].flavor, NULL};
        lares_samples_add(samples, &attempts, values, (double)(copy[i].accepted + all_refused(&copy[i])));
        lares_samples_add(samples, &successes, values, (double)copy[i].accepted);
        for (guint c = 0; c < LARES_REFUSED_LAST; c++) {
            values[2] = classes[c];
            if (copy[i].refused[c])
                lares_samples_add(samples, &failures, values, (double)copy[i].refused[c]);
        }
    }
}

gboolean
lares_auth_add_metrics(GError **error)
{
    return lares_metrics_collect(metrics, collect, NULL, error);
}
