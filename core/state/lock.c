/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Byte-range locks: POSIX semantics per owner, one sorted list per file (RFC 7530 9.1, RFC 8881 9.1).
 *
 * Locks: see state-private.h. */
#include "state/file-state.h"

#include <string.h>

static LaresStatus
range_last(const LaresRange *range, uint64_t *last)
{
    if (range->length == 0)
        return LARES_INVAL;
    if (range->length == UINT64_MAX) {
        *last = UINT64_MAX;
        return LARES_OK;
    }
    if (range->start > UINT64_MAX - (range->length - 1))
        return LARES_BAD_RANGE;
    *last = range->start + (range->length - 1);
    return LARES_OK;
}

static gboolean
overlaps(const LaresLock *lock, uint64_t first, uint64_t last)
{
    return lock->first <= last && first <= lock->last;
}

/* The first lock of somebody else that conflicts; shard locked. */
static LaresLock *
find_conflict(LaresNode *node, gconstpointer owner, uint64_t first, uint64_t last, gboolean write)
{
    LaresFileState *state = lares_state_peek(node);
    GArray *locks = state ? state->locks : NULL;
    for (guint i = 0; locks && i < locks->len; i++) {
        LaresLock *lock = &g_array_index(locks, LaresLock, i);
        if (lock->first > last)
            break;
        if (lock->owner != owner && overlaps(lock, first, last) && (write || lock->write))
            return lock;
    }
    return NULL;
}

static void
describe(const LaresLock *lock, LaresLockConflict *conflict, GBytes **owner_name)
{
    gsize len;
    const uint8_t *name = g_bytes_get_data(lock->name, &len);
    conflict->range.start = lock->first;
    conflict->range.length = lock->last == UINT64_MAX ? UINT64_MAX : lock->last - lock->first + 1;
    conflict->range.write = lock->write;
    conflict->holder = lock->open->holder;
    conflict->owner_len = MIN(len, sizeof conflict->owner_name);
    if (len) /* a name of no bytes has no address */
        memcpy(conflict->owner_name, name, conflict->owner_len);
    conflict->client = lock->client;
    if (owner_name)
        *owner_name = g_bytes_ref(lock->name);
}

gboolean
lares_locks_conflict(LaresFileState *state, uint64_t start, uint64_t length, gboolean write)
{
    uint64_t last = length ? start + (length - 1) : start;
    for (guint i = 0; state->locks && i < state->locks->len; i++) {
        const LaresLock *lock = &g_array_index(state->locks, LaresLock, i);
        if (lock->first > last)
            break;
        if (length ? overlaps(lock, start, last) && (write || lock->write)
                   : write && lock->first < start && start <= lock->last)
            return TRUE;
    }
    return FALSE;
}

/* The first lock of the other kind (range.c) that conflicts; shard locked. */
static LaresWinLock *
find_range_conflict(LaresNode *node, uint64_t first, uint64_t last, gboolean write)
{
    LaresFileState *state = lares_state_peek(node);
    return state ? lares_ranges_find(state, first, last, write) : NULL;
}

static void
describe_range(const LaresWinLock *lock, LaresLockConflict *conflict, GBytes **owner_name)
{
    if (owner_name)
        *owner_name = g_bytes_new_static("", 0);
    *conflict = (LaresLockConflict){.range = {lock->start, lock->length ? lock->length : 1, lock->exclusive},
                                    .holder = lock->open->holder};
    if (lock->length && lock->start + (lock->length - 1) == UINT64_MAX)
        conflict->range.length = UINT64_MAX;
}

/* As in open.c: with LARES_OK the shard stays locked. */
static LaresStatus
lock_without_conflict(LaresNode *node, gconstpointer owner, uint64_t first, uint64_t last, gboolean write,
                      LaresLockConflict *conflict, GBytes **owner_name)
{
    for (;;) {
        lares_state_shard_lock(node);
        LaresLock *other = find_conflict(node, owner, first, last, write);
        LaresWinLock *range = other ? NULL : find_range_conflict(node, first, last, write);
        if (!other && !range)
            return LARES_OK;
        LaresHolder *courteous = lares_holder_if_courteous((other ? other->open : range->open)->holder);
        gboolean gone = courteous && g_atomic_int_get(&courteous->expired);
        if (!courteous && other)
            describe(other, conflict, owner_name);
        else if (!courteous)
            describe_range(range, conflict, owner_name);
        lares_state_shard_unlock(node);
        if (!courteous)
            return LARES_DENIED;
        lares_holder_expire(courteous);
        if (gone)
            return LARES_DELAY;
    }
}

/* ---- The list: every lock is counted for its open and for the open's holder. Shard locked. ------------------------
 */

/* Takes over the reference to the name. */
static void
insert_lock(GArray *locks, guint at, const LaresLock *lock)
{
    g_array_insert_val(locks, at, *lock);
    lock->open->n_locks++;
    lares_holder_add_locks(lock->open->holder, 1);
}

static void
remove_lock(GArray *locks, guint at)
{
    const LaresLock *lock = &g_array_index(locks, LaresLock, at);
    lock->open->n_locks--;
    lares_holder_add_locks(lock->open->holder, -1);
    g_bytes_unref(lock->name);
    g_array_remove_index(locks, at);
}

/* The owner's name as the open's last lock has it, or a copy: a reference. */
static GBytes *
name_of(LaresOpen *open, const LaresLockOwner *owner)
{
    gsize len = 0;
    const void *known = open->lock_name ? g_bytes_get_data(open->lock_name, &len) : NULL;
    if (!open->lock_name || len != owner->name_len || (len && memcmp(known, owner->name, len) != 0)) {
        g_clear_pointer(&open->lock_name, g_bytes_unref);
        open->lock_name = g_bytes_new(owner->name, owner->name_len);
    }
    return g_bytes_ref(open->lock_name);
}

/* Would clearing the range make one lock of the owner two? */
static gboolean
would_split(const GArray *locks, gconstpointer owner, uint64_t first, uint64_t last)
{
    for (guint i = 0; i < locks->len; i++) {
        const LaresLock *lock = &g_array_index(locks, LaresLock, i);
        if (lock->first >= first)
            break;
        if (lock->owner == owner && lock->last > last)
            return TRUE;
    }
    return FALSE;
}

/* Cuts the range out of the owner's locks; a lock that sticks out on both sides becomes two. */
static void
cut(GArray *locks, gconstpointer owner, uint64_t first, uint64_t last)
{
    for (guint i = 0; i < locks->len; i++) {
        LaresLock *lock = &g_array_index(locks, LaresLock, i);
        if (lock->first > last)
            break;
        if (lock->owner != owner || !overlaps(lock, first, last))
            continue;
        gboolean left = lock->first<first, right = lock->last> last;
        if (left && right) {
            LaresLock tail = *lock;
            tail.first = last + 1;
            tail.id = lares_state_stamp();
            g_bytes_ref(tail.name);
            lock->last = first - 1;
            insert_lock(locks, i + 1, &tail);
            i++;
        } else if (left) {
            lock->last = first - 1;
        } else if (right) {
            lock->first = last + 1;
        } else {
            remove_lock(locks, i--);
        }
    }
}

/* Joins the new lock with the owner's neighbours of the same kind. */
static void
absorb_neighbours(GArray *locks, LaresLock *new_lock)
{
    for (guint i = 0; i < locks->len; i++) {
        LaresLock *lock = &g_array_index(locks, LaresLock, i);
        if (lock->owner != new_lock->owner || lock->write != new_lock->write || lock->open != new_lock->open)
            continue;
        gboolean before = lock->last != UINT64_MAX && lock->last + 1 == new_lock->first;
        gboolean after = new_lock->last != UINT64_MAX && new_lock->last + 1 == lock->first;
        if (before)
            new_lock->first = lock->first;
        else if (after)
            new_lock->last = lock->last;
        else
            continue;
        remove_lock(locks, i--);
    }
}

/* A change leaves the list nearly sorted: what is out of its place moves there, one pass for the rest. */
static void
sort(GArray *locks)
{
    LaresLock *lock = (LaresLock *)locks->data;
    for (guint i = 1; i < locks->len; i++) {
        guint at = i;
        while (at > 0 && lock[at - 1].first > lock[i].first)
            at--;
        if (at == i)
            continue;
        LaresLock moved = lock[i];
        memmove(lock + at + 1, lock + at, (i - at) * sizeof *lock);
        lock[at] = moved;
    }
}

/* Shard locked, nothing in the way. */
static LaresStatus
enter(LaresOpen *open, const LaresLockOwner *owner, const LaresRange *range, uint64_t last)
{
    LaresFileState *state = lares_state_peek(open->node);
    if (open->closed)
        return LARES_STALE;
    if (!(open->access & (range->write ? LARES_ACCESS_WRITE : LARES_ACCESS_READ)))
        return LARES_OPENMODE;
    if (lares_holder_has_all_locks(open->holder))
        return LARES_TOO_MANY;
    if (!state->locks)
        state->locks = g_array_new(FALSE, FALSE, sizeof(LaresLock));
    if (state->locks->len >= LARES_LOCKS_PER_FILE)
        return LARES_DELAY;
    LaresLock lock = {.first = range->start,
                      .last = last,
                      .write = range->write,
                      .id = lares_state_stamp(),
                      .open = open,
                      .owner = owner->key,
                      .client = owner->client,
                      .name = name_of(open, owner)};
    cut(state->locks, owner->key, lock.first, lock.last);
    absorb_neighbours(state->locks, &lock);
    insert_lock(state->locks, state->locks->len, &lock);
    sort(state->locks);
    return LARES_OK;
}

LaresStatus
lares_lock_set_named(LaresOpen *open, const LaresLockOwner *owner, const LaresRange *range, LaresLockConflict *conflict,
                     GBytes **owner_name)
{
    uint64_t last;
    LaresStatus status = range_last(range, &last);
    if (status != LARES_OK)
        return status;
    status = lock_without_conflict(open->node, owner->key, range->start, last, range->write, conflict, owner_name);
    if (status != LARES_OK)
        return status;
    status = enter(open, owner, range, last);
    lares_state_shard_unlock(open->node);
    return status;
}

LaresStatus
lares_lock_set(LaresOpen *open, const LaresLockOwner *owner, const LaresRange *range, LaresLockConflict *conflict)
{
    return lares_lock_set_named(open, owner, range, conflict, NULL);
}

LaresStatus
lares_lock_clear(LaresOpen *open, const LaresLockOwner *owner, uint64_t start, uint64_t length)
{
    LaresRange range = {start, length, FALSE};
    uint64_t last;
    LaresStatus status = range_last(&range, &last);
    if (status != LARES_OK)
        return status;
    LaresWait *waits = NULL;
    lares_state_shard_lock(open->node);
    LaresFileState *state = lares_state_peek(open->node);
    gboolean all = lares_holder_has_all_locks(open->holder);
    if (state && state->locks && (all || state->locks->len >= LARES_LOCKS_PER_FILE) &&
        would_split(state->locks, owner->key, start, last)) {
        status = all ? LARES_TOO_MANY : LARES_DELAY; /* giving back piece by piece must not get around the bound */
    } else if (state && state->locks) {
        cut(state->locks, owner->key, start, last);
        sort(state->locks);
        waits = lares_waits_take(state);
    }
    lares_state_shard_unlock(open->node);
    lares_waits_wake(waits);
    return status;
}

LaresStatus
lares_lock_test_named(LaresNode *node, const LaresLockOwner *owner, const LaresRange *range,
                      LaresLockConflict *conflict, GBytes **owner_name)
{
    uint64_t last;
    LaresStatus status = range_last(range, &last);
    if (status != LARES_OK)
        return status;
    status = lock_without_conflict(node, owner->key, range->start, last, range->write, conflict, owner_name);
    if (status == LARES_OK)
        lares_state_shard_unlock(node);
    return status;
}

LaresStatus
lares_lock_test(LaresNode *node, const LaresLockOwner *owner, const LaresRange *range, LaresLockConflict *conflict)
{
    return lares_lock_test_named(node, owner, range, conflict, NULL);
}

gboolean
lares_lock_held(LaresOpen *open, gconstpointer owner_key)
{
    gboolean held = FALSE;
    lares_state_shard_lock(open->node);
    LaresFileState *state = lares_state_peek(open->node);
    for (guint i = 0; state && state->locks && i < state->locks->len && !held; i++)
        held = g_array_index(state->locks, LaresLock, i).owner == owner_key;
    lares_state_shard_unlock(open->node);
    return held;
}

static void
drop_where(LaresFileState *state, const LaresOpen *open, gconstpointer owner)
{
    GArray *locks = state ? state->locks : NULL;
    for (guint i = 0; locks && i < locks->len && !(open && open->n_locks == 0); i++) {
        LaresLock *lock = &g_array_index(locks, LaresLock, i);
        if ((open && lock->open == open) || (owner && lock->owner == owner))
            remove_lock(locks, i--);
    }
}

void
lares_lock_drop_owner(LaresOpen *open, gconstpointer owner_key)
{
    lares_state_shard_lock(open->node);
    LaresFileState *state = lares_state_peek(open->node);
    drop_where(state, NULL, owner_key);
    LaresWait *waits = state ? lares_waits_take(state) : NULL;
    lares_state_shard_unlock(open->node);
    lares_waits_wake(waits);
}

void
lares_locks_drop_open(LaresFileState *state, LaresOpen *open)
{
    drop_where(state, open, NULL);
}
