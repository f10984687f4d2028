/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last refused logins, in a table of fixed size: who floods the server with them only pushes out others.
 *
 * Thread: any. Locks: one, a leaf. */
#include "auth/refusals.h"

#include <string.h>

#define MAX_KEPT 64

static GMutex lock;
static LaresRefusal kept[MAX_KEPT]; /* the oldest first */
static guint n_kept;

static gboolean
is_same(const LaresRefusal *a, const LaresRefusal *b)
{
    return g_str_equal(a->client, b->client) && g_str_equal(a->protocol, b->protocol) &&
           g_str_equal(a->principal, b->principal) && g_str_equal(a->reason, b->reason);
}

void
lares_refusals_add(const char *client, const char *protocol, const char *principal, const char *reason)
{
    LaresRefusal one = {.last = g_get_real_time() / G_USEC_PER_SEC, .times = 1};
    guint i;
    g_strlcpy(one.client, client, sizeof one.client);
    g_strlcpy(one.protocol, protocol, sizeof one.protocol);
    g_strlcpy(one.principal, principal ? principal : "", sizeof one.principal);
    g_strlcpy(one.reason, reason ? reason : "", sizeof one.reason);
    g_mutex_lock(&lock);
    for (i = 0; i < n_kept && !is_same(&kept[i], &one); i++)
        ;
    if (i < n_kept)
        one.times += kept[i].times;
    else if (n_kept < MAX_KEPT)
        n_kept++;
    else
        i = 0;
    memmove(&kept[i], &kept[i + 1], (MAX_KEPT - 1 - i) * sizeof kept[0]);
    kept[n_kept - 1] = one;
    g_mutex_unlock(&lock);
}

GArray *
lares_refusals_list(void)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(LaresRefusal));
    g_mutex_lock(&lock);
    g_array_append_vals(list, kept, n_kept);
    g_mutex_unlock(&lock);
    return list;
}
