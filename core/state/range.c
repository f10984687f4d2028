/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Byte-range locks as Windows has them, beside the POSIX ones of lock.c.
 *
 * Spec: [MS-FSA] 2.1.4.10 (what overlaps), 2.1.5.8 (taking), 2.1.5.9 (giving back).
 * Locks: see state-private.h. */
#include "state/file-state.h"

/* Do two ranges overlap? A range without length lies between two bytes: it meets only what has a byte on both sides. */
static gboolean
ranges_meet(uint64_t start_a, uint64_t len_a, uint64_t start_b, uint64_t len_b)
{
    if (len_a == 0 && len_b == 0)
        return FALSE;
    if (len_a == 0)
        return start_b < start_a && start_a <= start_b + (len_b - 1);
    if (len_b == 0)
        return start_a < start_b && start_b <= start_a + (len_a - 1);
    return start_a <= start_b + (len_b - 1) && start_b <= start_a + (len_a - 1);
}

static gboolean
is_valid(uint64_t start, uint64_t length)
{
    return length == 0 || start <= UINT64_MAX - (length - 1);
}

/* Shared locks never mind each other; a shared one may stack on the same open's exclusive one. */
static gboolean
conflicts(const LaresWinLock *held, const LaresWinLock *wanted)
{
    if (!held->exclusive && !wanted->exclusive)
        return FALSE;
    if (held->exclusive && !wanted->exclusive && held->open == wanted->open)
        return FALSE;
    return ranges_meet(held->start, held->length, wanted->start, wanted->length);
}

LaresStatus
lares_range_lock(LaresOpen *open, uint64_t start, uint64_t length, gboolean exclusive, uint64_t *seen)
{
    LaresWinLock wanted = {start, length, exclusive, open, lares_state_stamp()};
    LaresStatus status = LARES_OK;
    GArray *notices = NULL;
    if (!is_valid(start, length))
        return LARES_BAD_RANGE;
    lares_state_shard_lock(open->node);
    LaresFileState *state = lares_state_peek(open->node);
    if (open->closed || !state) {
        lares_state_shard_unlock(open->node);
        return LARES_STALE;
    }
    for (guint i = 0; state->ranges && i < state->ranges->len && status == LARES_OK; i++) {
        if (conflicts(&g_array_index(state->ranges, LaresWinLock, i), &wanted))
            status = LARES_DENIED;
    }
    if (status == LARES_OK && lares_locks_conflict(state, start, length, exclusive))
        status = LARES_DENIED;
    if (status == LARES_OK && state->ranges && state->ranges->len >= LARES_LOCKS_PER_FILE)
        status = LARES_DELAY;
    if (status == LARES_OK) {
        if (!state->ranges)
            state->ranges = g_array_new(FALSE, FALSE, sizeof(LaresWinLock));
        g_array_append_val(state->ranges, wanted);
        lares_leases_break(state, open->lease, LARES_LEASE_READ | LARES_LEASE_WRITE | LARES_LEASE_HANDLE, 0, TRUE,
                           &notices);
    }
    if (seen)
        *seen = state->seen;
    lares_state_shard_unlock(open->node);
    lares_leases_notify(notices);
    return status;
}

LaresStatus
lares_range_unlock(LaresOpen *open, uint64_t start, uint64_t length)
{
    LaresStatus status = LARES_NOENT;
    LaresWait *waits = NULL;
    if (!is_valid(start, length))
        return LARES_BAD_RANGE;
    lares_state_shard_lock(open->node);
    LaresFileState *state = lares_state_peek(open->node);
    /* Of stacked ones the exclusive goes first: it came first. */
    for (guint i = 0; state && state->ranges && i < state->ranges->len; i++) {
        LaresWinLock *lock = &g_array_index(state->ranges, LaresWinLock, i);
        if (lock->open == open && lock->start == start && lock->length == length) {
            g_array_remove_index(state->ranges, i);
            waits = lares_waits_take(state);
            status = LARES_OK;
            break;
        }
    }
    lares_state_shard_unlock(open->node);
    lares_waits_wake(waits);
    return status;
}

/* One's own exclusive lock is for oneself; one's own shared lock stops one's own writing, too. */
LaresStatus
lares_range_check(LaresOpen *open, uint64_t start, uint64_t length, gboolean write)
{
    LaresStatus status = LARES_OK;
    if (length == 0)
        return LARES_OK;
    if (!is_valid(start, length))
        length = UINT64_MAX - start + 1;
    lares_state_shard_lock(open->node);
    LaresFileState *state = lares_state_peek(open->node);
    for (guint i = 0; state && state->ranges && i < state->ranges->len && status == LARES_OK; i++) {
        const LaresWinLock *lock = &g_array_index(state->ranges, LaresWinLock, i);
        gboolean minds = lock->exclusive ? lock->open != open : write;
        if (minds && ranges_meet(lock->start, lock->length, start, length))
            status = LARES_LOCKED;
    }
    if (status == LARES_OK && state && lares_locks_conflict(state, start, length, write))
        status = LARES_LOCKED;
    lares_state_shard_unlock(open->node);
    return status;
}

guint
lares_range_count(LaresOpen *open)
{
    guint n = 0;
    lares_state_shard_lock(open->node);
    LaresFileState *state = lares_state_peek(open->node);
    for (guint i = 0; state && state->ranges && i < state->ranges->len; i++)
        n += g_array_index(state->ranges, LaresWinLock, i).open == open;
    lares_state_shard_unlock(open->node);
    return n;
}

LaresWinLock *
lares_ranges_find(LaresFileState *state, uint64_t first, uint64_t last, gboolean write)
{
    uint64_t length = last - first == UINT64_MAX ? UINT64_MAX : last - first + 1;
    for (guint i = 0; state && state->ranges && i < state->ranges->len; i++) {
        LaresWinLock *lock = &g_array_index(state->ranges, LaresWinLock, i);
        if ((write || lock->exclusive) && ranges_meet(lock->start, lock->length, first, length))
            return lock;
    }
    return NULL;
}

void
lares_ranges_drop_open(LaresFileState *state, LaresOpen *open)
{
    for (guint i = 0; state->ranges && i < state->ranges->len; i++) {
        if (g_array_index(state->ranges, LaresWinLock, i).open == open)
            g_array_remove_index(state->ranges, i--);
    }
}
