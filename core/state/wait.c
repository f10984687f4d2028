/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting until something about a file's opens, locks or leases changed.
 *
 * Who is refused gets the stamp of the file's state as it was seen; a wait with an old stamp is over at once, so that
 * no change is missed between the refusal and the wait. Every change wakes all who wait for the file: they try again.
 *
 * Locks: see state-private.h. */
#include "state/file-state.h"

uint64_t
lares_state_stamp(void)
{
    static uint64_t last;
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

static void
wait_unref(LaresWait *wait)
{
    if (!g_atomic_int_dec_and_test(&wait->ref))
        return;
    if (wait->destroy)
        wait->destroy(wait->user);
    lares_node_unref(wait->node);
    g_free(wait);
}

LaresWait *
lares_state_wait(LaresNode *node, uint64_t seen, void (*ready)(gpointer user), gpointer user, GDestroyNotify destroy)
{
    LaresWait *wait = NULL;
    lares_state_shard_lock(node);
    LaresFileState *state = lares_state_peek(node);
    if (state && state->seen == seen) {
        wait = g_new0(LaresWait, 1);
        wait->ref = 2;
        wait->node = lares_node_ref(node);
        wait->ready = ready;
        wait->user = user;
        wait->destroy = destroy;
        wait->listed = TRUE;
        wait->next = state->waits;
        state->waits = wait;
    }
    lares_state_shard_unlock(node);
    return wait;
}

gboolean
lares_wait_end(LaresWait *wait)
{
    gboolean taken = FALSE;
    lares_state_shard_lock(wait->node);
    if (wait->listed) { /* then the state is there: whoever ends it takes the waits first */
        LaresFileState *state = lares_state_peek(wait->node);
        for (LaresWait **at = &state->waits; *at; at = &(*at)->next) {
            if (*at == wait) {
                *at = wait->next;
                break;
            }
        }
        wait->listed = FALSE;
        taken = TRUE;
    }
    lares_state_shard_unlock(wait->node);
    if (taken)
        wait_unref(wait);
    wait_unref(wait);
    return taken;
}

LaresWait *
lares_waits_take(LaresFileState *state)
{
    LaresWait *waits = g_steal_pointer(&state->waits);
    state->seen = lares_state_stamp();
    for (LaresWait *w = waits; w; w = w->next)
        w->listed = FALSE;
    return waits;
}

void
lares_waits_wake(LaresWait *waits)
{
    while (waits) {
        LaresWait *next = waits->next;
        waits->ready(waits->user);
        wait_unref(waits);
        waits = next;
    }
}
