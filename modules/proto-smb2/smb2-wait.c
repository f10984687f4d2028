/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for the core: a command parks until a file's opens, locks or leases change.
 *
 * Locks: Waiter.lock is an innermost one. Whoever sets `over` ends the wait: the core's call, or the cancellation. */
#include "smb2-open.h"

typedef struct {
    gint ref; /* atomic: the parked command's, the core's wait */
    GMutex lock;
    gboolean over;
    Smb2Parked *parked; /* the reference of smb2_park(); whoever ends the wait gives it back */
    LaresWait *wait;    /* NULL before it is known here */
    LaresOpen *open;    /* a reference or NULL */
    uint32_t when_closed;
} Waiter;

static void
waiter_unref(gpointer data)
{
    Waiter *w = data;
    if (!g_atomic_int_dec_and_test(&w->ref))
        return;
    if (w->open)
        lares_open_unref(w->open);
    g_mutex_clear(&w->lock);
    g_free(w);
}

/* FALSE: it was over already. */
static gboolean
end(Waiter *w)
{
    g_mutex_lock(&w->lock);
    gboolean first = !w->over;
    w->over = TRUE;
    LaresWait *wait = first ? g_steal_pointer(&w->wait) : NULL;
    g_mutex_unlock(&w->lock);
    if (wait)
        lares_wait_end(wait);
    return first;
}

static void
ready(gpointer data)
{
    Waiter *w = data;
    if (!end(w))
        return;
    if (w->open && lares_open_count(w->open) == 0)
        smb2_parked_finish(w->parked, w->when_closed, NULL, 0);
    else
        smb2_parked_retry(w->parked);
    smb2_parked_unref(w->parked);
}

static void
cancelled(gpointer data)
{
    Waiter *w = data;
    if (!end(w))
        return;
    if (w->open && lares_open_count(w->open) == 0)
        smb2_parked_finish(w->parked, w->when_closed, NULL, 0);
    smb2_parked_unref(w->parked);
}

uint32_t
smb2_park_on(Smb2Op *op, LaresNode *node, uint64_t seen, LaresOpen *open, uint32_t when_closed)
{
    Waiter *w = g_new0(Waiter, 1);
    w->ref = 3; /* and this function's */
    g_mutex_init(&w->lock);
    w->open = open ? lares_open_ref(open) : NULL;
    w->when_closed = when_closed;
    g_mutex_lock(&w->lock); /* who cancels before `parked` is set here must wait */
    w->parked = smb2_park(op, cancelled, w, waiter_unref);
    g_mutex_unlock(&w->lock);
    if (!w->parked) {
        g_atomic_int_add(&w->ref, -2);
        waiter_unref(w);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    LaresWait *wait = lares_state_wait(node, seen, ready, w, waiter_unref);
    if (!wait) {
        ready(w); /* it changed meanwhile: again at once */
        waiter_unref(w);
    } else {
        g_mutex_lock(&w->lock);
        gboolean over = w->over;
        if (!over)
            w->wait = wait;
        g_mutex_unlock(&w->lock);
        if (over)
            lares_wait_end(wait);
    }
    waiter_unref(w);
    return STATUS_PENDING;
}
