/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Leases and oplocks: what is granted, what a conflict takes away, and the answers.
 *
 *   state        event                      action                                  next
 *   ------------------------------------------------------------------------------------------------------------
 *   held S       conflict, to T < S         S is READ only: told, no answer         held T
 *                                           else: told, answer awaited              breaking S → T (required T)
 *   breaking     conflict, to U             nothing is sent                         required becomes required ∩ U
 *   breaking     answer A ⊆ offered         A ⊆ required: wake who waits            held A
 *                                           A has more than READ, and required      breaking A → R
 *                                           is nothing: told of R first
 *                                           else: told again, A → required          breaking or held, as above
 *   breaking     time-out                   wake who waits                          nothing
 *   any          last open closes           wake who waits                          nothing
 *
 * Spec: [MS-FSA] 2.1.4.12, 2.1.5.18; [MS-SMB2] 3.3.4.6, 3.3.4.7, 3.3.5.22.
 * Locks: see state-private.h. */
#include "state/file-state.h"

#define DATA (LARES_LEASE_READ | LARES_LEASE_WRITE)

typedef struct {
    LaresLease *lease; /* a reference */
    LaresLeaseBreak what;
    guint serial;
} Notice;

LaresLease *
lares_lease_new(LaresNode *node, gboolean oplock, LaresLeaseFunc notify, gpointer user, GDestroyNotify destroy)
{
    LaresLease *lease = g_new0(LaresLease, 1);
    lease->ref = 1;
    lease->id = lares_state_stamp();
    lease->node = lares_node_ref(node);
    lease->oplock = oplock;
    lease->notify = notify;
    lease->user = user;
    lease->destroy = destroy;
    return lease;
}

LaresLease *
lares_lease_ref(LaresLease *lease)
{
    g_atomic_int_inc(&lease->ref);
    return lease;
}

void
lares_lease_unref(LaresLease *lease)
{
    if (!g_atomic_int_dec_and_test(&lease->ref))
        return;
    lares_lease_dir_forget(lease);
    if (lease->destroy)
        lease->destroy(lease->user);
    lares_node_unref(lease->node);
    g_free(lease);
}

LaresNode *
lares_lease_node(LaresLease *lease)
{
    return lease->node;
}

gpointer
lares_lease_user(LaresLease *lease)
{
    return lease->user;
}

LaresLease *
lares_open_lease(LaresOpen *open)
{
    return open->lease;
}

uint32_t
lares_lease_state(LaresLease *lease, uint16_t *epoch, gboolean *breaking)
{
    lares_state_shard_lock(lease->node);
    uint32_t state = lease->state;
    if (epoch)
        *epoch = lease->epoch;
    if (breaking)
        *breaking = lease->breaking;
    lares_state_shard_unlock(lease->node);
    return state;
}

void
lares_lease_set_epoch(LaresLease *lease, uint16_t epoch)
{
    lares_state_shard_lock(lease->node);
    lease->epoch = epoch;
    lares_state_shard_unlock(lease->node);
}

/* ---- Breaking ---------------------------------------------------------------------------------------------------- */

static void
add_notice(GArray **notices, LaresLease *lease, const LaresLeaseBreak *what)
{
    Notice notice = {lares_lease_ref(lease), *what, lease->serial};
    if (!*notices)
        *notices = g_array_new(FALSE, FALSE, sizeof(Notice));
    g_array_append_val(*notices, notice);
}

static void
tell_break(LaresLease *lease, uint32_t to, uint32_t required, GArray **notices)
{
    LaresLeaseBreak what = {lease->state, to, lease->epoch, (lease->state & ~LARES_LEASE_READ) != 0};
    lease->serial++;
    if (what.ack) {
        lease->breaking = TRUE;
        lease->offered = to;
        lease->required = required;
    } else {
        lease->state = to;
    }
    add_notice(notices, lease, &what);
}

/* Starts the break to `to`, or asks more of the one that is under way. */
static void
start_break(LaresLease *lease, uint32_t to, GArray **notices)
{
    to &= lease->state;
    if (lease->oplock && !(to & LARES_LEASE_WRITE && to & LARES_LEASE_HANDLE) && to != lease->state)
        to &= LARES_LEASE_READ; /* an oplock that gives way is level II or nothing */
    if (lease->breaking) {
        lease->required &= to;
        return;
    }
    if (to == lease->state)
        return;
    lease->epoch++;
    lease->goes_on = FALSE;
    tell_break(lease, to, to, notices);
}

void
lares_lease_break_all(LaresLease *lease, GArray **notices)
{
    if (lease->state)
        start_break(lease, 0, notices);
}

/* More was asked for while the answer was awaited: the same change goes on, one step at a time, as Windows does it. */
static void
go_on_breaking(LaresLease *lease, uint32_t required, GArray **notices)
{
    uint32_t to = required & lease->state;
    lease->goes_on = TRUE;
    if (lease->state & ~LARES_LEASE_READ)
        to |= lease->state & LARES_LEASE_READ;
    tell_break(lease, to, required & lease->state, notices);
}

gboolean
lares_leases_break(LaresFileState *state, const LaresLease *own, uint32_t lose, uint32_t wait_for, LaresBreakOf of,
                   GArray **notices)
{
    gboolean waiting = FALSE;
    for (LaresOpen *o = state && state->n_leases ? state->opens : NULL; o; o = o->next) {
        LaresLease *lease = o->lease;
        if (!lease || !lease->state)
            continue;
        if (lease == own && !(of == LARES_BREAK_OWN_TOO && lease->oplock && lease->state == LARES_LEASE_READ))
            continue;
        if (of == LARES_BREAK_OPLOCKS && !lease->oplock)
            continue;
        if (lease->state & lose)
            start_break(lease, lease->state & ~lose, notices);
        waiting |= lease->breaking && (lease->goes_on || (lease->state & wait_for) != 0);
    }
    return waiting;
}

/* The answer is there, or not awaited any more. Shard locked; to be dropped without. */
static GSource *
end_break(LaresLease *lease)
{
    lease->breaking = FALSE;
    return g_steal_pointer(&lease->timer);
}

void
lares_lease_drop_timer(GSource *timer)
{
    if (!timer)
        return;
    g_source_destroy(timer);
    g_source_unref(timer);
}

static gboolean
break_timed_out(gpointer data)
{
    Notice *notice = data;
    LaresLease *lease = notice->lease;
    LaresWait *waits = NULL;
    GSource *timer = NULL;
    lares_state_shard_lock(lease->node);
    LaresFileState *state = lares_state_peek(lease->node);
    if (lease->breaking && lease->serial == notice->serial) {
        lease->state = 0; /* [MS-SMB2] 3.3.6.1, 3.3.6.5: who does not answer keeps nothing */
        timer = end_break(lease);
        waits = state ? lares_waits_take(state) : NULL;
    }
    lares_state_shard_unlock(lease->node);
    lares_lease_drop_timer(timer);
    lares_waits_wake(waits);
    return G_SOURCE_REMOVE;
}

static void
notice_free(gpointer data)
{
    Notice *notice = data;
    lares_lease_unref(notice->lease);
    g_free(notice);
}

/* Who does not answer is not waited for longer than this. */
static void
start_timer(const Notice *notice)
{
    LaresLease *lease = notice->lease;
    GSource *timer = g_timeout_source_new(LARES_BREAK_SECONDS * 1000 - 500);
    Notice own = {lares_lease_ref(lease), notice->what, notice->serial};
    g_source_set_callback(timer, break_timed_out, g_memdup2(&own, sizeof own), notice_free);
    lares_state_shard_lock(lease->node);
    gboolean awaited = lease->breaking && lease->serial == notice->serial;
    GSource *old = timer;
    if (awaited) {
        g_source_attach(timer, NULL);
        old = g_steal_pointer(&lease->timer);
        lease->timer = timer;
    }
    lares_state_shard_unlock(lease->node);
    lares_lease_drop_timer(old);
}

void
lares_leases_notify(GArray *notices)
{
    for (guint i = 0; notices && i < notices->len; i++) {
        Notice *notice = &g_array_index(notices, Notice, i);
        if (notice->what.ack)
            start_timer(notice);
        notice->lease->notify(notice->lease, &notice->what, notice->lease->user);
        lares_lease_unref(notice->lease);
    }
    if (notices)
        g_array_unref(notices);
}

void
lares_lease_time_out(LaresLease *lease)
{
    lares_state_shard_lock(lease->node);
    Notice notice = {lease, {0}, lease->serial};
    lares_state_shard_unlock(lease->node);
    break_timed_out(&notice);
}

LaresStatus
lares_lease_ack(LaresLease *lease, uint32_t acked)
{
    LaresStatus status = LARES_OK;
    LaresWait *waits = NULL;
    GArray *notices = NULL;
    GSource *timer = NULL;
    lares_state_shard_lock(lease->node);
    LaresFileState *state = lares_state_peek(lease->node);
    if (!lease->breaking) {
        status = LARES_INVAL;
    } else if (acked & ~lease->offered) {
        status = LARES_DENIED;
    } else {
        uint32_t required = lease->required;
        lease->state = acked;
        timer = end_break(lease);
        if (acked & ~required)
            go_on_breaking(lease, required, &notices);
        if (!lease->breaking) /* else who waits would only find that it goes on */
            waits = state ? lares_waits_take(state) : NULL;
    }
    lares_state_shard_unlock(lease->node);
    lares_lease_drop_timer(timer);
    lares_leases_notify(notices);
    lares_waits_wake(waits);
    return status;
}

void
lares_lease_surrender(LaresLease *lease)
{
    lares_state_shard_lock(lease->node);
    LaresFileState *state = lares_state_peek(lease->node);
    lease->state = 0;
    GSource *timer = end_break(lease);
    LaresWait *waits = state ? lares_waits_take(state) : NULL;
    lares_state_shard_unlock(lease->node);
    lares_lease_drop_timer(timer);
    lares_waits_wake(waits);
}

GSource *
lares_lease_let_go(LaresLease *lease)
{
    if (--lease->opens > 0)
        return NULL;
    lease->state = 0;
    return end_break(lease);
}

/* ---- Granting ---------------------------------------------------------------------------------------------------- */

/* Nothing without READ: there is no lease on handles or writes alone. */
static uint32_t
sane(const LaresLease *lease, uint32_t want)
{
    if (!(want & LARES_LEASE_READ))
        return 0;
    if (lease->node->type == LARES_TYPE_DIRECTORY)
        return lease->armed ? want & ~LARES_LEASE_WRITE : 0;
    return want;
}

void
lares_lease_grant(LaresFileState *state, LaresLease *lease, uint32_t want)
{
    uint32_t asked = want = sane(lease, want);
    if (lease->node->type != LARES_TYPE_DIRECTORY &&
        ((state->locks && state->locks->len) || (state->ranges && state->ranges->len)))
        want = 0; /* who locks, reads and writes through */
    for (LaresOpen *o = state->opens; o && want; o = o->next) {
        if (o->lease == lease)
            continue;
        if (!o->quiet || (o->looks && lease->oplock) || (o->lease && o->lease->state))
            want &= ~LARES_LEASE_WRITE;
        if (!o->lease || !o->lease->state)
            continue;
        if (o->lease->state & LARES_LEASE_WRITE)
            want = 0; /* who only looks at attributes left it alone, and gets nothing beside it */
        if (lease->oplock && o->lease->state & LARES_LEASE_HANDLE)
            want = 0; /* an oplock cannot tell that somebody caches handles */
        if (o->lease->oplock && !lease->oplock)
            want &= ~LARES_LEASE_HANDLE;
    }
    if (lease->oplock && !(want & LARES_LEASE_WRITE))
        want &= LARES_LEASE_READ;
    /* A lease only grows, to what was asked for or not at all, and not in the middle of a break. */
    if (lease->breaking || (lease->state & ~want) || lease->state == want || (lease->state && want != asked))
        return;
    lease->state = want;
    lease->epoch++;
    if (lease->node->type == LARES_TYPE_DIRECTORY)
        lares_lease_dir_granted();
}
