/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lookout: a thread that looks every 2 ms, while requests run, whether one hangs whose connection nobody else reads
 * or sends on, and gives that connection to another worker. It does no work of a connection itself, so that workers
 * need not wake one another for it; without requests it sleeps.
 *
 * Thread: its own. Locks: its own for sleeping, the net's inside it; else the net's or a connection's. */
#include "net/net-private.h"

#include "base/thread.h"

#define LOOK_USEC 2000
#define CALM      5 /* looks without a request before it sleeps */

struct _LaresLookout {
    LaresNet *net;
    GThread *thread;
    gint awake; /* atomic */
    gboolean stop;
    GMutex lock;
    GCond changed;
    guint64 seen; /* requests done at the last look */
    guint next;   /* where the next look begins: more may hang than one look takes */
};

/* A request runs or has ended since the last look. */
static gboolean
is_busy(LaresLookout *self)
{
    LaresNet *net = self->net;
    gint working = (gint)__atomic_load_n(&net->n_workers, __ATOMIC_RELAXED) - g_atomic_int_get(&net->idle);
    LaresNetStatus status;
    lares_net_status(net, &status);
    gboolean busy = working > 0 || status.requests != self->seen;
    self->seen = status.requests;
    return busy;
}

/* Gives connections to others whose worker hangs in a request while nobody else would read on. */
static void
look(LaresLookout *self)
{
    LaresNet *net = self->net;
    LaresConnection *hanging[16];
    guint n = 0;
    gint64 now = lares_net_clock();
    g_mutex_lock(&net->lock);
    for (guint i = 0, len = net->workers->len; i < len && n < G_N_ELEMENTS(hanging); i++) {
        LaresWorker *w = net->workers->pdata[self->next++ % len];
        gint64 since = __atomic_load_n(&w->since, __ATOMIC_RELAXED);
        LaresConnection *c = __atomic_load_n(&w->current, __ATOMIC_ACQUIRE);
        if (c && since && now - since > LARES_NET_HANGS_NS)
            hanging[n++] = c; /* connections' memory stays: looking is always allowed */
    }
    g_mutex_unlock(&net->lock);
    for (guint i = 0; i < n; i++) {
        if (lares_connection_take_over(hanging[i])) {
            lares_net_push(hanging[i], TRUE);
            lares_connection_unref(hanging[i]);
        }
    }
}

/* lock held. FALSE: it is over. */
static gboolean
sleep_until_wanted(LaresLookout *self)
{
    g_atomic_int_set(&self->awake, 0);
    /* Who asked before that saw it awake. */
    while (!self->stop && !g_atomic_int_get(&self->awake) && !is_busy(self))
        g_cond_wait(&self->changed, &self->lock);
    g_atomic_int_set(&self->awake, 1);
    return !self->stop;
}

static gpointer
lookout_main(gpointer data)
{
    LaresLookout *self = data;
    g_mutex_lock(&self->lock);
    while (sleep_until_wanted(self)) {
        for (guint calm = 0; calm < CALM && !self->stop;) {
            gint64 until = g_get_monotonic_time() + LOOK_USEC;
            while (!self->stop && g_cond_wait_until(&self->changed, &self->lock, until))
                ;
            g_mutex_unlock(&self->lock);
            look(self);
            calm = is_busy(self) ? 0 : calm + 1;
            g_mutex_lock(&self->lock);
        }
    }
    g_mutex_unlock(&self->lock);
    return NULL;
}

void
lares_lookout_wanted(LaresNet *net)
{
    LaresLookout *self = net->lookout;
    if (G_LIKELY(g_atomic_int_get(&self->awake)) || !g_atomic_int_compare_and_exchange(&self->awake, 0, 1))
        return;
    g_mutex_lock(&self->lock);
    g_cond_signal(&self->changed);
    g_mutex_unlock(&self->lock);
}

LaresLookout *
lares_lookout_new(LaresNet *net, GError **error)
{
    LaresLookout *self = g_new0(LaresLookout, 1);
    self->net = net;
    g_mutex_init(&self->lock);
    g_cond_init(&self->changed);
    self->thread = lares_thread_new("lookout", lookout_main, self, error);
    if (self->thread)
        return self;
    lares_lookout_free(self);
    return NULL;
}

void
lares_lookout_free(LaresLookout *self)
{
    if (!self)
        return;
    if (self->thread) {
        g_mutex_lock(&self->lock);
        self->stop = TRUE;
        g_cond_signal(&self->changed);
        g_mutex_unlock(&self->lock);
        g_thread_join(self->thread);
    }
    g_cond_clear(&self->changed);
    g_mutex_clear(&self->lock);
    g_free(self);
}
