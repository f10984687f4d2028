/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sweeps streams whose files are gone, now and then, in a thread of its own.
 *
 * Thread: start and stop in the main thread. */
#include "files/files-private.h"

#include "base/thread.h"

#include <lares/log.h>

#define FIRST_SECONDS (10 * 60)
#define EVERY_SECONDS (6 * 60 * 60)
#define GRACE_SECONDS (30 * 24 * 60 * 60) /* a file that was moved away may come back */

struct _LaresSweeper {
    LaresShares *shares;
    GThread *thread;
    GMutex lock;
    GCond wake;
    gint stop; /* atomic */
};

static void
sweep_all(LaresSweeper *sweeper)
{
    g_autoptr(GPtrArray) shares = lares_shares_list(sweeper->shares);
    for (guint i = 0; i < shares->len && !g_atomic_int_get(&sweeper->stop); i++) {
        const LaresShare *share = shares->pdata[i];
        if (!share->store || share->read_only)
            continue;
        guint n =
            lares_files_streams_sweep(share->store, g_get_real_time() / G_USEC_PER_SEC, GRACE_SECONDS, &sweeper->stop);
        if (n)
            lares_info("files", "share %s: removed the streams of %u files that are gone", share->name, n);
    }
}

static gpointer
run(gpointer data)
{
    LaresSweeper *sweeper = data;
    gint64 next = g_get_monotonic_time() + (gint64)FIRST_SECONDS * G_USEC_PER_SEC;
    g_mutex_lock(&sweeper->lock);
    while (!g_atomic_int_get(&sweeper->stop)) {
        if (g_cond_wait_until(&sweeper->wake, &sweeper->lock, next))
            continue;
        g_mutex_unlock(&sweeper->lock);
        sweep_all(sweeper);
        next = g_get_monotonic_time() + (gint64)EVERY_SECONDS * G_USEC_PER_SEC;
        g_mutex_lock(&sweeper->lock);
    }
    g_mutex_unlock(&sweeper->lock);
    return NULL;
}

LaresSweeper *
lares_sweeper_start(LaresShares *shares)
{
    LaresSweeper *sweeper = g_new0(LaresSweeper, 1);
    sweeper->shares = shares;
    g_mutex_init(&sweeper->lock);
    g_cond_init(&sweeper->wake);
    sweeper->thread = lares_thread_new("sweep", run, sweeper, NULL);
    return sweeper;
}

void
lares_sweeper_stop(LaresSweeper *sweeper)
{
    if (!sweeper)
        return;
    g_mutex_lock(&sweeper->lock);
    g_atomic_int_set(&sweeper->stop, 1);
    g_cond_signal(&sweeper->wake);
    g_mutex_unlock(&sweeper->lock);
    g_thread_join(sweeper->thread);
    g_mutex_clear(&sweeper->lock);
    g_cond_clear(&sweeper->wake);
    g_free(sweeper);
}
