/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Share reservations: who has which file open for what, and what they deny to others (RFC 7530 9.9).
 *
 * Locks: see state-private.h. */
#include "state/file-state.h"

#define SHARDS 64

/* Padded so that two busy shards do not share a cache line. */
static struct {
    GMutex mutex;
    char pad[64 - sizeof(GMutex)];
} shards[SHARDS];

static GMutex *
shard_of(const LaresNode *node)
{
    uintptr_t p = (uintptr_t)node;
    return &shards[((p >> 6) ^ (p >> 14)) % SHARDS].mutex;
}

void
lares_state_shard_lock(const LaresNode *node)
{
    g_mutex_lock(shard_of(node));
}

void
lares_state_shard_unlock(const LaresNode *node)
{
    g_mutex_unlock(shard_of(node));
}

LaresOpen *
lares_open_ref(LaresOpen *open)
{
    g_atomic_int_inc(&open->ref);
    return open;
}

void
lares_open_unref(LaresOpen *open)
{
    if (!g_atomic_int_dec_and_test(&open->ref))
        return;
    lares_node_unref(open->node);
    lares_share_unref(open->share);
    lares_holder_unref(open->holder);
    if (open->lock_name)
        g_bytes_unref(open->lock_name);
    g_free(open);
}

LaresNode *
lares_open_node(LaresOpen *open)
{
    return open->node;
}

LaresShare *
lares_open_share(LaresOpen *open)
{
    return open->share;
}

uint32_t
lares_open_access(LaresOpen *open)
{
    lares_state_shard_lock(open->node);
    uint32_t access = open->access;
    lares_state_shard_unlock(open->node);
    return access;
}

uint32_t
lares_open_deny(LaresOpen *open)
{
    lares_state_shard_lock(open->node);
    uint32_t deny = open->deny;
    lares_state_shard_unlock(open->node);
    return deny;
}

/* ---- Modes. The bits of access and deny are the same: 1 read, 2 write. Shard locked. ----------------------------- */

static void
count_modes(LaresFileState *state, const LaresOpen *open, guint by)
{
    for (guint i = 0; i < 2; i++) {
        state->n_access[i] += (open->access >> i & 1) * by;
        state->n_deny[i] += (open->deny >> i & 1) * by;
    }
}

/* An open that is in the list changes its modes. */
static void
set_modes(LaresOpen *open, uint32_t access, uint32_t deny)
{
    LaresFileState *state = lares_state_peek(open->node);
    count_modes(state, open, (guint)-1);
    open->access = access;
    open->deny = deny;
    count_modes(state, open, 1);
}

/* Is there an open other than `self` that conflicts? */
static gboolean
has_conflict(const LaresFileState *state, uint32_t access, uint32_t deny, const LaresOpen *self)
{
    for (guint i = 0; i < 2; i++) {
        guint own_access = self ? self->access >> i & 1 : 0, own_deny = self ? self->deny >> i & 1 : 0;
        if ((deny >> i & 1) && state->n_access[i] > own_access)
            return TRUE;
        if ((access >> i & 1) && state->n_deny[i] > own_deny)
            return TRUE;
    }
    return FALSE;
}

/* An open of somebody that conflicts. */
static LaresOpen *
find_conflict(LaresNode *node, uint32_t access, uint32_t deny, const LaresOpen *self)
{
    LaresFileState *state = lares_state_peek(node);
    if (!state || !has_conflict(state, access, deny, self))
        return NULL;
    for (LaresOpen *o = state->opens; o; o = o->next) {
        if (o != self && ((o->access & deny) || (o->deny & access)))
            return o;
    }
    return NULL;
}

/* Locks the shard and makes sure nothing conflicts: courteous holders in the way are expired. With LARES_OK the shard
 * stays locked. */
static LaresStatus
lock_without_conflict(LaresNode *node, uint32_t access, uint32_t deny, const LaresOpen *self)
{
    for (;;) {
        lares_state_shard_lock(node);
        LaresOpen *other = find_conflict(node, access, deny, self);
        if (!other)
            return LARES_OK;
        LaresHolder *courteous = lares_holder_if_courteous(other->holder);
        gboolean gone = courteous && g_atomic_int_get(&courteous->expired);
        lares_state_shard_unlock(node);
        if (!courteous)
            return LARES_SHARE_DENIED;
        lares_holder_expire(courteous);
        if (gone)
            return LARES_DELAY; /* somebody else is expiring it just now */
    }
}

static void
add_file(LaresOpen *open, LaresFile *file)
{
    if ((file->access & LARES_ACCESS_READ) && !open->reader)
        open->reader = lares_file_ref(file);
    if ((file->access & LARES_ACCESS_WRITE) && !open->writer)
        open->writer = lares_file_ref(file);
}

LaresStatus
lares_state_open(LaresHolder *holder, LaresShare *share, LaresNode *node, LaresFile *file, uint32_t access,
                 uint32_t deny, LaresOpen **open)
{
    if (!lares_holder_take_open(holder))
        return LARES_TOO_MANY;
    LaresStatus status = lock_without_conflict(node, access, deny, NULL);
    if (status != LARES_OK) {
        lares_holder_give_open(holder);
        return status;
    }
    LaresFileState *state = node->state;
    if (!state)
        __atomic_store_n(&node->state, state = g_new0(LaresFileState, 1), __ATOMIC_RELAXED);
    LaresOpen *o = g_new0(LaresOpen, 1);
    o->ref = 2; /* the list's and the caller's */
    o->holder = lares_holder_ref(holder);
    o->share = lares_share_ref(share);
    o->node = lares_node_ref(node);
    o->access = access;
    o->deny = deny;
    o->opener = LARES_OPENER_MIXED;
    add_file(o, file);
    o->next = state->opens;
    if (o->next)
        o->next->prev = o;
    state->opens = o;
    count_modes(state, o, 1);
    lares_state_shard_unlock(node);
    *open = o;
    return LARES_OK;
}

LaresStatus
lares_state_upgrade(LaresOpen *open, LaresFile *file, uint32_t access, uint32_t deny)
{
    LaresStatus status = lock_without_conflict(open->node, access, deny, open);
    if (status != LARES_OK)
        return status;
    if (file && !open->closed)
        add_file(open, file);
    /* Closed or narrowed since the caller looked which file is missing: ask again. */
    if (open->closed || ((access & LARES_ACCESS_READ) && !open->reader) ||
        ((access & LARES_ACCESS_WRITE) && !open->writer)) {
        status = LARES_STALE;
    } else {
        set_modes(open, open->access | access, open->deny | deny);
    }
    lares_state_shard_unlock(open->node);
    return status;
}

void
lares_open_downgrade(LaresOpen *open, uint32_t access, uint32_t deny)
{
    LaresFile *drop[2] = {NULL, NULL};
    lares_state_shard_lock(open->node);
    if (!open->closed)
        set_modes(open, access, deny);
    if (!(access & LARES_ACCESS_READ))
        drop[0] = g_steal_pointer(&open->reader);
    if (!(access & LARES_ACCESS_WRITE))
        drop[1] = g_steal_pointer(&open->writer);
    lares_state_shard_unlock(open->node);
    for (int i = 0; i < 2; i++) {
        if (drop[i])
            lares_file_unref(drop[i]);
    }
}

/* Takes the open out of the list, where it is until it is closed. Shard locked. */
static void
unlink_open(LaresFileState *state, LaresOpen *open)
{
    if (open->prev)
        open->prev->next = open->next;
    else
        state->opens = open->next;
    if (open->next)
        open->next->prev = open->prev;
    open->next = open->prev = NULL;
}

void
lares_open_close(LaresOpen *open)
{
    LaresFile *reader = NULL, *writer = NULL;
    gboolean was_listed = FALSE;
    lares_state_shard_lock(open->node);
    if (!open->closed) {
        LaresFileState *state = lares_state_peek(open->node);
        set_modes(open, 0, 0);
        open->closed = TRUE;
        reader = g_steal_pointer(&open->reader);
        writer = g_steal_pointer(&open->writer);
        lares_locks_drop_open(state, open);
        unlink_open(state, open);
        was_listed = TRUE;
        if (!state->opens) {
            if (state->locks)
                g_array_unref(state->locks);
            g_free(state);
            __atomic_store_n(&open->node->state, NULL, __ATOMIC_RELAXED);
        }
    }
    lares_state_shard_unlock(open->node);
    if (reader)
        lares_file_unref(reader);
    if (writer)
        lares_file_unref(writer);
    if (was_listed) {
        lares_holder_give_open(open->holder);
        lares_open_unref(open);
    }
}

void
lares_state_opened_by(LaresOpen *open, uint32_t uid)
{
    __atomic_store_n(&open->opener, (int64_t)uid, __ATOMIC_RELAXED);
}

void
lares_state_widened_by(LaresOpen *open, uint32_t uid)
{
    if (!lares_state_was_opened_by(open, uid))
        __atomic_store_n(&open->opener, LARES_OPENER_MIXED, __ATOMIC_RELAXED);
}

gboolean
lares_state_was_opened_by(const LaresOpen *open, uint32_t uid)
{
    return __atomic_load_n(&open->opener, __ATOMIC_RELAXED) == (int64_t)uid;
}

LaresFile *
lares_state_file(LaresOpen *open, uint32_t access)
{
    lares_state_shard_lock(open->node);
    LaresFile *file = (access & LARES_ACCESS_WRITE) ? open->writer : open->reader;
    if (file)
        lares_file_ref(file);
    lares_state_shard_unlock(open->node);
    return file;
}

LaresFile *
lares_state_any_file(LaresNode *node)
{
    LaresFile *file = NULL;
    lares_state_shard_lock(node);
    LaresFileState *state = lares_state_peek(node);
    for (LaresOpen *o = state ? state->opens : NULL; o && !file; o = o->next) {
        file = o->writer ? o->writer : o->reader;
        if (file)
            lares_file_ref(file);
    }
    lares_state_shard_unlock(node);
    return file;
}

LaresStatus
lares_state_open_allowed(LaresNode *node, uint32_t access, uint32_t deny, LaresOpen *self)
{
    LaresStatus status = lock_without_conflict(node, access, deny, self);
    if (status == LARES_OK)
        lares_state_shard_unlock(node);
    return status;
}

LaresStatus
lares_state_io_allowed(LaresNode *node, uint32_t access, LaresOpen *self)
{
    if (!__atomic_load_n(&node->state, __ATOMIC_RELAXED)) /* nobody has it open: nobody denies */
        return LARES_OK;
    LaresStatus status = lares_state_open_allowed(node, access, LARES_DENY_NONE, self);
    return status == LARES_SHARE_DENIED ? LARES_LOCKED : status;
}
