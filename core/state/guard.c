/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What others' opens and leases say to somebody who is about to read, write, rename or remove; and what happens to a
 * file with its last close.
 *
 * Locks: see state-private.h. */
#include "state/file-state.h"

static const struct {
    uint32_t lose, wait_for;
} contention[] = {
    [LARES_CONTEND_READ] = {LARES_LEASE_WRITE, LARES_LEASE_WRITE},
    [LARES_CONTEND_WRITE] = {LARES_LEASE_READ | LARES_LEASE_WRITE | LARES_LEASE_HANDLE, LARES_LEASE_WRITE},
    [LARES_CONTEND_HANDLE] = {LARES_LEASE_HANDLE, LARES_LEASE_HANDLE},
};

LaresStatus
lares_state_contend(LaresNode *node, LaresOpen *self, LaresContend what, uint64_t *seen)
{
    GArray *notices = NULL;
    LaresStatus status = LARES_OK;
    if (!__atomic_load_n(&node->state, __ATOMIC_RELAXED))
        return LARES_OK;
    lares_state_shard_lock(node);
    LaresFileState *state = lares_state_peek(node);
    if (state && state->n_leases) {
        if (lares_leases_break(state, self ? self->lease : NULL, contention[what].lose, contention[what].wait_for,
                               what == LARES_CONTEND_WRITE ? LARES_BREAK_OWN_TOO : LARES_BREAK_OTHERS, &notices))
            status = LARES_DELAY;
        if (seen)
            *seen = state->seen;
    }
    lares_state_shard_unlock(node);
    lares_leases_notify(notices);
    return status;
}

LaresStatus
lares_state_name_may_go(LaresNode *node, LaresOpen *self, uint64_t *seen)
{
    LaresStatus status = lares_state_contend(node, self, LARES_CONTEND_HANDLE, seen);
    if (status != LARES_OK)
        return status;
    LaresHolder *courteous = NULL;
    lares_state_shard_lock(node);
    LaresFileState *state = lares_state_peek(node);
    for (LaresOpen *o = state ? state->opens : NULL; o; o = o->next) {
        if (o == self || !(o->deny & LARES_DENY_DELETE))
            continue;
        courteous = lares_holder_if_courteous(o->holder);
        status = courteous ? LARES_DELAY : LARES_FILE_OPEN;
        break;
    }
    if (seen && state)
        *seen = state->seen;
    lares_state_shard_unlock(node);
    if (courteous)
        lares_holder_expire(courteous);
    return status;
}

gboolean
lares_state_own_conflict(const LaresOpen *self, LaresNode *node, uint32_t access, uint32_t deny)
{
    gboolean found = FALSE;
    if (!__atomic_load_n(&node->state, __ATOMIC_RELAXED))
        return FALSE;
    lares_state_shard_lock(node);
    LaresFileState *state = lares_state_peek(node);
    for (LaresOpen *o = state ? state->opens : NULL; o && !found; o = o->next)
        found = o != self && o->holder == self->holder && ((o->access & deny) || (o->deny & access));
    lares_state_shard_unlock(node);
    return found;
}

LaresStatus
lares_state_set_unlink(LaresOpen *open, LaresUnlink *unlink)
{
    LaresUnlink *old = unlink;
    LaresStatus status = LARES_STALE;
    lares_state_shard_lock(open->node);
    if (!open->closed) {
        LaresFileState *state = lares_state_peek(open->node);
        old = state->unlink;
        state->unlink = unlink;
        status = LARES_OK;
    }
    lares_state_shard_unlock(open->node);
    if (old)
        old->free(old);
    return status;
}

gboolean
lares_open_delete_pending(LaresOpen *open)
{
    lares_state_shard_lock(open->node);
    LaresFileState *state = lares_state_peek(open->node);
    gboolean pending = !open->closed && state && state->unlink;
    lares_state_shard_unlock(open->node);
    return pending;
}

guint
lares_open_count(LaresOpen *open)
{
    guint n = 0;
    lares_state_shard_lock(open->node);
    LaresFileState *state = open->closed ? NULL : lares_state_peek(open->node);
    for (LaresOpen *o = state ? state->opens : NULL; o; o = o->next)
        n++;
    lares_state_shard_unlock(open->node);
    return n;
}
