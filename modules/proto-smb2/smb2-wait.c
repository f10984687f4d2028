/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for the core: a command parks until a file's opens, locks or leases change.
 *
 * A lock's wait may be followed by another of the same Waiter, begun by the thread that was woken, before the thread
 * that began the first one has noted it: `round` tells them apart.
 *
 * Locks: Waiter.lock is an innermost one. Whoever sets `over` ends the wait: the core's call, or the cancellation. */
#include "smb2-open.h"

typedef struct {
    gint ref; /* atomic: the parked command's, the core's wait */
    GMutex lock;
    gboolean over;
    Smb2Parked *parked; /* the reference of smb2_park(); whoever ends the wait gives it back */
    guint round;        /* of the wait that is under way */
    LaresWait *wait;    /* of this round; NULL before it is known here */
    LaresOpen *open;    /* a reference or NULL */
    uint32_t when_closed;
    gpointer kept; /* lives as long as this */
    GDestroyNotify free_kept;
    /* Of a lock: */
    LaresNode *node; /* borrowed of `open`; NULL: no lock */
    uint64_t start, length;
    gboolean exclusive;
    void (*taken)(gpointer kept);
    gboolean got, cancelled; /* guarded by lock */
} Waiter;

static void
waiter_unref(gpointer data)
{
    Waiter *w = data;
    if (!g_atomic_int_dec_and_test(&w->ref))
        return;
    if (w->open)
        lares_open_unref(w->open);
    if (w->free_kept)
        w->free_kept(w->kept);
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

static void ready(gpointer data);

static void
answer_lock(Waiter *w)
{
    static const uint8_t body[4] = {4, 0, 0, 0};
    smb2_parked_finish(w->parked, STATUS_SUCCESS, body, sizeof body);
}

/* The wait of that round was begun; it may be over since, and others may have followed it. */
static void
note_wait(Waiter *w, guint round, LaresWait *wait)
{
    g_mutex_lock(&w->lock);
    gboolean current = !w->over && w->round == round;
    if (current)
        w->wait = wait;
    g_mutex_unlock(&w->lock);
    if (!current)
        lares_wait_end(wait);
}

/* Waits for the next change. FALSE: there was one, or nobody wants it any more. */
static gboolean
wait_again(Waiter *w, uint64_t seen)
{
    g_mutex_lock(&w->lock);
    gboolean wanted = !w->cancelled;
    guint round = w->round += wanted;
    w->over = !wanted;
    g_mutex_unlock(&w->lock);
    if (!wanted)
        return FALSE;
    g_atomic_int_inc(&w->ref);
    LaresWait *wait = lares_state_wait(w->node, seen, ready, w, waiter_unref);
    if (!wait) {
        g_atomic_int_add(&w->ref, -1);
        return !end(w); /* cancelled meanwhile: that is an end too */
    }
    note_wait(w, round, wait);
    return TRUE;
}

/* The wait is over for now: takes the lock, or goes on waiting. */
static void
try_lock(Waiter *w)
{
    for (;;) {
        uint64_t seen = 0;
        LaresStatus status = lares_open_count(w->open) == 0
                                 ? LARES_STALE
                                 : lares_range_lock(w->open, w->start, w->length, w->exclusive, &seen);
        g_mutex_lock(&w->lock);
        gboolean cancelled = w->cancelled;
        w->got = status == LARES_OK && !cancelled;
        g_mutex_unlock(&w->lock);
        if (status == LARES_OK && cancelled)
            lares_range_unlock(w->open, w->start, w->length);
        if (!cancelled && status == LARES_DENIED) {
            if (wait_again(w, seen))
                return;
            continue;
        }
        if (w->got && w->taken)
            w->taken(w->kept);
        if (w->got)
            answer_lock(w);
        else if (!cancelled)
            smb2_parked_finish(w->parked, status == LARES_STALE ? w->when_closed : smb2_status(status), NULL, 0);
        smb2_parked_unref(w->parked);
        return;
    }
}

static void
ready(gpointer data)
{
    Waiter *w = data;
    if (!end(w))
        return;
    if (w->node) {
        try_lock(w);
        return;
    }
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
    g_mutex_lock(&w->lock);
    w->cancelled = TRUE;
    gboolean got = w->got;
    g_mutex_unlock(&w->lock);
    if (got)
        answer_lock(w); /* too late: it has the lock */
    if (!end(w))
        return;
    if (w->open && lares_open_count(w->open) == 0)
        smb2_parked_finish(w->parked, w->when_closed, NULL, 0);
    smb2_parked_unref(w->parked);
}

static Waiter *
waiter_new(LaresOpen *open, uint32_t when_closed, gpointer kept, GDestroyNotify free_kept)
{
    Waiter *w = g_new0(Waiter, 1);
    w->ref = 3; /* and park()'s */
    g_mutex_init(&w->lock);
    w->open = open ? lares_open_ref(open) : NULL;
    w->when_closed = when_closed;
    w->kept = kept;
    w->free_kept = free_kept;
    return w;
}

static uint32_t
park(Smb2Op *op, Waiter *w, LaresNode *node, uint64_t seen)
{
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
        note_wait(w, 0, wait);
    }
    waiter_unref(w);
    return STATUS_PENDING;
}

uint32_t
smb2_park_on(Smb2Op *op, LaresNode *node, uint64_t seen, LaresOpen *open, uint32_t when_closed)
{
    return park(op, waiter_new(open, when_closed, NULL, NULL), node, seen);
}

uint32_t
smb2_park_keeping(Smb2Op *op, LaresNode *node, uint64_t seen, gpointer kept, GDestroyNotify free_kept)
{
    return park(op, waiter_new(NULL, 0, kept, free_kept), node, seen);
}

uint32_t
smb2_park_for_lock(Smb2Op *op, LaresNode *node, uint64_t seen, LaresOpen *open, uint64_t start, uint64_t length,
                   gboolean exclusive, void (*taken)(gpointer kept), gpointer kept, GDestroyNotify free_kept)
{
    Waiter *w = waiter_new(open, STATUS_RANGE_NOT_LOCKED, kept, free_kept);
    w->node = node;
    w->start = start;
    w->length = length;
    w->exclusive = exclusive;
    w->taken = taken;
    return park(op, w, node, seen);
}

uint32_t
smb2_io_begin(Smb2Op *op, uint32_t access, LaresIo *io)
{
    Smb2Open *open = op->open;
    LaresFiles *files = op->service->files;
    uint64_t seen = 0;
    *io = (LaresIo){NULL, FALSE};
    /* First here, for the stamp to wait for; nothing is in the way a second time. */
    LaresStatus status =
        lares_files_contend(files, &open->object, open->open, (access & LARES_ACCESS_WRITE) != 0, &seen);
    if (status == LARES_DELAY)
        return smb2_park_on(op, open->object.node, seen, NULL, 0);
    if (status == LARES_OK)
        status = lares_files_io_begin(files, &op->caller, &open->object, open->open, access, io);
    return smb2_status(status);
}
